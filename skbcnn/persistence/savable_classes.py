"""Table of the classes that can be saved, and how each is converted to a document and arrays, and back.

To make another transformer savable, add a row to `TRANSFORMERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence import regressor_document, transformer_document
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, SpectraNormalizer
from skbcnn.regressor import CensoredBCNNRegressor


class SavableClass(NamedTuple):
    """How fitted objects of one class are converted.

    Attributes
    ----------
    cls : type
        The class itself. Subclasses cannot be saved.
    document_of : callable
        Object -> dict that JSON can hold.
    arrays_of : callable
        Object -> dict of arrays by name.
    array_types : callable
        Document -> dict of (shape, type) by name. Only these arrays are read.
    rebuild : callable
        Document, arrays -> object. Raises if an entry is wrong.
    """

    cls: type
    document_of: Callable[[Any], dict[str, Any]]
    arrays_of: Callable[[Any], dict[str, np.ndarray]]
    array_types: Callable[[Mapping[str, Any]], dict[str, tuple[tuple[int, ...], str]]]
    rebuild: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Any]


def _regressor(cls: type) -> SavableClass:
    return SavableClass(
        cls,
        regressor_document.document_of,
        regressor_document.arrays_of,
        regressor_document.array_types,
        partial(regressor_document.regressor_from, cls),
    )


def _transformer(cls: type, *learned: str) -> SavableClass:
    return SavableClass(
        cls,
        transformer_document.document_of,
        partial(transformer_document.arrays_of, learned),
        partial(transformer_document.array_types, learned),
        partial(transformer_document.transformer_from, cls, learned),
    )


REGRESSORS = {cls.__name__: _regressor(cls) for cls in (CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor)}
TRANSFORMERS = {
    "ChipGapRemover": _transformer(ChipGapRemover),
    "ContinuumNormalizer": _transformer(ContinuumNormalizer),
    "SpectraNormalizer": _transformer(SpectraNormalizer, "mean", "scale"),
}
