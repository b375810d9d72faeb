"""Importing the package: what it loads, the public names, and former import paths."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

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


def test_packages_are_attributes_and_loaded_at_first_use():
    program = "import sys, skbcnn; print('skbcnn.novelty' in sys.modules, skbcnn.novelty.NoveltyFlag.__name__)"
    assert run_python(program).split() == ["False", "NoveltyFlag"]
    for name in skbcnn._ROOMS:
        assert getattr(skbcnn, name) is import_module(f"skbcnn.{name}")
        assert name in dir(skbcnn)


def test_names_of_daily_use_are_at_the_top():
    displays = {name for name in skbcnn.plotting.__all__ if name.endswith("Display")}
    assert displays < set(skbcnn.__all__)
    for name, module in skbcnn._MODULES.items():
        assert getattr(skbcnn, name) is getattr(import_module(f"skbcnn.{module}"), name)


def test_helpers_are_not_listed():
    assert "import_module" not in dir(skbcnn)


def test_unknown_name():
    with pytest.raises(AttributeError, match="'skbcnn' has no attribute 'Regressor'"):
        _ = skbcnn.Regressor


FORMER_MODULES = {  # one public name of each
    "skbcnn.metrics.residuals": "residual_table",
    "skbcnn.network.choice": "posterior_class",
    "skbcnn.network.forward": "forward",
    "skbcnn.network.recipe": "Stars",
    "skbcnn.persistence.astronn": "from_astronn",
    "skbcnn.persistence.files": "ModelFolderError",
    "skbcnn.persistence.folder": "load_folder",
    "skbcnn.persistence.sdssv": "from_sdssv",
    "skbcnn.pickling": "VersionedPickle",
    "skbcnn.pipelines": "apogee_pipeline",
    "skbcnn.prediction": "Prediction",
    "skbcnn.presets": "preset",
}


@pytest.mark.parametrize(("old", "attribute"), FORMER_MODULES.items())
def test_former_module(old, attribute):
    new = f"skbcnn.{_moved._MODULES[old.removeprefix('skbcnn.')]}"
    assert getattr(import_module(old), attribute) is getattr(import_module(new), attribute)


def test_every_former_module_is_tested():
    assert {name.removeprefix("skbcnn.") for name in FORMER_MODULES} == set(_moved._MODULES)


@pytest.mark.parametrize(("module", "names"), _moved._NAMES.items())
def test_names_that_moved_out_of_a_module(module, names):
    former = import_module(f"skbcnn.{module}")
    for name, today in names.items():
        assert getattr(former, name) is getattr(import_module(f"skbcnn.{today}"), name)
    with pytest.raises(AttributeError, match=f"'skbcnn.{module}' has no attribute 'nothing'"):
        _ = former.nothing


def test_former_module_is_an_attribute_of_its_package():
    program = (
        "import skbcnn.network.choice, skbcnn.prediction; print(skbcnn.prediction.Prediction, skbcnn.network.choice)"
    )
    assert "former" not in run_python(program)


def test_star_import_from_a_former_module():
    names = {}
    exec("from skbcnn.presets import *", names)
    assert "preset" in names
    names = {}
    exec("from skbcnn.pipelines import *", names)
    assert "ApogeeBCNNCensoredRegressor" in names


def test_former_module_can_be_found():
    assert find_spec("skbcnn.prediction").origin == "skbcnn._prediction"
    assert find_spec("skbcnn.never_was") is None


def test_unknown_name_in_a_former_module():
    with pytest.raises(AttributeError):
        _ = import_module("skbcnn.prediction").nothing
    assert not hasattr(import_module("skbcnn.prediction"), "__wrapped__")
