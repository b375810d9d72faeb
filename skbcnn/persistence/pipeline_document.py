"""A fitted `Pipeline` of savable transformers and a regressor as a document for JSON and arrays, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skbcnn.persistence.json_values import as_text, to_json
from skbcnn.persistence.savable_classes import REGRESSORS, TRANSFORMERS, SavableClass

_SKIPPED = ("passthrough", None)  # steps that do nothing
_PARAMETERS = ("transform_input", "verbose")  # not `memory`: a cache is read as pickles
_STEPS = REGRESSORS | TRANSFORMERS


def check_savable(model: Any) -> None:
    """Raise an error if a model cannot be saved as a folder, or is not fitted.

    Raises
    ------
    TypeError
        If the model, or a step of a pipeline, is of a class that cannot be saved.
    NotFittedError
        If it is not fitted.
    """
    if type(model) is Pipeline:
        for position, (name, step) in enumerate(model.steps):
            _check_step(name, step, is_last=position == len(model.steps) - 1)
    elif type(model) in _classes(REGRESSORS):
        check_is_fitted(model)
    else:
        raise TypeError(
            f"A {type(model).__name__} cannot be saved as a folder, expected {', '.join(REGRESSORS)}, or a Pipeline "
            "that ends in one. Of a fitted search, pass its best_estimator_; of anything else, the regressor in it. "
            "skops and joblib save the whole."
        )


def _check_step(name: str, step: Any, *, is_last: bool) -> None:
    savable = REGRESSORS if is_last else TRANSFORMERS
    if not is_last and step in _SKIPPED:
        return
    if type(step) not in _classes(savable):
        raise TypeError(
            f"Step {name!r} of the pipeline is a {type(step).__name__}, which cannot be saved there, expected "
            f"{' or '.join(savable)}{'' if is_last else ' or passthrough'}. Leave the step out, or dump the whole with "
            "skops or joblib."
        )
    check_is_fitted(step)


def _classes(savable: Mapping[str, SavableClass]) -> list[type]:
    return [row.cls for row in savable.values()]


def regressor_of(model: Any) -> Any:
    """Return the regressor itself, or the last step of a pipeline."""
    return model[-1] if isinstance(model, Pipeline) else model


def _document_of(pipeline: Pipeline) -> dict[str, Any]:
    parameters = {name: to_json(getattr(pipeline, name), name) for name in _PARAMETERS}
    steps = [
        {"name": name} | ({"class": step} if step in _SKIPPED else _STEPS[type(step).__name__].document_of(step))
        for name, step in pipeline.steps
    ]
    return {"class": "Pipeline", "parameters": parameters, "steps": steps}


def _arrays_of(pipeline: Pipeline) -> dict[str, np.ndarray]:
    return {
        f"step{position}.{name}": values
        for position, (_, step) in enumerate(pipeline.steps)
        if step not in _SKIPPED
        for name, values in _STEPS[type(step).__name__].arrays_of(step).items()
    }


def _array_types(document: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        f"step{position}.{name}": shape_and_type
        for position, savable, entry in _steps(document)
        if savable is not None
        for name, shape_and_type in savable.array_types(entry).items()
    }


def _steps(document: Mapping[str, Any]) -> Iterator[tuple[int, SavableClass | None, Mapping[str, Any]]]:
    """Yield position, row of the table (None: the step does nothing) and entry of each step."""
    *others, last = document["steps"]
    for position, entry in enumerate(others):
        skipped = entry["class"] in _SKIPPED
        yield position, None if skipped else TRANSFORMERS[as_text(entry["class"])], entry
    yield len(others), REGRESSORS[as_text(last["class"])], last


def _pipeline_from(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Pipeline:
    steps = []
    for position, savable, entry in _steps(document):
        prefix = f"step{position}."
        own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
        steps.append((as_text(entry["name"]), savable.rebuild(entry, own) if savable else entry["class"]))
    _check_names([name for name, _ in steps])
    _check_pixels([step for _, step in steps if step not in _SKIPPED])
    pipeline = Pipeline(steps, **{name: document["parameters"][name] for name in _PARAMETERS})
    pipeline._validate_params()
    return pipeline


def _check_names(names: Sequence[str]) -> None:
    reserved = {"steps", "memory", *_PARAMETERS}
    if len(set(names)) != len(names) or reserved & set(names) or any("__" in name for name in names):
        raise ValueError(f"steps called {', '.join(names)}, expected names that are unique and no parameters")


def _check_pixels(steps: Sequence[Any]) -> None:
    """Raise if a step takes another number of pixels than the step before returns, where both are known."""
    for first, second in pairwise(steps):
        expected = getattr(second, "n_features_in_", None)
        if hasattr(first, "n_features_in_") and expected is not None:
            returned = len(first.get_feature_names_out())
            if returned != expected:
                raise ValueError(
                    f"{type(first).__name__} returns {returned} pixels, {type(second).__name__} expects {expected}"
                )


PIPELINE = SavableClass(Pipeline, _document_of, _arrays_of, _array_types, _pipeline_from)
