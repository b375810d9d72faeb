"""Content of the page: sections of paragraphs, tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Row, Table

from skbcnn.metrics.responses import ResponseMatrix
from skbcnn.novelty import NoveltyFlag
from skbcnn.novelty.flags import BIT_MEANINGS
from skbcnn.plotting._label_text import decimals_for, format_integer, spectra_text
from skbcnn.report.cells import (
    NOT_KNOWN,
    Cell,
    PageTable,
    bias_and_scatter,
    number,
    pivot,
    share,
    symbol,
)
from skbcnn.report.model_facts import model_facts, preparation_text
from skbcnn.report.notes import model_notes, sample_notes, unknown_labels
from skbcnn.report.ranges import MIN_STARS, Range, is_known, ranges
from skbcnn.report.tables import ALL_LABELS, NOMINAL
from skbcnn.report.texts import plain_symbol, with_unit

if TYPE_CHECKING:
    from skbcnn.report.evaluation import Evaluation

_QUANTITIES = {"snr": "S/N", "teff": "effective temperature (K)", "Fe": "[Fe/H] (dex)"}
_SIGMA, _PM = "\N{GREEK SMALL LETTER SIGMA}", "\N{PLUS-MINUS SIGN}"
_MARK = "\N{DAGGER}"
_MARK_FROM = 3  # standard errors
_N_NOVEL = 10  # spectra that are listed
_REASONS = (
    NoveltyFlag.SPECTRUM_NOVEL,
    NoveltyFlag.BAD_PIXELS,
    NoveltyFlag.LABEL_OUT_OF_RANGE,
    NoveltyFlag.MODEL_UNCERTAIN,
)
_BIAS_AND_SCATTER = (
    "The bias is the median of the residuals. The scatter is 1.4826 times their median absolute deviation (mad_std), "
    "which is the standard deviation if they are Gaussian."
)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: Cell
    is_note: bool = False


@dataclass(frozen=True)
class FigureGroup:
    """Figures by their names in `Evaluation.figures`."""

    names: Sequence[str]


Block = Paragraph | PageTable | FigureGroup
Blocks = Iterator[Block]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    name : str
        Anchor.
    title : str
        Heading.
    blocks : sequence
        Paragraphs, tables and groups of figures, in their order.
    """

    name: str
    title: str
    blocks: Sequence[Block]


def sections(evaluation: Evaluation) -> list[Section]:
    """Return the sections of the page of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        Evaluation to describe.

    Returns
    -------
    sections : list of Section
    """
    parts = {
        "data": ("Model and data", _data),
        "residuals": ("Residuals", _residuals),
        "ranges": ("Residuals by S/N, temperature and metallicity", _ranges),
        "error-bars": ("Calibration of the error bars", _error_bars),
        "responses": ("Responses to the true labels", _responses),
        "novelty": ("Novelty", _novelty),
        "outliers": ("Largest outliers", _outliers),
        "planes": ("Stars in the planes of their labels", _planes),
        "versions": ("Other versions of the labels", _versions),
        "training": ("Training and network", _training),
        "labels": ("Residuals of each label", _each_label),
    }
    found = [Section(name, title, list(make(evaluation))) for name, (title, make) in parts.items()]
    return [section for section in found if section.blocks]


def _data(evaluation: Evaluation) -> Blocks:
    for note in (*model_notes(evaluation.model), *sample_notes(evaluation.file, evaluation.sample)):
        yield Paragraph(note, is_note=True)
    facts = model_facts(evaluation.model, evaluation.model_name)
    yield PageTable("Model", ("", ""), list(facts.items()), text_columns=frozenset({0, 1}))
    yield PageTable("Data", ("", ""), list(_data_facts(evaluation).items()), text_columns=frozenset({0, 1}))


def _data_facts(evaluation: Evaluation) -> dict[str, str]:
    file, sample = evaluation.file, evaluation.sample
    facts = {
        "File": file.path.name,
        "Evaluated": f"{spectra_text(len(sample))} ({file.kind}), of {spectra_text(file.n_rows)} in the file"
        + (", chosen at random" if len(file.rows) < file.n_of_kind else ""),
    }
    if n_others := file.n_rows - file.n_of_kind:
        facts["Not evaluated"] = f"{format_integer(n_others)} {'combined spectra' if file.visits else 'visits'}"
    if file.has_star_names:
        facts["Stars"] = format_integer(len(np.unique(sample.stars)))
    if sample.snr is not None and np.isfinite(sample.snr).any():
        low, middle, high = np.nanpercentile(sample.snr, (5, 50, 95))
        facts["S/N"] = f"{low:.0f}, {middle:.0f}, {high:.0f} (5, 50 and 95 per cent of the spectra are below)"
    facts["Preparation of the spectra"] = preparation_text(file.preprocessing)
    origin = "those in the file" if evaluation.reference_name == "Reference" else evaluation.reference_name
    exact = "without errors: they count as exact"
    facts["Reference labels"] = f"{origin}, {'with errors' if sample.y_err is not None else exact}"
    if missing := _missing(evaluation):
        facts["Spectra without the label"] = missing
    return facts


def _missing(evaluation: Evaluation) -> str:
    """Return how many reference labels are missing, for the labels that some spectra have."""
    known = evaluation.sample.known
    counts = {
        plain_symbol(name): int((~column).sum())
        for name, column in zip(evaluation.sample.label_names, known.T, strict=True)
        if column.any() and not column.all()
    }
    return ", ".join(f"{name} {format_integer(count)}" for name, count in counts.items())


def _residuals(evaluation: Evaluation) -> Blocks:
    kind = evaluation.sample.std_kind
    yield Paragraph(
        f"A residual is predicted minus reference label. {_BIAS_AND_SCATTER} The last column is the median {kind} "
        "standard deviation that the model predicts; the scatter also contains the errors of the reference labels."
    )
    rows = []
    for row in evaluation.residuals:
        decimals = decimals_for(row["mad_std"] or row["median_std"])
        figures = [number(row["median_residual"], decimals), _scatter(row, "mad_std", decimals)]
        figures.append(number(row["median_std"], decimals))
        rows.append([symbol(row["label"]), str(row["unit"]), format_integer(row["n"]), *figures])
    yield PageTable(
        "Residuals of all labels",
        ("Label", "Unit", "Spectra", "Bias", "Scatter", "Median error bar"),
        rows,
        text_columns=frozenset({0, 1}),
    )
    if unknown := unknown_labels(evaluation.sample):
        yield Paragraph(f"The file has no value of {', '.join(unknown)}: there are no residuals of these labels.")
    yield FigureGroup(["overview"])


def _scatter(row: Row, name: str, decimals: int) -> str:
    """Return a scatter as text; a dash for a single spectrum, which has none."""
    return number(row[name], decimals) if row["n"] > 1 else NOT_KNOWN


def _ranges(evaluation: Evaluation) -> Blocks:
    yield Paragraph(
        f"Bias {_PM} scatter of the residuals, in K for Teff and in dex for the other labels of APOGEE."
        f" Ranges of temperature and metallicity are those of the reference labels. Ranges with fewer than {MIN_STARS} "
        "spectra are not shown."
    )
    by_quantity = {quantity: ranges(evaluation.sample, quantity) for quantity in _QUANTITIES}
    for quantity, divided in by_quantity.items():
        if len(divided) < 2:
            yield Paragraph(_not_divided(evaluation, quantity, divided))
    for quantity, divided in by_quantity.items():
        if len(divided) < 2:
            continue
        header, rows = pivot(evaluation.residuals_by(quantity), "Label", bias_and_scatter)
        rows.insert(0, ["Spectra", *(format_integer(int(one.members.sum())) for one in divided)])
        yield PageTable(f"Residuals by {_QUANTITIES[quantity]}", header, rows)


def _not_divided(evaluation: Evaluation, quantity: str, divided: Sequence[Range]) -> str:
    """Return why there is no table by a quantity."""
    text = f"There is no table by {_QUANTITIES[quantity]}: "
    if not is_known(evaluation.sample, quantity):
        return f"{text}the file does not have it."
    if not divided:
        return f"{text}each range has fewer than {MIN_STARS} spectra."
    return f"{text}only one range, {divided[0].text}, has at least {MIN_STARS} spectra."


def _error_bars(evaluation: Evaluation) -> Blocks:
    sample = evaluation.sample
    is_calibrated = sample.std_kind == "calibrated"
    origin = f" (calibrated with {sample.calibrated_by})" if is_calibrated and sample.calibrated_by else ""
    errors = "" if sample.y_err is None else ", in quadrature with the errors of the reference labels"
    yield Paragraph(
        f"The error bar {_SIGMA} of a prediction is its {sample.std_kind} standard deviation{origin}{errors}. If it is "
        f"right, {share(NOMINAL['within_1'])} of the reference labels lie within 1 {_SIGMA} and "
        f"{share(NOMINAL['within_1.96'])} within 1.96 {_SIGMA}; the residuals in units of {_SIGMA} have the bias 0 "
        "and the scatter 1. Lower shares mean that error bars are too small, or that predictions are biased."
    )
    has_intervals = sample.in_interval is not None
    if has_intervals:
        of_true_labels = (
            " If the model was calibrated with label errors, they are intervals for the true label, and fewer "
            "reference labels, which have errors of their own, lie within them."
        )
        yield Paragraph(
            "The 90 % intervals are those of predict_interval: they need no assumption about the shape of the "
            f"residuals.{'' if sample.y_err is None else of_true_labels}"
        )
    else:
        yield Paragraph("The model has no prediction intervals, or too few calibration stars for 90 %.")
    divided = ranges(sample, "snr")
    if len(divided) < 2:
        yield Paragraph(_not_divided(evaluation, "snr", divided))
    yield PageTable(
        "Shares of the reference labels within the error bars",
        ("Label", *_coverage_header(has_intervals)),
        [[_label_or_all(row["label"]), *_coverage_cells(row)] for row in evaluation.coverage],
        note=(
            f"{_MARK} differs from the right share by more than {_MARK_FROM} standard errors of a share of so many "
            "spectra."
        ),
    )
    if len(divided) > 1:
        by_snr = evaluation.coverage_by_snr
        rows = [[str(row["range"]), *_coverage_cells(row)] for row in by_snr if row["label"] == ALL_LABELS]
        yield PageTable("The same for all labels together, by S/N", ("S/N", *_coverage_header(has_intervals)), rows)
        header, rows_of_labels = pivot(
            by_snr[by_snr["label"] != ALL_LABELS], "Label", lambda row: _marked(row, "within_1")
        )
        yield PageTable(
            f"Share within 1 {_SIGMA} by S/N ({share(NOMINAL['within_1'])} is right)",
            header,
            rows_of_labels,
        )
    yield FigureGroup(["calibration"])


def _coverage_header(has_intervals: bool) -> tuple[str, ...]:
    header = ("Labels", f"Within 1 {_SIGMA}", f"Within 1.96 {_SIGMA}", f"Bias / {_SIGMA}", f"Scatter / {_SIGMA}")
    return (*header, "In 90 % interval") if has_intervals else header


def _coverage_cells(row: Row) -> list[str]:
    cells = [format_integer(row["n"]), _marked(row, "within_1"), _marked(row, "within_1.96")]
    cells += [number(row["median_z"], 2), _scatter(row, "mad_std_z", 2)]
    return [*cells, share(row["in_interval"])] if "in_interval" in row.colnames else cells


def _marked(row: Row, name: str) -> str:
    """Return a share, marked if it differs clearly from the right one. Labels of a star are not independent."""
    nominal = NOMINAL[name]
    is_off = row["n"] > 0 and abs(row[name] - nominal) > _MARK_FROM * np.sqrt(nominal * (1 - nominal) / row["n"])
    is_marked = is_off and row["label"] != ALL_LABELS
    return share(row[name]) + "\N{THIN SPACE}" + (_MARK if is_marked else "\N{FIGURE SPACE}")


def _label_or_all(name: str) -> Cell:
    return "All labels" if name == ALL_LABELS else symbol(name)


def _responses(evaluation: Evaluation) -> Blocks:
    if len(evaluation.sample.label_names) == 1:
        yield Paragraph("The model has one label, so that there are no responses to other labels.")
        return
    responses = evaluation.responses
    yield Paragraph(
        "A response is the change of a predicted label per unit of a true label, while all other true labels stay the "
        "same. A label that is measured has an own response near 1. A smaller one means that the label is drawn "
        "towards the mean. A foreign response is one to another label: far from 0, the label is guessed from that one."
    )
    if responses is None:
        yield Paragraph(f"The responses of these spectra cannot be estimated. {evaluation.no_responses}")
        responses = evaluation.model.validation_responses_
        if responses is None:
            yield Paragraph("The model has no responses of stars that were held out from its training either.")
            return
        yield Paragraph("Shown are the responses of the stars that were held out from the training.")
    if not responses.errors_removed:
        yield Paragraph("The reference labels have no errors, so that own responses come out too small.")
    yield _response_table(responses)
    yield FigureGroup(["responses"])


def _response_table(responses: ResponseMatrix) -> PageTable:
    rows: list[list[Cell]] = []
    for row in responses.to_table():
        strongest, decimals = str(row["strongest"]), 2 if row["response_error"] < 1 else 0
        rows.append(
            [
                symbol(row["label"]),
                f"{number(row['own'], 2)} {_PM} {number(row['own_error'], 2)}",
                number(row["foreign"], 2 if row["foreign"] < 1 else 0),
                symbol(strongest) if strongest else NOT_KNOWN,
                f"{number(row['response'], decimals)} {_PM} {number(row['response_error'], decimals)}",
            ]
        )
    note = f"From {spectra_text(responses.n_stars)} with all labels; the numbers after {_PM} are standard errors."
    if responses.elements:
        note += (
            f" Mean own response of the elements: {number(responses.mean_own, 3)} {_PM} "
            f"{number(responses.mean_own_error, 3)}; foreign: {number(responses.rms_foreign, 3)}."
        )
    note += (
        " Foreign: root mean square of the responses to the other elements, less what chance contributes. Units are "
        "those of the label per dex. Strongest: the label, apart from Teff and log g, with the largest foreign "
        "response."
    )
    return PageTable(
        "Own and foreign responses",
        ("Label", "Own", "Foreign", "Strongest", "Response to it"),
        rows,
        note,
        frozenset({0, 3}),
    )


def _novelty(evaluation: Evaluation) -> Blocks:
    sample = evaluation.sample
    if sample.flags is None or sample.novelty is None:
        yield Paragraph(
            "The model has no summary of its training set, so that out-of-distribution spectra cannot be told from "
            "others."
        )
        return
    yield Paragraph(
        "A spectrum is out-of-distribution if it, its bad pixels, its predicted labels or the differences between the "
        "posterior draws exceed a limit, as each does for about 1 in 400 training-like stars. The novelty score is the "
        "largest of these four, in units of its limit."
    )
    rows = [[_in_full(row["meaning"]), format_integer(row["n"]), share(row["share"])] for row in evaluation.novelty]
    note = "The last rows are of noise and large error bars, which do not make a spectrum out-of-distribution."
    yield PageTable("Novelty flags", ("Meaning", "Spectra", "Share"), rows, note)
    if sample.labels_out_of_range is not None and sample.labels_out_of_range.any():
        counts = zip(sample.label_names, sample.labels_out_of_range, strict=True)
        texts = [f"{plain_symbol(name)} {format_integer(int(n))}" for name, n in counts if n]
        yield Paragraph(f"Spectra with a label predicted outside the range of the training: {', '.join(texts)}.")
    outside = np.flatnonzero(sample.flags & NoveltyFlag.OUTSIDE)
    if not len(outside):
        return
    order = outside[np.argsort(-np.nan_to_num(sample.novelty[outside]), kind="stable")][:_N_NOVEL]
    yield PageTable(
        f"{_most_novel(len(order), len(outside))} out-of-distribution",
        ("Star", "Row", "S/N", "Novelty", "Why"),
        [
            [
                str(sample.stars[j]),
                str(sample.rows[j]),
                NOT_KNOWN if sample.snr is None else number(sample.snr[j], 0),
                number(sample.novelty[j], 2),
                _meanings(int(sample.flags[j])),
            ]
            for j in order
        ],
        text_columns=frozenset({0, 4}),
    )
    yield from _residuals_inside(evaluation, outside)


def _most_novel(n_listed: int, n_outside: int) -> str:
    return f"The {n_listed} most novel of {n_outside} spectra" if n_listed < n_outside else spectra_text(n_outside)


def _residuals_inside(evaluation: Evaluation, outside: np.ndarray) -> Blocks:
    """Yield a sentence on the error bars of spectra inside and outside the distribution."""
    z = np.abs(evaluation.sample.z)
    is_outside = np.zeros(len(z), dtype=bool)
    is_outside[outside] = True
    far = {text: z[members][~np.isnan(z[members])] > 5 for text, members in (("out", is_outside), ("in", ~is_outside))}
    if len(far["out"]) and len(far["in"]):
        yield Paragraph(
            f"Of the labels of out-of-distribution spectra, {share(far['out'].mean())} are off by more than 5 error "
            f"bars; of the other spectra {share(far['in'].mean())}."
        )


def _meanings(flags: int) -> str:
    return "; ".join(_in_full(BIT_MEANINGS[flag]) for flag in _REASONS if flags & flag) or NOT_KNOWN


def _in_full(meaning: str) -> str:
    return str(meaning).replace("std of", "standard deviation of")


def _outliers(evaluation: Evaluation) -> Blocks:
    table = evaluation.outliers
    yield Paragraph(
        "The stars with the largest residuals in units of their errors, each with its worst label. The error is the "
        "standard deviation of the prediction"
        + ("" if evaluation.sample.y_err is None else ", in quadrature with the error of the reference label")
        + ". The spectra show the window of that label, if it has one."
    )
    rows = []
    for row in table:
        decimals = decimals_for(row["error"])
        cells = [number(row[name], decimals) for name in ("reference", "predicted", "error")]
        flags = NOT_KNOWN if "flags" not in table.colnames else _meanings(int(row["flags"]))
        snr = NOT_KNOWN if "snr" not in table.colnames else number(row["snr"], 0)
        rows.append(
            [
                str(row["star"]),
                str(row["row"]),
                snr,
                with_unit(row["label"]),
                *cells,
                number(row["z"], 1),
                str(row["n_off"]),
                flags,
            ]
        )
    header = (
        "Star",
        "Row",
        "S/N",
        "Label",
        "Reference",
        "Predicted",
        "Error",
        "Residual / error",
        "Labels off",
        "Novelty",
    )
    note = (
        "Row: in the file, from 0. Labels off: by more than 5 errors. Novelty: why the spectrum is out-of-distribution."
    )
    yield PageTable("Largest outliers", header, rows, note, frozenset({0, 3, 9}))
    yield FigureGroup([f"outlier_{k}" for k in range(1, len(table) + 1)])


def _planes(evaluation: Evaluation) -> Blocks:
    names = [name for name in evaluation.figures if name == "kiel" or name.startswith("plane_")]
    if names:
        yield FigureGroup(names)
    else:
        yield Paragraph("The model has neither Teff and log g, nor the abundances of one of the planes.")


def _versions(evaluation: Evaluation) -> Blocks:
    table: Table = evaluation.other_versions
    if not len(table):
        return
    yield Paragraph(
        "The file has other values of some labels. The residuals against them stand beside those against the reference "
        "labels of the same spectra."
    )
    rows = []
    for row in table:
        decimals = decimals_for(row["mad_std"])
        names = ("median_residual", "mad_std", "reference_median", "reference_mad_std")
        rows.append(
            [
                symbol(row["label"]),
                str(row["version"]),
                str(row["unit"]),
                format_integer(row["n"]),
                *(number(row[name], decimals) for name in names),
            ]
        )
    header = ("Label", "Version", "Unit", "Spectra", "Bias", "Scatter", "Reference bias", "Reference scatter")
    yield PageTable("Residuals against other versions", header, rows, text_columns=frozenset({0, 1, 2}))


def _training(evaluation: Evaluation) -> Blocks:
    if "history" not in evaluation.figures:
        yield Paragraph("The model has no history of its training.")
    yield FigureGroup([name for name in ("history", "jacobian", "architecture") if name in evaluation.figures])


def _each_label(evaluation: Evaluation) -> Blocks:
    yield FigureGroup([name for name in evaluation.figures if name.startswith("residuals_")])
