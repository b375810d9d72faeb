"""Pool of built and traced networks that trainings share.

Building a Keras network and tracing its steps takes a second, longer than a small fit. So a network is kept after use
and lent to the next training with the same `NetworkSpec` and `clipnorm`. A training must not rely on the state of a
lent network: it sets the weights and resets the optimizer and the dropout seed, so that the network trains bit for bit
like a new one.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.training_steps import TrainingSteps

MAX_IDLE = 6  # idle networks
# Size of their variables, with those of the optimizers. A network for APOGEE at default widths has 45 MB, so that three
# may be idle; with its compiled steps it takes about 110 MB.
MAX_IDLE_BYTES = 150_000_000

Key: TypeAlias = tuple[NetworkSpec, float | None]


class PooledNetwork:
    """A network and its traced training steps.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    clipnorm : float or None, default=None
        Parameter of the steps.

    Attributes
    ----------
    network : CensoredNetwork
        Network in an unknown state.
    steps : TrainingSteps
        Steps of the network.
    discard : bool
        Set to True by a borrower if the network must not be used again.
    """

    def __init__(self, spec: NetworkSpec, clipnorm: float | None = None) -> None:
        self.network = CensoredNetwork(spec)
        self.steps = TrainingSteps(self.network, clipnorm)
        self.discard = False

    @property
    def n_bytes(self) -> int:
        """Size of its variables and those of its optimizer."""
        variables = [*self.network.variables, *self.network.optimizer.variables]
        return sum(variable.value.dtype.size * variable.value.shape.num_elements() for variable in variables)


class NetworkPool:
    """Idle networks. The least recently used ones are removed if there are too many.

    Parameters
    ----------
    max_idle : int
        Largest number of idle networks.
    max_bytes : int
        Largest size of all idle networks. The last one returned is kept whatever its size.
    """

    def __init__(self, max_idle: int, max_bytes: int) -> None:
        self.max_idle, self.max_bytes = max_idle, max_bytes
        self._idle: list[tuple[Key, PooledNetwork]] = []  # the last used is last
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, spec: NetworkSpec, clipnorm: float | None = None) -> Iterator[PooledNetwork]:
        """Lend a network for exclusive use: an idle one if there is one, else a new one.

        The network is not used again if the `with` block raises.

        Parameters
        ----------
        spec : NetworkSpec
            Architecture of the network.
        clipnorm : float or None, default=None
            Parameter of its steps.

        Yields
        ------
        pooled : PooledNetwork
            Network in an unknown state.
        """
        key = spec, clipnorm
        pooled = self._take(key) or PooledNetwork(spec, clipnorm)
        yield pooled
        if not pooled.discard:
            self._take_back(key, pooled)

    def _take(self, key: Key) -> PooledNetwork | None:
        """Return the last used idle network with a key and remove it from the pool."""
        with self._lock:
            matches = [i for i, (other, _) in enumerate(self._idle) if other == key]
            return self._idle.pop(matches[-1])[1] if matches else None

    def _take_back(self, key: Key, pooled: PooledNetwork) -> None:
        """Add a network to the pool, and remove the oldest ones if there are too many."""
        with self._lock:
            self._idle.append((key, pooled))
            n_before = len(self._idle)
            while len(self._idle) > 1 and (len(self._idle) > self.max_idle or self._n_bytes() > self.max_bytes):
                del self._idle[0]
            removed = len(self._idle) < n_before
        if removed:
            gc.collect()  # networks contain reference cycles, and Python does not know their size

    def _n_bytes(self) -> int:
        return sum(pooled.n_bytes for _, pooled in self._idle)

    def clear(self) -> None:
        """Remove all idle networks."""
        with self._lock:
            self._idle.clear()


POOL = NetworkPool(MAX_IDLE, MAX_IDLE_BYTES)  # shared by all trainings of this process
