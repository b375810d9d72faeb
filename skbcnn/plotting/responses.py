"""`ResponseDisplay`: the response of each predicted label to each true label, as a matrix."""

import textwrap

import numpy as np

from skbcnn.plotting._axes import add_colour_bar
from skbcnn.plotting._display import SinglePanelDisplay
from skbcnn.plotting._label_text import format_number, label_symbol, spectra_text
from skbcnn.plotting._style import COLUMN_WIDTH, PAGE_WIDTH, PALE, TICK_SIZE, text_colour
from skbcnn.survey import label_unit

_LINEAR = 0.1  # responses up to this have half of the colours
_COLOUR_TICKS = (-1, -0.1, 0, 0.1, 1)
_BAR_TEXT = "Change of the predicted label for a change of the true label by 1 (dex, or the unit in brackets)"
_LONGEST_LINE, _CHARACTERS_PER_INCH = 50, 11  # of that text
_WRITTEN = 0.1  # foreign responses at least this large are written as numbers
_CELL, _MARGIN, _HEIGHT_OF_BAR = 0.265, 1.2, 0.75  # inches
_TYPICAL_SPREAD = 0.3  # of abundances in dex: other labels are shown in units in which they scatter alike


class ResponseDisplay(SinglePanelDisplay):
    """Change of each predicted label when one true label changes and all others stay.

    A row shows what a predicted label responds to. If each label measures itself, the diagonal is near 1 and all other
    responses are near 0. Create it with `from_estimator`, `from_predictions` or `from_responses`.

    Parameters
    ----------
    responses : ResponseMatrix
        Responses with standard errors.
    n_sigma : float, default=2
        Responses smaller than so many standard errors are left white. 0 colours all.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the matrix.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    See Also
    --------
    skbcnn.inspection.response_matrix : Compute the responses.

    Notes
    -----
    Responses are in dex per dex. Labels that are not in dex are shown in a power of ten of their unit, in which they
    scatter about as much as abundances do: Teff in 1000 K. The colours are linear up to 0.1 and logarithmic beyond.
    Foreign responses of at least 0.1 are written as numbers, as are all own responses. Columns of labels that were left
    out are grey.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting import ResponseDisplay, new_figure
    >>> true = np.random.default_rng(0).normal(size=(300, 2))
    >>> display = ResponseDisplay.from_predictions(
    ...     true, true @ [[0.8, 0.3], [0.0, 0.6]], label_names=["Mg", "Al"], ax=new_figure(3, 3).add_subplot()
    ... )
    >>> [text.get_text() for text in display.ax_.texts]
    ['.80', '.30', '.60']
    """

    def __init__(self, *, responses, n_sigma=2.0):
        self.responses = responses
        self.n_sigma = n_sigma

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, y_err=None, x_err=None, label_names=None, nonlinear_in=None, n_sigma=2.0, ax=None
    ):
        """Predict the labels of stars, estimate the responses, and draw them.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, pipeline, search, or any fitted regressor with `predict`
            Fitted estimator.
        X : array-like of shape (n_samples, n_pixels)
            Spectra of stars that the estimator was not trained on.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels; NaN or at most -9990 where missing.
        y_err : array-like of the shape of `y`, or table, default=None
            Errors of the true labels.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.
        label_names : sequence of str, default=None
            Names of the labels. None: those of the estimator.
        nonlinear_in : sequence of str, default=None
            True labels whose squares enter the regression, as in `skbcnn.inspection.response_matrix`.
        n_sigma : float, default=2
            Significance of the responses that have a colour.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : ResponseDisplay

        Raises
        ------
        ValueError
            If the responses cannot be estimated.
        """
        from skbcnn.inspection import response_matrix

        responses = response_matrix(
            estimator, X, y, y_err, x_err=x_err, label_names=label_names, nonlinear_in=nonlinear_in
        )
        return cls.from_responses(responses, n_sigma=n_sigma, ax=ax)

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, y_err=None, label_names=None, nonlinear_in=None, n_sigma=2.0, ax=None):
        """Estimate the responses from predictions, and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels; NaN or at most -9990 where missing.
        y_pred : array-like of the shape of `y_true`, table, or Prediction
            Predicted labels.
        y_err : array-like of the shape of `y_true`, or table, default=None
            Errors of the true labels.
        label_names : sequence of str, default=None
            Names of the labels. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns.
        nonlinear_in : sequence of str, default=None
            True labels whose squares enter the regression, as in `skbcnn.inspection.response_matrix`.
        n_sigma : float, default=2
            Significance of the responses that have a colour.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : ResponseDisplay

        Raises
        ------
        ValueError
            If the responses cannot be estimated.
        """
        from skbcnn.inspection import ResponseMatrix

        responses = ResponseMatrix.from_predictions(
            y_true, y_pred, y_err, label_names=label_names, nonlinear_in=nonlinear_in
        )
        return cls.from_responses(responses, n_sigma=n_sigma, ax=ax)

    @classmethod
    def from_responses(cls, responses, *, n_sigma=2.0, ax=None):
        """Draw responses that were computed before, such as ``model.validation_responses_``.

        Parameters
        ----------
        responses : ResponseMatrix
            Responses with standard errors.
        n_sigma : float, default=2
            Significance of the responses that have a colour.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : ResponseDisplay

        Raises
        ------
        TypeError
            If `responses` is no `ResponseMatrix`, such as None of a model with few held-out stars.
        """
        return cls(responses=responses, n_sigma=n_sigma).plot(ax)

    @property
    def _figure_size(self):
        side = max(COLUMN_WIDTH, min(_MARGIN + _CELL * len(self.responses.label_names), PAGE_WIDTH))
        return side, side + _HEIGHT_OF_BAR

    def _check(self):
        if not all(hasattr(self.responses, name) for name in ("matrix", "standard_errors", "label_names")):
            raise TypeError(
                f"responses is a {type(self.responses).__name__}, expected a ResponseMatrix. Pass the result of "
                "skbcnn.inspection.response_matrix, or the validation_responses_ of a model with at least 200 held-out "
                "stars that have all labels."
            )

    def _draw(self, ax):
        from matplotlib.colors import SymLogNorm

        sizes = self._unit_sizes()
        matrix = self.responses.matrix * sizes / sizes[:, np.newaxis]
        significant = np.abs(self.responses.matrix) >= self.n_sigma * self.responses.standard_errors
        shown = np.where(significant | np.eye(len(matrix), dtype=bool), matrix, np.nan)  # NaN is white
        ax.set_facecolor("white")
        for j in np.flatnonzero(np.isnan(matrix).all(axis=0)):
            ax.axvspan(j - 0.5, j + 0.5, color=PALE, lw=0, zorder=-1)  # columns that were left out
        norm = SymLogNorm(_LINEAR, linscale=1, vmin=-1, vmax=1)
        image = ax.imshow(shown, cmap="RdBu_r", norm=norm, aspect="equal", interpolation="nearest")
        for row, column in np.argwhere(np.abs(shown) >= _WRITTEN):
            self._write(image, row, column)
        for j in np.flatnonzero(np.abs(np.diagonal(shown)) < _WRITTEN):
            self._write(image, j, j)
        self._draw_labels(ax, sizes)
        # without a layout engine, a bar at the bottom would cover the names of the labels
        is_below = ax.figure.get_layout_engine() is not None
        length = ax.figure.get_figwidth() if is_below else ax.figure.get_figheight()
        text = textwrap.fill(_BAR_TEXT, max(1, min(_LONGEST_LINE, int(_CHARACTERS_PER_INCH * length))))
        bar = add_colour_bar(image, ax, text, location="bottom" if is_below else "right", shrink=0.8, extend="both")
        bar.set_ticks(_COLOUR_TICKS, labels=[f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in _COLOUR_TICKS])
        bar.ax.minorticks_off()

    def _write(self, image, row, column):
        """Write a response into its cell."""
        value = image.get_array()[row, column]
        colour = text_colour(image.to_rgba(value))
        image.axes.text(column, row, _cell_text(value), ha="center", va="center", fontsize=TICK_SIZE, color=colour)

    def _draw_labels(self, ax, sizes):
        """Draw the names of the labels, lines between cells, and the summary."""
        names = self.responses.label_names
        texts = [_with_unit(name, size) for name, size in zip(names, sizes, strict=True)]
        ax.set_xticks(range(len(names)), labels=texts, rotation=90)
        ax.set_yticks(range(len(names)), labels=texts)
        ax.tick_params(which="both", length=0)
        for position in np.arange(len(names) - 1) + 0.5:
            ax.axhline(position, color=PALE, lw=0.6)
            ax.axvline(position, color=PALE, lw=0.6)
        ax.set(xlabel="True label that changes", ylabel="Predicted label", title=self._summary())

    def _summary(self):
        responses = self.responses
        if not responses.elements:
            return spectra_text(responses.n_stars)
        own, error = format_number(responses.mean_own, 3), format_number(responses.mean_own_error, 3)
        text = f"own: {own} \N{PLUS-MINUS SIGN} {error}"
        if len(responses.elements) > 1:
            text += f", foreign: {format_number(responses.rms_foreign, 3)} (rms)"
        n_elements = len(responses.elements)
        return f"{text}\n{n_elements} element{'s' * (n_elements > 1)}, {spectra_text(responses.n_stars)}"

    def _unit_sizes(self):
        """Return the unit in which each label is shown, in label units: 1 for dex, 1000 for K."""
        return np.array(
            [
                1.0
                if label_unit(name) == "dex" or not spread > 0
                else 10.0 ** round(np.log10(spread / _TYPICAL_SPREAD))
                for name, spread in zip(self.responses.label_names, self.responses.spreads, strict=True)
            ]
        )


def _cell_text(value):
    """Return a response as text of at most four characters, of which a cell has space for no more.

    There is no zero before the decimal point, and the sign is an en dash: the minus sign is wider than a digit.
    """
    if abs(value) < 0.995:
        text = format_number(value, 2).replace("0.", ".", 1)
    else:
        text = format_number(value, 2 if 0 < value < 9.995 else 1 if abs(value) < 9.95 else 0)
    return text.replace("\N{MINUS SIGN}", "\N{EN DASH}")


def _with_unit(name, size):
    """Return the symbol of a label, with the unit in which it is shown if that is not 1 dex."""
    unit = label_unit(name)
    if size == 1 and unit in ("dex", ""):
        return label_symbol(name)
    return f"{label_symbol(name)} ({' '.join(filter(None, [f'{size:g}', unit]))})"
