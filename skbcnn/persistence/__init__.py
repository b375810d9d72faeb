"""Fitted models as folders or zip files of text and arrays, and back.

A model is ``model.json``, all that can be said in words and numbers, and ``weights.h5``, one plain array for each
weight and normaliser statistic; a card for people and checksums stand beside them. Neither holds code: `load_folder`
rebuilds the model from our own classes, and takes nothing from the files but text and numbers that it has checked.
What others published it reads likewise: folders of astroNN, and the checkpoint of SDSS-V.
"""

from skbcnn.persistence.astronn import from_astronn
from skbcnn.persistence.files import ModelFolderError
from skbcnn.persistence.folder import load_folder, save_folder
from skbcnn.persistence.sdssv import from_sdssv

__all__ = ["ModelFolderError", "from_astronn", "from_sdssv", "load_folder", "save_folder"]
