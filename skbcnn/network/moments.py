"""Moments of the posterior draws, and the interface of the classes that compute them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np

from skbcnn.network.chunks import ordered_map
from skbcnn.network.spec import NetworkSpec

LOGVAR_LIMIT = 20.0  # predicted log-variances are clipped to +- this, so that their exponential stays finite


class Moments(NamedTuple):
    """Moments over the posterior draws in normalised units, each of shape (n, n_labels), float64.

    Attributes
    ----------
    mean : ndarray
        Average of the draws' means.
    model_variance : ndarray
        Population variance of the draws' means.
    predictive_variance : ndarray
        Exponential of the average log-variance.
    """

    mean: np.ndarray
    model_variance: np.ndarray
    predictive_variance: np.ndarray


class BasePosterior(ABC):
    """Posterior draws of a trained network, computed for chunks of spectra in threads.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    chunk : int
        Largest number of spectra computed at once.
    """

    chunk: int

    @abstractmethod
    def __init__(self, spec: NetworkSpec, weights: Mapping[str, np.ndarray], seed: int) -> None: ...

    def compiling(self, n_draws: int) -> AbstractContextManager[None]:
        """Prepare `moments` of spectra without flux errors, in a thread while the context runs.

        Parameters
        ----------
        n_draws : int
            Number of draws.

        Returns
        -------
        compiling : context manager
            It ends when all is prepared. By default there is nothing to prepare.
        """
        return nullcontext()

    def moments(self, chunks: Iterable[tuple[np.ndarray, np.ndarray | None]], n_draws: int) -> Iterator[Moments]:
        """Compute the moments of the draws, chunk by chunk.

        Parameters
        ----------
        chunks : iterable of (ndarray of shape (n, n_pixels), ndarray of the same shape or None)
            Normalised spectra and their flux errors, at most `chunk` spectra at a time. None: no flux noise.
        n_draws : int
            Number of draws.

        Yields
        ------
        moments : Moments
            Moments of each chunk.
        """
        for moments, _ in self._map(chunks, n_draws, keep_draws=False):
            yield moments

    def moments_and_draws(
        self, chunks: Iterable[tuple[np.ndarray, np.ndarray | None]], n_draws: int
    ) -> Iterator[tuple[Moments, np.ndarray]]:
        """Compute the moments of the draws, and keep the mean of each draw.

        Parameters
        ----------
        chunks, n_draws
            As in `moments`.

        Yields
        ------
        moments : Moments
            The same as without the draws.
        draws : ndarray of shape (n_draws, n, n_labels), float32
            Means of the draws of this chunk, in normalised units.
        """
        yield from self._map(chunks, n_draws, keep_draws=True)

    def _map(
        self, chunks: Iterable[tuple[np.ndarray, np.ndarray | None]], n_draws: int, keep_draws: bool
    ) -> Iterator[tuple[Moments, np.ndarray]]:
        with self._threads() as n_threads:
            yield from ordered_map(lambda chunk: self._chunk_moments(*chunk, n_draws, keep_draws), chunks, n_threads)

    @abstractmethod
    def _threads(self) -> AbstractContextManager[int]:
        """Return a context that gives the number of chunks to compute at once."""

    @abstractmethod
    def _chunk_moments(
        self, x: np.ndarray, x_err: np.ndarray | None, n_draws: int, keep_draws: bool
    ) -> tuple[Moments, np.ndarray]:
        """Compute the moments of one chunk, and the means of its draws: an empty array if they are not kept."""
