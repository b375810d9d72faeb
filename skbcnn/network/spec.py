"""What a censored network is, in numbers: enough to build it, count it and draw its masks. No Keras here."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Activations that never fall commute with the maximum over a pool: they are then applied to one number, not to all.
_RISING = {"relu", "relu6", "leaky_relu", "elu", "selu", "linear", "tanh", "sigmoid", "hard_sigmoid", "softplus"}


class WindowGroup(NamedTuple):
    """Labels whose window layers have equal widths, so that one batched product serves them all."""

    labels: tuple[int, ...]
    width_1: int
    width_2: int


@dataclass(frozen=True)
class NetworkSpec:
    """Shape and fixed settings of a censored network.

    Labels without a window are read from the full spectrum, and their means (gradient stopped) join the context;
    labels with a window are read from it and from the context. What these are told of the context comes last in the
    kernels that take it.

    Parameters
    ----------
    n_pixels : int
        Pixels of a spectrum.
    windows : tuple of (tuple of int or None)
        For each label its pixel numbers, or None if it is read from the full spectrum.
    widening : tuple of (int, int)
        For each label the factors on the widths of its two window layers.
    num_hidden : tuple of 5 int
        Widths: two full-spectrum layers, two window layers, free numbers of the context (0: none).
    num_filters : tuple of 2 int
        Filters of the two convolutions.
    filter_len, pool_length : int
        Pixels that a filter spans and that are pooled into one. Neither exceeds the number of pixels in use.
    activation, initializer : str
        Keras's names.
    dropout_rate : float
        Share of units dropped.
    l2 : float
        Weight of the sum of squared kernels in the objective.
    maxnorm : float or None
        Largest norm of the kernel of each free context number.
    context_layer : {"output", "hidden"}
        Where labels with a window are told the context: in their output heads, as published, or in their second window
        layer, too.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.

    Examples
    --------
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=40, windows=(None, (3, 4, 5)), widening=((1, 1), (1, 1)))
    >>> spec.full_labels, spec.n_context, spec.n_pooled
    ((0,), 3, 10)
    """

    n_pixels: int
    windows: tuple[tuple[int, ...] | None, ...]
    widening: tuple[tuple[int, int], ...]
    num_hidden: tuple[int, ...] = (192, 96, 32, 16, 2)
    num_filters: tuple[int, ...] = (2, 4)
    filter_len: int = 8
    pool_length: int = 4
    activation: str = "relu"
    initializer: str = "random_normal"
    dropout_rate: float = 0.3
    l2: float = 5e-9
    maxnorm: float | None = 0.5
    context_layer: str = "output"

    @property
    def n_labels(self):
        """Number of labels."""
        return len(self.windows)

    @property
    def kernel_size(self):
        """Filter length in use: short spectra get shorter filters."""
        return min(self.filter_len, self.n_pixels)

    @property
    def pool_size(self):
        """Pool length in use: short spectra get shorter pools."""
        return min(self.pool_length, self.n_pixels)

    @property
    def n_pooled(self):
        """Positions that remain after pooling."""
        return self.n_pixels // self.pool_size

    @property
    def n_flat(self):
        """Inputs of the first full-spectrum layer."""
        return self.n_pooled * self.num_filters[1]

    @cached_property
    def full_labels(self):
        """Labels that are read from the full spectrum."""
        return tuple(j for j, window in enumerate(self.windows) if window is None)

    @property
    def n_free(self):
        """Free numbers of the context; none where no label would be told."""
        return self.num_hidden[4] if len(self.full_labels) < self.n_labels else 0

    @property
    def n_context(self):
        """Numbers that every window label is told about the star."""
        return self.n_free + len(self.full_labels)

    @property
    def n_hidden_context(self):
        """How many of them the second window layers take."""
        return self.n_context if self.context_layer == "hidden" else 0

    @cached_property
    def groups(self):
        """Window labels, grouped by the widths of their layers."""
        groups = {}
        for j, window in enumerate(self.windows):
            if window is not None:
                groups.setdefault(self.widening[j], []).append(j)
        _, _, h2, h3, _ = self.num_hidden
        return tuple(WindowGroup(tuple(labels), h2 * f1, h3 * f2) for (f1, f2), labels in groups.items())

    @cached_property
    def label_order(self):
        """Where each label stands among those without a window, then those of each group."""
        found = self.full_labels + tuple(j for group in self.groups for j in group.labels)
        return tuple(sorted(range(len(found)), key=found.__getitem__))

    @property
    def is_rising(self):
        """Whether the activation never falls, and so may follow the pooling."""
        return self.activation in _RISING

    def widths(self, label):
        """Widths of the two window layers of a label."""
        factor_1, factor_2 = self.widening[label]
        return self.num_hidden[2] * factor_1, self.num_hidden[3] * factor_2

    @cached_property
    def weight_shapes(self):
        """Shape of every weight array by name, padding left out.

        The order is fixed: full spectrum first, then label by label.
        """
        h0, h1 = self.num_hidden[:2]
        f0, f1 = self.num_filters
        shapes = {
            **_layer("conv1", self.kernel_size, 1, f0),
            **_layer("conv2", self.kernel_size, f0, f1),
            **_layer("full1", self.n_flat, h0),
            **_layer("full2", h0, h1),
            **(_layer("aux", h1, self.n_free) if self.n_free else {}),
        }
        for j, window in enumerate(self.windows):
            n_in = h1
            if window is not None:
                width_1, width_2 = self.widths(j)
                shapes |= _layer(f"label{j}.hidden1", len(window), width_1)
                shapes |= _layer(f"label{j}.hidden2", width_1 + self.n_hidden_context, width_2)
                n_in = width_2 + self.n_context
            shapes |= _layer(f"label{j}.mean", n_in, 1) | _layer(f"label{j}.logvar", n_in, 1)
        return shapes

    @cached_property
    def dropout_sizes(self):
        """Number of droppable units by place, in the order in which masks are drawn."""
        sizes = {"conv1": self.n_pixels * self.num_filters[0], "flat": self.n_flat, "full1": self.num_hidden[0]}
        for j, window in enumerate(self.windows):
            if window is not None:
                sizes[f"label{j}.hidden1"], sizes[f"label{j}.hidden2"] = self.widths(j)
        return sizes


def _layer(name, *kernel_shape):
    return {f"{name}.kernel": kernel_shape, f"{name}.bias": kernel_shape[-1:]}
