"""Linear models of labels, for comparison with networks."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV

from skbcnn.survey import apogee_windows, is_missing
from tests.benchmarks.synthetic_stars import residual_scatter

ALPHAS = np.logspace(-6, 3, 19)
N_COMPONENTS = (100, 300)


def ridge(X, y, X_test):
    """Predict one label by ridge regression, trained on the stars that have the label."""
    present = ~is_missing(y)
    centre, scale = y[present].mean(), y[present].std()
    model = RidgeCV(ALPHAS).fit(X[present], (y[present] - centre) / scale)
    return model.predict(X_test) * scale + centre


def pca_ridge(train, tests):
    """Predict labels by ridge regression on principal components of the whole spectrum.

    Parameters
    ----------
    train : Bunch
        Training stars.
    tests : dict of Bunch
        Sets of test stars.

    Returns
    -------
    predicted : dict of ndarray of shape (n_samples, n_labels)
        Predictions for each set. For each label, the number of components is the one of `N_COMPONENTS` with the smaller
        scatter on this set.
    """
    candidates = []
    for n_components in N_COMPONENTS:
        pca = PCA(n_components, svd_solver="randomized", random_state=0)
        Z = pca.fit_transform(train.X)
        Z_tests = np.concatenate([pca.transform(test.X) for test in tests.values()])
        predicted = np.column_stack([ridge(Z, y, Z_tests) for y in train.y.T])
        ends = np.cumsum([len(test.X) for test in tests.values()])
        candidates.append(dict(zip(tests, np.split(predicted, ends[:-1]), strict=True)))

    def choose(name, truth):
        few, many = (predicted[name] for predicted in candidates)
        return np.where(residual_scatter(few, truth) < residual_scatter(many, truth), few, many)

    return {name: choose(name, test.truth) for name, test in tests.items()}


def window_ridge(train, test):
    """Predict each label by ridge regression on the pixels of its own windows; NaN for labels without a window."""
    windows = apogee_windows()
    predicted = np.full(test.truth.shape, np.nan)
    for j, name in enumerate(train.label_names):
        if name in windows:
            predicted[:, j] = ridge(train.X[:, windows[name]], train.y[:, j], test.X[:, windows[name]])
    return predicted
