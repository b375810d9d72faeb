"""Tables of a sample, with numbers worked by hand."""

import numpy as np
import pytest

from skbcnn.novelty import NoveltyFlag
from skbcnn.report import tables

NAN = np.nan


@pytest.fixture
def four(make_sample):
    """Four stars with residuals of teff -100, 0, 50, 200 K, and of Mg 0.1 dex and three that are missing."""
    y = [[4000, 0.0], [4500, NAN], [5000, NAN], [5500, NAN]]
    mean = [[3900, 0.1], [4500, 0.2], [5050, 0.3], [5700, 0.4]]
    return make_sample(y, mean, [[50, 0.2]] * 4)


def test_residuals(four):
    teff, mg = tables.residuals(four)
    assert (teff["label"], teff["n"], teff["unit"], teff["median_std"]) == ("teff", 4, "K", 50)
    assert teff["median_residual"] == 25
    assert teff["mad_std"] == pytest.approx(1.4826 * 75, rel=1e-4)  # deviations 125, 25, 25, 175 from the median
    assert (mg["n"], mg["median_residual"], mg["mad_std"]) == (1, pytest.approx(0.1), 0)


def test_a_label_that_no_star_has_has_no_row(make_sample):
    sample = make_sample([[4000, NAN]] * 3, [[4000, 0.1]] * 3, [[50, 0.2]] * 3)
    assert list(tables.residuals(sample)["label"]) == ["teff"]
    assert list(tables.coverage(sample)["label"]) == ["all labels", "teff"]


def test_coverage(four):
    every, teff, mg = tables.coverage(four)  # residuals of teff are -2, 0, 1 and 4 standard deviations, of Mg 0.5
    assert (teff["n"], teff["within_1"], teff["within_1.96"]) == (4, 0.5, 0.5)
    assert teff["median_z"] == 0.5
    assert teff["mad_std_z"] == pytest.approx(1.4826 * 1.5, rel=1e-4)  # deviations 2.5, 0.5, 0.5, 3.5
    assert (mg["n"], mg["within_1"], mg["median_z"]) == (1, 1, pytest.approx(0.5))
    assert (every["label"], every["n"], every["within_1"], every["within_1.96"]) == ("all labels", 5, 0.6, 0.6)
    assert "in_interval" not in every.colnames


def test_errors_of_the_reference_labels_widen_the_error_bars(four, make_sample):
    sample = make_sample(four.y, four.mean, [[30, 0.2]] * 4, y_err=np.full((4, 2), 40.0))
    np.testing.assert_allclose(sample.z[:, 0], [-2, 0, 1, 4])  # 50 is the hypotenuse of 30 and 40
    assert np.isnan(sample.z[1:, 1]).all()


def test_intervals_count_known_labels_only(four, make_sample):
    inside = np.array([[True, True], [False, True], [True, True], [True, True]])
    sample = make_sample(four.y, four.mean, four.std, in_interval=inside)
    assert list(tables.coverage(sample)["in_interval"]) == [0.8, 0.75, 1]


def test_labels_without_intervals_do_not_count_in_the_share_of_all(four, make_sample):
    inside = np.array([[1, NAN], [0, NAN], [1, NAN], [1, NAN]])
    sample = make_sample(four.y, four.mean, four.std, in_interval=inside)
    np.testing.assert_array_equal(tables.coverage(sample)["in_interval"], [0.75, 0.75, NAN])


def many(make_sample, snr):
    """40 stars: residuals of 10 K at 4200 K in the first 20, and of -30 K at 4700 K in the others."""
    y = np.column_stack([np.repeat([4200.0, 4700.0], 20), np.full(40, NAN)])
    return make_sample(y, y + np.repeat([10.0, -30.0], 20)[:, None], np.full((40, 2), 20.0), snr=snr)


def test_residuals_by_temperature(make_sample):
    sample = many(make_sample, None)
    sample.mean[:, 1] = 0  # predictions of a label that nobody knows
    low, high = tables.residuals_by(sample, "teff")
    assert (low["range"], low["n"], low["median_residual"]) == ("4000 to 4500", 20, 10)
    assert (high["range"], high["n"], high["median_residual"]) == ("4500 to 5000", 20, -30)


def test_ranges_with_few_stars_are_left_out(make_sample):
    snr = np.r_[np.full(19, 40.0), np.full(21, 60.0)]
    sample = many(make_sample, snr)
    sample.mean[:, 1] = 0
    assert list(tables.residuals_by(sample, "snr")["range"]) == ["50 to 100"]
    table = tables.coverage_by_snr(sample)
    assert list(table["range"]) == ["50 to 100"] * 2
    assert table["within_1"][1] == pytest.approx(1 / 21)  # 10 K is half an error bar, and 30 K is 1.5


def test_limits_belong_to_the_range_above(make_sample):
    sample = many(make_sample, np.full(40, 100.0))
    sample.mean[:, 1] = 0
    assert set(tables.residuals_by(sample, "snr")["range"]) == {"100 to 150"}


@pytest.mark.parametrize("quantity", ["snr", "Fe"])
def test_unknown_quantities_have_no_ranges(make_sample, quantity):
    sample = many(make_sample, None)
    assert len(tables.residuals_by(sample, quantity)) == 0
    assert len(tables.coverage_by_snr(sample)) == 0


def test_outliers(make_sample):
    y = np.array([[4000.0, 0.0], [4000.0, 0.0], [4000.0, 0.0], [4000.0, NAN]])
    mean = np.array([[4060.0, 0.1], [4300.0, -2.0], [4000.0, 0.4], [4010.0, 9.0]])
    flags = np.array([0, NoveltyFlag.BAD_PIXELS, 0, 0], dtype=np.int32)
    stars = np.array(["a", "b", "b", "c"])
    sample = make_sample(y, mean, [[50, 0.1]] * 4, stars=stars, rows=np.arange(10, 14), snr=np.arange(4.0), flags=flags)
    first, second = tables.outliers(sample, 2)
    assert tuple(first[name] for name in ("star", "row", "label", "z", "n_off")) == ("b", 11, "Mg", -20, 2)
    assert tuple(first[name] for name in ("reference", "predicted", "error", "snr")) == (0, -2, 0.1, 1)
    assert first["flags"] == NoveltyFlag.BAD_PIXELS
    assert (second["star"], second["label"], second["z"]) == ("a", "teff", 1.2)  # "b" is listed once
    assert list(tables.outliers(sample, 9)["star"]) == ["b", "a", "c"]


def test_novelty(make_sample):
    flags = np.array([0, NoveltyFlag.SPECTRUM_NOVEL | NoveltyFlag.BAD_PIXELS, NoveltyFlag.NOISIER_THAN_TRAINED, 0])
    sample = make_sample([[4000, 0.0]] * 4, [[4000, 0.0]] * 4, [[50, 0.1]] * 4, flags=flags.astype(np.int32))
    counts = {row["flag"]: (row["n"], row["share"]) for row in tables.novelty(sample)}
    assert counts["OUTSIDE"] == counts["SPECTRUM_NOVEL"] == counts["BAD_PIXELS"] == (1, 0.25)
    assert counts["NOISIER_THAN_TRAINED"] == (1, 0.25)
    assert counts["LABEL_OUT_OF_RANGE"] == (0, 0)


def test_other_versions(four):
    values = np.full((4, 2), NAN)
    values[:2, 0] = [3890, 4520]  # residuals 10 and -20
    (row,) = tables.other_versions(four, {"raw": values})
    assert (row["version"], row["label"], row["n"], row["median_residual"]) == ("raw", "teff", 2, -5)
    assert (row["reference_median"], row["reference_mad_std"]) == (-50, pytest.approx(1.4826 * 50, rel=1e-4))
