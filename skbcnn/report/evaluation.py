"""`evaluate`: compare a model with the known labels of a file; `Evaluation`: the tables, figures and page of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbcnn._atomic_writes import atomic_path
from skbcnn._global_settings import default_settings
from skbcnn._optional_dependencies import require_extra
from skbcnn._paths import as_path
from skbcnn.inspection import ResponseMatrix
from skbcnn.metrics.responses import window_labels
from skbcnn.persistence import load_folder
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.report import tables
from skbcnn.report.labelled_file import LabelledFile
from skbcnn.report.ranges import QUANTITIES
from skbcnn.report.sample import Sample, predict_sample

if TYPE_CHECKING:
    from astropy.table import Table

    from skbcnn.report.figures import ReportFigure

MAX_SPECTRA = 100_000  # shares and scatters of so many are exact to a few parts in a thousand
_N_OUTLIERS = 6
_UNSAVED = "model in memory"


@default_settings()
def evaluate(
    model: Any,
    data: str | PathLike[str],
    *,
    visits: bool = False,
    n_draws: int | None = None,
    max_spectra: int | None = MAX_SPECTRA,
    reference_name: str = "Reference",
    model_name: str | None = None,
) -> Evaluation:
    """Predict the labels of the spectra in a file, and compare them with the known labels in it.

    The file is read and predicted in blocks, so that the spectra need not fit in memory. Labels and predictions are
    kept in memory, with the page about 7 kB for each spectrum of 22 labels; `max_spectra` limits them. Spectra that
    cannot be used, such as those with NaN, are left out and counted.

    Parameters
    ----------
    model : CensoredBCNNRegressor, str or path-like
        Fitted regressor, or the path of a saved one, as `skbcnn.load_folder` reads it.
    data : str or path-like
        HDF5 file in the ``datasets.h5`` layout, with spectra prepared like those of the training. Use stars that the
        model was not trained on.
    visits : bool, default=False
        Whether to evaluate the individual visits (``in_flag`` 1) in place of the combined spectra.
    n_draws : int, default=None
        Number of posterior draws. None: that of the model.
    max_spectra : int, default=100_000
        Largest number of spectra to evaluate. Of more, so many are chosen at random, the same ones each time. None: no
        limit.
    reference_name : str, default="Reference"
        Origin of the labels in the file, for texts and figures, such as ``"ASPCAP"``.
    model_name : str, default=None
        Name of the model, for the page. None: the name of its folder, if `model` is a path.

    Returns
    -------
    evaluation : Evaluation
        Tables, figures and the HTML page.

    Raises
    ------
    ValueError, OSError
        If the model or the file cannot be read, they do not fit together, the file has no label of the model, or
        `max_spectra` is no number of spectra.
    TypeError
        If `model` is neither a fitted regressor nor a path.

    See Also
    --------
    skbcnn.residual_table, skbcnn.response_matrix : Single parts of it, for arrays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor, write_h5
    >>> from skbcnn.report import evaluate
    >>> rng = np.random.default_rng(0)
    >>> depth = rng.normal(size=80)
    >>> line = np.exp(-((np.arange(40) - 20) ** 2) / 20)
    >>> X = 1 - 0.1 * np.outer(1 + depth / 5, line) + 0.002 * rng.normal(size=(80, 40))
    >>> model = CensoredBCNNRegressor(target=["Mg"], max_epochs=2, random_state=0).fit(X[:50], depth[:50])
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = write_h5(Path(folder.name) / "test.h5", X[50:], {"Mg": depth[50:]})
    >>> evaluation = evaluate(model, path)
    >>> evaluation.residuals.colnames
    ['label', 'n', 'median_residual', 'mad_std', 'unit', 'median_std']
    >>> evaluation.to_html(Path(folder.name) / "report.html").name
    'report.html'
    >>> folder.cleanup()
    """
    name = model_name or _UNSAVED
    if isinstance(model, str | PathLike):
        path = as_path(model, "model")
        name, model = model_name or path.resolve().name, load_folder(path)
    check_regressor(model)
    if n_draws is not None:
        model = copy.copy(model).set_params(n_draws=n_draws)
    if max_spectra is not None and (not isinstance(max_spectra, Integral) or max_spectra < 1):
        raise ValueError(f"max_spectra={max_spectra!r}, expected a whole number of at least 1, or None for no limit.")
    file = LabelledFile(as_path(data, "data"), model, visits, max_spectra)
    return Evaluation(model, file, predict_sample(model, file), model_name=name, reference_name=reference_name)


def check_regressor(model: Any) -> None:
    """Raise a TypeError if a model is no regressor that predicts distributions, such as a pipeline."""
    if not isinstance(model, CensoredBCNNRegressor):
        raise TypeError(
            f"model is a {type(model).__name__}, expected a CensoredBCNNRegressor or the path of a saved one: spectra "
            "of HDF5 files are used as they are, without the other steps of a pipeline. Pass pipeline[-1], and a file "
            "with spectra that the steps before it have transformed."
        )
    check_is_fitted(model)


@dataclass(eq=False, repr=False)
class Evaluation:
    """Comparison of a model with the known labels of a file, from `evaluate`.

    Tables and figures are made when they are first used.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    file : LabelledFile
        File that was evaluated.
    sample : Sample
        Reference labels and predictions.
    model_name : str
        Name of the model, for the page.
    reference_name : str
        Origin of the labels in the file, for texts and figures.

    Notes
    -----
    A residual is predicted minus reference. The standard deviations are the calibrated ones if the model has such, and
    otherwise the total ones: ``evaluation.sample.std_kind``.
    """

    model: CensoredBCNNRegressor
    file: LabelledFile
    sample: Sample
    model_name: str = _UNSAVED
    reference_name: str = "Reference"

    @cached_property
    def residuals(self) -> Table:
        """Median and scatter of the residuals, and the median standard deviation, of each label that the file has.

        Columns ``label``, ``n``, ``median_residual``, ``mad_std``, ``unit``, ``median_std``.
        """
        return tables.residuals(self.sample)

    def residuals_by(self, quantity: str) -> Table:
        """Return the residuals of each label in ranges of S/N, temperature or metallicity.

        Parameters
        ----------
        quantity : {"snr", "teff", "Fe"}
            S/N of the spectra, or a reference label.

        Returns
        -------
        table : astropy.table.Table
            Column ``range``, and those of `skbcnn.residual_table`. Ranges with fewer than 20 spectra are left out.
            Empty if the file does not have the quantity.

        Raises
        ------
        ValueError
            If the quantity is another one.
        """
        if quantity not in QUANTITIES:
            raise ValueError(f"quantity={quantity!r}, expected {' or '.join(map(repr, QUANTITIES))}.")
        return tables.residuals_by(self.sample, quantity)

    @cached_property
    def coverage(self) -> Table:
        """Shares of the reference labels within 1 and 1.96 standard deviations, and within the 90 % intervals.

        Columns ``label`` (first "all labels"), ``n``, ``within_1`` (right: 0.683), ``within_1.96`` (0.95),
        ``median_z`` (0), ``mad_std_z`` (1) and, if the model has intervals, ``in_interval`` (0.9).
        """
        return tables.coverage(self.sample)

    @cached_property
    def coverage_by_snr(self) -> Table:
        """Columns of `coverage` in ranges of S/N, which are in the column ``range``; empty without S/N."""
        return tables.coverage_by_snr(self.sample)

    @property
    def responses(self) -> ResponseMatrix | None:
        """Change of each predicted label with each reference label; None if there are too few stars with all labels."""
        return None if isinstance(self._responses, ValueError) else self._responses

    @property
    def no_responses(self) -> str:
        """Why there are no `responses`, as a sentence; empty if there are."""
        return str(self._responses) if isinstance(self._responses, ValueError) else ""

    @cached_property
    def _responses(self) -> ResponseMatrix | ValueError:
        sample = self.sample
        elements = window_labels(self.model.target_names_, self.model.spec_.windows)
        try:
            return ResponseMatrix.from_predictions(
                sample.y, sample.mean, sample.y_err, label_names=sample.label_names, elements=elements
            )
        except ValueError as error:
            return error

    @cached_property
    def novelty(self) -> Table:
        """Number and share of the spectra with each novelty flag: columns ``flag``, ``meaning``, ``n``, ``share``.

        Empty if the model has no summary of its training set (`domain_`).
        """
        return tables.novelty(self.sample)

    @cached_property
    def outliers(self) -> Table:
        """The six stars with the largest residuals in units of their errors, with their worst label.

        Columns ``star``, ``row``, ``position``, ``label``, ``reference``, ``predicted``, ``error``, ``z``, ``n_off``
        and, if they are known, ``snr`` and ``flags``.
        """
        return tables.outliers(self.sample, _N_OUTLIERS)

    @cached_property
    def other_versions(self) -> Table:
        """Residuals against other versions of the labels in the file, such as ``raw_teff`` or ``Mg_aspcap``.

        Column ``version``, those of `skbcnn.residual_table`, and ``reference_median`` and ``reference_mad_std``: the
        same against the reference labels of the same spectra. Empty if the file has none.
        """
        positions = np.searchsorted(self.file.rows, self.sample.rows)
        versions = {name: values[positions] for name, values in self.file.other_versions.items()}
        return tables.other_versions(self.sample, versions)

    @cached_property
    def figures(self) -> dict[str, ReportFigure]:
        """Figures by name, which are drawn when they are needed: ``evaluation.figures["kiel"].figure()``.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        from skbcnn.report.figures import report_figures

        require_extra("plot", "Evaluation.figures")
        return report_figures(
            self.model,
            self.file,
            self.sample,
            self.responses or self.model.validation_responses_,
            self.outliers,
            self.reference_name,
        )

    def to_html(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the evaluation as one HTML file, which needs no other file and no network.

        The same evaluation gives the same bytes.

        Parameters
        ----------
        path : str or path-like
            File to write. It appears when it is complete.
        overwrite : bool, default=False
            Whether an existing file is replaced.

        Returns
        -------
        path : pathlib.Path

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        OSError
            If the file cannot be written.
        ModuleNotFoundError
            If matplotlib or Jinja2 is not installed.
        """
        from skbcnn.report.page import page

        require_extra("report", "Evaluation.to_html")
        path = as_path(path, "path")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists. Remove it, choose another name, or pass overwrite=True.")
        text = page(self)
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        n_labels = len(self.residuals)
        return (
            f"Evaluation({self.model_name!r}, {self.file.path.name!r}: {len(self.sample)} spectra, {n_labels} labels)"
        )
