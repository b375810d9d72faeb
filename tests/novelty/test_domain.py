"""Novelty of spectra and predictions: worked by hand, for simple spectra, and for synthetic giants."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skbcnn import Prediction, make_apogee_spectra, prepare_spectra, read_apstar
from skbcnn.novelty import NoveltyFlag, TrainingDomain
from tests.out_of_distribution import OUT_OF_DISTRIBUTION

# By hand ------------------------------------------------------------------------------------------------------------


def domain_by_hand(**others):
    """Return a domain of eight pixels (mean 1/2), one component (the first pixel), a label from 0 to 10, limits 1."""
    arrays = {
        "center": np.full(8, 0.5, dtype=np.float32),
        "components": np.eye(1, 8, dtype=np.float32),
        "spread": np.array([0.1]),
        "noise": np.array(0.02),
        "inverse_limits": np.ones(6),
        "marks": np.ones(2),
        "label_range": np.array([[0.0], [10.0]]),
        "label_margin": np.array([0.5]),
        "model_scale": np.array([0.2]),
    }
    return TrainingDomain(**arrays | others)


def predicted(mean, model=0.1, total=0.1, names=("x",), noisier=None):
    """Return a prediction with one star for each row of `mean`."""
    mean = np.atleast_2d(np.asarray(mean, dtype=float))
    model, total = (np.broadcast_to(np.asarray(std, dtype=float), mean.shape) for std in (model, total))
    return Prediction(mean, model, total, total, names, noisier)


ODD = 0.5 + np.array([[0.2, 0, 0.1, 0, 0.1, 0, 0.1, 0]])
# The residual is 0, 0, 0.1, 0, 0.1, 0, 0.1, 0, with a covariance of 0.02/6 at lag 2, and a power of 0.03 over 8 - 1
# pixels. 1 - flux is 0.3, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, with a covariance of (0.12 + 3 * 0.25 + 2 * 0.16)/6.
# Relative to 1 - mean, always 0.5, the line strength is 3.5 * 0.5 / 2.
NOISE = np.sqrt(0.03 / 7 - 0.02 / 6)
CHANCE = 4 * NOISE**2 / np.sqrt(6)
BY_HAND = {
    0: (0.02 / 6 - CHANCE) / (1.19 / 6 + CHANCE),
    1: np.sqrt(0.2**2 / (0.1**2 + NOISE**2 - 0.02**2)),
    2: 1 / (0.875 + 4 * NOISE / np.sqrt(2)),
}


@pytest.mark.parametrize("which", BY_HAND)
def test_spectrum_statistics(which):
    inverse_limits = np.zeros(6)
    inverse_limits[which] = 2
    found = domain_by_hand(inverse_limits=inverse_limits).assess(ODD)
    np.testing.assert_allclose(found.spectrum, [2 * BY_HAND[which]], rtol=1e-5, atol=1e-6)
    assert np.isnan(found.bad_pixels).all()


def test_score_is_the_largest_statistic():
    assessment = domain_by_hand().assess(ODD)
    np.testing.assert_allclose(assessment.spectrum, [max(BY_HAND.values())], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(assessment.score, assessment.spectrum)
    assert assessment.flags.tolist() == [NoveltyFlag.SPECTRUM_NOVEL]
    assert assessment.flags.dtype == np.int32


def test_noise_is_estimated_from_the_spectrum():
    for limit, flag in ((NOISE * 1.001, 0), (NOISE * 0.999, NoveltyFlag.NOISIER_THAN_TRAINED)):
        domain = domain_by_hand(inverse_limits=np.array([0, 0, 0, 0, 1 / limit, 0]))
        assert domain.flags(ODD).tolist() == [flag]
        assert np.isnan(domain.score(ODD)).all()  # noise alone does not make a star novel


@pytest.mark.parametrize(
    ("marks", "x_err", "n_bad"),
    [([1, 1], None, 3), ([1, 0], None, 1), ([0, 1], None, 2), ([0, 0], None, 0), ([0, 0], [0, 1, 1, 1, 1, 1, 1, 1], 1)],
)
def test_bad_pixels(marks, x_err, n_bad):
    x = np.array([[0.5, 0.5, 1, 1, 0, 0.5, 0.5, 0.5]])
    x_err = None if x_err is None else np.array([x_err])
    domain = domain_by_hand(marks=np.array(marks), inverse_limits=np.array([0, 0, 0, 5, 0, 0]))
    np.testing.assert_allclose(domain.assess(x, x_err=x_err).bad_pixels, [5 * n_bad / 8])
    assert bool(domain.flags(x, x_err=x_err)[0] & NoveltyFlag.BAD_PIXELS) == (n_bad > 1)


def test_flux_of_bad_pixels_is_not_used():
    domain = domain_by_hand(inverse_limits=np.array([1, 1, 1, 0, 0, 0]))
    x, x_err = np.full((2, 8), 0.5), np.ones((2, 8))
    x[1, 0], x_err[:, 0] = 5.0, 0
    np.testing.assert_allclose(*domain.score(x, x_err=x_err), rtol=1e-6, atol=1e-6)
    assert domain.score(x)[1] > 2 * domain.score(x)[0]


def test_bad_pixels_of_a_component_are_filled_from_the_others():
    """The score of a component over two pixels is nearly recovered if one of them is bad."""
    component = np.sqrt([[0.5, 0.5, 0, 0, 0, 0, 0, 0]]).astype(np.float32)
    domain = domain_by_hand(components=component, noise=np.array(1.0), inverse_limits=np.array([0, 1, 0, 0, 0, 0]))
    x = 0.5 + np.array([[0.2, 0.2, 0, 0, 0, 0, 0, 0]])
    marked = np.where(np.arange(8) == 1, 1.0, x)
    np.testing.assert_allclose(domain.score(x), [np.sqrt(0.08) / 0.1], rtol=1e-5, atol=1e-6)
    # 1/2 of the score without the bad pixel, 3/4 after filling it once, 7/8 after filling it twice
    np.testing.assert_allclose(domain.score(marked), [7 / 8 * np.sqrt(0.08) / 0.1], rtol=1e-5, atol=1e-6)


# Predictions --------------------------------------------------------------------------------------------------------

PLAIN = np.full((1, 8), 0.5)


def test_labels_out_of_range():
    means = [[-0.6], [-0.4], [0.0], [10.0], [10.4], [10.6]]
    domain = domain_by_hand(inverse_limits=np.zeros(6))
    assessment = domain.assess(np.repeat(PLAIN, 6, axis=0), predicted(means))
    np.testing.assert_allclose(assessment.labels, [[1.2], [0.8], [0], [0], [0.8], [1.2]], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(assessment.score, assessment.labels[:, 0])
    expected = NoveltyFlag.LABEL_OUT_OF_RANGE
    assert assessment.flags.tolist() == [expected, 0, 0, 0, 0, expected]


def test_model_uncertainty():
    domain = domain_by_hand(
        inverse_limits=np.array([0, 0, 0, 0, 0, 0.5]),
        label_range=np.array([[0.0] * 3, [10.0] * 3]),
        label_margin=np.ones(3),
        model_scale=np.array([0.1, 0.2, 0.0]),  # unknown for the last label
    )
    models = np.array([[0.1, 0.2, 9], [0.2, 0.6, 9]])  # 1, 1 and 2, 3 in units of the scale
    assessment = domain.assess(np.repeat(PLAIN, 2, axis=0), predicted(np.ones((2, 3)), models, names=tuple("abc")))
    np.testing.assert_allclose(assessment.model, [0.5, 0.5 * np.sqrt((4 + 9) / 2)])
    assert assessment.flags.tolist() == [0, NoveltyFlag.MODEL_UNCERTAIN]


def test_model_uncertainty_of_noisy_stars_is_not_assessed_with_flux_errors():
    """A wave from pixel to pixel counts as noise: 0.05 and 0.1 per pixel, with 0.05 in training."""
    wave = 0.1 * np.array([[0.0, 1, 1, -1, -1, 1, 1, -1]])
    x, x_err = PLAIN + np.array([[0.5], [1.0]]) * wave, np.ones((2, 8))
    domain = domain_by_hand(noise=np.array(0.05), inverse_limits=np.array([0, 0, 0, 0, 1, 1.0]))
    prediction = predicted([[5.0], [5.0]], model=9.0)
    uncertain = NoveltyFlag.MODEL_UNCERTAIN
    assert domain.flags(x, prediction, x_err).tolist() == [uncertain, 0]
    assert domain.flags(x, prediction).tolist() == [uncertain, uncertain]


def test_noise_by_the_flux_errors():
    prediction = predicted([[5.0], [5.0]], noisier=np.array([False, True]))
    domain = domain_by_hand(inverse_limits=np.zeros(6))
    flags = domain.flags(np.repeat(PLAIN, 2, axis=0), prediction, np.ones((2, 8)))
    assert flags.tolist() == [0, NoveltyFlag.NOISIER_THAN_TRAINED]


def test_flags_include_those_of_sdss_v():
    domain = domain_by_hand(inverse_limits=np.zeros(6))
    flags = domain.flags(PLAIN, predicted([[5000.0]], total=301, names=("teff",)))
    assert flags & NoveltyFlag.UNCERTAIN_TEFF


# Learning -----------------------------------------------------------------------------------------------------------


def test_range_and_margin_of_labels():
    labels = np.column_stack([np.linspace(0, 10, 100), np.full(100, 3.0), np.full(100, np.nan)])
    labels[9:, 2] = 1.0  # known in 91
    labels[0, 0] = np.nan
    labels[20, 2] = 2.0
    domain = TrainingDomain.learn(np.random.default_rng(0).normal(size=(100, 6)), labels, random_state=0)
    np.testing.assert_allclose(domain.label_range, [[10 / 99, 3, 1], [10, 3, 2]])
    np.testing.assert_allclose(domain.label_margin, [2 / np.sqrt(99) * (10 - 10 / 99), 0, 2 / np.sqrt(91)])
    x = np.full((1, 6), 0.0)
    assert np.isnan(domain.assess(x, predicted([[5, 99, 1.5]], names=tuple("abc"))).labels[0, 1])


AWKWARD = {
    "no structure": np.random.default_rng(0).normal(size=(200, 10)),
    "two pixels": np.random.default_rng(0).normal(size=(50, 2)),
    "one pixel": np.random.default_rng(0).normal(size=(50, 1)),
    "constant": np.full((30, 4), 3.0),
    "all ones": np.ones((30, 40)),
    "all zeros": np.zeros((30, 40)),
    "one column constant": np.column_stack([np.ones(50), np.random.default_rng(0).normal(size=(50, 6))]),
    "zeros and ones": np.random.default_rng(0).integers(0, 2, size=(50, 12)),
    "huge": np.random.default_rng(0).normal(size=(40, 20)) * 1e30,
    "tiny": np.random.default_rng(0).normal(size=(40, 20)) * 1e-30,
    "ten stars": np.random.default_rng(0).normal(size=(10, 30)),
}


@pytest.mark.parametrize("x", AWKWARD.values(), ids=AWKWARD)
def test_any_data_can_be_learnt(x):
    """Training stars are not novel, all arrays are finite, and absurd flux is flagged."""
    labels = np.arange(len(x), dtype=float)
    domain = TrainingDomain.learn(x, labels, model_std=1 + labels, random_state=0)
    assert all(np.isfinite(values).all() for values in vars(domain).values())
    kept = {name: (values.shape, values.dtype.str) for name, values in vars(domain).items()}
    assert kept == TrainingDomain.array_types(len(domain.spread), x.shape[1], 1)
    assert (domain.score(x, predicted(labels[:, None])) > 1).mean() <= 0.03
    assert domain.flags(np.full((2, x.shape[1]), 3e38)).all()


def test_missing_labels_are_not_learnt():
    x, y = np.random.default_rng(0).normal(1, 0.1, (20, 8)), np.linspace(0, 1, 20)
    expected = TrainingDomain.learn(x, np.where(y > 0.9, np.nan, y), random_state=0)
    for labels in (np.where(y > 0.9, -9999, y), np.ma.array(y, mask=y > 0.9)):
        assert TrainingDomain.learn(x, labels, random_state=0) == expected


@pytest.mark.parametrize(
    "x", [np.ones(8), np.ones((0, 8)), np.full((20, 8), np.nan), [["a"] * 8] * 20, np.ones((19, 8))]
)
def test_spectra_that_cannot_be_learnt(x):
    with pytest.raises(ValueError, match=r"x has shape|NaN|could not convert|inconsistent|to numbers"):
        TrainingDomain.learn(x, np.ones(20))


def test_zeros_mark_bad_pixels_only_if_they_are_rare():
    x = np.random.default_rng(0).normal(size=(50, 10))
    for n_zeros, expected in ((1, 1), (3, 0)):
        x[:, :n_zeros] = 0
        assert TrainingDomain.learn(x, np.zeros(50), random_state=0).marks.tolist() == [expected, 1]


@pytest.mark.parametrize("n_stars", [1, 2, 9])
def test_fewer_than_ten_stars_give_no_limits(n_stars):
    x = np.random.default_rng(0).normal(size=(n_stars, 5))
    domain = TrainingDomain.learn(x, np.arange(n_stars), model_std=np.ones(n_stars), random_state=0)
    assessment = domain.assess(x + 1000, predicted(np.full((n_stars, 1), 1e6)))
    assert np.isnan(assessment.score).all()
    assert not assessment.flags.any()


def spectra_by_hand(n, noise, seed, shift=0):
    """Two lines that vary in strength, on 300 pixels."""
    rng = np.random.default_rng(seed)
    pixel = np.arange(300) - shift
    lines = [np.exp(-0.5 * ((pixel - center) / 3) ** 2) for center in (60, 65, 200)]
    depth = np.column_stack([rng.uniform(0.1, 0.4, n), rng.uniform(0.1, 0.4, n), rng.uniform(0.2, 0.5, n)])
    return 1 - depth @ lines + noise * rng.normal(size=(n, 300))


@pytest.fixture(scope="module")
def small_domain():
    return TrainingDomain.learn(spectra_by_hand(300, 0.01, seed=0), np.zeros(300), random_state=0)


@pytest.mark.parametrize("noise", [0.0005, 0.01, 0.2])
def test_noise_alone_is_not_novel(small_domain, noise):
    x = spectra_by_hand(1000, noise, seed=1)
    assert (small_domain.score(x) > 1).mean() <= 0.01
    noisier = small_domain.flags(x) & NoveltyFlag.NOISIER_THAN_TRAINED
    assert (noisier > 0).mean() == pytest.approx(float(noise > 0.01), abs=0.01)


def test_limits_of_many_stars_come_from_the_half_that_is_not_in_the_components():
    x = np.random.default_rng(0).normal(size=(1500, 400))  # pure noise, which components fit well in their own stars
    domain = TrainingDomain.learn(x, np.zeros(1500), random_state=0)
    assert (domain.score(np.random.default_rng(1).normal(size=(4000, 400))) > 1).mean() <= 0.005
    order = np.random.RandomState(0).permutation(1500)
    center = x[order[:750]].mean(axis=0)
    np.testing.assert_allclose(domain.center, center, rtol=1e-5, atol=1e-6)


def test_spectra_of_mostly_bad_pixels_are_novel_to_few_stars():
    rng = np.random.default_rng(0)
    x = rng.normal(1, 0.01, size=(30, 400))
    x[:3, :200] = 1  # a tenth of the stars has many bad pixels, so that the limit would be wide
    domain = TrainingDomain.learn(x, rng.normal(size=30), random_state=0)
    assert 1 / domain.inverse_limits[3] <= 0.5


def test_noise_added_in_training_raises_the_limit():
    x, noisier = spectra_by_hand(300, 0.01, seed=0), spectra_by_hand(300, 0.035, seed=1)
    for added_noise, expected in ((0, 1), (4, 0)):
        domain = TrainingDomain.learn(x, np.zeros(300), added_noise=added_noise, random_state=0)
        assert ((domain.flags(noisier) & NoveltyFlag.NOISIER_THAN_TRAINED) > 0).mean() == expected


@pytest.mark.parametrize("noise", [0.002, 0.05])
def test_noise_shared_with_the_next_pixel_is_not_novel(small_domain, noise):
    """Resampled spectra have such noise; here with a correlation of 0.4."""
    fresh = np.random.default_rng(2).normal(size=(1000, 301)) / np.sqrt(1.25)
    x = spectra_by_hand(1000, 0, seed=1) + noise * (fresh[:, 1:] + 0.5 * fresh[:, :-1])
    assert (small_domain.score(x) > 1).mean() <= 0.01


@pytest.mark.parametrize("noise", [0.0005, 0.05])
def test_shifted_or_missing_lines_are_novel(small_domain, noise):
    assert (small_domain.score(spectra_by_hand(100, noise, seed=1, shift=30)) > 1).all()
    assert (small_domain.score(1 + np.random.default_rng(0).normal(size=(100, 300)) * noise) > 1).all()


def test_results_do_not_depend_on_other_spectra(small_domain):
    x = spectra_by_hand(600, 0.01, seed=3)
    x[::3, 5] = 0  # bad pixels
    whole, noise = small_domain.score(x), small_domain.pixel_noise(x)
    np.testing.assert_array_equal(small_domain.score(x[500:503]), whole[500:503])
    np.testing.assert_array_equal(small_domain.score(x[::-1])[::-1], whole)
    np.testing.assert_array_equal(small_domain.pixel_noise(x[501:502]), noise[501:502])


def test_equal_seeds_give_equal_domains():
    x = spectra_by_hand(100, 0.01, seed=0)
    domains = [TrainingDomain.learn(x, np.zeros(100), random_state=seed) for seed in (0, 0, 1)]
    assert domains[0] == domains[1]
    assert domains[0] != domains[2]
    assert domains[0] != "a domain"


def test_pickles_and_arrays_restore_the_domain(small_domain):
    assert pickle.loads(pickle.dumps(small_domain)) == small_domain
    assert TrainingDomain(**vars(small_domain)) == small_domain


def test_arrays_of_the_caller_do_not_change():
    x, x_err = spectra_by_hand(50, 0.01, seed=0).astype(np.float32), np.full((50, 300), 0.01, dtype=np.float32)
    x[:, 5] = 1
    before = x.copy(), x_err.copy()
    TrainingDomain.learn(x, np.zeros(50), x_err, random_state=0).assess(x, x_err=x_err)
    np.testing.assert_array_equal((x, x_err), before)


@pytest.mark.parametrize(
    ("x", "prediction", "x_err", "match"),
    [
        (np.ones((2, 5)), None, None, r"x has shape \(2, 5\), expected \(n_samples, 8\)"),
        (np.ones(8), None, None, r"x has shape \(8,\)"),
        (np.ones((0, 8)), None, None, "one sample or more"),
        (np.full((1, 8), np.nan), None, None, "X contains NaN"),
        (np.ones((2, 8)), None, np.ones((1, 8)), "x_err has shape"),
        (np.ones((2, 8)), predicted([[1.0]]), None, "1 stars and 1 labels, expected 2 and 1"),
        (np.ones((1, 8)), predicted([[1.0, 2.0]], names=("a", "b")), None, "1 stars and 2 labels, expected 1 and 1"),
    ],
)
def test_inputs_that_do_not_match_raise_an_error(x, prediction, x_err, match):
    with pytest.raises(ValueError, match=match):
        domain_by_hand().assess(x, prediction, x_err)


def test_import_does_not_load_tensorflow():
    code = "import sys, skbcnn.novelty; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Giants -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def giants_domain():
    stars = make_apogee_spectra(400, continuum="true", random_state=101)
    return TrainingDomain.learn(stars.X, stars.truth, stars.X_err, random_state=0)


@pytest.fixture(scope="module")
def good_stars():
    """Giants like the training stars, by signal-to-noise ratio."""
    return {snr: make_apogee_spectra(300, snr=snr, continuum="true", random_state=200 + snr) for snr in (50, 200)}


@pytest.mark.parametrize("name", OUT_OF_DISTRIBUTION)
def test_out_of_distribution_spectra_are_flagged(giants_domain, good_stars, name):
    make, bit = OUT_OF_DISTRIBUTION[name]
    for snr, stars in good_stars.items():
        few = type(stars)(**{key: stars[key][:20] for key in ("X", "X_err", "truth")})
        x, x_err = make(few, snr, np.random.default_rng(7))
        for errors in (x_err, None):
            assert (giants_domain.flags(x, x_err=errors) & bit).all()
            assert (giants_domain.score(x, x_err=errors) > 1).all()


def test_good_giants_are_not_novel(giants_domain, good_stars):
    for stars in good_stars.values():
        for errors in (stars.X_err, None):
            assert (giants_domain.score(stars.X, x_err=errors) > 1).sum() <= 3


def test_real_giants_are_novel_to_synthetic_ones(giants_domain):
    for name in ("apStar-dr17-2M17335483-2753043.fits.gz", "apStar-dr17-2M19485057+5005279.fits"):
        star = read_apstar(Path(__file__).parents[1] / "data" / name)
        x, x_err = prepare_spectra(star.flux, star.error, star.bitmask)
        assert (giants_domain.flags(x, x_err=x_err) & NoveltyFlag.SPECTRUM_NOVEL).all()


def test_domain_is_small(giants_domain):
    assert len(pickle.dumps(giants_domain)) < 1e6
