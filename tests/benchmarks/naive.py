"""The network of Leung & Bovy (2019) in straightforward Keras: the baseline of every speed claim.

One Dense layer per element and stage, dropout that is always on, ``compile`` and ``fit``; a prediction builds one
model that stacks T calls of the network. This code is not tuned. Do not change it.
"""

import keras
import numpy as np
from keras import layers, ops

from skbcnn.survey import APOGEE_LABELS, apogee_windows

FULL = ("teff", "logg", "Fe")
WIDER = {"C": (8, 4), "N": (8, 4)}


def build(num_hidden=(192, 96, 32, 16, 2), dropout_rate=0.3, l2=5e-9):
    """Return a network from spectra (n, 7514) to means and log-variances (n, 2, 22), in normalised units."""
    h0, h1, h2, h3, h4 = num_hidden
    windows = apogee_windows()

    def dropped(x):
        return layers.Dropout(dropout_rate)(x, training=True)

    def shared(**extra):
        initializer = keras.initializers.RandomNormal(stddev=0.05)
        return {"activation": "relu", "kernel_initializer": initializer, **extra}

    def penalty():
        return shared(kernel_regularizer=keras.regularizers.L2(l2))

    pixels = keras.Input((windows.n_pixels,))
    x = layers.Reshape((-1, 1))(pixels)
    x = dropped(layers.Conv1D(2, 8, padding="same", **penalty())(x))
    x = layers.MaxPooling1D(4)(layers.Conv1D(4, 8, padding="same", **penalty())(x))
    x = dropped(layers.Dense(h0, **penalty())(dropped(layers.Flatten()(x))))
    full = layers.Dense(h1, **penalty())(x)

    mean = {name: layers.Dense(1)(full) for name in FULL}
    logvar = {name: layers.Dense(1)(full) for name in FULL}
    aux = layers.Dense(h4, kernel_constraint=keras.constraints.MaxNorm(0.5, axis=0))(full)
    stopped = [layers.Lambda(ops.stop_gradient)(mean[name]) for name in FULL]
    context = layers.Concatenate()([aux, *stopped])

    for name in APOGEE_LABELS:
        if name in FULL:
            continue
        wider_1, wider_2 = WIDER.get(name, (1, 1))
        window = windows[name].astype("int32")
        x = layers.Lambda(ops.take, arguments={"indices": window, "axis": 1}, output_shape=(len(window),))(pixels)
        x = dropped(layers.Dense(h2 * wider_1, **penalty())(x))
        x = dropped(layers.Dense(h3 * wider_2, **shared())(x))
        x = layers.Concatenate()([x, context])
        mean[name], logvar[name] = layers.Dense(1)(x), layers.Dense(1)(x)

    means, logvars = (layers.Concatenate()([of[name] for name in APOGEE_LABELS]) for of in (mean, logvar))
    return keras.Model(pixels, layers.Lambda(lambda pair: ops.stack(pair, axis=1))([means, logvars]))


def loss(targets, moments):
    """Return the mean over the present labels of a star of 0.5 ((y - mu)^2 / var + log var), var = exp(s) + e^2."""
    y, error, present = targets[:, 0], targets[:, 1], targets[:, 2]
    variance = ops.exp(ops.clip(moments[:, 1], -20, 20)) + error**2
    terms = 0.5 * ((y - moments[:, 0]) ** 2 / variance + ops.log(variance)) * present
    return ops.sum(terms, axis=-1) / ops.maximum(ops.sum(present, axis=-1), 1)


def fit(model, x, y, y_err, epochs, batch_size=64, lr=5e-4):
    """Train on normalised spectra and labels; missing labels are NaN."""
    present = ~np.isnan(y)
    targets = np.stack([np.where(present, y, 0), np.where(present, y_err, 0), present], axis=1).astype("float32")
    model.compile(keras.optimizers.Adam(lr), loss)
    return model.fit(x, targets, batch_size=batch_size, epochs=epochs, shuffle=True, verbose=0)


def predict_std(model, x, n_draws=100, batch_size=64):
    """Return mean and total standard deviation of each label over T draws, in normalised units."""
    pixels = keras.Input(model.input_shape[1:])
    stacked = keras.Model(pixels, ops.stack([model(pixels) for _ in range(n_draws)], axis=1))
    draws = stacked.predict(x, batch_size=batch_size, verbose=0)
    mean, logvar = draws[:, :, 0], draws[:, :, 1]
    return mean.mean(axis=1), np.sqrt(mean.var(axis=1) + np.exp(logvar.mean(axis=1)))
