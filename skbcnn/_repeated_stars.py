"""Stars that are given several times: each is trained on once, and its weight counts how often it was given."""

from __future__ import annotations

import hashlib

import numpy as np

from skbcnn._chunks import row_chunks
from skbcnn._validation_data import group_numbers
from skbcnn.network.training_recipe import Stars

_DIGEST = 16  # bytes


def merge_repeated(stars: Stars) -> Stars:
    """Return each star once, with the sum of its weights, so that a weight of 2 means the same as two equal rows.

    Stars are the same if their spectra, labels and all errors are equal, and their groups too. If weights differ, or
    stars are merged, the stars come in an order that depends on their values alone. The held-out share, the batches and
    the dropout are then drawn for the same rows, whether weights or repetitions were given. Spectra in a file are read
    only where labels are the same.

    Parameters
    ----------
    stars : Stars
        Stars of positive weight, in arrays or lazy rows.

    Returns
    -------
    stars : Stars
        Those that were passed if all weights are equal and no star is there twice.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._repeated_stars import merge_repeated
    >>> from skbcnn.network.training_recipe import Stars
    >>> x, y = np.array([[1.0], [0.9], [1.0]]), np.array([[5.0], [4.0], [5.0]])
    >>> merged = merge_repeated(Stars(x, y, None, np.array([1.0, 1.0, 1.0])))
    >>> merged.weight[merged.x[:, 0] == 1.0]
    array([2.])
    """
    _, first, number = np.unique(_keys(stars), return_index=True, return_inverse=True)
    number = number.ravel()
    if len(first) == len(number) and np.ptp(stars.weight) == 0:
        return stars
    merged = stars.take(first)._replace(weight=np.bincount(number, stars.weight))
    return merged._replace(group=group_numbers(merged.group, len(first)))


def _keys(stars: Stars) -> np.ndarray:
    """Return a key for each star: equal for equal stars, and sorted in one way, whatever the order of the stars."""
    labels = _row_bytes(stars.y if stars.y_err is None else np.column_stack([stars.y, stars.y_err]))
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[number.ravel()] > 1)
    keys = np.zeros((len(labels), 8 + _DIGEST + 8), dtype=np.uint8)
    keys[:, :8] = number.astype(">u8").reshape(-1, 1).view(np.uint8)  # most significant byte first, to be sorted
    for part in row_chunks(len(shared), stars.x.shape[1]):
        keys[shared[part], 8:-8] = _digests(stars, shared[part])
    if stars.group is not None:
        keys[:, -8:] = stars.group.astype(">u8").reshape(-1, 1).view(np.uint8)
    return _row_bytes(keys)


def _row_bytes(values: np.ndarray) -> np.ndarray:
    """Return the bytes of each row as one value."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0)  # one form of NaN, and of zero
    values = np.ascontiguousarray(values)
    return values.view(np.dtype((np.void, values.shape[1] * values.itemsize))).ravel()


def _digests(stars: Stars, rows: np.ndarray) -> np.ndarray:
    """Return a digest of the flux and the flux errors of some stars."""
    spectra = [np.ascontiguousarray(values[rows]) for values in (stars.x, stars.x_err) if values is not None]
    digests = [
        hashlib.blake2b(b"".join(row.tobytes() for row in of_star), digest_size=_DIGEST).digest()
        for of_star in zip(*spectra, strict=True)
    ]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, _DIGEST)
