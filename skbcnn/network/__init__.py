"""The censored Bayesian network: its shape, its weights, how it learns and how it is asked.

`spec` says what a network is, in numbers; `masks` draws the dropout masks that make one posterior draw. Both are
plain NumPy. `layers` and `architecture` build the Keras network, `weights` carries plain arrays in and out of it,
`losses`, `steps` and `training` fit it, `posterior` asks it, and `pool` lends it to them. Only `backend` imports
TensorFlow, when first needed. `forward` asks it without TensorFlow, and `choice` says which of the two does.
"""
