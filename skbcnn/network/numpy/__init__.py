"""The forward pass of the network in plain NumPy, for predictions without TensorFlow."""
