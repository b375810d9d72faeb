"""Fingerprint of a fitted regressor: a checksum by which a catalogue says which model has made it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from skbcnn.persistence.json_values import to_json
from skbcnn.persistence.regressor_document import arrays_of, document_of

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor

_LENGTH = 32  # hexadecimal digits: 128 bits, which fit one line of a FITS header
_OF_THE_CALL = ("backend", "callbacks", "n_draws", "verbose")  # parameters that do not change the trained network


def model_fingerprint(model: CensoredBCNNRegressor) -> str:
    """Return a checksum of the weights, the parameters and all fitted state of a model.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.

    Returns
    -------
    fingerprint : str
        32 hexadecimal digits. It is the same after saving and loading. It does not depend on the parameters `n_draws`,
        `backend`, `verbose` and `callbacks`, nor on the recorded provenance.

    Raises
    ------
    ValueError
        If a weight is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> from skbcnn.persistence.fingerprint import model_fingerprint
    >>> X = np.random.default_rng(0).normal(size=(20, 30))
    >>> model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, random_state=0).fit(X, X[:, 0])
    >>> model_fingerprint(model) == model_fingerprint(model.set_params(n_draws=7))
    True
    """
    document = document_of(model)
    document["parameters"] = {name: value for name, value in document["parameters"].items() if name not in _OF_THE_CALL}
    document["preprocessing"] = to_json(getattr(model, "preprocessing_", {}), "preprocessing")
    checksum = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name, values in sorted(arrays_of(model).items()):
        values = np.asarray(values)
        values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        checksum.update(f"{name} {values.dtype.str} {values.shape}".encode())
        checksum.update(values.tobytes())
    return checksum.hexdigest()[:_LENGTH]
