"""Labels of the synthetic stars, in the Milky Way and in a globular cluster."""

import numpy as np
import pytest

from skbcnn.datasets.synthetic.tables import column, table
from skbcnn.survey import APOGEE_LABELS
from tests.datasets.synthetic.giants import ELEMENTS, FE, INDEX, LOGG, TEFF, cluster, correlation, population, residual


@pytest.mark.parametrize("correlated", [True, False])
def test_means_and_standard_deviations_are_those_of_the_training_set(correlated):
    labels = population(correlated=correlated)
    mean, std = (column("synthetic_labels", name) for name in ("mean", "std"))
    np.testing.assert_array_less(np.abs(labels.mean(axis=0) - mean), 5 * std / np.sqrt(len(labels)))
    np.testing.assert_allclose(labels.std(axis=0), std, rtol=0.03)


def test_the_table_of_labels_has_the_order_of_the_survey():
    assert tuple(table("synthetic_labels")) == APOGEE_LABELS


def test_temperatures_and_gravities_are_those_of_giants():
    labels = population()
    assert labels[:, TEFF].min() >= 3700
    assert labels[:, TEFF].max() <= 5600
    assert labels[:, LOGG].min() >= 0.3
    assert labels[:, LOGG].max() <= 4.0


def test_giant_branch_is_hotter_for_metal_poor_stars():
    labels = population()
    assert correlation(labels, "teff", "logg") == pytest.approx(0.90, abs=0.01)
    slope = np.polyfit(labels[:, FE], residual(labels, "teff", ["logg"]), 1)[0]
    assert slope == pytest.approx(-0.25 * 294 / 0.30, rel=0.05)  # K per dex


def test_aluminium_follows_magnesium_only_if_correlated():
    assert correlation(population(), "Al", "Mg") > 0.95
    assert correlation(population(correlated=False), "Al", "Mg") < 0.4


def test_uncorrelated_elements_share_nothing_but_iron():
    labels = population(correlated=False)
    names = [name for name in ELEMENTS if name not in ("Fe", "C1", "Ti2")]
    own = np.corrcoef([residual(labels, name, ["Fe", "logg", "teff"]) for name in names])
    assert np.abs(own - np.eye(len(names))).max() < 5 / np.sqrt(len(labels))


@pytest.mark.parametrize("correlated", [True, False])
@pytest.mark.parametrize(("reading", "element"), [("C1", "C"), ("Ti2", "Ti")])
def test_two_readings_of_one_element_agree(reading, element, correlated):
    assert correlation(population(correlated=correlated), reading, element) > 0.88


def test_alpha_elements_are_enhanced_together_in_metal_poor_stars():
    labels = population()
    over_iron = {name: labels[:, INDEX[name]] - labels[:, FE] for name in ("O", "Mg", "Si", "Ni")}
    poor, rich = labels[:, FE] < -0.5, labels[:, FE] > 0
    for name in ("O", "Mg", "Si"):
        assert over_iron[name][poor].mean() > over_iron[name][rich].mean() + 0.08
    assert abs(over_iron["Ni"][poor].mean() - over_iron["Ni"][rich].mean()) < 0.05
    own = [residual(labels, name, ["Fe"]) for name in ("Mg", "Si")]
    assert np.corrcoef(own)[0, 1] > 0.7


def test_evolved_giants_have_less_carbon_and_more_nitrogen():
    labels = population()
    bright = labels[:, LOGG] < 2.0
    carbon, nitrogen = (residual(labels, name, ["Fe"]) for name in ("C", "N"))
    assert carbon[bright].mean() < carbon[~bright].mean() - 0.1
    assert nitrogen[bright].mean() > nitrogen[~bright].mean() + 0.1


def test_metal_poor_stars_follow_the_ties_of_the_milky_way():
    labels, usual = population(kind="metal_poor"), population()
    assert labels[:, FE].mean() == pytest.approx(-1.3, abs=0.01)
    assert labels[:, FE].std() == pytest.approx(0.35, rel=0.03)
    for name, given in (("Al", ["Mg", "Fe"]), ("Ni", ["Fe"]), ("Ti2", ["Ti"])):
        assert residual(labels, name, given).std() == pytest.approx(residual(usual, name, given).std(), rel=0.15)
    assert correlation(labels, "Al", "Mg") > 0.9
    enhanced = labels[:, INDEX["Mg"]] - labels[:, FE]
    assert (enhanced > 0.2).mean() > 0.8  # most are on the high alpha sequence


# The globular cluster


def test_cluster_has_one_iron_abundance():
    iron = cluster()[:, FE]
    assert iron.mean() == pytest.approx(-1.3, abs=0.01)
    assert iron.std() == pytest.approx(0.05, rel=0.03)


def test_cluster_varies_in_aluminium_alone():
    labels = cluster()
    aluminium, magnesium = labels[:, INDEX["Al"]], labels[:, INDEX["Mg"]]
    assert aluminium.min() >= -1.5
    assert aluminium.max() <= -0.5
    assert aluminium.mean() == pytest.approx(-1.0, abs=5 * 0.289 / np.sqrt(len(labels)))
    assert aluminium.std() == pytest.approx(1 / np.sqrt(12), rel=0.03)  # uniform over 1 dex
    counts = np.histogram(aluminium, bins=10)[0]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(1800)  # binomial: 20 000 * 0.1 * 0.9
    # own scatter: sqrt(1 - 0.90^2 - 0.40^2) * 0.26 * 0.6 = 0.027; of iron: 0.05 * 0.90 * 0.26 / 0.30 = 0.039
    assert magnesium.std() == pytest.approx(np.hypot(0.027, 0.039), rel=0.03)
    others = [name for name in ELEMENTS if name not in ("Al", "C", "C1", "N")]
    assert labels[:, [INDEX[name] for name in others]].std(axis=0).max() < 0.13


def test_aluminium_of_the_cluster_follows_nothing():
    labels = cluster()
    for name in APOGEE_LABELS:
        if name != "Al":
            assert abs(correlation(labels, "Al", name)) < 5 / np.sqrt(len(labels)), name


def test_cluster_is_outside_the_correlation_of_the_milky_way():
    def scatter_about_magnesium(labels):
        usual = population()
        slope, intercept = np.polyfit(usual[:, INDEX["Mg"]], usual[:, INDEX["Al"]], 1)
        return np.std(labels[:, INDEX["Al"]] - slope * labels[:, INDEX["Mg"]] - intercept)

    assert scatter_about_magnesium(cluster()) > 4 * scatter_about_magnesium(population())


def test_cluster_is_enhanced_in_alpha_elements():
    over_iron = {name: (cluster()[:, INDEX[name]] - cluster()[:, FE]).mean() for name in ("O", "Mg", "Si", "Ca", "Ni")}
    assert all(0.15 < over_iron[name] < 0.5 for name in ("O", "Mg", "Si", "Ca"))
    assert over_iron["Ni"] < 0.12


def test_cluster_giants_are_where_metal_poor_giants_are():
    labels = cluster()
    assert labels[:, LOGG].mean() == pytest.approx(1.5, abs=0.02)
    assert 0.3 <= labels[:, LOGG].min() < labels[:, LOGG].max() < 3.3
    # the branch of the Milky Way at [Fe/H] = -1.3: 0.90 * 294 K per 0.56 dex, and 0.25 * 294 K hotter per 0.30 dex
    expected = 4655 + 0.90 * 294 / 0.56 * (labels[:, LOGG] - 2.33) - 0.25 * 294 / 0.30 * (labels[:, FE] + 0.12)
    off = labels[:, TEFF] - expected
    assert off.mean() == pytest.approx(0, abs=5)
    assert off.std() == pytest.approx(0.6 * 294 * np.sqrt(1 - 0.90**2 - 0.25**2), rel=0.05)


@pytest.mark.parametrize(("reading", "element"), [("C1", "C"), ("Ti2", "Ti")])
def test_two_readings_of_one_element_agree_in_the_cluster(reading, element):
    def scatter(labels):
        return np.std(labels[:, INDEX[reading]] - labels[:, INDEX[element]])

    assert scatter(cluster()) < scatter(population())
