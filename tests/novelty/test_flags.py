"""Flags of predictions: the thresholds of SDSS-V, and the bits of out-of-distribution stars."""

import re

import numpy as np

from skbcnn import Prediction
from skbcnn.novelty import NoveltyFlag, result_flags
from skbcnn.novelty.flags import BIT_MEANINGS, prediction_flags


def test_thresholds_of_sdss_v():
    """Values a little above and below the thresholds of the data model."""
    cases = {  # bit: (mean, total)
        None: ([5000, 3.0, -0.5], [299, 0.224, 0.059]),  # 0.224 > 0.2, but not > 0.075 * 3
        0: ([5000, 2.0, -0.5], [299, 0.201, 0.059]),
        1: ([5000, 2.0, -0.5], [301, 0.199, 0.059]),
        2: ([5000, 2.0, -0.5], [299, 0.199, 0.061]),
        11: ([np.nan, 2.0, -0.5], [299, 0.199, 0.059]),
    }
    mean, total = np.array(list(cases.values()), dtype=float).transpose(1, 0, 2)
    flags = result_flags(Prediction(mean, total, total, total, ("teff", "logg", "Fe")))
    assert flags.tolist() == [0 if bit is None else 1 << bit for bit in cases]
    assert flags.dtype == np.int32


def test_labels_that_are_not_predicted_have_no_flag():
    values = np.full((2, 1), 1000.0)
    assert result_flags(Prediction(values, values, values, values, ("Al",))).tolist() == [0, 0]


def test_bits_of_out_of_distribution_stars():
    inside = ("UNCERTAIN_LOGG", "UNCERTAIN_TEFF", "UNCERTAIN_FE_H", "NO_RESULT", "NOISIER_THAN_TRAINED")
    assert {flag.name for flag in NoveltyFlag if not flag & NoveltyFlag.OUTSIDE} == set(inside)
    assert max(NoveltyFlag) < 2**31  # an int32 column holds them


def test_every_bit_is_documented_where_users_look():
    assert set(BIT_MEANINGS) == set(NoveltyFlag)
    for flag in NoveltyFlag:
        row = rf"{flag.value.bit_length() - 1} +{flag.value} +{flag.name} "
        assert re.search(row, NoveltyFlag.__doc__), flag
    assert "``noisier``" in NoveltyFlag.__doc__


def test_good_stars_of_solar_metallicity_are_not_flagged():
    mean, total = np.array([[4800.0, 2.5, 0.01]]), np.array([[25.0, 0.06, 0.03]])
    prediction = Prediction(mean, total, total, total, ("teff", "logg", "Fe"))
    assert result_flags(prediction) == NoveltyFlag.UNCERTAIN_FE_H
    assert prediction_flags(prediction) == 0


def test_flags_depend_on_the_total_standard_deviation_also_where_errors_are_calibrated():
    mean, total = np.array([[4800.0], [4800.0]]), np.array([[25.0], [301.0]])
    prediction = Prediction(mean, total, total, total, ("teff",), None, total[::-1])
    assert result_flags(prediction).tolist() == [0, NoveltyFlag.UNCERTAIN_TEFF]
