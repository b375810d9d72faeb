"""Which pixels a label answers to: its derivatives by the flux, along the spectrum."""

import numpy as np

from skbcnn.plotting.axis_texts import in_brackets, symbol
from skbcnn.plotting.figures import CYCLE, DARK, ORANGE, drawing
from skbcnn.plotting.inputs import column_names, column_of, regressor_and_spectra, regressor_in
from skbcnn.plotting.pixels import shade_window, spectrum_axes, window_of

_D = "\N{PARTIAL DIFFERENTIAL}"
_MOST_LABELS = len(CYCLE)


class JacobianDisplay:
    """Derivatives of labels by the flux of each pixel, a panel for each chip, with their windows shaded.

    Make one with `from_estimator` or `from_jacobian`.

    Parameters
    ----------
    jacobian : ndarray of shape (n_labels, n_pixels)
        Derivatives, in units of the label for flux in units of the continuum.
    label_names : sequence of str
        Of the rows: six at most, of one unit.
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        None: those of APOGEE, for its 7514 pixels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (3,), or (1,)
        A panel for each chip of spectra of 7514 pixels, one for all others.
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
        That holds them.

    See Also
    --------
    skbcnn.inspection.jacobian : The derivatives.
    skbcnn.inspection.window_attribution : Shares within the windows, averaged over stars.

    Notes
    -----
    The legend tells which share of what is drawn, without its sign, lies within the window of a label: all of it, if
    the context of the network is held fixed; less, if the label follows what the whole spectrum tells of the star.

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
        """Differentiate labels of spectra, average over the stars, and draw.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted. Derivatives are by the flux that reaches the regressor.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        label_name : str or sequence of str, default=None
            Which labels, in any spelling. May be left out if there is only one.
        path : {"total", "stopped", "window"}, default="total"
            On which ways the flux acts on a label, as in `skbcnn.inspection.jacobian`.
        n_draws : int or None, default=20
            Posterior draws to average over, likewise.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            As in `plot`.

        Returns
        -------
        display : JacobianDisplay

        Raises
        ------
        ValueError
            If the estimator has no such label, or the spectra cannot be used.
        """
        from skbcnn.inspection import jacobian

        chosen = _rows(label_name, regressor_in(estimator).target_names_, "the estimator")
        model, X = regressor_and_spectra(estimator, X)
        derivatives = np.atleast_2d(jacobian(model, X, path=path, mean_output=True, n_draws=n_draws))
        windows = {
            name: window for name, window in zip(model.target_names_, model.spec_.windows, strict=True) if window
        }
        names = [model.target_names_[row] for row in chosen]
        return cls.from_jacobian(derivatives[chosen], label_names=names, windows=windows, ax=ax)

    @classmethod
    def from_jacobian(cls, jacobian, *, label_names=None, label_name=None, windows=None, ax=None):
        """Draw derivatives that are known.

        Parameters
        ----------
        jacobian : array-like of shape (n_labels, n_pixels) or (n_pixels,)
            Derivatives of the labels by the flux of each pixel, in units of the label.
        label_names : str or sequence of str, default=None
            Names of the rows. None: the 22 labels of APOGEE if there are 22.
        label_name : str or sequence of str, default=None
            Which of them to draw, in any spelling. None: all.
        windows : ElementWindows, mapping of str to array-like of int, or None, default=None
            Pixels in which each label is read. None: those of APOGEE, for its 7514 pixels.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            As in `plot`.

        Returns
        -------
        display : JacobianDisplay

        Raises
        ------
        ValueError
            If names and rows differ in number, there is no such label, too many labels or such of different units are
            to be drawn, or a derivative is not finite.
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
        """Share of the absolute derivatives that lies within the window of each label.

        Returns
        -------
        shares : ndarray of shape (n_labels,)
            NaN where a label has no window, or no derivative.
        """
        size = np.abs(self.jacobian)
        within = [0 if mask is None else row[mask].sum() for row, mask in zip(size, self._masks(), strict=True)]
        known = np.array([mask is not None for mask in self._masks()]) & (size.sum(axis=1) > 0)
        return np.divide(within, size.sum(axis=1), out=np.full(len(size), np.nan), where=known)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Where to draw: one for each chip, or one whose place they take. None makes a new figure with pyplot.

        Returns
        -------
        display : JacobianDisplay
            This one, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If there are too many labels, or of different units, a derivative is not finite, or `ax` holds another
            number of axes.
        """
        with drawing("JacobianDisplay"):
            self._check()
            masks, texts = self._masks(), self._texts()
            panels = spectrum_axes(ax, self.jacobian.shape[1])
            ends = self._ends()
            for panel_ax, panel in panels:
                for row, mask, text, look in zip(self.jacobian, masks, texts, self._looks(), strict=True):
                    panel_ax.plot(panel.places, row[panel.pixels], color=look[0], lw=0.7, label=text)
                    if mask is not None:
                        shade_window(panel_ax, panel, mask, color=look[1], text="window" if len(masks) == 1 else None)
                panel_ax.axhline(0, color=DARK, lw=0.5, zorder=1)
                panel_ax.set_ylim(ends)
            panels[len(panels) // 2][0].set_ylabel(self._axis_text())
            panels[0][0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)
        self.axes_ = np.array([panel_ax for panel_ax, _ in panels])
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        return self

    def _check(self):
        """Refuse what cannot be drawn on one scale."""
        n_labels, units = len(self.label_names), {in_brackets(name) for name in self.label_names}
        if n_labels > _MOST_LABELS or len(units) > 1:
            what = f"{n_labels} labels" if n_labels > _MOST_LABELS else f"labels of {len(units)} units"
            raise ValueError(
                f"{what} are to be drawn, expected at most {_MOST_LABELS}, of one unit, since they share an axis. "
                "Choose some: label_name=[...]."
            )
        if wrong := int((~np.isfinite(self.jacobian)).sum()):
            raise ValueError(f"jacobian is not finite in {wrong} places. Pass derivatives that are numbers.")

    def _masks(self):
        return [window_of(name, self.windows, self.jacobian.shape[1]) for name in self.label_names]

    def _looks(self):
        """Colours of the line and the window of each label."""
        if len(self.label_names) == 1:
            return [(CYCLE[0], ORANGE)]
        return [(colour, colour) for colour in CYCLE[: len(self.label_names)]]

    def _texts(self):
        """What the legend says of each label."""
        shares = self.shares_within()
        return [
            symbol(name) + ("" if np.isnan(share) else f", {100 * share:.0f}% within its window")
            for name, share in zip(self.label_names, shares, strict=True)
        ]

    def _axis_text(self):
        name = symbol(self.label_names[0]) if len(self.label_names) == 1 else "label"
        return f"{_D}{name} / {_D}flux{in_brackets(self.label_names[0])}"

    def _ends(self):
        """The same scale in all panels, zero included."""
        low, high = min(self.jacobian.min(), 0), max(self.jacobian.max(), 0)
        margin = 0.08 * (high - low) or 1.0
        return low - margin, high + margin


def _rows(label_name, names, owner):
    """Rows of labels in any spelling."""
    several = [label_name] if label_name is None or isinstance(label_name, str) else list(label_name)
    return [column_of(name, names, owner=owner) for name in several]
