"""Constructor parameters of the regressors, checked and converted to what the network and its training take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn._sklearn import Interval, Options, StrOptions
from skbcnn.augmentation import Augmentation
from skbcnn.network.backends import BACKENDS
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.training_recipe import Recipe
from skbcnn.survey import ElementWindows

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor

_LINEAR_MODES = {0, 1, 2, 3, 4, 255}
_FEWEST_EPOCHS, _MOST_EPOCHS = 48, 160  # of max_epochs="auto"
_N_AUGMENTED_SPECTRA = 800_000  # that a training with augmentation shows, between these limits
_MAX_EPOCHS, _MAX_DRAWS = 1_000_000, 100_000  # far beyond any use: larger numbers are typing errors
_MAX_WEIGHTS = 2**27  # 512 MiB, the largest weights that a model folder may hold

CONSTRAINTS: dict[str, list[Any]] = {
    "windows": [Mapping, None],
    "target": [str, "array-like", None],
    "num_hidden": ["array-like"],
    "num_filters": ["array-like"],
    "filter_len": [Interval(Integral, 1, None, closed="left")],
    "pool_length": [Interval(Integral, 1, None, closed="left")],
    "activation": [str],
    "initializer": [str],
    "dropout_rate": [Interval(Real, 0, 1, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "maxnorm": [Interval(Real, 0, None, closed="neither"), None],
    "context_layer": [StrOptions({"output", "hidden"})],
    "context_labels": [StrOptions({"auto"}), "array-like", None],
    "augmentation": [StrOptions({"auto"}), Mapping, Augmentation, None],
    "length_scale": [Interval(Real, 0, None, closed="neither")],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "max_epochs": [StrOptions({"auto"}), Interval(Integral, 1, _MAX_EPOCHS, closed="both")],
    "reduce_lr_epsilon": [Interval(Real, 0, None, closed="left")],
    "reduce_lr_min": [Interval(Real, 0, None, closed="left")],
    "reduce_lr_patience": [Interval(Integral, 1, None, closed="left")],
    "input_norm_mode": [Options(Integral, _LINEAR_MODES), StrOptions({"3s", *map(str, _LINEAR_MODES)})],
    "labels_norm_mode": [Options(Integral, _LINEAR_MODES), StrOptions(set(map(str, _LINEAR_MODES)))],
    "lr_schedule": [StrOptions({"plateau", "cosine"})],
    "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
    "clipnorm": [Interval(Real, 0, None, closed="neither"), None],
    "noise_augmentation": [Interval(Real, 0, None, closed="left"), "array-like"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "calibrate": ["boolean"],
    "calibration_cv": [Interval(Integral, 2, None, closed="left"), None],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "callbacks": [callable, list, tuple, None],
    "n_draws": [Interval(Integral, 2, _MAX_DRAWS, closed="both")],
    "backend": [StrOptions(set(BACKENDS))],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
"""Constraints of the constructor parameters, as scikit-learn checks them."""

_FEWEST_UNITS = {"num_hidden": (1, 1, 1, 1, 0), "num_filters": (1, 1)}


def check_sequences(model: CensoredBCNNRegressor) -> None:
    """Check the parameters that are sequences or mappings, beyond their type in `CONSTRAINTS`.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor, which need not be fitted.

    Raises
    ------
    ValueError
        If the entries of `num_hidden`, `num_filters`, `noise_augmentation` or `augmentation` cannot be used, whatever
        the data are.
    """
    for name in _FEWEST_UNITS:
        _widths(name, getattr(model, name))
    noise_range(model.noise_augmentation)
    if not isinstance(model.augmentation, str):
        Augmentation.of(model.augmentation)


def element_windows(windows: Mapping[str, Any], label_names: Sequence[str], n_pixels: int) -> ElementWindows:
    """Return the windows as `ElementWindows` on the grid of the spectra.

    Parameters
    ----------
    windows : ElementWindows or mapping of str to array-like of int
        Pixels of each label that has a window.
    label_names : sequence of str
        Names of all labels.
    n_pixels : int
        Pixels of a spectrum.

    Returns
    -------
    windows : ElementWindows

    Raises
    ------
    ValueError
        If a window is given for a label that is not predicted, or on another number of pixels.
    """
    if not isinstance(windows, ElementWindows):
        windows = ElementWindows(windows, n_pixels)
    if unknown := [name for name in windows if name not in label_names]:
        raise ValueError(
            f"windows are given for {', '.join(unknown)}, but the labels are {', '.join(label_names)}. Pass "
            "target=[...] with the names of the columns of y, spelt as in the windows."
        )
    if len(windows) and windows.n_pixels != n_pixels:
        raise ValueError(
            f"X has {n_pixels} pixels a spectrum, but the windows were made for {windows.n_pixels}. Make them on the "
            "wavelength grid of X."
        )
    return windows


def network_spec(
    model: CensoredBCNNRegressor, windows: ElementWindows, label_names: Sequence[str], n_supervised: int = 0
) -> NetworkSpec:
    """Return the architecture that the parameters of a regressor describe.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor whose `n_features_in_` is set.
    windows : ElementWindows
        Windows of the labels, from `element_windows`.
    label_names : sequence of str
        Names of the labels, in the order in which they are predicted.
    n_supervised : int, default=0
        Number of context labels, for which there is a context unit each, beside the free ones.

    Returns
    -------
    spec : NetworkSpec

    Raises
    ------
    ValueError
        If `num_hidden` or `num_filters` cannot be used, or the network would have too many weights.
    """
    widths = _widths("num_hidden", model.num_hidden)
    if len(windows) == 0:
        n_supervised = 0
    pixels = {name: tuple(window.tolist()) for name, window in windows.items()}
    spec = NetworkSpec(
        n_pixels=model.n_features_in_,
        windows=tuple(pixels.get(name) for name in label_names),
        widening=tuple(windows.widening(name) for name in label_names),
        num_hidden=(*widths[:4], widths[4] + n_supervised),
        num_filters=_widths("num_filters", model.num_filters),
        filter_len=int(model.filter_len),
        pool_length=int(model.pool_length),
        activation=model.activation,
        initializer=model.initializer,
        dropout_rate=float(model.dropout_rate),
        l2=float(model.l2),
        maxnorm=None if model.maxnorm is None else float(model.maxnorm),
        context_layer=model.context_layer,
        n_supervised=n_supervised,
    )
    n_weights = sum(map(math.prod, spec.weight_shapes.values()))
    if n_weights > _MAX_WEIGHTS:
        raise ValueError(
            f"num_hidden={model.num_hidden!r} and num_filters={model.num_filters!r} make a network of {n_weights} "
            f"weights, expected at most {_MAX_WEIGHTS}. Use smaller layers; the published network has 3.5 million."
        )
    return spec


def training_recipe(model: CensoredBCNNRegressor, max_epochs: int | str, n_stars: int) -> Recipe:
    """Return the training settings that the parameters of a regressor describe.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor.
    max_epochs : int or "auto"
        Number of epochs; `partial_fit` runs one, whatever the parameter says.
    n_stars : int
        Number of training stars.

    Returns
    -------
    recipe : Recipe

    Raises
    ------
    TypeError
        If a callback cannot be called.
    ValueError
        If `noise_augmentation` is not a number or a pair.
    """
    n_epochs = _n_epochs(max_epochs, n_stars, is_augmented=model._active_augmentation is not None)
    return Recipe(
        lr=float(model.lr),
        batch_size=_batch_size(model.batch_size, n_stars),
        max_epochs=n_epochs,
        reduce_lr_epsilon=float(model.reduce_lr_epsilon),
        reduce_lr_min=float(model.reduce_lr_min),
        reduce_lr_patience=model.reduce_lr_patience,
        lr_schedule=model.lr_schedule,
        warmup_epochs=min(model.warmup_epochs, n_epochs - 1),
        clipnorm=model.clipnorm,
        noise=noise_range(model.noise_augmentation),
        stop_after=model.n_iter_no_change if model.early_stopping else None,
        verbose=model.verbose,
        callbacks=_callbacks(model.callbacks),
    )


def _n_epochs(max_epochs: int | str, n_stars: int, *, is_augmented: bool) -> int:
    """Return the number of epochs: more for fewer stars, if no epoch shows the same spectra as another."""
    if max_epochs != "auto":
        return int(max_epochs)
    if not is_augmented:
        return _FEWEST_EPOCHS
    return int(np.clip(_N_AUGMENTED_SPECTRA // n_stars, _FEWEST_EPOCHS, _MOST_EPOCHS))


def _batch_size(batch_size: int | str, n_stars: int) -> int:
    """Return the number of stars of a training step: fewer for fewer stars, which would make too few steps."""
    if batch_size != "auto":
        return int(batch_size)
    return next((size for size, fewest in ((64, 3000), (32, 1000)) if n_stars >= fewest), 16)


def noise_range(noise_augmentation: float | Sequence[float]) -> tuple[float, float]:
    """Return the smallest and largest noise that training adds, in flux errors.

    Parameters
    ----------
    noise_augmentation : float or pair of float
        Parameter of the regressor.

    Returns
    -------
    smallest, largest : float

    Raises
    ------
    ValueError
        If it is neither a number nor a pair of numbers in ascending order, or negative.
    """
    levels: tuple[Any, ...] = ()
    if isinstance(noise_augmentation, Real) and not isinstance(noise_augmentation, bool):
        levels = (noise_augmentation, noise_augmentation)
    elif isinstance(noise_augmentation, tuple | list) or (
        isinstance(noise_augmentation, np.ndarray) and noise_augmentation.ndim == 1
    ):
        levels = tuple(noise_augmentation)
    are_numbers = all(isinstance(level, Real) and math.isfinite(level) for level in levels)
    if len(levels) != 2 or not are_numbers or not 0 <= levels[0] <= levels[1]:
        raise ValueError(
            f"noise_augmentation={noise_augmentation!r}, expected one number, or a pair: the smallest and the largest "
            "noise to add, in flux errors, such as (0, 3)."
        )
    return float(levels[0]), float(levels[1])


def _callbacks(callbacks: Any) -> tuple[Callable, ...]:
    """Return one callback, several or None as a tuple."""
    several = (callbacks,) if callable(callbacks) else tuple(callbacks or ())
    for callback in several:
        if not callable(callback):
            raise TypeError(f"callbacks holds {callback!r}, expected functions of one argument, an EpochEnd.")
    return several


def _widths(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return layer widths as a tuple of int."""
    smallest, widths = _FEWEST_UNITS[name], tuple(values)
    whole = len(widths) == len(smallest) and all(
        isinstance(width, Integral) and not isinstance(width, bool) for width in widths
    )
    if not whole or any(width < low for width, low in zip(widths, smallest, strict=True)):
        raise ValueError(f"{name}={values!r}, expected {len(smallest)} whole numbers, at least {smallest}.")
    return tuple(int(width) for width in widths)
