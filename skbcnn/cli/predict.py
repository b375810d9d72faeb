"""``skbcnn predict``: files of spectra in, labels with error bars out.

`FitsReader` and `read_h5` turn files into rows that the model can be asked about; `run_predict` asks, some rows at a
time, and shows and writes what comes of it. A file that cannot be read does not keep the others from being predicted.
"""

import sys
from typing import NamedTuple

import click
import h5py
import numpy as np
from astropy.table import vstack
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from skbcnn import __version__
from skbcnn._prediction import column_names as label_columns
from skbcnn._validation import check_finite_spectra, check_flux_errors
from skbcnn.catalog import prediction_table, write_table
from skbcnn.cli.files import check_tables, column_names
from skbcnn.cli.screen import print_labels
from skbcnn.datasets import H5Loader, read_fits_spectra
from skbcnn.novelty import result_flags
from skbcnn.persistence import load_folder
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import kept_pixels

_ROWS_AT_ONCE = 1024  # bounds memory: 60 MB of flux and errors
_SYNTHETIC = (
    "This model knows synthetic stars only: it never saw a real spectrum, so what it says of real stars shows how the "
    "tool works and is no measurement."
)


class Rows(NamedTuple):
    """Spectra as the model takes them.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_pixels)
        Flux in units of the continuum.
    x_err : ndarray of the shape of `X`, or None
        Its errors.
    columns : dict of str to sequence of length n_rows
        What is known of them: the leading columns of the table.
    """

    X: np.ndarray
    x_err: np.ndarray | None
    columns: dict


def run_predict(*, model, spectra, out, visits, combination, n_draws, naming, overwrite):
    """Predict the labels of the spectra in some files, print them, and write them.

    Parameters
    ----------
    model : pathlib.Path
        The model folder.
    spectra : sequence of pathlib.Path
        apStar, aspcapStar and HDF5 files.
    out : sequence of pathlib.Path
        Tables to write.
    visits : bool
        Whether to predict the visits of apStar files too.
    combination : {"pixel", "global"} or None
        Which combined spectrum of apStar files; None: that of the model's preprocessing.
    n_draws : int or None
        Posterior draws; None: those of the model.
    naming : {"skbcnn", "sdssv"}
        How the columns of the tables are called.
    overwrite : bool
        Whether tables of these names may be replaced.

    Returns
    -------
    failures : list of Exception
        Why files or spectra could not be predicted.

    Raises
    ------
    ValueError, OSError
        If nothing can be predicted at all, or nothing written: a sentence says why.
    """
    check_tables(out, overwrite)
    source, model = model, _regressor(model)
    one_watched = len(spectra) == 1 and sys.stderr.isatty()  # of many files, the bar counts files
    model.set_params(verbose=int(one_watched), n_draws=n_draws or model.n_draws)
    notices, failures = _model_notices(model), []
    rows = _all_rows(model, spectra, visits, combination, notices, failures)
    tables = [_table(model, some, source) for some in _in_batches(rows)]
    if not tables:
        return [*failures, ValueError("No spectrum was predicted, and nothing written.")]
    table = vstack(tables, metadata_conflicts="silent").filled(False)  # noisier, where there are no errors to tell it
    click.echo("\n".join([*notices, *_noise_notices(table), *_novelty_notices(table), ""]))
    where = f"All are in {out[0]}." if out else "Pass --out labels.fits to have all of them in a file."
    print_labels(table, model.target_names_, where_all=where)
    _rename_columns(table, model.target_names_, naming)
    for path in out:
        click.echo(f"Wrote {write_table(table, path, overwrite=overwrite)}")
    return failures


def _regressor(path):
    """The saved regressor; a pipeline has steps of its own, which files of spectra must not pass twice."""
    model = load_folder(path)
    if isinstance(model, Pipeline):
        raise ValueError(
            f"{path} holds a pipeline, expected a regressor alone, for whose preprocessing spectra from files are "
            "prepared. Save pipeline[-1] with preprocessing={...}, or predict in Python with load_folder."
        )
    return model


def _rename_columns(table, label_names, naming):
    """Call the columns of labels and errors otherwise."""
    for name in label_names:
        for old, new in zip(*(label_columns(name, how).values() for how in ("skbcnn", naming)), strict=True):
            if old in table.colnames:
                table.rename_column(old, new)


def _model_notices(model):
    """What must be known of a model before its numbers are read."""
    return [_SYNTHETIC] if model.provenance_.get("training_data") == "synthetic" else []


def _noise_notices(table):
    """What must be known of spectra with more noise than the model has seen."""
    n_noisier = table["noisier"].sum() if "noisier" in table.colnames else 0
    if not n_noisier:
        return []
    return [
        f"{n_noisier} of {len(table)} spectra have more noise than every star that the model was trained on (column "
        "noisier of the tables): their errors may be too small."
    ]


def _novelty_notices(table):
    """What must be known of spectra unlike those that the model has seen."""
    n_outside = (table["novelty"] > 1).sum() if "novelty" in table.colnames else 0
    if not n_outside:
        return []
    return [
        f"{n_outside} of {len(table)} spectra lie outside what the model was trained on (columns result_flags and "
        "novelty of the tables say how): do not trust their labels unseen."
    ]


def _all_rows(model, paths, visits, combination, notices, failures):
    """Yield the spectra of all files, one file at a time, and account for those that cannot be read."""
    is_h5 = {path: path.suffix.lower() in (".h5", ".hdf5") or _holds_hdf5(path) for path in paths}
    reader = None if all(is_h5.values()) else FitsReader(model, visits, combination, notices, failures)
    for path in tqdm(paths, desc="Spectra", unit="file", leave=False, disable=len(paths) == 1 or None):
        try:
            yield from read_h5(path, model.n_features_in_) if is_h5[path] else reader.read(path)
        except (OSError, ValueError) as error:
            failures.append(error)
    if reader is not None:
        reader.say_what_was_renormalized()


def _holds_hdf5(path):
    return path.is_file() and h5py.is_hdf5(path)


def read_h5(path, n_pixels):
    """Yield all spectra of an HDF5 file, as they are.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    n_pixels : int
        That the model takes.

    Yields
    ------
    rows : Rows
        Some at a time.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or its spectra are not of this length, or not finite.
    """
    loader = H5Loader(path, load_combined=None)
    X, known = loader.load_entry("spectra"), column_names(path)
    if X.shape[1] != n_pixels:
        raise ValueError(
            f"The spectra of {path} have {X.shape[1]} pixels, but the model takes {n_pixels}. Those of HDF5 files are "
            "taken as they are: remove gaps and continuum before writing them, with prepare_spectra."
        )
    check_finite_spectra(X)
    x_err = check_flux_errors(loader.load_entry("spectra_err"), X) if "spectra_err" in known else None

    def column(name, otherwise):
        return loader.load_entry(name) if name.lower() in known else np.full(len(X), otherwise)

    columns = {
        "star": loader.load_entry("APOGEE_ID") if "apogee_id" in known else [f"row {row}" for row in range(len(X))],
        "spectrum": np.where(column("in_flag", 0) == 1, "visit", "combined"),
        "file": [path.name] * len(X),
        **{name.lower(): np.asarray(column(name, np.nan), dtype=float) for name in ("SNR", "RA", "DEC")},
    }
    for start in range(0, len(X), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        some = {name: values[part] for name, values in columns.items()}
        yield Rows(X[part], None if x_err is None else x_err[part], some)


class FitsReader:
    """Reads apStar and aspcapStar files, and normalises them as the model's training spectra were.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Loaded, so that it tells its preprocessing.
    visits : bool
        Whether to read visits.
    combination : {"pixel", "global"} or None
        Which combined spectrum; None: the model's.
    notices : list of str
        Is appended what must be known of the spectra.
    failures : list of Exception
        Is appended what goes wrong with single spectra of a file.

    Raises
    ------
    ValueError
        If the preprocessing of the model cannot be done, or does not lead to its pixels.
    """

    def __init__(self, model, visits, combination, notices, failures):
        told = dict(model.preprocessing_)
        if not told:
            notices.append(
                "The model does not tell how its training spectra were normalised; ContinuumNormalizer's defaults are "
                "taken."
            )
        trained_on = told.pop("combination", "pixel")
        self.normalizer = _normalizer(told, model.n_features_in_)
        self.visits, self.combination = visits, combination or trained_on
        if self.combination != trained_on:
            notices.append(
                f"The model was trained on {trained_on} combinations, but reads {self.combination} ones now."
            )
        self.notices, self.failures = notices, failures
        self.n_renormalized = 0

    def read(self, path):
        """Yield the spectra of a file.

        Parameters
        ----------
        path : pathlib.Path
            The file.

        Yields
        ------
        rows : Rows
            One at a time.

        Raises
        ------
        ValueError, OSError
            If the file holds no spectrum that can be read.
        """
        star = read_fits_spectra(path, visits=self.visits, combination=self.combination)
        self.notices += [f"{star.object_id} ({path.name}): {reason}; skipped." for _, reason in star.skipped]
        self.n_renormalized += star.normalized
        for row in range(len(star)):
            try:
                yield self._normalized(star, slice(row, row + 1), path)
            except ValueError as error:
                self.failures.append(ValueError(f"{path}, {star.row_names[row]}: {error}"))

    def say_what_was_renormalized(self):
        """Tell of spectra that came with a continuum other than the model's."""
        if self.n_renormalized:
            self.notices.append(
                f"{self.n_renormalized} aspcapStar file(s) came divided by ASPCAP's pseudo-continuum; they were "
                "normalised again as the model's training spectra."
            )

    def _normalized(self, star, row, path):
        kept = kept_pixels(self.normalizer.data_release)
        flux, err, flags = (part[row, kept] for part in (star.flux, star.error, star.bitmask))
        if star.normalized:  # no flags: bad pixels are told by errors of 1e7 and more, beyond any continuum
            flux = np.where(err < 1, flux, np.nan)
        flux, err, _ = self.normalizer.normalize(flux, err, flags)
        columns = {
            "star": [star.object_id],
            "spectrum": list(star.row_names[row]),
            "file": [path.name],
            "snr": star.snr[row],
            "ra": [star.ra],
            "dec": [star.dec],
        }
        return Rows(flux, err, columns)


def _normalizer(parameters, n_pixels):
    """The `ContinuumNormalizer` that a model tells of, found to work on its pixels."""
    if unknown := sorted(set(parameters) - set(ContinuumNormalizer().get_params())):
        raise ValueError(
            f"The model tells of preprocessing that is not known here: {', '.join(unknown)}. Normalise the spectra "
            "yourself, and pass them as an HDF5 file; write_h5 makes one."
        )
    normalizer = ContinuumNormalizer(**parameters)
    n_kept = len(kept_pixels(normalizer.data_release))
    if n_kept != n_pixels:
        raise ValueError(
            f"The model takes spectra of {n_pixels} pixels, but apStar and aspcapStar files have {n_kept} of data "
            f"release {normalizer.data_release}. Pass an HDF5 file of spectra on the grid of the model."
        )
    return normalizer.fit(np.ones((1, n_pixels)))


def _in_batches(rows):
    """Join rows until they are enough to be predicted together; what has no errors apart from what has."""
    waiting = []
    for some in rows:
        if waiting and (sum(len(r.X) for r in waiting) >= _ROWS_AT_ONCE or _is_other_kind(waiting[0], some)):
            yield _joined(waiting)
            waiting = []
        waiting.append(some)
    if waiting:
        yield _joined(waiting)


def _is_other_kind(one, other):
    return (one.x_err is None) != (other.x_err is None)


def _joined(parts):
    X, x_err, columns = zip(*parts, strict=True)
    return Rows(
        np.concatenate(X),
        None if x_err[0] is None else np.concatenate(x_err),
        {name: np.concatenate([part[name] for part in columns]) for name in columns[0]},
    )


def _table(model, rows, source):
    """Predictions of some rows, as a table; `source` is the model folder."""
    prediction = model.predict_distribution(rows.X, x_err=rows.x_err)
    origin = ", ".join(f"{name} {value}" for name, value in model.provenance_.items())
    meta = {"model": str(source), "provenance": origin or "unknown", "predicted with": f"skbcnn {__version__}"}
    assessment = model.assess(rows.X, rows.x_err, prediction) if model.domain_ is not None else None
    table = prediction_table(prediction, columns=rows.columns, assessment=assessment, meta=meta)
    if assessment is None:
        table["result_flags"] = result_flags(prediction)
    return table
