"""Tables of a sample: residuals, coverage of the error bars, outliers, novelty, and other versions of the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.stats import mad_std
from astropy.table import Table, vstack

from skbcnn.metrics import residual_table
from skbcnn.novelty import NoveltyFlag
from skbcnn.novelty.flags import BIT_MEANINGS
from skbcnn.report.ranges import ranges
from skbcnn.report.sample import Sample

ALL_LABELS = "all labels"
NOMINAL = {"within_1": 0.683, "within_1.96": 0.95, "in_interval": 0.9}
"""Right value of each share in the tables of coverage."""
_HALF_WIDTHS = {"within_1": 1.0, "within_1.96": 1.96}  # standard deviations
_REPORTED_FLAGS = (
    NoveltyFlag.SPECTRUM_NOVEL,
    NoveltyFlag.BAD_PIXELS,
    NoveltyFlag.LABEL_OUT_OF_RANGE,
    NoveltyFlag.MODEL_UNCERTAIN,
    NoveltyFlag.NOISIER_THAN_TRAINED,
    NoveltyFlag.UNCERTAIN_TEFF,
    NoveltyFlag.UNCERTAIN_LOGG,
)


def residuals(sample: Sample) -> Table:
    """Return the residuals of each label that some spectrum has.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.

    Returns
    -------
    table : astropy.table.Table
        Columns of `skbcnn.residual_table`, and ``median_std``: the median predicted standard deviation.
    """
    table = residual_table(sample.y, sample.mean, label_names=sample.label_names)
    stds = [std[known] for std, known in zip(sample.std.T, sample.known.T, strict=True)]
    table["median_std"] = [np.median(std) if len(std) else np.nan for std in stds]
    table["median_std"].format = "{:.4g}"
    return table[table["n"] > 0]


def residuals_by(sample: Sample, quantity: str) -> Table:
    """Return the residuals of each label in ranges of a quantity.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    quantity : {"snr", "teff", "Fe"}
        S/N, or a reference label.

    Returns
    -------
    table : astropy.table.Table
        Column ``range``, and those of `skbcnn.residual_table`. Empty if the quantity is not known.
    """
    return _stacked(
        (text, residual_table(sample.y[members], sample.mean[members], label_names=sample.label_names))
        for text, members in ranges(sample, quantity)
    )


def coverage(sample: Sample, members: np.ndarray | slice = slice(None)) -> Table:
    """Return how often the reference labels are within the error bars.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    members : ndarray of bool of shape (n_samples,) or slice
        Spectra to use.

    Returns
    -------
    table : astropy.table.Table
        Columns ``label``, ``n``, ``within_1`` and ``within_1.96`` (shares of the reference labels within so many
        standard deviations of the prediction), ``median_z`` and ``mad_std_z`` (median and scatter of the standardised
        residuals), and ``in_interval`` (share within the 90 % intervals) if the model has intervals. The first row is
        of all labels together. The standard deviations include the errors of the reference labels; the intervals do
        not.
    """
    z, inside = sample.z[members], None if sample.in_interval is None else sample.in_interval[members]
    rows = [{"label": ALL_LABELS, **_shares(z, inside)}]
    for j, name in enumerate(sample.label_names):
        rows.append({"label": name, **_shares(z[:, j], None if inside is None else inside[:, j])})
    return Table(rows=[row for row in rows if row["n"] or row["label"] == ALL_LABELS])


def coverage_by_snr(sample: Sample) -> Table:
    """Return how often the reference labels are within the error bars, in ranges of S/N.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.

    Returns
    -------
    table : astropy.table.Table
        Column ``range`` and those of `coverage`. Empty if the S/N is not known.
    """
    return _stacked((text, coverage(sample, members)) for text, members in ranges(sample, "snr"))


def outliers(sample: Sample, n_stars: int) -> Table:
    """Return the stars with the largest residuals in units of their errors.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    n_stars : int
        Number of stars; each is listed once, with its worst label.

    Returns
    -------
    table : astropy.table.Table
        Columns ``star``, ``row`` (in the file), ``position`` (in the sample), ``label``, ``reference``, ``predicted``,
        ``error`` (standard deviation, with the error of the reference label), ``z`` (residual in units of this error),
        ``n_off`` (number of labels that are off by more than 5 errors), ``snr`` if it is known, and ``flags`` if the
        model flags novelty; the worst star first.
    """
    size = np.nan_to_num(np.abs(sample.z), nan=-1.0)
    worst = size.argmax(axis=1)
    order = np.argsort(-size.max(axis=1), kind="stable")
    _, first = np.unique(sample.stars[order], return_index=True)
    chosen = order[np.sort(first)][:n_stars]
    columns: dict[str, Any] = {
        "star": sample.stars[chosen],
        "row": sample.rows[chosen],
        "position": chosen,
        "label": np.array(sample.label_names)[worst[chosen]],
    }
    at = chosen, worst[chosen]
    columns |= {"reference": sample.y[at], "predicted": sample.mean[at], "error": sample.total_error[at]}
    columns |= {"z": sample.z[at], "n_off": (size[chosen] > 5).sum(axis=1)}
    if sample.snr is not None:
        columns["snr"] = sample.snr[chosen]
    if sample.flags is not None:
        columns["flags"] = sample.flags[chosen]
    return Table(columns)


def novelty(sample: Sample) -> Table:
    """Return how many spectra have each novelty flag.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.

    Returns
    -------
    table : astropy.table.Table
        Columns ``flag``, ``meaning``, ``n`` and ``share``. The first row counts the spectra that have any of the flags
        of `NoveltyFlag.OUTSIDE`. Empty if the model has no summary of its training set.
    """
    if sample.flags is None:
        return Table()
    rows = [("OUTSIDE", "out-of-distribution: any of the next four", NoveltyFlag.OUTSIDE)]
    rows += [(str(flag.name), BIT_MEANINGS[flag], flag) for flag in _REPORTED_FLAGS]
    counts = [int(((sample.flags & flag) != 0).sum()) for *_, flag in rows]
    return Table(
        {
            "flag": [name for name, *_ in rows],
            "meaning": [meaning for _, meaning, _ in rows],
            "n": counts,
            "share": [count / len(sample) for count in counts],
        }
    )


def other_versions(sample: Sample, versions: Mapping[str, np.ndarray]) -> Table:
    """Return the residuals of the predictions against other versions of the labels.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    versions : mapping of str to ndarray of shape (n_samples, n_labels)
        Other values of the labels by the name of the version; NaN where missing.

    Returns
    -------
    table : astropy.table.Table
        Column ``version``, and those of `skbcnn.residual_table`, followed by ``reference_median`` and
        ``reference_mad_std``: the same for the reference labels of the same spectra.
    """
    tables = []
    for version, values in versions.items():
        table = residual_table(values, sample.mean, label_names=sample.label_names)
        both = np.where(np.isnan(values), np.nan, sample.y)
        of_reference = residual_table(both, sample.mean, label_names=sample.label_names)
        table["reference_median"] = of_reference["median_residual"]
        table["reference_mad_std"] = of_reference["mad_std"]
        tables.append((version, table))
    return _stacked(tables, "version")


def _shares(z: np.ndarray, inside: np.ndarray | None) -> dict[str, float]:
    """Return the number of standardised residuals, and the shares of them within each interval."""
    known = ~np.isnan(z)
    n = int(known.sum())
    size = np.abs(z[known])
    shares: dict[str, float] = {"n": n}
    shares |= {name: float((size <= width).mean()) if n else np.nan for name, width in _HALF_WIDTHS.items()}
    shares["median_z"] = float(np.median(z[known])) if n else np.nan
    shares["mad_std_z"] = float(mad_std(z[known])) if n else np.nan
    if inside is not None:
        comparable = known & ~np.isnan(inside)
        shares["in_interval"] = float(inside[comparable].mean()) if comparable.any() else np.nan
    return shares


def _stacked(tables: Iterable[tuple[str, Table]], column: str = "range") -> Table:
    """Join tables without their empty rows, below each other, with the name of each in the first column."""
    named = []
    for name, table in tables:
        table.add_column([name] * len(table), name=column, index=0)
        named.append(table[table["n"] > 0])
    return vstack(named, metadata_conflicts="silent") if named else Table()
