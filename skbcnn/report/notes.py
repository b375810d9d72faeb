"""What the reader of an evaluation must know, as sentences: for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from skbcnn._provenance import was_synthetic
from skbcnn.plotting._label_text import format_integer, spectra_text
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.report.labelled_file import LabelledFile
from skbcnn.report.ranges import MIN_STARS
from skbcnn.report.sample import Sample
from skbcnn.report.texts import plain_symbol


def model_notes(model: CensoredBCNNRegressor) -> list[str]:
    """Return what the reader must know about the model, as sentences.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.

    Returns
    -------
    notes : list of str
    """
    if not was_synthetic(getattr(model, "provenance_", {})):
        return []
    return [
        "The first training of this model used synthetic spectra only. Its labels of real stars are no measurements."
    ]


def sample_notes(file: LabelledFile, sample: Sample) -> Iterator[str]:
    """Yield what the reader must know about the spectra and their labels, as sentences.

    Parameters
    ----------
    file : LabelledFile
        File that was evaluated.
    sample : Sample
        Reference labels and predictions.

    Yields
    ------
    note : str
    """
    if was_trained_on(file):
        yield (
            f"The model was trained on {file.path.name}, so these are figures of training stars, except for the few "
            "that were held out. They do not tell how accurate the labels of other stars are: evaluate stars that the "
            "model has not seen."
        )
    if file.is_synthetic:
        yield "The spectra of the file are synthetic."
    if len(file.rows) < file.n_of_kind:
        yield (
            f"Evaluated are {format_integer(len(file.rows))} of the {format_integer(file.n_of_kind)} {file.kind}, "
            "chosen at random. The largest outliers are those among them."
        )
    if len(sample) < MIN_STARS:
        yield f"Only {spectra_text(len(sample))}: statistics of so few are uncertain."
    if unknown := unknown_labels(sample):
        yield f"Not evaluated, because the file has no value of them: {', '.join(unknown)}."
    if file.left_out:
        row, reason = file.left_out[0]
        n_all = format_integer(len(file.rows))
        yield f"Left out: {len(file.left_out)} of {n_all} spectra, which cannot be used (first: row {row}, {reason})."
    if sample.explanation is not None:
        yield sample.explanation


def was_trained_on(file: LabelledFile) -> bool:
    """Return whether a model was trained on a file, by the name and the number of spectra that the model records.

    Parameters
    ----------
    file : LabelledFile
        File to evaluate, with its model.

    Returns
    -------
    was_trained_on : bool
    """
    provenance = getattr(file.model, "provenance_", {})
    first = provenance.get("first_training", provenance)
    n_combined = file.n_rows - file.n_of_kind if file.visits else file.n_of_kind
    same_number = first.get("n_spectra", n_combined) in (n_combined, file.n_rows)
    return first.get("training_data") == file.path.name and same_number


def unknown_labels(sample: Sample) -> list[str]:
    """Return the symbols of the labels that no spectrum has."""
    return [
        plain_symbol(name) for name, column in zip(sample.label_names, sample.known.T, strict=True) if not column.any()
    ]
