"""Predicted against true values of all labels on one page."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.metrics import residual_table
from skbcnn.plotting import ResidualOverviewDisplay, new_figure, overview_size
from tests.plotting.artists import positions

LABELS = ("teff", "logg", "Mg", "Al", "V")


def draw(y_true, y_pred, names=LABELS):
    figure = new_figure(*overview_size(len(names)))
    return ResidualOverviewDisplay.from_predictions(y_true, y_pred, label_names=names, figure=figure)


@pytest.fixture(scope="module")
def labels():
    """True and predicted labels of 60 stars, of which ten have no magnesium and none has vanadium."""
    true = np.random.default_rng(0).normal(size=(60, 5)) * [300, 0.5, 0.3, 0.3, 0.3] + [4600, 2.3, 0, 0, 0]
    true[:10, 2] = -9999
    true[:, 4] = np.nan
    return true, true * 1.01


@pytest.fixture(scope="module")
def page(labels):
    return draw(*labels)


def test_each_label_has_a_panel(page):
    assert len(page.axes_) == 5
    assert [ax.get_visible() for ax in page.figure_.axes] == [True] * 5 + [False] * 3


def test_points(page, labels):
    assert_allclose(
        positions(page.axes_[0].collections[0]), np.column_stack([labels[0][:, 0], labels[1][:, 0]]), rtol=1e-12
    )
    assert len(positions(page.axes_[2].collections[0])) == 50


def test_label_without_true_values(page):
    ax = page.axes_[4]
    assert [text.get_text() for text in ax.texts] == ["no true value"]
    assert len(ax.collections) == 0


def test_statistics_agree_with_the_residual_table(page, labels):
    row = residual_table(*labels, label_names=LABELS)[0]
    text = page.axes_[0].texts[0].get_text()
    assert text == f"bias {row['median_residual']:.1f} K, scatter {row['mad_std']:.1f} K"


def test_statistics_are_above_the_points(page):
    page.figure_.draw_without_rendering()
    for ax in page.axes_[:4]:
        assert ax.texts[0].get_window_extent().y0 >= ax.get_window_extent().y1


def test_both_axes_have_the_same_limits(page):
    assert page.axes_[1].get_xlim() == page.axes_[1].get_ylim()


def test_single_label():
    page = draw([1.0, 2.0], [1.1, 2.1], ["age"])
    assert page.axes_.shape == (1,)
    assert page.axes_[0].get_title() == "age"


def test_numbers_of_names_and_labels_must_agree(labels):
    with pytest.raises(ValueError, match="y_true has 5 columns and 2 names"):
        draw(*labels, ["teff", "logg"])


def test_panels_are_inside_the_page(page):
    page.figure_.canvas.draw()
    for ax in page.axes_:
        box = ax.get_tightbbox()
        assert (box.min >= 0).all()
        assert (box.max <= page.figure_.bbox.size).all()


def test_from_estimator_in_a_new_figure(oracle, stars, star_numbers, check_pyplot_figure):
    page = ResidualOverviewDisplay.from_estimator(oracle, star_numbers, stars[0])
    assert [ax.get_title() for ax in page.axes_][2:] == ["[Mg/H] (dex)", "[Al/H] (dex)", "[Fe/H] (dex)"]
    assert_allclose(page.y_pred, stars[1])
    assert check_pyplot_figure(page.figure_) == overview_size(5)


def test_name_of_the_reference(oracle, stars, star_numbers):
    page = ResidualOverviewDisplay.from_estimator(oracle, star_numbers, stars[0], reference_name="ASPCAP")
    assert page.figure_.get_supxlabel() == "ASPCAP label"
    page = ResidualOverviewDisplay.from_predictions(
        [[0.1, np.nan]], [[0.1, 0.2]], label_names=["Mg", "Al"], reference_name="ASPCAP"
    )
    assert page.axes_[1].texts[0].get_text() == "no ASPCAP value"


def test_error_bars(stars):
    page = ResidualOverviewDisplay.from_predictions(*stars, label_names=LABELS)
    assert len(page.axes_[2].collections[0].get_segments()) == 180
