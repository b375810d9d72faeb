"""Optional packages: what needs them, and the sentence said where they are absent."""

from importlib.util import find_spec

_PACKAGES = {
    "cli": ("click", "rich"),
    "pandas": ("pandas",),
    "plot": ("matplotlib",),
    "torch": ("torch",),
}  # of each extra, by the name that is imported


def require_extra(extra, feature):
    """Refuse a feature whose optional packages are not installed.

    Parameters
    ----------
    extra : {"cli", "pandas", "plot", "torch"}
        Name of the extra that brings them.
    feature : str
        What needs them, as the sentence begins.

    Raises
    ------
    ModuleNotFoundError
        Naming the packages, and the command that installs them.

    Examples
    --------
    >>> from skbcnn._optional_dependencies import require_extra
    >>> require_extra("plot", "ResidualDisplay")
    """
    packages = _PACKAGES[extra]
    if any(find_spec(package) is None for package in packages):
        raise ModuleNotFoundError(f"{feature} needs {' and '.join(packages)}: pip install 'skbcnn[{extra}]'.")
