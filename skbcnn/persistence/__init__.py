"""Saving fitted models as folders or zip files of text and arrays, and loading them.

A model folder holds ``model.json``, with everything that text and numbers can say, and ``weights.h5``, with one plain
array for each weight and normalizer statistic. A card for people and checksums are beside them. The files hold no
code: `load_folder` rebuilds the model from our own classes and takes only checked text and numbers from the files.
It also reads models of other software: folders of astroNN and the checkpoint of SDSS-V.

`safe_files` is the only module that opens such files. `model_folder` saves and loads; `savable_classes` lists what can
be saved, and the modules ``..._document`` convert it; `foreign` reads the models of other software.
"""

from skbcnn.persistence.foreign import from_astronn, from_sdssv
from skbcnn.persistence.model_folder import load_folder, save_folder
from skbcnn.persistence.safe_files import ModelFolderError

__all__ = ["ModelFolderError", "from_astronn", "from_sdssv", "load_folder", "save_folder"]
