"""What a model says about spectra: labels, and how far off they may be."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """Labels of spectra with their uncertainties, in label units.

    Attributes
    ----------
    mean : ndarray of shape (n_samples, n_labels)
        Average over the posterior draws. With one label given as a 1-D `y` in `fit`, this and all below are 1-D.
    model : ndarray of shape (n_samples, n_labels)
        Epistemic standard deviation: what the network does not know, the spread of the draws.
    predictive : ndarray of shape (n_samples, n_labels)
        Aleatoric standard deviation: what the spectrum does not tell, as the network predicts it.
    total : ndarray of shape (n_samples, n_labels)
        Both, added in quadrature: the error bar.
    label_names : tuple of str
        The columns.
    noisier : ndarray of bool of shape (n_samples,) or None
        Stars whose flux errors exceed those of every training star: nothing was learnt about such spectra. None
        where flux errors were not given in `fit` or in `predict`.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.1.
    .. [2] Kendall & Gal (2017), NeurIPS, equation 9.
    """

    mean: np.ndarray
    model: np.ndarray
    predictive: np.ndarray
    total: np.ndarray
    label_names: tuple[str, ...]
    noisier: np.ndarray | None = None

    def std(self, kind="total"):
        """Standard deviation of one kind.

        Parameters
        ----------
        kind : {"total", "predictive", "model"}, default="total"
            Which.

        Returns
        -------
        std : ndarray
            Shaped as `mean`.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        if kind not in ("total", "predictive", "model"):
            raise ValueError(f"kind={kind!r}, expected 'total', 'predictive' or 'model'.")
        return getattr(self, kind)
