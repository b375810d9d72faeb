"""Model card in Markdown: what a saved model predicts, from which spectra, and how well.

Websites that host models show the card. Its content comes from the model. Text in the model may have been written by
anybody, so it is put on one line, cut to a length, and escaped so that it cannot become Markdown, HTML or YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from sklearn.pipeline import Pipeline

from skbcnn._provenance import was_synthetic
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence.pipeline_document import regressor_of
from skbcnn.survey import label_unit

_MAX_CHARACTERS, _MAX_ENTRIES = 300, 24  # of one text; of one list
_TAGS = ("astronomy", "spectroscopy", "stellar-spectra", "bayesian-neural-network", "uncertainty-quantification")
_SYNTHETIC = "**It was trained on synthetic spectra only. Its labels of real stars are not measurements.**"
_CONTINUED = "**It was first trained on synthetic spectra, and then on others (see Training).**"
_SPECIAL = re.compile(r"[\\`*_\[\]<>|#!&~$^@]|:(?=//)|(?<=www)\.")  # in Markdown and HTML, including bare links
_STANDARDIZED = "2"  # normalization mode with a mean and a standard deviation for each label

_CITATION = """\
- Leung & Bovy (2019), *Deep learning of multi-element abundances from high-resolution spectroscopic data*,
  MNRAS 483, 3255, [doi:10.1093/mnras/sty3217](https://doi.org/10.1093/mnras/sty3217): the network and its use.
- skbcnn: `CITATION.cff` in its repository.
- The survey that took the spectra and measured the labels that this model was trained on.
"""


def card_of(model: Any, document: Mapping[str, Any]) -> str:
    """Return the card of a fitted model.

    Parameters
    ----------
    model : CensoredBCNNRegressor or sklearn.pipeline.Pipeline
        Fitted model.
    document : mapping
        Its model document.
    """
    regressor = regressor_of(model)
    sections = {
        "Use": _use(model, regressor, document["preprocessing"]),
        "Labels": _labels(regressor),
        "Training": _training(regressor, document["provenance"]),
        "Accuracy": _accuracy(regressor),
        "Responses": _responses(regressor),
        "Uncertainties": _uncertainties(regressor),
        "Versions": _table(("made with", "version"), _entries(document["written_with"])),
        "Citation": _CITATION,
    }
    parts = [_front_matter(regressor, document["provenance"]), _summary(regressor, document["provenance"])]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n".join(parts)


def _front_matter(regressor: Any, provenance: Mapping[str, Any]) -> str:
    """Return the YAML that websites sort models by: fixed words, and a licence if it looks like the name of one."""
    tags = [*_TAGS, *(["apogee"] if isinstance(regressor, ApogeeBCNNCensoredRegressor) else [])]
    licence = provenance.get("license", provenance.get("licence"))
    known = isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}", licence, re.ASCII)
    lines = [f'license: "{licence.lower()}"'] if known else []
    lines += ["library_name: skbcnn", "pipeline_tag: tabular-regression", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---", ""])


def _summary(regressor: Any, provenance: Mapping[str, Any]) -> str:
    names, n_pixels = regressor.target_names_, regressor.n_features_in_
    spectra = "APOGEE spectra" if isinstance(regressor, ApogeeBCNNCensoredRegressor) else "spectra"
    n_windows = sum(window is not None for window in regressor.spec_.windows)
    verb = "is" if n_windows == 1 else "are"
    censored = f" Of these, {n_windows} {verb} read only from windows of the spectrum." if n_windows else ""
    warning = ""
    if was_synthetic(provenance):
        warning = f"\n{_CONTINUED if 'later_trainings' in provenance else _SYNTHETIC}\n"
    return (
        f"# {_counted(len(names), 'label')} of stars from {spectra}\n\n"
        f"A Bayesian neural network ({type(regressor).__name__} of skbcnn) that predicts labels of stars and their "
        f"uncertainties from spectra of {_counted(n_pixels, 'pixel')}. The labels are {_listed(names)}.{censored}\n"
        f"{warning}"
    )


def _use(model: Any, regressor: Any, preprocessing: Mapping[str, Any]) -> str:
    """Return how to load the model, and which spectra it takes."""
    if isinstance(model, Pipeline):
        inputs = "`X` contains one spectrum per row, as the first of these steps takes it:\n\n"
        inputs += _table(
            ("step", "transformer or regressor"), _entries({name: repr(step) for name, step in model.steps})
        )
    else:
        inputs = f"`X` contains continuum-normalised spectra in an array of shape (stars, {regressor.n_features_in_})"
        inputs += ", prepared as in the training.\n" if not preprocessing else ", prepared with these parameters:\n\n"
        inputs += _table(("preparation", "value"), _entries(preprocessing))
    return (
        "```python\n"
        "from skbcnn import load_folder\n\n"
        'model = load_folder("path/to/this/model")  # the folder or the zip file; no code in it is run\n'
        "mean, std = model.predict(X, return_std=True)\n"
        f"```\n\n{inputs}"
    )


def _labels(regressor: Any) -> str:
    """Return the table of labels: unit, pixels that each is read from, and values of the training set."""
    names, windows = regressor.target_names_, regressor.spec_.windows
    columns = {
        "label": [_text(name) for name in names],
        "unit": [label_unit(name) for name in names],
        "read from": ["full spectrum" if window is None else _counted(len(window), "pixel") for window in windows],
    }
    domain, normalizer = getattr(regressor, "domain_", None), regressor.label_normalizer_
    decimals = _decimals(regressor)
    if domain is not None:
        low, high = domain.label_range
        columns |= {"lowest": _rounded(low, decimals), "highest": _rounded(high, decimals)}
    if str(normalizer.mode) == _STANDARDIZED:
        columns |= {"mean": _rounded(normalizer.mean_, decimals), "spread": _rounded(normalizer.scale_, decimals)}
    table = _table(list(columns), zip(*columns.values(), strict=True))
    described = [name for name in ("lowest", "highest", "mean", "spread") if name in columns]
    if not described:
        return table
    which = "training set" if len(regressor.history_.get("loss", [])) >= regressor.n_iter_ else "first training set"
    return f"{table}\nValues of the {which}: {', '.join(described)}.\n"


def _training(regressor: Any, provenance: Mapping[str, Any]) -> str:
    """Return the provenance, the number of epochs, the losses and the architecture."""
    rows = _entries(provenance)
    if isinstance(regressor.random_state, Integral) and "random_state" not in provenance:
        rows.append(("random_state", _text(regressor.random_state)))
    rows.append(("seed of the posterior draws", _text(regressor.seed_)))
    rows.append(("epochs", f"{regressor.n_iter_}{', then interrupted' if regressor.interrupted_ else ''}"))
    history = regressor.history_
    for key, title in {"data_loss": "loss at the end", "val_loss": "validation loss at the end"}.items():
        if history.get(key):
            rows.append((title, _number(history[key][-1])))
    if regressor.noise_level_ is not None:
        rows.append(("highest noise level (median flux error)", _number(regressor.noise_level_)))
    rows.append(("trained with added noise", _text(regressor.noise_augmented_)))
    spec = regressor.spec_
    shape = {"filters": spec.num_filters, "widths": spec.num_hidden, "dropout rate": spec.dropout_rate}
    rows += [(name, _text(value)) for name, value in shape.items()]
    rows.append(("weights", _text(sum(math.prod(shape) for shape in spec.weight_shapes.values()))))
    return _table(("training", "value"), rows)


def _accuracy(regressor: Any) -> str:
    """Return the residuals of the held-out stars."""
    residuals = regressor.validation_residuals_
    if not residuals:
        return f"The accuracy of this model is not known: {regressor._uncalibrated.cause}.\n"
    decimals = dict(zip(regressor.target_names_, _decimals(regressor), strict=True))
    rows = [
        (_text(name), _number(bias, decimals[name]), _number(scatter, decimals[name]), _text(n_stars))
        for name, (bias, scatter, n_stars) in residuals.items()
    ]
    return (
        "The bias is the median of predicted minus known label of the held-out stars. The scatter is 1.4826 times the "
        "median absolute deviation.\n\n" + _table(("label", "bias", "scatter", "stars"), rows)
    )


def _responses(regressor: Any) -> str:
    """Return how the predicted labels of the held-out stars respond to their known labels, or nothing."""
    responses = regressor.validation_responses_
    if responses is None:
        return ""
    rows = [
        (
            _text(row["label"]),
            f"{_number(row['own'], 2)} \N{PLUS-MINUS SIGN} {_number(row['own_error'], 2)}",
            _number(row["foreign"], 2 if row["foreign"] < 1 else 0),
            _text(str(row["strongest"])),
            _number(row["response"], 2 if abs(row["response"]) < 1 else 0),
        )
        for row in responses.to_table()
    ]
    errors = "" if responses.errors_removed else " Label errors were not given, so that own responses are too small."
    return (
        "A response is the change of a predicted label per unit of a true label, while all other true labels stay, "
        f"among {_counted(responses.n_stars, 'held-out star')}. The own response of a measured label is near 1; that "
        "of a label that is shrunk towards the mean is smaller. Foreign is the root mean square of the responses to "
        "other elements, which is near 0 unless the label is guessed from them. Strongest is the label, apart from "
        f"teff and logg, with the largest foreign response.{errors}\n\n"
        f"Mean own response of the elements: {_number(responses.mean_own, 3)} \N{PLUS-MINUS SIGN} "
        f"{_number(responses.mean_own_error, 3)}; foreign: {_number(responses.rms_foreign, 3)}.\n\n"
        + _table(("label", "own", "foreign", "strongest", "response"), rows)
    )


def _uncertainties(regressor: Any) -> str:
    """Return how the standard deviations were calibrated."""
    error_model = regressor.error_model_
    if error_model is None:
        return 'The standard deviations are not calibrated, so `kind="calibrated"` is not available.\n'
    columns = {
        "label": [_text(name) for name in error_model.label_names],
        "scale": [_number(scale, 2) for scale in error_model.scale],
        "offset": _rounded(error_model.offset, _decimals(regressor)),
        "differences": [_text(int(n)) for n in error_model.n_differences],
    }
    formula = "`scale * total + offset`"
    if error_model.noise_slope is not None:
        columns["noise slope"] = [_number(slope, 2) for slope in error_model.noise_slope]
        power = "noise slope"
        if error_model.noise_curve is not None:
            columns["noise curve"] = [_number(curve, 2) for curve in error_model.noise_curve]
            power = "noise slope + noise curve * log(relative noise)"
        formula = f"`({formula.strip('`')}) * relative noise ** ({power})`"
    text = (
        f'`model.predict_std(X, kind="calibrated")` returns {formula}, where `total` is the total standard deviation '
        f"of the network. The parameters were fitted to {_text(error_model.source)}; differences is the number of "
        "values that were used."
    )
    if error_model.noise_slope is not None:
        unit = _number(error_model.noise_range[1])
        text += f" The relative noise is the noise level of the spectrum divided by {unit}."
    return f"{text}\n\n{_table(list(columns), zip(*columns.values(), strict=True))}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, or nothing if it has no rows. Its cells must be escaped already."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(titles)} |", "|" + "---|" * len(titles), *lines, ""]) if lines else ""


def _entries(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in mapping.items()]


def _text(value: Any) -> str:
    """Return any value as one line of bounded length in which special characters are escaped."""
    flat = "".join(character if character.isprintable() else " " for character in _in_words(value))
    flat = " ".join(flat.split())
    flat = flat if len(flat) <= _MAX_CHARACTERS else f"{flat[:_MAX_CHARACTERS]}..."
    return _SPECIAL.sub(r"\\\g<0>", flat) or "-"


def _in_words(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return _number(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_in_words(entry)}" for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = f" and {len(value) - _MAX_ENTRIES} more" if len(value) > _MAX_ENTRIES else ""
        return ", ".join(_in_words(entry) for entry in value[:_MAX_ENTRIES]) + more
    return str(value)


def _number(value: Any, decimals: int | None = None) -> str:
    """Return a number with so many decimals. None: four significant digits."""
    if not math.isfinite(value):
        return "-"
    text = f"{value:.4g}" if decimals is None else f"{round(value, decimals) + 0.0:.{decimals}f}"  # never -0
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def _rounded(values: Iterable[Any], decimals: Iterable[int]) -> list[str]:
    return [_number(value, n) for value, n in zip(values, decimals, strict=True)]


def _decimals(regressor: Any) -> list[int]:
    """Return the decimals that show each label to a hundredth of its spread: 0 for temperatures, 3 for abundances."""
    return [min(max(2 - math.floor(math.log10(spread)), 0), 6) for spread in regressor.label_normalizer_.scale_]


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n != 1)


def _listed(names: Sequence[str]) -> str:
    """Return names as part of a sentence."""
    shown = [_text(name) for name in names[:_MAX_ENTRIES]]
    more = [f"{len(names) - len(shown)} more"] if len(names) > len(shown) else []
    listed = [*shown, *more]
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))
