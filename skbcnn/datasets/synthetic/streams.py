"""Random number generators of the synthetic stars."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

_STREAMS = ("population", "family", "instrument", "flags", "noise", "labels", "missing")


def random_streams(random_state: Any, kind: str = "combined") -> dict[str, np.random.RandomState]:
    """Return one generator per purpose. Each is used star by star, so that a star does not depend on later ones."""
    parent = check_random_state(random_state)
    names = (*_STREAMS, "visit") if kind == "visit" else _STREAMS  # last, so that the stars are the same
    return {name: check_random_state(parent.randint(np.iinfo(np.int32).max)) for name in names}
