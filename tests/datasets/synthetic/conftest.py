"""Synthetic stars that the tests of this folder share."""

import pytest

from skbcnn.datasets.synthetic import make_apogee_spectra


@pytest.fixture(scope="package")
def stars():
    """Return stars with the true continuum. Shared by all tests: do not change them."""
    return make_apogee_spectra(1200, missing=0.1, continuum="true", random_state=5)
