"""Modes of normalisation, for pixels and for labels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.survey import MISSING

MODES = [0, 1, 2, 3, "3s", 4, 255]


def columns(n_samples=50, dtype=np.float64):
    """Draw three columns: two with spread, one without."""
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
        tolerance = 1e-5 if dtype == np.float32 else 1e-10
        assert_allclose(back, X, rtol=tolerance, atol=tolerance * np.abs(X).max())

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
        assert_allclose(normalizer.transform([[value + 2]]), 2, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("mode", [1, 2])
    def test_chunks_give_the_same_statistics(self, normalizer_class, mode, monkeypatch):
        X = columns()
        whole = normalizer_class(mode).fit(X)
        monkeypatch.setattr("skbcnn._chunks.MAX_VALUES", 21)
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

    @pytest.mark.parametrize("mode", [1, 2, 255])
    def test_errors_are_scaled_and_never_centred(self, normalizer_class, mode):
        normalizer = normalizer_class(mode).fit(columns())
        err = np.full((4, 3), 0.5, dtype=np.float32)
        assert_allclose(normalizer.scale_errors(err), 0.5 / np.tile(normalizer.scale_, (4, 1)), rtol=2e-6)
        assert normalizer.scale_errors(err).dtype == np.float32
        assert_array_equal(err, 0.5)

    def test_errors_of_another_shape(self, normalizer_class):
        with pytest.raises(ValueError, match=r"err has shape \(4, 2\), but .* was fitted on 3 columns"):
            normalizer_class().fit(columns()).scale_errors(np.ones((4, 2)))

    def test_errors_cannot_be_squashed(self, normalizer_class):
        with pytest.raises(ValueError, match="mode='3s' applies a sigmoid, so an error cannot be rescaled"):
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
    def test_flux_must_be_finite(self, bad):
        normalizer = SpectraNormalizer().fit(columns())
        X = columns()
        X[3, 1] = bad
        for method in (normalizer.fit, normalizer.transform, normalizer.inverse_transform):
            with pytest.raises(ValueError, match="Input X contains"):
                method(X)


class TestLabelNormalizer:
    @pytest.mark.parametrize("missing", [np.nan, MISSING, -9999.99])
    def test_missing_labels_take_no_part_and_stay_missing(self, missing):
        normalizer = LabelNormalizer().fit([[1.0, 10.0], [3.0, missing], [missing, 20.0]])
        assert_array_equal(normalizer.mean_, [2, 15])
        assert_array_equal(normalizer.scale_, [1, 5])
        assert_array_equal(normalizer.transform([[missing, 20.0]]), [[np.nan, 1]])
        assert_array_equal(normalizer.inverse_transform([[np.nan, 1]]), [[np.nan, 20]])

    @pytest.mark.parametrize("mode", [1, 2, "3s"])
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

    def test_label_all_missing_is_refused(self):
        y = columns()
        y[:, [0, 2]] = MISSING
        for mode in MODES:
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

    @pytest.mark.parametrize("mode", [1, 2, 255])
    def test_moments_in_label_units(self, mode):
        normalizer = LabelNormalizer(mode).fit(columns())
        draws = np.random.default_rng(0).normal(size=(40, 5, 3))
        labels = np.stack([normalizer.inverse_transform(draw) for draw in draws])
        mean, std, half = normalizer.inverse_moments(draws.mean(axis=0), draws.std(axis=0), draws.std(axis=0) / 2)
        assert_allclose(mean, labels.mean(axis=0))
        assert_allclose(std, labels.std(axis=0))
        assert_allclose(half, std / 2)

    def test_moments_of_squashed_labels_are_refused(self):
        with pytest.raises(ValueError, match="applies a sigmoid, so a standard deviation cannot be rescaled"):
            LabelNormalizer("3s").fit(columns()).inverse_moments(np.zeros((1, 3)), np.ones((1, 3)))

    def test_sigmoid_keeps_missing_and_inverts(self):
        normalizer = LabelNormalizer("3s").fit([[1.0], [3.0], [MISSING]])
        assert_allclose(normalizer.transform([[2.0], [MISSING]]), [[0.5], [np.nan]])
        assert_allclose(normalizer.inverse_transform([[0.5]]), 2)
