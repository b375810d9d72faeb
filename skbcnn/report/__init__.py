"""Evaluation of a model on spectra with known labels: tables, figures, and one self-contained HTML page.

- `evaluation`: `evaluate` and its result.
- `labelled_file`: rows and labels of an HDF5 file; `sample`: predictions for them, made block by block.
- `tables`: tables of a sample; `ranges`: ranges of S/N, temperature and metallicity; `figures`: figures of a sample.
- `page`, with `page.html.jinja` and `page.css`: the HTML page; `sections`: its content; `model_facts`, `notes`,
  `texts`, `cells`: parts of it; `encoding`: figures as text in the page.
"""

from skbcnn.report.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
