"""Partial pooling: the distribution over labels of a parameter that each label determines with its own error.

A label whose stars determine its parameter poorly is drawn towards the other labels, and a label whose stars determine
it well keeps its own value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Population(NamedTuple):
    """What is assumed about a parameter of the labels before its values are known.

    Attributes
    ----------
    center : float
        Most probable mean over the labels.
    center_error : float
        Uncertainty of this mean.
    typical_width : float
        Typical standard deviation between labels: the scale of a half-normal prior.

    References
    ----------
    .. [1] Gelman et al. (2013), Bayesian Data Analysis, third edition, section 5.4: normal values with known errors and
       a normal population; equations 5.20 and 5.21.
    .. [2] Gelman (2006), Bayesian Analysis 1, 515: priors of the width.
    """

    center: float
    center_error: float
    typical_width: float

    def mean_and_width(self, values: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
        """Return the mean and the standard deviation of the parameter of a further label, given those of others.

        Parameters
        ----------
        values : ndarray of shape (n_labels,)
            Estimates, one for each label.
        errors : ndarray of shape (n_labels,)
            Their standard errors.

        Returns
        -------
        mean, width : float
            Of the predictive distribution: the marginal likelihood of the width of the population is averaged over a
            grid, and the width includes the uncertainty of the mean.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn.calibration.population import Population
        >>> prior = Population(center=0.0, center_error=1.0, typical_width=0.3)
        >>> mean, width = prior.mean_and_width(np.array([0.2, 0.0, 0.1, 0.1]), np.full(4, 0.1))
        >>> round(mean, 2), round(width, 2)
        (0.1, 0.15)
        """
        width = self.typical_width * np.linspace(0.05, 4, 80)
        variance = width[:, np.newaxis] ** 2 + errors**2
        precision = (1 / variance).sum(axis=1) + self.center_error**-2
        mean = ((values / variance).sum(axis=1) + self.center / self.center_error**2) / precision
        misfit = ((values - mean[:, np.newaxis]) ** 2 / variance).sum(axis=1)
        misfit += ((mean - self.center) / self.center_error) ** 2 + (width / self.typical_width) ** 2
        log_probability = -0.5 * (np.log(variance).sum(axis=1) + np.log(precision) + misfit)
        weight = np.exp(log_probability - log_probability.max())
        average = np.average(mean, weights=weight)
        second_moment = np.average(width**2 + 1 / precision + (mean - average) ** 2, weights=weight)
        return float(average), float(np.sqrt(second_moment))

    def shrunk(self, values: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Return the estimates drawn towards each other, each according to its standard error.

        Parameters
        ----------
        values, errors : ndarray of shape (n_labels,)
            As in `mean_and_width`.

        Returns
        -------
        shrunk : ndarray of shape (n_labels,)

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn.calibration.population import Population
        >>> prior = Population(center=0.0, center_error=1.0, typical_width=0.3)
        >>> prior.shrunk(np.array([0.2, 0.0, 0.1, 0.9]), np.array([0.01, 0.01, 0.01, 9.0])).round(2)
        array([0.2, 0. , 0.1, 0.1])
        """
        mean, width = self.mean_and_width(values, errors)
        return mean + (values - mean) * width**2 / (width**2 + errors**2)
