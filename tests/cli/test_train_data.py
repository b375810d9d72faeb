"""Data of ``skbcnn train``: labels of the file, and spectra of one star."""

import numpy as np
import pytest

from skbcnn import H5Loader, write_h5
from skbcnn.cli.train_data import labels_to_train, star_of_each_spectrum
from skbcnn.survey import resolve_target

N = 6


def loader_of(tmp_path, labels=("teff", "Mg"), load_combined=None, **extra):
    columns = {name: np.full(N, 0.5) for name in labels}
    path = write_h5(tmp_path / "d.h5", np.ones((N, 3)), columns, extra=extra, in_flag=[0, 1, 1, 0, 1, 0])
    return H5Loader(path, load_combined=load_combined)


class TestLabels:
    def test_labels_that_the_file_lacks_are_named_and_left_out(self, tmp_path, capsys):
        labels = resolve_target("all")
        loader = loader_of(tmp_path, [name for name in labels if name not in ("P", "K")])
        assert labels_to_train(loader, None) == [name for name in labels if name not in ("P", "K")]
        assert capsys.readouterr().out == f"{loader.filename} has no P, K; the other 20 labels are used.\n"

    def test_a_file_with_all_labels(self, tmp_path, capsys):
        assert labels_to_train(loader_of(tmp_path, resolve_target("all")), None) == "all"
        assert capsys.readouterr().out == ""

    def test_all_labels_are_demanded_by_name(self, tmp_path):
        loader = loader_of(tmp_path)
        loader.target = labels_to_train(loader, "all")
        with pytest.raises(ValueError, match="has no logg"):
            loader.load()

    def test_labels_of_the_user(self, tmp_path):
        loader = loader_of(tmp_path)
        assert labels_to_train(loader, "teff, [Mg/H]") == ["teff", "[Mg/H]"]
        assert labels_to_train(loader, ["teff"]) == "teff"  # of a TOML file
        with pytest.raises(ValueError, match="'unobtainium' is not a label"):
            labels_to_train(loader, "unobtainium")


class TestStars:
    IDS = ["2M1", "2M1", "2M2", "2M2", "2M3", "2M4"]

    @pytest.mark.parametrize(
        "column",
        [{"APOGEE_ID": IDS}, {"apogee_id": np.array(IDS, "S")}, {"sdss_id": [7, 7, 8, 8, 9, 10]}],
        ids=["text", "bytes", "numbers"],
    )
    def test_spectra_of_a_star_have_its_identifier(self, tmp_path, column):
        stars = star_of_each_spectrum(loader_of(tmp_path, **column), visits=True)
        assert len(set(stars)) == 4
        assert stars[0] == stars[1] != stars[2] == stars[3]

    def test_blanks_around_an_identifier_do_not_count(self, tmp_path):
        stars = star_of_each_spectrum(loader_of(tmp_path, APOGEE_ID=["2M1", "2M1 ", "2M2", "b", "c", "d"]), visits=True)
        assert stars[0] == stars[1]

    def test_the_identifiers_are_those_of_the_rows_that_are_used(self, tmp_path):
        loader = loader_of(tmp_path, load_combined=False, APOGEE_ID=["a", "b", "b", "c", "d", "e"])
        assert star_of_each_spectrum(loader, visits=True).tolist() == ["b", "b", "d"]

    def test_each_spectrum_of_another_star(self, tmp_path):
        loader = loader_of(tmp_path, load_combined=True, APOGEE_ID=self.IDS)
        assert star_of_each_spectrum(loader, visits=False) is None

    def test_spectra_without_identifier_are_stars_of_their_own(self, tmp_path):
        stars = star_of_each_spectrum(loader_of(tmp_path, APOGEE_ID=["", "", "2M2", "2M2", "-9999", " "]), visits=True)
        assert len(set(stars)) == 5

    def test_visits_need_identifiers(self, tmp_path):
        loader = loader_of(tmp_path)
        assert star_of_each_spectrum(loader, visits=False) is None
        with pytest.raises(ValueError, match="has neither APOGEE_ID nor sdss_id, so that visits of one star could be"):
            star_of_each_spectrum(loader, visits=True)
