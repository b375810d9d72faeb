"""Tables of labels, species and molecular constants of the synthetic stars, in ``skbcnn/datasets/tables``."""

import csv
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np


@cache
def table(name: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by the text in their first column: numbers as float, blanks as None."""
    with (files("skbcnn.datasets") / "tables" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = csv.reader([line for line in lines if not line.startswith("#")])
        _, *columns = next(rows)
        return {row[0]: dict(zip(columns, map(_cell, row[1:]), strict=True)) for row in rows}


def _cell(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None


def column(table_name: str, column_name: str) -> np.ndarray:
    """Return one column of numbers of a table; NaN where it is blank."""
    return np.array([row[column_name] for row in table(table_name).values()], dtype=float)
