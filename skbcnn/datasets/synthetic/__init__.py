"""Synthetic spectra of red giants with known labels: `make_apogee_spectra`."""

from skbcnn.datasets.synthetic.spectra import make_apogee_spectra

__all__ = ["make_apogee_spectra"]
