"""
Does it measure aluminium, or guess it?
=======================================

In the Milky Way aluminium follows magnesium. In the globular cluster M13 it does not: there aluminium differs from star
to star, and magnesium hardly does. A network that has learnt from the Milky Way may read aluminium where it should, in
the lines of aluminium, or guess it from the lines of magnesium; only such a cluster tells which. This is the experiment
of `Leung & Bovy (2019) <https://doi.org/10.1093/mnras/sty3217>`_, section 6, on synthetic stars and in small.
"""

# %%
# Stars and networks
# ------------------
#
# Two networks by one recipe learn from stars of the Milky Way. The *censored* one reads each element in that element's
# own windows, the other sees the whole spectrum.

import matplotlib.pyplot as plt
import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, make_apogee_spectra
from skbcnn.apogee import preset
from skbcnn.plotting import AbundancePlaneDisplay
from skbcnn.survey import APOGEE_LABELS

N_STARS = 1200
N_CLUSTER = 500
N_EPOCHS = 20

stars = make_apogee_spectra(N_STARS, random_state=603)
cluster = make_apogee_spectra(N_CLUSTER, population="globular_cluster", random_state=604)

recipe = preset("few_thousand_stars") | {"max_epochs": N_EPOCHS, "random_state": 603}
networks = {
    "censored": ApogeeBCNNCensoredRegressor(**recipe),
    "sees everything": CensoredBCNNRegressor(target=APOGEE_LABELS, **recipe),
}
for network in networks.values():
    network.fit(stars.X, stars.y, x_err=stars.X_err, y_err=stars.y_err)

# %%
# Aluminium, predicted and true
# -----------------------------
#
# Neither network has seen a star of the cluster. The slope of least squares of predicted against true [Al/H] is 1 for
# one that measures aluminium, and 0 for one that knows nothing of it. The slope of [Mg/H] against true [Al/H] should be
# 0.

al, mg = APOGEE_LABELS.index("Al"), APOGEE_LABELS.index("Mg")
true_al = cluster.truth[:, al]
predicted = {name: network.predict(cluster.X) for name, network in networks.items()}
slopes = {}
print("slope of              [Al/H]  [Mg/H]")
for name, labels in predicted.items():
    slopes[name] = [np.polyfit(true_al, labels[:, element], 1)[0] for element in (al, mg)]
    print("{:21} {:6.2f}  {:6.2f}".format(name, *slopes[name]))

# %%
# The dashed line is where prediction and truth agree, with a slope of 1; the orange line is the fit.

plt.rc("font", size=8)
plt.rc("axes", titlesize=9, labelsize=9)
plt.rc("legend", frameon=False)
panels = {"sharex": True, "sharey": True, "figsize": (7, 3.6), "layout": "constrained"}

figure, axes = plt.subplots(1, 2, **panels)
ends = np.array([true_al.min() - 0.1, true_al.max() + 0.1])
for ax, (name, labels) in zip(axes, predicted.items(), strict=True):
    slope, offset = np.polyfit(true_al, labels[:, al], 1)
    ax.plot(true_al, labels[:, al], "o", color="#0072B2", ms=3, alpha=0.5, mec="none")
    ax.plot(ends, ends, "k--", lw=0.8, label="slope 1")
    ax.plot(ends, slope * ends + offset, color="#D55E00", label=f"slope {slope:.2f}")
    ax.set(title=name, xlabel="True [Al/H] (dex)", aspect="equal")
    ax.tick_params(direction="in", top=True, right=True)
    ax.locator_params(steps=[2])
    ax.legend(loc="upper left")
axes[0].set_ylabel("Predicted [Al/H] (dex)")

# %%
# The censored network follows aluminium, though not all the way where there is little of it: hardly any star that it
# learnt from is like these. The other one stays near one value.
#
# Aluminium and magnesium
# -----------------------
#
# Which value that is, magnesium tells. In the plane of both elements the Milky Way is a diagonal, and the cluster a
# column across it. The censored network sees a column, too, if a shorter one. The other one puts the stars of the
# cluster onto the diagonal.

plane = {"x_name": "Mg", "y_name": "Al", "y_true": cluster.truth}
figure, axes = plt.subplots(1, 2, **panels)
for ax, (name, labels) in zip(axes, predicted.items(), strict=True):
    AbundancePlaneDisplay.from_predictions(labels, ax=ax, **plane)
    milky_way = stars.truth[:, mg], stars.truth[:, al]
    ax.plot(*milky_way, "o", color="#E69F00", ms=2, mec="none", zorder=0, label="Milky Way")
    ax.set(title=name, xlim=(-1.5, 0.7), ylim=(-1.7, 0.7))
    ax.legend(loc="lower right", markerscale=1.5)
axes[1].set_ylabel("")
plt.show()

# %%
# How much slope any honest estimate must lose, what more stars change, and which numbers were measured on which seeds,
# is in :doc:`/trust`, under *Does it measure aluminium?*
