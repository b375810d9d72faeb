"""Tables as files: FITS, CSV, ECSV, HDF5 and Parquet, written block by block.

`write_table` writes a table that is in memory. `write_blocks` writes a table whose blocks of rows come one after the
other, so that memory does not grow with the table. Both use one writer for each format: astropy writes the first block,
and the rows of the others are appended.
"""

import io
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from astropy.io import fits
from astropy.table import Column, QTable, Table
from astropy.units import UnitBase, UnrecognizedUnit

from skbcnn._atomic_writes import atomic_path, created_h5
from skbcnn._optional_dependencies import require_extra
from skbcnn._paths import as_path
from skbcnn.novelty.flags import BIT_MEANINGS

_EXPLAINED = ("do_not_use", "noisier")  # columns whose descriptions are among the comments of FITS files, too
_COMMENT_WIDTH = 70  # astropy breaks longer comments inside words
_KEYWORDS = {  # entries of the metadata that have keywords of FITS headers, and the comments on these
    "model": ("MODEL", "model that predicted the labels"),
    "model fingerprint": ("MODELFP", "fingerprint of the model"),
    "provenance": ("PROVENAN", "training of the model"),
    "skbcnn": ("SKBCNN", "version of skbcnn"),
    "NumPy": ("NUMPY", "version of NumPy"),
    "TensorFlow": ("TENSORFL", "version of TensorFlow"),
    "posterior draws": ("NDRAWS", "number of posterior draws"),
    "seed": ("SEED", "seed of the posterior draws"),
    "folder of the files": ("FILESDIR", "folder of the paths in column file"),
}
_CONTINUED = "  "  # beginning of a comment that goes on from the line before
_CARD_TEXT = 64  # characters of a value and its comment that fit into a line of a FITS header, with all that is between
_FITS_BLOCK = 2880  # bytes: the parts of a FITS file are filled up to a multiple of this
_CATALOGUE = "catalogue"  # name of the table in an HDF5 file


def write_table(table: Table, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a table in the format of the suffix of the file name.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `prediction_table`, or any other table of numbers and text.
    path : str or path-like
        ``.fits`` or ``.fit`` (units, meta as keywords and comments), ``.csv`` (names and values only), ``.ecsv`` (CSV
        with units and meta), ``.h5`` or ``.hdf5`` (units and meta, under ``catalogue``), ``.parquet`` (units and meta).
    overwrite : bool, default=False
        Whether an existing file is replaced.

    Returns
    -------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    ValueError
        If the suffix is none of these.
    ModuleNotFoundError
        If the suffix is ``.parquet`` and pyarrow is not installed.
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If the file cannot be written. No incomplete file is left.

    Notes
    -----
    By default astropy reads the text of FITS and HDF5 files as bytes, which ``to_pandas()`` keeps.
    ``Table.read(path, character_as_bytes=False)`` reads it as text.

    ``Table.read`` and ``QTable.read`` return units and descriptions of all columns of FITS, ECSV, HDF5 and Parquet
    files, and issue no warning. The FITS standard has no unit dex. Columns in dex therefore have no TUNIT: astropy
    reads the unit from the comments, other programs show it at the end of the description (TCOMM). The comments explain
    each bit of ``result_flags``.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import Table
    >>> from skbcnn.catalog import write_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(Table({"teff": [4700.0]}), f"{folder}/stars.csv").read_text())
    teff
    4700.0
    """
    path = as_path(path, "path")
    write = _WRITERS[check_table_name(path)]
    if not isinstance(table, Table):
        raise TypeError(f"table is a {type(table).__name__}, expected an astropy Table. Pass Table(...) of it.")
    with atomic_path(path, overwrite=overwrite) as temporary:
        write([table], temporary, len(table))
    return path


def write_blocks(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    """Write a table whose rows come in blocks, in the format of the suffix of the file name.

    Parameters
    ----------
    blocks : iterable of astropy.table.Table
        At least one; all with the same columns, types, units, descriptions and metadata. The type of a text column must
        have room for `text_width` characters.
    path : pathlib.Path
        File to write. Not checked, and incomplete until the end: use `atomic_path`.
    n_rows : int
        Number of rows of all blocks.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    _WRITERS[path.suffix.lower()](blocks, path, n_rows)


def text_width(values: np.ndarray) -> int:
    """Return how many characters a text column needs in any format.

    Parameters
    ----------
    values : ndarray of str
        Values of the column.

    Returns
    -------
    width : int
        At least 1. Characters beyond ASCII are written as escapes in FITS files, and as UTF-8 in others, which is
        shorter.
    """
    if values.dtype.itemsize == 0 or len(values) == 0:
        return 1
    escaped = np.char.encode(values, "ascii", "backslashreplace")
    return max(1, int(np.char.str_len(escaped).max()))


def check_table_name(path: str | PathLike[str]) -> str:
    """Raise if a file name has no suffix of a known table format.

    Call it before long computations whose result will be written with `write_table`.

    Parameters
    ----------
    path : str or path-like
        Name of the table file.

    Returns
    -------
    suffix : str
        Suffix of the name, in lower case.

    Raises
    ------
    ValueError
        If no format has this suffix.
    ModuleNotFoundError
        If the suffix is ``.parquet`` and pyarrow is not installed.
    """
    suffix = as_path(path, "path").suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"{path} ends in {suffix!r}, expected one of {', '.join(_WRITERS)}. Rename the output.")
    if suffix == _PARQUET:
        require_extra("parquet", "A Parquet file")
    return suffix


def _write_fits(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    n_bytes = 0
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            header, rows = _fits_parts(block)
            if number == 0:
                file.write(_with_n_rows(header, n_rows))
            n_bytes += file.write(rows)
        file.write(bytes(-n_bytes % _FITS_BLOCK))


def _fits_parts(table: Table) -> tuple[bytes, bytes]:
    """Return what is before the rows of a table in a FITS file, and the rows.

    Units that FITS lacks are written as astropy's serialised quantities, which it reads back.
    """
    columns = {name: _fits_column(column) for name, column in table.columns.items()}
    meta = {f"TCOMM{i}": text for i, text in enumerate(map(_fits_description, table.itercols()), start=1) if text}
    bare = QTable(columns, copy=False)
    bare.meta = {**meta, **_cards(table.meta), "comments": list(_comments(table))}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The unit .* could not be saved")
        file = io.BytesIO()
        bare.write(file, format="fits")
    content = file.getvalue()
    with fits.open(io.BytesIO(content)) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
        n_bytes = hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    return content[:start], content[start : start + n_bytes]


def _with_n_rows(header: bytes, n_rows: int) -> bytes:
    """Return the headers of a FITS file with the number of rows of all blocks."""
    start = header.rindex(b"NAXIS2  =")
    return header[:start] + fits.Card("NAXIS2", n_rows, "length of dimension 2").image.encode() + header[start + 80 :]


def _fits_column(column: Column) -> Any:
    """Return the column as FITS can hold it: text in ASCII, and numbers as a quantity if FITS lacks their unit."""
    if column.dtype.kind == "U":
        text = np.array([_ascii(value) for value in np.ma.filled(column, "").flat], dtype=str)
        text = text.astype(np.promote_types(text.dtype, column.dtype))  # as wide as in the other blocks
        return Column(text.reshape(column.shape), description=column.description)
    if column.dtype == np.int8:  # for which FITS has no type: astropy would write booleans
        column = column.astype(np.int16)
    if column.unit is None or _is_fits_unit(column.unit):
        return column
    if isinstance(column.unit, UnrecognizedUnit) or column.dtype.kind not in "iuf":
        return Column(np.ma.asarray(column), description=column.description)
    values = np.ma.filled(np.ma.asarray(column).astype(np.result_type(column.dtype, np.float32)), np.nan)
    quantity = values * column.unit
    quantity.info.description = column.description
    return quantity


@cache  # astropy is slow for units that FITS lacks, because it searches for similar names
def _is_fits_unit(unit: UnitBase) -> bool:
    try:
        unit.to_string("fits")
    except ValueError:  # dex, and units that astropy does not know
        return False
    return not isinstance(unit, UnrecognizedUnit)


def _fits_description(column: Column) -> str:
    """Return the description in ASCII, with the unit if it is no unit of FITS."""
    text = column.description or ""
    if column.unit is not None and not _is_fits_unit(column.unit):
        text += f" [{column.unit}]"
    return _ascii(text.strip())


def _comments(table: Table) -> Iterator[str]:
    """Yield the metadata, and the meanings of flags and booleans, as lines of ASCII, which FITS headers need."""
    lines = [
        line
        for name, value in table.meta.items()
        if not _has_card(name, value)
        for line in f"{name}: {value}".splitlines()
    ]
    if "result_flags" in table.colnames:
        lines.append("Bits of result_flags:")
        lines += [f"{flag.value.bit_length() - 1:2d} ({flag.value}) {text}" for flag, text in BIT_MEANINGS.items()]
    lines += [f"{name}: {table[name].description}" for name in _EXPLAINED if name in table.colnames]
    for line in lines:
        yield from textwrap.wrap(_ascii(line), _COMMENT_WIDTH, subsequent_indent=_CONTINUED, break_on_hyphens=False)


def _has_card(name: str, value: Any) -> bool:
    """Return whether an entry of the metadata has a keyword, and its value can be in a FITS header."""
    return name in _KEYWORDS and (type(value) is int or (isinstance(value, str) and value.isprintable()))


def _cards(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a FITS header that hold entries of the metadata, with comments where there is room."""
    cards = {}
    for name, value in meta.items():
        if _has_card(name, value):
            keyword, comment = _KEYWORDS[name]
            value = _ascii(value) if isinstance(value, str) else value
            has_room = len(str(value).replace("'", "''")) + len(comment) <= _CARD_TEXT
            cards[keyword] = (value, comment) if has_room else value
    return cards


def recorded_metadata(table: Table) -> dict[str, Any]:
    """Return the metadata of a table that was read from a file of `write_table`, in whatever format.

    Parameters
    ----------
    table : astropy.table.Table
        As ``Table.read`` returns it.

    Returns
    -------
    meta : dict of str to object
        By the names that the metadata had when the table was written. FITS files of earlier versions, which have all
        in comments, are understood.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import Table
    >>> from skbcnn.catalog import write_table
    >>> from skbcnn.catalog.table_files import recorded_metadata
    >>> table = Table({"teff": [4700.0]}, meta={"seed": 5, "note": "first light"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recorded_metadata(Table.read(write_table(table, f"{folder}/stars.fits")))
    {'note': 'first light', 'seed': 5}
    """
    comments: list[str] = []
    for line in map(str, np.atleast_1d(table.meta.get("comments", []))):
        if line.startswith(_CONTINUED) and comments:
            comments[-1] += f" {line.strip()}"
        else:
            comments.append(line)
    found = dict(line.split(": ", 1) for line in comments if ": " in line)
    names = {keyword: name for name, (keyword, _) in _KEYWORDS.items()}
    return found | {names.get(name, name): value for name, value in table.meta.items() if name != "comments"}


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _write_csv(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    _write_text(map(_with_flags_as_numbers, blocks), path, "ascii.csv")


def _with_flags_as_numbers(table: Table) -> Table:
    """Return a table with booleans as 0 and 1, since the text "False" is true."""
    flags = [name for name, column in table.columns.items() if column.dtype == bool]
    if flags:
        table = table.copy()
        for name in flags:
            table[name] = table[name].astype(np.int8)
    return table


def _write_ecsv(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    _write_text(blocks, path, "ascii.ecsv")


def _write_text(blocks: Iterable[Table], path: Path, text_format: str) -> None:
    """Write blocks as text: the lines of the header, which are comments and the names, from the first block only."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, block in enumerate(blocks):
            text = io.StringIO()
            block.write(text, format=text_format)
            lines = text.getvalue()
            while number and lines.startswith("#"):
                lines = lines.partition("\n")[2]
            file.write(lines.partition("\n")[2] if number else lines)


def _write_hdf5(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    first, blocks = _begin(blocks)
    with created_h5(path) as file:
        options = {"maxshape": (n_rows,)} if n_rows > len(first) else {}  # of one block: not divided into chunks
        _add_to_h5(file, first, **options)
        dataset, n_written = file[_CATALOGUE], len(first)
        if options:
            dataset.resize((n_rows,))
        for block in islice(blocks, 1, None):
            dataset[n_written : n_written + len(block)] = _h5_rows(block)
            n_written += len(block)


def _add_to_h5(file: h5py.File, table: Table, **options: Any) -> None:
    text = [name for name, column in table.columns.items() if column.dtype.kind == "U" and not hasattr(column, "mask")]
    if text:
        table = table.copy(copy_data=False)
        for name in text:
            encoded = np.char.encode(table[name], "utf-8")
            width = np.promote_types(encoded.dtype, f"S{table[name].dtype.itemsize // 4}")  # as in the other blocks
            table.replace_column(name, Column(encoded.astype(width), description=table[name].description))
    table.write(file, path=_CATALOGUE, format="hdf5", serialize_meta=True, **options)


def _h5_rows(table: Table) -> np.ndarray:
    """Return the rows of a table as they are in an HDF5 file."""
    with h5py.File("block", "w", driver="core", backing_store=False) as file:
        _add_to_h5(file, table)
        return file[_CATALOGUE][...]


def _write_parquet(blocks: Iterable[Table], path: Path, n_rows: int) -> None:
    """Write blocks as row groups, with the metadata by which astropy returns units, and the units of each field."""
    import pyarrow as pa
    from astropy.table import meta, serialize
    from pyarrow import parquet

    first, blocks = _begin(blocks)
    encoded = serialize.represent_mixins_as_columns(first)
    entries = {"table_meta_yaml": "\n".join(meta.get_yaml_from_table(encoded))}
    fields = []
    for name, column in encoded.columns.items():
        kind = pa.string() if column.dtype.kind in "SU" else pa.from_numpy_dtype(column.dtype.newbyteorder("="))
        if column.dtype.kind in "SU":
            entries[f"table::len::{name}"] = str(column.dtype.itemsize // (4 if column.dtype.kind == "U" else 1))
        of_field = {"unit": str(column.unit or ""), "description": column.description or ""}
        fields.append(pa.field(name, kind, metadata={key: text for key, text in of_field.items() if text}))
    schema = pa.schema(fields, metadata=entries)
    with parquet.ParquetWriter(path, schema) as writer:
        for block in blocks:
            encoded = serialize.represent_mixins_as_columns(block)
            arrays = [
                pa.array(np.ma.getdata(column), type=field.type, mask=np.ma.getmaskarray(column))
                for field, column in zip(fields, encoded.itercols(), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _begin(blocks: Iterable[Table]) -> tuple[Table, Iterator[Table]]:
    """Return the first of some blocks, and all of them."""
    blocks = iter(blocks)
    first = next(blocks)
    return first, chain([first], blocks)


_PARQUET = ".parquet"
_WRITERS: dict[str, Callable[[Iterable[Table], Path, int], None]] = {
    ".fits": _write_fits,
    ".fit": _write_fits,
    ".csv": _write_csv,
    ".ecsv": _write_ecsv,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    _PARQUET: _write_parquet,
}
