"""Predicted labels with their uncertainties, of single spectra and averaged over groups of stars."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skbcnn._grouping import Grouping
from skbcnn._optional_dependencies import require_extra

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import ArrayLike
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
    "predictive": "Standard deviation of {} that the network predicts for the spectrum",
    "calibrated": "Calibrated standard deviation of {}",
}
_PARAMETERS = {"teff": "effective temperature", "logg": "surface gravity"}  # labels whose symbol is a formula
_BLOCK = 1000  # stars whose covariance is computed at once


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
        Standard deviation of the label about `mean`. The predictive variance is learnt with dropout and contains the
        scatter of single draws, which the mean over the draws has not. Therefore the total variance is ``predictive**2
        - model**2``, and at least a third of the larger of both. Models trained with version 0.1 add both in
        quadrature, as published [1]_.
    label_names : tuple of str
        Names of the labels, in the order of the columns.
    noisier : ndarray of bool of shape (n_samples,) or None
        True for stars whose noise level exceeds that of every training star. None without flux errors in `fit` or in
        the prediction.
    calibrated : ndarray of shape (n_samples, n_labels) or None
        Standard deviation that agrees with the residuals of held-out stars or with the scatter of repeat visits:
        `total`, corrected by the `error_model_` of the model. None if the model has none.
    draws : ndarray of shape (n_draws, n_samples, n_labels) or None, float32
        Labels that the network of each posterior draw predicts, without predictive noise. None without
        ``predict_distribution(X, keep_draws=True)``.
    calibrated_by : str or None
        Origin of `calibrated`: "known labels", or "repeat visits", which do not show errors that all visits of a star
        share. None if it is unknown.

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
    draws: np.ndarray | None = None
    calibrated_by: str | None = None

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
            raise ValueError(f"{self._why_uncalibrated} Use kind='total', or {self._how_to_calibrate}.")
        return std

    _why_uncalibrated = (
        "The model had no calibrated error bars when it made this prediction; model.predict_std(X, kind='calibrated') "
        "says why."
    )
    _how_to_calibrate = (
        "calibrate the model with fit_error_model on stars of known labels, or with fit_noise_model on repeat visits, "
        "and predict again"
    )

    def covariance(self, kind: ErrorKind = "total") -> np.ndarray:
        """Return the covariance matrix of the labels of each star.

        It is the covariance between the posterior draws plus, on the diagonal, the predictive variances, because the
        network does not predict correlations of the predictive noise.

        Parameters
        ----------
        kind : {"total", "predictive", "model", "calibrated"}, default="total"
            Kind of standard deviation on the diagonal. The calibrated covariance has the correlations of the total one.

        Returns
        -------
        covariance : ndarray of shape (n_samples, n_labels, n_labels)
            In products of label units. Its diagonal is ``std(kind)**2``. A single label has matrices of one element.

        Raises
        ------
        ValueError
            If the kind is unknown, the model is not calibrated, or the prediction has no draws.

        Examples
        --------
        Two draws, which differ by 0.2 dex in both labels:

        >>> import numpy as np
        >>> from skbcnn import Prediction
        >>> draws = np.array([[[0.1, 0.3]], [[0.3, 0.5]]])
        >>> model, predictive = np.full((1, 2), 0.1), np.full((1, 2), 0.2)
        >>> total = np.hypot(model, predictive)
        >>> stars = Prediction(draws.mean(axis=0), model, predictive, total, ("Fe", "Mg"), draws=draws)
        >>> stars.covariance().round(6)
        array([[[0.05, 0.01],
                [0.01, 0.05]]])
        """
        std = columns_of(self.std(kind))
        on_diagonal = np.arange(std.shape[1])
        covariance = np.zeros((*std.shape, len(on_diagonal)))
        if kind != "predictive":
            draws = self._known_draws("covariance")
            noise = 0 * std if kind == "model" else columns_of(self.predictive)
            for start in range(0, len(std), _BLOCK):
                rows = slice(start, start + _BLOCK)
                block = np.moveaxis(draws[:, rows].astype(np.float64), 0, -1)  # (stars, labels, draws)
                block -= block.mean(axis=-1, keepdims=True)
                found = block @ block.swapaxes(1, 2) / len(draws)
                found[:, on_diagonal, on_diagonal] += noise[rows] ** 2
                ratio = ratio_of_stds(std[rows], np.sqrt(found[:, on_diagonal, on_diagonal]))
                covariance[rows] = found * ratio[:, :, None] * ratio[:, None, :]
        covariance[:, on_diagonal, on_diagonal] = std**2
        return covariance

    def group_mean(self, groups: "ArrayLike") -> "GroupMean":
        """Return the mean labels of groups of stars, such as clusters, with their errors.

        The network makes similar errors for similar stars, and these do not average away. Therefore the mean of a group
        is computed for each posterior draw, and the model error is the standard deviation of these means. The
        predictive errors of different stars are independent: their error of the mean of n stars is about a predictive
        error divided by sqrt(n).

        Parameters
        ----------
        groups : array-like of shape (n_samples,)
            Name or number of the group of each spectrum.

        Returns
        -------
        means : GroupMean
            One row for each group, in the order of the sorted names. The total and the calibrated error assume
            that both errors of each star are wrong by one factor: its total or calibrated error, over both in
            quadrature.

        Raises
        ------
        ValueError
            If there is not one group for each spectrum, one is missing, a label is not finite, or the prediction has no
            draws.

        See Also
        --------
        skbcnn.calibration.combine_visits : Weighted means of the visits of each star.

        Notes
        -----
        The means are not weighted. Their errors are those of the labels of the member stars; the error by which a
        finite sample of stars represents a whole cluster is not included.

        Examples
        --------
        The draws of both stars differ by 0.2 dex in the same direction, so that the model error stays 0.1 dex:

        >>> import numpy as np
        >>> from skbcnn import Prediction
        >>> draws = np.array([[[0.1], [0.3]], [[0.3], [0.5]]])
        >>> model, predictive = np.full((2, 1), 0.1), np.full((2, 1), 0.2)
        >>> total = np.hypot(model, predictive)
        >>> stars = Prediction(draws.mean(axis=0), model, predictive, total, ("Al",), draws=draws)
        >>> cluster = stars.group_mean(["M13", "M13"])
        >>> [array.round(4).item() for array in (cluster.mean, cluster.model, cluster.predictive, cluster.total)]
        [0.3, 0.1, 0.1414, 0.1732]
        """
        draws = self._known_draws("group_mean")
        grouping = Grouping.of(groups, "groups", len(self.mean), "group")
        grouping.refuse_infinite(columns_of(self.mean))
        predictive_of_stars = columns_of(self.predictive)
        model, predictive, means_of_draws = _error_of_means(grouping, draws, predictive_of_stars)
        in_quadrature = np.hypot(columns_of(self.model), predictive_of_stars)

        def error_of_means(error_of_stars: np.ndarray) -> np.ndarray:
            factor = ratio_of_stds(columns_of(error_of_stars), in_quadrature)
            return np.hypot(*_error_of_means(grouping, draws, predictive_of_stars, factor)[:2])

        calibrated = None
        if self.calibrated is not None:
            calibrated = error_of_means(self.calibrated)

        def shaped(values: np.ndarray) -> np.ndarray:
            return values.reshape(*values.shape[:-2], len(grouping.names), *self.mean.shape[1:])

        return GroupMean(
            shaped(grouping.sum(columns_of(self.mean)) / grouping.counts[:, None]),
            shaped(model),
            shaped(predictive),
            shaped(error_of_means(self.total)),
            self.label_names,
            None if self.noisier is None else grouping.any(self.noisier),
            None if calibrated is None else shaped(calibrated),
            shaped(means_of_draws),
            self.calibrated_by,
            group=grouping.names,
            n_spectra=grouping.counts,
        )

    def _known_draws(self, method: str) -> np.ndarray:
        """Return the draws, with an axis for the labels; raise an error if there are none."""
        if self.draws is None:
            raise ValueError(
                f"{method} needs the posterior draws, which this prediction does not hold. Predict with "
                "model.predict_distribution(X, keep_draws=True)."
            )
        return self.draws[:, :, None] if self.draws.ndim == 2 else self.draws

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
                description=_capitalized(_DESCRIPTIONS[kind].format(_symbol(name))),
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


@dataclass(frozen=True, kw_only=True)
class GroupMean(Prediction):
    """Mean labels of groups of stars with their uncertainties, from `Prediction.group_mean`.

    Attributes
    ----------
    mean, model, predictive, total, label_names, noisier, calibrated, draws, calibrated_by
        As in `Prediction`, with one row for each group. `noisier` is True if it is for any member.
    group : ndarray of shape (n_groups,)
        Names of the groups, sorted.
    n_spectra : ndarray of int of shape (n_groups,)
        Number of spectra of each group.
    """

    group: np.ndarray
    n_spectra: np.ndarray

    def to_table(self, errors: ErrorKind | Sequence[ErrorKind] = ("total",), naming: Naming = "skbcnn") -> "Table":
        """Return the groups, their labels and the error bars as a table with units.

        Parameters
        ----------
        errors, naming
            As in `Prediction.to_table`.

        Returns
        -------
        table : astropy.table.Table
            Columns ``group``, ``n_spectra``, and those of `Prediction.to_table`.
        """
        table = super().to_table(errors, naming)
        table.add_columns([self.group, self.n_spectra], indexes=[0, 0], names=["group", "n_spectra"])
        return table


def _error_of_means(
    grouping: Grouping, draws: np.ndarray, predictive: np.ndarray, factor: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return model and predictive errors of group means, if all errors are `factor` times as large, and their draws."""
    centre, counts = draws.mean(axis=0, dtype=np.float64), grouping.counts[:, None]
    deviations = np.stack([grouping.sum((draw - centre) * factor) / counts for draw in draws])
    noise = np.sqrt(grouping.sum((predictive * factor) ** 2)) / counts
    return deviations.std(axis=0), noise, (deviations + grouping.sum(centre) / counts).astype(np.float32)


def columns_of(values: np.ndarray) -> np.ndarray:
    """Return values of labels with an axis for the labels.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_labels) or (n_samples,)
        Attribute of a `Prediction`, which has one dimension for a single label.

    Returns
    -------
    values : ndarray of shape (n_samples, n_labels)
    """
    return values[:, None] if values.ndim == 1 else values


def rows_of(prediction: Prediction, rows: np.ndarray | slice) -> Prediction:
    """Return the prediction of some stars.

    Parameters
    ----------
    prediction : Prediction
    rows : ndarray of int or bool, or slice
        Stars to take.

    Returns
    -------
    prediction : Prediction
        Without `draws`.
    """
    prediction = replace(prediction, draws=None)
    values: dict[str, Any] = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    for name, value in values.items():
        values[name] = value[rows] if isinstance(value, np.ndarray) else value
    return replace(prediction, **values)


def ratio_of_stds(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the ratio of standard deviations; 1 where the denominator is 0.

    Parameters
    ----------
    numerator, denominator : ndarray of the same shape
        Standard deviations.

    Returns
    -------
    ratio : ndarray of that shape
    """
    return np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)


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
    if known is None:
        return name
    return _PARAMETERS.get(known.name, name if "$" in known.symbol else known.symbol)


def _capitalized(text: str) -> str:
    """Return a description with a capital first letter, but do not change the name or symbol of a label."""
    return text[0].upper() + text[1:] if text in _PARAMETERS.values() else text


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
