"""The response matrix as a figure: cells, numbers, labels and the summary."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from skbcnn.inspection import ResponseMatrix, response_matrix
from skbcnn.plotting import ResponseDisplay, new_figure
from skbcnn.survey import APOGEE_LABELS

DASH = "\N{EN DASH}"


@pytest.fixture
def responses():
    """Responses of four labels: one foreign response is small, one is insignificant, one label was left out."""
    matrix = np.array([[0.9, 40.0, 0.0, np.nan], [0.0, 0.8, 0.2, np.nan], [2e-4, -0.15, 0.05, np.nan]])
    matrix = np.vstack([matrix, [0.0, 0.04, 0.0, np.nan]])
    errors = np.full((4, 4), 0.01) * [[1000, 1000, 1000, 1000], [1e-3, 1, 1, 1], [1e-3, 1, 1, 1], [1e-3, 3, 1, 1]]
    names = ("teff", "Mg", "Al", "P")
    return ResponseMatrix(names, matrix, errors, ("Mg", "Al"), 250, np.array([300, 0.3, 0.2, np.nan]), 0.012, True)


def draw(responses, **options):
    return ResponseDisplay.from_responses(responses, ax=new_figure(7, 7.6).add_subplot(), **options)


def test_colours_are_responses_in_dex_and_1000_kelvin(responses):
    cells = draw(responses).ax_.images[0].get_array()
    assert_allclose(cells[:3, :3], [[0.9, 0.04, 0], [0, 0.8, 0.2], [0.2, -0.15, 0.05]], atol=1e-12)
    assert cells.mask[:, 3].all()
    assert cells.mask[3, 1]  # 0.04 +- 0.03
    assert cells.mask[0, 2]
    assert draw(responses).ax_.get_facecolor()[:3] == (1, 1, 1)
    (grey,) = draw(responses).ax_.patches  # of the last column
    assert (grey.get_x(), grey.get_width()) == (2.5, 1)
    assert draw(responses, n_sigma=0).ax_.images[0].get_array()[3, 1] == 0.04
    norm = draw(responses).ax_.images[0].norm
    assert (norm(-1), norm(0), norm(1)) == (0, 0.5, 1)


def test_own_and_large_foreign_responses_are_written(responses):
    written = {text.get_position(): text.get_text() for text in draw(responses).ax_.texts}
    own = {(0, 0): ".90", (1, 1): ".80", (2, 2): ".05"}
    assert written == own | {(2, 1): ".20", (0, 2): ".20", (1, 2): f"{DASH}.15"}
    large = replace(responses, matrix=np.diag([1.0, 1.234, -2.0, 0.999]))
    assert [text.get_text() for text in draw(large).ax_.texts] == ["1.00", "1.23", f"{DASH}2.0", "1.00"]
    larger = replace(responses, matrix=np.diag([12.34, -12.34, -0.995, 9.996]))
    assert [text.get_text() for text in draw(larger).ax_.texts] == ["12", f"{DASH}12", f"{DASH}1.0", "10"]


@pytest.fixture
def many_responses():
    """Responses of 22 labels, with numbers of both signs in every cell."""
    matrix = np.random.default_rng(0).choice([-1.23, -0.88, -0.16, -0.12, 0.12, 0.16, 0.88, 1.08], size=(22, 22))
    return ResponseMatrix(
        APOGEE_LABELS, matrix, np.full((22, 22), 1e-3), APOGEE_LABELS[2:], 250, np.full(22, 0.3), 0.01, True
    )


def test_numbers_fit_their_cells(many_responses):
    display = ResponseDisplay.from_responses(many_responses)
    display.figure_.draw_without_rendering()
    cell = display.ax_.get_window_extent().width / 22
    assert len(display.ax_.texts) == 22**2
    assert max(text.get_window_extent().width for text in display.ax_.texts) < cell


def test_numbers_contrast_with_their_cells(many_responses):
    """At least 4.5 to 1, as the Web Content Accessibility Guidelines ask."""
    ax = draw(many_responses).ax_
    for text in ax.texts:
        column, row = text.get_position()
        colours = to_rgb(text.get_color()), ax.images[0].to_rgba(many_responses.matrix[row, column])[:3]
        dark, light = sorted(map(luminance, colours))
        assert (light + 0.05) / (dark + 0.05) > 4.5


def luminance(rgb):
    """Relative luminance of a colour, from 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_labels_and_summary(responses):
    ax = draw(responses).ax_
    texts = [r"$T_\mathrm{eff}$ (1000 K)", "[Mg/H]", "[Al/H]", "[P/H]"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == texts
    assert [tick.get_text() for tick in ax.get_xticklabels()] == texts
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("True label that changes", "Predicted label")
    foreign = np.sqrt((0.2**2 + 0.15**2 - 2 * 0.01**2) / 2)
    assert ax.get_title() == f"own: 0.425 ± 0.012, foreign: {foreign:.3f} (rms)\n2 elements, 250 spectra"


def test_labels_of_other_surveys_are_shown_in_a_power_of_ten(responses):
    others = replace(responses, label_names=("age", "mass", "size", "dust"), spreads=np.array([4e3, 0.3, 0.2, np.nan]))
    assert [tick.get_text() for tick in draw(others).ax_.get_yticklabels()] == ["age (10000)", "mass", "size", "dust"]
    assert_allclose(draw(others, n_sigma=0).ax_.images[0].get_array()[0, 1], 40 / 1e4)


def test_a_single_label():
    true = np.random.default_rng(0).normal(size=100)
    display = ResponseDisplay.from_predictions(true, 0.5 * true, label_names="Mg", ax=new_figure(3, 3).add_subplot())
    assert display.ax_.get_title() == "own: 0.500 ± 0.000\n1 element, 100 spectra"


def test_from_estimator(tiny_model, new_axes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(1, 0.1, size=(60, 40)), rng.normal(size=(60, 4))
    errors = np.full_like(y, 0.1)
    display = ResponseDisplay.from_estimator(tiny_model, X, y, y_err=errors, ax=new_axes())
    expected = response_matrix(tiny_model, X, y, errors)
    assert_allclose(display.responses.matrix, expected.matrix)
    assert display.responses.errors_removed


def test_from_predictions_with_label_errors(new_axes):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(200, 2))
    errors = np.full_like(true, 0.3)
    display = ResponseDisplay.from_predictions(true, true, y_err=errors, label_names=["Mg", "Al"], ax=new_axes())
    expected = ResponseMatrix.from_predictions(true, true, errors, label_names=["Mg", "Al"])
    assert_allclose(display.responses.matrix, expected.matrix)


def test_a_model_without_responses_is_refused():
    with pytest.raises(TypeError, match=r"responses is a NoneType, expected a ResponseMatrix.*at least 200"):
        ResponseDisplay.from_responses(None)


@pytest.mark.usefixtures("pyplot_unchanged")
def test_bar_covers_no_name_in_a_figure_without_layout(responses):
    ax = Figure().add_subplot()
    bar = ResponseDisplay.from_responses(responses, ax=ax).figure_.axes[1]
    assert bar.get_position().x0 > ax.get_position().x1


@pytest.mark.usefixtures("pyplot_unchanged")
def test_axes_of_the_user(responses):
    ax = new_figure(4, 4).add_subplot()
    assert ResponseDisplay.from_responses(responses, ax=ax).ax_ is ax


@pytest.mark.parametrize("n_labels", [4, 22])
def test_size_and_legibility(responses, n_labels, check_pyplot_figure, check_legible):
    if n_labels == 22:
        matrix = np.random.default_rng(0).normal(0, 0.1, size=(22, 22)) * [1e-3, *[1] * 21]
        matrix[0] *= 1000
        np.fill_diagonal(matrix, 0.8)
        spreads = np.array([300, *[0.3] * 21])
        responses = ResponseMatrix(APOGEE_LABELS, matrix, 0 * matrix, APOGEE_LABELS[2:], 900, spreads, 0.01, True)
    display = ResponseDisplay.from_responses(responses)
    check_legible(display.figure_)
    assert_allclose(check_pyplot_figure(display.figure_), {4: (3.5, 4.25), 22: (7, 7.75)}[n_labels])
