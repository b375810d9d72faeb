"""Labels from tables: matching of columns by name, for any order, spelling and kind of table."""

import copy
import re

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io.fits import FITS_rec
from astropy.table import Column, MaskedColumn, QTable, Table
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn._label_tables import label_and_error_values, label_array, label_columns, label_names, label_values
from skbcnn.survey import APOGEE_LABELS

TARGET = ["teff", "logg", "Mg"]
VALUES = np.array([[4500.0, 2.5, 0.1], [4800.0, 1.5, -0.2], [5000.0, np.nan, 0.3]])
ERRORS = np.abs(VALUES) / 100
COLUMNS = {"MG_H": VALUES[:, 2], "TEFF": VALUES[:, 0], "LogG": VALUES[:, 1]}  # another order, other spellings


def structured(columns):
    return Table(columns).as_array()


KINDS = {
    "pandas": pd.DataFrame,
    "pandas with NA": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "astropy": Table,
    "astropy masked": lambda columns: Table(columns, masked=True),
    "structured": structured,
    "FITS": lambda columns: structured(columns).view(FITS_rec),
}


@pytest.fixture
def training_sets(monkeypatch):
    """List of the normalised training sets of all fits, which train no network."""
    found = []

    def keep(self, stars, *args, **kwargs):
        found.append(self._normalized(stars))

    monkeypatch.setattr(CensoredBCNNRegressor, "_train_network", keep)
    return found


@pytest.fixture
def learnt(training_sets):
    """Function of y, y_err and parameters that returns the fitted model and its training set, in label units."""

    def fit(y, y_err=None, cls=CensoredBCNNRegressor, **parameters):
        n_pixels = 40 if cls is CensoredBCNNRegressor else 7514
        parameters = {"target": TARGET, "labels_norm_mode": 0, "validation_fraction": 0, **parameters}
        model = cls(calibrate=False, **parameters)
        model.fit(np.random.default_rng(0).normal(1, 0.1, size=(3, n_pixels)), y, y_err=y_err)
        return model, training_sets.pop()

    return fit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", [CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor])
def test_columns_are_matched_by_name(learnt, kind, cls):
    y_err = KINDS[kind]({f"{name}_ERR": np.abs(values) / 100 for name, values in COLUMNS.items()})
    model, stars = learnt(KINDS[kind](COLUMNS), y_err, cls)
    assert model.target_names_ == tuple(TARGET)
    assert (model.n_outputs_, model.n_features_in_) == (3, model.spec_.n_pixels)
    assert_array_equal(stars.y, VALUES)
    assert_array_equal(stars.y_err, np.nan_to_num(ERRORS))


@pytest.mark.parametrize(
    "spelling", ["{}", "[{}/H]", "{}_H", "{}/h", " {} "], ids=["name", "brackets", "SDSS", "slash", "spaces"]
)
def test_the_22_in_any_spelling_and_order(learnt, spelling):
    values = np.arange(66.0).reshape(3, 22)
    roman = {"C1": "CI", "Ti2": "TiII"}
    names = [name.upper() if j < 2 else spelling.format(roman.get(name, name)) for j, name in enumerate(APOGEE_LABELS)]
    order = np.random.default_rng(1).permutation(22)
    y = pd.DataFrame(values[:, order], columns=[names[j] for j in order])
    model, stars = learnt(y, cls=ApogeeBCNNCensoredRegressor, target="all")
    assert model.target_names_ == APOGEE_LABELS
    assert_array_equal(stars.y, values)


class TestNames:
    def test_equal_spelling_has_priority(self, learnt):
        """Names that differ in case may be two labels of the user."""
        y = pd.DataFrame({"s": [4.0, 5, 6], "S": [1.0, 2, 3]})
        model, stars = learnt(y, target=["S", "s"])
        assert_array_equal(stars.y, [[1, 4], [2, 5], [3, 6]])
        assert model.target_names_ == ("S", "s")

    def test_labels_that_the_survey_does_not_know(self, learnt):
        y = Table({"mass": [1.0, 2, 3], "age": [4.0, 5, 6]}, units={"age": "Gyr"})
        assert_array_equal(learnt(y, target=["age", "mass"])[1].y, [[4, 1], [5, 2], [6, 3]])

    def test_names_come_from_the_table(self, learnt):
        y = pd.DataFrame(VALUES, columns=["TEFF", "logg", "mine"])
        assert learnt(y, target=None)[0].target_names_ == ("TEFF", "logg", "mine")

    def test_numbers_do_not_count_as_names(self, learnt):
        model, stars = learnt(pd.DataFrame(VALUES, columns=[2, 0, 1]))
        assert model.target_names_ == tuple(TARGET)
        assert_array_equal(stars.y, VALUES)
        assert learnt(pd.DataFrame(VALUES), target=None)[0].target_names_ == ("0", "1", "2")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["teff", "logg", "Al"], "no column for Mg; no label for column 'Al'. Rename or add columns"),
            (["tef", "LOGG", "Mg"], r"no column for teff; no label for column 'tef' \(did you mean teff\?\)\."),
            (["teff", "logg"], " teff, logg, Mg: no column for Mg. Rename"),
            (["teff", "logg", "Mg", "MG_H"], "'Mg' and 'MG_H' are the same label Mg. Pass y[['teff', 'logg', 'Mg']]"),
            (["teff", "logg", "Mg", "Mg"], "'Mg' and 'Mg' are the same label Mg. Keep one column for each"),
            (["teff", "SNR", "Mg", "LOGG", "RA"], "no label for column 'SNR', 'RA'. Pass y[['teff', 'LOGG', 'Mg']]"),
            (["teff", "logg", 3], "no column for Mg; no label for column '3'"),
            (["Mg", "Mg", "teff"], "no column for logg; 'Mg' and 'Mg' are the same"),
        ],
    )
    @pytest.mark.parametrize("cls", [CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor])
    def test_other_columns_than_the_labels(self, learnt, cls, names, message):
        y = pd.DataFrame(np.ones((3, len(names))), columns=names)
        escaped = message if "\\" in message else re.escape(message)
        with pytest.raises(ValueError, match=f"The columns of y are not those of the labels.*{escaped}"):
            learnt(y, cls=cls)

    def test_atomic_carbon_twice(self, learnt):
        y = Table({"CI": [1.0], "C1": [2.0]})[[0, 0, 0]]
        with pytest.raises(ValueError, match=r"'CI' and 'C1' are the same label C1. Pass y\[\['CI'\]\]"):
            learnt(y, cls=ApogeeBCNNCensoredRegressor, target="C1")

    def test_the_advice_works(self, learnt):
        y = Table({**COLUMNS, "SNR": [100, 200, 300]})
        with pytest.raises(ValueError, match="SNR") as caught:
            learnt(y)
        advice = re.search(r"Pass (y\[.*\])\.", str(caught.value)).group(1)
        assert_array_equal(learnt(eval(advice, {"y": y}))[1].y, VALUES)

    def test_one_name_twice_and_no_target(self, learnt):
        with pytest.raises(ValueError, match=r"y has more than one column called Mg\. Keep one"):
            learnt(pd.DataFrame(VALUES, columns=["Mg", "teff", "Mg"]), target=None)

    @pytest.mark.parametrize("y", [pd.DataFrame(index=range(3)), np.ones((3, 0)), Table()])
    def test_no_columns(self, learnt, y):
        with pytest.raises(ValueError, match=r"y has no columns\. Pass one for each label"):
            learnt(y, target=None)

    def test_column_without_numbers(self, learnt):
        with pytest.raises(ValueError, match=r"Column 'Mg' of y has shape \(3, 2\), expected \(3,\)"):
            learnt(Table({"Mg": np.ones((3, 2))}), target=["Mg"])
        with pytest.raises(ValueError, match="Column 'Mg' of y holds values that are not numbers"):
            learnt(pd.DataFrame({"Mg": ["a", "b", "c"]}), target=["Mg"])

    @pytest.mark.parametrize("y", [Table(COLUMNS)[:2], pd.DataFrame(COLUMNS)[:2]])
    def test_other_number_of_stars(self, learnt, y):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[3, 2\]"):
            learnt(y)


class TestOneLabel:
    @pytest.mark.parametrize("kind", [pd.Series, Column])
    def test_named(self, learnt, kind):
        y = kind(VALUES[:, 0], name="TEFF")
        for parameters, name in [({"target": None}, "TEFF"), ({"target": ["teff"]}, "teff")]:
            model, stars = learnt(y, **parameters)
            assert model.target_names_ == (name,)
            assert_array_equal(stars.y, VALUES[:, :1])
        assert learnt(y, cls=ApogeeBCNNCensoredRegressor, target="Teff")[0].target_names_ == ("teff",)

    @pytest.mark.parametrize("name", [None, 0, "truth"])
    def test_unknown_name_is_ignored(self, learnt, name):
        y = pd.Series(VALUES[:, 0], name=name)
        assert learnt(y, cls=ApogeeBCNNCensoredRegressor, target="teff")[0].target_names_ == ("teff",)

    @pytest.mark.parametrize("cls", [CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor])
    def test_another_label(self, learnt, cls):
        y = pd.Series(VALUES[:, 0], name="[Mg/H]")
        with pytest.raises(ValueError, match=r"y is named '\[Mg/H\]', but the label is teff.*target=\['Mg'\]"):
            learnt(y, cls=cls, target=["teff"])

    def test_22_labels_need_22_columns(self, learnt):
        with pytest.raises(ValueError, match="y has 1 columns, but target='all' means 22 labels"):
            learnt(pd.Series(VALUES[:, 0], name="teff"), cls=ApogeeBCNNCensoredRegressor, target="all")

    def test_errors(self, learnt):
        y = pd.Series(VALUES[:, 0], name="teff")
        for y_err in (ERRORS[:, 0], pd.Series(ERRORS[:, 0], name="teff_err"), pd.DataFrame({"e_teff": ERRORS[:, 0]})):
            assert_array_equal(learnt(y, y_err, target=None)[1].y_err, ERRORS[:, :1])
        with pytest.raises(ValueError, match="y_err is named 'logg_err', but the label is teff"):
            learnt(y, y_err=pd.Series(ERRORS[:, 0], name="logg_err"), target=["teff"])


class TestErrors:
    """Errors of labels without missing values."""

    Y = pd.DataFrame({"Mg": [0.1, 0.2, 0.3], "teff": [4500.0, 4600, 4700]})
    IN_ORDER = np.array([[10.0, 0.01], [20, 0.02], [30, 0.03]])  # of teff, Mg

    def errors(self, learnt, y_err, **parameters):
        return learnt(self.Y, y_err, **{"target": ["teff", "Mg"], **parameters})[1].y_err

    @pytest.mark.parametrize("names", [["teff", "Mg"], ["TEFF_ERR", "[Mg/H]_err"], ["e_teff", "E_MG_H"]])
    @pytest.mark.parametrize("kind", [pd.DataFrame, Table])
    def test_by_name(self, learnt, kind, names):
        y_err = kind({names[0]: self.IN_ORDER[:, 0], names[1]: self.IN_ORDER[:, 1]})
        assert_array_equal(self.errors(learnt, y_err), self.IN_ORDER)

    @pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
    def test_without_names_in_the_order_of_y(self, learnt, kind):
        assert_array_equal(self.errors(learnt, kind(self.IN_ORDER[:, ::-1])), self.IN_ORDER)
        assert_array_equal(self.errors(learnt, kind(self.IN_ORDER[:, ::-1]), target=None), self.IN_ORDER[:, ::-1])

    def test_by_name_for_labels_without_names(self, learnt):
        y, y_err = self.Y[["teff", "Mg"]].to_numpy(), pd.DataFrame(self.IN_ORDER[:, ::-1], columns=["Mg", "teff"])
        assert_array_equal(learnt(y, y_err, target=["teff", "Mg"])[1].y_err, self.IN_ORDER)
        unnamed = learnt(y, y_err, target=None)[1].y_err  # no names to match
        assert_array_equal(unnamed, self.IN_ORDER[:, ::-1])

    def test_label_with_the_name_of_an_error(self, learnt):
        y = pd.DataFrame({"e_folding": [1.0, 2, 3], "folding": [4.0, 5, 6]})
        assert_array_equal(learnt(y, y_err=y / 10, target=["folding", "e_folding"])[1].y_err[0], [0.4, 0.1])

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["teff", "teff_err", "Mg"], r"The columns of y_err.*'teff' and 'teff_err' are the same label teff"),
            (
                ["teff_err", "logg_err"],
                "The columns of y_err are not those of.*no column for Mg; no label for column 'logg_err'",
            ),
        ],
    )
    def test_other_columns(self, learnt, names, message):
        with pytest.raises(ValueError, match=message):
            self.errors(learnt, pd.DataFrame(np.ones((3, len(names))), columns=names))

    def test_other_number_of_stars(self, learnt):
        with pytest.raises(ValueError, match=r"y_err has shape \(2, 2\), expected \(3, 2\) as y has"):
            self.errors(learnt, self.Y[:2])


class TestMissingAndUnits:
    @pytest.mark.parametrize(
        "y",
        [
            Table({"teff": MaskedColumn([4500, 4600, 4700], mask=[False, True, False])}),
            QTable({"teff": MaskedColumn([4500.0, 4600, 4700], mask=[False, True, False], unit="K")}),
            np.ma.array([[4500], [4600], [4700]], mask=[[False], [True], [False]]),
            pd.DataFrame({"teff": pd.array([4500, None, 4700], dtype="Int64")}),
            pd.DataFrame({"teff": pd.array([4500, None, 4700], dtype="Int64")})["teff"],
            pd.DataFrame({"teff": [4500, np.nan, 4700]}, dtype=object),
        ],
        ids=["Table", "QTable", "masked array", "pandas", "Series", "objects"],
    )
    def test_masked_is_missing(self, learnt, y):
        assert_array_equal(learnt(y, target=["teff"])[1].y, [[4500], [np.nan], [4700]])

    @pytest.mark.parametrize("kind", [Table, QTable])
    def test_units_are_converted(self, learnt, kind):
        y = kind({"teff": [4.5, 4.6, -9999.0] * u.kK, "logg": [1.0, 2, 3] * u.dex, "Mg": [0.1, 0.2, 0.3] * u.one})
        y_err = kind({"teff_err": [5e4, 6e4, 1] * u.mK})
        y_err["logg_err"] = Column([0.1, 0.1, 0.2], unit="dex(cm/s2)")
        y_err["Mg"] = [0.1, 0.1, 0.1]
        _, stars = learnt(y, y_err)
        np.testing.assert_allclose(stars.y, [[4500, 1, 0.1], [4600, 2, 0.2], [np.nan, 3, 0.3]])
        np.testing.assert_allclose(stars.y_err, [[50, 0.1, 0.1], [60, 0.1, 0.1], [0, 0.2, 0.1]])

    def test_missing_stays_missing_in_another_unit(self, learnt):
        """-9999 mK would not be a missing temperature."""
        y = Table({"teff": [4.5e6, -9999.0, 4.6e6]}, units={"teff": "mK"})
        np.testing.assert_allclose(learnt(y, target=["teff"])[1].y, [[4500], [np.nan], [4600]])

    def test_quantity(self, learnt):
        np.testing.assert_allclose(learnt([4.5, 4.6, 4.7] * u.kK, target=["teff"])[1].y[:, 0], [4500, 4600, 4700])

    @pytest.mark.parametrize(
        ("name", "unit"), [("teff", "dex"), ("teff", "deg_C"), ("Mg", "K"), ("Mg", "mag"), ("logg", "m / s2")]
    )
    @pytest.mark.parametrize("kind", [Table, QTable])
    def test_units_that_cannot_be_converted(self, learnt, kind, name, unit):
        y = kind({name: u.Quantity([1.0, 2, 3], unit)})
        with pytest.raises(ValueError, match=f"Column '{name}' of y has the unit '{unit}', which cannot be converted"):
            learnt(y, target=[name])


class TestScore:
    @pytest.mark.parametrize("kind", [pd.DataFrame, Table, structured])
    def test_by_name(self, tiny_model, tiny_data, kind):
        names = dict(zip(["TEFF", "MG_H", "[Al/H]", "C"], tiny_data.y.T, strict=True))
        y = kind({name: names[name] for name in ["C", "[Al/H]", "TEFF", "MG_H"]})
        assert tiny_model.score(tiny_data.X, y) == tiny_model.score(tiny_data.X, tiny_data.y)

    def test_other_columns(self, tiny_model, tiny_data):
        y = pd.DataFrame(tiny_data.y, columns=["teff", "Mg", "Al", "N"])
        with pytest.raises(ValueError, match="no column for C; no label for column 'N'"):
            tiny_model.score(tiny_data.X, y)
        with pytest.raises(ValueError, match="y has 3 columns, but there are 4 labels: teff, Mg, Al, C"):
            tiny_model.score(tiny_data.X, tiny_data.y[:, :3])

    def test_not_fitted(self, tiny_data):
        with pytest.raises(NotFittedError):
            CensoredBCNNRegressor().score(tiny_data.X, tiny_data.y)

    def test_names_after_a_fit_without_names(self):
        y = pd.DataFrame(VALUES, columns=["a", "b", "c"])
        assert_array_equal(label_values(y, ("0", "1", "2")), VALUES)
        numbers = y.set_axis(["1", "0", "2"], axis=1)  # the same names as those of the fit
        assert_array_equal(label_values(numbers, ("0", "1", "2")), VALUES[:, [1, 0, 2]])


@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
@pytest.mark.parametrize("target", [None, ["teff", "Mg", "Al", "C"]])
def test_further_training_accepts_the_same_labels(tiny_model, tiny_data, training_sets, go_on, target):
    """Labels may have another order and spelling. Other labels raise an error."""
    model = copy.deepcopy(tiny_model).set_params(warm_start=True, target=target, validation_fraction=0, calibrate=False)
    y = pd.DataFrame(tiny_data.y, columns=["teff", "MG_H", "Al", "C"])
    getattr(model, go_on)(tiny_data.X, y[["C", "Al", "MG_H", "teff"]])
    assert_array_equal(training_sets[0].y, tiny_model.label_normalizer_.transform(tiny_data.y))
    assert model.target_names_ == ("teff", "Mg", "Al", "C")
    with pytest.raises(ValueError, match="no column for C; no label for column 'N'"):
        getattr(model, go_on)(tiny_data.X, y.rename(columns={"C": "N"}))


class TestScikitLearn:
    """Splitters of scikit-learn select rows of data frames and structured arrays, and keep the names."""

    @pytest.fixture(autouse=True)
    def predict_without_network(self, training_sets, monkeypatch):
        """Predict something that depends on the training set, without a network."""
        monkeypatch.setattr(
            CensoredBCNNRegressor, "predict", lambda self, X: self.label_normalizer_.inverse_transform(X[:, :4])
        )

    @pytest.mark.parametrize("kind", [pd.DataFrame, structured])
    def test_tables_in_another_order(self, tiny_parameters, tiny_data, kind):
        model = CensoredBCNNRegressor(**tiny_parameters, calibrate=False)
        columns = dict(zip(tiny_parameters["target"], tiny_data.y.T, strict=True))
        y = kind({name: columns[name] for name in ["C", "Mg", "teff", "Al"]})
        assert_array_equal(
            cross_val_predict(model, tiny_data.X, y, cv=3), cross_val_predict(model, tiny_data.X, tiny_data.y, cv=3)
        )
        searches = [GridSearchCV(model, {"lr": [0.1]}).fit(tiny_data.X, labels) for labels in (y, tiny_data.y)]
        scores = [[search.cv_results_[f"split{j}_test_score"] for j in range(5)] for search in searches]
        assert_array_equal(*scores)
        assert len(np.unique(scores)) == 5
        assert searches[0].best_estimator_.target_names_ == tuple(tiny_parameters["target"])
        assert searches[0].score(tiny_data.X, y) == searches[1].score(tiny_data.X, tiny_data.y)

    def test_errors_are_split_with_the_labels(self, tiny_parameters, tiny_data, training_sets):
        parameters = {**tiny_parameters, "validation_fraction": 0, "labels_norm_mode": 0, "calibrate": False}
        model = CensoredBCNNRegressor(**parameters)
        y_err = pd.DataFrame(tiny_data.y_err, columns=["TEFF_ERR", "MG_H_ERR", "AL_H_ERR", "C_H_ERR"])
        search = GridSearchCV(model, {"lr": [0.1]}, cv=KFold(2), refit=False)
        search.fit(tiny_data.X, tiny_data.y, y_err=y_err[["C_H_ERR", "TEFF_ERR", "MG_H_ERR", "AL_H_ERR"]])
        present = ~np.isnan(tiny_data.y[15:])
        assert_array_equal(training_sets[0].y_err[present], tiny_data.y_err[15:][present])

    def test_names_of_the_pixels(self, learnt):
        """The names of the columns of X are kept, and other names raise an error."""
        model = CensoredBCNNRegressor(target=["teff"], calibrate=False)
        X = pd.DataFrame(np.ones((3, 4)), columns=list("abcd"))
        model.fit(X, VALUES[:, 0])
        assert list(model.feature_names_in_) == list("abcd")
        assert (model.n_features_in_, model.n_outputs_, model.target_names_) == (4, 1, ("teff",))
        with pytest.raises(ValueError, match="feature names should match"):
            model._check_spectra(X[list("dcba")], reset=False)


class TestReaders:
    """Functions that need no names of labels, or return labels and errors together."""

    @pytest.mark.parametrize("kind", [*KINDS.values(), QTable], ids=[*KINDS, "QTable"])
    def test_array_keeps_the_order_of_columns(self, kind):
        expected = np.column_stack(list(COLUMNS.values()))
        assert_array_equal(label_array(kind(COLUMNS)), expected)
        assert label_names(kind(COLUMNS)) == tuple(COLUMNS)

    def test_array_of_masked_values_with_units(self):
        y = Table({"TEFF": MaskedColumn([4.5, 4.6], mask=[False, True], unit="kK"), "age": Column([1, 2], unit="Gyr")})
        assert_array_equal(label_array(y), [[4500, 1], [np.nan, 2]])

    def test_names(self):
        assert label_names(np.ones((2, 22))) == label_names(pd.DataFrame(np.ones((2, 22)))) == APOGEE_LABELS
        assert label_names(np.ones((2, 3))) is None
        assert label_names(pd.DataFrame(np.ones((2, 3)))) == ("0", "1", "2")
        assert label_names(pd.Series([1.0], name="teff")) == ("teff",)
        assert label_names(pd.Series([1.0], name=3)) == ("3",)

    def test_labels_and_errors(self):
        y, y_err = label_and_error_values(Table(COLUMNS), ERRORS[:, [2, 0, 1]], TARGET)
        assert_array_equal(y, VALUES)
        assert_array_equal(y_err, ERRORS)
        assert label_and_error_values(VALUES, None, TARGET)[1] is None

    def test_unique_names_need_names(self):
        with pytest.raises(ValueError, match="The columns of y have no names"):
            label_columns(VALUES).unique_names()


def test_tables_of_the_caller_do_not_change():
    y = QTable({"teff": MaskedColumn([4500.0, 4600], mask=[False, True], unit="kK")})
    before = y.copy()
    label_values(y, ("teff",))
    assert y.colnames == before.colnames
    assert_array_equal(y["teff"].mask, before["teff"].mask)
    assert_array_equal(y["teff"].unmasked, before["teff"].unmasked)
    assert label_columns(y).names == ("teff",)
