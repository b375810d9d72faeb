"""Former import paths of modules, for pickles and programs written with version 0.1."""

import sys
from importlib import import_module
from types import ModuleType

_MOVED = {  # former name: name of today
    "prediction": "_prediction",
    "presets": "_presets",
    "pickling": "_versioned_pickle",
    "pipelines": "apogee",
    "network.choice": "network.backends",
    "network.recipe": "network.training_recipe",
}


class MovedModule(ModuleType):
    """Module with a former name, which imports the module of today when an attribute is used."""

    def __init__(self, name: str, new_name: str) -> None:
        super().__init__(name, f"Former name of `{new_name}`.")
        self._new_name = new_name

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(self._new_name), name)


def register(package: str) -> None:
    """Make the former names importable.

    Parameters
    ----------
    package : str
        Name of the package whose modules have moved.
    """
    for old, new in _MOVED.items():
        sys.modules.setdefault(f"{package}.{old}", MovedModule(f"{package}.{old}", f"{package}.{new}"))
