"""Global settings of NumPy and scikit-learn that would change or break what happens inside a method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sklearn import config_context


@contextmanager
def default_settings() -> Iterator[None]:
    """Use the default settings of NumPy and scikit-learn in a block or, as a decorator, in a function.

    The user's settings hold again afterwards. They concern floating-point errors (``np.seterr``), the containers that
    transformers return (``transform_output``), checks that are left out (``assume_finite``) and the array API.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._global_settings import default_settings
    >>> with np.errstate(all="raise"), default_settings():
    ...     bool(np.exp(np.float32(-200)) == 0)  # underflow is no error
    True
    """
    with (
        np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"),
        config_context(transform_output="default", assume_finite=False, array_api_dispatch=False),
    ):
        yield
