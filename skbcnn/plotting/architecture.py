"""`ArchitectureDisplay`: graph of a network with its layers, their widths and their numbers of weights."""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from skbcnn.plotting._display import SinglePanelDisplay
from skbcnn.plotting._estimators import find_regressor
from skbcnn.plotting._label_text import format_integer, label_symbol
from skbcnn.plotting._style import DARK, GREY, PAGE_WIDTH, TICK_SIZE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEP, _WIDTH, _HEIGHT = 1.0, 0.84, 0.56  # inches: distance between columns, width and height of a box
_ROW = 0.84  # inches: distance between rows
_GAP = 0.11  # inches: from a box to a line that passes below it; rows are further apart by this
_MARGIN = (PAGE_WIDTH - 6 * _STEP - _WIDTH) / 2
_LINE = 0.16  # inches: distance between lines of text
_MAX_BOX_LETTERS, _MAX_CAPTION_LETTERS = 14, 84  # that fit into a box, and above a row
_MARKUP = re.compile(r"\\mathrm|\\log|[\\${}_]")  # parts of symbols that are not printed
_FILLS = {"data": "white", "full": "#D6E9F5", "window": "#FBE8C3", "output": "#CFECE2", "context": "#E8E8E8"}


class _Box(NamedTuple):
    """Box of a layer.

    Attributes
    ----------
    column, row : float
        Place in the grid of boxes, which need not be an integer.
    width, height : float
        Size in inches.
    """

    column: float
    row: float
    width: float = _WIDTH
    height: float = _HEIGHT

    @property
    def x(self) -> float:
        """Horizontal position of the centre, in inches."""
        return _MARGIN + _WIDTH / 2 + self.column * _STEP

    @property
    def y(self) -> float:
        """Vertical position of the centre, in inches."""
        return -_HEIGHT / 2 - self.row * _ROW

    @property
    def left(self) -> tuple[float, float]:
        """Middle of the left edge."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> tuple[float, float]:
        """Middle of the right edge."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> tuple[float, float]:
        """Middle of the upper edge."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> tuple[float, float]:
        """Middle of the lower edge."""
        return self.x, self.y - self.height / 2


class ArchitectureDisplay(SinglePanelDisplay):
    """Graph of a censored network, with the width and the number of weights of each layer.

    Create it with `from_estimator` or `from_spec`.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    label_names : sequence of str
        Names of the labels.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the graph.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    Notes
    -----
    The black lines in a box name the layer and the shape of its output. The grey number is its number of weights,
    biases included. A row shows the window layers of all labels that have equally wide ones.

    Axes of another width than 7 inches change the size of the boxes, but not that of the text in them.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6: the graph.

    Examples
    --------
    >>> from skbcnn.network.spec import NetworkSpec
    >>> from skbcnn.plotting import ArchitectureDisplay, new_figure
    >>> spec = NetworkSpec(n_pixels=40, windows=(None, (3, 4, 5)), widening=((1, 1), (1, 1)))
    >>> ax = new_figure(7, 3).add_subplot()
    >>> ArchitectureDisplay.from_spec(spec, label_names=["teff", "Mg"], ax=ax).ax_.get_title()
    '2 labels from 40 pixels, 27 570 weights'
    """

    def __init__(self, *, spec, label_names):
        self.spec = spec
        self.label_names = label_names

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the network of a regressor.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `from_spec`.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        model = find_regressor(estimator)
        return cls.from_spec(model.spec_, label_names=model.target_names_, ax=ax)

    @classmethod
    def from_spec(cls, spec, *, label_names=None, ax=None):
        """Draw a network, which need not be trained.

        Parameters
        ----------
        spec : NetworkSpec
            Architecture of the network.
        label_names : sequence of str, default=None
            Names of the labels. None: the numbers 0, 1, ...
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, ideally 7 inches wide. None creates a new figure with pyplot.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        ValueError
            If the numbers of names and labels differ.
        """
        names = tuple(map(str, range(spec.n_labels) if label_names is None else label_names))
        if len(names) != spec.n_labels:
            raise ValueError(f"label_names has {len(names)} names, expected {spec.n_labels}: one for each label.")
        return cls(spec=spec, label_names=names).plot(ax)

    @property
    def n_weights(self):
        """Number of weights of the network, biases included."""
        return sum(map(prod, self.spec.weight_shapes.values()))

    @property
    def _height(self):
        """Height of the graph in inches."""
        last_row = self._row(len(self._groups) - 1) if self._groups else 0
        return _HEIGHT + _ROW * last_row + 0.1 + (_GAP if self._hidden_takes_context else 0)

    @property
    def _figure_size(self):
        return PAGE_WIDTH, self._height + 0.75

    @property
    def _groups(self):
        """Groups of labels with equally wide window layers, in ascending order of the width."""
        return sorted(self.spec.groups, key=lambda group: group.width_1)

    @property
    def _hidden_takes_context(self):
        """Whether the second window layers take the context, too."""
        return bool(self._groups) and self.spec.n_hidden_context > 0

    def _row(self, number):
        """Return the row of a group of labels."""
        return 2 + number * (1 + _GAP / _ROW if self._hidden_takes_context else 1)

    def _count(self, *layers):
        """Return the number of weights of some layers."""
        return sum(prod(self.spec.weight_shapes[f"{layer}.{part}"]) for layer in layers for part in ("kernel", "bias"))

    def _symbols(self, labels):
        """Return the symbols of labels, and of elements without brackets."""
        symbols = (label_symbol(self.label_names[j]) for j in labels)
        return ", ".join(text.removeprefix("[").removesuffix("/H]") for text in symbols)

    def _draw(self, ax):
        ax.set(xlim=(0, PAGE_WIDTH), ylim=(0.05 - self._height, 0.05))
        ax.set_axis_off()
        spectrum, dense, heads = self._draw_full_spectrum(ax)
        context = self._draw_context(ax, dense, heads) if self._groups and self.spec.n_context else None
        for number, group in enumerate(self._groups):
            self._draw_group(ax, self._row(number), group, spectrum, context)
        self._draw_legend(ax)
        ax.set_title(
            f"{self.spec.n_labels} labels from {format_integer(self.spec.n_pixels)} pixels, "
            f"{format_integer(self.n_weights)} weights"
        )

    def _draw_full_spectrum(self, ax):
        """Draw the layers that take the full spectrum.

        Return the boxes of the spectrum, of the last dense layer and of the full-spectrum labels (None if there are
        none).
        """
        spec = self.spec
        (filters_1, filters_2), (hidden_1, hidden_2) = spec.num_filters, spec.num_hidden[:2]
        convolution = f"conv, {spec.kernel_size} pix"
        boxes = [
            _draw_box(ax, _Box(0, 0), "data", ["spectrum", f"{spec.n_pixels} pixels"]),
            _draw_box(ax, _Box(1, 0), "full", [convolution, _by(spec.n_pixels, filters_1)], self._count("conv1")),
            _draw_box(ax, _Box(2, 0), "full", [convolution, _by(spec.n_pixels, filters_2)], self._count("conv2")),
            _draw_box(ax, _Box(3, 0), "full", [f"max pool, {spec.pool_size}", _by(spec.n_pooled, filters_2)]),
            _draw_box(ax, _Box(4, 0), "full", ["dense", str(hidden_1)], self._count("full1")),
            _draw_box(ax, _Box(5, 0), "full", ["dense", str(hidden_2)], self._count("full2")),
        ]
        for number, (start, end) in enumerate(pairwise(boxes)):
            _draw_arrow(ax, [start.right, end.left], dropout=number in (1, 3, 4) and spec.dropout_rate > 0)
        heads = None
        if spec.full_labels:
            heads = self._draw_heads(ax, _Box(6, 0), spec.full_labels)
            _draw_arrow(ax, [boxes[-1].right, heads.left])
        return boxes[0], boxes[-1], heads

    def _draw_heads(self, ax, box, labels):
        """Draw the box of the means and variances of labels."""
        text = self._symbols(labels)
        if len(_MARKUP.sub("", text)) > _MAX_BOX_LETTERS:
            text = f"{len(labels)} labels" if len(labels) > 1 else "1 label"
        layers = [f"label{j}.{output}" for j in labels for output in ("mean", "logvar")]
        return _draw_box(ax, box, "output", [text, "mean, var."], self._count(*layers))

    def _draw_context(self, ax, dense, heads):
        """Draw the context of the window labels, with the arrows to it."""
        n = self.spec.n_context
        context = _draw_box(ax, _Box(6, 1), "context", ["context", "1 value" if n == 1 else f"{n} values"])
        if n_units := self.spec.n_free:
            n_labels = self.spec.n_supervised
            text = ["dense", "1 free unit" if n_units == 1 else f"{n_units} free units"]
            if n_labels:
                text = [f"{n_units} context", "labels, dense" if n_labels == n_units else "units, dense"]
            units = _draw_box(ax, _Box(5, 1), "context", text, self._count("aux"))
            _draw_arrow(ax, [dense.bottom, units.top])
            _draw_arrow(ax, [units.right, context.left], stops_gradient=n_labels == n_units)
        if heads is not None:
            _draw_arrow(ax, [heads.bottom, context.top], stops_gradient=True)
        return context

    def _draw_group(self, ax, row, group, spectrum, context):
        """Draw the window layers of labels with equally wide ones."""
        n, dropout = len(group.labels), self.spec.dropout_rate > 0
        sizes = sorted(len(self.spec.windows[j]) for j in group.labels)
        n_windows = f"{n} windows" if n > 1 else "1 window"
        n_pixels = f"{sizes[0]} pixels" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]} pixels"
        window = _draw_box(ax, _Box(1.5, row, width=_STEP + _WIDTH), "window", [n_windows, n_pixels])
        layers = []
        for column, layer, width in ((3, "hidden1", group.width_1), (4, "hidden2", group.width_2)):
            n_weights = self._count(*(f"label{j}.{layer}" for j in group.labels))
            shape = _by(n, width) if n > 1 else str(width)
            layers.append(_draw_box(ax, _Box(column, row), "window", ["dense", shape], n_weights))
        heads = self._draw_heads(ax, _Box(5, row), group.labels)
        _draw_arrow(ax, [spectrum.bottom, (spectrum.x, window.y), window.left])
        for start, end, has_dropout in zip([window, *layers], [*layers, heads], (False, dropout, dropout), strict=True):
            _draw_arrow(ax, [start.right, end.left], dropout=has_dropout)
        if context is not None:
            _draw_arrow(ax, [context.bottom, (context.x, heads.y), heads.right])
            if self._hidden_takes_context:
                hidden, y = layers[1], heads.bottom[1] - _GAP
                _draw_arrow(ax, [(context.x, heads.y), (context.x, y), (hidden.x, y), hidden.bottom])
        caption = _shorten(self._symbols(group.labels))
        ax.text(window.left[0], window.top[1] + 0.04, caption, va="bottom", fontsize=TICK_SIZE)

    def _draw_legend(self, ax):
        """Draw a legend of the marks and of the grey numbers, below the graph."""
        from matplotlib.lines import Line2D

        style = {"color": DARK, "lw": 0.8, "mec": VERMILLION, "mfc": VERMILLION}
        handles = []
        if self.spec.dropout_rate > 0:
            text = f"dropout of {100 * self.spec.dropout_rate:g}%"
            handles.append(Line2D([], [], marker="o", ms=4, label=text, **style))
        if self._groups and self.spec.full_labels:
            text = "means only, gradient stopped"
            handles.append(Line2D([], [], marker="|", ms=8, mew=2.2, label=text, **style))
        handles.append(Line2D([], [], ls="none", marker="$123$", ms=14, color=GREY, mew=0, label="number of weights"))
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(handles), columnspacing=2.5)


def _draw_box(ax: "Axes", box: _Box, kind: str, lines: list[str], n_weights: int | None = None) -> _Box:
    """Draw a box with lines of text and a number of weights, and return it."""
    from matplotlib.patches import FancyBboxPatch

    corner = box.left[0], box.bottom[1]
    boxstyle = "round,pad=0,rounding_size=0.05"
    patch = FancyBboxPatch(
        corner,
        box.width,
        box.height,
        boxstyle=boxstyle,
        facecolor=_FILLS[kind],
        edgecolor=DARK,
        linewidth=0.8,
        zorder=2,
    )
    ax.add_patch(patch)
    rows = [(line, DARK) for line in lines] + ([] if n_weights is None else [(format_integer(n_weights), GREY)])
    for number, (line, color) in enumerate(rows):
        y = box.y + _LINE * ((len(rows) - 1) / 2 - number)
        ax.text(box.x, y, line, ha="center", va="center", color=color, fontsize=TICK_SIZE, zorder=3)
    return box


def _draw_arrow(
    ax: "Axes", path: Sequence[tuple[float, float]], *, dropout: bool = False, stops_gradient: bool = False
) -> None:
    """Draw an arrow through some points, with a mark for dropout or for a stopped gradient."""
    xs, ys = zip(*path, strict=True)
    ax.plot(xs[:-1], ys[:-1], color=DARK, lw=0.8, zorder=1)
    style = {"arrowstyle": "-|>,head_length=0.3,head_width=0.15", "color": DARK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", path[-1], path[-2], arrowprops=style, zorder=1)
    if dropout:
        ax.plot(xs[0], ys[0], "o", color=VERMILLION, ms=4, zorder=4)
    if stops_gradient:
        middle = (xs[-1] + xs[-2]) / 2, (ys[-1] + ys[-2]) / 2
        across = "_" if xs[-1] == xs[-2] else "|"
        ax.plot(*middle, across, color=VERMILLION, ms=9, mew=2.2, zorder=4)


def _by(n: int, width: int) -> str:
    return f"{n} \N{MULTIPLICATION SIGN} {width}"


def _shorten(text: str) -> str:
    """Return a list of names without the last ones if it is too long for a line."""
    if len(text) <= _MAX_CAPTION_LETTERS:
        return text
    return text[: _MAX_CAPTION_LETTERS - 5].rpartition(", ")[0] + ", ..."
