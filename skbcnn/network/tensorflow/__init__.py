"""The network in TensorFlow and Keras: training, posterior draws and their derivatives.

`runtime` imports TensorFlow. The graph exists in two forms: `keras_network` for training, where every spectrum has its
own dropout masks, and `draw_graph` for predictions, where all spectra share the masks of a draw.

- Training: `keras_network` is made of `layers`, `frames` and `dropout`; `weights` fills it, `losses` and
  `training_steps` train it on `batches`, and `training` runs the epochs with its `callbacks`. `network_pool` keeps
  compiled networks for the next training.
- Predictions: `draw_tensors` packs weights and masks, and `posterior` averages over the draws.
- Derivatives of predictions: `derivative_rows` says what is averaged over the draws, `derivative_graph` traces it back
  to the pixels, and `derivatives` averages.

`activations` and `compiling` serve all of these.
"""
