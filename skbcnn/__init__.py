"""Stellar spectra in, labels with error bars out: Bayesian networks that read each element in its own windows.

Names load when they are first used, so importing the package costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0.dev0"

_HOME = {
    "ApogeeBCNNCensoredRegressor": "regressor",
    "CensoredBCNNRegressor": "regressor",
    "ChipGapRemover": "preprocessing",
    "ContinuumNormalizer": "preprocessing",
    "ElementWindows": "survey",
    "H5Loader": "datasets",
    "LabelNormalizer": "preprocessing",
    "SpectraNormalizer": "preprocessing",
    "apogee_pipeline": "pipelines",
    "load_folder": "persistence",
    "make_apogee_spectra": "datasets",
    "prepare_spectra": "preprocessing",
    "read_apstar": "datasets",
    "read_aspcapstar": "datasets",
    "residual_table": "metrics",
    "save_folder": "persistence",
    "write_h5": "datasets",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
