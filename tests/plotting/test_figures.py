"""Figures in files, the common style, and late imports."""

import errno
import subprocess
import sys

import numpy as np
import pytest

from skbcnn.plotting import ResidualDisplay, new_figure, save_figure
from skbcnn.plotting._style import CYCLE, LABEL_SIZE, figure_style


class TestSaveFigure:
    def test_formats(self, tmp_path):
        figure = new_figure(2, 2)
        path = save_figure(figure, tmp_path / "mg.png", dpi=50)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert save_figure(figure, tmp_path / "mg.pdf").read_bytes().startswith(b"%PDF")
        assert len(list(tmp_path.iterdir())) == 2

    def test_failure_keeps_the_old_file(self, tmp_path, monkeypatch):
        figure = new_figure(2, 2)
        (tmp_path / "mg.png").write_text("old")

        def fill_the_disk(path, dpi):
            path.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(figure, "savefig", fill_the_disk)
        with pytest.raises(OSError, match="No space left"):
            save_figure(figure, tmp_path / "mg.png")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]

    def test_unknown_format(self, tmp_path):
        with pytest.raises(ValueError, match="not supported"):
            save_figure(new_figure(2, 2), tmp_path / "mg.xyz")


def test_style_ends_with_the_context():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with figure_style("A figure"):
        assert matplotlib.rcParams["axes.labelsize"] == LABEL_SIZE
    assert dict(matplotlib.rcParams) == before


def test_colours_differ_for_red_green_blind_people():
    """Their two signals are blue, and the mean of red and green."""
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in CYCLE])
    seen = np.column_stack([colours[:, :2].mean(axis=1), colours[:, 2]])
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)
    assert distance[np.triu_indices(len(CYCLE), 1)].min() > 25


def test_import_of_plotting_does_not_import_matplotlib():
    code = "import sys, skbcnn.plotting; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_error_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"ResidualDisplay needs matplotlib: pip install"):
        ResidualDisplay.from_predictions([1.0], [1.1])
