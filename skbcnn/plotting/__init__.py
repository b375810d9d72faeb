"""Pictures of what a model says, as Display classes in scikit-learn's pattern.

`from_estimator` and `from_predictions` compute and draw, `plot` draws again. matplotlib is imported when the first
picture is drawn, and nothing is ever shown or written unasked.
"""

from skbcnn.plotting.abundances import AbundancePlaneDisplay
from skbcnn.plotting.architecture import ArchitectureDisplay
from skbcnn.plotting.calibration import ErrorCalibrationDisplay
from skbcnn.plotting.figures import new_figure, save_figure
from skbcnn.plotting.history import TrainingHistoryDisplay
from skbcnn.plotting.jacobian import JacobianDisplay
from skbcnn.plotting.kiel import KielDisplay
from skbcnn.plotting.residuals import ResidualDisplay, ResidualOverviewDisplay, overview_size
from skbcnn.plotting.spectrum import SpectrumDisplay

__all__ = [
    "AbundancePlaneDisplay",
    "ArchitectureDisplay",
    "ErrorCalibrationDisplay",
    "JacobianDisplay",
    "KielDisplay",
    "ResidualDisplay",
    "ResidualOverviewDisplay",
    "SpectrumDisplay",
    "TrainingHistoryDisplay",
    "new_figure",
    "overview_size",
    "save_figure",
]
