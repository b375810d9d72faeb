"""Effects of the instrument on spectra."""

import numpy as np
import pytest

from skbcnn import augment_spectra
from skbcnn.augmentation import Augmentation
from skbcnn.augmentation.instrument import InstrumentEffects, shift_and_broaden
from skbcnn.augmentation.noise import known_or_estimated_errors

NONE = {"noise": (0, 0), "shift": 0, "broadening": 0, "continuum": (0, 0, 0), "bad_pixels": 0}
CHIPS = [slice(0, 40), slice(40, 100)]


def effects(**amplitudes):
    return InstrumentEffects(Augmentation(**NONE | amplitudes), 100, CHIPS)


def apply(x, seed=0, x_err=None, **amplitudes):
    return effects(**amplitudes).apply(x, x_err, np.random.default_rng(seed))


class TestKernels:
    @pytest.mark.parametrize("shift", [0.0, 0.3, -0.7, 1.6])
    def test_moments_are_shift_and_variance(self, shift):
        (kernel,) = shift_and_broaden(np.array([shift]), np.array([0.8]), 6).astype(float)
        pixel = np.arange(-6, 7)
        assert kernel.sum() == pytest.approx(1)
        assert kernel @ pixel == pytest.approx(shift, abs=1e-6)
        assert kernel @ (pixel - shift) ** 2 == pytest.approx(0.8, abs=1e-5)

    def test_half_a_pixel_by_hand(self):
        (kernel,) = shift_and_broaden(np.array([0.5]), np.array([0.0]), 4)
        np.testing.assert_allclose(kernel[3:7], [-1 / 16, 9 / 16, 9 / 16, -1 / 16])

    def test_broadening_by_hand(self):
        (kernel,) = shift_and_broaden(np.array([0.0]), np.array([1.0]), 4)
        np.testing.assert_allclose(kernel[2:7], np.array([1, 4, 6, 4, 1]) / 16)


class TestEffects:
    def test_nothing_without_amplitudes(self):
        x = np.random.default_rng(0).random((3, 100), dtype=np.float32)
        np.testing.assert_array_equal(apply(x, x_err=np.ones_like(x)), x)

    def test_bad_pixels_alone_do_not_change_the_input(self):
        x = np.full((3, 100), 0.5, dtype=np.float32)
        assert (apply(x, bad_pixels=0.3) == 1).any()
        assert (x == 0.5).all()

    def test_chips_do_not_mix(self):
        x = np.repeat([[1.0, 5.0]], [40, 60], axis=1).astype(np.float32)
        np.testing.assert_allclose(apply(x, shift=0.5, broadening=2.0), x, rtol=1e-6)

    def test_a_positive_shift_moves_lines_to_higher_pixels(self):
        x = 1 - 0.5 * np.exp(-0.5 * ((np.arange(100) - 70) / 2.0) ** 2)[None].astype(np.float32)
        moved = np.concatenate([apply(x, seed, shift=0.3) for seed in range(200)])
        depth = 1 - moved[:, 40:]
        centre = (depth @ np.arange(40, 100)) / depth.sum(axis=1)
        assert centre.mean() == pytest.approx(70, abs=0.1)
        assert centre.std() == pytest.approx(0.3, rel=0.2)

    def test_continuum_errors_have_the_amplitudes_of_each_term(self):
        x = np.full((4000, 100), 0.5, dtype=np.float32)
        factors = apply(x, continuum=(0.01, 0.02, 0.03)) / x
        for chip in CHIPS:
            place = np.linspace(-1, 1, chip.stop - chip.start)
            terms = np.polynomial.legendre.legfit(place, factors[:, chip].T - 1, 2)
            np.testing.assert_allclose(terms.std(axis=1), [0.01, 0.02, 0.03], rtol=0.05)
        assert abs(np.corrcoef(factors[:, 20], factors[:, 70])[0, 1]) < 0.05

    def test_noise_between_smallest_and_largest(self):
        x, x_err = np.full((2000, 100), 0.5, dtype=np.float32), np.full((2000, 100), 0.01, dtype=np.float32)
        level = (apply(x, x_err=x_err, noise=(1, 3)) - x).std(axis=1) / 0.01
        assert np.quantile(level, [0.02, 0.98]) == pytest.approx([1, 3], rel=0.15)

    def test_half_of_the_spectra_keep_their_line_spread_function(self):
        x = np.zeros((2000, 100), dtype=np.float32)
        x[:, 70] = 1
        broadened = apply(x, broadening=1.0)
        place = np.arange(100) - 70
        variance = broadened @ place**2
        assert (variance < 1e-6).mean() == pytest.approx(0.5, abs=0.04)
        assert variance.max() == pytest.approx(1, abs=0.02)

    def test_bad_pixels_stay_bad_through_all_effects(self):
        x = np.full((50, 100), 0.5, dtype=np.float32)
        x[:, [10, 60]] = 1
        everything = {"noise": (0, 4), "shift": 0.2, "broadening": 1, "continuum": (0.1, 0.1, 0.1)}
        varied = apply(x, x_err=np.full((50, 1), 0.01, dtype=np.float32), **everything)
        assert (varied[:, [10, 60]] == 1).all()
        assert (varied != 1).sum() == 50 * 98

    def test_bad_pixels_are_runs_of_ones_within_a_chip(self):
        bad = apply(np.zeros((3000, 100), dtype=np.float32), bad_pixels=0.03) == 1
        assert bad.mean() == pytest.approx(0.03, rel=0.1)
        many = apply(np.zeros((3000, 100), dtype=np.float32), bad_pixels=0.3) == 1
        assert many.mean() == pytest.approx(0.3, rel=0.05)
        there = np.zeros((3000, 100), dtype=np.float32)
        there[:, 7] = 1  # one pixel in 100 is bad already, so that the mean is that of max(u, 0.01) for u of 0 to 0.06
        more = apply(there, bad_pixels=0.03) == 1
        assert more.mean() == pytest.approx(0.03 + 0.01**2 / (2 * 0.06), rel=0.1)
        starts_at_edge = bad[:, 40] & bad[:, 39]
        assert starts_at_edge.mean() == pytest.approx((bad[:, 40].mean() * bad[:, 39].mean()), abs=0.005)

    def test_equal_seeds_give_equal_spectra(self):
        x = np.random.default_rng(0).random((3, 100), dtype=np.float32)
        x_err = np.full_like(x, 0.1)
        everything = {"noise": (0, 4), "shift": 0.2, "broadening": 1, "continuum": (0.1, 0.1, 0.1), "bad_pixels": 0.1}
        np.testing.assert_array_equal(apply(x, 5, x_err, **everything), apply(x, 5, x_err, **everything))
        assert (apply(x, 5, x_err, **everything) != apply(x, 6, x_err, **everything)).any()


class TestAugmentation:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"shift": -1},
            {"shift": 1e6},
            {"broadening": 8},
            {"noise": (2, 1)},
            {"noise": 3},
            {"continuum": (1, 1)},
            {"bad_pixels": 0.6},
            {"pairs": np.nan},
            {"separate_windows": "no"},
            {"rare_labels": 0.5},
        ],
    )
    def test_amplitudes_that_cannot_be_used_are_named(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Augmentation(**wrong)

    def test_arrays_become_tuples(self):
        assert Augmentation(noise=np.array([0, 3])).noise == (0.0, 3.0)

    @pytest.mark.parametrize("other", ["auto", [], 3, Augmentation])
    def test_other_types_are_refused(self, other):
        with pytest.raises(ValueError, match="expected an Augmentation, a mapping"):
            Augmentation.of(other)

    def test_mappings_name_what_differs(self):
        assert Augmentation.of({"shift": 0.5}) == Augmentation(shift=0.5)
        with pytest.raises(ValueError, match="'shiff'"):
            Augmentation.of({"shiff": 0.5})


class TestAugmentSpectra:
    def test_unknown_errors_are_estimated(self):
        x = (1 + 0.02 * np.random.default_rng(0).standard_normal((20, 7514))).astype(np.float32)
        np.testing.assert_allclose(known_or_estimated_errors(x, None), 0.02, rtol=0.1)
        more = augment_spectra(x, augmentation=NONE | {"noise": (2, 2)}, random_state=0)
        assert (more - x).std() == pytest.approx(0.04, rel=0.1)

    def test_none_changes_nothing_and_auto_is_the_default(self):
        x = 1 + 0.02 * np.random.default_rng(0).standard_normal((2, 60))
        assert (augment_spectra(x, augmentation=None) == x.astype(np.float32)).all()
        default = augment_spectra(x, random_state=0)
        assert (augment_spectra(x, augmentation="auto", random_state=0) == default).all()
        assert (augment_spectra(x, augmentation={}, random_state=0) == default).all()
        with pytest.raises(ValueError, match="augmentation='none', expected"):
            augment_spectra(x, augmentation="none")

    def test_the_input_is_not_changed(self):
        x = np.ones((2, 7514), dtype=np.float32)
        augment_spectra(x, np.full_like(x, 0.1), random_state=0)
        assert (x == 1).all()

    @pytest.mark.parametrize(
        "chips",
        [[slice(0, 30)], [slice(0, 100)], [slice(None)], [], 3, [(0, 30), (30, 60)], [slice(30, 60), slice(0, 30)]],
    )
    def test_chips_that_do_not_cover_each_pixel_once_are_refused(self, chips):
        with pytest.raises(ValueError, match="cover each of the 60 pixels once"):
            augment_spectra(np.ones((2, 60)), chips=chips)

    def test_bad_pixels_of_the_errors_become_one_before(self):
        x, x_err = np.full((1, 7514), 0.5, dtype=np.float32), np.full((1, 7514), 0.01, dtype=np.float32)
        x_err[0, 7] = np.inf
        assert augment_spectra(x, x_err, augmentation=NONE, random_state=0)[0, 7] == 1
