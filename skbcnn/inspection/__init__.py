"""Which pixels a fitted network uses, and whether each of its labels measures itself.

- `responses`: `response_matrix` returns the change of each predicted label when one true label changes.
- `jacobians`: `jacobian` returns the derivatives of the labels with respect to the flux.
- `attribution`: `window_attribution` returns the share of these derivatives inside the windows of each label.
- `label_derivatives`: the derivatives of a fitted regressor in chunks, which both use.

A window label also depends on pixels outside its windows, through the context.
"""

from skbcnn.inspection.attribution import WindowAttribution, window_attribution
from skbcnn.inspection.jacobians import jacobian
from skbcnn.inspection.responses import response_matrix
from skbcnn.metrics.responses import ResponseMatrix

__all__ = ["ResponseMatrix", "WindowAttribution", "jacobian", "response_matrix", "window_attribution"]
