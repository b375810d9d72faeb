"""The list of fitted attributes, and what models get that were stored by earlier versions."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from skbcnn import CensoredBCNNRegressor, ChipGapRemover, ContinuumNormalizer, load_folder
from skbcnn._fitted_state import FITTED_STATE, PARAMETERS_ADDED_LATER, forget


class TestParametersAddedLater:
    """Pickles that lack a parameter behave as the version that wrote them, whatever the default is now."""

    def test_value_in_effect_then(self, tiny_model):
        state = tiny_model.__getstate__()
        for name in PARAMETERS_ADDED_LATER:
            del state[name]
        old = CensoredBCNNRegressor.__new__(CensoredBCNNRegressor)
        old.__setstate__(state)
        parameters = old.get_params()
        assert {name: parameters[name] for name in PARAMETERS_ADDED_LATER} == PARAMETERS_ADDED_LATER

    def test_every_parameter_since_the_first_version_is_listed(self):
        """A new parameter needs an entry in `PARAMETERS_ADDED_LATER`."""
        first = {
            *("target", "num_hidden", "num_filters", "filter_len", "pool_length", "activation", "initializer"),
            *("dropout_rate", "l2", "maxnorm", "length_scale", "lr", "batch_size", "max_epochs", "reduce_lr_epsilon"),
            *("reduce_lr_min", "reduce_lr_patience", "input_norm_mode", "labels_norm_mode", "noise_augmentation"),
            *("validation_fraction", "early_stopping", "n_iter_no_change", "n_draws", "random_state", "verbose"),
        }
        assert first | set(PARAMETERS_ADDED_LATER) == set(CensoredBCNNRegressor().get_params())

    def test_other_estimators(self):
        """`VersionedPickle` reads the list of each class."""
        for cls, name in ((ChipGapRemover, "chips"), (ContinuumNormalizer, "no_continuum")):
            state = cls().__getstate__()
            del state[name]
            old = cls.__new__(cls)
            old.__setstate__(state)
            assert old.get_params() == cls().get_params()


class TestFittedState:
    def test_every_attribute_is_declared(self, tiny_model):
        assert set(vars(tiny_model)) - set(tiny_model.get_params()) <= set(FITTED_STATE)

    def test_what_an_early_pickle_lacks_gets_its_default(self, tiny_model, tiny_data):
        state = tiny_model.__getstate__()
        lacks = {"error_model_", "interval_scores_", "interval_noise_", "validation_residuals_", "domain_"}
        lacks |= {"validation_responses_"}
        old = CensoredBCNNRegressor.__new__(CensoredBCNNRegressor)
        old.__setstate__({name: value for name, value in state.items() if name not in lacks})
        assert all(getattr(old, name) is None for name in lacks)
        assert not hasattr(old, "preprocessing_")
        assert np.array_equal(old.predict(tiny_data.X), tiny_model.predict(tiny_data.X))

    def test_a_model_without_a_required_attribute_is_refused(self, tiny_model):
        state = tiny_model.__getstate__()
        del state["label_normalizer_"]
        with pytest.raises(ValueError, match="The stored model has no label_normalizer_"):
            CensoredBCNNRegressor.__new__(CensoredBCNNRegressor).__setstate__(state)

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
    def test_copies_have_a_network_of_their_own(self, tiny_model, copied):
        assert copied(tiny_model)._live is not tiny_model._live

    @pytest.mark.parametrize(
        ("training", "kept"),
        [
            ("fit", set()),
            (
                "warm_start",
                {
                    *("n_iter_", "noise_level_", "noise_augmented_", "preprocessing_", "provenance_"),
                    "_draws_counted_once",
                },
            ),
            (
                "partial_fit",
                {
                    *("n_iter_", "noise_level_", "noise_augmented_", "preprocessing_", "provenance_"),
                    "_draws_counted_once",
                    "domain_",
                    "_uncalibrated",
                },
            ),
        ],
    )
    def test_what_each_training_forgets(self, tiny_model, training, kept):
        model = copy.deepcopy(tiny_model)
        forgotten = {name for name, attribute in FITTED_STATE.items() if attribute.forgotten_by}
        vars(model).update(dict.fromkeys(forgotten, "earlier"))
        forget(model, training)
        assert {name for name in forgotten if vars(model).get(name) == "earlier"} == kept


def test_an_early_folder_gets_the_values_of_its_time():
    """`tests/data/model-format1` was written before these parameters existed."""
    parameters = load_folder(Path(__file__).parent / "data" / "model-format1").get_params()
    lacked = ("warmup_epochs", "clipnorm", "backend", "context_layer")
    assert {name: parameters[name] for name in lacked} == {name: PARAMETERS_ADDED_LATER[name] for name in lacked}
