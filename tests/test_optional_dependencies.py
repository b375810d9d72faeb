"""Missing optional packages: the error names them and the command that installs them."""

import sys

import pytest

from skbcnn._optional_dependencies import require_extra


@pytest.mark.parametrize("absent", ["click", "rich"])
def test_error_names_the_packages_and_the_command(monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        require_extra("cli", "The command line")
    assert str(caught.value) == "The command line needs click and rich: pip install 'skbcnn[cli]'."


def test_other_extras_are_not_required(monkeypatch):
    monkeypatch.setitem(sys.modules, "click", None)
    require_extra("plot", "A picture")


def test_extra_of_one_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"^A picture needs matplotlib: pip install 'skbcnn\[plot\]'\.$"):
        require_extra("plot", "A picture")
