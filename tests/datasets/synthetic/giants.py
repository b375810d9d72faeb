"""Labels and lines of the synthetic giants, for the tests of this folder."""

from functools import cache

import numpy as np

from skbcnn.datasets.synthetic.lines import line_list
from skbcnn.datasets.synthetic.population import POPULATIONS, draw_population
from skbcnn.datasets.synthetic.star import clean_flux
from skbcnn.datasets.synthetic.tables import table
from skbcnn.survey import APOGEE_LABELS, kept_pixels

INDEX = {name: column for column, name in enumerate(APOGEE_LABELS)}
ELEMENTS = APOGEE_LABELS[2:]
TEFF, LOGG, FE = INDEX["teff"], INDEX["logg"], INDEX["Fe"]
SPECIES = tuple(table("synthetic_species_blanketed"))


@cache
def population(n_stars=20_000, correlated=True, kind="milky_way"):
    streams = np.random.RandomState(1), np.random.RandomState(2)
    return draw_population(n_stars, POPULATIONS[kind], correlated, *streams)


def cluster(n_stars=20_000):
    return population(n_stars, kind="globular_cluster")


def giant(**changes):
    """Labels of the reference giant, with some of them changed."""
    labels = np.zeros((1, len(APOGEE_LABELS)))
    labels[0, [TEFF, LOGG]] = 4655.0, 2.33
    for name, value in changes.items():
        labels[0, INDEX[name]] = value
    return labels


def flux(lines="blanketed", **changes):
    return clean_flux(giant(**changes), lines=lines)[0]


def lines_of(species, lines="blanketed"):
    """Apstar pixels of the lines of one species."""
    listed = line_list(lines).lines
    return listed.centre[listed.species == SPECIES.index(species)]


def near_lines(species, lines="blanketed"):
    """Return which kept pixels a line of the species can reach."""
    return (np.abs(kept_pixels()[:, np.newaxis] - lines_of(species, lines)) <= 9).any(axis=1)


def correlation(labels, one, other):
    return np.corrcoef(labels[:, INDEX[one]], labels[:, INDEX[other]])[0, 1]


def residual(labels, name, given):
    """Return the residuals of a label after linear regression on others."""
    design = np.column_stack([np.ones(len(labels)), labels[:, [INDEX[other] for other in given]]])
    column = labels[:, INDEX[name]]
    return column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
