"""Standard deviations of the labels of giants."""

import csv
from importlib.resources import files

import pytest
from numpy.testing import assert_array_equal

from skbcnn.survey import APOGEE_LABELS, label_spreads


def test_all_22_in_order():
    assert label_spreads().shape == (22,)
    assert_array_equal(label_spreads(), label_spreads(APOGEE_LABELS))
    assert_array_equal(label_spreads(["Ni", "[CI/H]", "TEFF"]), [0.29, 0.27, 294])


def test_synthetic_stars_have_these_standard_deviations():
    with (files("skbcnn.datasets") / "tables" / "synthetic_labels.csv").open() as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert_array_equal(label_spreads([row["label"] for row in rows]), [float(row["std"]) for row in rows])


def test_unknown_spread():
    with pytest.raises(ValueError, match="spread of M, fakemag is not known here"):
        label_spreads(["teff", "M", "fakemag"])
