"""Pictures of what a model says, as Display classes in scikit-learn's pattern.

`from_estimator` and `from_predictions` compute and draw, `plot` draws again. matplotlib is imported when the first
picture is drawn, and nothing is ever shown or written unasked.
"""

from skbcnn.plotting.residuals import ResidualDisplay, ResidualOverviewDisplay, new_figure, overview_size, save_figure

__all__ = ["ResidualDisplay", "ResidualOverviewDisplay", "new_figure", "overview_size", "save_figure"]
