"""The graph of a network: its layers, how wide they are, and what is told to what."""

import re
from itertools import pairwise
from math import prod
from typing import NamedTuple

from skbcnn.plotting.axis_texts import symbol, whole_number
from skbcnn.plotting.figures import DARK, GREY, PAGE_WIDTH, TICK_SIZE, VERMILLION, drawing, one_axes
from skbcnn.plotting.inputs import regressor_in

_STEP, _WIDTH, _HEIGHT = 1.0, 0.84, 0.56  # of boxes, in inches: from one to the next, and their sizes
_ROW = 0.84  # inches from one row of boxes to the next
_BELOW = 0.11  # inches from a box to a line that passes below it, for which rows are moved apart
_EDGE = (PAGE_WIDTH - 6 * _STEP - _WIDTH) / 2
_MOST_LETTERS = 14  # that fit into a box
_MARKUP = re.compile(r"\\mathrm|\\log|[\\${}_]")  # of symbols, which is not printed
_CAPTION = 84  # letters that fit above a row of boxes
_FILLS = {"data": "white", "full": "#D6E9F5", "window": "#FBE8C3", "output": "#CFECE2", "context": "#E8E8E8"}


class _Box(NamedTuple):
    """A box: its column and row (which need not be whole), its size, and where its edges are."""

    column: float
    row: float
    width: float = _WIDTH
    height: float = _HEIGHT

    @property
    def x(self):
        return _EDGE + _WIDTH / 2 + self.column * _STEP

    @property
    def y(self):
        return -_HEIGHT / 2 - self.row * _ROW

    @property
    def left(self):
        return self.x - self.width / 2, self.y

    @property
    def right(self):
        return self.x + self.width / 2, self.y

    @property
    def top(self):
        return self.x, self.y + self.height / 2

    @property
    def bottom(self):
        return self.x, self.y - self.height / 2


class ArchitectureDisplay:
    """The graph of a censored network, with the width of every layer and its number of weights.

    Make one with `from_estimator` or `from_spec`.

    Parameters
    ----------
    spec : NetworkSpec
        What the network is.
    label_names : sequence of str
        Names of its labels.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the picture.
    figure_ : matplotlib.figure.Figure
        That holds them.

    Notes
    -----
    A line in a box tells what the layer gives, the grey number how many weights it has, biases included. Window layers
    of equal widths, one of each for every label, share a row.

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
            Fitted.
        ax : matplotlib.axes.Axes, default=None
            Where to draw, 7 inches wide if all is to be read; None makes a new figure with pyplot.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        model = regressor_in(estimator)
        return cls.from_spec(model.spec_, label_names=model.target_names_, ax=ax)

    @classmethod
    def from_spec(cls, spec, *, label_names=None, ax=None):
        """Draw a network that need not be trained.

        Parameters
        ----------
        spec : NetworkSpec
            What it is.
        label_names : sequence of str, default=None
            Names of its labels; None: their numbers.
        ax : matplotlib.axes.Axes, default=None
            Where to draw, 7 inches wide if all is to be read; None makes a new figure with pyplot.

        Returns
        -------
        display : ArchitectureDisplay

        Raises
        ------
        ValueError
            If there are not as many names as labels.
        """
        names = tuple(map(str, range(spec.n_labels) if label_names is None else label_names))
        if len(names) != spec.n_labels:
            raise ValueError(f"label_names has {len(names)} names, expected {spec.n_labels}: one for each label.")
        return cls(spec=spec, label_names=names).plot(ax)

    @property
    def n_weights(self):
        """Number of weights of the whole network, biases included."""
        return sum(map(prod, self.spec.weight_shapes.values()))

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw, 7 inches wide if all is to be read; None makes a new figure with pyplot.

        Returns
        -------
        display : ArchitectureDisplay
            This one, with `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        with drawing("ArchitectureDisplay"):
            height = _HEIGHT + _ROW * self._last_row + 0.1 + (_BELOW if self._tells_layers else 0)
            ax = one_axes(ax, (PAGE_WIDTH, height + 0.75))
            ax.set(xlim=(0, PAGE_WIDTH), ylim=(0.05 - height, 0.05))
            ax.set_axis_off()
            self._draw(ax)
            ax.set_title(
                f"{self.spec.n_labels} labels from {whole_number(self.spec.n_pixels)} pixels, "
                f"{whole_number(self.n_weights)} weights"
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @property
    def _groups(self):
        """Groups of labels whose window layers are equally wide, the narrow ones first."""
        return sorted(self.spec.groups, key=lambda group: group.width_1)

    @property
    def _tells_layers(self):
        """Whether the context is told to the second window layers, too."""
        return bool(self._groups) and self.spec.n_hidden_context > 0

    @property
    def _last_row(self):
        return self._row(len(self._groups) - 1) if self._groups else 0

    def _row(self, number):
        """Row of a group."""
        return 2 + number * (1 + _BELOW / _ROW if self._tells_layers else 1)

    def _count(self, *layers):
        """Weights of some layers, by the beginnings of their names."""
        return sum(prod(self.spec.weight_shapes[f"{layer}.{part}"]) for layer in layers for part in ("kernel", "bias"))

    def _names(self, labels):
        """Symbols of some labels, those of elements without brackets."""
        symbols = (symbol(self.label_names[j]) for j in labels)
        return ", ".join(text.removeprefix("[").removesuffix("/H]") for text in symbols)

    def _draw(self, ax):
        spectrum, full = self._draw_full(ax)
        context = self._draw_context(ax, *full) if self._groups and self.spec.n_context else None
        for number, group in enumerate(self._groups):
            self._draw_group(ax, self._row(number), group, spectrum, context)
        self._explain(ax)

    def _draw_full(self, ax):
        """The branch that sees the whole spectrum; its first box, and its last two (the last is None if absent)."""
        spec = self.spec
        (f0, f1), (h0, h1) = spec.num_filters, spec.num_hidden[:2]
        conv = f"conv, {spec.kernel_size} pix"
        boxes = [
            _box(ax, _Box(0, 0), "data", ["spectrum", f"{spec.n_pixels} pixels"]),
            _box(ax, _Box(1, 0), "full", [conv, _by(spec.n_pixels, f0)], self._count("conv1")),
            _box(ax, _Box(2, 0), "full", [conv, _by(spec.n_pixels, f1)], self._count("conv2")),
            _box(ax, _Box(3, 0), "full", [f"max pool, {spec.pool_size}", _by(spec.n_pooled, f1)]),
            _box(ax, _Box(4, 0), "full", ["dense", str(h0)], self._count("full1")),
            _box(ax, _Box(5, 0), "full", ["dense", str(h1)], self._count("full2")),
        ]
        for number, (one, other) in enumerate(pairwise(boxes)):
            _arrow(ax, [one.right, other.left], drops=number in (1, 3, 4) and spec.dropout_rate > 0)
        heads = None
        if spec.full_labels:
            heads = self._draw_heads(ax, _Box(6, 0), spec.full_labels)
            _arrow(ax, [boxes[-1].right, heads.left])
        return boxes[0], (boxes[-1], heads)

    def _draw_heads(self, ax, box, labels):
        """Means and variances of some labels."""
        text = self._names(labels)
        if len(_MARKUP.sub("", text)) > _MOST_LETTERS:
            text = f"{len(labels)} labels" if len(labels) > 1 else "1 label"
        layers = [f"label{j}.{output}" for j in labels for output in ("mean", "logvar")]
        return _box(ax, box, "output", [text, "mean, var."], self._count(*layers))

    def _draw_context(self, ax, dense, heads):
        """What all labels with a window are told, and where it comes from."""
        n = self.spec.n_context
        context = _box(ax, _Box(6, 1), "context", ["context", "1 number" if n == 1 else f"{n} numbers"])
        if self.spec.n_free:
            free = _box(ax, _Box(5, 1), "context", ["dense", f"{self.spec.n_free} free"], self._count("aux"))
            _arrow(ax, [dense.bottom, free.top])
            _arrow(ax, [free.right, context.left])
        if heads is not None:
            _arrow(ax, [heads.bottom, context.top], stops=True)
        return context

    def _draw_group(self, ax, row, group, spectrum, context):
        """The window layers of labels that are equally wide."""
        n, drops = len(group.labels), self.spec.dropout_rate > 0
        sizes = sorted(len(self.spec.windows[j]) for j in group.labels)
        pixels = f"{sizes[0]} pixels" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]} pixels"
        of = f"{n} windows" if n > 1 else "1 window"
        window = _box(ax, _Box(1.5, row, width=_STEP + _WIDTH), "window", [of, pixels])
        layers = []
        for column, layer, width in ((3, "hidden1", group.width_1), (4, "hidden2", group.width_2)):
            n_weights = self._count(*(f"label{j}.{layer}" for j in group.labels))
            widths = _by(n, width) if n > 1 else str(width)
            layers.append(_box(ax, _Box(column, row), "window", ["dense", widths], n_weights))
        heads = self._draw_heads(ax, _Box(5, row), group.labels)
        _arrow(ax, [spectrum.bottom, (spectrum.x, window.y), window.left])
        for one, other, has_dropout in zip([window, *layers], [*layers, heads], (False, drops, drops), strict=True):
            _arrow(ax, [one.right, other.left], drops=has_dropout)
        if context is not None:
            _arrow(ax, [context.bottom, (context.x, heads.y), heads.right])
            if self._tells_layers:
                hidden, y = layers[1], heads.bottom[1] - _BELOW
                _arrow(ax, [(context.x, heads.y), (context.x, y), (hidden.x, y), hidden.bottom])
        ax.text(window.left[0], window.top[1] + 0.04, _cut(self._names(group.labels)), va="bottom", fontsize=TICK_SIZE)

    def _explain(self, ax):
        """A legend below, of what lines and colours mean."""
        from matplotlib.lines import Line2D

        look = {"color": DARK, "lw": 0.8, "mec": VERMILLION, "mfc": VERMILLION}
        handles = []
        if self.spec.dropout_rate > 0:
            text = f"dropout of {100 * self.spec.dropout_rate:g}%"
            handles.append(Line2D([], [], marker="o", ms=4, label=text, **look))
        if self._groups and self.spec.full_labels:
            text = "means only, gradient stopped"
            handles.append(Line2D([], [], marker="|", ms=8, mew=2.2, label=text, **look))
        handles.append(Line2D([], [], ls="none", marker="$123$", ms=14, color=GREY, mew=0, label="weights"))
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(handles), columnspacing=2.5)


def _box(ax, box, kind, lines, n_weights=None):
    """Draw a box with text in it; the box."""
    from matplotlib.patches import FancyBboxPatch

    corner = box.left[0], box.bottom[1]
    look = {"facecolor": _FILLS[kind], "edgecolor": DARK, "linewidth": 0.8, "zorder": 2}
    ax.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.05", **look))
    rows = [(line, DARK) for line in lines] + ([] if n_weights is None else [(whole_number(n_weights), GREY)])
    for number, (line, color) in enumerate(rows):
        y = box.y + 0.16 * ((len(rows) - 1) / 2 - number)
        ax.text(box.x, y, line, ha="center", va="center", color=color, fontsize=TICK_SIZE, zorder=3)
    return box


def _arrow(ax, path, *, drops=False, stops=False):
    """An arrow through some points, perhaps with a mark where units are dropped or the gradient is stopped."""
    xs, ys = zip(*path, strict=True)
    ax.plot(xs[:-1], ys[:-1], color=DARK, lw=0.8, zorder=1)
    look = {"arrowstyle": "-|>,head_length=0.3,head_width=0.15", "color": DARK, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", path[-1], path[-2], arrowprops=look, zorder=1)
    middle = (xs[-1] + xs[-2]) / 2, (ys[-1] + ys[-2]) / 2
    if drops:
        ax.plot(xs[0], ys[0], "o", color=VERMILLION, ms=4, zorder=4)
    if stops:
        ax.plot(*middle, "_", color=VERMILLION, ms=9, mew=2.2, zorder=4)


def _by(n, width):
    return f"{n} \N{MULTIPLICATION SIGN} {width}"


def _cut(text):
    """Names that fit into a line."""
    return text if len(text) <= _CAPTION else text[: _CAPTION - 5].rpartition(", ")[0] + ", ..."
