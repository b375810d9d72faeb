"""Extrapolated pairs of stars."""

import numpy as np

from skbcnn.augmentation.star_pairs import StarPairs, nearest_stars

PAIRS = StarPairs(1.5, np.array([[0.0], [0.1], [5.0]]), np.array([0, 0, 1]), np.array([0, 1]))


def test_spectra_by_hand():
    x, partner = np.array([[0.9, 1.0, 0.8]], np.float32), np.array([[0.8, 0.7, 0.6]], np.float32)
    found = PAIRS.spectra(x, partner, np.array([[0.5, 1.0]], np.float32))
    np.testing.assert_allclose(found, [[0.95, 1.0, 1.0]], rtol=1e-6)  # the second pixel is bad in the first star


def test_labels_and_errors_by_hand():
    y, err = PAIRS.labels(
        np.array([[1.0, 2.0]]),
        np.array([[0.1, 0.2]]),
        np.array([[0.0, np.nan]]),
        np.array([[0.2, 0.1]]),
        np.array([[0.5, 1.0]]),
    )
    np.testing.assert_allclose(y, [[1.5, np.nan]])
    np.testing.assert_allclose(err[0, 0], np.hypot(1.5 * 0.1, 0.5 * 0.2))


def test_half_of_a_batch_becomes_pairs_with_near_stars():
    context = np.random.default_rng(0).normal(size=(500, 2))
    pairs = StarPairs(1.5, context, np.zeros(3, int), np.zeros(2, int))
    rows = np.arange(500)
    places, partners, factors = pairs.draw(rows, np.random.default_rng(1))
    assert 200 < len(places) < 300
    assert (partners != rows[places]).all()
    assert np.linalg.norm(context[partners] - context[places], axis=1).mean() < 0.5
    assert 0 <= factors.min() < 0.1 < 1.4 < factors.max() <= 1.5
    assert factors.shape == (len(places), 1)


def test_each_narrow_window_has_a_factor_of_its_own():
    _, _, factors = PAIRS.draw(np.zeros(2000, int), np.random.default_rng(0))
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1


def test_partners_are_other_stars():
    context = np.repeat(np.random.default_rng(0).normal(size=(8, 2)), 15, axis=0)
    star = np.repeat(np.arange(8), 15)
    partner = star[nearest_stars(context, star)]
    assert (partner != star[:, None]).all()
    assert partner.shape == (120, 7)


def test_the_unit_of_a_context_label_does_not_matter():
    context = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_array_equal(nearest_stars(context), nearest_stars(context * [300, 0.1] + [4500, 0]))


def test_missing_context_labels_do_not_fail():
    assert nearest_stars(np.array([[np.nan], [1.0], [0.0]])).shape == (3, 2)
    assert nearest_stars(np.zeros((1, 1))).shape == (1, 0)
    assert nearest_stars(np.zeros((4, 0))).shape == (4, 0)
