"""What a fitted network looks at: the pixels that its labels depend on, and on which ways.

A label that is read in windows still depends on the whole spectrum, since it is told about the star: the context.
`jacobian` tells the derivatives of the labels by the flux, `window_attribution` how much of them falls in the windows.
Both ask `model_slopes`, where a fitted regressor meets the network that is differentiated.
"""

from skbcnn.inspection.attribution import WindowAttribution, window_attribution
from skbcnn.inspection.jacobians import jacobian

__all__ = ["WindowAttribution", "jacobian", "window_attribution"]
