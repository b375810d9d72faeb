"""`JacobianDisplay`: derivatives of labels with respect to the flux of each pixel, along the spectrum."""

import numpy as np

from skbcnn.plotting._display import MultiPanelDisplay
from skbcnn.plotting._estimators import find_regressor, regressor_and_spectra
from skbcnn.plotting._label_inputs import column_names, column_of
from skbcnn.plotting._label_text import label_symbol, unit_in_brackets
from skbcnn.plotting._spectrum_panels import shade_window, spectrum_axes, spectrum_panels, window_mask
from skbcnn.plotting._style import CYCLE, DARK, ORANGE

_PARTIAL = "\N{PARTIAL DIFFERENTIAL}"
_MAX_LABELS = len(CYCLE)


class JacobianDisplay(MultiPanelDisplay):
    """Derivatives of labels with respect to the flux, a panel for each chip, with the windows of the labels shaded.

    Create it with `from_estimator` or `from_jacobian`.

    Parameters
    ----------
    jacobian : ndarray of shape (n_labels, n_pixels)
        Derivatives in the unit of the label, for flux relative to the continuum.
    label_names : sequence of str
        Names of at most six labels with the same unit.
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        Pixels of the window of each label. None: the windows of APOGEE, for its 7514 pixels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (3,), or (1,)
        A panel for each chip of derivatives by 7514 pixels, a single panel for all others.
    ax_ : matplotlib.axes.Axes
        First panel.
    figure_ : matplotlib.figure.Figure
        Figure of the panels.

    See Also
    --------
    skbcnn.jacobian : Compute the derivatives.
    skbcnn.inspection.window_attribution : Shares within the windows, averaged over stars.

    Notes
    -----
    The legend gives the share of the absolute derivatives that is within the window of the label. The share is 100 % if
    the context of the network is held fixed. It is smaller if the label also changes with the context, which depends on
    the full spectrum.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, on the Jacobian of the censored network.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting import JacobianDisplay, new_figure
    >>> display = JacobianDisplay.from_jacobian(
    ...     np.array([0.0, 3.0, 0.0, -1.0]),
    ...     label_names=["Al"],
    ...     windows={"Al": [1, 2]},
    ...     ax=new_figure(7, 2).add_subplot(),
    ... )
    >>> display.shares_within()
    array([0.75])
    """

    def __init__(self, *, jacobian, label_names, windows=None):
        self.jacobian = jacobian
        self.label_names = label_names
        self.windows = windows

    @classmethod
    def from_estimator(cls, estimator, X, *, label_name=None, path="total", n_draws=20, ax=None):
        """Compute the derivatives of labels, average them over the stars, and draw them.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator. Derivatives are with respect to the flux that reaches the regressor.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        label_name : str or sequence of str, default=None
            Labels to draw, in any spelling. None is valid if the estimator has only one label.
        path : {"total", "stopped", "window"}, default="total"
            Paths through the network that count, as in `skbcnn.jacobian`.
        n_draws : int or None, default=20
            Number of posterior draws to average, as in `skbcnn.jacobian`.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Axes to draw on, as in `from_jacobian`.

        Returns
        -------
        display : JacobianDisplay

        Raises
        ------
        ValueError
            If the estimator does not have the label, or the spectra are invalid.
        """
        from skbcnn.inspection import jacobian

        rows = _rows(label_name, find_regressor(estimator).target_names_, "the estimator")
        model, X = regressor_and_spectra(estimator, X)
        derivatives = np.atleast_2d(jacobian(model, X, path=path, mean_output=True, n_draws=n_draws))
        windows = {
            name: window for name, window in zip(model.target_names_, model.spec_.windows, strict=True) if window
        }
        names = [model.target_names_[row] for row in rows]
        return cls.from_jacobian(derivatives[rows], label_names=names, windows=windows, ax=ax)

    @classmethod
    def from_jacobian(cls, jacobian, *, label_names=None, label_name=None, windows=None, ax=None):
        """Draw derivatives that were computed before.

        Parameters
        ----------
        jacobian : array-like of shape (n_labels, n_pixels) or (n_pixels,)
            Derivatives of labels with respect to the flux of each pixel, in the unit of the label.
        label_names : str or sequence of str, default=None
            Names of the rows. None: the 22 labels of APOGEE for 22 rows.
        label_name : str or sequence of str, default=None
            Labels to draw, in any spelling. None: all labels.
        windows : ElementWindows, mapping of str to array-like of int, or None, default=None
            Pixels of the window of each label. None: the windows of APOGEE, for its 7514 pixels.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : JacobianDisplay

        Raises
        ------
        ValueError
            If the numbers of names and rows differ, a label is unknown, there are more than six labels or labels with
            different units, or a derivative is not finite.
        """
        jacobian = np.asarray(jacobian, dtype=float)
        if jacobian.ndim not in (1, 2):
            raise ValueError(
                f"jacobian has shape {jacobian.shape}, expected (n_labels, n_pixels) or (n_pixels,). Average over the "
                "stars first: jacobian.mean(axis=0)."
            )
        jacobian = np.atleast_2d(jacobian)
        names = column_names(label_names, jacobian.T, "jacobian")
        rows = list(range(len(names))) if label_name is None else _rows(label_name, names, "the jacobian")
        return cls(jacobian=jacobian[rows], label_names=tuple(names[row] for row in rows), windows=windows).plot(ax)

    def shares_within(self):
        """Return the share of the absolute derivatives that is within the window of each label.

        Returns
        -------
        shares : ndarray of shape (n_labels,)
            NaN if a label has no window, or all its derivatives are 0.
        """
        size, masks = np.abs(self.jacobian), self._masks()
        within = [0 if mask is None else row[mask].sum() for row, mask in zip(size, masks, strict=True)]
        is_defined = np.array([mask is not None for mask in masks]) & (size.sum(axis=1) > 0)
        return np.divide(within, size.sum(axis=1), out=np.full(len(size), np.nan), where=is_defined)

    def _check(self):
        n_labels, units = len(self.label_names), {unit_in_brackets(name) for name in self.label_names}
        if n_labels > _MAX_LABELS or len(units) > 1:
            found = f"{n_labels} labels" if n_labels > _MAX_LABELS else f"labels with {len(units)} different units"
            raise ValueError(
                f"The jacobian has {found}, expected at most {_MAX_LABELS} labels with the same unit, because they "
                "share an axis. Choose labels: label_name=[...]."
            )
        if n_wrong := int((~np.isfinite(self.jacobian)).sum()):
            raise ValueError(f"jacobian is not finite in {n_wrong} places. Pass finite derivatives.")
        self._masks()

    def _masks(self):
        return [window_mask(name, self.windows, self.jacobian.shape[1]) for name in self.label_names]

    def _panel_axes(self, ax):
        return spectrum_axes(ax, self.jacobian.shape[1])

    def _draw(self, axes):
        lines = list(zip(self.jacobian, self._masks(), self._legend_texts(), self._colours(), strict=True))
        limits = self._limits()
        for ax, panel in zip(axes, spectrum_panels(self.jacobian.shape[1])[0], strict=True):
            for row, mask, text, (line_colour, window_colour) in lines:
                ax.plot(panel.positions, row[panel.pixels], color=line_colour, lw=0.7, label=text)
                if mask is not None:
                    shade_window(ax, panel, mask, color=window_colour, text="window" if len(lines) == 1 else None)
            ax.axhline(0, color=DARK, lw=0.5, zorder=1)
            ax.set_ylim(limits)
        axes[len(axes) // 2].set_ylabel(self._axis_label())
        axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)

    def _colours(self):
        """Return the colours of the line and the window of each label."""
        if len(self.label_names) == 1:
            return [(CYCLE[0], ORANGE)]
        return [(colour, colour) for colour in CYCLE[: len(self.label_names)]]

    def _legend_texts(self):
        return [
            label_symbol(name) + ("" if np.isnan(share) else f", {100 * share:.0f}% within its window")
            for name, share in zip(self.label_names, self.shares_within(), strict=True)
        ]

    def _axis_label(self):
        symbol = label_symbol(self.label_names[0]) if len(self.label_names) == 1 else "label"
        return f"{_PARTIAL}{symbol} / {_PARTIAL}flux{unit_in_brackets(self.label_names[0])}"

    def _limits(self):
        """Return limits that include zero, for all panels."""
        low, high = min(self.jacobian.min(), 0), max(self.jacobian.max(), 0)
        margin = 0.08 * (high - low) or 1.0
        return low - margin, high + margin


def _rows(label_name: str | list[str] | None, names: tuple[str, ...], owner: str) -> list[int]:
    """Return the rows of labels in any spelling."""
    chosen = [label_name] if label_name is None or isinstance(label_name, str) else list(label_name)
    return [column_of(name, names, owner=owner) for name in chosen]
