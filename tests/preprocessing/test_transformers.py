"""Transformers: gaps, continuum, bad pixels and the modes of normalisation."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import Chebyshev
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbcnn.preprocessing import (
    ChipGapRemover,
    ContinuumNormalizer,
    LabelNormalizer,
    SpectraNormalizer,
    prepare_spectra,
)
from skbcnn.survey import MISSING, bad_pixels, chip_slices, continuum_pixels, kept_pixels

APSTAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "apstar"
GIANT = "apStar-dr17-2M17335483-2753043.fits"
DWARF = "apStar-dr17-2M19485057+5005279.fits"
MODES = [0, 1, 2, 3, "3s", 4, 255]
LINEAR_MODES = [mode for mode in MODES if mode != "3s"]


@pytest.fixture
def apstar():
    """Read flux, errors and bitmask of a real file, all rows, with gaps."""

    def read(name):
        if not APSTAR.exists():
            pytest.skip("the real apStar files are not beside this checkout")
        with fits.open(APSTAR / name) as hdus:
            return tuple(hdus[i].data.copy() for i in (1, 2, 3))

    return read


def without_gaps(*arrays):
    return tuple(array[:, kept_pixels(17)] for array in arrays)


def toy_spectra(n_samples=3, dtype=np.float64, seed=0):
    """Positive spectra of 7514 pixels, with curved continua and errors of a percent."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.8, 1.3, 7514) ** rng.uniform(1, 3, (n_samples, 1))
    flux = 100 * slope * (1 + 0.01 * rng.standard_normal((n_samples, 7514)))
    return flux.astype(dtype), np.full((n_samples, 7514), 1.0, dtype)


class TestChipGapRemover:
    @pytest.mark.parametrize(("data_release", "n_kept"), [(11, 7214), (12, 7214), (13, 7514), (14, 7514), (17, 7514)])
    def test_keeps_the_pixels_on_chips(self, data_release, n_kept):
        X = np.arange(2 * 8575, dtype=float).reshape(2, 8575)
        kept = ChipGapRemover(data_release).fit_transform(X)
        assert kept.shape == (2, n_kept)
        assert_array_equal(kept[0], kept_pixels(data_release))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_float_type_is_kept(self, dtype):
        remover = ChipGapRemover().fit(np.ones((1, 8575), dtype))
        kept = remover.transform(np.ones((1, 8575), dtype))
        assert kept.dtype == dtype
        assert remover.inverse_transform(kept).dtype == dtype

    def test_nan_and_infinite_pixels_pass(self):
        X = np.ones((1, 8575))
        X[0, [300, 301]] = np.nan, np.inf
        kept = ChipGapRemover().fit_transform(X)
        assert_array_equal(kept[0, 54:56], [np.nan, np.inf])

    def test_inverse_leaves_nan_in_the_gaps(self):
        X = np.random.default_rng(0).random((2, 8575))
        remover = ChipGapRemover()
        back = remover.inverse_transform(remover.fit_transform(X))
        on_chip = np.isin(np.arange(8575), kept_pixels(17))
        assert_array_equal(back[:, on_chip], X[:, on_chip])
        assert np.isnan(back[:, ~on_chip]).all()

    def test_chips_of_another_grid(self):
        X = np.arange(12.0).reshape(2, 6)
        remover = ChipGapRemover(chips=[(1, 3), (3, 5)]).fit(X)
        assert_array_equal(remover.transform(X), X[:, 1:5])
        assert_array_equal(remover.get_feature_names_out(), ["x1", "x2", "x3", "x4"])
        back = remover.inverse_transform(remover.transform(X))
        assert_array_equal(back[:, 1:5], X[:, 1:5])
        assert np.isnan(back[:, [0, 5]]).all()

    def test_inverse_needs_fit_where_the_chips_do_not_tell_the_length(self):
        with pytest.raises(NotFittedError):
            ChipGapRemover(chips=[(1, 3)]).inverse_transform(np.ones((1, 2)))

    @pytest.mark.parametrize("chips", [[], [3, 5], [(0, 7)], [(-1, 3)], [(2, 2)], [(3, 5), (0, 2)], [(0.0, 2.0)]])
    def test_chips_that_do_not_lie_in_the_spectra(self, chips):
        with pytest.raises(ValueError, match=r"chips is .*, expected pairs \(start, stop\).* within the 6 pixels of X"):
            ChipGapRemover(chips=chips).fit(np.ones((1, 6)))

    def test_needs_no_fit(self):
        assert ChipGapRemover().transform(np.ones((1, 8575))).shape == (1, 7514)

    @pytest.mark.parametrize("method", ["fit", "transform"])
    @pytest.mark.parametrize(
        ("data_release", "n_pixels", "advice"),
        [(17, 7514, "leave ChipGapRemover out"), (12, 7214, "leave it out|leave ChipGapRemover out"),
         (17, 7214, "as they stand in the files"), (17, 10, "on the apStar grid")],
    )  # fmt: skip
    def test_other_numbers_of_pixels_are_refused(self, method, data_release, n_pixels, advice):
        with pytest.raises(ValueError, match=f"X has {n_pixels} features, but .* 8575 features as input.*({advice})"):
            getattr(ChipGapRemover(data_release), method)(np.ones((1, n_pixels)))

    def test_one_dimension_is_refused(self):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            ChipGapRemover().fit(np.ones(8575))
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            ChipGapRemover().inverse_transform(np.ones(7514))

    @pytest.mark.parametrize("transformer", [ChipGapRemover(), ContinuumNormalizer()])
    @pytest.mark.parametrize("data_release", [10, 18, 17.5, "DR17"])
    def test_unknown_release(self, transformer, data_release):
        with pytest.raises(ValueError, match=r"'data_release' parameter .* must be an int in the range \[11, 17\]"):
            clone(transformer).set_params(data_release=data_release).fit(np.ones((1, 8575)))

    def test_inverse_of_other_numbers_of_pixels(self):
        with pytest.raises(ValueError, match="X has 8575 features, but ChipGapRemover is expecting 7514"):
            ChipGapRemover().inverse_transform(np.ones((1, 8575)))

    def test_names_of_pixels(self):
        remover = ChipGapRemover().fit(np.ones((1, 8575)))
        assert list(remover.get_feature_names_out()[[0, -1]]) == ["x246", "x8334"]
        table = pd.DataFrame(np.ones((1, 8575)), columns=[f"pixel{i}" for i in range(8575)])
        kept = ChipGapRemover().set_output(transform="pandas").fit_transform(table)
        assert kept.columns[0] == "pixel246"


class TestContinuumFit:
    """The polynomials, against the peer's numbers and against NumPy's own fit."""

    @pytest.mark.parametrize(
        ("name", "mean", "std", "pixels"),
        [
            (GIANT, 0.898032, 0.122694, (0.84387, 0.80542, 0.931032)),
            (DWARF, 0.977136, 0.054696, (0.957265, 0.991034, 0.971638)),
        ],
    )
    def test_repeats_the_fit_of_the_published_models(self, apstar, name, mean, std, pixels):
        flux, err, bitmask = (rows[:1] for rows in apstar(name))
        X, _ = prepare_spectra(flux, err, bitmask, pixels=continuum_pixels(14), weighting="astronn")
        assert_allclose([X.mean(), X.std(), *X[0, [100, 4000, 7000]]], [mean, std, *pixels], rtol=0, atol=5.1e-7)

    @pytest.mark.parametrize(
        ("weighting", "numpy_weight"), [("inverse_variance", lambda e: 1 / e), ("astronn", lambda e: 1 / (e**2 + 1e-8))]
    )
    @pytest.mark.parametrize("degree", [0, 1, 2, 4])
    def test_agrees_with_numpy(self, weighting, numpy_weight, degree):
        flux, _ = toy_spectra(2)
        err = np.random.default_rng(1).uniform(0.5, 20, flux.shape)
        normalized = ContinuumNormalizer(degree=degree, weighting=weighting).normalize(flux, err)
        for row, chip in ((0, "blue"), (1, "red")):
            on_chip = chip_slices(17)[chip]
            pixels = continuum_pixels(17)[np.isin(continuum_pixels(17), np.arange(on_chip.start, on_chip.stop))]
            fit = Chebyshev.fit(pixels, flux[row, pixels], degree, w=numpy_weight(err[row, pixels]))
            expected = flux[row, on_chip] / fit(np.arange(on_chip.start, on_chip.stop))
            assert_allclose(normalized.flux[row, on_chip], expected, rtol=1e-9)

    def test_without_errors_all_pixels_weigh_the_same(self):
        flux, err = toy_spectra()
        assert_allclose(ContinuumNormalizer().transform(flux), ContinuumNormalizer().transform(flux, err), rtol=1e-12)

    @given(st.floats(0.1, 1e4), st.floats(-0.3, 0.3), st.floats(-0.2, 0.2))
    @settings(deadline=None, max_examples=20)
    def test_a_parabola_is_divided_away(self, height, slope, curve):
        x = np.linspace(-1, 1, 60)
        normalizer = ContinuumNormalizer(pixels=np.arange(0, 60, 3), chips=[(0, 60)])
        assert_allclose(normalizer.transform([height * (1 + slope * x + curve * x**2)]), 1, rtol=1e-9)

    def test_each_chip_has_its_own_polynomial(self):
        flux = np.repeat([[3.0, 50.0]], [10, 20], axis=1)
        normalizer = ContinuumNormalizer(pixels=range(30), chips=[(0, 10), (10, 30)])
        assert_allclose(normalizer.transform(flux), 1, rtol=1e-12)

    def test_nan_pixels_take_no_part(self):
        flux = np.full((1, 20), 4.0)
        flux[0, 3:6] = np.nan, np.inf, -np.inf
        normalizer = ContinuumNormalizer(pixels=range(20), chips=[(0, 20)])
        assert_allclose(normalizer.transform(flux), 1, rtol=1e-12)

    @pytest.mark.parametrize("err", [np.nan, np.inf, 0.0, -1.0])
    def test_pixels_without_an_error_take_no_part(self, err):
        flux, errors = np.full((1, 20), 4.0), np.ones((1, 20))
        flux[0, 3], errors[0, 3] = 1e6, err
        spectra = ContinuumNormalizer(pixels=range(20), chips=[(0, 20)]).normalize(flux, errors)
        assert_allclose(spectra.flux, 1, rtol=1e-12)
        assert spectra.err[0, 3] == 0
        assert_array_equal(np.flatnonzero(~spectra.good[0]), [3])

    def test_flagged_pixels_take_part_in_the_published_fit_only(self):
        flux, bitmask = np.full((1, 20), 4.0), np.zeros((1, 20), dtype=int)
        flux[0, 3], bitmask[0, 3] = 80.0, 1 << 12
        normalizer = ContinuumNormalizer(pixels=range(20), chips=[(0, 20)], degree=0)
        assert_allclose(normalizer.transform(flux, bitmask=bitmask), 1)
        published = normalizer.set_params(weighting="astronn").transform(flux, bitmask=bitmask)
        assert_allclose(published[0, 0], 4 / 7.8)  # the mean of nineteen 4 and one 80

    def test_spectra_do_not_depend_on_their_neighbours(self, monkeypatch):
        flux, err = toy_spectra(5)
        together = ContinuumNormalizer().normalize(flux, err)
        monkeypatch.setattr("skbcnn.preprocessing.transformers._VALUES_AT_ONCE", 2 * 7514)
        for batched, whole in zip(ContinuumNormalizer().normalize(flux, err), together, strict=True):
            assert_allclose(batched, whole, rtol=1e-12)
        assert_allclose(ContinuumNormalizer().transform(flux[3:4], err[3:4]), together.flux[3:4], rtol=1e-12)


class TestReplacedPixels:
    """What becomes of pixels that cannot be used."""

    @pytest.fixture
    def spectra(self):
        flux = np.full((1, 20), 4.0)
        flux[0, [2, 3, 4, 5, 6]] = np.nan, np.inf, -np.inf, -1.0, 0.0
        bitmask = np.zeros((1, 20), dtype=np.int16)
        bitmask[0, [7, 8]] = 1 << 0, 1 << 9
        normalizer = ContinuumNormalizer(pixels=range(10, 20), chips=[(0, 20)])
        return normalizer.normalize(flux, np.full((1, 20), 2.0), bitmask)

    def test_flux(self, spectra):
        assert_allclose(spectra.flux[0, :9], [1, 1, 1, 1, 1, 0, 0, 1, 1])

    def test_errors(self, spectra):
        assert_allclose(spectra.err[0, :9], [0.5, 0.5, 0, 0, 0, 0, 0.5, 0, 0.5])

    def test_good_pixels(self, spectra):
        assert_array_equal(np.flatnonzero(~spectra.good[0]), [2, 3, 4, 5, 7])

    def test_a_flag_goes_before_a_negative_flux(self):
        flux, bitmask = np.full((1, 20), 4.0), np.zeros((1, 20), dtype=int)
        flux[0, 2], bitmask[0, 2] = -3, 1
        normalizer = ContinuumNormalizer(pixels=range(10, 20), chips=[(0, 20)])
        assert_allclose(normalizer.transform(flux, bitmask=bitmask), 1)

    def test_bits_can_be_chosen(self):
        flux, bitmask = np.full((1, 20), 4.0), np.zeros((1, 20), dtype=int)
        flux[0, :2], bitmask[0, :2] = 2.0, (1, 1 << 9)
        normalizer = ContinuumNormalizer(pixels=range(10, 20), chips=[(0, 20)], bad_bits=[9])
        assert_allclose(normalizer.transform(flux, bitmask=bitmask)[0, :2], [0.5, 1])

    def test_real_spectrum_counts_the_flagged_pixels(self, apstar):
        flux, err, bitmask = without_gaps(*apstar(GIANT))
        spectra = ContinuumNormalizer().normalize(flux, err, bitmask)
        assert_array_equal((~spectra.good).sum(axis=1), bad_pixels(bitmask).sum(axis=1))
        assert (spectra.flux[~spectra.good] == 1).all()
        assert (spectra.err[~spectra.good] == 0).all()
        assert_allclose(spectra.flux[spectra.good] / spectra.err[spectra.good], (flux / err)[spectra.good], rtol=1e-10)

    def test_nothing_of_the_caller_is_changed(self):
        given_arrays = (*toy_spectra(), np.zeros((3, 7514), dtype=int))
        given_arrays[0][0, 5] = np.nan
        copies = [array.copy() for array in given_arrays]
        ContinuumNormalizer().fit(*given_arrays[:1]).normalize(*given_arrays)
        for array, copy in zip(given_arrays, copies, strict=True):
            assert_array_equal(array, copy)


class TestRefusedSpectra:
    def test_all_zero_row_of_a_real_file(self, apstar):
        flux, err, bitmask = apstar(DWARF)
        with pytest.raises(ValueError, match="Row 1 of X has fewer than 3 usable continuum pixels on chip blue"):
            prepare_spectra(flux, err, bitmask)
        with pytest.raises(ValueError, match="Row 1 of X has a continuum that is not positive on chip blue"):
            prepare_spectra(flux)

    def test_too_few_continuum_pixels_on_a_chip(self):
        flux, _ = toy_spectra()
        flux[1:, continuum_pixels(17)[continuum_pixels(17) >= 5523][2:]] = np.nan
        with pytest.raises(ValueError, match="Rows 1, 2 of X have fewer than 3 usable continuum pixels on chip red"):
            ContinuumNormalizer().transform(flux)

    def test_just_enough_continuum_pixels(self):
        flux = np.full((1, 20), np.nan)
        flux[0, :3] = 5
        normalizer = ContinuumNormalizer(pixels=range(20), chips=[(0, 20)])
        assert_allclose(normalizer.transform(flux), 1)
        flux[0, 2] = np.nan
        with pytest.raises(ValueError, match="Row 0 of X has fewer than 3 usable"):
            normalizer.transform(flux)

    def test_chips_without_continuum_may_be_filled(self):
        flux, errors = np.full((3, 20), 2.0), np.full((3, 20), 0.1)
        flux[1] = -1
        flux[2, 10:] = np.nan
        normalizer = ContinuumNormalizer(pixels="all", chips=[(0, 10), (10, 20)], degree=0, no_continuum="fill")
        spectra = normalizer.normalize(flux, errors)
        assert_allclose(spectra.flux, 1)
        filled = np.zeros((3, 20), dtype=bool)
        filled[1], filled[2, 10:] = True, True
        assert_array_equal(spectra.good, ~filled)
        assert_allclose(spectra.err, np.where(filled, 0, 0.05))

    def test_one_chip_of_any_length(self):
        for n_pixels in (3, 30):
            flux = np.random.default_rng(0).uniform(1, 2, (2, n_pixels))
            told = ContinuumNormalizer(pixels=range(n_pixels), chips=[(0, n_pixels)])
            assert_array_equal(ContinuumNormalizer(pixels="all", chips="one").transform(flux), told.transform(flux))

    def test_rows_are_counted_over_batches_and_long_lists_cut(self, monkeypatch):
        monkeypatch.setattr("skbcnn.preprocessing.transformers._VALUES_AT_ONCE", 15 * 20)
        flux = np.ones((40, 20))
        flux[16:] = -1
        with pytest.raises(ValueError, match=r"Rows 16, 17, .*, 25 and 4 more of X have a continuum that is not"):
            ContinuumNormalizer(pixels=range(20), chips=[(0, 20)]).transform(flux)

    @pytest.mark.parametrize(
        ("n_pixels", "advice"),
        [(8575, r"with ChipGapRemover\(data_release=17\) first"), (7214, "`pixels` and `chips`")],
    )
    @pytest.mark.parametrize("method", ["fit", "transform", "normalize"])
    def test_other_numbers_of_pixels(self, n_pixels, advice, method):
        with pytest.raises(ValueError, match=f"X has {n_pixels} features, but .* 7514 features as input.*{advice}"):
            getattr(ContinuumNormalizer(), method)(np.ones((1, n_pixels)))

    @pytest.mark.parametrize("method", ["fit", "transform"])
    def test_metadata_with_gaps(self, method):
        flux, _ = toy_spectra(1)
        for name, dtype in (("bitmask", int), ("x_err", float)):
            with pytest.raises(
                ValueError,
                match=rf"{name} has shape \(1, 8575\), but X has shape \(1, 7514\).*not changed by the pipeline steps",
            ):
                getattr(ContinuumNormalizer(), method)(flux, **{name: np.ones((1, 8575), dtype)})

    def test_bitmask_of_floats(self):
        flux, _ = toy_spectra(1)
        with pytest.raises(TypeError, match="bitmask has type float64, expected integers"):
            ContinuumNormalizer().transform(flux, bitmask=np.zeros_like(flux))

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"chips": [(0, 20)]}, "chips are given and pixels are not"),
            ({"chips": [(0, 10), (12, 20)], "pixels": range(20)}, "side by side from pixel 0 to 20"),
            ({"chips": [(0, 19)], "pixels": range(20)}, "side by side from pixel 0 to 20"),
            ({"chips": [(0, 0), (0, 20)], "pixels": range(20)}, "side by side from pixel 0 to 20"),
            ({"chips": [5, 20], "pixels": range(20)}, r"expected pairs \(start, stop\)"),
            ({"chips": [(0, 20)], "pixels": [0, 1, 20]}, "pixel numbers from 0 to 19"),
            ({"chips": [(0, 20)], "pixels": [0.0, 1.0, 2.0]}, "type float64, expected one dimension of pixel"),
            ({"chips": [(0, 10), (10, 20)], "pixels": [1, 2, 3, 11]}, "Chip 10:20 has too few continuum pixels"),
            ({"weighting": "ivar"}, "'weighting' parameter of ContinuumNormalizer must be a str among"),
            ({"degree": -1}, "'degree' parameter of ContinuumNormalizer must be an int in the range"),
        ],
    )
    @pytest.mark.parametrize("method", ["fit", "transform"])
    def test_parameters_that_do_not_fit(self, parameters, message, method):
        with pytest.raises(ValueError, match=message):
            getattr(ContinuumNormalizer(**parameters), method)(np.ones((2, 20)))

    def test_release_without_known_continuum(self):
        with pytest.raises(ValueError, match="continuum pixels are known for APOGEE data releases 13 to 17"):
            ContinuumNormalizer(12).fit(np.ones((1, 7214)))
        pixels = np.arange(0, 7214, 20)
        assert_allclose(ContinuumNormalizer(12, pixels=pixels).fit_transform(np.full((1, 7214), 7.0)), 1)


class TestContinuumNormalizerAsTransformer:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_float_type_is_kept(self, dtype):
        flux, err = toy_spectra(dtype=dtype)
        spectra = ContinuumNormalizer().normalize(flux, err.astype(np.float64))
        assert (spectra.flux.dtype, spectra.err.dtype) == (dtype, dtype)

    def test_float32_is_fitted_in_float64(self):
        flux, err = toy_spectra(dtype=np.float32)
        fine = ContinuumNormalizer().transform(flux.astype(np.float64), err.astype(np.float64))
        assert_array_equal(ContinuumNormalizer().transform(flux, err), fine.astype(np.float32))

    def test_default_is_least_squares_proper(self):
        assert ContinuumNormalizer().weighting == "inverse_variance"

    def test_clone_pickle_and_names(self):
        flux, err = toy_spectra(2)
        normalizer = ContinuumNormalizer(pixels=continuum_pixels(14), weighting="astronn").fit(flux)
        expected = normalizer.transform(flux, err)
        for other in (clone(normalizer), pickle.loads(pickle.dumps(normalizer))):
            assert_array_equal(other.transform(flux, err), expected)
        assert list(normalizer.get_feature_names_out()[:2]) == ["x0", "x1"]
        assert normalizer.set_output(transform="pandas").transform(flux).shape == (2, 7514)

    def test_errors_and_bitmask_reach_it_in_a_pipeline(self):
        flux, err = toy_spectra(4)
        err[:, ::3] = 50
        bitmask = np.zeros(flux.shape, dtype=int)
        bitmask[:, 40] = 1
        with sklearn.config_context(enable_metadata_routing=True):
            normalizer = ContinuumNormalizer()
            normalizer.set_fit_request(x_err=True, bitmask=True).set_transform_request(x_err=True, bitmask=True)
            pipeline = make_pipeline(normalizer, SpectraNormalizer(3), DummyRegressor())
            pipeline.fit(flux, np.arange(4.0), x_err=err, bitmask=bitmask)
        expected = ContinuumNormalizer().transform(flux, err, bitmask)
        assert_allclose(pipeline[1].mean_, expected.mean(axis=0))
        assert pipeline[1].mean_[40] == 1


class TestPrepareSpectra:
    def test_spectra_with_and_without_gaps_give_the_same(self, apstar):
        with_gaps = [rows[:1] for rows in apstar(GIANT)]
        for a, b in zip(prepare_spectra(*with_gaps), prepare_spectra(*without_gaps(*with_gaps)), strict=True):
            assert_array_equal(a, b)

    @pytest.mark.parametrize(
        "options", [{}, {"data_release": 14, "degree": 1, "weighting": "astronn", "bad_bits": (3,)}]
    )
    def test_is_gap_removal_and_normalisation_of_flux_and_errors(self, options):
        random = np.random.default_rng(0)
        flux, err = random.uniform(90, 110, (3, 8575)), random.uniform(1, 5, (3, 8575))
        bitmask = random.integers(0, 2, (3, 8575)) << 3
        flux[:, :246] = flux[1, 500] = np.nan
        X, x_err = prepare_spectra(flux, err, bitmask, **options)
        remover = ChipGapRemover(options.get("data_release", 17))
        by_hand = ContinuumNormalizer(**options).normalize(
            remover.transform(flux), remover.transform(err), bitmask[:, kept_pixels()]
        )
        assert_array_equal(X, by_hand.flux)
        assert_array_equal(x_err, by_hand.err)
        assert (x_err == 0).any()

    def test_no_errors_in_none_out(self):
        X, x_err = prepare_spectra(toy_spectra(1)[0])
        assert X.shape == (1, 7514)
        assert x_err is None

    @pytest.mark.parametrize("name", ["err", "bitmask"])
    def test_metadata_of_another_shape(self, name):
        with pytest.raises(ValueError, match=rf"{name} has shape \(1, 7514\), but X has shape \(1, 8575\)"):
            prepare_spectra(np.ones((1, 8575)), **{name: np.ones((1, 7514), dtype=int)})

    @pytest.mark.parametrize("flux", [np.ones(8575), np.ones(7514)])
    def test_one_dimension(self, flux):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            prepare_spectra(flux, flux)


def columns(n_samples=50, dtype=np.float64):
    """Three columns: two with spread, one without."""
    rng = np.random.default_rng(3)
    X = rng.normal([5, -2, 0.3], [2, 0.1, 0], (n_samples, 3))
    return X.astype(dtype)


BOTH = pytest.mark.parametrize("normalizer_class", [SpectraNormalizer, LabelNormalizer])


@BOTH
class TestModes:
    """What each mode subtracts and divides by, on columns (1, 3) and (5, 5)."""

    @pytest.mark.parametrize(
        ("mode", "mean", "scale"),
        [
            (0, [0, 0], [1, 1]),
            (1, [3.5, 3.5], np.sqrt([2.75, 2.75])),  # deviations -2.5, -0.5, 1.5, 1.5: squares sum to 11
            (2, [2, 5], [1, 1]),
            (3, [2, 5], [1, 1]),
            ("3s", [2, 5], [1, 1]),
            (4, [0, 0], [1, 1]),
            (255, [0, 0], [255, 255]),
        ],
    )
    def test_worked_by_hand(self, normalizer_class, mode, mean, scale):
        X = np.array([[1.0, 5.0], [3.0, 5.0]])
        for spelling in (mode, str(mode)):
            normalizer = normalizer_class(spelling).fit(X)
            assert_allclose(normalizer.mean_, mean)
            assert_allclose(normalizer.scale_, scale)
            expected = (X - mean) / scale
            assert_allclose(normalizer.transform(X), 1 / (1 + np.exp(-expected)) if mode == "3s" else expected)

    def test_agrees_with_standard_scaler(self, normalizer_class):
        X = columns()
        scaler, normalizer = StandardScaler().fit(X), normalizer_class(2).fit(X)
        assert_allclose(normalizer.mean_, scaler.mean_)
        assert_allclose(normalizer.scale_, scaler.scale_)
        assert_allclose(normalizer.transform(X), scaler.transform(X), atol=1e-12)

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_there_and_back(self, normalizer_class, mode, dtype):
        X = columns(dtype=dtype)
        normalizer = normalizer_class(mode).fit(X)
        back = normalizer.inverse_transform(normalizer.transform(X))
        assert back.dtype == dtype
        assert normalizer.mean_.dtype == normalizer.scale_.dtype == np.float64
        assert_allclose(back, X, rtol=1e-5 if dtype == np.float32 else 1e-10)

    @pytest.mark.parametrize("mode", MODES)
    def test_weights_are_repetitions(self, normalizer_class, mode):
        X, repetitions = columns(6), np.array([2, 1, 0, 3, 1, 2])
        weighted = normalizer_class(mode).fit(X, sample_weight=repetitions)
        repeated = normalizer_class(mode).fit(np.repeat(X, repetitions, axis=0))
        assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-12)
        assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-10)

    @pytest.mark.parametrize("value", [0.1, 4655.3, 1e8])
    def test_column_without_spread_is_divided_by_one(self, normalizer_class, value):
        normalizer = normalizer_class(2).fit(np.full((1000, 1), value))
        assert_array_equal(normalizer.scale_, 1)
        assert_allclose(normalizer.transform([[value + 2]]), 2, rtol=1e-6)

    @pytest.mark.parametrize("mode", [1, 2])
    def test_batches_give_the_same_statistics(self, normalizer_class, mode, monkeypatch):
        X = columns()
        whole = normalizer_class(mode).fit(X)
        monkeypatch.setattr("skbcnn.preprocessing.transformers._VALUES_AT_ONCE", 21)
        batched = normalizer_class(mode).fit(X)
        assert_allclose(batched.mean_, whole.mean_, rtol=1e-12)
        assert_allclose(batched.scale_, whole.scale_, rtol=1e-12)

    def test_float32_statistics_are_summed_in_float64(self, normalizer_class):
        X = np.random.default_rng(0).normal(4655, 294, (20000, 1)).astype(np.float32)
        normalizer = normalizer_class(2).fit(X)
        assert_allclose(normalizer.mean_, X.astype(np.float64).mean(axis=0), rtol=1e-12)
        assert_allclose(normalizer.scale_, X.astype(np.float64).std(axis=0), rtol=1e-12)

    @pytest.mark.parametrize("mode", [5, "2s", 2.0, None, True])
    def test_unknown_mode(self, normalizer_class, mode):
        if mode is True:  # True equals 1
            assert_array_equal(normalizer_class(mode).fit(columns()).mean_, normalizer_class(1).fit(columns()).mean_)
        else:
            with pytest.raises(ValueError, match="'mode' parameter of"):
                normalizer_class(mode).fit(columns())

    def test_weights_all_zero(self, normalizer_class):
        with pytest.raises(ValueError, match=r"(?i)sample.weight.*zero"):
            normalizer_class().fit(columns(), sample_weight=np.zeros(50))

    @pytest.mark.parametrize("mode", LINEAR_MODES)
    def test_errors_are_scaled_and_never_centred(self, normalizer_class, mode):
        normalizer = normalizer_class(mode).fit(columns())
        err = np.full((4, 3), 0.5, dtype=np.float32)
        assert_allclose(normalizer.scale_errors(err), 0.5 / np.tile(normalizer.scale_, (4, 1)), rtol=1e-6)
        assert normalizer.scale_errors(err).dtype == np.float32
        assert_array_equal(err, 0.5)

    def test_errors_of_another_shape(self, normalizer_class):
        with pytest.raises(ValueError, match=r"err has shape \(4, 2\), but .* was fitted on 3 columns"):
            normalizer_class().fit(columns()).scale_errors(np.ones((4, 2)))

    def test_errors_cannot_be_squashed(self, normalizer_class):
        with pytest.raises(ValueError, match="mode='3s' squashes values, so an error cannot be rescaled"):
            normalizer_class("3s").fit(columns()).scale_errors(np.ones((4, 3)))

    def test_names_and_data_frames(self, normalizer_class):
        table = pd.DataFrame(columns(), columns=["Mg", "Al", "Na"])
        normalizer = normalizer_class().set_output(transform="pandas").fit(table)
        assert list(normalizer.transform(table).columns) == ["Mg", "Al", "Na"]
        assert list(normalizer.get_feature_names_out()) == ["Mg", "Al", "Na"]


class TestSpectraNormalizer:
    def test_default_subtracts_the_mean_of_each_pixel(self):
        assert_array_equal(SpectraNormalizer().fit([[1.0, 2.0], [3.0, 8.0]]).transform([[2.0, 6.0]]), [[0, 1]])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("method", ["fit", "transform", "inverse_transform"])
    def test_flux_must_be_finite(self, bad, method):
        normalizer = SpectraNormalizer().fit(columns())
        X = columns()
        X[3, 1] = bad
        with pytest.raises(ValueError, match="Input X contains"):
            getattr(normalizer, method)(X)


class TestLabelNormalizer:
    @pytest.mark.parametrize("missing", [np.nan, MISSING, -9999.99])
    def test_missing_labels_take_no_part_and_stay_missing(self, missing):
        normalizer = LabelNormalizer().fit([[1.0, 10.0], [3.0, missing], [missing, 20.0]])
        assert_array_equal(normalizer.mean_, [2, 15])
        assert_array_equal(normalizer.scale_, [1, 5])
        assert_array_equal(normalizer.transform([[missing, 20.0]]), [[np.nan, 1]])
        assert_array_equal(normalizer.inverse_transform([[np.nan, 1]]), [[np.nan, 20]])

    @pytest.mark.parametrize("mode", MODES)
    @settings(deadline=None, max_examples=20)
    @given(data=st.data())
    def test_how_a_label_is_missing_changes_nothing(self, mode, data):
        holes = np.array(data.draw(st.lists(st.booleans(), min_size=36, max_size=36))).reshape(12, 3)
        holes[0] = False
        with_nan, with_magic = columns(12), columns(12)
        with_nan[holes] = np.nan
        with_magic[holes] = data.draw(st.sampled_from([MISSING, -9999.99, -12345.0]))
        a, b = (LabelNormalizer(mode).fit(y) for y in (with_nan, with_magic))
        assert_array_equal(a.mean_, b.mean_)
        assert_array_equal(a.scale_, b.scale_)
        assert_array_equal(a.transform(with_nan), b.transform(with_magic))
        present = np.where(holes, np.nan, columns(12))
        if mode == 2:
            assert_allclose(a.mean_, np.nanmean(present, axis=0), atol=1e-12)
            assert_allclose(a.scale_, np.where(np.nanstd(present, axis=0) > 1e-12, np.nanstd(present, axis=0), 1))
        if mode == 1:
            assert_allclose(a.mean_, np.nanmean(present))
            assert_allclose(a.scale_, np.nanstd(present))

    @pytest.mark.parametrize("mode", MODES)
    def test_label_all_missing_is_refused(self, mode):
        y = columns()
        y[:, [0, 2]] = MISSING
        with pytest.raises(ValueError, match="Label 0, 2 has no value: all 50 are missing"):
            LabelNormalizer(mode).fit(y)

    def test_label_all_missing_is_named(self):
        with pytest.raises(ValueError, match="Label Mg has no value"):
            LabelNormalizer().fit(pd.DataFrame({"teff": [1.0, 2.0], "Mg": [np.nan, MISSING]}))

    def test_stars_that_weigh_nothing_are_absent(self):
        with pytest.raises(ValueError, match="Label 1 has no value"):
            LabelNormalizer().fit([[1.0, np.nan], [2.0, 3.0]], sample_weight=[1, 0])

    @pytest.mark.parametrize("infinity", [np.inf, -np.inf])
    def test_infinite_labels_are_refused(self, infinity):
        with pytest.raises(ValueError, match="contains infinity"):
            LabelNormalizer().fit([[1.0], [infinity]])

    def test_text_is_refused(self):
        with pytest.raises(ValueError, match="could not convert string to float"):
            LabelNormalizer().fit([["hot"], ["cool"]])

    @pytest.mark.parametrize("mode", LINEAR_MODES)
    def test_moments_in_label_units(self, mode):
        normalizer = LabelNormalizer(mode).fit(columns())
        draws = np.random.default_rng(0).normal(size=(40, 5, 3))
        labels = np.stack([normalizer.inverse_transform(draw) for draw in draws])
        mean, std, half = normalizer.inverse_moments(draws.mean(axis=0), draws.std(axis=0), draws.std(axis=0) / 2)
        assert_allclose(mean, labels.mean(axis=0))
        assert_allclose(std, labels.std(axis=0))
        assert_allclose(half, std / 2)

    def test_moments_of_squashed_labels_are_refused(self):
        with pytest.raises(ValueError, match="squashes values, so a standard deviation cannot be rescaled"):
            LabelNormalizer("3s").fit(columns()).inverse_moments(np.zeros((1, 3)), np.ones((1, 3)))

    def test_sigmoid_keeps_missing_and_inverts(self):
        normalizer = LabelNormalizer("3s").fit([[1.0], [3.0], [MISSING]])
        assert_allclose(normalizer.transform([[2.0], [MISSING]]), [[0.5], [np.nan]])
        assert_allclose(normalizer.inverse_transform([[0.5]]), 2)
