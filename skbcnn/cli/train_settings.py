"""Settings of ``skbcnn train``: those of a TOML file, and the options, which override them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from skbcnn._regressor_parameters import CONSTRAINTS
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.survey.labels import UnknownLabelError

_NONE = "none"  # TOML has no word for None
_CODE = ("callbacks",)  # parameters that are functions


def training_parameters(config: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the regressor: those of the options, else those of the file.

    Parameters
    ----------
    config : pathlib.Path or None
        TOML file whose keys are parameters of `ApogeeBCNNCensoredRegressor`.
    options : mapping of str to object
        Parameters from options; None for those that were not given.

    Returns
    -------
    parameters : dict of str to object

    Raises
    ------
    ValueError
        If the file is no TOML, or has a key that is no parameter.
    OSError
        If it cannot be read.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return (read_parameters(config) if config is not None else {}) | given


def read_parameters(config: Path) -> dict[str, Any]:
    """Return the parameters of the regressor in a TOML file.

    Parameters
    ----------
    config : pathlib.Path
        File. The text ``"none"`` stands for None where a parameter may be None.

    Returns
    -------
    parameters : dict of str to object

    Raises
    ------
    ValueError
        If the file is no TOML, or has a key that is no parameter.
    OSError
        If it cannot be read.
    """
    try:
        with config.open("rb") as file:
            found = tomllib.load(file)
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise ValueError(
            f"{config} cannot be read as TOML ({error}). Write one parameter a line, such as: max_epochs = 40"
        ) from error
    known = [name for name in ApogeeBCNNCensoredRegressor().get_params(deep=False) if name not in _CODE]
    if unknown := [name for name in found if name not in known]:
        raise ValueError(f"{config} has {' '.join(_unknown(name, known) for name in unknown)}")
    return {name: _value(name, value) for name, value in found.items()}


@contextmanager
def errors_name_the_recipe(config: Path | None, options: Mapping[str, Any]) -> Iterator[None]:
    """Let a ValueError about a parameter name the file that the parameter is from.

    Parameters
    ----------
    config : pathlib.Path or None
        TOML file with parameters.
    options : mapping of str to object
        Parameters from options, which override those of the file; None for those that were not given.

    Raises
    ------
    ValueError
        If one is raised inside.
    """
    try:
        yield
    except ValueError as error:
        names = [] if config is None else [name for name in read_parameters(config) if options.get(name) is None]
        if (name := _parameter_of(error)) not in names:
            raise
        raise ValueError(f"{config}, {name}: {error}") from error


def _parameter_of(error: ValueError) -> str:
    """Return the first word of a message, which is the parameter that the message is about, if it is about one."""
    if isinstance(error, UnknownLabelError):
        return "target"
    if str(error).startswith("The window of "):
        return "windows"
    first = re.match(r"The '(\w+)' parameter of |(\w*)", str(error))
    return "" if first is None else first[1] or first[2]


def _unknown(name: str, known: list[str]) -> str:
    """Return a sentence about a name that is no parameter."""
    if name in _CODE:
        return f"{name}, which are functions: pass them in Python."
    similar = get_close_matches(name, known, n=1)
    remedy = f"Did you mean {similar[0]}?" if similar else f"Expected are {', '.join(known)}."
    return f"{name!r}, which is no parameter of ApogeeBCNNCensoredRegressor. {remedy}"


def _value(name: str, value: Any) -> Any:
    return None if value == _NONE and None in CONSTRAINTS[name] else value
