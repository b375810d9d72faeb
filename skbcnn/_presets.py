"""Presets: named sets of constructor parameters that belong together."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "leung_bovy_2019": {  # the published DR14 model, for 33 000 stars; other parameters have the class's defaults
            "num_hidden": (192, 64, 32, 16, 2),
            "max_epochs": 60,
        },
        "few_thousand_stars": {  # found on synthetic spectra; tests/benchmarks/trust.py measures it
            "num_hidden": (192, 96, 32, 16, 0),  # through free context units, elements could use each other's lines
            "context_layer": "hidden",  # the strength of a line depends on the star
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
        Name of the preset. ``"leung_bovy_2019"``: widths and epochs of the published model [1]_, with the defaults of
        the classes, which are astroNN's, for the other parameters. ``"few_thousand_stars"``: the fastest training found
        for a few thousand spectra, without free context units, and with the context passed to the window layers. It
        adds noise of up to four flux errors, so `fit` needs `x_err`.

    Returns
    -------
    parameters : dict
        Parameters that differ from the defaults of `ApogeeBCNNCensoredRegressor`.

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
    >>> preset("leung_bovy_2019")
    {'num_hidden': (192, 64, 32, 16, 2), 'max_epochs': 60}
    """
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}, only {', '.join(map(repr, PRESETS))}.")
    return dict(PRESETS[name])
