"""The network in TensorFlow and Keras: its graph, its training, its posterior draws and their derivatives."""
