"""Measure stellar labels, with error bars, from spectra by censored Bayesian neural networks.

Public names are imported when they are first used. `import skbcnn` is therefore quick and loads neither TensorFlow nor
astropy.
"""

from importlib import import_module

from skbcnn import _moved

__version__ = "0.2.0.dev0"

_MODULES = {  # module of each public name
    "ApogeeBCNNCensoredRegressor": "apogee",
    "CensoredBCNNRegressor": "regressor",
    "ChipGapRemover": "preprocessing",
    "ContinuumNormalizer": "preprocessing",
    "ElementWindows": "survey",
    "H5Loader": "datasets",
    "LabelNormalizer": "preprocessing",
    "OtherVersionWarning": "_versioned_pickle",
    "Prediction": "_prediction",
    "SpectraNormalizer": "preprocessing",
    "apogee_pipeline": "apogee",
    "load_folder": "persistence",
    "make_apogee_spectra": "datasets",
    "prepare_for_model": "preprocessing",
    "prepare_spectra": "preprocessing",
    "read_apstar": "datasets",
    "read_aspcapstar": "datasets",
    "residual_table": "metrics",
    "save_folder": "persistence",
    "write_h5": "datasets",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_moved.register()
