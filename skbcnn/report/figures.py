"""Figures of an evaluation: the display that draws each, its caption, and a text for readers who do not see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn.inspection import ResponseMatrix
from skbcnn.plotting import (
    AbundancePlaneDisplay,
    ArchitectureDisplay,
    ErrorCalibrationDisplay,
    JacobianDisplay,
    KielDisplay,
    ResidualDisplay,
    ResidualOverviewDisplay,
    ResponseDisplay,
    SpectrumDisplay,
    TrainingHistoryDisplay,
    new_figure,
    overview_size,
)
from skbcnn.plotting._estimators import is_augmented
from skbcnn.plotting._label_text import spectra_text
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.report.labelled_file import LabelledFile
from skbcnn.report.sample import Sample
from skbcnn.report.texts import plain_symbol
from skbcnn.survey import find_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 2000  # in a figure of single spectra; more hide each other, and make the page large
_N_JACOBIAN, _N_DRAWS_JACOBIAN = 8, 10  # spectra and posterior draws that are averaged
_MAX_JACOBIAN_LABELS = 3
_PREFERRED = ("Mg", "Al", "Na", "Si", "Ca")  # elements whose derivatives are drawn if the model has windows for them
_PLANES = (("Fe", "Mg/Fe"), ("Fe", "Si/Fe"), ("Mg/Fe", "Al/Fe"), ("C/Fe", "N/Fe"))
_NEAR = {"teff", "logg", "Fe"}  # labels of stars whose spectra are alike
_N_SIMILAR = 20  # spectra whose median is compared with an outlier
_SQUARE = (3.5, 3.0)  # inches
_KIEL_SIZE = (4.2, 3.4)
_WIDE = 6.2  # two stand beside each other on a wide screen
_PANELS = (_WIDE, 4.6)


@dataclass(frozen=True)
class ReportFigure:
    """A figure that is drawn when it is needed.

    Attributes
    ----------
    size : tuple of (float, float)
        Width and height in inches.
    draw : callable
        Figure -> None. Draws on an empty figure.
    caption : str
        What the figure shows, and how to read it.
    alt : str
        What the figure shows, for readers who do not see it.
    """

    size: tuple[float, float]
    draw: Callable[[Figure], Any]
    caption: str
    alt: str

    def figure(self) -> Figure:
        """Return the figure, drawn anew."""
        figure = new_figure(*self.size)
        self.draw(figure)
        return figure


def report_figures(
    model: CensoredBCNNRegressor,
    file: LabelledFile,
    sample: Sample,
    responses: ResponseMatrix | None,
    outliers: Any,
    reference_name: str,
) -> dict[str, ReportFigure]:
    """Return all figures of an evaluation that its data allow, by name.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    file : LabelledFile
        File that was evaluated.
    sample : Sample
        Reference labels and predictions.
    responses : ResponseMatrix or None
        Responses of the predicted labels.
    outliers : astropy.table.Table
        From `skbcnn.report.tables.outliers`.
    reference_name : str
        Origin of the reference labels, for the axes.

    Returns
    -------
    figures : dict of str to ReportFigure
        ``overview``, ``residuals_<label>``, ``calibration``, ``responses``, ``kiel``, ``plane_1`` and so on,
        ``outlier_1`` and so on, ``history``, ``jacobian`` and ``architecture``.
    """
    drawn = _subsample(sample)
    found = _residual_figures(sample, drawn, reference_name)
    found["calibration"] = _calibration(sample, reference_name)
    if responses is not None:
        found["responses"] = _responses(responses)
    found |= _label_planes(sample, drawn, reference_name)
    found |= _outlier_spectra(model, file, sample, outliers)
    found |= _model_figures(model, file, sample)
    return found


def _subsample(sample: Sample) -> np.ndarray:
    """Return spectra that figures of single spectra show: all, or a random part of many."""
    if len(sample) <= MAX_POINTS:
        return np.arange(len(sample))
    return np.sort(np.random.default_rng(0).choice(len(sample), MAX_POINTS, replace=False))


def _which(sample: Sample, drawn: np.ndarray) -> str:
    """Return a sentence about the spectra that are drawn, or nothing."""
    if len(drawn) == len(sample):
        return ""
    return f" Drawn are {len(drawn)} of {len(sample)} spectra, chosen at random; numbers in the figure are theirs."


def _residual_figures(sample: Sample, drawn: np.ndarray, reference_name: str) -> dict[str, ReportFigure]:
    y, mean, std = sample.y[drawn], sample.mean[drawn], sample.std[drawn]
    snr = None if sample.snr is None else sample.snr[drawn]
    names, which = sample.label_names, _which(sample, drawn)

    def overview(figure: Figure) -> None:
        ResidualOverviewDisplay.from_predictions(
            y, mean, label_names=names, reference_name=reference_name, figure=figure
        )

    def residual(j: int) -> Callable[[Figure], Any]:
        def draw(figure: Figure) -> None:
            ResidualDisplay.from_predictions(
                y[:, j],
                mean[:, j],
                std[:, j],
                snr=snr,
                label_name=names[j],
                reference_name=reference_name,
                ax=figure.add_subplot(),
            )

        return draw

    found = {
        "overview": ReportFigure(
            overview_size(len(names)),
            overview,
            f"Predicted against reference labels. The line is where both are equal.{which}",
            f"Scatter plots of predicted against reference values, one panel for each of {len(names)} labels.",
        )
    }
    for j, name in enumerate(names):
        if (~np.isnan(y[:, j])).any():
            found[f"residuals_{name}"] = ReportFigure(
                (_WIDE, 3.4),
                residual(j),
                f"Residuals of {plain_symbol(name)} against its reference value, with the predicted standard "
                f"deviations (grey).{which}",
                f"Scatter plot of the residuals of {plain_symbol(name)} against its reference value.",
            )
    return found


def _calibration(sample: Sample, reference_name: str) -> ReportFigure:
    counted = sample.total_error > 0
    n_stars = (sample.known & counted).sum(axis=0)
    n_median = int(np.median(n_stars[n_stars > 0])) if n_stars.any() else 0

    def draw(figure: Figure) -> None:
        ErrorCalibrationDisplay.from_predictions(
            np.where(counted, sample.y, np.nan),
            sample.mean,
            sample.std,
            y_err=sample.y_err,
            label_names=sample.label_names,
            reference_name=reference_name,
            ax=figure.add_subplot(),
        )

    return ReportFigure(
        (7.0, 4.1),
        draw,
        "Left: share of the reference labels within the central interval of each nominal coverage. A line below the "
        "diagonal means that the error bars are too small. Of labels with right error bars, 95 of 100 lines are in the "
        f"grey band at each coverage (for {spectra_text(n_median)}, the median number that have a label, of "
        f"{len(sample)}). Right: residuals in units of their error bars, and the "
        "standard normal distribution.",
        "Observed against nominal coverage of the error bars, and a histogram of the standardised residuals.",
    )


def _responses(responses: ResponseMatrix) -> ReportFigure:
    display = ResponseDisplay(responses=responses)
    return ReportFigure(
        display._figure_size,
        lambda figure: display.plot(figure.add_subplot()),
        "Responses of the predicted labels (rows) to the true labels (columns), in dex or the unit after the label. "
        "Foreign responses below two standard errors are white; those of at least 0.1 and all own responses (the "
        "diagonal) are written. Columns of labels that too few spectra have are grey. A measured label has 1 on the "
        "diagonal and nothing beside it.",
        "Matrix of the responses of each predicted label to each true label.",
    )


def _label_planes(sample: Sample, drawn: np.ndarray, reference_name: str) -> dict[str, ReportFigure]:
    """Return the Kiel diagram, and planes of abundances."""
    mean, std, y = sample.mean[drawn], sample.std[drawn], sample.y[drawn]
    names, which = sample.label_names, _which(sample, drawn)
    known = {label.name if (label := find_label(name)) else name for name in names}
    found = {}
    if {"teff", "logg"} <= known:
        found["kiel"] = ReportFigure(
            _KIEL_SIZE,
            lambda figure: KielDisplay.from_predictions(mean, std, label_names=names, ax=figure.add_subplot()),
            f"Kiel diagram of the predicted labels. The typical error shows the median standard deviations.{which}",
            "Predicted surface gravity against predicted effective temperature.",
        )

    def plane(x_name: str, y_name: str) -> Callable[[Figure], Any]:
        def draw(figure: Figure) -> None:
            AbundancePlaneDisplay.from_predictions(
                mean,
                std,
                x_name=x_name,
                y_name=y_name,
                label_names=names,
                y_true=y,
                reference_name=reference_name,
                ax=figure.add_subplot(),
            )

        return draw

    possible = [pair for pair in _PLANES if set("/".join(pair).split("/")) <= known]
    for number, (x_name, y_name) in enumerate(possible, start=1):
        found[f"plane_{number}"] = ReportFigure(
            _SQUARE,
            plane(x_name, y_name),
            f"[{y_name}] against [{_in_brackets(x_name)}]: predicted (blue) and reference (grey). The "
            f"typical error shows the median standard deviations.{which}",
            f"Scatter plot of {y_name} against {x_name}.",
        )
    return found


def _in_brackets(name: str) -> str:
    return name if "/" in name else f"{name}/H"


def _outlier_spectra(
    model: CensoredBCNNRegressor, file: LabelledFile, sample: Sample, outliers: Any
) -> dict[str, ReportFigure]:
    windows = _windows(model)

    def spectrum(row: int, label: str | None, similar: np.ndarray) -> Callable[[Figure], Any]:
        def draw(figure: Figure) -> None:
            _, X, x_err = file.spectra(np.array([row]))
            SpectrumDisplay.from_spectrum(
                X[0],
                None if x_err is None or not (x_err[0] > 0).any() else x_err[0],
                label_name=label,
                windows=windows,
                comparison=_median_spectrum(file, similar) if len(similar) else None,
                zoom=label is not None,
                ax=figure.add_subplot(),
            )

        return draw

    found = {}
    for number, one in enumerate(outliers, start=1):
        name = plain_symbol(one["label"])
        label = str(one["label"]) if one["label"] in windows else None
        parts = f"the largest parts of the window of {name} (shaded) and what surrounds them"
        shown = parts if label else f"{name} is read from the full spectrum"
        similar, texts = _similar_spectra(sample, int(one["position"]))
        comparison = f" The comparison is the median of the {len(similar)} evaluated spectra with the nearest {texts}."
        found[f"outlier_{number}"] = ReportFigure(
            _PANELS if model.n_features_in_ > 5000 else (_WIDE, 2.4),
            spectrum(int(one["row"]), label, sample.rows[similar]),
            f"Spectrum of {one['star']}: {shown}.{comparison if len(similar) else ''}",
            f"Flux of {one['star']} against wavelength or pixel.",
        )
    return found


def _similar_spectra(sample: Sample, position: int) -> tuple[np.ndarray, str]:
    """Return the spectra of other stars with the nearest stellar parameters, and the names of these parameters.

    Reference labels count, and predicted ones where the reference has none. There are no similar spectra if the model
    has none of these labels, or few stars were evaluated.
    """
    columns = [j for j, name in enumerate(sample.label_names) if (found := find_label(name)) and found.name in _NEAR]
    labels = np.where(sample.known, sample.y, sample.mean)[:, columns]
    others = np.flatnonzero(sample.stars != sample.stars[position])
    if not columns or len(others) < 2 * _N_SIMILAR:
        return np.empty(0, dtype=int), ""
    spread = labels.std(axis=0)
    distance = np.linalg.norm((labels[others] - labels[position]) / np.where(spread > 0, spread, 1), axis=1)
    nearest = np.sort(others[np.argsort(distance, kind="stable")[:_N_SIMILAR]])
    return nearest, ", ".join(plain_symbol(sample.label_names[j]) for j in columns)


def _median_spectrum(file: LabelledFile, rows: np.ndarray) -> np.ndarray:
    """Return the median flux of good pixels of some spectra; NaN where none has one."""
    order = np.sort(rows)
    _, X, x_err = file.spectra(order)
    good = np.isfinite(X) if x_err is None else np.isfinite(X) & (x_err > 0)
    masked = np.ma.median(np.ma.masked_array(X, ~good), axis=0)
    return np.asarray(np.ma.filled(masked.astype(float), np.nan))


def _windows(model: CensoredBCNNRegressor) -> dict[str, tuple[int, ...]]:
    return {name: window for name, window in zip(model.target_names_, model.spec_.windows, strict=True) if window}


def _model_figures(model: CensoredBCNNRegressor, file: LabelledFile, sample: Sample) -> dict[str, ReportFigure]:
    found = {}
    history = getattr(model, "history_", {})
    if len(history.get("lr", [])) and {"loss", "data_loss", "val_loss"} & set(history):
        found["history"] = ReportFigure(
            (4.2, 3.6),
            lambda figure: TrainingHistoryDisplay.from_estimator(model, ax=figure.add_subplot()),
            "Losses of the training in nats per measured label, and the learning rate. The training loss is computed "
            f"with dropout{' and from augmented spectra' if is_augmented(model) else ''}, the validation loss without, "
            "so that it can be much lower. The point is the lowest validation loss.",
            "Loss and learning rate against the epoch of the training.",
        )
    windows = _windows(model)
    labels = [name for name in (*_PREFERRED, *windows) if name in windows]
    labels = list(dict.fromkeys(labels))[:_MAX_JACOBIAN_LABELS]
    texts = ", ".join(map(plain_symbol, labels))

    def jacobian(figure: Figure) -> None:
        spread = np.unique(np.linspace(0, len(sample) - 1, _N_JACOBIAN).astype(int))
        spectra = file.usable(file.spectra(sample.rows[spread]))
        JacobianDisplay.from_estimator(
            model, spectra.X, label_name=labels, n_draws=_N_DRAWS_JACOBIAN, ax=figure.add_subplot()
        )

    if labels:
        found["jacobian"] = ReportFigure(
            (7.0, 4.8) if model.n_features_in_ > 5000 else (7.0, 2.4),
            jacobian,
            f"Derivatives of {texts} with respect to the flux, averaged over "
            f"{spectra_text(min(_N_JACOBIAN, len(sample)))}, and the windows of these labels. Derivatives "
            "outside the window of a label come from the stellar parameters.",
            f"Derivatives of {texts} with respect to the flux, against wavelength or pixel.",
        )
    architecture = ArchitectureDisplay(spec=model.spec_, label_names=model.target_names_)
    found["architecture"] = ReportFigure(
        architecture._figure_size,
        lambda figure: architecture.plot(figure.add_subplot()),
        "Architecture of the network, with the number of weights of each layer.",
        "Diagram of the layers of the network.",
    )
    return found
