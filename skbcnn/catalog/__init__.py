"""Predictions as tables with units, and such tables as files.

`file_predictions` predicts the spectra in files, which `spectra_files` reads.
"""

from skbcnn.catalog.tables import check_table_name, prediction_table, write_table

__all__ = ["check_table_name", "prediction_table", "write_table"]
