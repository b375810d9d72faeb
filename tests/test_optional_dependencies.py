"""A missing optional package is named in one sentence."""

import sys

import pytest

from skbcnn._optional_dependencies import require_extra


@pytest.mark.parametrize("absent", ["click", "rich"])
def test_names_packages_and_remedy(monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        require_extra("cli", "The command line")
    assert str(caught.value) == "The command line needs click and rich: pip install 'skbcnn[cli]'."


def test_other_extras_are_not_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "click", None)
    require_extra("plot", "A picture")


def test_one_package_stands_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"^A picture needs matplotlib: pip install 'skbcnn\[plot\]'\.$"):
        require_extra("plot", "A picture")
