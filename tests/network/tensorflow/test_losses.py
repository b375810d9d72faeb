"""The loss of a star, worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.tensorflow.losses import mean_loss, pack_targets, star_absolute_error, star_loss, weighted_sums
from skbcnn.network.tensorflow.runtime import tf

NAN = np.nan


def nll(y, mean, logvar, error=0.0):
    """Loss of one label, as in section 3.1 of Leung & Bovy (2019)."""
    variance = np.exp(logvar) + error**2
    return 0.5 * ((y - mean) ** 2 / variance + np.log(variance))


def loss_and_gradient(y, mean, logvar, y_err=None):
    """Loss of each star and its gradient with respect to means and log-variances."""
    y = np.atleast_2d(np.asarray(y, dtype=float))
    y_err = None if y_err is None else np.broadcast_to(np.asarray(y_err, dtype=float), y.shape)
    moments = tf.constant(np.stack([np.broadcast_to(mean, y.shape), np.broadcast_to(logvar, y.shape)], 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(moments)
        loss = star_loss(pack_targets(y, y_err), moments)
    return np.asarray(loss), np.asarray(tape.gradient(loss, moments))


class TestStarLoss:
    def test_all_labels_present(self):
        loss, gradient = loss_and_gradient([0.5, -1.0], [0.2, 0.4], [0.0, np.log(4.0)])
        # 0.5 * 0.09 = 0.045 and 0.5 * (1.96 / 4 + log 4) = 0.938147; mean 0.491574
        assert_allclose(loss, [0.491574], atol=2e-6)
        assert_allclose(loss, [(nll(0.5, 0.2, 0) + nll(-1, 0.4, np.log(4))) / 2], rtol=2e-6, atol=2e-6)
        # by the mean: -(y - mu) / variance / 2; by s: 0.5 (1 - (y - mu)^2 / variance) / 2
        assert_allclose(gradient[0, 0], [-0.15, 0.175], rtol=1e-5, atol=2e-6)
        assert_allclose(gradient[0, 1], [0.2275, 0.1275], rtol=1e-5, atol=2e-6)

    def test_one_label_missing(self):
        loss, gradient = loss_and_gradient([0.5, NAN], [0.2, 9.0], [0.0, -3.0])
        assert_allclose(loss, [0.045], rtol=1e-5, atol=2e-6)  # over the label that is there, not over two
        assert_array_equal(gradient[0, :, 1], 0)
        assert_allclose(gradient[0, :, 0], [-0.3, 0.455], rtol=1e-5, atol=2e-6)

    def test_no_label_at_all(self):
        loss, gradient = loss_and_gradient([NAN, NAN], [0.2, 9.0], [0.0, -3.0])
        assert_array_equal(loss, 0)
        assert_array_equal(gradient, 0)

    @pytest.mark.parametrize("garbage", [NAN, -9999.0, np.inf, -np.inf, 0.0, 1e300])
    def test_the_error_of_a_missing_label_is_ignored(self, garbage):
        loss, gradient = loss_and_gradient([0.5, NAN], [0.2, 0.3], [0.0, -3.0], y_err=[0.5, garbage])
        expected, its_gradient = loss_and_gradient([0.5], [0.2], [0.0], y_err=[0.5])
        assert_array_equal(loss, expected)
        assert_array_equal(gradient[0, :, 1], 0)
        assert_array_equal(gradient[0, :, :1], its_gradient[0])

    def test_label_error_enters_as_a_variance(self):
        loss, gradient = loss_and_gradient([1.0], [0.0], [np.log(0.75)], y_err=[0.5])
        assert_allclose(loss, [0.5], rtol=2e-6, atol=2e-6)  # variance 0.75 + 0.25 = 1
        assert_allclose(gradient[0, 0], [-1.0], rtol=1e-5, atol=2e-6)
        assert_allclose(gradient[0, 1], [0.0], atol=2e-6)

    @pytest.mark.parametrize("error", [0.0, NAN, None])
    def test_label_without_error(self, error):
        loss, _ = loss_and_gradient([1.0], [0.0], [-2.0], y_err=None if error is None else [error])
        assert_allclose(loss, [nll(1, 0, -2)], rtol=2e-6, atol=2e-6)

    @pytest.mark.parametrize("error", [0.0, 1e-30, 0.1, 1e10])
    @pytest.mark.parametrize("logvar", [-200.0, -20.0, 20.0, 200.0])
    def test_extreme_log_variances(self, logvar, error):
        loss, gradient = loss_and_gradient([1.0], [0.5], [logvar], y_err=[error])
        assert_allclose(loss, [nll(1, 0.5, np.clip(logvar, -20, 20), error)], rtol=1e-5, atol=2e-6)
        assert np.isfinite(gradient).all()

    def test_weights_of_labels_multiply_their_terms(self):
        y, weight = np.array([[1.0, 0.0, NAN]]), np.array([[3.0, 1.0, 2.0]])
        moments = np.array([[[0.5, 2.0, 7.0], [0.0, 0.0, 0.0]]], dtype=np.float32)
        targets = pack_targets(y, None, weight)
        assert_allclose(star_loss(targets, moments), [(3 * nll(1, 0.5, 0) + nll(0, 2, 0)) / 2], rtol=2e-6)
        assert_allclose(star_absolute_error(targets, moments), [(0.5 + 2) / 2], rtol=2e-6)  # which they do not change

    def test_absolute_error(self):
        targets = pack_targets(np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN]]))
        moments = np.array([[[0.5, 7.0, 5.0], [0.0, 0.0, 0.0]]] * 2, dtype=np.float32)
        assert_allclose(star_absolute_error(targets, moments), [(0.5 + 2) / 2, 0], rtol=2e-6)


class TestPackTargets:
    def test_arguments_are_unchanged(self):
        y, y_err = np.array([[1.0, NAN]]), np.array([[0.1, NAN]])
        pack_targets(y, y_err)
        assert_array_equal(y, [[1.0, NAN]])
        assert_array_equal(y_err, [[0.1, NAN]])

    def test_all_targets_are_finite(self):
        y_err = np.array([[NAN, np.inf, 0.0, 1e-300, 3.0]])
        targets = pack_targets(np.array([[NAN, NAN, 1.0, 1.0, 1.0]]), y_err)
        assert targets.dtype == np.float32
        assert np.isfinite(targets).all()


class TestBatchLoss:
    def test_weighted_mean_over_the_stars_that_have_a_label(self):
        y = np.array([[1.0, NAN], [NAN, NAN], [0.0, 2.0]])
        mean, logvar = np.array([[0.0, 0.0], [5.0, 5.0], [1.0, 1.0]]), np.full((3, 2), 0.4)
        moments = np.stack([mean, logvar], axis=1).astype(np.float32)
        weight = np.array([3.0, 0.0, 1.0], dtype=np.float32)  # a star without a label comes with weight 0
        by_hand = (3 * nll(1, 0, 0.4) + (nll(0, 1, 0.4) + nll(2, 1, 0.4)) / 2) / 4
        assert_allclose(mean_loss(weighted_sums(pack_targets(y), moments, weight)), by_hand, rtol=2e-6, atol=2e-6)

    def test_batch_of_weight_zero(self):
        moments = np.zeros((2, 2, 1), dtype=np.float32)
        sums = weighted_sums(pack_targets(np.array([[1.0], [NAN]])), moments, np.zeros(2, np.float32))
        assert float(mean_loss(sums)) == 0
