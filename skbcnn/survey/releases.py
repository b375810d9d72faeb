"""What differs between data releases: the columns of their tables of stars, and where their spectra are.

Each release is a row of `RELEASES`. Its table of stars is ``allStar`` (DR14, DR16, DR17) or ``astraAllStarASPCAP``
(SDSS-V: DR19 and later).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class SpectraFiles(NamedTuple):
    """Files of one kind in the mirror of a release.

    Attributes
    ----------
    species : str
        Name of the kind in the package ``sdss-access``.
    keywords : mapping of str to str
        Keywords of the path: a constant, or the name of a quantity of the star in braces.
    template : str
        Path in place of the one in ``sdss-access``, where that is wrong; empty where it is right.
    """

    species: str
    keywords: Mapping[str, str]
    template: str = ""


class ParameterColumns(NamedTuple):
    """Columns of a stellar parameter.

    Attributes
    ----------
    value : str
        Column of the values.
    position : int or None
        Position in the arrays of this column; None if it holds numbers.
    error : str
        Column of the errors.
    covariance : str
        Column of covariance matrices, used if there is no column of errors; empty if there is none.
    """

    value: str
    position: int | None
    error: str
    covariance: str = ""


@dataclass(frozen=True)
class SurveyRelease:
    """A data release.

    Attributes
    ----------
    number : int
        Number of the data release.
    table_name : str
        Regular expression of the file name of the table.
    extension : int
        FITS extension of the table.
    columns : mapping of str to tuple of str
        Columns that hold a quantity of a star. Of identifiers and numbers, the first that exists is used; of flags,
        all that exist.
    parameters : mapping of str to ParameterColumns
        Columns of stellar parameters, by the canonical name of the label.
    elements : tuple of str
        Elements in the arrays ``X_H``, in their order; empty if each abundance has a column of its own, in a spelling
        of its label.
    files : mapping of str to SpectraFiles
        Files of spectra, by their kind.
    """

    number: int
    table_name: str
    extension: int
    columns: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, ParameterColumns]
    elements: tuple[str, ...]
    files: Mapping[str, SpectraFiles]

    @property
    def name(self) -> str:
        """Name of the release, such as DR17."""
        return f"DR{self.number}"

    def has_table_name(self, file_name: str) -> bool:
        """Return whether a file name is that of the table of this release."""
        return re.match(self.table_name, file_name, re.IGNORECASE) is not None


ABUNDANCES, ABUNDANCE_ERRORS, ABUNDANCE_FLAGS = "X_H", "X_H_ERR", ("X_H_FLAG", "ELEMFLAG")
"""Columns of the arrays of abundances in allStar tables."""

ASTRA_RELEASE = 19
"""Release in which the files of a table of SDSS-V are by default; its name does not tell."""

DUPLICATE_BIT = 4  # of EXTRATARG: another row has the main spectrum of the star

PREFIXES = {"apo25m": "ap", "apo1m": "ap", "lco25m": "as"}
"""Beginning of the names of apStar files, by telescope."""

_FIRST_ELEMENTS: tuple[str, ...] = (
    "C",
    "CI",
    "N",
    "O",
    "Na",
    "Mg",
    "Al",
    "Si",
    "P",
    "S",
    "K",
    "Ca",
    "Ti",
    "TiII",
    "V",
    "Cr",
    "Mn",
)
_FIRST_ELEMENTS += ("Fe", "Co", "Ni")

_ALLSTAR_COLUMNS = {
    "star": ("APOGEE_ID",),
    "telescope": ("TELESCOPE",),
    "field": ("FIELD",),
    "location_id": ("LOCATION_ID",),
    "reduction": ("REDUCTION_ID", "ALT_ID", "APOGEE_ID"),
    "ra": ("RA",),
    "dec": ("DEC",),
    "snr": ("SNR",),
    "vscatter": ("VSCATTER",),
    "starflag": ("STARFLAG",),
    "aspcapflag": ("ASPCAPFLAG",),
    "extratarg": ("EXTRATARG",),
}
_ASTRA_COLUMNS = {
    "star": ("obj", "sdss4_apogee_id"),
    "sdss_id": ("sdss_id",),
    "telescope": ("telescope",),
    "field": ("field",),
    "healpix": ("healpix",),
    "reduction": ("obj",),
    "apred": ("apred",),
    "prefix": ("prefix",),
    "release": ("release",),
    "ra": ("ra",),
    "dec": ("dec",),
    "snr": ("snr",),
    "vscatter": ("std_v_rad",),
    "starflag": ("spectrum_flags",),
    "aspcapflag": ("result_flags", "flag_bad"),
}
_ALLSTAR_PARAMETERS = {
    "teff": ParameterColumns("TEFF", None, "TEFF_ERR"),
    "logg": ParameterColumns("LOGG", None, "LOGG_ERR"),
    "M": ParameterColumns("M_H", None, "M_H_ERR"),
    "alpha": ParameterColumns("ALPHA_M", None, "ALPHA_M_ERR"),
}
_ASTRA_PARAMETERS = {
    "teff": ParameterColumns("teff", None, "e_teff"),
    "logg": ParameterColumns("logg", None, "e_logg"),
    "M": ParameterColumns("m_h_atm", None, "e_m_h_atm"),
    "alpha": ParameterColumns("alpha_m_atm", None, "e_alpha_m_atm"),
}
_KEYWORDS_BY_FIELD = {name: f"{{{name}}}" for name in ("telescope", "field", "prefix", "reduction")}
_KEYWORDS_BY_FIELD |= {"obj": "{star}"}
_KEYWORDS_BY_HEALPIX = {name: f"{{{name}}}" for name in ("apred", "telescope", "healpix", "field", "reduction")}
_KEYWORDS_BY_HEALPIX |= {"obj": "{star}"}

RELEASES = {
    14: SurveyRelease(
        number=14,
        table_name=r"allStar-l31c",
        extension=1,
        columns=_ALLSTAR_COLUMNS,
        parameters={
            "teff": ParameterColumns("PARAM", 0, "TEFF_ERR", "PARAM_COV"),
            "logg": ParameterColumns("PARAM", 1, "LOGG_ERR", "PARAM_COV"),
            "M": ParameterColumns("PARAM", 3, "M_H_ERR", "PARAM_COV"),
            "alpha": ParameterColumns("PARAM", 6, "ALPHA_M_ERR", "PARAM_COV"),
        },
        elements=(*_FIRST_ELEMENTS, "Cu", "Ge", "Ce", "Rb", "Y", "Nd"),
        files={
            "apStar": SpectraFiles(
                "apStar", _KEYWORDS_BY_FIELD | {"apred": "r8", "apstar": "stars", "field": "{location_id}"}
            ),
            "aspcapStar": SpectraFiles(
                "aspcapStar",
                {"apred": "r8", "aspcap": "l31c", "results": "l31c.2", "location": "{location_id}", "obj": "{star}"},
                template="$APOGEE_REDUX/{apred}/stars/{aspcap}/{results}/{location}/aspcapStar-{apred}-{results}-{obj}.fits",
            ),
        },
    ),
    16: SurveyRelease(
        number=16,
        table_name=r"allStar-r12-",
        extension=1,
        columns=_ALLSTAR_COLUMNS,
        parameters=_ALLSTAR_PARAMETERS,
        elements=(*_FIRST_ELEMENTS, "Cu", "Ge", "Rb", "Ce", "Nd", "Yb"),
        files={
            "apStar": SpectraFiles("apStar", _KEYWORDS_BY_FIELD | {"apred": "r12", "apstar": "stars"}),
            "aspcapStar": SpectraFiles("aspcapStar", _KEYWORDS_BY_FIELD | {"apred": "r12", "aspcap": "l33"}),
        },
    ),
    17: SurveyRelease(
        number=17,
        table_name=r"allStar-dr17-",
        extension=1,
        columns=_ALLSTAR_COLUMNS,
        parameters=_ALLSTAR_PARAMETERS,
        elements=(*(element for element in _FIRST_ELEMENTS if element != "P"), "Ce"),
        files={
            "apStar": SpectraFiles("apStar", _KEYWORDS_BY_FIELD | {"apred": "dr17", "apstar": "stars"}),
            "aspcapStar": SpectraFiles("aspcapStar", _KEYWORDS_BY_FIELD | {"apred": "dr17", "aspcap": "synspec_rev1"}),
        },
    ),
    **{
        number: SurveyRelease(
            number=number,
            table_name=r"astraAllStarASPCAP-",
            extension=2,
            columns=_ASTRA_COLUMNS,
            parameters=_ASTRA_PARAMETERS,
            elements=(),
            files={"apStar": SpectraFiles("apStar", _KEYWORDS_BY_HEALPIX)},
        )
        for number in (ASTRA_RELEASE, 20)
    },
}
"""Releases whose tables and files are known, by their numbers."""


def find_release(release: int | str) -> SurveyRelease:
    """Look up a data release.

    Parameters
    ----------
    release : int or str
        Its number, or its name, such as ``"DR17"``.

    Returns
    -------
    release : SurveyRelease

    Raises
    ------
    ValueError
        If it is not one of the releases that are known.

    Examples
    --------
    >>> from skbcnn.survey.releases import find_release
    >>> find_release("DR17").elements[:3]
    ('C', 'CI', 'N')
    """
    number = str(release).strip().lower().removeprefix("dr")
    if number.isdecimal() and int(number) in RELEASES:
        return RELEASES[int(number)]
    raise ValueError(
        f"release={release!r}, expected one of {', '.join(f'DR{number}' for number in RELEASES)}: the releases whose "
        "tables and files are known."
    )
