"""The estimators that can be saved, in one table: how each becomes text and arrays, and comes back.

A row is a `Kind`. Regressors are described in `documents`, transformers here; pipelines of them in `pipelines`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence import documents
from skbcnn.persistence.parameters import described, name_features, unfitted
from skbcnn.persistence.text import whole
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, SpectraNormalizer
from skbcnn.regressor import CensoredBCNNRegressor

_MAX_PIXELS = 2**22


class Kind(NamedTuple):
    """How fitted estimators of one class are written and read."""

    cls: type
    document_of: Callable  # estimator -> dict that JSON can hold
    arrays_of: Callable  # estimator -> dict of arrays
    array_types: Callable  # document -> dict of (shape, dtype), which are the only arrays that are read
    estimator_of: Callable  # document, arrays -> estimator


def _regressor(cls):
    return Kind(
        cls, documents.document_of, documents.arrays_of, documents.array_types, partial(documents.model_of, cls)
    )


def _transformer(cls, *learnt):
    """Of a transformer that has these arrays once it is fitted, each of one number a pixel."""
    return Kind(
        cls,
        _transformer_document,
        partial(_transformer_arrays, learnt),
        partial(_transformer_types, learnt),
        partial(_transformer_of, cls, learnt),
    )


def _transformer_document(transformer):
    return described(transformer) | {"n_features": getattr(transformer, "n_features_in_", None)}


def _transformer_arrays(learnt, transformer):
    return {name: getattr(transformer, f"{name}_") for name in learnt}


def _transformer_types(learnt, document):
    return {name: ((whole(document["n_features"], 1),), "<f8") for name in learnt}


def _transformer_of(cls, learnt, document, arrays):
    """The transformer; of one that learns nothing `fit` may never have been called."""
    transformer = unfitted(cls, document)
    if learnt or document["n_features"] is not None:
        n_features = whole(document["n_features"], 1)
        if n_features > _MAX_PIXELS:
            raise ValueError(f"more than {_MAX_PIXELS} pixels")
        transformer.n_features_in_ = n_features
        if not learnt:
            transformer.fit(np.ones((1, n_features), dtype=np.float32))  # whether its parameters fit the pixels
        vars(transformer).update({f"{name}_": arrays[name] for name in learnt})
        name_features(transformer, document["feature_names"])
    return transformer


REGRESSORS = {cls.__name__: _regressor(cls) for cls in (CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor)}
TRANSFORMERS = {
    "ChipGapRemover": _transformer(ChipGapRemover),
    "ContinuumNormalizer": _transformer(ContinuumNormalizer),
    "SpectraNormalizer": _transformer(SpectraNormalizer, "mean", "scale"),
}
