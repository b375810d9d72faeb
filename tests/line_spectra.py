"""Small spectra whose lines answer to known labels, for tests that train a network."""

import numpy as np


def draw_line_spectra(n, seed, noise=0.01):
    """Return spectra with two lines on 80 pixels, whose depths depend on the labels, and the labels."""
    rng = np.random.default_rng(seed)
    z, pixel = rng.normal(size=(n, 2)), np.arange(80)
    depth = 0.3 + 0.05 * z
    lines = [np.exp(-((pixel - center) ** 2) / 18) for center in (20, 50)]
    X = 1 - depth @ lines + noise * rng.normal(size=(n, 80))
    y = z * [300, 0.3] + [4700, 0]
    y[::7, 1] = -9999
    return X, y
