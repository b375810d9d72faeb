"""The likely cause if most spectra of a sample are out-of-distribution."""

import re

import numpy as np
import pytest

from skbcnn.novelty import NoveltyFlag, TrainingDomain
from skbcnn.novelty.causes import explain_outside, suspect_rows

N_PIXELS = 600
PIXELS = np.arange(N_PIXELS)
CENTERS = np.arange(12, N_PIXELS, 24) + 5 * np.sin(np.arange(25))


def draw(n_stars, seed):
    """Return spectra with 25 lines of common strength."""
    rng = np.random.default_rng(seed)
    profile = np.exp(-((PIXELS - CENTERS[:, np.newaxis]) ** 2) / 4).sum(axis=0)
    return 1 - rng.uniform(0.2, 0.4, (n_stars, 1)) * profile + 0.01 * rng.standard_normal((n_stars, N_PIXELS))


def with_spikes(x):
    x = x.copy()
    x[:, 7::50] = 3.0
    return x


def with_dead_pixels(x):
    x = x.copy()
    x[:, :90] = 1.0
    return x


def observed_frame(x):
    return np.array([np.roll(row, 3 + 2 * (star % 7)) for star, row in enumerate(x)])


@pytest.fixture(scope="module")
def domain():
    x = draw(200, seed=0)
    return TrainingDomain.learn(x, x[:, :1], random_state=0)


def explain(domain, x, share=1.0):
    flags = np.where(np.arange(len(x)) < share * len(x), NoveltyFlag.SPECTRUM_NOVEL, 0)
    return explain_outside(domain, flags, x[flags > 0])


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda x: 0.95 * x, r"the normalisation\. The flux is 4\.8% below that of the training.*prepare_for_model"),
        (lambda x: 300 * x, r"the normalisation\. The flux is 301 times that of the training.*median 298"),
        (lambda x: np.roll(x, 6, axis=1), r"the pixels\. The lines of all spectra lie 6 pixels to the right"),
        (observed_frame, r"velocity shifts\. The lines lie 9 pixels \(median; it differs from star to star\)"),
        (with_dead_pixels, r"bad pixels\. In the median spectrum 15\.0% of the pixels are bad, and the limit is 5\.0%"),
        (with_spikes, r"spikes\. The median spectrum has 12 pixels far above the continuum"),
        (lambda x: x[:, np.random.default_rng(2).permutation(N_PIXELS)], "other lines than the training spectra"),
    ],
)
def test_the_cause_is_measured(domain, change, cause):
    text = explain(domain, change(draw(20, seed=1)))
    assert text.startswith("20 of 20 spectra are out-of-distribution. Likely cause: ")
    assert re.search(cause, text), text
    assert "Also" not in text


def test_spikes_look_like_noise(domain):
    flags = np.full(20, NoveltyFlag.NOISIER_THAN_TRAINED)
    text = explain_outside(domain, flags, with_spikes(draw(20, seed=1)))
    assert text.startswith("20 of 20 spectra are noisier than the training spectra, or out-of-distribution. Likely")
    assert "spikes. The median spectrum has 12 pixels far above the continuum" in text
    noise = np.random.default_rng(1).normal(0, 0.1, (20, N_PIXELS))
    assert explain_outside(domain, flags, 0.95 * draw(20, seed=1) + noise) is None


def test_few_rows_are_looked_at():
    flags = np.where(np.arange(1000) % 2, NoveltyFlag.BAD_PIXELS, NoveltyFlag.UNCERTAIN_LOGG)
    rows = suspect_rows(flags)
    assert len(rows) <= 200
    assert (rows % 2 == 1).all()
    assert rows.max() > 990


def test_two_causes(domain):
    text = explain(domain, 2.5 * np.roll(draw(20, seed=1), -4, axis=1))
    assert "the normalisation" in text
    assert "Also: the pixels. The lines of all spectra lie 4 pixels to the left" in text


def test_half_of_the_spectra_or_few_spectra_need_no_explanation(domain):
    assert explain(domain, draw(20, seed=1), share=0.5) is None
    assert explain(domain, draw(20, seed=1), share=0.6).startswith("12 of 20 spectra")
    assert explain(domain, draw(9, seed=1)) is None


def test_any_spectra_can_be_explained(domain):
    for x in (np.ones((10, N_PIXELS)), np.zeros((10, N_PIXELS)), np.full((10, N_PIXELS), -1e30)):
        assert "Likely cause" in explain(domain, x)
    tiny = TrainingDomain.learn(np.ones((12, 3)), np.arange(12.0), random_state=0)
    assert "Likely cause" in explain(tiny, np.zeros((10, 3)))


def test_labels_out_of_range(domain):
    flags = np.full(10, NoveltyFlag.LABEL_OUT_OF_RANGE)
    assert "labels lie outside the range of the training labels" in explain_outside(domain, flags, draw(10, seed=1))
