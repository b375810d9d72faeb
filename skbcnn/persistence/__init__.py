"""Fitted models as folders of text and arrays, and back.

A folder holds ``model.json``, all that can be said in words and numbers, and ``weights.h5``, one plain array for each
weight and normaliser statistic. Neither holds code: `load_folder` rebuilds the model from our own classes, and takes
nothing from the files but text and numbers that it has checked.
"""

from skbcnn.persistence.files import ModelFolderError
from skbcnn.persistence.folder import load_folder, save_folder

__all__ = ["ModelFolderError", "load_folder", "save_folder"]
