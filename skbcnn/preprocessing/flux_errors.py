"""Flux errors from inverse variances."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._arrays import as_array, as_pixels


def errors_from_ivar(ivar: ArrayLike) -> Any:
    """Return flux errors, the standard deviations that belong to inverse variances.

    Parameters
    ----------
    ivar : array-like of float
        Inverse variances of any shape, as in the files of SDSS-V. 0, NaN and masked values mean that nothing is known.
        A Quantity keeps its unit.

    Returns
    -------
    err : ndarray of the shape of `ivar`
        ``1 / sqrt(ivar)``, infinite where nothing is known: such pixels count as bad wherever skbcnn takes errors. A
        Quantity if `ivar` has a unit. float32 stays float32.

    Raises
    ------
    ValueError
        If an inverse variance is negative, or is not a number.

    See Also
    --------
    prepare_spectra : Takes inverse variances as `ivar`.

    Examples
    --------
    >>> from skbcnn.preprocessing import errors_from_ivar
    >>> errors_from_ivar([[4.0, 0.0, 100.0]])
    array([[0.5, inf, 0.1]])
    """
    pixels = as_pixels(ivar, "ivar")
    values = as_array(pixels.filled(np.nan))
    if values.dtype.kind not in "fiub":
        raise ValueError(f"ivar holds {values.dtype} values, expected numbers: the inverse variance of each pixel.")
    if values.dtype.type not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if n_negative := int((values < 0).sum()):
        raise ValueError(
            f"ivar is negative in {n_negative} places, but an inverse variance is 1/error**2. Pass 0 for pixels "
            "without a known error."
        )
    with np.errstate(divide="ignore"):
        err = 1 / np.sqrt(values)
    err = np.where(np.isnan(err), values.dtype.type(np.inf), err)
    return err if pixels.unit is None else err * (1 / pixels.unit) ** 0.5
