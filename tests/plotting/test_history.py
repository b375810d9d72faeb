"""The history of a training: losses, learning rates and numbers of epochs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.plotting import TrainingHistoryDisplay, new_figure
from tests.plotting.artists import artists


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


def marks(ax):
    """Return the positions of the vertical lines."""
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]


class TestPanels:
    def test_losses(self, history):
        drawn = artists(draw(history).axes_[0])
        expected = ["training (dropout)", "with L2 penalty", "validation", "lowest (epoch 4)", "rate halved"]
        assert list(drawn) == expected
        for text, name in zip(drawn, ("data_loss", "loss", "val_loss"), strict=False):
            assert_allclose(drawn[text].get_data(), [[1, 2, 3, 4], history[name]])
        assert_allclose(drawn["lowest (epoch 4)"].get_data(), [[4], [0.5]])

    def test_augmented_training_is_named(self, history):
        assert "training (augmented, dropout)" in artists(draw(history, augmented=True).ax_)

    def test_without_validation(self, history):
        del history["val_loss"]
        assert list(artists(draw(history).axes_[0])) == ["training (dropout)", "with L2 penalty", "rate halved"]

    def test_learning_rate(self, history):
        ax = draw(history).axes_[1]
        (steps,) = ax.patches
        values, edges, _ = steps.get_data()
        assert_allclose(values, history["lr"])
        assert_allclose(edges, [0.5, 1.5, 2.5, 3.5, 4.5])
        assert ax.get_yscale() == "log"
        assert [text.get_text() for text in ax.get_yticklabels()] == ["0.00025", "0.0005", "0.001"]

    def test_small_learning_rates_are_powers_of_ten(self, history):
        history["lr"] = [4e-5, 4e-5, 2e-5, 2e-5]
        ticks = [text.get_text() for text in draw(history).axes_[1].get_yticklabels()]
        assert ticks == [r"$2\times10^{-5}$", r"$4\times10^{-5}$"]

    @pytest.mark.parametrize("lowest", [2e-3, 4.4e-5])
    def test_many_learning_rates_have_two_ticks(self, history, lowest):
        rates = np.geomspace(3e-3, lowest, 40)
        ticks = draw({"val_loss": rates, "lr": rates}).axes_[1].get_yticks()
        assert_allclose(ticks, [lowest, 3e-3])

    def test_ticks_of_the_learning_rate_do_not_overlap(self, check_legible):
        rates = [3e-3, 2.99e-3, 2.9e-3, 1e-5]
        display = draw({"val_loss": rates, "lr": rates})
        assert_allclose(display.axes_[1].get_yticks(), [1e-5, 3e-3])
        check_legible(display.figure_)

    def test_axes(self, history):
        above, below = draw(history).axes_
        labels = above.get_ylabel(), below.get_ylabel(), below.get_xlabel()
        assert labels == ("Loss (nats per label)", "Learning\nrate", "Epoch")
        assert above.get_xlim() == below.get_xlim() == (0.5, 4.5)


class TestHalvedLearningRate:
    def test_is_marked_in_both_panels(self, history):
        display = draw(history)
        assert_allclose(display.halved, [2.5, 3.5])
        for ax in display.axes_:
            assert marks(ax) == [2.5, 3.5]

    @pytest.mark.parametrize(
        ("rates", "halved"),
        [
            ([1e-3, 9e-4, 4.5e-4, 2e-4], [2.5]),  # other decreases are not marked
            ([float(np.float32(1e-3)), float(np.float32(5e-4)), 5e-4, 5e-4], [1.5]),  # rounded to float32
            ([1e-3] * 4, []),
        ],
    )
    def test_other_learning_rates(self, history, rates, halved):
        history["lr"] = rates
        display = draw(history)
        assert_allclose(display.halved, halved)
        assert marks(display.axes_[0]) == halved


class TestEpochs:
    def test_of_a_continued_training(self, history):
        display = draw(history, first_epoch=11)
        assert_allclose(display.epochs, [11, 12, 13, 14])
        assert_allclose(display.halved, [12.5, 13.5])
        assert_allclose(artists(display.ax_)["training (dropout)"].get_xdata(), [11, 12, 13, 14])

    def test_single_epoch_is_a_point(self, history):
        display = draw({name: values[:1] for name, values in history.items()})
        display.figure_.canvas.draw()
        assert {line.get_marker() for line in display.ax_.lines} == {"o"}
        assert [tick for tick in display.axes_[1].get_xticks() if 0.5 <= tick <= 1.5] == [1]


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, history):
        axes = new_figure(3.5, 4).subplots(2, 1)
        display = TrainingHistoryDisplay.from_history(history, ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)
        assert len(draw(history).axes_) == 2

    def test_in_a_new_figure(self, history, check_pyplot_figure):
        assert check_pyplot_figure(TrainingHistoryDisplay.from_history(history).figure_) == (3.5, 3.2)

    @pytest.mark.parametrize("n_epochs", [1, 300])
    def test_text_is_legible(self, n_epochs, check_legible):
        epochs = np.arange(n_epochs)
        loss = np.exp(-epochs / 10)
        rates = 1e-3 * 0.5 ** (epochs // 7).clip(max=12)
        check_legible(draw({"loss": loss + 0.1, "data_loss": loss, "val_loss": loss - 0.1, "lr": rates}).figure_)


def test_estimator_without_history(oracle):
    with pytest.raises(ValueError, match="The history has no entry, expected a loss and lr"):
        TrainingHistoryDisplay.from_estimator(oracle)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"loss": [], "lr": []}, "The history has loss, lr, expected a loss and lr of at least one epoch"),
        ({"loss": [1.0]}, "The history has loss, expected a loss and lr"),
        ({"lr": [1.0]}, "The history has lr, expected a loss and lr"),
        ({"loss": [1.0, 2.0], "lr": [1.0]}, "differ in length: loss has 2, lr has 1 epochs"),
    ],
)
def test_invalid_history(history, message):
    with pytest.raises(ValueError, match=message):
        draw(history)


def test_legend_covers_no_curve():
    history = {name: np.linspace(1, 0, 20) for name in ("loss", "data_loss", "val_loss")} | {"lr": np.full(20, 1e-3)}
    history["lr"][10:] /= 2
    display = TrainingHistoryDisplay.from_history(history, augmented=True)
    display.figure_.draw_without_rendering()
    legend, panel = display.ax_.get_legend().get_window_extent(), display.ax_.get_window_extent()
    assert legend.y0 >= panel.y1
    assert legend.x0 >= 0
