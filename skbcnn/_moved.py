"""Former import paths of modules and public names, for pickles and programs written with version 0.1."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PACKAGE = __name__.rpartition(".")[0]

_MODULES = {  # former name: name of today
    "metrics.residuals": "metrics.residual_tables",
    "network.choice": "network.backends",
    "network.forward": "network.numpy.forward",
    "network.recipe": "network.training_recipe",
    "persistence.astronn": "persistence.foreign.astronn",
    "persistence.files": "persistence.safe_files",
    "persistence.folder": "persistence.model_folder",
    "persistence.sdssv": "persistence.foreign.sdssv",
    "pickling": "_versioned_pickle",
    "pipelines": "apogee",
    "prediction": "_prediction",
    "presets": "_presets",
}

_NAMES = {  # module that still exists: public names that it had, and the modules of today
    "calibration.error_model": {
        "fit_error_model": "calibration.fitting",
        "fit_noise_model": "calibration.fitting",
    },
    "datasets.h5": {"write_h5": "datasets.h5_writer"},
    "plotting.residuals": {
        "ResidualOverviewDisplay": "plotting.residual_overview",
        "overview_size": "plotting.residual_overview",
    },
    "regressor": {"ApogeeBCNNCensoredRegressor": "apogee"},
}


class MovedModule(ModuleType):
    """Module with a former name, which imports the module of today when an attribute is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = import_module(_today(self.__name__))
        if name == "__all__" and not hasattr(module, "__all__"):
            return [public for public in vars(module) if not public.startswith("_")]
        return getattr(module, name)


class _Finder(MetaPathFinder, Loader):
    """Finder and loader of modules with former names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the description of a module that has moved, and None for every other."""
        is_moved = fullname.startswith(f"{_PACKAGE}.") and fullname.removeprefix(f"{_PACKAGE}.") in _MODULES
        return ModuleSpec(fullname, self, origin=_today(fullname)) if is_moved else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that stands for the one of today."""
        return MovedModule(spec.name, f"Former name of `{spec.origin}`.")

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module of today is imported when it is used."""


def _today(fullname: str) -> str:
    """Return the full name of today of a module that has moved."""
    return f"{_PACKAGE}.{_MODULES[fullname.removeprefix(f'{_PACKAGE}.')]}"


def register() -> None:
    """Make the former names of modules importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def find_moved_names(module: str) -> Callable[[str], Any]:
    """Return the function `__getattr__` of a module from which public names have moved.

    Parameters
    ----------
    module : str
        Full name of the module.

    Returns
    -------
    find : callable
        Takes the name of an attribute and returns the attribute.
    """
    moved = _NAMES[module.removeprefix(f"{_PACKAGE}.")]

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(import_module(f"{_PACKAGE}.{moved[name]}"), name)

    return find
