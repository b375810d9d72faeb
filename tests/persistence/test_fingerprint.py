"""Fingerprints tell models apart, and stay the same where predictions do."""

from copy import deepcopy

from skbcnn.persistence import load_folder, save_folder
from skbcnn.persistence.fingerprint import model_fingerprint


def test_stays_the_same_after_saving(tiny_model, tmp_path):
    fingerprint = model_fingerprint(tiny_model)
    saved = save_folder(tiny_model, tmp_path / "model.zip", provenance={"training_data": "random numbers"})
    assert model_fingerprint(load_folder(saved)) == fingerprint
    assert len(fingerprint) == 32


def test_does_not_depend_on_how_predictions_are_computed(tiny_model):
    other = deepcopy(tiny_model).set_params(n_draws=3, verbose=1, backend="numpy")
    assert model_fingerprint(other) == model_fingerprint(tiny_model)


def test_every_change_of_the_model_changes_it(tiny_model):
    fingerprints = {model_fingerprint(tiny_model)}
    for change in (
        lambda model: next(iter(model.weights_.values())).__iadd__(1e-6),
        lambda model: model.label_normalizer_.mean_.__iadd__(1e-6),
        lambda model: vars(model).update(seed_=model.seed_ + 1),
        lambda model: vars(model).update(preprocessing_={"data_release": 14}),
    ):
        other = deepcopy(tiny_model)
        change(other)
        fingerprints.add(model_fingerprint(other))
    assert len(fingerprints) == 5
