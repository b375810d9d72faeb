"""Fitted state of the regressors, declared once.

`FITTED_STATE` lists every attribute that `fit` sets: how it is stored in a model folder, what a model gets whose pickle
or folder lacks it, and which calls forget it. Pickles, copies, model folders, `fit` and `partial_fit` all read this
list. `PARAMETERS_ADDED_LATER` does the same for the constructor parameters that earlier versions did not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from skbcnn._posterior_moments import LiveNetwork
from skbcnn.calibration.absence import Uncalibrated

REQUIRED = object()  # default of an attribute without which a model is not fitted
ABSENT = object()  # default of an attribute that a model need not have


class Storage(StrEnum):
    """How an attribute is stored in a model folder. Pickles hold it as it is, unless it is a cache."""

    WEIGHTS = "weights"
    """Dictionary of arrays, whose names and shapes are those of ``spec_.weight_shapes``."""
    ARRAY = "array"
    """One array, called as the attribute without its underscore. None is stored as no array."""
    ARRAYS = "arrays"
    """Instance of a class whose attributes are all arrays, stored as ``<name>.<attribute>``. None: no arrays."""
    NORMALIZER = "normalizer"
    """Nested estimator: its `mode` in the document, its `mean_` and `scale_` as arrays of float64."""
    JSON = "json"
    """Plain value in the model document, called as the attribute without its underscores."""
    OBJECT = "object"
    """Value in the model document that is converted to and from plain values in `skbcnn.persistence`."""
    DERIVED = "derived"
    """Not stored itself: it follows from the network, the labels or the feature names in the document."""
    CACHE = "cache"
    """Neither stored nor pickled nor copied: made anew."""


@dataclass(frozen=True)
class FittedAttribute:
    """Properties of one fitted attribute.

    Attributes
    ----------
    storage : Storage
        How it is stored in a model folder.
    default : object
        Value of a model whose pickle or folder lacks it, and value after a call forgot it. `REQUIRED`: there is none.
        `ABSENT`: the model then does not have the attribute.
    forgotten_by : frozenset of {"fit", "warm_start", "partial_fit"}
        Trainings that reset it to `default` before they start: a fit from scratch, a fit with ``warm_start=True`` of
        a fitted model, and `partial_fit` of a fitted model.
    derive : callable or None
        Function of the state of a stored model, its parameters among them, that lacks the attribute: its value. None:
        `default`.
    shape : tuple of {"n_scores", "n_labels", "n_pixels"}
        Sizes of the axes of an `ARRAY`, or of `mean_` and `scale_` of a `NORMALIZER`. All are float64.
    initial : object
        Value that the trainings in `forgotten_by` set in place of `default`. None: `default`.
    """

    storage: Storage
    default: Any = REQUIRED
    forgotten_by: frozenset[str] = frozenset()
    shape: tuple[str, ...] = ()
    derive: Callable[[Mapping[str, Any]], Any] | None = None
    initial: Any = None


def _has_noise_augmentation(state: Mapping[str, Any]) -> bool:
    """Return whether the parameters of a stored model say that its training added noise."""
    return bool(np.max(state.get("noise_augmentation", 0)) > 0)


_FIT = frozenset({"fit"})
_ANY_FIT = frozenset({"fit", "warm_start"})
_ANY_TRAINING = frozenset({"fit", "warm_start", "partial_fit"})

FITTED_STATE: Mapping[str, FittedAttribute] = MappingProxyType(
    {
        "weights_": FittedAttribute(Storage.WEIGHTS),
        "spec_": FittedAttribute(Storage.OBJECT),
        "spectra_normalizer_": FittedAttribute(Storage.NORMALIZER, shape=("n_pixels",)),
        "label_normalizer_": FittedAttribute(Storage.NORMALIZER, shape=("n_labels",)),
        "context_labels_": FittedAttribute(Storage.JSON, ()),
        "history_": FittedAttribute(Storage.JSON),
        "n_iter_": FittedAttribute(Storage.JSON, 0, _FIT),
        "interrupted_": FittedAttribute(Storage.JSON, False),
        "inv_tau_": FittedAttribute(Storage.JSON),
        "noise_level_": FittedAttribute(Storage.JSON, None, _FIT),
        "noise_augmented_": FittedAttribute(Storage.JSON, False, _FIT, derive=_has_noise_augmentation),
        "_draws_counted_once": FittedAttribute(Storage.JSON, False, _FIT, initial=True),
        "_near_one": FittedAttribute(Storage.JSON, True),
        "seed_": FittedAttribute(Storage.JSON),
        "error_model_": FittedAttribute(Storage.OBJECT, None, _ANY_TRAINING),
        "interval_scores_": FittedAttribute(Storage.ARRAY, None, _ANY_TRAINING, shape=("n_scores", "n_labels")),
        "interval_noise_": FittedAttribute(Storage.ARRAY, None, _ANY_TRAINING, shape=("n_scores",)),
        "interval_error_model_": FittedAttribute(Storage.OBJECT, None, _ANY_TRAINING),
        "validation_residuals_": FittedAttribute(Storage.OBJECT, None, _ANY_TRAINING),
        "validation_responses_": FittedAttribute(Storage.OBJECT, None, _ANY_TRAINING),
        "_uncalibrated": FittedAttribute(Storage.JSON, Uncalibrated.UNKNOWN, _ANY_FIT),
        "domain_": FittedAttribute(Storage.ARRAYS, None, _ANY_FIT),
        "preprocessing_": FittedAttribute(Storage.JSON, ABSENT, _FIT),
        "provenance_": FittedAttribute(Storage.JSON, ABSENT, _FIT),
        "target_names_": FittedAttribute(Storage.DERIVED),
        "n_outputs_": FittedAttribute(Storage.DERIVED),
        "n_features_in_": FittedAttribute(Storage.DERIVED),
        "feature_names_in_": FittedAttribute(Storage.DERIVED, ABSENT),
        "_single_label": FittedAttribute(Storage.JSON),
        "_live": FittedAttribute(Storage.CACHE, LiveNetwork),
    }
)

# Parameters that pickles and folders of earlier versions may lack, with the behaviour of the version that wrote them.
# A new default never gets here. Every new parameter of the regressors gets an entry.
PARAMETERS_ADDED_LATER: Mapping[str, Any] = MappingProxyType(
    {
        "windows": None,  # of ApogeeBCNNCensoredRegressor: those of DR14
        "warm_start": False,
        "callbacks": None,
        "lr_schedule": "plateau",
        "calibrate": False,  # nothing was calibrated then
        "warmup_epochs": 0,
        "clipnorm": None,
        "backend": "auto",  # TensorFlow, which had to be installed
        "context_layer": "output",
        "context_labels": None,
        "augmentation": None,
        "noise_augmentation": 0.0,
        "calibration_cv": None,
    }
)


def forget(model: Any, training: str) -> None:
    """Reset the attributes that do not outlast a training.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor, changed in place.
    training : {"fit", "warm_start", "partial_fit"}
        Kind of training that is about to start, as in `FittedAttribute.forgotten_by`.
    """
    for name, attribute in FITTED_STATE.items():
        if training in attribute.forgotten_by:
            vars(model).pop(name, None)
            if attribute.default is not ABSENT:
                setattr(model, name, attribute.default if attribute.initial is None else attribute.initial)


def restore(model: Any, state: Mapping[str, Any]) -> None:
    """Set the fitted attributes of a stored model.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Unfitted regressor, changed in place.
    state : mapping of str to object
        Fitted attributes by name. One that is missing gets its default.

    Raises
    ------
    ValueError
        If a required attribute is missing.
    """
    vars(model).update(complete(state))


def complete(state: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the state of a fitted model lacks, and new caches.

    Parameters
    ----------
    state : mapping of str to object
        Attributes of the model by name, its parameters perhaps among them.

    Returns
    -------
    state : dict of str to object
        Copy with the default of each fitted attribute that was missing.

    Raises
    ------
    ValueError
        If a required attribute is missing.
    """
    completed = dict(state)
    for name, attribute in FITTED_STATE.items():
        if attribute.storage is Storage.CACHE:
            completed[name] = attribute.default()
        elif name not in completed and attribute.default is REQUIRED:
            raise ValueError(f"The stored model has no {name}, which every fitted model has. Store it again.")
        elif name not in completed and attribute.derive is not None:
            completed[name] = attribute.derive(completed)
        elif name not in completed and attribute.default is not ABSENT:
            completed[name] = attribute.default
    return completed


def without_caches(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the state of a model without what is never pickled.

    Parameters
    ----------
    state : mapping of str to object
        Attributes of the model by name.

    Returns
    -------
    state : dict of str to object
    """
    return {
        name: value
        for name, value in state.items()
        if name not in FITTED_STATE or FITTED_STATE[name].storage is not Storage.CACHE
    }


@contextmanager
def unchanged_on_failure(model: Any) -> Iterator[None]:
    """Restore all attributes of a model if the block raises: a refused or interrupted fit changes nothing.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor that is trained in the block.
    """
    before = vars(model).copy()
    try:
        yield
    except BaseException:
        vars(model).clear()
        vars(model).update(before)
        raise
