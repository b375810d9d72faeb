"""Removal of the gaps between the detectors."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from skbcnn.preprocessing import ChipGapRemover
from skbcnn.survey import kept_pixels


@pytest.mark.parametrize(("data_release", "n_kept"), [(12, 7214), (13, 7514), (17, 7514)])
def test_keeps_the_pixels_on_chips(data_release, n_kept):
    X = np.arange(2 * 8575, dtype=float).reshape(2, 8575)
    kept = ChipGapRemover(data_release).fit_transform(X)
    assert kept.shape == (2, n_kept)
    assert_array_equal(kept[0], kept_pixels(data_release))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_is_kept(dtype):
    remover = ChipGapRemover().fit(np.ones((1, 8575), dtype))
    kept = remover.transform(np.ones((1, 8575), dtype))
    assert kept.dtype == dtype
    assert remover.inverse_transform(kept).dtype == dtype


def test_nan_and_infinite_pixels_pass():
    X = np.ones((1, 8575))
    X[0, [300, 301]] = np.nan, np.inf
    kept = ChipGapRemover().fit_transform(X)
    assert_array_equal(kept[0, 54:56], [np.nan, np.inf])


def test_inverse_leaves_nan_in_the_gaps():
    X = np.random.default_rng(0).random((2, 8575))
    remover = ChipGapRemover()
    back = remover.inverse_transform(remover.fit_transform(X))
    on_chip = np.isin(np.arange(8575), kept_pixels(17))
    assert_array_equal(back[:, on_chip], X[:, on_chip])
    assert np.isnan(back[:, ~on_chip]).all()


def test_chips_of_another_grid():
    X = np.arange(12.0).reshape(2, 6)
    remover = ChipGapRemover(chips=[(1, 3), (3, 5)]).fit(X)
    assert_array_equal(remover.transform(X), X[:, 1:5])
    assert_array_equal(remover.get_feature_names_out(), ["x1", "x2", "x3", "x4"])
    back = remover.inverse_transform(remover.transform(X))
    assert_array_equal(back[:, 1:5], X[:, 1:5])
    assert np.isnan(back[:, [0, 5]]).all()


def test_inverse_with_own_chips_needs_fit():
    with pytest.raises(NotFittedError):
        ChipGapRemover(chips=[(1, 3)]).inverse_transform(np.ones((1, 2)))


@pytest.mark.parametrize("chips", [[], [3, 5], [(0, 7)], [(-1, 3)], [(2, 2)], [(3, 5), (0, 2)], [(0.0, 2.0)]])
def test_chips_outside_the_spectra_are_refused(chips):
    with pytest.raises(ValueError, match=r"chips is .*, expected pairs \(start, stop\).* within the 6 pixels of X"):
        ChipGapRemover(chips=chips).fit(np.ones((1, 6)))


def test_transform_needs_no_fit():
    assert ChipGapRemover().transform(np.ones((1, 8575))).shape == (1, 7514)


@pytest.mark.parametrize(
    ("data_release", "n_pixels", "advice"),
    [(17, 7514, "leave ChipGapRemover out"), (12, 7214, "leave ChipGapRemover out"),
     (17, 7214, "as the files contain them"), (17, 10, "on the apStar grid")],
)  # fmt: skip
def test_other_numbers_of_pixels_are_refused(data_release, n_pixels, advice):
    for method in ("fit", "transform"):
        with pytest.raises(ValueError, match=f"X has {n_pixels} features, but .* 8575 features as input.*{advice}"):
            getattr(ChipGapRemover(data_release), method)(np.ones((1, n_pixels)))


def test_inverse_of_other_numbers_of_pixels_is_refused():
    with pytest.raises(ValueError, match="X has 8575 features, but ChipGapRemover is expecting 7514"):
        ChipGapRemover().inverse_transform(np.ones((1, 8575)))


def test_one_dimension_is_refused():
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        ChipGapRemover().fit(np.ones(8575))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        ChipGapRemover().inverse_transform(np.ones(7514))


@pytest.mark.parametrize("data_release", [10, 21, 17.5, "DR17"])
def test_unknown_release_is_refused(data_release):
    with pytest.raises(ValueError, match=r"'data_release' parameter .* must be an int in the range \[11, 20\]"):
        ChipGapRemover(data_release).fit(np.ones((1, 8575)))


def test_names_of_pixels():
    remover = ChipGapRemover().fit(np.ones((1, 8575)))
    assert list(remover.get_feature_names_out()[[0, -1]]) == ["x246", "x8334"]
    table = pd.DataFrame(np.ones((1, 8575)), columns=[f"pixel{i}" for i in range(8575)])
    kept = ChipGapRemover().set_output(transform="pandas").fit_transform(table)
    assert kept.columns[0] == "pixel246"
