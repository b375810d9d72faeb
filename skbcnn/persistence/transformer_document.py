"""A fitted transformer as a document for JSON and arrays, and back.

A transformer either learns some arrays in `fit`, each with one number for each pixel, or it learns nothing. The
functions take the names of these arrays, without underscore, as `learned`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skbcnn.persistence.estimator_parameters import describe_estimator, set_feature_names, unfitted_estimator
from skbcnn.persistence.json_values import as_int

_MAX_PIXELS = 2**22


def document_of(transformer: Any) -> dict[str, Any]:
    """Return everything of a transformer that is not an array, as JSON can hold it."""
    return describe_estimator(transformer) | {"n_features": getattr(transformer, "n_features_in_", None)}


def arrays_of(learned: Sequence[str], transformer: Any) -> dict[str, np.ndarray]:
    """Return the learned arrays by name."""
    return {name: getattr(transformer, f"{name}_") for name in learned}


def array_types(learned: Sequence[str], document: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and type of every learned array."""
    return {name: ((as_int(document["n_features"], 1),), "<f8") for name in learned}


def transformer_from(
    cls: type, learned: Sequence[str], document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Any:
    """Return the transformer of a document and its arrays. One that learns nothing may be unfitted."""
    transformer = unfitted_estimator(cls, document)
    if not learned and document["n_features"] is None:
        return transformer
    n_features = as_int(document["n_features"], 1)
    if n_features > _MAX_PIXELS:
        raise ValueError(f"{n_features} pixels, expected at most {_MAX_PIXELS}")
    transformer.n_features_in_ = n_features
    if not learned:
        transformer.fit(np.ones((1, n_features), dtype=np.float32))  # raises if parameters and pixels do not agree
    vars(transformer).update({f"{name}_": arrays[name] for name in learned})
    set_feature_names(transformer, document["feature_names"])
    return transformer
