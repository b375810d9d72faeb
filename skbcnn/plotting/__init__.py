"""Figures of labels, spectra, networks and trainings, as Display classes like those of scikit-learn.

`from_estimator` and the other constructors compute and draw; `plot` draws again. matplotlib is imported when the first
figure is drawn. No display opens a window or writes a file.
"""

from skbcnn.plotting.abundances import AbundancePlaneDisplay
from skbcnn.plotting.architecture import ArchitectureDisplay
from skbcnn.plotting.calibration import ErrorCalibrationDisplay
from skbcnn.plotting.figures import new_figure, save_figure
from skbcnn.plotting.history import TrainingHistoryDisplay
from skbcnn.plotting.jacobian import JacobianDisplay
from skbcnn.plotting.kiel import KielDisplay
from skbcnn.plotting.residual_overview import ResidualOverviewDisplay, overview_size
from skbcnn.plotting.residuals import ResidualDisplay
from skbcnn.plotting.responses import ResponseDisplay
from skbcnn.plotting.spectrum import SpectrumDisplay

__all__ = [
    "AbundancePlaneDisplay",
    "ArchitectureDisplay",
    "ErrorCalibrationDisplay",
    "JacobianDisplay",
    "KielDisplay",
    "ResidualDisplay",
    "ResidualOverviewDisplay",
    "ResponseDisplay",
    "SpectrumDisplay",
    "TrainingHistoryDisplay",
    "new_figure",
    "overview_size",
    "save_figure",
]
