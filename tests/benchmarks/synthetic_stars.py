"""Fit models to synthetic stars, and compare predictions with the true labels."""

from astropy.stats import mad_std

from tests.benchmarks.speed import timed


def fit_to(model, stars):
    """Fit a regressor to spectra with flux errors and label errors, and return the seconds that this takes."""
    return timed(model.fit, stars.X, stars.y, x_err=stars.X_err, y_err=stars.y_err)


def residual_scatter(predicted, truth):
    """Return the robust standard deviation of the residuals of each label."""
    return mad_std(predicted - truth, axis=0)


def first_stars(stars, n_stars):
    """Return the spectra, the flux errors and the true labels of the first stars."""
    return type(stars)(**{key: stars[key][:n_stars] for key in ("X", "X_err", "truth")})
