"""Recipes by name: parameters of the regressors that belong together."""

from types import MappingProxyType

PRESETS = MappingProxyType(
    {
        "leung_bovy_2019": {  # the published DR14 model, for 33 000 stars; what is not named are the class's defaults
            "num_hidden": (192, 64, 32, 16, 2),
            "max_epochs": 60,
        },
        "few_thousand_stars": {  # found on synthetic spectra; tests/benchmarks/trust.py measures it
            "num_hidden": (192, 96, 32, 16, 0),  # free numbers would tell elements of each other's lines
            "context_layer": "hidden",  # lines answer differently in different stars
            "activation": "silu",
            "initializer": "he_normal",
            "l2": 1e-5,
            "dropout_rate": 0.05,
            "lr": 3e-3,
            "lr_schedule": "cosine",
            "warmup_epochs": 2,  # without these two, trainings with some seeds go astray
            "clipnorm": 1.0,
            "noise_augmentation": (0.0, 4.0),
            "max_epochs": 36,
        },
    }
)


def preset(name):
    """Parameters of a recipe.

    Parameters
    ----------
    name : str
        ``"leung_bovy_2019"``: widths and epochs of the published model [1]_, with astroNN's other parameters, which
        are the defaults of the classes. ``"few_thousand_stars"``: what learns fastest from some thousand spectra, and
        without free numbers in the context, which the window layers are told; it adds noise of up to four flux errors,
        so `fit` needs `x_err`.

    Returns
    -------
    parameters : dict
        Those that differ from the defaults of `ApogeeBCNNCensoredRegressor`.

    Raises
    ------
    ValueError
        If there is no such recipe.

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
