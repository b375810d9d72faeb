"""
All pictures of one network
===========================

A small network, trained in a minute or less, and what :mod:`skbcnn.plotting` draws of it. The displays work as those of
scikit-learn do: ``from_estimator`` asks a fitted model, ``from_predictions`` takes what was predicted before, both
draw, and ``plot`` draws again. ``ax`` lets them draw in a figure of one's own.
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
    SpectrumDisplay,
    TrainingHistoryDisplay,
)

N_STARS = 600
N_TEST = 300
N_EPOCHS = 20

train = make_apogee_spectra(N_STARS, random_state=4)
snr = np.random.default_rng(2).uniform(50, 200, N_TEST)
test = make_apogee_spectra(N_TEST, snr=snr, random_state=2)
model = ApogeeBCNNCensoredRegressor.from_preset(
    "few_thousand_stars",
    batch_size=32,
    max_epochs=N_EPOCHS,
    random_state=4,
)
model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)

# %%
# One spectrum
# ------------
#
# Flux and its error, chip by chip. The windows in which the network may read aluminium are shaded.

SpectrumDisplay.from_spectrum(test.X[0], test.X_err[0], label_name="Al")

# %%
# The network
# -----------
#
# What is told to what, how wide each layer is, and how many weights it has.

ArchitectureDisplay.from_estimator(model)

# %%
# Learning curve
# --------------
#
# The loss of the stars that it learns from and of those held out, and the learning rate: two epochs up, then down along
# half a cosine.

TrainingHistoryDisplay.from_estimator(model)

# %%
# Residuals of all labels
# -----------------------
#
# Predicted against true, of stars that the network has not seen. It has learnt from few, which shows where lines are
# few and weak: phosphorus, sulphur, vanadium.

ResidualOverviewDisplay.from_estimator(model, test.X, test.truth)

# %%
# Residuals of one label
# ----------------------
#
# Prediction minus truth along the true value, with its running median and scatter. Colours are S/N.

ResidualDisplay.from_estimator(model, test.X, test.truth, label_name="Fe", snr=snr)

# %%
# Do the error bars cover?
# ------------------------
#
# On the left the share of true labels within intervals of each nominal coverage, a line for each label; error bars of
# the right size follow the diagonal. On the right the residuals in units of their error bars, beside the unit normal.
# Stars that were held out in training told how large these error bars should be; a tenth of 600 is too few to get each
# label right.

prediction = model.predict_distribution(test.X)
ErrorCalibrationDisplay.from_predictions(test.truth, prediction.mean, prediction.std("calibrated"))

# %%
# Kiel diagram
# ------------
#
# Where the stars stand in temperature and gravity, in the colours of a third label.

KielDisplay.from_predictions(prediction.mean, prediction.total)

# %%
# Abundance plane
# ---------------
#
# Two labels, or ratios of abundances, with their errors; truth behind.

AbundancePlaneDisplay.from_predictions(
    prediction.mean,
    prediction.total,
    x_name="Fe",
    y_name="Mg/Fe",
    y_true=test.truth,
)

# %%
# What the network looks at
# -------------------------
#
# Derivative of a label by the flux of each pixel, averaged over stars and draws. The legend tells how much of it falls
# into the label's own windows; the rest is what the network asks about the star as a whole.

JacobianDisplay.from_estimator(model, test.X[:20], label_name="Al")
plt.show()
