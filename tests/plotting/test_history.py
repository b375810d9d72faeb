"""The picture of a training: which curves, where the rate was halved, which epochs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator

from skbcnn import CensoredBCNNRegressor
from skbcnn.plotting import TrainingHistoryDisplay, new_figure


@pytest.fixture
def history():
    return {
        "loss": [0.9, 0.5, 0.4, 0.3],
        "data_loss": [0.8, 0.4, 0.3, 0.2],
        "val_loss": [0.7, 0.6, 0.6, 0.5],
        "mean_absolute_error": [1.0, 0.9, 0.8, 0.7],
        "lr": [1e-3, 1e-3, 5e-4, 2.5e-4],
    }


def draw(history, **options):
    return TrainingHistoryDisplay.from_history(history, ax=new_figure(3.5, 3.2).add_subplot(), **options)


def curves(ax):
    return {line.get_label(): line.get_data() for line in ax.lines if not line.get_label().startswith("_")}


def marks(ax):
    return [line.get_xdata()[0] for line in ax.lines if line.get_label().startswith("_")]


class TestCurves:
    def test_losses(self, history):
        drawn = curves(draw(history).axes_[0])
        assert list(drawn) == ["training, with L2 penalty", "training", "validation"]
        for (epochs, values), name in zip(drawn.values(), ("loss", "data_loss", "val_loss"), strict=True):
            assert_allclose(epochs, [1, 2, 3, 4])
            assert_allclose(values, history[name])

    def test_without_validation(self, history):
        del history["val_loss"]
        assert list(curves(draw(history).axes_[0])) == ["training, with L2 penalty", "training"]

    def test_rate(self, history):
        ax = draw(history).axes_[1]
        (steps,) = ax.patches
        values, edges, _ = steps.get_data()
        assert_allclose(values, history["lr"])
        assert_allclose(edges, [0.5, 1.5, 2.5, 3.5, 4.5])
        assert ax.get_yscale() == "log"
        assert [text.get_text() for text in ax.get_yticklabels()] == ["0.00025", "0.0005", "0.001"]

    def test_small_rates_are_powers(self, history):
        history["lr"] = [4e-5, 4e-5, 2e-5, 2e-5]
        ticks = [text.get_text() for text in draw(history).axes_[1].get_yticklabels()]
        assert ticks == [r"$2\times10^{-5}$", r"$4\times10^{-5}$"]

    def test_axes(self, history):
        above, below = draw(history).axes_
        assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == (
            "Loss (nats per label)",
            "Learning\nrate",
            "Epoch",
        )
        assert above.get_xlim() == below.get_xlim() == (0.5, 4.5)


class TestHalved:
    def test_marks_in_both_panels(self, history):
        display = draw(history)
        assert_allclose(display.halved, [2.5, 3.5])
        for ax in display.axes_:
            assert marks(ax) == [2.5, 3.5]

    def test_other_falls_are_none(self, history):
        history["lr"] = [1e-3, 9e-4, 4.5e-4, 2e-4]
        assert_allclose(draw(history).halved, [2.5])

    def test_none(self, history):
        history["lr"] = [1e-3] * 4
        display = draw(history)
        assert len(display.halved) == 0
        assert marks(display.axes_[0]) == []

    def test_float32_rates(self, history):
        history["lr"] = [float(np.float32(1e-3)), float(np.float32(5e-4)), 5e-4, 5e-4]
        assert_allclose(draw(history).halved, [1.5])


class TestEpochs:
    def test_of_a_training_that_went_on(self, history):
        display = draw(history, first_epoch=11)
        assert_allclose(display.epochs, [11, 12, 13, 14])
        assert_allclose(display.halved, [12.5, 13.5])
        assert_allclose(curves(display.ax_)["training"][0], [11, 12, 13, 14])

    def test_one_epoch_is_a_point(self, history):
        display = draw({name: values[:1] for name, values in history.items()})
        display.figure_.canvas.draw()
        assert {line.get_marker() for line in display.ax_.lines} == {"o"}
        ticks = [place for place in display.axes_[1].get_xticks() if 0.5 <= place <= 1.5]
        assert ticks == [1]


class TestFromEstimator:
    def test_is_from_history(self, tiny_model, new_axes):
        display = TrainingHistoryDisplay.from_estimator(tiny_model, ax=new_axes())
        assert_allclose(display.epochs, np.arange(1, tiny_model.n_iter_ + 1))
        for name in ("loss", "val_loss", "lr"):
            assert_allclose(display.history[name], tiny_model.history_[name])

    def test_knows_where_it_went_on(self, new_axes):
        X, y = [[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]
        model = CensoredBCNNRegressor(max_epochs=3, num_hidden=(2, 2, 1, 1, 1), random_state=0).fit(X, y)
        display = TrainingHistoryDisplay.from_estimator(model.partial_fit(X, y), ax=new_axes())
        assert_allclose(display.epochs, [4])

    def test_without_history(self, new_axes):
        class Other(BaseEstimator):
            def fit(self):
                self.weights_ = 0
                return self

        with pytest.raises(ValueError, match="The history has no entry, expected a loss and lr"):
            TrainingHistoryDisplay.from_estimator(Other().fit(), ax=new_axes())


class TestWhereItDraws:
    @pytest.mark.usefixtures("pyplot_untouched")
    def test_in_one_axes_or_two(self, history):
        axes = new_figure(3.5, 4).subplots(2, 1)
        display = TrainingHistoryDisplay.from_history(history, ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)
        assert len(draw(history).axes_) == 2

    def test_in_a_figure_of_its_own(self, history, own_figure):
        assert own_figure(TrainingHistoryDisplay.from_history(history)) == (3.5, 3.2)

    @pytest.mark.parametrize("n_epochs", [1, 3, 40, 300])
    def test_legible(self, n_epochs, check_legible):
        epochs = np.arange(n_epochs)
        loss = np.exp(-epochs / 10)
        rates = 1e-3 * 0.5 ** (epochs // 7).clip(max=12)
        check_legible(draw({"loss": loss + 0.1, "data_loss": loss, "val_loss": loss - 0.1, "lr": rates}).figure_)


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        ({}, "The history has no entry"),
        ({"loss": [], "lr": []}, "The history has loss, lr, expected a loss and lr of at least one epoch"),
        ({"loss": [1.0]}, "The history has loss, expected a loss and lr"),
        ({"lr": [1.0]}, "The history has lr, expected a loss and lr"),
        ({"loss": [1.0, 2.0], "lr": [1.0]}, "entries of different length: loss of 2, lr of 1 epochs"),
    ],
)
def test_refuses(history, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(history)
