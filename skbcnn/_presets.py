"""Presets: named sets of constructor parameters that belong together."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Presets spell out every parameter that shapes the network or its training, so that they do not follow the defaults.
_AS_PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {
        "num_hidden": (192, 64, 32, 16, 2),
        "num_filters": (2, 4),
        "filter_len": 8,
        "pool_length": 4,
        "activation": "relu",
        "initializer": "random_normal",
        "dropout_rate": 0.3,
        "l2": 5e-9,
        "maxnorm": 0.5,
        "context_layer": "output",
        "context_labels": None,
        "lr": 5e-4,
        "batch_size": 64,
        "max_epochs": 60,
        "reduce_lr_epsilon": 5e-5,
        "reduce_lr_min": 1e-8,
        "reduce_lr_patience": 2,
        "lr_schedule": "plateau",
        "warmup_epochs": 0,
        "clipnorm": None,
        "input_norm_mode": 3,
        "labels_norm_mode": 2,
        "noise_augmentation": 0.0,
        "augmentation": None,
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "leung_bovy_2019": _AS_PUBLISHED,  # the published DR14 model, for 33 000 stars
        "few_thousand_stars": {  # recommended by version 0.1; found on synthetic spectra with isolated lines
            **_AS_PUBLISHED,
            "num_hidden": (192, 96, 32, 16, 0),
            "context_layer": "hidden",
            "activation": "silu",
            "initializer": "he_normal",
            "l2": 1e-5,
            "dropout_rate": 0.05,
            "lr": 3e-3,
            "lr_schedule": "cosine",
            "warmup_epochs": 2,  # without warm-up and clipping, training diverges for some seeds
            "clipnorm": 1.0,
            "noise_augmentation": (0.0, 4.0),
            "max_epochs": 36,
        },
    }
)


def preset(name: str) -> dict[str, Any]:
    """Return the parameters of a preset.

    Parameters
    ----------
    name : {"leung_bovy_2019", "few_thousand_stars"}
        Name of the preset. ``"leung_bovy_2019"``: the published model [1]_, with astroNN's values of what the paper
        does not name. ``"few_thousand_stars"``: what version 0.1 recommended for a few thousand spectra, and its
        ``skbcnn train`` used. It adds noise of up to four flux errors, so `fit` needs `x_err`.

    Returns
    -------
    parameters : dict
        All parameters of `ApogeeBCNNCensoredRegressor` that shape the network or its training.

    Raises
    ------
    ValueError
        If there is no such preset.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.

    Examples
    --------
    >>> from skbcnn.apogee import preset
    >>> preset("leung_bovy_2019")["num_hidden"]
    (192, 64, 32, 16, 2)
    """
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}, only {', '.join(map(repr, PRESETS))}.")
    return dict(PRESETS[name])
