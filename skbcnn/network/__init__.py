"""The censored Bayesian network: its architecture, its training and its posterior draws.

`spec` describes an architecture in numbers, `masks` draws the dropout masks of a posterior draw, `moments` holds what
draws are summarised to, and `training_recipe` the settings of a training: plain NumPy, shared by both implementations.
`tensorflow` trains and predicts and is the only place that imports TensorFlow; `numpy` predicts without it; `backends`
chooses between them.
"""
