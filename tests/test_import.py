"""Importing the package: what it loads, the public names, and former import paths."""

import subprocess
import sys
from importlib import import_module

import pytest

import skbcnn
from skbcnn import _moved

HEAVY = {"astropy", "keras", "matplotlib", "pandas", "sklearn", "tensorflow"}


def run_python(program):
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_import_loads_no_large_library():
    loaded = run_python("import sys, skbcnn; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(loaded)


@pytest.mark.parametrize("name", skbcnn.__all__)
def test_public_names(name):
    assert getattr(skbcnn, name) is not None
    assert name in dir(skbcnn)


def test_unknown_name():
    with pytest.raises(AttributeError, match="'skbcnn' has no attribute 'Regressor'"):
        _ = skbcnn.Regressor


FORMER_NAMES = {
    "skbcnn.prediction": "Prediction",
    "skbcnn.presets": "preset",
    "skbcnn.pickling": "VersionedPickle",
    "skbcnn.pipelines": "apogee_pipeline",
    "skbcnn.network.choice": "posterior_class",
    "skbcnn.network.recipe": "Stars",
}


@pytest.mark.parametrize(("old", "attribute"), FORMER_NAMES.items())
def test_former_import_path(old, attribute):
    new = f"skbcnn.{_moved._MOVED[old.removeprefix('skbcnn.')]}"
    assert getattr(import_module(old), attribute) is getattr(import_module(new), attribute)


def test_every_former_import_path_is_tested():
    assert {name.removeprefix("skbcnn.") for name in FORMER_NAMES} == set(_moved._MOVED)


def test_unknown_name_in_a_moved_module():
    with pytest.raises(AttributeError):
        _ = import_module("skbcnn.prediction").nothing
    assert not hasattr(import_module("skbcnn.prediction"), "__wrapped__")
