"""A fitted Pipeline of our own transformers and one of our regressors as text and arrays, and back."""

from itertools import pairwise

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skbcnn.persistence.steps import REGRESSORS, TRANSFORMERS, Kind
from skbcnn.persistence.text import as_text, plain

_SKIPPED = ("passthrough", None)  # what may stand for a step that does nothing
_PARAMETERS = ("transform_input", "verbose")  # not `memory`: a cache is read as pickles
_STEPS = REGRESSORS | TRANSFORMERS


def check_savable(model):
    """Refuse what cannot be saved, or is not fitted."""
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


def _check_step(name, step, *, is_last):
    kinds = REGRESSORS if is_last else TRANSFORMERS
    if not is_last and step in _SKIPPED:
        return
    if type(step) not in _classes(kinds):
        raise TypeError(
            f"Step {name!r} of the pipeline is a {type(step).__name__}, which cannot be saved there, expected "
            f"{' or '.join(kinds)}{'' if is_last else ' or passthrough'}. Leave the step out, or dump the whole with "
            "skops or joblib."
        )
    check_is_fitted(step)


def _classes(kinds):
    return [kind.cls for kind in kinds.values()]


def regressor_of(model):
    """The regressor that a model is or ends in."""
    return model[-1] if isinstance(model, Pipeline) else model


def _document_of(pipeline):
    parameters = {name: plain(getattr(pipeline, name), name) for name in _PARAMETERS}
    steps = [
        {"name": name} | ({"class": step} if step in _SKIPPED else _STEPS[type(step).__name__].document_of(step))
        for name, step in pipeline.steps
    ]
    return {"class": "Pipeline", "parameters": parameters, "steps": steps}


def _arrays_of(pipeline):
    return {
        f"step{position}.{name}": values
        for position, (_, step) in enumerate(pipeline.steps)
        if step not in _SKIPPED
        for name, values in _STEPS[type(step).__name__].arrays_of(step).items()
    }


def _array_types(document):
    return {
        f"step{position}.{name}": shape_and_type
        for position, kind, entry in _kinds(document)
        if kind is not None
        for name, shape_and_type in kind.array_types(entry).items()
    }


def _kinds(document):
    """Position, kind (None if it does nothing) and entry of each step."""
    *others, last = document["steps"]
    for position, entry in enumerate(others):
        skipped = entry["class"] in _SKIPPED
        yield position, None if skipped else TRANSFORMERS[as_text(entry["class"])], entry
    yield len(others), REGRESSORS[as_text(last["class"])], last


def _pipeline_of(document, arrays):
    """The pipeline; its steps are known to fit each other."""
    steps = []
    for position, kind, entry in _kinds(document):
        prefix = f"step{position}."
        own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
        steps.append((as_text(entry["name"]), kind.estimator_of(entry, own) if kind else entry["class"]))
    _check_names([name for name, _ in steps])
    _check_pixels([step for _, step in steps if step not in _SKIPPED])
    pipeline = Pipeline(steps, **{name: document["parameters"][name] for name in _PARAMETERS})
    pipeline._validate_params()
    return pipeline


def _check_names(names):
    taken = {"steps", "memory", *_PARAMETERS}
    if len(set(names)) != len(names) or taken & set(names) or any("__" in name for name in names):
        raise ValueError(f"steps called {', '.join(names)}")


def _check_pixels(steps):
    """Whether each step takes as many pixels as the one before gives, where that is known."""
    for first, second in pairwise(steps):
        taken = getattr(second, "n_features_in_", None)
        if hasattr(first, "n_features_in_") and taken is not None:
            given = len(first.get_feature_names_out())
            if given != taken:
                raise ValueError(f"{type(first).__name__} gives {given} pixels, {type(second).__name__} takes {taken}")


PIPELINE = Kind(Pipeline, _document_of, _arrays_of, _array_types, _pipeline_of)
