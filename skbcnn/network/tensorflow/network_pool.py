"""Networks that are built and traced once, and lent to whoever trains.

Building a Keras network and tracing its steps takes a second, a small fit less. So a network is not thrown away after
use: it waits, with its compiled steps, for the next who needs one of the same `NetworkSpec` and `clipnorm`. Nobody
may rely on what the one before left in it: `training` puts weights in and resets the optimizer and the
dropout seeds, so that a lent network learns bit for bit as a new one would.
"""

import gc
import threading
from contextlib import contextmanager

from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.training_steps import Steps

MAX_IDLE = 6  # networks that wait for the next borrower
# Of their variables, those of the optimizer among them. One of APOGEE at default widths has 45 MB and takes about 110
# with what TensorFlow keeps for its compiled steps: three may wait.
MAX_IDLE_BYTES = 150_000_000


class LentNetwork:
    """A network, and the steps that were compiled for it.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    clipnorm : float or None, default=None
        Of the steps.

    Attributes
    ----------
    network : CensoredNetwork
        Its weights are whatever was put in last.
    steps : Steps
        What is done with batches.
    spoilt : bool
        Set by a borrower who cannot vouch for the state of the network: it is then thrown away.
    """

    def __init__(self, spec, clipnorm=None):
        self.network = CensoredNetwork(spec)
        self.steps = Steps(self.network, clipnorm)
        self.spoilt = False

    @property
    def n_bytes(self):
        """Size of its variables, those of the optimizer among them."""
        variables = [*self.network.variables, *self.network.optimizer.variables]
        return sum(variable.value.dtype.size * variable.value.shape.num_elements() for variable in variables)


class NetworkPool:
    """Idle networks, the least recently used thrown away when there are too many.

    Parameters
    ----------
    max_idle : int
        How many may wait.
    max_bytes : int
        How large they may be in sum. The last one that came back is kept whatever its size.
    """

    def __init__(self, max_idle, max_bytes):
        self.max_idle, self.max_bytes = max_idle, max_bytes
        self._idle = []  # ((spec, clipnorm), network), last used last
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, spec, clipnorm=None):
        """Lend a network for exclusive use: an idle one, else a new one.

        A network around which anything was raised is not taken back.

        Parameters
        ----------
        spec : NetworkSpec
            Of the network.
        clipnorm : float or None, default=None
            Of its steps.

        Yields
        ------
        lent : LentNetwork
            In an unknown state.
        """
        kind = spec, clipnorm
        lent = self._take(kind) or LentNetwork(spec, clipnorm)
        yield lent
        if not lent.spoilt:
            self._take_back(kind, lent)

    def _take(self, kind):
        """The idle network of a kind that was used last, None if there is none."""
        with self._lock:
            fitting = [i for i, (other, _) in enumerate(self._idle) if other == kind]
            return self._idle.pop(fitting[-1])[1] if fitting else None

    def _take_back(self, kind, lent):
        """Keep a network, and throw away those that are too many."""
        with self._lock:
            self._idle.append((kind, lent))
            n_before = len(self._idle)
            while len(self._idle) > 1 and (len(self._idle) > self.max_idle or self._n_bytes() > self.max_bytes):
                del self._idle[0]
            too_many = len(self._idle) < n_before
        if too_many:
            gc.collect()  # networks are full of cycles, and Python does not know how large they are

    def _n_bytes(self):
        return sum(lent.n_bytes for _, lent in self._idle)

    def clear(self):
        """Throw all idle networks away."""
        with self._lock:
            self._idle.clear()


POOL = NetworkPool(MAX_IDLE, MAX_IDLE_BYTES)  # of this process
