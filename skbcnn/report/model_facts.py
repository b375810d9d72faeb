"""Facts about a model, for the head of a report."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from skbcnn.persistence.fingerprint import model_fingerprint
from skbcnn.persistence.model_folder import software_versions
from skbcnn.regressor import CensoredBCNNRegressor

_MAX_VALUES = 9  # of a list that is shown


def model_facts(model: CensoredBCNNRegressor, name: str) -> dict[str, str]:
    """Return what a report says about the model.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    name : str
        Name of its folder, or a description of an unsaved model.

    Returns
    -------
    facts : dict of str to str
        Values by their titles.
    """
    n_windows = sum(window is not None for window in model.spec_.windows)
    return {
        "Model": f"{name} ({type(model).__name__})",
        "Fingerprint": model_fingerprint(model),
        "Input and output": (
            f"{len(model.target_names_)} labels from {model.n_features_in_} pixels; {n_windows} labels are read in "
            "windows of the spectrum only"
        ),
        "Provenance": _entries(getattr(model, "provenance_", {})),
        "Training": _training(model),
        "Preparation of the spectra": preparation_text(getattr(model, "preprocessing_", {})),
        "Error bars": _calibration(model),
        "Posterior draws": f"{model.n_draws}, seed {model.seed_}",
        "Versions": ", ".join(f"{package} {number}" for package, number in software_versions().items() if number),
    }


def preparation_text(preprocessing: Mapping[str, Any]) -> str:
    """Return how spectra were prepared, in one line.

    Parameters
    ----------
    preprocessing : mapping of str to object
        Parameters of `ContinuumNormalizer`, as a model or a file records them.

    Returns
    -------
    text : str
    """
    return _entries({name: value for name, value in preprocessing.items() if value is not None})


def _training(model: CensoredBCNNRegressor) -> str:
    noise = "with" if model.noise_augmented_ else "without"
    seed = f", random_state {model.random_state}" if isinstance(model.random_state, Integral) else ""
    return f"{model.n_iter_} epoch{'s' * (model.n_iter_ != 1)}, {noise} added noise{seed}"


def _calibration(model: CensoredBCNNRegressor) -> str:
    if model.error_model_ is None:
        return f"not calibrated: {model._uncalibrated.cause}; the report uses the total standard deviations"
    return f"calibrated with {model.error_model_.source}"


def _entries(entries: Mapping[str, Any]) -> str:
    texts = []
    for name, value in entries.items():
        is_long = isinstance(value, list | tuple) and len(value) > _MAX_VALUES
        texts.append(f"{str(name).replace('_', ' ')}: {f'{len(value)} values' if is_long else _value(value)}")
    return "; ".join(texts) or "not recorded"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
