"""The layers of the network in plain NumPy.

This is a second, independent implementation of the graph of Leung & Bovy (2019): it shares the architecture (`spec`),
the random numbers of the draws (`masks`) and the packing of the weights with the TensorFlow implementation, but none of
its code, so that each of the two checks the other.

Spectra run along the last axis, so that a layer is the product of a small kernel with a wide array, which is fast. The
dropout masks of a draw are the same for all spectra: they scale the kernels, or select their rows, instead of the
activations.

References
----------
.. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
.. [2] Gal & Ghahramani (2016), ICML, section 3: dropout masks as draws from the posterior over weights.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from skbcnn.network.numpy.activations import numpy_activation
from skbcnn.network.numpy.convolution import BLOCK, FRAME, FrameConvolution, padded_length
from skbcnn.network.spec import NetworkSpec, WindowGroup
from skbcnn.network.weight_packing import pack_full_heads, pack_masks, pack_window_group


def forward(
    spec: NetworkSpec,
    weights: Mapping[str, np.ndarray],
    x: ArrayLike,
    masks: Mapping[str, ArrayLike] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the output of one network: without dropout, or of one posterior draw.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    x : array-like of shape (n, n_pixels)
        Normalised spectra.
    masks : mapping of str to array-like, default=None
        Factors of the units at each place of `NetworkSpec.dropout_sizes`: 0 where they are dropped. None: no dropout.

    Returns
    -------
    mean, logvar : ndarray of shape (n, n_labels), float32
        Means and log-variances in normalised units.

    Raises
    ------
    ValueError
        If `numpy_activation` does not know the activation.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.forward import forward
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=1, windows=(None,), widening=((1, 1),), num_hidden=(1,) * 5, num_filters=(1, 1))
    >>> weights = {name: np.full(shape, 2.0, dtype=np.float32) for name, shape in spec.weight_shapes.items()}
    >>> forward(spec, weights, [[3.0]])[0]  # two convolutions, two layers and a head, each 2 x + 2
    array([[158.]], dtype=float32)
    """
    layers = Layers(spec, weights)
    if masks is None:
        masks = {place: np.ones(size) for place, size in spec.dropout_sizes.items()}
    one_draw = {place: np.reshape(mask, (1, -1)).astype(np.float32) for place, mask in masks.items()}
    of_draw = {place: mask[0] for place, mask in pack_masks(spec, one_draw).items()}
    with np.errstate(all="ignore"):  # infinite outputs are possible, as in TensorFlow
        pixels, hidden = layers.features(np.ascontiguousarray(np.transpose(x), dtype=np.float32))
        first = layers.first_dense(layers.flat(pixels, of_draw["conv1"]), of_draw["flat"])
        mean, logvar = layers.outputs(first, hidden, of_draw)
    return mean.T, logvar.T


class Layers:
    """The layers of a network, in the four steps in which posterior draws compute them.

    `features` needs no mask, `flat` the masks at "conv1", `first_dense` those at "flat", and `outputs` all others. So
    draws that share masks can share the first steps.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.

    Raises
    ------
    ValueError
        If `numpy_activation` does not know the activation.
    """

    def __init__(self, spec: NetworkSpec, weights: Mapping[str, np.ndarray]) -> None:
        self.spec, self._activation = spec, numpy_activation(spec.activation)
        self._weights = {name: np.asarray(values, dtype=np.float32) for name, values in weights.items()}
        self._convolutions = [FrameConvolution(self._weights[f"{layer}.kernel"]) for layer in ("conv1", "conv2")]
        self._head_kernel, self._head_bias = pack_full_heads(spec, self._weights)
        self._groups = [pack_window_group(group, self._weights) for group in spec.groups]

    def features(self, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Compute everything that no mask can change.

        Parameters
        ----------
        x : ndarray of shape (n_pixels, n), float32
            Normalised spectra.

        Returns
        -------
        pixels : ndarray of shape (padded_length, filters, n)
            First convolution.
        hidden : list of ndarray of shape (labels, width_1, n)
            First window layer of each group.
        """
        spec, bias = self.spec, self._bias("conv1")
        pixels = self._zeros(spec.num_filters[0], x.shape[1])
        for start, block in self._convolutions[0].blocks(self._padded(x), spec.n_pixels):
            block += bias
            start += spec.padding[0]
            pixels[start : start + len(block)] = self._activation(block)
        return pixels, [self._first_window_layer(x, group) for group in spec.groups]

    def _first_window_layer(self, x: np.ndarray, group: WindowGroup) -> np.ndarray:
        """Compute the first window layer of the labels of a group: (labels, width_1, n)."""
        layers = [(f"label{j}.hidden1", list(self.spec.windows[j] or ())) for j in group.labels]
        outputs = [self._weights[f"{layer}.kernel"].T @ x[window] + self._bias(layer) for layer, window in layers]
        return self._activation(np.stack(outputs))

    def flat(self, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Compute the second convolution and the pooling.

        Parameters
        ----------
        pixels : ndarray of shape (padded_length, filters, n)
            First convolution, from `features`.
        mask : ndarray of shape (n_pixels * filters,)
            Factors of its units.

        Returns
        -------
        flat : ndarray of shape (n_flat, n)
            Pooled spectra.
        """
        spec, bias, pool = self.spec, self._bias("conv2"), self.spec.pool_size
        flat = np.empty((spec.n_pooled, spec.num_filters[1], pixels.shape[2]), dtype=np.float32)
        block_size = max(1, BLOCK // (FRAME * pool)) * FRAME * pool  # whole pools and whole frames
        mask = self._padded(mask.reshape(spec.n_pixels, -1))
        for start, block in self._convolutions[1].blocks(pixels, spec.n_pooled * pool, block_size, mask):
            block = block.reshape(-1, pool, *block.shape[1:])
            if spec.activates_after_pooling:
                pooled = self._activation(block.max(axis=1) + bias)
            else:
                pooled = self._activation(block + bias).max(axis=1)
            flat[start // pool : start // pool + len(pooled)] = pooled
        return flat.reshape(spec.n_flat, -1)

    def first_dense(self, flat: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Compute the first full-spectrum layer from the units that are kept.

        Parameters
        ----------
        flat : ndarray of shape (n_flat, n)
            Pooled spectra, from `flat`.
        mask : ndarray of shape (n_flat,)
            Factors of its units.

        Returns
        -------
        first : ndarray of shape (num_hidden[0], n)
            First full-spectrum layer.
        """
        kept = np.flatnonzero(mask)
        inputs = flat.take(kept, axis=0)
        inputs *= mask[kept, None]
        return self._activation(self._weights["full1.kernel"].take(kept, axis=0).T @ inputs + self._bias("full1"))

    def outputs(self, first: np.ndarray, hidden: list[np.ndarray], masks: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the outputs of all labels.

        Parameters
        ----------
        first : ndarray of shape (num_hidden[0], n)
            First full-spectrum layer, from `first_dense`.
        hidden : list of ndarray of shape (labels, width_1, n)
            First window layers, from `features`.
        masks : mapping of str to ndarray
            Masks of one draw, from `pack_masks`.

        Returns
        -------
        outputs : ndarray of shape (2, n_labels, n)
            Means, then log-variances.
        """
        spec = self.spec
        n_full, n = len(spec.full_labels), first.shape[1]
        full = self._activation((self._weights["full2.kernel"].T * masks["full1"]) @ first + self._bias("full2"))
        heads = self._head_kernel @ full + self._head_bias[:, None]
        outputs = np.empty((2, spec.n_labels, n), dtype=np.float32)
        outputs[:, list(spec.full_labels)] = heads[: 2 * n_full].reshape(2, n_full, n)
        context = np.concatenate([heads[2 * n_full :], heads[:n_full]])
        for number, group in enumerate(spec.groups):
            of_labels = self._window_outputs(number, hidden[number], context, masks)
            outputs[:, list(group.labels)] = of_labels.transpose(1, 0, 2)
        return outputs

    def _window_outputs(
        self, number: int, hidden: np.ndarray, context: np.ndarray, masks: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Compute the means and log-variances of the labels of a group: (labels, 2, n)."""
        weights = self._groups[number]
        kernel = weights["hidden2"] * masks[f"group{number}.hidden1"][:, None]
        x = kernel @ hidden + weights["hidden2.bias"][:, :, None]
        if self.spec.n_hidden_context:
            x += weights["hidden2.context"] @ context
        kernel = weights["heads"] * masks[f"group{number}.hidden2"][:, None]
        x = kernel @ self._activation(x)
        return x + weights["heads.context"] @ context + weights["heads.bias"][:, :, None]

    def _bias(self, layer: str) -> np.ndarray:
        return self._weights[f"{layer}.bias"][:, None]

    def _zeros(self, *shape: int) -> np.ndarray:
        """Return zeros that a spectrum with its padding fits into."""
        return np.zeros((padded_length(self.spec.n_pixels, self.spec.kernel_size), *shape), dtype=np.float32)

    def _padded(self, x: np.ndarray) -> np.ndarray:
        """Return pixels (n_pixels, ...) between zeros, so that a convolution keeps their number."""
        padded, before = self._zeros(*x.shape[1:]), self.spec.padding[0]
        padded[before : before + len(x)] = x
        return padded
