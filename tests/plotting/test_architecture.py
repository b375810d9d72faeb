"""The graph of a network: texts and numbers in the boxes, arrows and marks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.network.spec import NetworkSpec
from skbcnn.plotting import ArchitectureDisplay, new_figure
from skbcnn.plotting._style import DARK, GREY
from skbcnn.survey import APOGEE_LABELS, apogee_windows
from tests.plotting.artists import legend_texts

TIMES = "\N{MULTIPLICATION SIGN}"


def apogee_spec(**options):
    """Return the architecture of the published network."""
    windows = {name: tuple(window.tolist()) for name, window in apogee_windows().items() if name != "Fe"}
    return NetworkSpec(
        n_pixels=7514,
        windows=tuple(windows.get(name) for name in APOGEE_LABELS),
        widening=tuple(
            apogee_windows().widening(name) if name in apogee_windows() else (1, 1) for name in APOGEE_LABELS
        ),
        **options,
    )


def draw(spec, names=None):
    return ArchitectureDisplay.from_spec(spec, label_names=names, ax=new_figure(7, 3.9).add_subplot())


def texts(display):
    return [text.get_text() for text in display.ax_.texts if text.get_text()]


def counts(display):
    """Return the numbers of weights in the boxes."""
    grey = [text.get_text() for text in display.ax_.texts if text.get_text() and text.get_color() == GREY]
    return [int(text.replace(" ", "")) for text in grey]


def arrows(display):
    """Return the ends of the arrows."""
    return [text.xy for text in display.ax_.texts if not text.get_text()]


def n_marks(display, marker):
    return sum(line.get_marker() == marker for line in display.ax_.lines)


@pytest.fixture(scope="module")
def display():
    return draw(apogee_spec(), APOGEE_LABELS)


class TestPublishedNetwork:
    def test_number_of_weights(self, display):
        assert display.n_weights == 3_505_554
        assert display.ax_.get_title() == "22 labels from 7514 pixels, 3 505 554 weights"

    def test_numbers_in_the_boxes_add_up(self, display):
        assert sum(counts(display)) == 3_505_554

    def test_widths(self, display):
        found = texts(display)
        for width in (f"7514 {TIMES} 2", f"7514 {TIMES} 4", f"1878 {TIMES} 4", "192", "96", "2 free units", "5 values"):
            assert found.count(width) == 1
        for width in (f"17 {TIMES} 32", f"17 {TIMES} 16", f"2 {TIMES} 256", f"2 {TIMES} 64"):
            assert found.count(width) == 1

    def test_weights_of_single_layers(self, display):
        """Dense layer 1878 * 4 * 192 + 192, free context units 96 * 2 + 2, full-spectrum labels 3 * 2 * 97."""
        assert {1_442_496, 194, 582} <= set(counts(display))

    def test_windows(self, display):
        found = texts(display)
        assert "8 to 557 pixels" in found
        assert "3776 to 3806 pixels" in found
        assert "C I, O, Na, Mg, Al, Si, P, S, K, Ca, Ti, Ti II, V, Cr, Mn, Co, Ni" in found
        assert found.count("C, N") == 2  # above the row, and in the box of its labels
        assert r"$T_\mathrm{eff}$, $\log g$, Fe" in found

    def test_marks(self, display):
        assert n_marks(display, "o") == 3 + 2 * 2  # three for the full spectrum, two in each row of windows
        assert n_marks(display, "_") == 1
        expected = ["dropout of 30%", "means only, gradient stopped", "number of weights"]
        assert legend_texts(display.ax_) == expected

    def test_number_of_boxes(self, display):
        assert len(display.ax_.patches) == 7 + 2 + 2 * 4

    def test_text_is_legible(self, display, check_legible):
        check_legible(display.figure_)

    def test_text_stays_in_its_box(self, display):
        display.figure_.canvas.draw()
        for box in display.ax_.patches:
            frame = box.get_window_extent()
            extents = [text.get_window_extent() for text in display.ax_.texts if text.get_text()]
            extents = [extent for extent in extents if frame.contains(*extent.get_points().mean(axis=0))]
            assert len(extents) in (2, 3)
            for extent in extents:
                assert extent.x0 > frame.x0
                assert extent.x1 < frame.x1


@pytest.fixture(scope="module")
def hidden_context():
    return draw(apogee_spec(context_layer="hidden"), APOGEE_LABELS)


class TestContextOfHiddenLayers:
    def test_number_of_weights(self, hidden_context):
        assert hidden_context.n_weights == sum(counts(hidden_context)) == 3_505_554 + 5 * (17 * 16 + 2 * 64)

    def test_second_layer_of_each_row_has_another_arrow(self, hidden_context, display):
        assert len(arrows(hidden_context)) == len(arrows(display)) + 2
        second = [text for text in hidden_context.ax_.texts if text.get_text() in (f"17 {TIMES} 16", f"2 {TIMES} 64")]
        for text in second:  # one arrow from the left, one from below
            ends = np.subtract(arrows(hidden_context), text.get_position())
            ends = ends[np.abs(ends).sum(axis=1) < 0.5]
            assert_allclose(ends[ends[:, 0].argsort()], [[-0.42, 0], [0, -0.28]], atol=1e-9)

    def test_text_is_legible(self, hidden_context, check_legible):
        check_legible(hidden_context.figure_)

    def test_no_other_arrow_without_context(self):
        spec = {"n_pixels": 40, "windows": ((3, 4),), "widening": ((1, 1),), "num_hidden": (8, 8, 4, 4, 0)}
        published, other = (draw(NetworkSpec(**spec, context_layer=layer)) for layer in ("output", "hidden"))
        assert arrows(other) == arrows(published)


class TestOtherNetworks:
    def test_without_windows(self):
        display = draw(NetworkSpec(n_pixels=40, windows=(None,) * 8, widening=((1, 1),) * 8, dropout_rate=0.0))
        assert len(display.ax_.patches) == 7
        assert "8 labels" in texts(display)
        assert (n_marks(display, "o"), n_marks(display, "_")) == (0, 0)
        assert legend_texts(display.ax_) == ["number of weights"]
        assert sum(counts(display)) == display.n_weights

    def test_window_labels_only(self):
        spec = NetworkSpec(n_pixels=40, windows=((1, 2), (3, 4)), widening=((1, 1),) * 2)
        display = draw(spec)
        assert "2 values" in texts(display)
        assert "2 pixels" in texts(display)
        assert n_marks(display, "_") == 0
        assert sum(counts(display)) == display.n_weights

    def test_without_free_context_units(self):
        spec = NetworkSpec(n_pixels=40, windows=(None, (3, 4)), widening=((1, 1),) * 2, num_hidden=(8, 8, 4, 4, 0))
        display = draw(spec, ["teff", "Mg"])
        assert "1 value" in texts(display)
        assert not [text for text in texts(display) if "free" in text]
        assert sum(counts(display)) == display.n_weights

    @pytest.mark.parametrize(
        ("n_free", "n_supervised", "text"),
        [
            (2, 0, ["dense", "2 free units"]),
            (3, 3, ["3 context", "labels, dense"]),
            (3, 2, ["3 context", "units, dense"]),
        ],
    )
    def test_context_units(self, n_free, n_supervised, text):
        """The gradient stops behind the full-spectrum labels, and behind units that are context labels."""
        layers = {"widening": ((1, 1),) * 2, "num_hidden": (8, 8, 4, 4, n_free), "n_supervised": n_supervised}
        display = draw(NetworkSpec(n_pixels=40, windows=(None, (3, 4)), **layers), ["teff", "Mg"])
        assert set(text) <= set(texts(display))
        assert (n_marks(display, "_"), n_marks(display, "|")) == (1, n_free == n_supervised)

    def test_without_context(self):
        spec = NetworkSpec(n_pixels=40, windows=((3, 4),), widening=((1, 1),), num_hidden=(8, 8, 4, 4, 0))
        display = draw(spec, ["Mg"])
        assert "context" not in texts(display)
        assert "1 window" in texts(display)
        assert sum(counts(display)) == display.n_weights

    def test_long_lists_of_names_are_shortened(self, check_legible):
        n = 40
        spec = NetworkSpec(n_pixels=40, windows=((3, 4),) * n, widening=((1, 1),) * n)
        display = draw(spec, [f"a long name {j}" for j in range(n)])
        assert [text for text in texts(display) if text.endswith(", ...")]
        check_legible(display.figure_)

    def test_each_width_has_a_row(self):
        widening = ((1, 1), (2, 1), (8, 4))
        spec = NetworkSpec(n_pixels=40, windows=((3, 4), (5, 6, 7), (8,)), widening=widening)
        display = draw(spec, ["Mg", "Al", "C"])
        dark = [text.get_text() for text in display.ax_.texts if text.get_color() == DARK]
        assert [text for text in dark if text.isdigit()] == ["192", "96", "32", "16", "64", "16", "256", "64"]
        assert sum(counts(display)) == display.n_weights


@pytest.mark.usefixtures("pyplot_unchanged")
def test_on_axes_of_the_user(new_axes):
    ax = new_axes()
    display = ArchitectureDisplay.from_spec(apogee_spec(), ax=ax)
    assert (display.ax_, display.figure_) == (ax, ax.figure)


def test_in_a_new_figure(check_pyplot_figure, check_legible):
    display = ArchitectureDisplay.from_spec(apogee_spec(), label_names=APOGEE_LABELS)
    check_legible(display.figure_)
    assert check_pyplot_figure(display.figure_)[0] == 7


def test_numbers_of_names_and_labels_must_agree():
    with pytest.raises(ValueError, match="label_names has 2 names, expected 22: one for each label"):
        draw(apogee_spec(), ["teff", "logg"])
