"""Division by the continuum, and replacement of bad pixels."""

import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import Chebyshev
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline

from skbcnn.preprocessing import ContinuumNormalizer, SpectraNormalizer, prepare_spectra
from skbcnn.survey import bad_pixels, chip_slices, continuum_pixels, kept_pixels


class TestContinuumFit:
    """Polynomials, compared with astroNN's numbers and with NumPy's fit."""

    @pytest.mark.parametrize(
        ("name", "mean", "std", "pixels"),
        [
            ("giant", 0.898032, 0.122694, (0.84387, 0.80542, 0.931032)),
            ("dwarf", 0.977136, 0.054696, (0.957265, 0.991034, 0.971638)),
        ],
    )
    def test_repeats_the_fit_of_the_published_models(self, apstar, name, mean, std, pixels):
        flux, err, bitmask = (rows[:1] for rows in apstar(name))
        X, _ = prepare_spectra(flux, err, bitmask, pixels=continuum_pixels(14), weighting="astronn")
        assert_allclose([X.mean(), X.std(), *X[0, [100, 4000, 7000]]], [mean, std, *pixels], rtol=0, atol=5.1e-7)

    @pytest.mark.parametrize(
        ("weighting", "numpy_weight"), [("inverse_variance", lambda e: 1 / e), ("astronn", lambda e: 1 / (e**2 + 1e-8))]
    )
    @pytest.mark.parametrize("degree", [0, 2, 4])
    def test_agrees_with_numpy(self, weighting, numpy_weight, degree, toy_spectra):
        flux, _ = toy_spectra(2)
        err = np.random.default_rng(1).uniform(0.5, 20, flux.shape)
        normalized = ContinuumNormalizer(degree=degree, weighting=weighting).normalize(flux, err)
        for row, chip in ((0, "blue"), (1, "red")):
            on_chip = chip_slices(17)[chip]
            pixels = continuum_pixels(17)[np.isin(continuum_pixels(17), np.arange(on_chip.start, on_chip.stop))]
            fit = Chebyshev.fit(pixels, flux[row, pixels], degree, w=numpy_weight(err[row, pixels]))
            expected = flux[row, on_chip] / fit(np.arange(on_chip.start, on_chip.stop))
            assert_allclose(normalized.flux[row, on_chip], expected, rtol=1e-9)

    @pytest.mark.parametrize("weighting", ["inverse_variance", "astronn"])
    @pytest.mark.parametrize("huge", [1e3, 1e10, 1e100])
    def test_pixels_with_huge_errors_do_not_move_the_polynomial(self, weighting, huge):
        x = np.linspace(-1, 1, 60)
        parabola = 5 + x - 2 * x**2
        flux, err = parabola.copy(), np.full(60, 0.1)
        flux[0:60:3], err[0:60:3] = 1e3, huge  # all continuum pixels but the three that are left
        for pixel in (0, 30, 57):
            flux[pixel], err[pixel] = parabola[pixel], 0.1
        normalizer = ContinuumNormalizer(pixels=np.arange(0, 60, 3), chips="one", weighting=weighting)
        normalized = normalizer.normalize([flux], [err])
        # with errors of 1e3 the squared weights are 1e-8 of the others, and the flux is 200 times as high
        weakly = weighting == "inverse_variance" and huge == 1e3
        assert_allclose(normalized.flux[0, 1::3], 1, rtol=1e-4 if weakly else 1e-9)
        assert_array_equal(normalized.good[0, ::3], np.isin(np.arange(0, 60, 3), (0, 30, 57)))

    @pytest.mark.parametrize("degree", [2, 4])
    def test_one_pixel_with_almost_all_weight_agrees_with_numpy(self, degree):
        random = np.random.default_rng(0)
        flux, err = random.uniform(4, 6, (1, 60)), np.ones((1, 60))
        err[0, 7] = 1e-7
        pixels = np.arange(60)
        fit = Chebyshev.fit(pixels, flux[0], degree, w=1 / err[0])
        assert fit(7) == pytest.approx(flux[0, 7])
        normalizer = ContinuumNormalizer(pixels="all", chips="one", degree=degree)
        assert_allclose(normalizer.transform(flux, err), flux / fit(pixels), rtol=1e-8)

    def test_chips_with_unequal_numbers_of_continuum_pixels(self):
        random = np.random.default_rng(0)
        flux = random.uniform(4.9, 5.1, (2, 70))
        normalizer = ContinuumNormalizer(
            pixels=[0, 3, 4, *range(10, 50), *range(50, 70, 4)], chips=[(0, 10), (10, 50), (50, 70)]
        )
        normalized = normalizer.transform(flux)
        for chip, pixels in (
            (slice(0, 10), [0, 3, 4]),
            (slice(10, 50), range(10, 50)),
            (slice(50, 70), range(50, 70, 4)),
        ):
            alone = ContinuumNormalizer(pixels=np.array(pixels) - chip.start, chips="one").transform(flux[:, chip])
            assert_allclose(normalized[:, chip], alone, rtol=1e-12)

    def test_without_errors_all_pixels_weigh_the_same(self, toy_spectra):
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

    def test_spectra_do_not_depend_on_their_neighbours(self, monkeypatch, toy_spectra):
        flux, err = toy_spectra(11)
        err *= np.random.default_rng(1).uniform(0.1, 10, err.shape)
        together = ContinuumNormalizer().normalize(flux, err)
        monkeypatch.setattr("skbcnn._chunks.MAX_VALUES", 2 * 16 * 7514)
        for batched, whole in zip(ContinuumNormalizer().normalize(flux, err), together, strict=True):
            assert_array_equal(batched, whole)  # to the last bit: a catalogue does not depend on what is read at once
        assert_array_equal(ContinuumNormalizer().transform(flux[3:4], err[3:4]), together.flux[3:4])


class TestReplacedPixels:
    """Values of bad pixels."""

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

    def test_flagged_pixels_are_one_even_if_negative(self):
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
        flux, err, bitmask = (rows[:, kept_pixels()] for rows in apstar("giant"))
        spectra = ContinuumNormalizer().normalize(flux, err, bitmask)
        assert_array_equal((~spectra.good).sum(axis=1), bad_pixels(bitmask).sum(axis=1))
        assert (spectra.flux[~spectra.good] == 1).all()
        assert (spectra.err[~spectra.good] == 0).all()
        snr, expected = spectra.flux / np.maximum(spectra.err, 1e-9), flux.astype(float) / err
        assert_allclose(snr[spectra.good], expected[spectra.good], rtol=1e-5)

    def test_arrays_of_the_caller_are_not_changed(self, toy_spectra):
        given_arrays = (*toy_spectra(), np.zeros((3, 7514), dtype=int))
        given_arrays[0][0, 5] = np.nan
        copies = [array.copy() for array in given_arrays]
        ContinuumNormalizer().fit(*given_arrays[:1]).normalize(*given_arrays)
        for array, copy in zip(given_arrays, copies, strict=True):
            assert_array_equal(array, copy)


class TestRefusedSpectra:
    def test_all_zero_row_of_a_real_file(self, apstar):
        flux, err, bitmask = apstar("dwarf")
        with pytest.raises(ValueError, match="Row 1 of X has fewer than 3 usable continuum pixels on chip blue"):
            prepare_spectra(flux, err, bitmask)
        with pytest.raises(ValueError, match="Row 1 of X has a continuum that is not positive on chip blue"):
            prepare_spectra(flux)

    def test_too_few_continuum_pixels_on_a_chip(self, toy_spectra):
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
            expected = ContinuumNormalizer(pixels=range(n_pixels), chips=[(0, n_pixels)])
            assert_array_equal(ContinuumNormalizer(pixels="all", chips="one").transform(flux), expected.transform(flux))

    @pytest.mark.parametrize("rows_at_once", [1, 15, 40])
    def test_rows_are_counted_over_chunks_and_long_lists_cut(self, monkeypatch, rows_at_once):
        monkeypatch.setattr("skbcnn._chunks.MAX_VALUES", rows_at_once * 16 * 20)
        flux = np.ones((40, 20))
        flux[16:] = -1
        with pytest.raises(ValueError, match=r"Rows 16, 17, .*, 25 and 14 more of X have a continuum that is not"):
            ContinuumNormalizer(pixels=range(20), chips=[(0, 20)]).transform(flux)

    @pytest.mark.parametrize(
        ("n_pixels", "advice"),
        [(8575, r"with ChipGapRemover\(data_release=17\) first"), (7214, "`pixels` and `chips`")],
    )
    def test_other_numbers_of_pixels(self, n_pixels, advice):
        for method in ("fit", "transform", "normalize"):
            with pytest.raises(ValueError, match=f"X has {n_pixels} features, but .* 7514 features as input.*{advice}"):
                getattr(ContinuumNormalizer(), method)(np.ones((1, n_pixels)))

    @pytest.mark.parametrize("method", ["fit", "transform"])
    def test_metadata_of_other_pixels(self, method, toy_spectra):
        flux, _ = toy_spectra(1)
        for name, dtype in (("bitmask", int), ("x_err", float)):
            with pytest.raises(
                ValueError,
                match=rf"{name} has shape \(1, 8574\), but X has shape \(1, 7514\).*not changed by the pipeline steps",
            ):
                getattr(ContinuumNormalizer(), method)(flux, **{name: np.ones((1, 8574), dtype)})

    def test_bitmask_of_floats(self, toy_spectra):
        flux, _ = toy_spectra(1)
        with pytest.raises(TypeError, match="bitmask has type float64, expected integers"):
            ContinuumNormalizer().transform(flux, bitmask=np.zeros_like(flux))

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"data_release": 21}, r"'data_release' parameter .* must be an int in the range \[11, 20\]"),
            ({"chips": [(0, 20)]}, "chips is given and pixels is not"),
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
    def test_parameters_that_do_not_fit(self, parameters, message):
        for method in ("fit", "transform"):
            with pytest.raises(ValueError, match=message):
                getattr(ContinuumNormalizer(**parameters), method)(np.ones((2, 20)))

    def test_release_without_known_continuum(self):
        with pytest.raises(ValueError, match="continuum pixels are known for APOGEE data releases 13 to 20"):
            ContinuumNormalizer(12).fit(np.ones((1, 7214)))
        pixels = np.arange(0, 7214, 20)
        assert_allclose(ContinuumNormalizer(12, pixels=pixels).fit_transform(np.full((1, 7214), 7.0)), 1)


class TestContinuumNormalizerAsTransformer:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_float_type_is_kept(self, dtype, toy_spectra):
        flux, err = toy_spectra(dtype=dtype)
        spectra = ContinuumNormalizer().normalize(flux, err.astype(np.float64))
        assert (spectra.flux.dtype, spectra.err.dtype) == (dtype, dtype)

    def test_float32_is_fitted_in_float64(self, toy_spectra):
        flux, err = toy_spectra(dtype=np.float32)
        fine = ContinuumNormalizer().transform(flux.astype(np.float64), err.astype(np.float64))
        assert_array_equal(ContinuumNormalizer().transform(flux, err), fine.astype(np.float32))

    def test_default_is_weighted_least_squares(self):
        assert ContinuumNormalizer().weighting == "inverse_variance"

    def test_clone_pickle_and_names(self, toy_spectra):
        flux, err = toy_spectra(2)
        normalizer = ContinuumNormalizer(pixels=continuum_pixels(14), weighting="astronn").fit(flux)
        expected = normalizer.transform(flux, err)
        for other in (clone(normalizer), pickle.loads(pickle.dumps(normalizer))):
            assert_array_equal(other.transform(flux, err), expected)
        assert list(normalizer.get_feature_names_out()[:2]) == ["x0", "x1"]
        assert normalizer.set_output(transform="pandas").transform(flux).shape == (2, 7514)

    def test_errors_and_bitmask_reach_it_in_a_pipeline(self, toy_spectra):
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
