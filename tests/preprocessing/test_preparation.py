"""Preparation of flux and errors together, by parameters and by what a model records."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skbcnn.datasets import read_apstar
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, prepare_for_model, prepare_spectra
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
