"""Fixtures of the tests of figures: an estimator with known predictions, new axes, and checks of figures."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skbcnn import Prediction
from skbcnn.plotting import new_figure
from tests.plotting.artists import NAMES


@pytest.fixture(scope="session", autouse=True)
def matplotlib_defaults():
    """Draw without a display, and without the settings and fonts of the user."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    matplotlib.rcdefaults()


class Oracle(BaseEstimator):
    """Estimator with known predictions for stars whose only pixel is their number. Flux errors double its errors."""

    def __init__(self, mean, std, names=NAMES):
        self.mean = mean
        self.std = std
        self.names = names

    def fit(self, X=None, y=None):
        self.target_names_ = self.names
        return self

    def predict_distribution(self, X, x_err=None):
        rows = np.asarray(X, dtype=int)[:, 0]
        total = self.std[rows] * (1 if x_err is None else 2)
        return Prediction(self.mean[rows], 0 * total, total, total, self.names)


@pytest.fixture(scope="session")
def stars():
    """True and predicted labels of 200 stars with calibrated error bars; some true labels are missing."""
    rng = np.random.default_rng(0)
    shape = 200, len(NAMES)
    true = [4700, 2.4, 0, 0, -0.1] + rng.normal(size=shape) * [250, 0.5, 0.3, 0.3, 0.3]
    std = np.broadcast_to([25.0, 0.1, 0.04, 0.05, 0.02], shape) * rng.uniform(0.5, 2, size=shape)
    pred = true + std * rng.normal(size=shape)
    true[:20, 2] = -9999
    true[5:30, 1] = np.nan
    return true, pred, std


@pytest.fixture(scope="session")
def star_numbers():
    """Spectra of `stars` for `oracle`: one pixel with the number of the star."""
    return np.arange(200)[:, None]


@pytest.fixture
def oracle(stars):
    """Fitted estimator that predicts `stars`."""
    return Oracle(*stars[1:]).fit()


@pytest.fixture
def new_axes():
    """Function that creates axes that pyplot does not manage."""
    return lambda width=7, height=4: new_figure(width, height).add_subplot()


@pytest.fixture
def pyplot_unchanged():
    """Check that a test changes neither the figures nor the settings of pyplot."""
    from matplotlib import pyplot

    before = pyplot.get_fignums(), dict(pyplot.rcParams)
    yield
    assert (pyplot.get_fignums(), dict(pyplot.rcParams)) == before


@pytest.fixture
def check_pyplot_figure():
    """Function that checks that a figure is the only one of pyplot, closes it, and returns its size in inches."""
    from matplotlib import pyplot

    def check_pyplot_figure(figure):
        assert pyplot.get_fignums() == [figure.number]
        pyplot.close(figure)
        return tuple(figure.get_size_inches())

    yield check_pyplot_figure
    pyplot.close("all")


@pytest.fixture
def check_legible(monkeypatch):
    """Function that draws a figure, and checks that no text is small, cut off or hidden by another text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    drawn, draw = [], Text.draw

    def record(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)
        return draw(self, renderer, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", record)

    def check_legible(figure, min_size=8):
        drawn.clear()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in drawn]
        assert boxes
        for text in drawn:
            assert text.get_fontsize() >= min_size, f"{text.get_text()!r} has {text.get_fontsize()} points"
        for text, box in boxes:
            inside = (box.min >= -1).all() and (box.max <= figure.bbox.max + 1).all()
            assert inside, f"{text!r} is cut off"
        for (text, box), (other, other_box) in combinations(boxes, 2):
            overlap = np.minimum(box.max, other_box.max) - np.maximum(box.min, other_box.min)
            assert overlap.min() < 3, f"{text!r} overlaps {other!r}"  # pixels; letters do not fill their boxes

    return check_legible
