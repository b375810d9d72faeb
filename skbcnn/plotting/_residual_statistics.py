"""Text with the bias and the scatter of residuals."""

from __future__ import annotations

from typing import Any

from skbcnn.plotting._label_text import decimals_for, format_number


def statistics_text(row: Any, *, separator: str) -> str:
    """Return the bias (median) and the scatter (`mad_std`) of the residuals of a label as text.

    Parameters
    ----------
    row : astropy.table.Row
        Row of `skbcnn.metrics.residual_table`.
    separator : str
        Text between both numbers.

    Returns
    -------
    text : str
        The decimals show two significant digits of the scatter.

    Examples
    --------
    >>> from skbcnn.metrics import residual_table
    >>> from skbcnn.plotting._residual_statistics import statistics_text
    >>> table = residual_table([[4500.0], [4600.0], [4700.0]], [[4510.0], [4630.0], [4680.0]], label_names=["teff"])
    >>> statistics_text(table[0], separator=", ")
    'bias 10 K, scatter 30 K'
    """
    unit = f" {row['unit']}" if row["unit"] else ""
    decimals = decimals_for(row["mad_std"])
    bias, scatter = (format_number(row[name], decimals) for name in ("median_residual", "mad_std"))
    return f"bias {bias}{unit}{separator}scatter {scatter}{unit}"
