"""Predictions as tables with units, such tables as files, and catalogues of the spectra in files.

`tables` makes tables of predictions, `table_files` writes them. `file_predictions` predicts the spectra in files:
`spectra_files` reads them part by part.
"""

from skbcnn.catalog.file_predictions import CatalogSummary, NoSpectraError, predict_catalog
from skbcnn.catalog.table_files import check_table_name, write_table
from skbcnn.catalog.tables import prediction_table

__all__ = [
    "CatalogSummary",
    "NoSpectraError",
    "check_table_name",
    "predict_catalog",
    "prediction_table",
    "write_table",
]
