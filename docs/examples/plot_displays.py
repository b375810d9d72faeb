"""
All figures of one network
==========================

This program trains a small network in about a minute, and draws all figures of :mod:`skbcnn.plotting`. The displays
work like those of scikit-learn: ``from_estimator`` predicts with a fitted model, and ``from_predictions`` takes
predictions. Both draw, and ``plot`` draws again. Pass ``ax`` to draw on axes of your own figure.
"""

# sphinx_gallery_thumbnail_number = 7

import matplotlib.pyplot as plt
import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
from skbcnn.plotting import (
    AbundancePlaneDisplay,
    ArchitectureDisplay,
    ErrorCalibrationDisplay,
    JacobianDisplay,
    KielDisplay,
    ResidualDisplay,
    ResidualOverviewDisplay,
    ResponseDisplay,
    SpectrumDisplay,
    TrainingHistoryDisplay,
)

N_STARS = 600
N_TEST = 300
N_EPOCHS = 20

train = make_apogee_spectra(N_STARS, random_state=4)
snr = np.random.default_rng(2).uniform(50, 200, N_TEST)
test = make_apogee_spectra(N_TEST, snr=snr, kind="visit", random_state=2)  # single visits of other stars
model = ApogeeBCNNCensoredRegressor(max_epochs=N_EPOCHS, random_state=4)
model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)

# %%
# One spectrum
# ------------
#
# The flux and its error, with a panel for each chip. The windows of aluminium are shaded.

SpectrumDisplay.from_spectrum(test.X[0], test.X_err[0], label_name="Al")

# %%
# The network
# -----------
#
# The layers with their connections, their widths and their numbers of weights.

ArchitectureDisplay.from_estimator(model)

# %%
# Learning curve
# --------------
#
# The loss of the training stars and of the held-out stars, and the learning rate, which increases during two epochs and
# then decreases along half a cosine.

TrainingHistoryDisplay.from_estimator(model)

# %%
# Residuals of all labels
# -----------------------
#
# Predicted against true labels of stars that were not used in training. The training set is small, so that elements
# with few and weak lines are inaccurate: phosphorus, sulphur and vanadium.

ResidualOverviewDisplay.from_estimator(model, test.X, test.truth)

# %%
# Residuals of one label
# ----------------------
#
# Prediction minus truth against the true value, with the running median and scatter. The colours show the S/N.

ResidualDisplay.from_estimator(model, test.X, test.truth, label_name="Fe", snr=snr)

# %%
# Do the error bars cover?
# ------------------------
#
# The left panel shows the observed against the nominal coverage of intervals, with a line for each label. Correct error
# bars are on the diagonal. The right panel shows the residuals in units of their error bars, and the standard normal
# distribution. These error bars were calibrated on the held-out stars, varied as visits vary. A tenth of 600 stars is
# too few to calibrate each label.

prediction = model.predict_distribution(test.X)
ErrorCalibrationDisplay.from_predictions(test.truth, prediction.mean, prediction.std("calibrated"))

# %%
# Kiel diagram
# ------------
#
# Surface gravity against effective temperature, with a third label as colour.

KielDisplay.from_predictions(prediction.mean, prediction.total)

# %%
# Abundance plane
# ---------------
#
# Two labels, or ratios of abundances, with their errors. True values are grey.

AbundancePlaneDisplay.from_predictions(
    prediction.mean,
    prediction.total,
    x_name="Fe",
    y_name="Mg/Fe",
    y_true=test.truth,
)

# %%
# Does each label measure itself?
# -------------------------------
#
# The change of each predicted label (row) when one true label (column) changes and all others stay. A measured label
# has an own response near 1, on the diagonal, and foreign responses near 0. Responses within two standard errors of 0
# are white.

ResponseDisplay.from_predictions(test.truth, prediction)

# %%
# Pixels that the network uses
# ----------------------------
#
# The derivative of a label with respect to the flux of each pixel, averaged over stars and draws. The legend shows the
# share within the windows of the label. The rest comes from the context, which depends on the full spectrum.

JacobianDisplay.from_estimator(model, test.X[:20], label_name="Al")
plt.show()
