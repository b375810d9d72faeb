"""The censored Bayesian neural network: its architecture, its training and its posterior draws.

What both implementations share is plain NumPy and stands here once:

- `spec`: the architecture in numbers, `NetworkSpec`;
- `masks`: the dropout masks and the flux noise of the posterior draws; `draw_cache` keeps those of the last prediction;
- `weight_packing`: weights and masks of many labels as few large arrays;
- `chunks`: the size of chunks of spectra, and computing them in threads;
- `moments`: the moments of the draws, and the interface of the two posterior classes;
- `training_recipe`: the stars and the settings of a training.

`tensorflow` trains and predicts and is the only package that imports TensorFlow; `numpy` predicts without it.
`backends` chooses between them; `forking` knows the processes in which TensorFlow would hang.
"""
