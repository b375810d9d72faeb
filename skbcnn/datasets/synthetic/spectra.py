"""Synthetic spectra of red giants with known labels.

The modules beside this one are the steps of `make_apogee_spectra`: `population` draws the labels, `lines` lists the
absorption lines, `star` gives the flux, `instrument` observes it, and `catalogue` adds noise to the labels.
"""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skbcnn._masked import plain_numbers
from skbcnn.datasets.synthetic.catalogue import catalogue
from skbcnn.datasets.synthetic.instrument import observed_spectra
from skbcnn.datasets.synthetic.population import POPULATIONS, draw_population
from skbcnn.datasets.synthetic.streams import random_streams
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import APOGEE_LABELS, wavelength

_LINES = ("blanketed", "isolated")
_KINDS = ("combined", "visit")
_CONTINUA = ("fitted", "true")

DESCR = """Synthetic APOGEE spectra of red giants

Continuum-normalised spectra on the 7514 pixels of DR13 to DR17, with 22 labels: Teff in K, log g in dex (cgs), and 20
abundances [X/H] in dex. The stars do not exist, and no stellar atmosphere was computed. Atomic lines are in the windows
in which ASPCAP reads each element, and depend on temperature, gravity and abundance like real lines, but their
strengths were drawn at random, and so were the blends. CO, CN and OH have lines at their real wavelengths. A model
fitted to these spectra knows synthetic stars only.
"""


def make_apogee_spectra(
    n_samples: int = 1000,
    *,
    snr: ArrayLike = 200.0,
    missing: float = 0.03,
    correlated: bool = True,
    population: str = "milky_way",
    continuum: str = "fitted",
    kind: str = "combined",
    lines: str = "blanketed",
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Draw synthetic APOGEE spectra of red giants with known labels.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of stars.
    snr : float or array-like of shape (n_samples,), default=200.0
        Signal-to-noise ratio per pixel, in the continuum of a typical pixel.
    missing : float, default=0.03
        Mean fraction of missing labels, 0 to 0.9. More labels are missing in metal-poor stars and for elements with
        few and weak lines. Teff is never missing.
    correlated : bool, default=True
        Whether abundances are correlated as in the Milky Way: alpha elements with each other, [Al/H] with [Mg/H],
        and less carbon and more nitrogen along the giant branch. If False, the elements are independent of each other
        at given [Fe/H] and less correlated with it, with the same means and standard deviations; only the two labels
        of one element (C and C1, Ti and Ti2) still agree. False is an error for a globular cluster, whose stars are
        alike.
    population : {"milky_way", "metal_poor", "globular_cluster"}, default="milky_way"
        Population of the stars. ``"metal_poor"``: [Fe/H] of -1.3 with a scatter of 0.35 dex, and the correlations of
        the Milky Way, where such stars are rare. ``"globular_cluster"``: bright giants with [Fe/H] = -1.3 and a scatter
        of 0.05 dex, on the giant branch of that abundance. All are enhanced in alpha elements, [Mg/H] scatters by 0.05
        dex, and [Al/H] is uniform between -1.5 and -0.5 and independent of the other labels, as in M13. The other
        elements depend on iron and gravity as in the Milky Way.
    continuum : {"fitted", "true"}, default="fitted"
        Continuum by which the flux and its errors are divided. ``"fitted"``: the one that `ContinuumNormalizer` fits,
        as for real spectra. Models trained on such spectra can predict real ones, and the other way round. ``"true"``:
        the true one, which is not known for real spectra. Version 0.1 always used the true one.
    kind : {"combined", "visit"}, default="combined"
        ``"visit"``: spectra that have what single visits have beyond combined spectra (see Notes). Their S/N is lower,
        too: pass it as `snr`. The stars and their labels are those of ``"combined"`` with the same `random_state`.
    lines : {"blanketed", "isolated"}, default="blanketed"
        Absorption lines. ``"blanketed"``: bands of CO, CN and OH, blends in all windows, and many weak lines, which
        leave little true continuum, as in real giants. ``"isolated"``: the lines of version 0.1, which are fewer and
        stronger; this option remains for one minor release, so that earlier results can be repeated.
    random_state : int, RandomState instance or None, default=None
        Pass an int to get the same stars in each call. The data of a star do not depend on `n_samples`, so test stars
        need another seed than training stars.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : ndarray of shape (n_samples, 7514), float32
            Continuum-normalised flux. Flagged pixels are exactly 1.
        y : ndarray of shape (n_samples, 22), float64
            Labels as in a catalogue: with noise, and -9999 where missing.
        X_err : ndarray of shape (n_samples, 7514), float32
            1 sigma of the flux, 0 where a pixel was flagged.
        preprocessing : dict
            Preparation of `X`: the argument `preprocessing` of `write_h5` and `save_folder`. Empty for
            ``continuum="true"``.
        y_err : ndarray of shape (n_samples, 22), float64
            1 sigma of the noise in `y`, -9999 where missing.
        truth : ndarray of shape (n_samples, 22), float64
            Labels without noise, none missing.
        label_names : list of str
            Names of the columns of `y`, in the order of `skbcnn.APOGEE_LABELS`.
        wavelength : ndarray of shape (7514,)
            Vacuum wavelength of each pixel, in Angstrom.
        snr : ndarray of shape (n_samples,)
            Signal-to-noise ratio of each star.
        DESCR : str
            Description of the data.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive integer, an `snr` is not positive or their number is not `n_samples`,
        `missing` is outside 0 to 0.9, `population`, `continuum`, `kind` or `lines` is unknown, or a globular cluster is
        combined with ``correlated=False``.

    Notes
    -----
    Like in nature: the distribution of labels (in the Milky Way, means and standard deviations of `truth` are
    those of the training set of [1]_), Boltzmann factors, ionised lines that are stronger at low gravity, the continuum
    opacity of metals, the curve of growth with a hidden microturbulence, CO, CN and OH, which share their atoms and
    vanish in hot stars, hydrogen lines, blends inside and outside the windows [2]_, resolving power 22 500 with a few
    percent of scatter, residual velocities of 0.4 km/s, continuum errors of half a percent, noise that increases toward
    the edges of the detectors, and runs of flagged pixels at sky lines. The lines of CO, CN and OH are computed from
    molecular constants [3]_ [4]_ [5]_. The mean flux and the shares of pixels below 0.98, 0.95 and 0.9 are close to
    those of real giants of 4200 to 5000 K.

    Single visits have four further effects: a residual shift (standard deviation 0.2 pixel); a line-spread function
    that is broader by a variance between 0 and 1 pixel squared; a relative continuum error with a constant, a slope and
    a curvature (Legendre polynomials) on each chip, each with a standard deviation of 0.004, which the continuum fit
    does not remove; and more bad pixels, in runs of 1 to 6: 3 % instead of 1.6 %.

    Unlike in nature: strengths and excitations of atomic lines are drawn at random, radiative transfer is a closed form
    (a line's residual flux is a power of ``1 + optical depth``), and label noise is Gaussian and independent.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255.
    .. [2] García Pérez et al. (2016), AJ 151, 144, on the element windows.
    .. [3] Huber & Herzberg (1979), Constants of Diatomic Molecules, on CO and OH.
    .. [4] Ram et al. (2010), ApJS 188, 500, on CN.
    .. [5] Rousselot et al. (2000), A&A 354, 1134, on OH in the night sky.

    Examples
    --------
    >>> from skbcnn.datasets.synthetic import make_apogee_spectra
    >>> stars = make_apogee_spectra(20, snr=150, random_state=0)
    >>> stars.X.shape, stars.y.shape, stars.label_names[:3]
    ((20, 7514), (20, 22), ['teff', 'logg', 'C'])
    >>> bool((stars.truth > -9999).all())
    True
    >>> cluster = make_apogee_spectra(100, population="globular_cluster", random_state=0)
    >>> of_mg, of_al = (cluster.truth[:, cluster.label_names.index(name)].std() for name in ("Mg", "Al"))
    >>> bool(of_al > 4 * of_mg)
    True
    """
    snr = _checked_snr(n_samples, snr, missing, correlated, population)
    _check_choice("continuum", continuum, _CONTINUA)
    _check_choice("kind", kind, _KINDS)
    _check_choice("lines", lines, _LINES)
    normalizer = ContinuumNormalizer() if continuum == "fitted" else None
    drawn_from = POPULATIONS[population]
    streams = random_streams(random_state, kind)
    truth = draw_population(n_samples, drawn_from, correlated, streams["population"], streams["family"])
    y, y_err = catalogue(truth, missing, drawn_from.iron, streams["labels"], streams["missing"])
    X, X_err = observed_spectra(truth, snr, streams, normalizer, lines)
    return Bunch(
        X=X,
        y=y,
        X_err=X_err,
        y_err=y_err,
        truth=truth,
        label_names=list(APOGEE_LABELS),
        wavelength=wavelength(),
        snr=snr,
        preprocessing={} if normalizer is None else normalizer.get_params() | {"combination": "pixel"},
        DESCR=DESCR,
    )


def _checked_snr(n_samples: Any, snr: ArrayLike, missing: float, correlated: bool, population: Any) -> np.ndarray:
    """Return the signal-to-noise ratio of each star, after a check of all arguments."""
    if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r}, expected a whole number of stars, at least 1.")
    if not isinstance(missing, Real) or not 0 <= missing <= 0.9:
        raise ValueError(
            f"missing={missing!r}, expected a fraction of at least 0 and at most 0.9: Teff is never missing, so not "
            "every label can be. Pass 0 for complete labels."
        )
    _check_choice("population", population, tuple(POPULATIONS))
    if not (correlated or POPULATIONS[population].can_be_uncorrelated):
        raise ValueError(
            f"correlated=False with population={population!r}: its stars are alike, so there are no correlations "
            "to remove. Use correlated=True; aluminium is independent of the other labels in any case."
        )
    if not isinstance(correlated, bool | np.bool_):
        raise ValueError(f"correlated={correlated!r}, expected True or False.")
    snr = plain_numbers(snr, "snr", "Pass for instance snr=200")
    if snr.shape not in ((), (n_samples,)):
        raise ValueError(
            f"snr has shape {snr.shape}, expected one number or one for each of the {n_samples} stars. Pass an array "
            f"of shape ({n_samples},), or change n_samples."
        )
    if not (np.isfinite(snr) & (snr > 0)).all():
        raise ValueError(f"snr must be finite and above 0, got {snr.min()} to {snr.max()}. Pass for instance snr=200.")
    return np.full(n_samples, snr)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        *first, last = map(repr, choices)
        raise ValueError(f"{name}={value!r}, expected {', '.join(first)} or {last}.")
