"""Provenance of a model whose training was continued: what is recorded of the first training is no longer all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor

_OF_THE_MODEL = ("license", "licence")  # entries that hold for the model whatever it was trained on


def with_later_training(provenance: Mapping[str, Any], method: str, n_stars: int, n_epochs: int) -> dict[str, Any]:
    """Return the provenance of a model after another training.

    Parameters
    ----------
    provenance : mapping of str to object
        Provenance before, as in `skbcnn.save_folder`.
    method : {"fit", "partial_fit"}
        Method that continued the training.
    n_stars, n_epochs : int
        Number of training stars and epochs of that call.

    Returns
    -------
    provenance : dict of str to object
        ``first_training``: the provenance before the first such call. ``later_trainings``: a list of method, number of
        stars and number of epochs; consecutive calls with equally many stars are one entry. A licence stays where it
        was. Empty if nothing was recorded before.

    Examples
    --------
    >>> from skbcnn._provenance import with_later_training
    >>> provenance = with_later_training({"training_data": "DR17"}, "partial_fit", n_stars=40, n_epochs=1)
    >>> with_later_training(provenance, "partial_fit", n_stars=40, n_epochs=1)  # doctest: +NORMALIZE_WHITESPACE
    {'first_training': {'training_data': 'DR17'},
     'later_trainings': [{'method': 'partial_fit', 'n_stars': 40, 'n_epochs': 2}]}
    """
    if not provenance:
        return {}
    kept = {name: provenance[name] for name in _OF_THE_MODEL if name in provenance}
    first, later = dict(provenance), []
    if "later_trainings" in provenance:
        first, later = dict(provenance.get("first_training", {})), list(provenance["later_trainings"])
    training = {"method": method, "n_stars": n_stars, "n_epochs": n_epochs}
    if later and {**later[-1], "n_epochs": n_epochs} == training:
        training["n_epochs"] += later.pop()["n_epochs"]
    first = {name: value for name, value in first.items() if name not in kept}
    return {**kept, "first_training": first, "later_trainings": [*later, training]}


def record_later_training(model: CensoredBCNNRegressor, method: str, n_stars: int) -> None:
    """Record in the provenance of a model that its training was continued. An empty provenance stays empty.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted, changed in place.
    method, n_stars
        As in `with_later_training`.
    """
    if provenance := getattr(model, "provenance_", None):
        n_epochs = len(model.history_.get("loss", []))
        model.provenance_ = with_later_training(provenance, method, n_stars, n_epochs)


def was_synthetic(provenance: Mapping[str, Any]) -> bool:
    """Return whether the first training used synthetic spectra only.

    Parameters
    ----------
    provenance : mapping of str to object
        Provenance of a model.

    Returns
    -------
    was_synthetic : bool
    """
    first = provenance.get("first_training", provenance)
    return isinstance(first, Mapping) and first.get("training_data") == "synthetic"
