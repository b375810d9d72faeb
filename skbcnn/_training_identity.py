"""What determines the result of a training, so that a checkpoint is resumed only by the training that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn import __version__
from skbcnn._training_checkpoint import digest
from skbcnn.network.backends import require_tensorflow
from skbcnn.network.training_recipe import Stars
from skbcnn.survey import ElementWindows

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor

_WITHOUT_EFFECT = ("callbacks", "verbose")  # parameters that are functions, or only print
_ARGUMENTS = {  # of `fit`, by the attribute of `Stars`
    "x": "X",
    "y": "y",
    "x_err": "x_err",
    "y_err": "y_err",
    "weight": "sample_weight",
    "group": "groups",
}


def training_identity(
    model: CensoredBCNNRegressor, stars: Stars, validation: Stars | None, continues: bool
) -> dict[str, dict[str, Any]]:
    """Return what determines the result of a training.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor before the training.
    stars : Stars
        Stars that were passed to `fit`.
    validation : Stars or None
        Validation data.
    continues : bool
        Whether the training continues from the weights of the model.

    Returns
    -------
    identity : dict
        ``"settings"``: versions and parameters; ``"data"``: digests of the arguments of `fit`.
    """
    require_tensorflow("fit")
    from skbcnn.network.tensorflow.runtime import tf

    parameters = {name: value for name, value in model.get_params(deep=False).items() if name not in _WITHOUT_EFFECT}
    settings = {name: _plain(value) for name, value in sorted(parameters.items())}
    labels = {"class": type(model).__name__, "labels": list(model.target_names_)}
    data = {name: digest(getattr(stars, attribute)) for attribute, name in _ARGUMENTS.items()}
    if validation is not None:
        data |= {f"{name} of the validation data": digest(getattr(validation, key)) for key, name in _ARGUMENTS.items()}
    if continues:
        data["the model that is continued"] = _digest_of_state(model)
    return {"settings": {"skbcnn": __version__, "tensorflow": tf.__version__} | labels | settings, "data": data}


def _digest_of_state(model: CensoredBCNNRegressor) -> str:
    """Return a digest of the weights and normalisers from which a training continues."""
    normalizers = model.spectra_normalizer_, model.label_normalizer_
    arrays = [*model.weights_.values(), *(values for each in normalizers for values in (each.mean_, each.scale_))]
    digests = [str(digest(values)) for values in arrays]
    return str(digest(np.array([*digests, repr((model.seed_, model.n_iter_))])))


def _plain(value: Any) -> Any:
    """Return the value of a parameter as JSON can hold it; equal values give equal results."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral | Real | np.bool_):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.random.RandomState):
        _, key, *position = value.get_state()
        return f"RandomState {digest(np.asarray(key))} {position}"
    if isinstance(value, Mapping):
        widening = {name: value.widening(name) for name in value} if isinstance(value, ElementWindows) else None
        return {str(name): _plain(each) for name, each in value.items()} | ({"widening": widening} if widening else {})
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    entries = value if isinstance(value, list | tuple) else np.asarray(value).tolist()
    return [_plain(each) for each in entries]
