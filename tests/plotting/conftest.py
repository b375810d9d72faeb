"""What tests of pictures share: an estimator that answers at once, and checks of what is drawn."""

from itertools import combinations

import numpy as np
import pytest

from skbcnn import Prediction

NAMES = ("teff", "logg", "Mg", "Al", "Fe")


def _sides(box, other):
    """Where two boxes start and end along both axes: ((x, x), (y, y)) twice."""
    return zip(box.min, other.min, strict=True), zip(box.max, other.max, strict=True)


class Oracle:
    """An estimator whose prediction is known; flux errors double its error bars."""

    def __init__(self, mean, std):
        self.mean, self.std, self.target_names_ = mean, std, NAMES

    def predict_distribution(self, X, x_err=None):
        rows = np.asarray(X, dtype=int)[:, 0]
        total = self.std[rows] * (1 if x_err is None else 2)
        return Prediction(self.mean[rows], 0 * total, total, total, NAMES)


@pytest.fixture(scope="session")
def stars():
    """Labels of 200 stars, true and predicted, with error bars of the right size; some true ones are missing."""
    rng = np.random.default_rng(0)
    shape = 200, len(NAMES)
    true = [4700, 2.4, 0, 0, -0.1] + rng.normal(size=shape) * [250, 0.5, 0.3, 0.3, 0.3]
    std = np.broadcast_to([25.0, 0.1, 0.04, 0.05, 0.02], shape) * rng.uniform(0.5, 2, size=shape)
    pred = true + std * rng.normal(size=shape)
    true[:20, 2] = -9999
    true[5:30, 1] = np.nan
    return true, pred, std


@pytest.fixture
def oracle(stars):
    """An estimator of `stars`: X holds the number of each star."""
    return Oracle(*stars[1:])


@pytest.fixture
def new_axes():
    """Function that makes axes which pyplot does not know of."""
    from skbcnn.plotting import new_figure

    return lambda width=7, height=4: new_figure(width, height).add_subplot()


@pytest.fixture
def pyplot_untouched():
    """Check that a test leaves pyplot's figures, and the style, as they were."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    before = pyplot.get_fignums(), dict(pyplot.rcParams)
    yield
    assert (pyplot.get_fignums(), dict(pyplot.rcParams)) == before


@pytest.fixture
def own_figure():
    """Function that checks whether a display made a figure with pyplot, and closes it; tells its size in inches."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")

    def own_figure(display):
        assert pyplot.get_fignums() == [display.figure_.number]
        pyplot.close(display.figure_)
        return tuple(display.figure_.get_size_inches())

    yield own_figure
    pyplot.close("all")


@pytest.fixture
def check_legible(monkeypatch):
    """Function that draws a figure, and checks that no text is small, cut off or upon another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    drawn, draw = [], Text.draw

    def remember(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)
        return draw(self, renderer, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", remember)

    def check_legible(figure, least=8):
        drawn.clear()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [
            (text.get_text(), text.get_window_extent(canvas.get_renderer()), text.get_fontsize()) for text in drawn
        ]
        width, height = figure.bbox.size
        assert boxes
        for text, box, size in boxes:
            assert size >= least, f"{text!r} has {size} points"
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, f"{text!r} is cut off"
        for (one, box, _), (other, other_box, _) in combinations(boxes, 2):
            overlap = [min(ends) - max(starts) for starts, ends in zip(*_sides(box, other_box), strict=True)]
            assert min(overlap) < 3, f"{one!r} is upon {other!r}"  # letters do not fill their boxes

    return check_legible
