"""Catalogues of the spectra in files."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn.catalog import prediction_table
from skbcnn.catalog.file_predictions import predict_files
from skbcnn.datasets import write_h5


@pytest.fixture(scope="module")
def path(tiny_data, tmp_path_factory):
    """The spectra of `tiny_data` in a file."""
    path = tmp_path_factory.mktemp("spectra") / "stars.h5"
    return write_h5(path, tiny_data.X, {"teff": tiny_data.y[:, 0]}, spectra_err=tiny_data.X_err)


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
def test_is_the_table_of_the_prediction(tiny_model, tiny_data, path, naming):
    table, notes, failures = predict_files(tiny_model, [path], naming=naming, meta={"model": "tiny"})
    prediction = tiny_model.predict_distribution(tiny_data.X, tiny_data.X_err)
    assessment = tiny_model.assess(tiny_data.X, tiny_data.X_err, prediction)
    expected = prediction_table(prediction, assessment=assessment, naming=naming)
    assert table.colnames == ["star", "spectrum", "file", "snr", "ra", "dec", *expected.colnames]
    for name in expected.colnames:
        assert_array_equal(table[name], expected[name])
        assert table[name].unit == expected[name].unit
    assert table.meta == {"model": "tiny"}
    assert (notes, failures) == ([], [])


def test_chunks_change_nothing(tiny_model, path, monkeypatch):
    whole = predict_files(tiny_model, [path]).table
    monkeypatch.setattr("skbcnn.catalog.spectra_files.CHUNK_SIZE", 7)
    chunks = predict_files(tiny_model, [path]).table
    for name in ("teff", "Mg_err", "novelty"):
        np.testing.assert_allclose(chunks[name], whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
def test_a_model_without_summary_of_its_training_set(tiny_model, path, monkeypatch, naming):
    monkeypatch.setattr(tiny_model, "domain_", None)
    columns = predict_files(tiny_model, [path], naming=naming).table.colnames
    assert "novelty" not in columns
    assert columns.count("result_flags") == 1


def test_spectra_without_errors_are_not_noisier(tiny_model, tiny_data, path, tmp_path):
    bare = write_h5(tmp_path / "bare.h5", tiny_data.X[:2], {"teff": [4500.0, 4600.0]})
    table = predict_files(tiny_model, [bare, path]).table
    assert len(table) == 2 + len(tiny_data.X)
    assert_array_equal(table["noisier"][:2], [False, False])


def test_nothing_that_can_be_read(tiny_model, tmp_path):
    table, notes, failures = predict_files(tiny_model, [tmp_path / "absent.h5"])
    assert table is None
    assert notes == []
    assert "There is no file" in str(failures[0])
