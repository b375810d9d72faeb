"""Predicted labels with their uncertainties."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from skbcnn._optional_dependencies import require_extra

if TYPE_CHECKING:
    from astropy.table import Table
    from pandas import DataFrame

ErrorKind = Literal["total", "predictive", "model", "calibrated"]
Naming = Literal["skbcnn", "sdssv"]

_ERROR_NAMES = {  # pattern of the column name, by naming and kind of error
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
_DESCRIPTIONS = {  # of the columns
    "mean": "{}",
    "total": "Total standard deviation of {}",
    "model": "Standard deviation of {} between posterior draws",
    "predictive": "Standard deviation of {} by the spectrum",
    "calibrated": "Calibrated standard deviation of {}",
}


@dataclass(frozen=True)
class Prediction:
    """Labels of spectra with their uncertainties, in the units of the labels.

    Attributes
    ----------
    mean : ndarray of shape (n_samples, n_labels)
        Mean of the posterior draws. If `y` was 1-D in `fit`, this and all arrays below are 1-D.
    model : ndarray of shape (n_samples, n_labels)
        Epistemic standard deviation: the spread of the posterior draws.
    predictive : ndarray of shape (n_samples, n_labels)
        Aleatoric standard deviation: the noise of the label that the network predicts from the spectrum.
    total : ndarray of shape (n_samples, n_labels)
        Standard deviation of both, added in quadrature.
    label_names : tuple of str
        Names of the labels, in the order of the columns.
    noisier : ndarray of bool of shape (n_samples,) or None
        True for stars whose noise level exceeds that of every training star. None without flux errors in `fit` or in
        the prediction.
    calibrated : ndarray of shape (n_samples, n_labels) or None
        Standard deviation that agrees with the residuals of held-out stars or with the scatter of repeat visits:
        `total`, corrected by the `error_model_` of the model. None if the model has none.

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

    def std(self, kind: ErrorKind = "total") -> np.ndarray:
        """Return the standard deviation of one kind.

        Parameters
        ----------
        kind : {"total", "predictive", "model", "calibrated"}, default="total"
            Kind of standard deviation.

        Returns
        -------
        std : ndarray of the shape of `mean`

        Raises
        ------
        ValueError
            If the kind is unknown, or the model is not calibrated.
        """
        if kind not in _ERROR_NAMES["skbcnn"]:
            raise ValueError(f"kind={kind!r}, expected 'total', 'predictive', 'model' or 'calibrated'.")
        std = getattr(self, kind)
        if std is None:
            raise ValueError(
                "The model had no calibrated error bars when it made this prediction; model.predict_std(X, "
                "kind='calibrated') says why. Use kind='total', or calibrate the model with fit_error_model on stars "
                "of known labels, or with fit_noise_model on repeat visits, and predict again."
            )
        return std

    def to_table(self, errors: ErrorKind | Sequence[ErrorKind] = ("total",), naming: Naming = "skbcnn") -> "Table":
        """Return the labels and their error bars as a table with units.

        Parameters
        ----------
        errors : sequence of {"total", "model", "predictive", "calibrated"}, default=("total",)
            Kinds of error after each label.
        naming : {"skbcnn", "sdssv"}, default="skbcnn"
            Names of the columns. ``"sdssv"``: as in the AstroNN product of SDSS-V, ``teff``, ``e_teff``, ``c_1_h``,
            ``e_c_1_h``, ...

        Returns
        -------
        table : astropy.table.Table
            For each label ``<label>`` and its errors: ``<label>_err`` (total), ``<label>_err_model``,
            ``<label>_err_predictive``, ``<label>_err_calibrated``, or ``e_<label>``, ``e_<label>_model`` and so on.
            Units are K or dex; labels that are not APOGEE's have none. The last column is ``noisier``, if it is not
            None.

        Raises
        ------
        ValueError
            If a kind of error or the naming is unknown.

        See Also
        --------
        skbcnn.prediction_table : The same after columns that identify the stars, for files.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import Prediction
        >>> stars = Prediction(*np.array([[[4700.0]], [[30.0]], [[40.0]], [[50.0]]]), label_names=("teff",))
        >>> stars.to_table().pprint(max_width=-1)
         teff  teff_err
          K       K
        ------ --------
        4700.0     50.0
        """
        from astropy.table import Column, Table  # here, so that importing this module stays light

        from skbcnn.survey import label_unit

        kinds: Sequence[ErrorKind] = (errors,) if isinstance(errors, str) else errors
        values = {"mean": self.mean} | {str(kind): self.std(kind) for kind in kinds}
        columns = [
            Column(
                array[:, j] if array.ndim == 2 else array,
                name=names[kind],
                unit=label_unit(name) or None,
                description=_DESCRIPTIONS[kind].format(_symbol(name)),
            )
            for j, name in enumerate(self.label_names)
            for names in [column_names(name, naming)]
            for kind, array in values.items()
        ]
        if self.noisier is not None:
            columns.append(
                Column(
                    self.noisier,
                    name="noisier",
                    description="Median flux error above that of every training star",
                )
            )
        return Table(columns)

    def to_pandas(self, errors: ErrorKind | Sequence[ErrorKind] = ("total",), naming: Naming = "skbcnn") -> "DataFrame":
        """Return the labels and their error bars as a data frame, without units.

        Parameters
        ----------
        errors : sequence of {"total", "model", "predictive", "calibrated"}, default=("total",)
            Kinds of error after each label.
        naming : {"skbcnn", "sdssv"}, default="skbcnn"
            Names of the columns, as in `to_table`.

        Returns
        -------
        frame : pandas.DataFrame
            The columns of `to_table`.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        ValueError
            If a kind of error or the naming is unknown.
        """
        require_extra("pandas", "Prediction.to_pandas")
        return self.to_table(errors, naming).to_pandas()


def column_names(name: str, naming: Naming) -> dict[str, str]:
    """Return the names of the columns of a label.

    Parameters
    ----------
    name : str
        Name of the label.
    naming : {"skbcnn", "sdssv"}
        As in `Prediction.to_table`.

    Returns
    -------
    names : dict of str to str
        Name of the column for ``"mean"`` and for each kind of error.

    Raises
    ------
    ValueError
        If the naming is unknown.

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


def _symbol(name: str) -> str:
    """Return the symbol of a label, such as [Mg/H]; the name of a label without a symbol in plain text."""
    from skbcnn.survey import find_label

    known = find_label(name)
    return name if known is None or "$" in known.symbol else known.symbol


def _sdssv_name(name: str) -> str:
    """Return SDSS-V's name of a label: 'ti_2_h' for Ti2. Labels that its product lacks keep their names."""
    from skbcnn.survey import APOGEE_LABELS, find_label

    known = find_label(name)
    if known is None:
        return name
    name = known.name
    if name in ("teff", "logg") or name not in APOGEE_LABELS:
        return name
    return re.sub(r"(?=\d)", "_", name.lower()) + "_h"
