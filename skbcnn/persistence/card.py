"""The card of a saved model: what it predicts, from what, and how well, as Markdown that model hubs show.

All that is said comes from the model. Text in it is somebody's data, so it is put on one line, cut, and kept from
being Markdown, HTML or YAML.
"""

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

from sklearn.pipeline import Pipeline

from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence.pipelines import regressor_of

_MOST_CHARACTERS, _MOST_ENTRIES = 300, 24  # of one text; of one list
_TAGS = ("astronomy", "spectroscopy", "stellar-spectra", "bayesian-neural-network", "uncertainty-quantification")
_SYNTHETIC = "**It learnt from synthetic stars only: what it says of real stars is no measurement.**"
_SIGNS = re.compile(r"[\\`*_\[\]<>|#!&~$^@]|:(?=//)|(?<=www)\.")  # of Markdown and HTML, bare links among them
_OF_EACH_LABEL = "2"  # the mode in which each has a mean and a standard deviation of its own

_CITATION = """\
- Leung & Bovy (2019), *Deep learning of multi-element abundances from high-resolution spectroscopic data*,
  MNRAS 483, 3255, [doi:10.1093/mnras/sty3217](https://doi.org/10.1093/mnras/sty3217): the network and its use.
- skbcnn: `CITATION.cff` in its repository.
- Whoever took the spectra and measured the labels that this model learnt from.
"""


def card_of(model, document):
    """The card as text, from a fitted model and what model.json says of it."""
    regressor = regressor_of(model)
    sections = {
        "Use": _use(model, regressor, document["preprocessing"]),
        "Labels": _labels(regressor),
        "Training": _training(regressor, document["provenance"]),
        "Accuracy": _accuracy(regressor),
        "Error bars": _error_bars(regressor),
        "Versions": _table(("made with", "version"), _entries(document["written_with"])),
        "Citation": _CITATION,
    }
    parts = [_front_matter(regressor, document["provenance"]), _summary(regressor, document["provenance"])]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n".join(parts)


def _front_matter(regressor, provenance):
    """What model hubs sort by: nothing but fixed words, and a licence if it is written as one."""
    tags = [*_TAGS, *(["apogee"] if isinstance(regressor, ApogeeBCNNCensoredRegressor) else [])]
    licence = provenance.get("license", provenance.get("licence"))
    known = isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}", licence, re.ASCII)
    lines = [f'license: "{licence.lower()}"'] if known else []
    lines += ["library_name: skbcnn", "pipeline_tag: tabular-regression", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---", ""])


def _summary(regressor, provenance):
    names, n_pixels = regressor.target_names_, regressor.n_features_in_
    spectra = "APOGEE spectra" if isinstance(regressor, ApogeeBCNNCensoredRegressor) else "spectra"
    n_windows = sum(window is not None for window in regressor.spec_.windows)
    censored = f" {n_windows} of them it reads only inside windows of their own." if n_windows else ""
    warning = f"\n{_SYNTHETIC}\n" if provenance.get("training_data") == "synthetic" else ""
    return (
        f"# {_counted(len(names), 'label')} of stars from {spectra}\n\n"
        f"A Bayesian neural network ({type(regressor).__name__} of skbcnn) that reads {_listed(names)} from spectra of "
        f"{_counted(n_pixels, 'pixel')}, with error bars.{censored}\n{warning}"
    )


def _use(model, regressor, preprocessing):
    """How to load it, and what to give it."""
    if isinstance(model, Pipeline):
        given = "`X` are spectra as they enter the first of these steps, a row for each:\n\n"
        given += _table(("step", "does"), _entries({name: repr(step) for name, step in model.steps}))
    else:
        given = f"`X` are continuum-normalised spectra of shape (stars, {regressor.n_features_in_})"
        given += ", prepared as those of the training.\n" if not preprocessing else ", prepared like this:\n\n"
        given += _table(("preparation", "value"), _entries(preprocessing))
    return (
        "```python\n"
        "from skbcnn import load_folder\n\n"
        'model = load_folder("path/to/this/model")  # the folder or the zip file; nothing in it is run\n'
        "mean, std = model.predict(X, return_std=True)\n"
        f"```\n\n{given}"
    )


def _labels(regressor):
    """What each label is, where it is read, and what the training stars had."""
    from skbcnn.survey import label_unit

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
        columns |= {"trained from": _rounded(low, decimals), "to": _rounded(high, decimals)}
    if str(normalizer.mode) == _OF_EACH_LABEL:
        columns |= {"mean": _rounded(normalizer.mean_, decimals), "spread": _rounded(normalizer.scale_, decimals)}
    return _table(columns, zip(*columns.values(), strict=True))


def _training(regressor, provenance):
    """Epochs, losses, the shape of the network, and what the user told of the data."""
    rows = _entries(provenance)
    rows.append(("epochs", f"{regressor.n_iter_}{', then interrupted' if regressor.interrupted_ else ''}"))
    history = regressor.history_
    for key, title in {"data_loss": "loss at the end", "val_loss": "validation loss at the end"}.items():
        if history.get(key):
            rows.append((title, _number(history[key][-1])))
    if regressor.noise_level_ is not None:
        rows.append(("highest noise (median flux error)", _number(regressor.noise_level_)))
    spec = regressor.spec_
    shape = {"filters": spec.num_filters, "widths": spec.num_hidden, "dropout rate": spec.dropout_rate}
    rows += [(name, _text(value)) for name, value in shape.items()]
    rows.append(("weights", _text(sum(math.prod(shape) for shape in spec.weight_shapes.values()))))
    return _table(("training", "value"), rows)


def _accuracy(regressor):
    """Predicted minus known labels of the stars held out."""
    residuals = getattr(regressor, "validation_residuals_", None)
    if not residuals:
        return "No star with known labels was held out to measure it, or the model does not tell.\n"
    decimals = dict(zip(regressor.target_names_, _decimals(regressor), strict=True))
    rows = [
        (_text(name), _number(bias, decimals[name]), _number(scatter, decimals[name]), _text(n_stars))
        for name, (bias, scatter, n_stars) in residuals.items()
    ]
    return (
        "Of predicted minus known labels of stars held out in the training: the median, and 1.4826 times the median "
        "absolute deviation.\n\n" + _table(("label", "bias", "scatter", "stars"), rows)
    )


def _error_bars(regressor):
    """How the error bars are calibrated."""
    error_model = regressor.error_model_
    if error_model is None:
        return 'They are those of the network: they were not calibrated, so `kind="calibrated"` is not there.\n'
    columns = {
        "label": [_text(name) for name in error_model.label_names],
        "scale": [_number(scale, 2) for scale in error_model.scale],
        "offset": _rounded(error_model.offset, _decimals(regressor)),
        "differences": [_text(int(n)) for n in error_model.n_differences],
    }
    noise = ""
    if error_model.noise_slope is not None:
        columns["noise slope"] = [_number(slope, 2) for slope in error_model.noise_slope]
        unit = _number(error_model.noise_range[1])
        power = "the noise slope"
        if error_model.noise_curve is not None:
            columns["noise curve"] = [_number(curve, 2) for curve in error_model.noise_curve]
            power = "noise slope plus noise curve times its logarithm"
        noise = f", all times the noise of the spectrum in units of {unit} to the power of {power}"
    return (
        '`model.predict_std(X, kind="calibrated")` is scale times the total error of the network, plus offset'
        f"{noise}, as {_text(error_model.source)} say that it should be.\n\n"
        + _table(columns, zip(*columns.values(), strict=True))
    )


def _table(titles, rows):
    """Markdown of a table, whose cells are escaped already; nothing if it has no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(titles)} |", "|" + "---|" * len(titles), *lines, ""]) if lines else ""


def _entries(mapping):
    return [(_text(name), _text(value)) for name, value in mapping.items()]


def _text(value):
    """Anything on one line, cut, with no character that Markdown or HTML would read as a sign."""
    flat = "".join(character if character.isprintable() else " " for character in _spoken(value))
    flat = " ".join(flat.split())
    flat = flat if len(flat) <= _MOST_CHARACTERS else f"{flat[:_MOST_CHARACTERS]}..."
    return _SIGNS.sub(r"\\\g<0>", flat) or "-"


def _spoken(value):
    """Plain values in words."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, Real) and not isinstance(value, Integral):
        return _number(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_spoken(entry)}" for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        more = f" and {len(value) - _MOST_ENTRIES} more" if len(value) > _MOST_ENTRIES else ""
        return ", ".join(_spoken(entry) for entry in value[:_MOST_ENTRIES]) + more
    return str(value)


def _number(value, decimals=None):
    """A number for a table: so many decimals, or four significant digits."""
    if not math.isfinite(value):
        return "-"
    text = f"{value:.4g}" if decimals is None else f"{round(value, decimals) + 0.0:.{decimals}f}"  # never -0
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


def _rounded(values, decimals):
    return [_number(value, n) for value, n in zip(values, decimals, strict=True)]


def _decimals(regressor):
    """Decimals that show each label to a hundredth of its spread or less: none of a temperature, three of dex."""
    return [min(max(2 - math.floor(math.log10(spread)), 0), 6) for spread in regressor.label_normalizer_.scale_]


def _counted(n, what):
    return f"{n} {what}" + "s" * (n != 1)


def _listed(names):
    """Names in a sentence."""
    shown = [_text(name) for name in names[:_MOST_ENTRIES]]
    more = [f"{len(names) - len(shown)} more"] if len(names) > len(shown) else []
    *first, last = [*shown, *more]
    return f"{', '.join(first)} and {last}" if first else last
