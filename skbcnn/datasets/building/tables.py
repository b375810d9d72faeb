"""Tables of stars: allStar and astraAllStarASPCAP."""

import gzip
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from skbcnn._file_kinds import GZIP, unreadable_fits
from skbcnn.survey import APOGEE_LABELS, MISSING, find_label, is_missing
from skbcnn.survey.releases import (
    ABUNDANCE_ERRORS,
    ABUNDANCE_FLAGS,
    ABUNDANCES,
    ASTRA_RELEASE,
    PREFIXES,
    RELEASES,
    SurveyRelease,
    find_release,
)

_READ_ERRORS = (OSError, EOFError, TypeError, ValueError, KeyError, IndexError, zlib.error, fits.VerifyError)
_XTENSION = b"XTENSION"  # first bytes of an extension
_SYMBOLS_EXTENSION, _SYMBOLS = 3, "ELEM_SYMBOL"
_NUMBERS = {"sdss_id", "healpix", "location_id", "ra", "dec", "snr"}  # quantities; flags are read by other functions
_TEXTS = {"telescope", "release"}  # the other identifiers may be text or numbers
_NUMERIC, _TEXT = "fiub", "SU"  # kinds of types
_1M_LOCATION, _1M_TELESCOPE, _DEFAULT_TELESCOPE = 1, "apo1m", "apo25m"


class LabelValues(NamedTuple):
    """Values of a label in a table.

    Attributes
    ----------
    values : ndarray of shape (n_rows,), float32
        -9999 where it is missing.
    errors : ndarray of shape (n_rows,), float32
        -9999 where they are unknown.
    flagged : ndarray of bool of shape (n_rows,)
        Whether the survey flags the value.
    """

    values: np.ndarray
    errors: np.ndarray
    flagged: np.ndarray


class StarTable:
    """A table of stars, whose columns are found by the quantities that they hold.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    data : astropy.io.fits.FITS_rec
        Its rows.
    release : SurveyRelease
        Release whose columns it has.
    symbols : sequence of str
        Elements in the order of ``X_H`` as the file lists them; empty if it does not.

    Attributes
    ----------
    notes : list of str
        What the user must know of the columns, as sentences.
    """

    def __init__(self, path: Path, data: Any, release: SurveyRelease, symbols: Sequence[str]) -> None:
        self.path = path
        self.release = release
        self.notes: list[str] = []
        self._data = data
        self._names = _lower_names(data)
        self._symbols = symbols

    def __len__(self) -> int:
        return len(self._data)

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in lower case."""
        return list(self._names)

    def column(self, name: str) -> np.ndarray:
        """Return a column.

        Parameters
        ----------
        name : str
            Its name, in any case.

        Returns
        -------
        values : ndarray of shape (n_rows, ...)
            In the byte order of the machine; text without blanks at its ends, and with a replacement character for
            bytes that are not UTF-8.

        Raises
        ------
        ValueError
            If the table lacks it.
        """
        if name.lower() not in self._names:
            raise ValueError(
                f"{self.path} has no column {name}, which the table of {self.release.name} has. Pass the complete "
                "table (allStarLite and the like lack columns), or another release."
            )
        name = self._names[name.lower()]
        stored = self._data.view(np.ndarray)[name]  # text as bytes, which astropy refuses to decode beyond ASCII
        if stored.dtype.kind == "S":
            return np.char.strip(np.char.decode(stored, "utf-8", "replace"))
        values = np.asarray(self._data[name])
        return values.astype(values.dtype.newbyteorder("="))

    def find(self, quantity: str) -> str | None:
        """Return the first column that holds a quantity; None if the table lacks it."""
        return next((name for name in self.release.columns.get(quantity, ()) if name.lower() in self._names), None)

    def quantity(self, quantity: str) -> np.ndarray:
        """Return a quantity of the stars.

        Parameters
        ----------
        quantity : str
            One of the quantities of the release.

        Returns
        -------
        values : ndarray of shape (n_rows,)

        Raises
        ------
        ValueError
            If the table lacks it, or has several values for each star, or text where numbers belong.
        """
        found = self.find(quantity)
        if found is not None:
            return self._one_for_each_star(found, quantity)
        if quantity == "telescope":  # DR14 had one site; stars of the 1-m telescope are marked
            at_1m = self.quantity("location_id") == _1M_LOCATION
            return np.where(at_1m, _1M_TELESCOPE, _DEFAULT_TELESCOPE)
        if quantity == "prefix":
            return np.array([PREFIXES.get(telescope, "") for telescope in self.quantity("telescope")])
        names = self.release.columns.get(quantity, (quantity,))
        return self.column(names[0])  # raises

    def numbers(self, quantity: str) -> np.ndarray:
        """Return a quantity that is one number for each star.

        Parameters
        ----------
        quantity : str
            One of the quantities of the release.

        Returns
        -------
        values : ndarray of shape (n_rows,)

        Raises
        ------
        ValueError
            If the table lacks it, or has text or several values there.
        """
        return self._numbers(self.find(quantity) or self.release.columns.get(quantity, (quantity,))[0])

    def identifiers(self, column: str) -> np.ndarray:
        """Return a column of texts or numbers, of which each star has one.

        Parameters
        ----------
        column : str
            Its name, in any case.

        Returns
        -------
        values : ndarray of shape (n_rows,)

        Raises
        ------
        ValueError
            If the table lacks it, or has several values for each star.
        """
        return self._one_for_each_star(column, "")

    def _one_for_each_star(self, column: str, quantity: str) -> np.ndarray:
        if quantity in _NUMBERS:
            return self._numbers(column)
        values = self.column(column)
        words, kinds = ("text", _TEXT) if quantity in _TEXTS else ("text or numbers", _TEXT + _NUMERIC)
        return self._checked(column, values, f"{words} of shape ({len(self)},)", kinds, values.ndim == 1)

    def _numbers(self, column: str, *shape: int) -> np.ndarray:
        """Return a column with an array of this shape for each star, or with one number."""
        values, wanted = self.column(column), (len(self), *shape)
        return self._checked(column, values, f"numbers of shape {wanted}", _NUMERIC, values.shape == wanted)

    def _checked(self, column: str, values: np.ndarray, expected: str, kinds: str, fits_shape: bool) -> np.ndarray:
        """Return the values of a column, or raise if their type or shape is wrong."""
        if values.dtype.kind in kinds and fits_shape:
            return values
        found = "numbers" if values.dtype.kind in _NUMERIC else "text" if values.dtype.kind in _TEXT else values.dtype
        raise ValueError(
            f"The column {column} of {self.path} holds {found} of shape {values.shape}, expected {expected}: one row "
            "for each star. Pass the table as the survey publishes it, or convert the column."
        )

    def flags(self, quantity: str) -> np.ndarray | None:
        """Return which stars have a flag.

        Parameters
        ----------
        quantity : str
            One of the flags of the release.

        Returns
        -------
        flagged : ndarray of bool of shape (n_rows,) or None
            None if the table lacks all columns of these flags.
        """
        present = [name for name in self.release.columns.get(quantity, ()) if name.lower() in self._names]
        columns = [self._numbers(name) for name in present]
        return np.logical_or.reduce([values != 0 for values in columns]) if present else None

    def labels(self) -> Iterator[tuple[str, LabelValues]]:
        """Yield the labels of the table, with their canonical names.

        Yields
        ------
        name : str
            Canonical name of the label.
        label : LabelValues
        """
        for name, source in self.release.parameters.items():
            values, errors = self._parameter(source.value, source.position), self._parameter_errors(source)
            yield name, self._label(values, errors, self._flags_of_column(source.value))
        yield from self._abundance_arrays() if self.release.elements else self._abundance_columns()

    def _parameter(self, column: str, position: int | None) -> np.ndarray:
        return self._numbers(column) if position is None else self._arrays(column, position, 1)[:, position]

    def _parameter_errors(self, source: Any) -> np.ndarray | None:
        if source.error.lower() in self._names:
            return self._numbers(source.error)
        if source.covariance.lower() in self._names:
            variance = self._arrays(source.covariance, source.position, 2)[:, source.position, source.position]
            return np.sqrt(np.where(variance >= 0, variance, np.nan))
        return None

    def _arrays(self, column: str, position: int, n_axes: int) -> np.ndarray:
        """Return a column with an array for each star, each axis of which has this position."""
        values = self.column(column)
        has_position = values.ndim == 1 + n_axes and min(values.shape[1:]) > position
        expected = f"numbers of shape ({', '.join([str(len(self)), *[f'{position + 1} or more'] * n_axes])})"
        return self._checked(column, values, expected, _NUMERIC, has_position)

    def _flags_of_column(self, column: str) -> np.ndarray | None:
        name = f"{column}_flags".lower()
        return self._numbers(name) != 0 if name in self._names else None

    def _label(self, values: np.ndarray, errors: np.ndarray | None, flagged: np.ndarray | None) -> LabelValues:
        n_rows = len(self)
        return LabelValues(
            _with_magic_number(values),
            np.full(n_rows, MISSING, dtype=np.float32) if errors is None else _with_magic_number(errors),
            np.zeros(n_rows, dtype=bool) if flagged is None else flagged,
        )

    def _abundance_arrays(self) -> Iterator[tuple[str, LabelValues]]:
        """Yield the labels in the arrays of abundances, matched by the names of the elements."""
        values = self.column(ABUNDANCES)
        self._checked(ABUNDANCES, values, f"numbers of shape ({len(self)}, elements)", _NUMERIC, values.ndim == 2)
        elements = self._elements(values.shape[1])
        present = [name for name in (ABUNDANCE_ERRORS, *ABUNDANCE_FLAGS) if name.lower() in self._names]
        others = {name: self._numbers(name, len(elements)) for name in present}
        errors = others.pop(ABUNDANCE_ERRORS, None)
        flags = list(others.values())
        if not flags:
            self.notes.append(
                f"The table has no {' or '.join(ABUNDANCE_FLAGS)}, so no abundance is left out for its flag."
            )
        for position, element in enumerate(elements):
            found = find_label(element)
            if found is not None and found.name in APOGEE_LABELS:
                flagged = [flag[:, position] != 0 for flag in flags]
                yield (
                    found.name,
                    self._label(
                        values[:, position],
                        None if errors is None else errors[:, position],
                        np.logical_or.reduce(flagged) if flagged else None,
                    ),
                )

    def _elements(self, n_elements: int) -> Sequence[str]:
        """Return the elements in the order of the arrays."""
        if len(self._symbols) == n_elements:
            return self._symbols
        if len(self.release.elements) == n_elements:
            self.notes.append(
                f"The table does not name the elements of {ABUNDANCES} ({_SYMBOLS} in its third extension); the order "
                f"of {self.release.name} is used."
            )
            return self.release.elements
        raise ValueError(
            f"{ABUNDANCES} of {self.path} has {n_elements} elements, but {self.release.name} has "
            f"{len(self.release.elements)}, and {_SYMBOLS} in the third extension names {len(self._symbols) or 'none'}"
            ". Pass the table as the survey publishes it, or its release."
        )

    def _abundance_columns(self) -> Iterator[tuple[str, LabelValues]]:
        """Yield the labels that have columns of their own."""
        for column in self._names:
            found = find_label(column)
            if found is None or found.name not in APOGEE_LABELS or found.name in self.release.parameters:
                continue
            errors = self._numbers(f"e_{column}") if f"e_{column}" in self._names else None
            yield found.name, self._label(self._numbers(column), errors, self._flags_of_column(column))


def _with_magic_number(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    return np.where(is_missing(numbers) | np.isinf(numbers), np.float32(MISSING), numbers)


@contextmanager
def opened_table(path: Path, release: int | str | None, folder: Path) -> Iterator[StarTable]:
    """Open a table of stars. Its columns are read when they are used.

    Parameters
    ----------
    path : pathlib.Path
        FITS file, which may be gzipped.
    release : int, str or None
        Data release. None: recognised by the name of the file and its columns.
    folder : pathlib.Path
        Where a gzipped table is unpacked for the time being.

    Yields
    ------
    table : StarTable

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read as FITS.
    ValueError
        If it is not a table of stars, has no rows, or its release is unknown or cannot be recognised.
    """
    wanted = None if release is None else find_release(release)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Pass the allStar or astraAllStarASPCAP table of a release.")
    with ExitStack() as stack:
        try:
            tables, symbols = _read_tables(stack.enter_context(_unpacked(path, folder)), stack)
        except _READ_ERRORS as error:
            raise OSError(unreadable_fits(path, error, "the allStar or astraAllStarASPCAP table")) from error
        found = wanted or _recognise(path, tables, symbols)
        if found.extension not in tables:
            raise ValueError(
                f"{path} has no table in extension {found.extension}, where {found.name} has its stars. Pass the "
                "allStar or astraAllStarASPCAP table, or its release."
            )
        if not len(tables[found.extension]):
            raise ValueError(
                f"The table of stars in {path} has no rows (extension {found.extension}). Pass the allStar or "
                "astraAllStarASPCAP table of a release."
            )
        yield StarTable(path, tables[found.extension], found, symbols)


def _read_tables(file: BinaryIO, stack: ExitStack) -> tuple[dict[int, Any], list[str]]:
    """Return the tables of a FITS file, which are read when they are used, and the elements that it lists."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # of a file cut short, for which an error follows
        hdus = stack.enter_context(fits.open(file, memmap=True))
        _check_length(file, hdus)
        tables = {number: hdu.data for number, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)}
    listed = tables.get(_SYMBOLS_EXTENSION)
    if listed is None or not len(listed) or _SYMBOLS.lower() not in _lower_names(listed):
        return tables, []
    name = _lower_names(listed)[_SYMBOLS.lower()]
    return tables, [str(symbol).strip() for symbol in np.atleast_1d(listed[name][0])]


def _check_length(file: BinaryIO, hdus: fits.HDUList) -> None:
    """Raise if a file ends within an extension, of which astropy only warns."""
    places = [(hdu.fileinfo(), hdu.size) for hdu in hdus]
    n_bytes = file.seek(0, os.SEEK_END)
    if any(place["datLoc"] + size > n_bytes for place, size in places):
        raise OSError("its last extension is not complete")
    file.seek(max(place["datLoc"] + place["datSpan"] for place, _ in places))
    if file.read(len(_XTENSION)) == _XTENSION:
        raise OSError("the header of its last extension is not complete")


@contextmanager
def _unpacked(path: Path, folder: Path) -> Iterator[BinaryIO]:
    """Yield an open file that is not gzipped, which can be read by columns."""
    with path.open("rb") as file:
        is_zipped = file.read(2) == GZIP
        file.seek(0)
        if not is_zipped:
            yield file
            return
    with tempfile.TemporaryFile(dir=folder) as plain:  # without a name: it vanishes with the process
        with gzip.open(path) as source:
            shutil.copyfileobj(source, plain, 2**22)
        plain.seek(0)
        with os.fdopen(os.dup(plain.fileno()), "rb") as readable:  # astropy would open a writable file to change it
            yield readable


def _recognise(path: Path, tables: Mapping[int, Any], symbols: Sequence[str]) -> SurveyRelease:
    """Return the release of a table, by its name, or else by its columns."""
    for release in RELEASES.values():
        if release.has_table_name(path.name):
            return release
    astra = RELEASES[ASTRA_RELEASE]
    if astra.extension in tables and "sdss_id" in _lower_names(tables[astra.extension]):
        return astra
    fitting = [release for release in RELEASES.values() if release.elements and _fits(release, tables, symbols)]
    if len(fitting) == 1:
        return fitting[0]
    raise ValueError(
        f"The release of {path} cannot be recognised by its name and columns. If it is the allStar or "
        f"astraAllStarASPCAP table of {', '.join(release.name for release in RELEASES.values())}, pass release=... ."
    )


def _fits(release: SurveyRelease, tables: Mapping[int, Any], symbols: Sequence[str]) -> bool:
    """Return whether a table has the columns and the elements of a release."""
    table = tables.get(release.extension)
    needed = {name.lower() for name in (ABUNDANCES, *(source.value for source in release.parameters.values()))}
    if table is None or not needed <= _lower_names(table).keys():
        return False
    if symbols:
        return set(symbols) == set(release.elements)
    return table.dtype[_lower_names(table)[ABUNDANCES.lower()]].shape == (len(release.elements),)


def _lower_names(table: Any) -> dict[str, str]:
    """Return the names of the columns of a table by the same in lower case."""
    return {name.lower(): name for name in table.names}
