"""What a model says about spectra: labels, and how far off they may be."""

import re
from dataclasses import dataclass

import numpy as np

from skbcnn._optional_dependencies import require_extra

_ERROR_NAMES = {  # of columns, by naming and kind of error
    "skbcnn": {
        "total": "{}_err",
        "model": "{}_err_model",
        "predictive": "{}_err_predictive",
        "calibrated": "{}_err_calibrated",
    },
    "sdssv": {
        "total": "e_{}",
        "model": "e_{}_model",
        "predictive": "e_{}_predictive",
        "calibrated": "e_{}_calibrated",
    },
}


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
    calibrated : ndarray of shape (n_samples, n_labels) or None
        The error bar as held-out stars, or repeat visits, say that it should be: `total` by the model's
        `error_model_`. None if it has none.

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
    calibrated: np.ndarray | None = None

    def std(self, kind="total"):
        """Standard deviation of one kind.

        Parameters
        ----------
        kind : {"total", "predictive", "model", "calibrated"}, default="total"
            Which.

        Returns
        -------
        std : ndarray
            Shaped as `mean`.

        Raises
        ------
        ValueError
            If there is no such kind, or the model was not calibrated.
        """
        if kind not in _ERROR_NAMES["skbcnn"]:
            raise ValueError(f"kind={kind!r}, expected 'total', 'predictive', 'model' or 'calibrated'.")
        if getattr(self, kind) is None:
            raise ValueError(
                "The model has no calibrated error bars: too few stars were held out in fit, or none (calibrate=True "
                "and validation_fraction > 0 hold some out). Ask for kind='total', or learn them from repeat visits "
                "with fit_noise_model."
            )
        return getattr(self, kind)

    def to_table(self, errors=("total",), naming="skbcnn"):
        """The labels and their error bars as a table with units.

        Parameters
        ----------
        errors : sequence of {"total", "model", "predictive", "calibrated"}, default=("total",)
            The kinds of error that follow each label.
        naming : {"skbcnn", "sdssv"}, default="skbcnn"
            How columns are called. ``"sdssv"``: as in the AstroNN product of SDSS-V, ``teff``, ``e_teff``, ``c_1_h``,
            ``e_c_1_h``, ...

        Returns
        -------
        table : astropy.table.Table
            For each label ``<label>`` and, of `errors`, ``<label>_err`` (total), ``<label>_err_model``,
            ``<label>_err_predictive`` and ``<label>_err_calibrated``, or ``e_<label>``, ``e_<label>_model`` and so on,
            in K or dex where the label is known; at the end ``noisier``, if it is told.

        Raises
        ------
        ValueError
            If there is no such kind of error, or no such naming.

        See Also
        --------
        skbcnn.catalog.prediction_table : The same beside what is known of the stars, for files.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import Prediction
        >>> stars = Prediction(*np.array([[[4700.0]], [[30.0]], [[40.0]], [[50.0]]]), label_names=("teff",))
        >>> print(stars.to_table())
         teff  teff_err
          K       K
        ------ --------
        4700.0     50.0
        """
        from astropy.table import Column, Table  # here, so that importing this module stays light

        from skbcnn.survey import label_unit

        errors = (errors,) if isinstance(errors, str) else errors
        values = {"mean": self.mean} | {kind: self.std(kind) for kind in errors}
        columns = [
            Column(array[:, j] if array.ndim == 2 else array, name=names[kind], unit=label_unit(name) or None)
            for j, name in enumerate(self.label_names)
            for names in [column_names(name, naming)]
            for kind, array in values.items()
        ]
        if self.noisier is not None:
            columns.append(Column(self.noisier, name="noisier"))
        return Table(columns)

    def to_pandas(self, errors=("total",), naming="skbcnn"):
        """The labels and their error bars as a data frame, without units.

        Parameters
        ----------
        errors : sequence of {"total", "model", "predictive", "calibrated"}, default=("total",)
            The kinds of error that follow each label.
        naming : {"skbcnn", "sdssv"}, default="skbcnn"
            How columns are called, as in `to_table`.

        Returns
        -------
        frame : pandas.DataFrame
            The columns of `to_table`.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        ValueError
            If there is no such kind of error, or no such naming.
        """
        require_extra("pandas", "Prediction.to_pandas")
        return self.to_table(errors, naming).to_pandas()


def column_names(name, naming):
    """Names of the columns of a label.

    Parameters
    ----------
    name : str
        Of the label.
    naming : {"skbcnn", "sdssv"}
        As in `Prediction.to_table`.

    Returns
    -------
    names : dict of str to str
        By what is in the column: ``"mean"``, or a kind of error.

    Raises
    ------
    ValueError
        If there is no such naming.

    Examples
    --------
    >>> from skbcnn._prediction import column_names
    >>> column_names("C1", "sdssv")["total"]
    'e_c_1_h'
    """
    if naming not in _ERROR_NAMES:
        raise ValueError(f"naming={naming!r}, expected {' or '.join(map(repr, _ERROR_NAMES))}.")
    stem = _sdssv_name(name) if naming == "sdssv" else name
    return {"mean": stem} | {kind: text.format(stem) for kind, text in _ERROR_NAMES[naming].items()}


def _sdssv_name(name):
    """As SDSS-V calls it: 'ti_2_h' of Ti2; labels that its product has not keep their names."""
    from skbcnn.survey import APOGEE_LABELS, label

    try:
        name = label(name).name
    except ValueError:  # a label of another survey
        return name
    if name in ("teff", "logg") or name not in APOGEE_LABELS:
        return name
    return re.sub(r"(?=\d)", "_", name.lower()) + "_h"
