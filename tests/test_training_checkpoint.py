"""Checkpoints: a training that was killed resumes to the same result; others are refused."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal

from skbcnn import CensoredBCNNRegressor
from skbcnn._training_checkpoint import TrainingCheckpoint, digest

IDENTITY = {"settings": {"lr": 0.1, "seed": 3}, "data": {"X": "a", "y": "b"}}
N_STARS = 60


class Killed(Exception):
    """End of a training after an epoch."""


@pytest.fixture(scope="module")
def stars():
    """Spectra, labels and flux errors; enough for 20 held-out stars."""
    rng = np.random.default_rng(1)
    X = rng.normal(1, 0.1, size=(N_STARS, 40)).astype(np.float32)
    return X, np.column_stack([X[:, 0], X[:, 5] - 1, X[:, 6] + X[:, 7], X[:, 30]]), np.full_like(X, 0.02)


@pytest.fixture(scope="module")
def parameters(tiny_parameters):
    return tiny_parameters | {"max_epochs": 6, "validation_fraction": 0.4}


def arrays_of(model):
    """Return the fitted attributes of a model, with those of objects in them."""
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
    spec = fitted.pop("spec_")  # its cached properties are no state
    return {name: vars(value) if hasattr(value, "__dict__") else value for name, value in fitted.items()} | {"": spec}


def fit(parameters, stars, checkpoint=None, killed_after=(), **arguments):
    """Fit a model; the training is killed after each of some epochs, and begun again."""
    X, y, x_err = stars
    for last in killed_after:

        def kill(epoch_end, last=last):
            if epoch_end.epoch == last:
                raise Killed

        with pytest.raises(Killed):
            CensoredBCNNRegressor(**parameters, callbacks=kill).fit(
                X, y, x_err=x_err, checkpoint=checkpoint, **arguments
            )
    return CensoredBCNNRegressor(**parameters).fit(X, y, x_err=x_err, checkpoint=checkpoint, **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param(
            {"lr_schedule": "plateau", "reduce_lr_patience": 1, "lr": 0.1, "warmup_epochs": 0}, marks=pytest.mark.slow
        ),
        {"early_stopping": True, "n_iter_no_change": 1, "lr": 0.1, "warmup_epochs": 0},
        pytest.param({"noise_augmentation": (0, 2), "validation_fraction": 0}, marks=pytest.mark.slow),
        pytest.param({"augmentation": {}}, marks=pytest.mark.slow),
        {"calibration_cv": 2},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_a_training_that_was_killed_resumes_to_the_same_model(parameters, stars, changes, tmp_path):
    parameters = parameters | changes
    whole = fit(parameters, stars)
    killed_after = (1,) if len(whole.history_["lr"]) == 2 else (2, 4)
    resumed = fit(parameters, stars, tmp_path / "fit.npz", killed_after)
    assert_equal(arrays_of(resumed), arrays_of(whole))
    assert not [*tmp_path.iterdir()]  # the checkpoint is removed


def test_early_stopping_ends_the_training_of_the_test_above(parameters, stars):
    stopped = fit(parameters | {"early_stopping": True, "n_iter_no_change": 1, "lr": 0.1, "warmup_epochs": 0}, stars)
    assert 2 <= len(stopped.history_["lr"]) < 6


def test_a_checkpoint_does_not_change_a_training(parameters, stars, tmp_path):
    assert_equal(arrays_of(fit(parameters, stars, tmp_path / "fit.npz")), arrays_of(fit(parameters, stars)))


def test_epochs_before_are_not_repeated(parameters, stars, tmp_path):
    called = []
    with pytest.raises(Killed):
        CensoredBCNNRegressor(**parameters, callbacks=_killing_after(4)).fit(
            *stars[:2], checkpoint=tmp_path / "fit.npz"
        )
    assert TrainingCheckpoint(tmp_path / "fit.npz").n_epochs() == 3  # the fourth did not end
    resumed = CensoredBCNNRegressor(**parameters, callbacks=lambda end: called.append(end.epoch))
    resumed.fit(*stars[:2], checkpoint=tmp_path / "fit.npz")
    assert called == [4, 5, 6]


def _killing_after(last):
    def kill(epoch_end):
        if epoch_end.epoch == last:
            raise Killed

    return kill


def test_without_a_seed_the_random_numbers_of_the_start_are_used_again(parameters, stars, tmp_path):
    models = []
    for checkpoint, killed_after in ((None, ()), (tmp_path / "fit.npz", (3,))):
        np.random.seed(7)  # noqa: NPY002
        models.append(fit(parameters | {"random_state": None}, stars, checkpoint, killed_after))
        np.random.seed(8)  # noqa: NPY002
    assert models[0].seed_ == models[1].seed_
    assert_equal(models[1].weights_, models[0].weights_)


def test_a_killed_calibration_does_not_repeat_the_training(parameters, stars, tmp_path, monkeypatch):
    def kill(*_, **__):
        raise Killed

    whole = fit(parameters, stars)
    with monkeypatch.context() as patch:
        patch.setattr(CensoredBCNNRegressor, "_predict_exposures", kill)
        with pytest.raises(Killed):
            fit(parameters, stars, tmp_path / "fit.npz")
    assert TrainingCheckpoint(tmp_path / "fit.npz").n_epochs() == 6
    resumed = CensoredBCNNRegressor(**parameters, callbacks=kill)  # which no epoch calls
    resumed.fit(*stars[:2], x_err=stars[2], checkpoint=tmp_path / "fit.npz")
    assert_equal(resumed.weights_, whole.weights_)
    assert_equal(resumed.validation_residuals_, whole.validation_residuals_)


def test_warm_start(parameters, stars, tmp_path):
    """A continued training resumes, too, and only from the model that it continued."""
    X, y, x_err = stars
    models = [fit(parameters | {"warm_start": True, "max_epochs": 3}, stars) for _ in range(2)]
    models[0].fit(X, y, x_err=x_err)
    before = {name: values.copy() for name, values in models[1].weights_.items()}
    with pytest.raises(Killed):
        models[1].set_params(callbacks=_killing_after(3)).fit(X, y, x_err=x_err, checkpoint=tmp_path / "fit.npz")
    assert_equal(models[1].weights_, before)
    other = CensoredBCNNRegressor(**parameters | {"warm_start": True, "max_epochs": 3})
    with pytest.raises(ValueError, match="other values of the model that is continued"):
        other.fit(X, y + 1, x_err=x_err).fit(X, y, x_err=x_err, checkpoint=tmp_path / "fit.npz")
    models[1].set_params(callbacks=None).fit(X, y, x_err=x_err, checkpoint=tmp_path / "fit.npz")
    assert_equal(models[1].weights_, models[0].weights_)


def test_data_and_parameters_that_differ_are_named(parameters, stars, tmp_path):
    checkpoint = tmp_path / "fit.npz"
    X, y, x_err = stars
    validation = (X[:20], y[:20])
    with pytest.raises(Killed):
        CensoredBCNNRegressor(**parameters, callbacks=_killing_after(2)).fit(X, y, x_err=x_err, checkpoint=checkpoint)
    for change, named in [
        ({"parameters": {"lr": 0.25}}, r"lr was 0.005 and is now 0.25\. "),
        ({"parameters": {"windows": {"Mg": [5]}}}, r"windows was .* and is now {'Mg': \[5\]}"),
        ({"X": X + np.float32(0.01)}, r"other values of X\. "),
        ({"y": y + 1, "x_err": 2 * x_err}, r"other values of y, x_err\. "),
        ({"sample_weight": np.arange(1, N_STARS + 1)}, r"other values of sample_weight\. "),
        ({"groups": np.arange(N_STARS) // 2}, r"other values of groups\. "),
        ({"validation_data": validation}, "other values of X of the validation data, y of the validation data"),
    ]:
        arguments = {"X": X, "y": y, "x_err": x_err} | change
        model = CensoredBCNNRegressor(**parameters | arguments.pop("parameters", {}))
        with pytest.raises(ValueError, match=f"belongs to another training: {named}") as refused:
            model.fit(**arguments, checkpoint=checkpoint)
        assert "remove the file to begin again" in str(refused.value)
        assert not hasattr(model, "weights_")
    assert TrainingCheckpoint(checkpoint).n_epochs() == 1


def test_other_versions_are_refused(tmp_path):
    saved = TrainingCheckpoint(tmp_path / "fit.npz")
    saved.begin({"settings": {"tensorflow": "2.20"}})
    saved.save({}, {"epochs": []})
    saved.flush()
    with pytest.raises(ValueError, match=r"tensorflow was '2\.20' and is now '2\.21'"):
        TrainingCheckpoint(tmp_path / "fit.npz").begin({"settings": {"tensorflow": "2.21"}})


def saved_checkpoint(path):
    checkpoint = TrainingCheckpoint(path)
    checkpoint.begin(IDENTITY)
    checkpoint.save({"network.0": np.arange(1000.0)}, {"epochs": [{"loss": 0.5}], "stopped": False})
    checkpoint.flush()
    return checkpoint


def test_values_survive(tmp_path):
    saved_checkpoint(tmp_path / "fit.npz")
    read = TrainingCheckpoint(tmp_path / "fit.npz")
    read.begin(IDENTITY)
    assert_array_equal(read.saved.arrays["network.0"], np.arange(1000.0))
    assert read.saved.record["epochs"] == [{"loss": 0.5}]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "array", "record"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = saved_checkpoint(tmp_path / "fit.npz").path
    content = path.read_bytes()
    middle = len(content) // 2
    replaced = {
        "cut": content[:middle],
        "changed": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "empty": b"",
        "text": b"no checkpoint",
    }
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif damage == "record":
        with path.open("wb") as file:
            np.savez(file, record=np.array(json.dumps({"format": 99})))
    else:
        path.write_bytes(replaced[damage])
    checkpoint = TrainingCheckpoint(path)
    with pytest.raises(ValueError, match=r"cannot be read .* it is damaged, or no checkpoint of skbcnn\. Remove it"):
        checkpoint.begin(IDENTITY)
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint.n_epochs()


def test_arrays_of_another_network_are_refused(parameters, stars, tmp_path):
    """A file whose record fits, but whose arrays do not, does not end in an error of Keras."""
    path = tmp_path / "fit.npz"
    model = CensoredBCNNRegressor(**parameters, callbacks=_killing_after(2))
    with pytest.raises(Killed):
        model.fit(*stars[:2], checkpoint=path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["network.0"] = arrays["network.0"][:1]
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match="is damaged, or no checkpoint"):
        model.set_params(callbacks=None).fit(*stars[:2], checkpoint=path)


def test_places_where_nothing_can_be_written(tmp_path, parameters, stars):
    model = CensoredBCNNRegressor(**parameters)
    with pytest.raises(FileNotFoundError, match=r"cannot be written in .*absent .* Choose a folder that exists"):
        model.fit(*stars[:2], checkpoint=tmp_path / "absent" / "fit.npz")
    with pytest.raises(IsADirectoryError, match="is a folder, expected the name of a file"):
        model.fit(*stars[:2], checkpoint=tmp_path)
    with pytest.raises(TypeError, match="checkpoint is 3, expected the path"):
        model.fit(*stars[:2], checkpoint=3)


def test_a_failure_to_write_keeps_the_file_of_the_epoch_before(tmp_path, monkeypatch):
    checkpoint = saved_checkpoint(tmp_path / "fit.npz")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        checkpoint.save({}, {"epochs": [{}, {}]})
        with pytest.raises(OSError, match=r"after epoch 2 \(.*No space left.* is kept: make room, and repeat the call"):
            checkpoint.flush()
    assert TrainingCheckpoint(checkpoint.path).n_epochs() == 1
    assert [*tmp_path.iterdir()] == [checkpoint.path]


def test_a_checkpoint_that_is_kept(tmp_path, parameters, stars):
    """It can be resumed when the result of `fit` was lost before it was saved."""
    checkpoint = TrainingCheckpoint(tmp_path / "fit.npz", keep=True)
    fit(parameters | {"calibration_cv": 2}, stars, checkpoint)
    assert checkpoint.n_epochs() == 6
    assert len([*tmp_path.iterdir()]) == 3  # one for each fold, too
    checkpoint.remove()
    assert not [*tmp_path.iterdir()]


def test_digests_differ_by_values_shape_and_type():
    zeros = np.zeros((2, 3))
    others = (zeros + 1, zeros.T, zeros.astype(np.float32), zeros.astype(int))
    assert len({digest(zeros), *map(digest, others)}) == 5
    assert digest(np.asfortranarray(zeros)) == digest(zeros)
