"""What spectra, labels and errors must look like, and what is said where they do not."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from skbcnn._validation import (
    as_numbers,
    check_finite_spectra,
    check_label_errors,
    check_labels,
    usable_spectra,
    warn_of_scaled_missing_labels,
)
from skbcnn.survey import MISSING

NAN, INF = np.nan, np.inf


class TestFiniteSpectra:
    def test_finite(self):
        assert check_finite_spectra(np.full((3, 4), 3e38, dtype=np.float32)) is None

    @pytest.mark.parametrize(("value", "name"), [(NAN, "NaN"), (INF, "infinity"), (-INF, "infinity")])
    def test_says_what_and_where(self, value, name):
        X = np.ones((4, 5), dtype=np.float32)
        X[2, 3] = X[3, 0] = value
        with pytest.raises(ValueError, match=rf"X contains {name}.* 2 of 4 spectra .*row 2, pixel 3.*Continuum"):
            check_finite_spectra(X)

    def test_both_infinities(self):
        with pytest.raises(ValueError, match="X contains infinity"):
            check_finite_spectra(np.array([[INF, -INF]], dtype=np.float32))


class TestNumbers:
    def test_anything_numeric(self):
        assert_array_equal(as_numbers([[1, True], [None, "2.5"]], "y"), [[1, 1], [NAN, 2.5]])

    @pytest.mark.parametrize("values", [["a", "b"], [[1, 2], [3]], [object()]])
    def test_no_numbers(self, values):
        with pytest.raises(ValueError, match=r"y holds values that are not numbers.*missing one is NaN or -9999"):
            as_numbers(values, "y")

    def test_shape(self):
        with pytest.raises(ValueError, match=r"y_err has shape \(2,\), expected \(3,\) as y has"):
            as_numbers([1, 2], "y_err", (3,), "y")


class TestLabels:
    @pytest.mark.parametrize("missing", [NAN, MISSING, -9999.99, float(np.float32(-9999.99)), -9990.0])
    def test_missing_becomes_nan(self, missing):
        assert_array_equal(check_labels(np.array([[1.0, 2.0], [missing, 3.0]])), [[1, 2], [NAN, 3]])

    def test_present_labels_are_kept(self):
        y = np.array([[-9989.0, 0.0], [1e30, -4.0]])
        checked = check_labels(y)
        assert_array_equal(checked, y)
        assert not np.shares_memory(checked, y)

    @pytest.mark.parametrize("infinity", [INF, -INF, 1e300])
    def test_infinity(self, infinity):
        with pytest.raises(ValueError, match=r"too large for float32 \(first: row 1, label Al\).*NaN or -9999"):
            check_labels(np.array([[1.0, 2.0], [3.0, infinity]]), ["Mg", "Al"])

    def test_label_that_no_star_has(self):
        with pytest.raises(ValueError, match=r"no value at all for Mg, K: NaN or -9999 in each of 2 samples. Leave"):
            check_labels(np.array([[NAN, 1.0, MISSING], [MISSING, 1.0, MISSING]]), ["Mg", "Al", "K"])


class TestLabelErrors:
    def test_none(self):
        assert check_label_errors(None, np.ones((2, 1))) is None

    @pytest.mark.parametrize("garbage", [NAN, MISSING, -1.0, INF, -INF, 1e300])
    def test_nothing_beside_a_missing_label_is_looked_at(self, garbage):
        assert_array_equal(check_label_errors([[0.1, garbage]], np.array([[1.0, NAN]])), [[0.1, 0.0]])

    def test_missing_errors_are_counted_once(self):
        y, y_err = np.array([[1.0, 2.0], [3.0, NAN]]), [[MISSING, 0.1], [NAN, NAN]]
        with pytest.warns(UserWarning, match="2 labels have no error in y_err; 0 is taken") as caught:
            assert_array_equal(check_label_errors(y_err, y), [[0.0, 0.1], [0.0, 0.0]])
        assert len(caught) == 1

    @pytest.mark.parametrize("bad", [-0.1, -5000.0, INF, -INF, 1e300])
    def test_negative_or_infinite(self, bad):
        with pytest.raises(ValueError, match=r"y_err is negative or infinite for 1 labels that are present.*pass 0"):
            check_label_errors([[0.1, bad]], np.ones((1, 2)))

    @pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2,)])
    def test_other_shape(self, shape):
        with pytest.raises(ValueError, match=r"y_err has shape .*, expected \(2, 2\) as y has"):
            check_label_errors(np.ones(shape), np.ones((2, 2)))

    def test_text(self):
        with pytest.raises(ValueError, match="y_err holds values that are not numbers"):
            check_label_errors([["small"]], np.ones((1, 1)))


class TestFluxErrors:
    X = np.full((2, 3), 0.5, dtype=np.float32)

    def test_good_pixels_are_not_copied(self):
        given = np.array([[0, 1, 0.1], [1, 0.5, 0.2]])
        X, x_err = usable_spectra(self.X, given)
        assert X is self.X
        assert x_err is given
        assert usable_spectra(self.X, None) == (self.X, None)

    @pytest.mark.parametrize("mark", [1.1, 1e10, INF, 1e39])
    def test_errors_above_the_continuum_mark_bad_pixels(self, mark):
        given = np.array([[0.1, mark, 0.1], [0, 0.1, 0.1]])
        X, x_err = usable_spectra(self.X, given)
        assert_array_equal(X, [[0.5, 1, 0.5], [0.5, 0.5, 0.5]])
        assert_array_equal(x_err, [[0.1, 0, 0.1], [0, 0.1, 0.1]])
        assert X.dtype == np.float32
        assert given[0, 1] == mark
        assert (self.X == 0.5).all()

    def test_bad_spectra_of_any_number(self):
        with pytest.warns(UserWarning, match="Rows 0, 1 of x_err: more than half of the flux errors are above"):
            X, x_err = usable_spectra(self.X, np.full((2, 3), INF))
        assert (X == 1).all()
        assert (x_err == 0).all()

    def test_most_errors_above_the_continuum_are_refused(self):
        with pytest.raises(ValueError, match=r"above 1, the continuum, in 3 of 5 pixels.*inverse variance.*from_ivar"):
            usable_spectra(self.X, [[0, 9, 9], [2, 0.1, 0.1]])

    def test_booleans(self):
        with pytest.raises(ValueError, match=r"x_err holds booleans.* pass them as `bitmask`"):
            usable_spectra(self.X, self.X > 1)

    @pytest.mark.parametrize("shape", [(3,), (1, 3), ()])
    def test_one_for_all_spectra(self, shape):
        with pytest.raises(
            ValueError, match=r"x_err has shape .*but X has .*\(2, 3\).*np.broadcast_to\(x_err, X.shape\)"
        ):
            usable_spectra(np.ones((2, 3)), np.ones(shape))

    @pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2,)])
    def test_other_shape(self, shape):
        with pytest.raises(ValueError, match=r"x_err has shape .*but X has .*\(2, 3\).*not changed by the pipeline"):
            usable_spectra(self.X, np.ones(shape))

    @pytest.mark.parametrize("bad", [-1.0, NAN, -INF])
    def test_negative_or_nan(self, bad):
        with pytest.raises(ValueError, match=r"x_err is negative or NaN in places. Pass infinity"):
            usable_spectra(self.X, [[1, 1, 1], [1, bad, 1]])

    def test_text(self):
        with pytest.raises(ValueError, match=r"x_err holds .* values, expected numbers"):
            usable_spectra(self.X, [["a"] * 3] * 2)


class TestTransformedMagic:
    @pytest.fixture
    def y(self):
        return np.random.default_rng(0).normal([4655, -0.1], [294, 0.3], size=(300, 2))

    @pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()])
    @pytest.mark.parametrize(("column", "name", "n_missing"), [(0, "teff", 2), (1, "Al", 40), (1, "Al", 1)])
    def test_scaled_along(self, y, scaler, column, name, n_missing):
        y[:n_missing, column] = MISSING
        with pytest.warns(UserWarning, match=rf"lowest values of {name} lie far below .* LabelNormalizer only"):
            warn_of_scaled_missing_labels(scaler.fit_transform(y), ["teff", "Al"])

    @pytest.mark.parametrize(
        "column",
        [
            np.random.default_rng(1).normal(size=500),
            np.random.default_rng(1).standard_cauchy(size=500),
            np.r_[-5, np.random.default_rng(1).uniform(size=50)],  # one bad star
            np.r_[np.zeros(50), np.arange(50)],
            [0, 0, 1, 1, 1],
            [NAN, 1, 1, 1, NAN],
            [0, 0, *range(100, 104)],
        ],
    )
    def test_plain_labels(self, column):
        warn_of_scaled_missing_labels(np.reshape(column, (-1, 1)).astype(float), ["Al"])  # a warning would be an error
