"""Files with known labels: which rows, labels and spectra are used, and what is refused."""

import h5py
import numpy as np
import pytest

from skbcnn import write_h5
from skbcnn.report import labelled_file
from skbcnn.report.labelled_file import LabelledFile
from skbcnn.report.sample import predict_sample
from tests.report.conftest import N_PIXELS, N_STARS, NAMES, write_stars


def test_labels_and_columns(path, network, stars):
    file = LabelledFile(path, network)
    np.testing.assert_allclose(file.y[45:], stars[2][45:], rtol=1e-5)
    assert np.isnan(file.y[:30, 3]).all()
    assert np.isnan(file.y[40:45, 1]).all()
    np.testing.assert_allclose(file.y_err[50], stars[3][50], rtol=1e-5)
    assert file.y_err[0, 3] == 0  # of a missing label
    assert (file.stars[3], file.snr[3], file.kind) == ("2M0003", 80, "combined spectra")
    assert file.absent_labels == ()


def test_other_versions_of_the_labels(path, network, stars):
    found = LabelledFile(path, network).other_versions
    assert set(found) == {"raw", "aspcap"}
    np.testing.assert_allclose(found["raw"][:, 0], stars[2][:, 0] + 100, rtol=1e-5)
    assert np.isnan(found["raw"][:, 1:]).all()
    np.testing.assert_allclose(found["aspcap"][30:, 3], stars[2][30:, 3] - 0.1, rtol=1e-4, atol=1e-5)
    assert np.isnan(found["aspcap"][:30, 3]).all()


def test_suffix_may_be_omitted(path, network):
    assert LabelledFile(path.with_suffix(""), network).path == path


def test_visits(tmp_path, network, stars):
    X, X_err, y, y_err = (values[:6] for values in stars)
    file = write_stars(tmp_path / "x.h5", X, X_err, y, y_err, in_flag=[0, 1, 1, 0, 1, 0])
    assert list(LabelledFile(file, network).rows) == [0, 3, 5]
    visits = LabelledFile(file, network, visits=True)
    assert list(visits.rows) == [1, 2, 4]
    np.testing.assert_allclose(visits.y[:, 0], y[[1, 2, 4], 0], rtol=1e-5)
    assert list(visits.stars) == ["row 1", "row 2", "row 4"]
    assert visits.snr is None


def test_no_rows_of_the_kind(path, network):
    with pytest.raises(
        ValueError, match=r"has 260 spectra, but no visits \(in_flag 1\)\. Choose another file, or leave"
    ):
        LabelledFile(path, network, visits=True)


def test_labels_without_column(tmp_path, network, stars):
    X, X_err, y, y_err = stars
    file = LabelledFile(write_stars(tmp_path / "x.h5", X, X_err, y[:, :2], y_err[:, :2], NAMES[:2]), network)
    assert file.absent_labels == ("Fe", "Mg", "Al")
    assert np.isnan(file.y[:, 2:]).all()
    assert (file.y_err[:, 2:] == 0).all()


def test_no_errors_of_labels(tmp_path, network, stars):
    path = write_h5(tmp_path / "x.h5", stars[0], {"teff": stars[2][:, 0]})
    assert LabelledFile(path, network).y_err is None


@pytest.mark.parametrize("values", [None, -9999.0])
def test_no_labels(tmp_path, network, stars, values):
    X = stars[0]
    labels = {"alpha": np.zeros(len(X))} if values is None else {"teff": np.full(len(X), values)}
    path = write_h5(tmp_path / "x.h5", X, labels)
    with pytest.raises(ValueError, match=r"has no label of the model.*skbcnn predict") as caught:
        LabelledFile(path, network)
    expected = "no such columns are there" if values is None else "teff are missing (NaN or -9999) in all rows"
    assert expected in str(caught.value)


def test_infinite_labels_are_refused_with_the_name_of_the_file(tmp_path, network, stars):
    path = write_h5(tmp_path / "x.h5", stars[0], {"teff": np.full(len(stars[0]), 4000.0)})
    with h5py.File(path, "a") as file:
        file["teff"][3] = np.inf
    with pytest.raises(ValueError, match=r"x\.h5: The file contains infinity .* row 3, label teff"):
        LabelledFile(path, network)


def test_other_number_of_pixels(tmp_path, network):
    path = write_h5(tmp_path / "x.h5", np.ones((3, 7)), {"teff": [4000.0] * 3})
    with pytest.raises(ValueError, match=rf"have 7 pixels, but the model takes {N_PIXELS}"):
        LabelledFile(path, network)


def test_no_file(tmp_path, network):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        LabelledFile(tmp_path / "none.h5", network)


def test_spectra_that_are_not_normalised(tmp_path, network, stars):
    file = LabelledFile(write_h5(tmp_path / "x.h5", 500 * stars[0], {"teff": stars[2][:, 0]}), network)
    with pytest.raises(ValueError, match=r"The median flux .* not divided by their continuum"):
        list(file.blocks())


def test_unusable_spectra_are_left_out(tmp_path, network, stars):
    X, X_err, y, y_err = (np.array(values[:20]) for values in stars)
    path = write_stars(tmp_path / "x.h5", X, X_err, y, y_err)
    with h5py.File(path, "a") as table:
        table["spectra"][3, 7] = np.nan
        table["spectra"][11] = np.inf
    file = LabelledFile(path, network)
    (block,) = file.blocks()
    assert set(range(20)) - set(block.rows) == {3, 11}
    assert file.left_out == [(3, "NaN or other flux not finite"), (11, "NaN or other flux not finite")]
    np.testing.assert_array_equal(block.X, X[block.rows])
    sample = predict_sample(network, LabelledFile(path, network))
    np.testing.assert_array_equal(sample.y[3], LabelledFile(path, network).y[4])  # labels stay with their spectra


def test_no_usable_spectrum(tmp_path, network):
    path = write_h5(tmp_path / "x.h5", np.ones((3, N_PIXELS)), {"teff": [4000.0] * 3})
    with h5py.File(path, "a") as table:
        table["spectra"][:, 0] = np.nan
    with pytest.raises(ValueError, match=r"None of the 3 combined spectra of .* can be used \(first: row 0, NaN"):
        list(LabelledFile(path, network).blocks())


def test_damaged_spectra(tmp_path, network, stars):
    path = write_h5(tmp_path / "x.h5", stars[0], {"teff": stars[2][:, 0]})
    with h5py.File(path, "a") as file:
        del file["spectra"]
        file.create_dataset("spectra", data=stars[0], chunks=(20, N_PIXELS), compression="gzip")
        chunk = file["spectra"].id.get_chunk_info(6)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"damaged" * 20)
    file = LabelledFile(path, network)
    with pytest.raises(OSError, match=r"spectra of rows 0 to 259 of .*x\.h5 cannot be read .*damaged"):
        list(file.blocks())


def test_blocks_give_the_same_predictions(path, network, monkeypatch):
    at_once = predict_sample(network, LabelledFile(path, network))
    monkeypatch.setattr(labelled_file, "BLOCK", 100)
    file = LabelledFile(path, network)
    assert [len(block.X) for block in file.blocks()] == [100, 100, 60]
    in_blocks = predict_sample(network, file)
    for name in ("mean", "std", "novelty"):
        np.testing.assert_allclose(getattr(in_blocks, name), getattr(at_once, name), rtol=1e-5)
    np.testing.assert_array_equal(in_blocks.flags, at_once.flags)
    np.testing.assert_array_equal(in_blocks.stars, at_once.stars)


def test_single_rows_far_apart(path, network, stars):
    spectra = LabelledFile(path, network).spectra(np.array([2, 250]))
    np.testing.assert_array_equal(spectra.X, stars[0][[2, 250]])


def test_a_random_part_of_many_spectra(path, network, monkeypatch):
    """The same rows each time, ascending, and read in blocks that are full."""
    monkeypatch.setattr(labelled_file, "BLOCK", 20)
    file = LabelledFile(path, network, max_spectra=50)
    assert (len(file.rows), file.n_of_kind) == (50, N_STARS)
    assert (np.diff(file.rows) > 0).all()
    assert file.rows[-1] > N_STARS / 2
    np.testing.assert_array_equal(file.rows, LabelledFile(path, network, max_spectra=50).rows)
    everything = LabelledFile(path, network)
    np.testing.assert_array_equal(file.y, everything.y[file.rows])
    np.testing.assert_array_equal(file.stars, everything.stars[file.rows])
    blocks = list(file.blocks())
    assert [len(block.rows) for block in blocks] == [20, 20, 10]
    np.testing.assert_array_equal(np.concatenate([block.rows for block in blocks]), file.rows)
    np.testing.assert_array_equal(blocks[1].X, everything.spectra(file.rows[20:40]).X)


@pytest.mark.parametrize("limit", [N_STARS, N_STARS + 1, None])
def test_all_spectra_if_there_are_no_more_than_the_limit(path, network, limit):
    np.testing.assert_array_equal(LabelledFile(path, network, max_spectra=limit).rows, np.arange(N_STARS))
