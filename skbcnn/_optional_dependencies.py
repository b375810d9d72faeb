"""Optional packages: the extras that install them, and the error where they are missing."""

from importlib.util import find_spec

_PACKAGES = {  # import names of the packages of each extra
    "cli": ("click", "rich"),
    "dask": ("dask", "distributed"),
    "pandas": ("pandas",),
    "parquet": ("pyarrow",),
    "plot": ("matplotlib",),
    "report": ("matplotlib", "jinja2"),
    "sdss": ("sdss_access",),
}


def require_extra(extra: str, feature: str) -> None:
    """Raise an error if the optional packages of a feature are not installed.

    Parameters
    ----------
    extra : {"cli", "dask", "pandas", "parquet", "plot", "report", "sdss"}
        Extra of skbcnn that installs the packages.
    feature : str
        Name of the feature: the beginning of the message.

    Raises
    ------
    ModuleNotFoundError
        If a package is missing. The message names the packages and the command that installs them.

    Examples
    --------
    >>> from skbcnn._optional_dependencies import require_extra
    >>> require_extra("plot", "ResidualDisplay")
    """
    packages = _PACKAGES[extra]
    if any(find_spec(package) is None for package in packages):
        raise ModuleNotFoundError(f"{feature} needs {' and '.join(packages)}: pip install 'skbcnn[{extra}]'.")
