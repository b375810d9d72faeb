"""The architecture of a censored network in numbers: sizes of layers, shapes of weights, places of dropout.

Everything here is plain Python. The implementations build the network from it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# Keras's names of activations that never decrease. These commute with the maximum over a pool, so that they can be
# applied to one value of each pool instead of all.
MONOTONIC_ACTIVATIONS = {
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "linear",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "softplus",
}


class WindowGroup(NamedTuple):
    """Labels whose window layers have equal widths, so that one batched product serves them all.

    Attributes
    ----------
    labels : tuple of int
        Numbers of the labels.
    width_1, width_2 : int
        Number of units of the first and the second window layer of each label.
    """

    labels: tuple[int, ...]
    width_1: int
    width_2: int


@dataclass(frozen=True)
class NetworkSpec:
    """Architecture and fixed settings of a censored network.

    Full-spectrum labels (without a window) are read from the full spectrum, and their means, with the gradient stopped,
    become part of the context. Window labels are read from their windows and the context. Layers that take the context
    have its weights in the last rows of their kernels.

    Parameters
    ----------
    n_pixels : int
        Number of pixels of a spectrum.
    windows : tuple of (tuple of int or None)
        For each label the pixels of its windows, or None if it is read from the full spectrum.
    widening : tuple of (int, int)
        For each label the factors by which its two window layers are wider than `num_hidden`.
    num_hidden : tuple of 5 int
        Widths of the two full-spectrum layers and the two window layers; number of free context units (0: none).
    num_filters : tuple of 2 int
        Number of filters of the two convolutions.
    filter_len, pool_length : int
        Number of pixels that a filter spans; number of pixels pooled into one. Both are cut to the number of pixels.
    activation, initializer : str
        Keras's names of the activation and of the initializer of the kernels.
    dropout_rate : float
        Probability that a unit is dropped.
    l2 : float
        Weight of the sum of the squared kernels in the loss.
    maxnorm : float or None
        Largest norm of the kernel of each free context unit.
    context_layer : {"output", "hidden"}
        Layers of the window labels that take the context: the output heads, as published ("output"), or the second
        window layers as well ("hidden").
    n_supervised : int
        Number of free context units, the first ones, that are trained to equal context labels.

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
    n_supervised: int = 0

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return len(self.windows)

    @property
    def kernel_size(self) -> int:
        """Length of the filters: `filter_len`, or the number of pixels if there are fewer."""
        return min(self.filter_len, self.n_pixels)

    @property
    def pool_size(self) -> int:
        """Length of the pools: `pool_length`, or the number of pixels if there are fewer."""
        return min(self.pool_length, self.n_pixels)

    @property
    def n_pooled(self) -> int:
        """Number of positions after pooling."""
        return self.n_pixels // self.pool_size

    @property
    def n_flat(self) -> int:
        """Number of inputs of the first full-spectrum layer."""
        return self.n_pooled * self.num_filters[1]

    @cached_property
    def full_labels(self) -> tuple[int, ...]:
        """Numbers of the full-spectrum labels."""
        return tuple(j for j, window in enumerate(self.windows) if window is None)

    @property
    def n_free(self) -> int:
        """Number of free context units; 0 if there are no window labels to take them."""
        return self.num_hidden[4] if len(self.full_labels) < self.n_labels else 0

    @property
    def n_context(self) -> int:
        """Length of the context: free context units, then means of the full-spectrum labels."""
        return self.n_free + len(self.full_labels)

    @property
    def n_hidden_context(self) -> int:
        """Number of context values that the second window layers take."""
        return self.n_context if self.context_layer == "hidden" else 0

    @cached_property
    def groups(self) -> tuple[WindowGroup, ...]:
        """Window labels, grouped by the widths of their layers."""
        groups: dict[tuple[int, int], list[int]] = {}
        for j, window in enumerate(self.windows):
            if window is not None:
                groups.setdefault(self.widening[j], []).append(j)
        _, _, h2, h3, _ = self.num_hidden
        return tuple(WindowGroup(tuple(labels), h2 * f1, h3 * f2) for (f1, f2), labels in groups.items())

    @cached_property
    def label_order(self) -> tuple[int, ...]:
        """Position of each label in the order of computation: full-spectrum labels, then each group."""
        found = self.full_labels + tuple(j for group in self.groups for j in group.labels)
        return tuple(sorted(range(len(found)), key=found.__getitem__))

    @property
    def padding(self) -> tuple[int, int]:
        """Number of zeros before and after a spectrum that keep its length in a convolution.

        If the number is odd, the smaller half stands before.
        """
        before = (self.kernel_size - 1) // 2
        return before, self.kernel_size - 1 - before

    @property
    def activates_after_pooling(self) -> bool:
        """Whether the activation never decreases, and so may follow the maximum over each pool."""
        return self.activation in MONOTONIC_ACTIVATIONS

    def widths(self, label: int) -> tuple[int, int]:
        """Return the widths of the two window layers of a label."""
        factor_1, factor_2 = self.widening[label]
        return self.num_hidden[2] * factor_1, self.num_hidden[3] * factor_2

    @cached_property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every weight array by name, without padding.

        The order is fixed: full-spectrum layers first, then label by label.
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
    def dropout_sizes(self) -> dict[str, int]:
        """Number of droppable units at each place, in the order in which masks are drawn."""
        sizes = {"conv1": self.n_pixels * self.num_filters[0], "flat": self.n_flat, "full1": self.num_hidden[0]}
        for j, window in enumerate(self.windows):
            if window is not None:
                sizes[f"label{j}.hidden1"], sizes[f"label{j}.hidden2"] = self.widths(j)
        return sizes


def _layer(name: str, *kernel_shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.kernel": kernel_shape, f"{name}.bias": kernel_shape[-1:]}
