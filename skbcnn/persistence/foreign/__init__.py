"""Readers of the models of other software.

Each reader describes what it found as an `ImportedModel`, from which `build_regressor` makes a regressor as if it had
been saved by skbcnn, with the same checks. Files are read only by the functions of `safe_files`.
"""

from skbcnn.persistence.foreign.astronn import from_astronn
from skbcnn.persistence.foreign.sdssv import from_sdssv

__all__ = ["from_astronn", "from_sdssv"]
