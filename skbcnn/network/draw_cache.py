"""The masks and the noise of the last prediction, kept for all its chunks of spectra."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from skbcnn.network.masks import draw_flux_noise, draw_masks
from skbcnn.network.spec import NetworkSpec


class DrawCache:
    """Dropout masks and flux noise of posterior draws, computed once for all chunks of a prediction.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    seed : int
        Seed of the draws.
    pack_masks : callable
        Function of the masks from `draw_masks` and of the arguments of `masks`: the masks as the posterior uses them.
    pack_noise : callable, default=np.asarray
        Function of the noise from `draw_flux_noise`.

    Examples
    --------
    >>> from skbcnn.network.draw_cache import DrawCache
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=5, windows=(None,), widening=((1, 1),))
    >>> cache = DrawCache(spec, seed=0, pack_masks=lambda masks, n_draws: masks["full1"])
    >>> cache.masks(3) is cache.masks(3), cache.masks(4).shape, cache.noise(4).shape
    (True, (4, 192), (4, 5))
    """

    def __init__(
        self,
        spec: NetworkSpec,
        seed: int,
        pack_masks: Callable[..., Any],
        pack_noise: Callable[[np.ndarray], Any] = np.asarray,
    ) -> None:
        def masks(n_draws: int, *arguments: int) -> Any:
            drawn = draw_masks(spec.dropout_sizes, spec.dropout_rate, seed, n_draws)
            return pack_masks(drawn, n_draws, *arguments)

        self._masks = _LastResult(masks)
        self._noise = _LastResult(lambda n_draws: pack_noise(draw_flux_noise(spec.n_pixels, seed, n_draws)))

    def masks(self, n_draws: int, *arguments: int) -> Any:
        """Return the packed dropout masks.

        Parameters
        ----------
        n_draws : int
            Number of draws.
        *arguments : int
            Further arguments of `pack_masks`.

        Returns
        -------
        masks : object
            Result of `pack_masks`.
        """
        return self._masks(n_draws, *arguments)

    def noise(self, n_draws: int) -> Any:
        """Return the packed flux noise.

        Parameters
        ----------
        n_draws : int
            Number of draws.

        Returns
        -------
        noise : object
            Result of `pack_noise`.
        """
        return self._noise(n_draws)


class _LastResult:
    """A function that keeps its last result. Threads wait for each other, so that nothing is computed twice."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._arguments: tuple[int, ...] | None = None
        self._result: Any = None
        self._lock = threading.Lock()

    def __call__(self, *arguments: int) -> Any:
        with self._lock:
            if self._arguments != arguments:
                self._result = self._function(*arguments)
                self._arguments = arguments
            return self._result
