"""The one rule for how many rows of a large array are processed at once."""

from collections.abc import Iterator

MAX_VALUES = 2**20  # of an intermediate array: 8 MB in float64


def row_chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Split the rows of an array into chunks of about `MAX_VALUES` values.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the array.

    Yields
    ------
    rows : slice
        Consecutive rows, at least one.

    Examples
    --------
    >>> from skbcnn._chunks import row_chunks
    >>> list(row_chunks(3, 2**19))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    size = max(1, MAX_VALUES // max(1, n_columns))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
