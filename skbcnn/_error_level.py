"""Level of flux errors: errors above the continuum mark bad pixels, and most of them cannot do so."""

from __future__ import annotations

import numpy as np

from skbcnn._user_warnings import rows_in_words, warn_user

MAX_FLUX_ERROR = 1  # in units of the continuum; a pixel with a larger error is bad, as the survey marks bad pixels
BAD_PIXEL_ERROR = 1e9  # a mark like infinity: inverse variances of normalised flux are smaller
MIN_MEDIAN_ERROR = 1e-4  # in units of the continuum; no spectrum has a signal-to-noise ratio of 10,000
HIGH_ERRORS = (  # causes and remedies
    "Are these inverse variances? Then pass them to prepare_spectra as `ivar=`, or convert them with "
    "skbcnn.preprocessing.errors_from_ivar. Otherwise the signal-to-noise ratio is below 1 or most pixels are bad: "
    "leave such spectra out."
)
MOSTLY_HIGH_ERRORS = (
    "more than half of the flux errors are above the continuum. These pixels count as bad, and their flux is replaced "
    f"by 1, so that labels of these spectra mean little. {HIGH_ERRORS}"
)
LOW_ERRORS = (
    f"more than half of the flux errors are below {MIN_MEDIAN_ERROR} of the continuum, a signal-to-noise ratio above "
    f"{1 / MIN_MEDIAN_ERROR:,.0f}. They are probably inverse variances (pass them to prepare_spectra as `ivar`), or "
    "not in the unit of the flux."
)


class HighFluxErrorsError(ValueError):
    """Most flux errors are above the continuum."""

    def __init__(self, what: str, n_high: int, n: int) -> None:
        super().__init__(
            f"{what} in {n_high} of {n} pixels, so that the median is, too. Are these inverse variances? Then convert "
            "them with skbcnn.preprocessing.errors_from_ivar, or pass them to prepare_spectra as `ivar`. Are they "
            "errors of flux that is not normalised, or in another unit? Then pass flux and errors in one unit, both "
            "divided by the continuum or neither. Do they mark bad pixels, or is the signal-to-noise ratio below 1? "
            "Then leave such spectra out."
        )


class ErrorLevel:
    """Numbers of pixels of each spectrum: measured, with errors above the continuum, and with errors too small.

    Parameters
    ----------
    n_spectra : int
        Number of spectra.
    name : str
        Name of the argument whose rows the messages name.
    """

    def __init__(self, n_spectra: int, name: str) -> None:
        self.name = name
        self.n, self.n_high, self.n_marked, self.n_low = np.zeros((4, n_spectra), dtype=int)

    def add(self, rows: slice, relative_err: np.ndarray, measured: np.ndarray, marked: np.ndarray) -> None:
        """Count the errors of some spectra.

        Parameters
        ----------
        rows : slice
            Rows of the spectra.
        relative_err : ndarray of shape (n_rows, n_pixels)
            Errors in units of the continuum.
        measured : ndarray of bool of shape (n_rows, n_pixels)
            Pixels to count.
        marked : ndarray of bool of shape (n_rows, n_pixels)
            Pixels whose error is a mark, such as 1e10, and no number.
        """
        high = measured & (relative_err > MAX_FLUX_ERROR)
        self.n[rows] = _count(measured)
        self.n_high[rows] = _count(high)
        self.n_marked[rows] = _count(high & marked)
        self.n_low[rows] = _count(measured & (relative_err < MIN_MEDIAN_ERROR))

    @property
    def rows_without_good_pixels(self) -> np.ndarray:
        """Spectra all of whose errors are above the continuum."""
        return np.flatnonzero((self.n > 0) & (self.n_high == self.n))

    @property
    def rows_too_high(self) -> np.ndarray:
        """Spectra whose median error is above the continuum, including errors that only mark bad pixels."""
        return np.flatnonzero(2 * self.n_high > self.n)

    @property
    def rows_too_low(self) -> np.ndarray:
        """Spectra whose median error is too small."""
        return np.flatnonzero(2 * self.n_low > self.n)

    def check(self, what: str, rows: np.ndarray | None = None) -> None:
        """Refuse errors with a median above the continuum; those that only mark bad pixels do not count.

        Parameters
        ----------
        what : str
            What is too large, with its verb: the beginning of the message.
        rows : ndarray of int, default=None
            Spectra to look at. None: all.

        Raises
        ------
        HighFluxErrorsError
            If more than half of the errors of these spectra are above the continuum.
        """
        looked_at = slice(None) if rows is None else rows
        n, n_high = (int((counts - self.n_marked)[looked_at].sum()) for counts in (self.n, self.n_high))
        if 2 * n_high > n:
            raise HighFluxErrorsError(what, n_high, n)

    def warn_of_high_errors(self) -> None:
        """Warn of single spectra with a median error above the continuum.

        Warns
        -----
        UserWarning
            If there are any; the warning names the rows.
        """
        if len(rows := self.rows_too_high):
            warn_user(f"{rows_in_words(rows)} of {self.name}: {MOSTLY_HIGH_ERRORS}")


def _count(flags: np.ndarray) -> np.ndarray:
    """Return how many values of each row are True. For long rows this is faster than a sum, which makes integers."""
    return np.array([np.count_nonzero(row) for row in flags], dtype=int)
