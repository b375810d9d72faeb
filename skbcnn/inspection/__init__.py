"""Derivatives of the predicted labels with respect to the flux, to inspect which pixels a fitted network uses.

A window label also depends on pixels outside its windows, through the context.

- `jacobians`: `jacobian` returns the derivatives of the labels with respect to the flux.
- `attribution`: `window_attribution` returns the share of these derivatives inside the windows of each label.
- `label_derivatives`: the derivatives of a fitted regressor in chunks, which both use.
"""

from skbcnn.inspection.attribution import WindowAttribution, window_attribution
from skbcnn.inspection.jacobians import jacobian

__all__ = ["WindowAttribution", "jacobian", "window_attribution"]
