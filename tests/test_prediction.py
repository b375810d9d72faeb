"""Predictions as tables with units, covariances of labels, and means of groups."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skbcnn
from skbcnn import Prediction


@pytest.fixture
def prediction():
    """Two stars, three labels; the kinds differ by hundreds."""
    mean = np.arange(6.0).reshape(2, 3)
    return Prediction(mean, mean + 100, mean + 200, mean + 300, ("teff", "Mg", "age"))


def test_labels_and_errors(prediction):
    table = prediction.to_table()
    assert table.colnames == ["teff", "teff_err", "Mg", "Mg_err", "age", "age_err"]
    assert [table[name].unit for name in table.colnames] == [u.K, u.K, u.dex, u.dex, None, None]
    assert_array_equal(table["Mg"], [1, 4])
    assert_array_equal(table["Mg_err"], [301, 304])


@pytest.mark.parametrize(
    ("errors", "columns"),
    [
        ((), {"teff": 0}),
        ("model", {"teff": 0, "teff_err_model": 100}),
        (["predictive", "total"], {"teff": 0, "teff_err_predictive": 200, "teff_err": 300}),
    ],
)
def test_kinds_of_error(prediction, errors, columns):
    first_label = prediction.to_table(errors).columns[: len(columns)]
    assert {name: column[0] for name, column in first_label.items()} == columns
    assert list(prediction.to_pandas(errors).columns[: len(columns)]) == list(columns)


def test_unknown_kind(prediction):
    with pytest.raises(ValueError, match="kind='epistemic', expected 'total', 'predictive', 'model' or 'calibrated'"):
        prediction.to_table(errors=["epistemic"])


def test_one_label_in_one_dimension():
    flat = Prediction(*np.arange(12.0).reshape(4, 3), label_names=("teff",), noisier=np.array([True, False, False]))
    assert flat.to_table().colnames == ["teff", "teff_err", "noisier"]
    assert_array_equal(flat.to_table()["teff_err"], [9, 10, 11])


def test_data_frame(prediction):
    frame = prediction.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == prediction.to_table().colnames
    assert_array_equal(frame["age_err"], [302, 305])
    assert (frame.dtypes == np.float64).all()


def test_no_stars():
    empty = Prediction(*np.empty((4, 0, 1)), label_names=("teff",))
    assert len(empty.to_table()) == len(empty.to_pandas()) == 0


def test_without_pandas(prediction, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"Prediction.to_pandas needs pandas: pip install 'skbcnn\[pandas\]'"):
        prediction.to_pandas()
    assert len(prediction.to_table()) == 2


def test_of_a_model(tiny_model, tiny_data):
    prediction = tiny_model.predict_distribution(tiny_data.X, x_err=tiny_data.X_err)
    frame = prediction.to_pandas()
    assert_array_equal(frame[["teff", "Mg", "Al", "C"]], prediction.mean)
    assert_array_equal(frame[["teff_err", "Mg_err", "Al_err", "C_err"]], prediction.total)
    assert_array_equal(frame["noisier"], prediction.noisier)


def test_importing_it_is_light():
    code = "import sys, skbcnn._prediction; assert not {'astropy', 'pandas', 'sklearn'} & set(sys.modules)"
    root = Path(skbcnn.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


class TestCovariance:
    """One star, two labels, and four draws with variances 1 and 4 and covariance 1."""

    DRAWS = np.array([[1.0, 0.0], [1.0, 4.0], [-1.0, -4.0], [-1.0, 0.0]])[:, None] / np.sqrt([1, 2]) + [10, 20]

    @pytest.fixture
    def star(self):
        model, predictive = np.array([[1.0, 2.0]]), np.array([[2.0, 1.5]])
        total = np.hypot(model, predictive)
        names = ("Fe", "Mg")
        return Prediction(self.DRAWS.mean(axis=0), model, predictive, total, names, None, 2 * total, self.DRAWS)

    def test_by_hand(self, star):
        """The mean product of the deviations is (0 + 4 + 4 + 0) / sqrt(2) / 4."""
        product = np.sqrt(2)
        assert_allclose(star.covariance("model"), [[[1, product], [product, 4]]])
        assert_allclose(star.covariance("predictive"), [[[4, 0], [0, 2.25]]])
        assert_allclose(star.covariance(), [[[5, product], [product, 6.25]]])

    def test_calibrated_errors_keep_the_correlation(self, star):
        assert_allclose(star.covariance("calibrated"), 4 * star.covariance())

    def test_many_stars_are_computed_in_blocks(self, star, monkeypatch):
        monkeypatch.setattr("skbcnn._prediction._BLOCK", 2)
        arrays = {name: np.repeat(getattr(star, name), 3, axis=0) for name in ("mean", "model", "predictive", "total")}
        stars = Prediction(**arrays, label_names=star.label_names, draws=np.repeat(self.DRAWS, 3, axis=1))
        assert_allclose(stars.covariance(), np.repeat(star.covariance(), 3, axis=0))

    def test_no_spread_of_the_draws(self):
        zero, one = np.zeros((1, 2)), np.ones((1, 2))
        star = Prediction(zero, zero, zero, zero, ("Fe", "Mg"), None, one, np.zeros((3, 1, 2)))
        assert_array_equal(star.covariance(), np.zeros((1, 2, 2)))
        assert_array_equal(star.covariance("calibrated"), [np.eye(2)])

    def test_without_draws(self, prediction):
        with pytest.raises(ValueError, match=r"covariance needs the posterior draws.*keep_draws=True"):
            prediction.covariance()
        assert_allclose(prediction.covariance("predictive")[0], np.diag([200.0, 201, 202]) ** 2)

    def test_one_label_in_one_dimension(self):
        three = np.array([1.0, 2, 3])
        flat = Prediction(three, 0 * three + 1, 0 * three, 0 * three + 1, ("teff",), draws=np.stack([three, three + 2]))
        assert_allclose(flat.covariance(), np.ones((3, 1, 1)))


class TestGroupMean:
    def test_common_errors_do_not_average_away(self):
        """Draws of the stars a differ in one direction, those of b in opposite directions."""
        draws = np.array([[[-3.0], [-3], [-3], [3]], [[3.0], [3], [3], [-3]]]) + 10
        predictive = np.array([[4.0], [3], [4], [3]])
        model = draws.std(axis=0)
        total = np.hypot(model, predictive)
        calibrated = total * [[2], [2], [1], [1]]
        stars = Prediction(
            draws.mean(axis=0), model, predictive, total, ("Al",), None, calibrated, draws, "known labels"
        )
        means = stars.group_mean(["b", "b", "a", "a"])
        assert_array_equal(means.group, ["a", "b"])
        assert_array_equal(means.n_spectra, [2, 2])
        assert_allclose(means.mean, [[10], [10]])
        assert_allclose(means.model, [[0], [3]])
        assert_allclose(means.predictive, [[2.5], [2.5]])  # sqrt(4**2 + 3**2) / 2
        assert_allclose(means.total, [[2.5], [np.hypot(3, 2.5)]])
        assert_allclose(means.calibrated, means.total * [[1], [2]])
        assert_allclose(means.draws, [[[10], [7]], [[10], [13]]])
        assert_allclose(means.covariance()[:, 0], means.total**2, rtol=1e-6)
        assert means.calibrated_by == "known labels"

    def test_groups_of_one(self, tiny_model, tiny_data):
        stars = tiny_model.predict_distribution(tiny_data.X, tiny_data.X_err, keep_draws=True)
        means = stars.group_mean(np.arange(30))
        for name in ("mean", "model", "predictive", "total"):
            assert_allclose(getattr(means, name), getattr(stars, name), rtol=1e-3)
        assert_array_equal(means.noisier, stars.noisier)

    def test_table(self):
        ones = np.ones(3)
        stars = Prediction(ones, ones, ones, ones, ("Al",), draws=np.ones((2, 3)))
        table = stars.group_mean([1, 2, 2]).to_table()
        assert table.colnames == ["group", "n_spectra", "Al", "Al_err"]
        assert_array_equal(table["n_spectra"], [1, 2])

    def test_invalid_input(self, prediction):
        with pytest.raises(ValueError, match="group_mean needs the posterior draws"):
            prediction.group_mean(["a", "a"])
        stars = replace(prediction, draws=np.ones((2, 2, 3)))
        with pytest.raises(ValueError, match=r"groups is masked or missing .* for 1 of 2 spectra. Name the group of"):
            stars.group_mean(["a", ""])
        with pytest.raises(ValueError, match="1 of 2 spectra have predicted labels that are NaN or infinite"):
            replace(stars, mean=np.array([[1, np.nan, 2], [1, 2, 3]])).group_mean(["a", "a"])
