"""Names of the columns that come along: clashes, misspellings, and columns that no catalogue can hold."""

import h5py
import numpy as np
import pytest

from skbcnn.catalog.requested_columns import check_h5_columns, requested_names
from skbcnn.datasets import write_h5

OWN = ("star", "snr", "teff")


def test_names_of_the_catalogue_stay():
    names = requested_names(["FIELD", "SNR", "Teff"], OWN)
    assert names == {"FIELD": "FIELD", "input_SNR": "SNR", "input_Teff": "Teff"}
    assert requested_names("FIELD", OWN) == {"FIELD": "FIELD"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["FIELD", "field"], "'FIELD' and 'field', which would both be called field"),
        (["FIELD", "FIELD"], "'FIELD' and 'FIELD'"),
        (["SNR", "input_snr"], "'SNR' and 'input_snr', which would both be called input_snr"),
        (["Größe"], "'Größe', which cannot be the name of a column"),
        ([" "], "' ', which cannot be the name of a column"),
        (["history"], "'history', which has no single value"),
    ],
)
def test_names_that_cannot_be_columns(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        requested_names(columns, OWN)


@pytest.fixture
def path(tmp_path):
    extra = {"FIELD": ["M13", "M3"], "GAIA_ID": [5, 6]}
    path = write_h5(tmp_path / "a.h5", np.ones((2, 4)), {"Mg": [0.1, 0.2]}, extra=extra)
    with h5py.File(path, "a") as file:
        file["Phases"] = np.zeros(2, dtype=complex)
    return path


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("FIELDS", r"has no FIELDS. Did you mean FIELD\?"),
        ("gaia", r"has no gaia. Did you mean GAIA_ID\?"),
        ("plate", "has no plate. It has .*FIELD"),
        ("Spectra", r"Spectra of .*a.h5 has shape \(2, 4\), expected \(2,\)"),
        ("phases", r"Column 'phases' holds complex128, expected numbers.* Leave phases out of the columns"),
    ],
)
def test_columns_that_an_hdf5_file_lacks_or_that_are_no_columns(path, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_h5_columns(path, [name], 2)


def test_spellings_of_labels_and_of_case(path):
    check_h5_columns(path, ["[Mg/H]", "mg", "field"], 2)
