"""Training sets from SDSS files: `build_dataset`.

`tables` reads the table of stars, whose columns differ between releases (`skbcnn.survey.releases`); `cuts` and
`selection` choose its stars, `paths` finds their files, `spectra` reads and prepares them, and `dataset` joins all this
to a file, in parts that a later call takes up.
"""

from skbcnn.datasets.building.cuts import Cuts
from skbcnn.datasets.building.dataset import BuiltDataset, build_dataset

__all__ = ["BuiltDataset", "Cuts", "build_dataset"]
