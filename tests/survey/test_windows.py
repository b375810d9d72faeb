"""Element windows: the table of DR14, and windows of the user."""

import copy
import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows, label, wavelength

TABLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "aspcap_windows_dr14.csv"
PIXEL_COUNTS = {
    "C": 3806, "C1": 557, "N": 3776, "O": 505, "Na": 13, "Mg": 106, "Al": 51, "Si": 102, "P": 24, "S": 8, "K": 16,
    "Ca": 19, "Ti": 31, "Ti2": 28, "V": 29, "Cr": 46, "Mn": 70, "Fe": 2403, "Co": 24, "Ni": 206, "Cu": 12, "Ge": 7,
    "Rb": 5, "Y": 10, "Nd": 2,
}  # fmt: skip

SPELT_BY_SURVEY = ("CI", "TiII")


class TestApogeeWindows:
    @pytest.mark.parametrize(("name", "n_pixels"), PIXEL_COUNTS.items())
    def test_numbers_of_pixels(self, name, n_pixels):
        assert len(apogee_windows()[name]) == n_pixels

    def test_names(self):
        assert set(apogee_windows()) == set(PIXEL_COUNTS)
        assert set(APOGEE_LABELS) - set(apogee_windows()) == {"teff", "logg"}

    def test_grid(self):
        assert apogee_windows().n_pixels == len(wavelength()) == 7514

    def test_only_carbon_and_nitrogen_have_wider_layers(self):
        widening = {name: apogee_windows().widening(name) for name in apogee_windows()}
        assert {name: factors for name, factors in widening.items() if factors != (1, 1)} == {"C": (8, 4), "N": (8, 4)}

    @pytest.mark.skipif(not TABLE.exists(), reason="the survey's own table is not beside this checkout")
    def test_runs_of_the_survey(self):
        runs, wavelengths = {}, {}
        with TABLE.open() as lines:
            for row in csv.DictReader(lines):
                name = label(row["element"]).name if row["element"] in SPELT_BY_SURVEY else row["element"]
                runs.setdefault(name, []).append((int(row["first_pixel"]), int(row["last_pixel"])))
                wavelengths.setdefault(name, []).append((float(row["first_wavelength"]), float(row["last_wavelength"])))
        assert dict(apogee_windows()).keys() == runs.keys()
        on_survey_grid = ElementWindows.from_wavelengths(
            {name: [(low - 0.01, high + 0.01) for low, high in pairs] for name, pairs in wavelengths.items()},
            wavelength(14),
        )
        for name, window in ElementWindows.from_runs(runs, 7514).items():
            assert_array_equal(apogee_windows()[name], window)
            assert_array_equal(apogee_windows()[name], on_survey_grid[name])

    def test_first_runs_of_carbon(self):
        assert_array_equal(apogee_windows()["C"][:43], [*range(16, 58), 62])

    def test_table_is_read_once_and_cannot_be_changed(self):
        assert apogee_windows() is apogee_windows()
        with pytest.raises(ValueError, match="read-only"):
            apogee_windows()["Al"][0] = 0


class TestOwnWindows:
    def test_runs_include_both_ends(self):
        assert_array_equal(ElementWindows.from_runs({"Mg": [(3, 5), (8, 8)]}, 10)["Mg"], [3, 4, 5, 8])

    def test_wavelengths_include_both_ends(self):
        windows = ElementWindows.from_wavelengths({"Mg": [(15000, 15002)]}, [14999, 15000, 15001, 15002, 15003])
        assert_array_equal(windows["Mg"], [1, 2, 3])
        assert windows.n_pixels == 5

    @settings(max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), min_size=1, max_size=5))
    def test_runs_wavelengths_and_masks_agree(self, starts_and_lengths):
        grid = 15000 + 0.2 * np.arange(41)
        runs = [(start, start + length) for start, length in starts_and_lengths]
        mask = np.zeros(41, dtype=bool)
        for first, last in runs:
            mask[first : last + 1] = True
        by_runs = ElementWindows.from_runs({"Al": runs}, 41, {"Al": (2, 2)})
        by_wavelength = ElementWindows.from_wavelengths({"Al": [tuple(grid[list(run)]) for run in runs]}, grid,
                                                        {"Al": (2, 2)})  # fmt: skip
        by_mask = ElementWindows.from_masks({"Al": mask}, {"Al": (2, 2)})
        assert by_runs == by_wavelength == by_mask
        assert_array_equal(by_runs.mask("Al"), mask)

    def test_apogee_windows_by_wavelength(self):
        windows = apogee_windows()
        runs = {"Na": [(wavelength()[pixel] - 0.01, wavelength()[pixel] + 0.01) for pixel in windows["Na"]]}
        assert_array_equal(ElementWindows.from_wavelengths(runs, wavelength())["Na"], windows["Na"])

    def test_pixels_are_sorted_and_unique(self):
        assert_array_equal(ElementWindows({"Mg": [5, 2, 5]}, 10)["Mg"], [2, 5])

    def test_windows_may_overlap(self):
        windows = ElementWindows({"Mg": [1, 2], "Al": [2, 3]}, 4)
        assert (windows.mask("Mg") & windows.mask("Al")).sum() == 1

    def test_mapping(self):
        windows = ElementWindows({"Mg": [1], "Al": [2]}, 4)
        assert (list(windows), len(windows), "Mg" in windows, "Na" in windows) == (["Mg", "Al"], 2, True, False)
        with pytest.raises(KeyError):
            windows["Na"]

    @pytest.mark.parametrize(
        "other",
        [
            ElementWindows({"Mg": [1]}, 5),
            ElementWindows({"Mg": [2]}, 4),
            ElementWindows({"Al": [1]}, 4),
            ElementWindows({"Mg": [1]}, 4, {"Mg": (2, 1)}),
            {"Mg": [1]},
        ],
    )
    def test_equality(self, other):
        windows = ElementWindows({"Mg": [1]}, 4)
        assert windows == ElementWindows({"Mg": [1]}, 4)
        assert windows != other

    @pytest.mark.parametrize("renew", [copy.copy, copy.deepcopy, lambda windows: pickle.loads(pickle.dumps(windows))])
    @pytest.mark.parametrize(
        "windows", [ElementWindows({"Mg": [1, 3], "C": [0]}, 4, {"C": (8, 4)}), apogee_windows()], ids=["own", "apogee"]
    )
    def test_copies_and_pickles(self, windows, renew):
        again = renew(windows)
        assert again == windows
        assert again.n_pixels == windows.n_pixels
        assert again.widening("C") == (8, 4)
        assert not again["C"].flags.writeable

    def test_repr(self):
        assert repr(ElementWindows({"Mg": [1, 2], "Al": [2]}, 4)) == "ElementWindows(Mg: 2, Al: 1 of 4 pixels)"
        first = "ElementWindows(C: 3806, C1: 557, N: 3776, O: 505, Na: 13, ..."
        assert repr(apogee_windows()) == f"{first} {len(PIXEL_COUNTS)} labels of 7514 pixels)"


class TestErrors:
    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            ([], "The window of Mg has no pixel"),
            ([-1, 2], "has pixels -1 to 2, but the grid has pixels 0 to 9"),
            ([2, 10], "has pixels 2 to 10, but the grid has pixels 0 to 9"),
            ([True, False], "type bool, expected one dimension of pixel numbers.*from_masks"),
            ([1.5], "type float64, expected one dimension"),
            ([[1, 2]], r"shape \(1, 2\)"),
        ],
    )
    def test_pixels(self, pixels, message):
        with pytest.raises(ValueError, match=message):
            ElementWindows({"Mg": pixels}, 10)

    @pytest.mark.parametrize(
        ("widening", "message"),
        [
            ({"Al": (2, 2)}, "widening names Al, but there is no such window"),
            ({"Mg": (0, 1)}, "expected two factors of at least 1"),
            ({"Mg": (2,)}, "expected two factors of at least 1"),
        ],
    )
    def test_widening(self, widening, message):
        with pytest.raises(ValueError, match=message):
            ElementWindows({"Mg": [1]}, 10, widening)

    def test_run_that_ends_before_it_starts(self):
        with pytest.raises(ValueError, match=r"The window of Mg has a run that ends before it starts: \(5, 3\)"):
            ElementWindows.from_runs({"Mg": [(1, 2), (5, 3)]}, 10)

    def test_wavelengths_without_pixels(self):
        with pytest.raises(ValueError, match="The window of Mg has no pixel"):
            ElementWindows.from_wavelengths({"Mg": [(1.0, 2.0)]}, [3.0, 4.0])

    @pytest.mark.parametrize(
        "masks",
        [
            {"Mg": [True, False], "Al": [True, False, True]},
            {"Mg": [1, 0]},
            {"Mg": [[True, False]]},
            {},
        ],
    )
    def test_masks(self, masks):
        with pytest.raises(ValueError, match="expected one boolean for each pixel of the same grid"):
            ElementWindows.from_masks(masks)

    def test_empty_mask(self):
        with pytest.raises(ValueError, match="The window of Mg has no pixel"):
            ElementWindows.from_masks({"Mg": [False, False]})


def test_repr_without_windows():
    assert repr(ElementWindows({}, 7514)) == "ElementWindows(none of 7514 pixels)"
