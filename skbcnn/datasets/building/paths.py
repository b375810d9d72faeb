"""Paths of spectra in a mirror of SDSS files, by the package ``sdss-access``, or by a template of the user."""

import os
import string
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from skbcnn._optional_dependencies import require_extra
from skbcnn._paths import as_path
from skbcnn.survey.releases import SpectraFiles

_SETTINGS_OF_USER = ("TREE_DIR", "TREE_VER")  # they would make sdss-access read other definitions than its own
_1M_SUFFIX = "-1m"
_OWN_TEMPLATE = "skbcnn-template"


def mirror_paths(
    root: Path, release: str, files: SpectraFiles, stars: Iterable[Mapping[str, Any]], *, at_1m: bool = False
) -> list[Path]:
    """Return the paths of spectra in a mirror that is laid out as SDSS does.

    Parameters
    ----------
    root : pathlib.Path
        Root of the mirror: the folder of ``dr17`` and the like.
    release : str
        Name of the data release.
    files : SpectraFiles
        Kind of files.
    stars : iterable of mapping of str to object
        Quantities of each star that occur in the keywords of `files`.
    at_1m : bool, default=False
        Whether the spectra are from the 1-m telescope, whose files have other names.

    Returns
    -------
    paths : list of pathlib.Path
        With the suffix ``.gz`` where only such a file exists.

    Raises
    ------
    ModuleNotFoundError
        If ``sdss-access`` is not installed.
    ValueError
        If a quantity is missing.
    """
    require_extra("sdss", "Finding spectra in a mirror of SDSS files")
    with _sdss_environment(root):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files of settings open
            from sdss_access import Path as SdssPath

        finder = SdssPath(release=release)
        species = files.species + (_1M_SUFFIX if at_1m else "")
        if files.template:
            species = _OWN_TEMPLATE
            finder.templates[species] = files.template
        needed = finder.lookup_keys(species)
        keywords = {name: files.keywords[name] for name in needed if name in files.keywords}
        try:
            return [
                Path(finder.full(species, **{name: value.format_map(star) for name, value in keywords.items()}))
                for star in stars
            ]
        except KeyError as error:
            raise ValueError(
                f"The names of {files.species} files of {release} need {error.args[0]}, which the table lacks. Pass "
                "the complete table, or path_template."
            ) from None


@contextmanager
def _sdss_environment(root: Path) -> Iterator[None]:
    """Let sdss-access look into a mirror, and undo what it does to the environment of the process."""
    original = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        import tree  # noqa: F401  # part of sdss-access; it keeps a copy of the environment, which must be the user's

    for name in _SETTINGS_OF_USER:
        os.environ.pop(name, None)
    os.environ["SAS_BASE_DIR"] = str(root)  # where it is not set, sdss-access makes a folder in the user's home
    try:
        yield
    finally:
        for name in set(os.environ) - set(original):
            del os.environ[name]
        os.environ.update(original)


def mirror_root(spectra: str | PathLike[str]) -> Path:
    """Return the absolute path of the root of a mirror.

    Parameters
    ----------
    spectra : str or path-like
        Folder.

    Returns
    -------
    root : pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    root = as_path(spectra, "spectra").absolute()
    if not root.is_dir():
        raise FileNotFoundError(
            f"There is no folder {root}. Pass the root of the mirror as spectra: the folder of dr17 and the like."
        )
    return root


def check_some_exist(paths: Sequence[Path], root: Path) -> None:
    """Raise if none of the files exists: then the root or the layout is wrong.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files.
    root : pathlib.Path
        Root of the mirror.

    Raises
    ------
    FileNotFoundError
        If none of the files exists.
    """
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(
            f"None of the {len(paths)} files of the selected stars exists. The first would be {paths[0]}. Is {root} "
            "the root of the mirror, the folder of dr17 and the like? For another layout pass path_template."
        )


def template_fields(template: str) -> list[str]:
    """Return the names of the fields of a template.

    Parameters
    ----------
    template : str
        Path with fields in braces.

    Returns
    -------
    fields : list of str
        Each once, in their order.

    Raises
    ------
    ValueError
        If it is malformed, or has no field.

    Examples
    --------
    >>> from skbcnn.datasets.building.paths import template_fields
    >>> template_fields("{telescope}/{field}/apStar-{apogee_id}.fits")
    ['telescope', 'field', 'apogee_id']
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"path_template={template!r} is malformed ({error}). {_TEMPLATE_ADVICE}") from None
    if not fields or not all(field.isidentifier() for field in fields):
        raise ValueError(f"path_template={template!r} has the fields {fields}. {_TEMPLATE_ADVICE}")
    return list(dict.fromkeys(fields))


_TEMPLATE_ADVICE = "Pass a path with names of columns in braces, such as {telescope}/{field}/{apogee_id}.fits."
