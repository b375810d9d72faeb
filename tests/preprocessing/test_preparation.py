"""Preparation of flux and errors together, by parameters and by what a model records."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skbcnn._error_level import HighFluxErrorsError
from skbcnn.datasets import read_apstar
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, prepare_for_model, prepare_spectra
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.survey import kept_pixels
from tests.preprocessing.conftest import APSTAR


class RecordedModel(BaseEstimator):
    """The attributes of a fitted model that the preparation reads."""

    def __init__(self, preprocessing, n_pixels=7514):
        self.preprocessing_ = preprocessing
        self.n_features_in_ = n_pixels

    def fit(self, X):
        return self


class TestPrepareSpectra:
    def test_no_spectrum_is_refused(self):
        with pytest.raises(ValueError, match=r"flux has shape \(0, 8575\), expected at least one spectrum"):
            prepare_spectra(np.ones((0, 8575)))

    def test_spectra_with_and_without_gaps_give_the_same(self, apstar):
        with_gaps = [rows[:1] for rows in apstar("giant")]
        without_gaps = [rows[:, kept_pixels()] for rows in with_gaps]
        for a, b in zip(prepare_spectra(*with_gaps), prepare_spectra(*without_gaps), strict=True):
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

    def test_without_errors_the_errors_are_none(self, toy_spectra):
        X, x_err = prepare_spectra(toy_spectra(1)[0])
        assert X.shape == (1, 7514)
        assert x_err is None

    @pytest.mark.parametrize("name", ["err", "bitmask"])
    def test_arrays_of_different_shapes_are_refused(self, name):
        with pytest.raises(ValueError, match=rf"{name} has shape \(1, 7514\), but flux has shape \(1, 8575\)"):
            prepare_spectra(np.ones((1, 8575)), **{name: np.ones((1, 7514), dtype=int)})

    @pytest.mark.parametrize("n_pixels", [8575, 7514])
    def test_one_dimension_is_refused(self, n_pixels):
        with pytest.raises(ValueError, match=r"flux has shape .* Pass one spectrum as flux\[np.newaxis\]"):
            prepare_spectra(np.ones(n_pixels), np.ones(n_pixels))


class TestPrepareForModel:
    def test_uses_what_the_model_records(self):
        star = read_apstar(APSTAR["giant"])
        model = RecordedModel({"data_release": 14, "weighting": "astronn", "combination": "pixel"})
        prepared = prepare_for_model(model, star.flux, star.error, star.bitmask)
        expected = prepare_spectra(star.flux, star.error, star.bitmask, data_release=14, weighting="astronn")
        for a, b in zip(prepared, expected, strict=True):
            assert_array_equal(a, b, strict=True)

    def test_spectra_without_gaps_give_the_same(self):
        star, model = read_apstar(APSTAR["dwarf"]), RecordedModel({"degree": 1})
        raw = (star.flux, star.error, star.bitmask)
        for a, b in zip(
            prepare_for_model(model, *raw),
            prepare_for_model(model, *(rows[:, kept_pixels()] for rows in raw)),
            strict=True,
        ):
            assert_array_equal(a, b)

    def test_flux_alone(self, toy_spectra):
        flux, _ = toy_spectra(2)
        X, x_err = prepare_for_model(RecordedModel({"degree": 1}), flux)
        assert_array_equal(X, ContinuumNormalizer(degree=1).transform(flux))
        assert x_err is None

    def test_a_model_on_another_grid(self):
        flux = np.random.default_rng(0).uniform(90, 110, (2, 40))
        model = RecordedModel({"pixels": "all", "chips": "one"}, n_pixels=40)
        X, _ = prepare_for_model(model, flux)
        assert_array_equal(X, ContinuumNormalizer(pixels="all", chips="one").transform(flux))
        with pytest.raises(ValueError, match="The model takes spectra of 40 pixels, but apStar and aspcapStar files"):
            prepare_for_model(model, np.ones((1, 8575)))

    def test_normalized_spectra_lose_the_pixels_with_large_errors(self, toy_spectra):
        flux, err = toy_spectra(1)
        flux, err = flux / 100, err / 100
        err[0, 20:30] = 1e10
        X, x_err = prepare_for_model(RecordedModel({"degree": 1}), flux, err, normalized=True)
        flux[0, 20:30] = np.nan
        expected = prepare_spectra(flux, err, degree=1)
        assert_array_equal(X, expected[0])
        assert_array_equal(x_err, expected[1])
        assert (x_err[0, 20:30] == 0).all()
        with pytest.raises(ValueError, match=r"err has shape \(1, 5\), but flux has shape"):
            prepare_for_model(RecordedModel({"degree": 1}), flux, err[:, :5], normalized=True)

    def test_normalized_spectra_without_errors(self, toy_spectra):
        flux, _ = toy_spectra(1)
        assert_array_equal(
            prepare_for_model(RecordedModel({"degree": 1}), flux, normalized=True)[0],
            prepare_for_model(RecordedModel({"degree": 1}), flux)[0],
        )

    @pytest.mark.parametrize("preprocessing", [{}, None])
    def test_defaults_are_announced(self, preprocessing, toy_spectra):
        model = RecordedModel(preprocessing)
        if preprocessing is None:
            del model.preprocessing_
        flux, err = toy_spectra(1)
        with pytest.warns(UserWarning, match="does not record how .* the defaults of ContinuumNormalizer") as caught:
            X, _ = prepare_for_model(model, flux, err)
        assert caught[0].filename == __file__
        assert_array_equal(X, prepare_spectra(flux, err)[0])

    @pytest.mark.parametrize("recorded", [{"combination": "global"}, {"degree": 2, "combination": "global"}])
    def test_another_combination_is_announced(self, recorded, toy_spectra):
        flux, _ = toy_spectra(1)
        with pytest.warns(UserWarning, match="trained on global combinations, but these spectra are pixel comb"):
            prepare_for_model(RecordedModel(recorded), flux, combination="pixel")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for combination in (None, "global"):
                prepare_for_model(RecordedModel(recorded), flux, combination=combination)

    def test_unknown_parameters_are_refused(self, toy_spectra):
        with pytest.raises(ValueError, match="preprocessing parameters that are not known here: colour, magic; exp"):
            prepare_for_model(RecordedModel({"magic": 1, "degree": 2, "colour": 2}), toy_spectra(1)[0])

    @pytest.mark.parametrize(("release", "n_kept"), [(12, 7214), (17, 7514)])
    def test_a_model_of_other_pixels_is_refused(self, release, n_kept):
        model = RecordedModel({"data_release": release}, n_pixels=40)
        with pytest.raises(ValueError, match=rf"takes spectra of 40 pixels, but .* {n_kept} pixels on the chips of"):
            prepare_for_model(model, np.ones((1, 8575)))

    def test_rows_that_cannot_be_normalised_are_named(self, apstar):
        flux, err, bitmask = apstar("dwarf")
        with pytest.raises(ValueError, match="Row 1 of X has fewer than 3 usable continuum pixels on chip blue"):
            prepare_for_model(RecordedModel({"data_release": 17}), flux, err, bitmask)

    def test_a_model_that_is_not_fitted_is_refused(self):
        model = RecordedModel({})
        del model.preprocessing_, model.n_features_in_
        with pytest.raises(NotFittedError):
            prepare_for_model(model, np.ones((1, 8575)))


class TestPrepareEach:
    @pytest.fixture
    def preparation(self):
        return ModelPreparation.from_model(RecordedModel({"data_release": 17}))

    @pytest.fixture
    def rows(self, apstar):
        """Flux, errors and bitmask of seven real spectra, of which the second is empty."""
        return tuple(np.concatenate(both) for both in zip(apstar("dwarf"), apstar("giant"), strict=True))

    def test_an_empty_spectrum_does_not_lose_the_others(self, preparation, rows):
        prepared = preparation.prepare_each(*rows)
        assert [fault is not None for fault in prepared.faults] == [False, True] + 5 * [False]
        assert str(prepared.faults[1]).startswith(
            "The spectrum has fewer than 3 usable continuum pixels on chip blue, so the spectrum cannot be normalised."
        )
        assert np.isnan(prepared.X[1]).all()
        assert np.isnan(prepared.x_err[1]).all()
        assert prepared.notes == [None] * 7

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_values_do_not_depend_on_the_other_spectra(self, preparation, rows, dtype):
        flux, err, bitmask = (values.astype(dtype) if values.dtype.kind == "f" else values for values in rows)
        flux, err, bitmask = (np.concatenate([values] * 3) for values in (flux, err, bitmask))  # several blocks
        prepared = preparation.prepare_each(flux, err, bitmask)
        for row in (0, 2, 9, 20):
            alone = preparation.prepare(flux[row : row + 1], err[row : row + 1], bitmask[row : row + 1])
            assert_array_equal(prepared.X[row : row + 1], alone[0], strict=True)
            assert_array_equal(prepared.x_err[row : row + 1], alone[1], strict=True)

    def test_without_errors_there_are_none(self, preparation, toy_spectra):
        flux, _ = toy_spectra(2)
        prepared = preparation.prepare_each(flux)
        assert_array_equal(prepared.X, preparation.prepare(flux)[0])
        assert prepared.x_err is None

    def test_each_fault_is_the_one_that_the_spectrum_has_alone(self, preparation, toy_spectra):
        flux, err = toy_spectra(6)
        flux[1] *= -1
        err[2] = 1e-4  # inverse variances of flux with errors of 100
        err[3] = 1e4
        flux[4], err[4] = -flux[4], 1e4
        err[5] = 1e10
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            prepared = preparation.prepare_each(flux, err)
        kinds = [type(fault) for fault in prepared.faults]
        assert kinds == [type(None), ValueError, type(None), HighFluxErrorsError, HighFluxErrorsError, ValueError]
        for row in (1, 3, 4, 5):
            with pytest.raises(ValueError, match=r"The flux errors|Row 0 of X") as alone:
                preparation.prepare(flux[row : row + 1], err[row : row + 1])
            assert str(prepared.faults[row]) == str(alone.value).replace("Row 0 of X", "The spectrum")
        assert "a continuum that is not positive on chip blue" in str(prepared.faults[1])
        assert "no good pixel is left" in str(prepared.faults[5])

    def test_what_is_odd_in_a_usable_spectrum_is_noted(self, preparation, toy_spectra):
        flux, err = toy_spectra(3)
        err[1] = 1e-4
        err[2, :5000] = 1e10
        prepared = preparation.prepare_each(flux, err)
        assert prepared.faults == [None] * 3
        assert prepared.notes[0] is None
        assert prepared.notes[1].startswith("more than half of the flux errors are below 0.0001 of the continuum")
        assert prepared.notes[2].startswith("more than half of the flux errors are above the continuum")
        with (
            pytest.warns(UserWarning, match="Row 2 of X: more than half .* above"),
            pytest.warns(match="Row 1 of X: mo"),
        ):
            preparation.prepare(flux, err)

    def test_chips_without_continuum_are_no_fault_if_they_are_filled(self, rows):
        preparation = ModelPreparation.from_model(RecordedModel({"data_release": 17}), no_continuum="fill")
        prepared = preparation.prepare_each(*rows)
        assert prepared.faults == [None] * 7
        assert (prepared.X[1] == 1).all()
        assert (prepared.x_err[1] == 0).all()

    def test_spectra_that_were_normalised_lose_the_pixels_with_large_errors(self, preparation, toy_spectra):
        flux, err = toy_spectra(2)
        err[0, 20:30] = 1e10
        prepared = preparation.prepare_each(flux / 100, err / 100, normalized=True)
        assert (prepared.x_err[0, 20:30] == 0).all()
        assert_array_equal(prepared.X, preparation.prepare(flux / 100, err / 100, normalized=True)[0])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((np.ones((2, 8575)), np.ones((2, 7514))), r"err has shape \(2, 7514\), but flux has shape \(2, 8575\)"),
            ((np.ones((2, 100)),), "flux has 100 pixels, expected 8575"),
            ((np.ones(8575),), r"flux has shape \(8575,\), expected two dimensions"),
        ],
    )
    def test_what_concerns_all_spectra_is_raised(self, preparation, arguments, message):
        with pytest.raises(ValueError, match=message):
            preparation.prepare_each(*arguments)

    def test_a_bitmask_of_floats_is_refused(self, preparation, toy_spectra):
        flux, err = toy_spectra(2)
        with pytest.raises(TypeError, match="bitmask has type float64, expected integers"):
            preparation.prepare_each(flux, err, np.zeros(flux.shape))
