"""A mirror of SDSS files for tests and benchmarks: apStar files of synthetic stars, and the table that lists them.

Paths, column names and the layout of the files are written out here as SDSS documents them, and not taken from the
package, so that tests compare the two. Some stars are faulty on purpose (`FAULTS`).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from skbcnn import make_apogee_spectra

DATA = Path(__file__).parent / "data"
REAL = {  # names of the real spectra, their files, numbers of visits, and invented labels
    "2M17335483-2753043": ("apStar-dr17-2M17335483-2753043.fits.gz", 3, 4100.0, 1.3),
    "2M19485057+5005279": ("apStar-dr17-2M19485057+5005279.fits", 1, 5200.0, 4.5),
}
FAULTS = (  # what is special about some stars; all others are "plain"
    "missing file",
    "corrupt file",
    "no flux",  # NaN in all rows
    "no continuum",  # a chip without flux
    "single visit",  # the second row is zeros
    "one row",  # a single visit, without a second row
    "lost visit",  # the last of three visits is NaN
    "both telescopes",  # a second row of the table and file, at LCO
    "duplicate",  # a second row of the table, marked in EXTRATARG
    "STARFLAG",
    "ASPCAPFLAG",
    "VSCATTER",
    "cool",  # Teff 3900
    "hot",  # Teff 5600
    "faint",  # S/N below 200
    "LOCATION_ID",  # 1, as for the 1-m telescope
    "no iron",  # [Fe/H] is missing, which the cuts of the paper let pass
    "flagged",  # [Mg/H] has a flag
)
LABELS = (  # of make_apogee_spectra
    *("teff", "logg", "C", "C1", "N", "O", "Na", "Mg", "Al", "Si", "P"),
    *("S", "K", "Ca", "Ti", "Ti2", "V", "Cr", "Mn", "Fe", "Co", "Ni"),
)
_FIRST = (
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
    "Fe",
    "Co",
    "Ni",
)
ELEMENTS = {  # in the order of X_H
    14: (*_FIRST, "Cu", "Ge", "Ce", "Rb", "Y", "Nd"),
    16: (*_FIRST, "Cu", "Ge", "Rb", "Ce", "Nd", "Yb"),
    17: (*(symbol for symbol in _FIRST if symbol != "P"), "Ce"),
}
LABEL_OF = {"CI": "C1", "TiII": "Ti2"}  # elements whose label has another name
CHIPS = ((246, 3274), (3585, 6080), (6344, 8335))
N_PIXELS = 8575
_CARDS = {"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1, "CTYPE1": "LOG-LINEAR"}


@dataclass(frozen=True)
class Mirror:
    """Folder with a mirror.

    Attributes
    ----------
    root : pathlib.Path
        Root of the mirror.
    table : pathlib.Path
        allStar table.
    stars : astropy.table.Table
        One row for each row of the allStar table: ``star`` (APOGEE_ID), ``sdss_id``, ``telescope``, ``field``,
        ``location_id``, ``path`` relative to the root, ``kind`` (one of `FAULTS`, "plain" or "real"), ``n_visits``,
        ``snr``, the labels as in the table, and ``kept``: whether the default cuts keep it and its combined spectrum
        can be read.
    """

    root: Path
    table: Path
    stars: Table

    @property
    def kept(self) -> Table:
        """Rows of which a training set has the combined spectrum."""
        return self.stars[self.stars["kept"]]

    def of_kind(self, kind: str) -> Table:
        """Rows of one kind."""
        return self.stars[self.stars["kind"] == kind]


def write_mirror(
    folder: Path,
    n_stars: int = 300,
    *,
    release: int = 17,
    seed: int = 0,
    faulty: bool = True,
    real: bool = True,
    max_visits: int = 4,
    n_distinct: int = 300,
    element_symbols: Sequence[str] | None = None,
    with_symbols: bool = True,
    gzipped_table: bool = False,
    dropped_columns: tuple[str, ...] = (),
) -> Mirror:
    """Write apStar files of synthetic stars, and the table that lists them.

    About 300 stars take two seconds.

    Parameters
    ----------
    folder : pathlib.Path
        Root of the mirror.
    n_stars : int, default=300
        Number of stars, without the real ones and without second rows of a star.
    release : {14, 16, 17, 19}, default=17
        Layout of table and files. 19 is SDSS-V's astraAllStarASPCAP; half of its files are in the tree of DR17.
    seed : int, default=0
        Seed of spectra and labels.
    faulty : bool, default=True
        Whether some stars are faulty: one of each kind for every 100 stars. At least 36 stars are needed.
    real : bool, default=True
        Whether the two real spectra are included, with invented labels and S/N of 154 and 137.
    max_visits : int, default=4
        Stars have 1 to `max_visits` visits.
    n_distinct : int, default=300
        Number of different stars; the others are these again, with other noise.
    element_symbols : sequence of str, default=None
        Order of the elements in X_H. None: that of the release.
    with_symbols : bool, default=True
        Whether the third extension of the table has ELEM_SYMBOL.
    gzipped_table : bool, default=False
        Whether the table is gzipped.
    dropped_columns : tuple of str, default=()
        Columns that the table lacks.

    Returns
    -------
    mirror : Mirror
    """
    rng = np.random.default_rng(seed)
    synthetic = make_apogee_spectra(min(n_stars, n_distinct), snr=1e5, continuum="true", random_state=seed)
    if tuple(synthetic.label_names) != LABELS:
        raise AssertionError("make_apogee_spectra has other labels")
    stars = _draw_stars(synthetic, n_stars, rng, faulty=faulty, max_visits=max_visits)
    if real:
        stars += [_real_star(name) for name in REAL]
    if release == 14:  # one telescope
        stars = [star for star in stars if star["telescope"] == "apo25m"]
    for number, star in enumerate(stars):
        of_tree = 17 if release == 19 and number % 2 else release
        star["tree"] = of_tree
        star["path"] = _PATHS[of_tree](star)
    for star in stars:
        if star["kind"] != "duplicate row":
            _write_star(Path(folder) / star["path"], star, synthetic, rng)
    for star in stars:
        star["kept"] = _is_kept(star, release)
    table = Path(folder) / _TABLES[release]
    if gzipped_table:
        table = table.with_name(table.name + ".gz")
    table.parent.mkdir(parents=True, exist_ok=True)
    write = _write_sdssv_table if release == 19 else _write_allstar
    write(table, stars, release, element_symbols, with_symbols, dropped_columns)
    columns = ("star", "sdss_id", "telescope", "field", "location_id", "path", "kind", "n_visits", "snr", "kept")
    truth = Table({name: [star[name] for star in stars] for name in columns})
    for position, label in enumerate(LABELS):
        truth[label] = [star["labels"][position] for star in stars]
    return Mirror(Path(folder), table, truth)


def _draw_stars(
    synthetic: Any, n_stars: int, rng: np.random.Generator, *, faulty: bool, max_visits: int
) -> list[dict[str, Any]]:
    """Return the rows of the table as dictionaries."""
    if faulty and n_stars < 2 * len(FAULTS):
        raise ValueError(f"n_stars={n_stars}, but {2 * len(FAULTS)} are needed for faulty ones.")
    stars = []
    for number in range(n_stars):
        source = number % len(synthetic.y)
        kind = "plain"
        if faulty and number % 100 < 2 * len(FAULTS) and number % 2:  # every second one of the first of each 100
            kind = FAULTS[number % 100 // 2]
        labels = synthetic.y[source].copy()
        labels[0] = np.clip(labels[0], 4010, 5490)  # all others are within the cuts
        star = {
            "star": f"2M{number:08d}+{_last_digits(number)}",
            "sdss_id": 54_000_000 + number,
            "telescope": "apo25m",
            "field": f"{number % 7:03d}+{number % 5:02d}",
            "location_id": 4000 + number % 7,
            "healpix": 60_000 + 977 * number % 100_000,
            "kind": kind,
            "source": source,
            "n_visits": int(rng.integers(1, max_visits + 1)),
            "snr": float(rng.uniform(210, 400)),
            "ra": float(rng.uniform(0, 360)),
            "dec": float(rng.uniform(-30, 80)),
            "labels": labels,
            "starflag": 0,
            "aspcapflag": 0,
            "vscatter": float(rng.uniform(0, 0.5)),
            "extratarg": 0,
            "flagged": (),
        }
        _SPECIAL.get(kind, lambda star: None)(star)
        stars.append(star)
        if kind == "both telescopes":
            stars.append({**star, "telescope": "lco25m", "field": "LCO-field"})
        if kind == "duplicate":
            stars.append({**star, "kind": "duplicate row", "field": "other", "location_id": 4999, "extratarg": 1 << 4})
    return stars


def _last_digits(number: int) -> str:
    """Return seven digits that make the name of a star look like one."""
    return f"{(number * 7919) % 10_000_000:07d}"


_SPECIAL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "single visit": lambda star: star.update(n_visits=1),
    "one row": lambda star: star.update(n_visits=1),
    "lost visit": lambda star: star.update(n_visits=3),
    "STARFLAG": lambda star: star.update(starflag=1 << 9),
    "ASPCAPFLAG": lambda star: star.update(aspcapflag=1 << 23),
    "VSCATTER": lambda star: star.update(vscatter=1.5),
    "cool": lambda star: star["labels"].__setitem__(0, 3900.0),
    "hot": lambda star: star["labels"].__setitem__(0, 5600.0),
    "faint": lambda star: star.update(snr=120.0),
    "LOCATION_ID": lambda star: star.update(location_id=1),
    "no iron": lambda star: star["labels"].__setitem__(LABELS.index("Fe"), -9999.0),
    "flagged": lambda star: star.update(flagged=("Mg",)),
}


def _real_star(name: str) -> dict[str, Any]:
    file, n_visits, teff, logg = REAL[name]
    header = fits.getheader(DATA / file)
    labels = np.full(len(LABELS), -0.1)
    labels[:2] = teff, logg
    return {
        "star": name,
        "sdss_id": 99_000_000 + n_visits,
        "telescope": "apo25m",
        "field": header["FIELD"].strip(),
        "location_id": 5000,
        "healpix": 12_345,
        "kind": "real",
        "n_visits": n_visits,
        "snr": float(header["SNR"]),
        "ra": float(header["RA"]),
        "dec": float(header["DEC"]),
        "labels": labels,
        "starflag": 0,
        "aspcapflag": 0,
        "vscatter": 0.1,
        "extratarg": 0,
        "flagged": (),
    }


def _is_kept(star: dict[str, Any], release: int) -> bool:
    """Return whether a training set with the default cuts has the star."""
    readable = star["kind"] not in ("missing file", "corrupt file", "no flux", "no continuum")
    flags = star["starflag"] == star["aspcapflag"] == star["extratarg"] == 0
    at_apo = release == 19 or star["location_id"] > 1  # SDSS-V has no LOCATION_ID
    return bool(
        readable and flags and at_apo and star["vscatter"] < 1 and star["snr"] > 200 and 4000 < star["labels"][0] < 5500
    )


def _prefix(star: dict[str, Any]) -> str:
    return "as" if star["telescope"] == "lco25m" else "ap"


_PATHS: dict[int, Callable[[dict[str, Any]], str]] = {
    14: lambda s: f"dr14/apogee/spectro/redux/r8/stars/apo25m/{s['location_id']}/apStar-r8-{s['star']}.fits",
    16: lambda s: (
        f"dr16/apogee/spectro/redux/r12/stars/{s['telescope']}/{s['field']}/{_prefix(s)}Star-r12-{s['star']}.fits"
    ),
    17: lambda s: (
        f"dr17/apogee/spectro/redux/dr17/stars/{s['telescope']}/{s['field']}/{_prefix(s)}Star-dr17-{s['star']}.fits"
    ),
    19: lambda s: (
        f"dr19/spectro/apogee/redux/1.3/stars/{s['telescope']}/{s['healpix'] // 1000}/{s['healpix']}/"
        f"apStar-1.3-{s['telescope']}-{s['star']}.fits"
    ),
}
_TABLES = {
    14: "dr14/apogee/spectro/redux/r8/stars/l31c/l31c.2/allStar-l31c.2.fits",
    16: "dr16/apogee/spectro/aspcap/r12/l33/allStar-r12-l33.fits",
    17: "dr17/apogee/spectro/aspcap/dr17/synspec_rev1/allStar-dr17-synspec_rev1.fits",
    19: "dr19/spectro/astra/0.6.0/summary/astraAllStarASPCAP-0.6.0.fits",
}


def _write_star(path: Path, star: dict[str, Any], synthetic: Any, rng: np.random.Generator) -> None:
    """Write the apStar file of a star."""
    if star["kind"] == "missing file":
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if star["kind"] == "real":
        source = DATA / REAL[star["star"]][0]
        if source.suffix == ".gz":
            with GzipFile(source) as zipped, path.open("wb") as plain:
                shutil.copyfileobj(zipped, plain)
        else:
            shutil.copyfile(source, path)
        return
    content = _apstar_bytes(star, *_images(star, synthetic, rng))
    if star["kind"] == "corrupt file":
        content = content[: len(content) // 2]
    path.write_bytes(content)


def _images(
    star: dict[str, Any], synthetic: Any, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return flux, error and pixel flags: two combined spectra, and the visits if there are several."""
    kept = np.concatenate([np.arange(*chip) for chip in CHIPS])
    flux, n_visits = synthetic.X[star["source"]], star["n_visits"]
    flagged = synthetic.X_err[star["source"]] == 0
    slope = np.concatenate([np.linspace(1.1, 0.9, stop - start) for start, stop in CHIPS])
    continuum = 300 * slope
    visit_error = continuum * np.sqrt(n_visits) / star["snr"]
    visits = (flux * continuum + visit_error * rng.standard_normal((n_visits, len(flux)), dtype=np.float32)).astype(
        "f4"
    )
    combined = visits.mean(axis=0)
    error = visit_error / np.sqrt(n_visits)
    rows = [(combined, error), (combined, error) if n_visits > 1 else (0 * combined, 0 * error)]
    rows += [(visit, visit_error) for visit in visits] if n_visits > 1 else []
    if star["kind"] == "one row":
        rows = rows[:1]
    images = np.full((2, len(rows), N_PIXELS), np.nan, dtype=np.float32)  # gaps are NaN, as in the files of DR17
    images[:, :, kept] = np.swapaxes(np.array(rows), 0, 1)
    mask = np.zeros((len(rows), N_PIXELS), dtype=np.int16)
    bad = kept[flagged]
    is_row = np.arange(len(rows)) != 1  # row 1 has no flags in DR17
    mask[np.ix_(is_row, bad)] = 1 << 12
    images[1][np.ix_(is_row, bad)] = 1e10
    if n_visits == 1 and len(rows) > 1:
        images[:, 1] = mask[1] = 0
    if star["kind"] == "no flux":
        images[:] = np.nan
    if star["kind"] == "no continuum":
        images[0, :, slice(*CHIPS[1])] = np.nan
    if star["kind"] == "lost visit":
        images[:, -1] = np.nan
    return images[0], images[1], mask


def _apstar_bytes(star: dict[str, Any], *images: np.ndarray) -> bytes:
    """Return the bytes of an apStar file. Writing them at once is much quicker than astropy's writer."""
    n_visits, snr = star["n_visits"], star["snr"]
    cards = {**_CARDS, "FIELD": star["field"], "OBJID": star["star"], "SNR": snr, "RA": star["ra"], "DEC": star["dec"]}
    cards["NVISITS"] = n_visits
    for visit in range(n_visits):  # files of a single visit have 0 there
        cards[f"SNRVIS{visit + 1}"] = snr / np.sqrt(n_visits) if n_visits > 1 else 0.0
    primary = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True}
    blocks = [fits.Header({**primary, **cards}).tostring().encode()]
    for number, image in enumerate(images):
        bitpix = 16 if image.dtype.kind == "i" else -32
        header = {"XTENSION": "IMAGE", "BITPIX": bitpix, "NAXIS": 2, "NAXIS1": N_PIXELS, "NAXIS2": len(image)}
        header |= {"PCOUNT": 0, "GCOUNT": 1, **_CARDS}
        header |= {} if number == 2 else {"BUNIT": "Flux (10^-17 erg/s/cm^2/Ang)"}
        data = image.astype(image.dtype.newbyteorder(">")).tobytes()
        blocks += [fits.Header(header).tostring().encode(), data, bytes(-len(data) % 2880)]
    return b"".join(blocks)


def _label_errors(labels: np.ndarray) -> np.ndarray:
    errors = np.full(labels.shape, 0.02)
    errors[:, 0] = 30.0
    return errors


def _write_allstar(
    path: Path,
    stars: list[dict[str, Any]],
    release: int,
    element_symbols: Sequence[str] | None,
    with_symbols: bool,
    dropped_columns: tuple[str, ...],
) -> None:
    """Write an allStar table of SDSS-IV."""
    labels = np.array([star["labels"] for star in stars])
    errors = _label_errors(labels)
    missing = np.nan if release == 17 else -9999.0
    labels = np.where(labels == -9999, missing, labels)
    symbols = element_symbols or ELEMENTS[release]
    X_H = np.full((len(stars), len(symbols)), missing, dtype=np.float32)
    X_H_err, flags = X_H.copy(), np.zeros(X_H.shape, dtype=np.int32)
    for position, symbol in enumerate(symbols):
        name = LABEL_OF.get(symbol, symbol)
        if name in LABELS:
            X_H[:, position] = labels[:, LABELS.index(name)]
            X_H_err[:, position] = errors[:, LABELS.index(name)]
            flags[:, position] = [1 << 8 if name in star["flagged"] else 0 for star in stars]
    metals = np.where(np.isfinite(labels[:, LABELS.index("Fe")]), labels[:, LABELS.index("Fe")], 0)
    of_stars = {
        name: np.array([star[key] for star in stars])
        for name, key in {
            "APOGEE_ID": "star",
            "TELESCOPE": "telescope",
            "LOCATION_ID": "location_id",
            "FIELD": "field",
            "RA": "ra",
            "DEC": "dec",
            "SNR": "snr",
            "NVISITS": "n_visits",
            "VSCATTER": "vscatter",
            "STARFLAG": "starflag",
            "ASPCAPFLAG": "aspcapflag",
            "EXTRATARG": "extratarg",
        }.items()
    }
    columns = {name: values.astype("f4") if values.dtype.kind == "f" else values for name, values in of_stars.items()}
    columns["RA"], columns["DEC"] = of_stars["RA"], of_stars["DEC"]
    if release == 14:
        columns["PARAM"] = np.zeros((len(stars), 7), dtype=np.float32)
        columns["PARAM"][:, [0, 1, 3, 6]] = np.column_stack([labels[:, :2], metals, metals])
        columns["PARAM_COV"] = np.zeros((len(stars), 7, 7), dtype=np.float32)
        columns["PARAM_COV"][:, [0, 1, 3, 6], [0, 1, 3, 6]] = np.square([30, 0.02, 0.02, 0.02])
        for name in ("EXTRATARG", "TELESCOPE"):
            del columns[name]
    else:
        for position, name in enumerate(("TEFF", "LOGG")):
            columns[name] = labels[:, position].astype("f4")
            columns[f"{name}_ERR"] = errors[:, position].astype("f4")
        for name in ("M_H", "ALPHA_M"):
            columns[name], columns[f"{name}_ERR"] = metals.astype("f4"), np.full(len(stars), 0.02, dtype="f4")
    columns |= {"X_H": X_H, "X_H_ERR": X_H_err, "ELEMFLAG": flags}
    kept = {name: values for name, values in columns.items() if name not in dropped_columns}
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(Table(kept)), fits.BinTableHDU(Table({"VERSION": ["mirror"]}))]
    if with_symbols:
        hdus.append(fits.BinTableHDU(Table({"ELEM_SYMBOL": np.array([symbols]), "PARAM_SYMBOL": [["TEFF", "LOGG"]]})))
    fits.HDUList(hdus).writeto(path)


def _write_sdssv_table(
    path: Path,
    stars: list[dict[str, Any]],
    release: int,
    element_symbols: Sequence[str] | None,
    with_symbols: bool,
    dropped_columns: tuple[str, ...],
) -> None:
    """Write an astraAllStarASPCAP table of SDSS-V, without stars of BOSS."""
    labels = np.array([star["labels"] for star in stars])
    errors = _label_errors(labels)
    labels = np.where(labels == -9999, np.nan, labels)
    in_dr17 = np.array([star["tree"] == 17 for star in stars])
    columns: dict[str, Any] = {
        "sdss_id": np.array([star["sdss_id"] for star in stars], dtype=np.int64),
        "sdss4_apogee_id": np.array([star["star"] for star in stars]),
        "obj": np.array([star["star"] for star in stars]),
        "telescope": np.array([star["telescope"] for star in stars]),
        "field": np.array([star["field"] for star in stars]),
        "healpix": np.array([star["healpix"] for star in stars], dtype=np.int32),
        "release": np.where(in_dr17, "dr17", "sdss5"),
        "filetype": np.full(len(stars), "apStar"),
        "apred": np.where(in_dr17, "dr17", "1.3"),
        "prefix": np.array([_prefix(star) for star in stars]),
        "ra": np.array([star["ra"] for star in stars]),
        "dec": np.array([star["dec"] for star in stars]),
        "snr": np.array([star["snr"] for star in stars], dtype="f4"),
        "std_v_rad": np.array(
            [star["vscatter"] if star["n_visits"] > 1 or star["vscatter"] > 1 else np.nan for star in stars]
        ),
        "spectrum_flags": np.array([star["starflag"] for star in stars], dtype=np.int64),
        "result_flags": np.array([star["aspcapflag"] for star in stars], dtype=np.int64),
        "flag_warn": np.zeros(len(stars), dtype=bool),
        "flag_bad": np.array([star["extratarg"] > 0 for star in stars]),  # it has no EXTRATARG
        "teff": labels[:, 0].astype("f4"),
        "e_teff": errors[:, 0].astype("f4"),
        "logg": labels[:, 1].astype("f4"),
        "e_logg": errors[:, 1].astype("f4"),
        "m_h_atm": np.nan_to_num(labels[:, LABELS.index("Fe")]).astype("f4"),
        "e_m_h_atm": np.full(len(stars), 0.02, dtype="f4"),
        "alpha_m_atm": np.zeros(len(stars), dtype="f4"),
        "e_alpha_m_atm": np.full(len(stars), 0.02, dtype="f4"),
    }
    for position, label in enumerate(LABELS[2:], start=2):
        name = {"C1": "c_1", "Ti2": "ti_2"}.get(label, label.lower()) + "_h"
        columns[name] = labels[:, position].astype("f4")
        columns[f"e_{name}"] = errors[:, position].astype("f4")
        columns[f"{name}_flags"] = np.array([label in star["flagged"] for star in stars], dtype=np.int32)
        columns[f"raw_{name}"] = columns[name] + 9  # never to be read
    columns |= {"ce_h": np.zeros(len(stars), dtype="f4"), "nd_h": np.zeros(len(stars), dtype="f4")}
    kept = {name: values for name, values in columns.items() if name not in dropped_columns}
    boss = fits.BinTableHDU(Table({name: values[:0] for name, values in kept.items()}))
    fits.HDUList([fits.PrimaryHDU(), boss, fits.BinTableHDU(Table(kept))]).writeto(path)
