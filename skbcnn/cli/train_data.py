"""Data of ``skbcnn train``: which labels and spectra of a file are used, and which spectra are of one star."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from skbcnn.cli.terminal_tables import counted
from skbcnn.datasets import H5Loader
from skbcnn.datasets.h5 import dataset_names
from skbcnn.survey import APOGEE_LABELS, resolve_target

_STAR_NAMES = ("APOGEE_ID", "sdss_id")  # datasets that hold the identifier of the star of each spectrum


def labels_to_train(loader: H5Loader, target: str | Sequence[str] | None) -> str | Sequence[str]:
    """Return the labels to train; say which of the 22 are left out because the file has none.

    Parameters
    ----------
    loader : H5Loader
        The file.
    target : str, sequence of str or None
        Labels that the user named, separated by commas if they are one text. None: those of the 22 that the file has.

    Returns
    -------
    target : str or sequence of str
        Value for `H5Loader`.

    Raises
    ------
    ValueError
        If a name is no label.
    """
    if target is not None:
        if not isinstance(target, str) and not (
            isinstance(target, Sequence) and all(isinstance(name, str) for name in target)
        ):
            raise ValueError(f"target={target!r}, expected 'all' or a list of names, such as ['teff', 'Mg'].")
        names = [name.strip() for name in target.split(",") if name.strip()] if isinstance(target, str) else target
        wanted = names[0] if len(names) == 1 else list(names)
        resolve_target(wanted)  # before H5Loader does, whose advice is for Python
        return wanted
    present = loader.label_names
    absent = [name for name in APOGEE_LABELS if name not in present]
    if not absent or not present:  # none: H5Loader says what the file has
        return "all"
    click.echo(f"{loader.filename} has no {', '.join(absent)}; the other {len(present)} labels are used.")
    return present


def note_unused_visits(data: Path) -> None:
    """Print how many visits of a file are not used.

    Parameters
    ----------
    data : pathlib.Path
        HDF5 file.
    """
    if "in_flag" not in dataset_names(data):
        return
    n_visits = int((H5Loader(data, load_combined=None).load_entry("in_flag") == 1).sum())
    if n_visits:
        click.echo(f"{data} also has {counted(n_visits, 'visit')}, which are not used. Pass --visits to train on them.")


def star_of_each_spectrum(loader: H5Loader, visits: bool) -> np.ndarray | None:
    """Return the identifier of the star of each spectrum, by which stars are held out.

    Parameters
    ----------
    loader : H5Loader
        The file, with the rows that are used.
    visits : bool
        Whether single visits are used, of which a star has several.

    Returns
    -------
    stars : ndarray of str of shape (n_spectra,), or None
        None if each spectrum is of another star, or the file does not identify the stars.

    Raises
    ------
    ValueError
        If visits are used, and the file does not identify the stars.
    """
    present = {name.lower() for name in loader.column_names}
    name = next((name for name in _STAR_NAMES if name.lower() in present), None)
    if name is None:
        if visits:
            raise ValueError(
                f"{loader.filename} has neither {' nor '.join(_STAR_NAMES)}, so that visits of one star could be both "
                "trained on and held out. Write the identifier of the star of each spectrum to the file, or train "
                "without --visits."
            )
        return None
    stars = np.char.strip(np.asarray(loader.load_entry(name)).astype(str))  # some files pad text with blanks
    unknown = np.flatnonzero(np.isin(stars, ("", "-1", "-999", "-9999", "nan")))
    stars = stars.astype(object)
    stars[unknown] = [f"row {row}" for row in unknown]  # nothing is known of them: each a star of its own
    return None if len(set(stars)) == len(stars) else stars
