"""Measure stellar labels, with error bars, from spectra by censored Bayesian neural networks.

Public names, and packages such as `skbcnn.plotting`, are imported when they are first used. `import skbcnn` is
therefore quick and loads neither TensorFlow nor astropy.
"""

from importlib import import_module as _import_module

from skbcnn import _moved

__version__ = "0.2.0.dev0"

_MODULES = {  # module of each public name
    "APOGEE_LABELS": "survey",
    "AbundancePlaneDisplay": "plotting",
    "Augmentation": "augmentation",
    "ApogeeBCNNCensoredRegressor": "apogee",
    "ArchitectureDisplay": "plotting",
    "CensoredBCNNRegressor": "regressor",
    "ChipGapRemover": "preprocessing",
    "ContinuumNormalizer": "preprocessing",
    "ElementWindows": "survey",
    "ErrorCalibrationDisplay": "plotting",
    "GroupMean": "_prediction",
    "H5Loader": "datasets",
    "JacobianDisplay": "plotting",
    "KielDisplay": "plotting",
    "LabelNormalizer": "preprocessing",
    "NoveltyFlag": "novelty",
    "OtherVersionWarning": "_versioned_pickle",
    "Prediction": "_prediction",
    "ResidualDisplay": "plotting",
    "ResidualOverviewDisplay": "plotting",
    "ResponseDisplay": "plotting",
    "SpectraNormalizer": "preprocessing",
    "SpectrumDisplay": "plotting",
    "TrainingHistoryDisplay": "plotting",
    "apogee_pipeline": "apogee",
    "augment_spectra": "preprocessing",
    "errors_from_ivar": "preprocessing",
    "jacobian": "inspection",
    "load_folder": "persistence",
    "make_apogee_spectra": "datasets",
    "prediction_table": "catalog",
    "prepare_for_model": "preprocessing",
    "prepare_spectra": "preprocessing",
    "read_apstar": "datasets",
    "read_aspcapstar": "datasets",
    "read_fits_spectra": "datasets",
    "residual_table": "metrics",
    "response_matrix": "inspection",
    "save_folder": "persistence",
    "write_h5": "datasets",
}
_ROOMS = (  # modules and packages that are attributes without an import of their own
    "apogee",
    "augmentation",
    "calibration",
    "catalog",
    "datasets",
    "inspection",
    "metrics",
    "network",
    "novelty",
    "persistence",
    "plotting",
    "preprocessing",
    "regressor",
    "report",
    "survey",
)

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return _import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})


_moved.register()
