"""The network in plain NumPy: predictions without TensorFlow.

`forward` holds the layers, `convolution` its convolutions and `activations` its activations; `posterior` averages over
posterior draws; `blas` controls the threads and the rounding of NumPy's matrix products.
"""
