"""
Does it measure aluminium, or guess it?
=======================================

In the Milky Way, the abundance of aluminium follows that of magnesium. In the globular cluster M13 it does not:
aluminium differs from star to star, and magnesium hardly varies. A network that was trained on the Milky Way may
measure aluminium from the lines of aluminium, or guess it from the lines of magnesium. Such a cluster shows which. This
is the experiment of `Leung & Bovy (2019) <https://doi.org/10.1093/mnras/sty3217>`_, section 6, on a small number of
synthetic stars.
"""

# %%
# Stars and networks
# ------------------
#
# Two networks with the default parameters, but fewer epochs, are trained on stars of the Milky Way. The *censored*
# network reads each element from the windows of this element. The other network reads all labels from the full
# spectrum.

import matplotlib.pyplot as plt
import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
from skbcnn.plotting import AbundancePlaneDisplay
from skbcnn.survey import APOGEE_LABELS

N_STARS = 1200
N_CLUSTER = 500
N_EPOCHS = 20

stars = make_apogee_spectra(N_STARS, continuum="true", random_state=603)
cluster = make_apogee_spectra(N_CLUSTER, population="globular_cluster", continuum="true", random_state=604)

recipe = {"max_epochs": N_EPOCHS, "random_state": 603}
networks = {
    "censored": ApogeeBCNNCensoredRegressor(**recipe),
    "sees everything": ApogeeBCNNCensoredRegressor(windows={}, **recipe),
}
for network in networks.values():
    network.fit(stars.X, stars.y, x_err=stars.X_err, y_err=stars.y_err)

# %%
# Aluminium, predicted and true
# -----------------------------
#
# No star of the cluster is in the training set. The least-squares slope of predicted against true [Al/H] is 1 for a
# network that measures aluminium, and 0 for a network without information about aluminium. The slope of the predicted
# [Mg/H] against the true [Al/H] should be 0.

al, mg = APOGEE_LABELS.index("Al"), APOGEE_LABELS.index("Mg")
true_al = cluster.truth[:, al]
predicted = {name: network.predict(cluster.X) for name, network in networks.items()}
slopes = {}
print("slope of              [Al/H]  [Mg/H]")
for name, labels in predicted.items():
    slopes[name] = [np.polyfit(true_al, labels[:, element], 1)[0] for element in (al, mg)]
    print("{:21} {:6.2f}  {:6.2f}".format(name, *slopes[name]))

# %%
# Prediction and truth agree on the dashed line, which has a slope of 1. The orange line is the least-squares fit.

plt.rc("font", size=8)
plt.rc("axes", titlesize=9, labelsize=9)
plt.rc("legend", frameon=False)
panels = {"sharex": True, "sharey": True, "figsize": (7, 3.8), "layout": "constrained"}

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
# The censored network follows the true abundance, but not completely where there is little aluminium: the training set
# has hardly any such stars. The predictions of the other network vary much less.
#
# Aluminium and magnesium
# -----------------------
#
# Magnesium explains this. In the plane of both elements, the stars of the Milky Way are on a diagonal, and those
# of the cluster form a vertical column. The predictions of the censored network form a column, too, but a shorter one.
# The other network places the stars of the cluster on the diagonal.

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
# The page :doc:`/trust` has more results under *Does it measure aluminium?*: spectra made from real ones, more training
# stars, and the published recipe.
