"""Stars that a regressor is trained on: label names, checks, the held-out share, normalised units and noise levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skbcnn._label_tables import LabelColumns
from skbcnn._lazy_rows import LazyRows, change_rows
from skbcnn._user_warnings import warn_user
from skbcnn._validation import check_label_errors, check_labels, in_blocks, varies, warn_of_scaled_missing_labels
from skbcnn.calibration.fitting import MIN_DIFFERENCES
from skbcnn.network.training_recipe import Stars
from skbcnn.survey.spellings import as_text

if TYPE_CHECKING:
    from skbcnn.network.spec import NetworkSpec
    from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer

_FAR_APART = 10  # standard deviations
_FEW_STARS, _PIXELS_OF_A_SPECTRUM = 20, 1000
_SPECTRA_TO_COMPARE = 100
_STACKLEVEL = 7  # of warnings in `usable_stars`, from the function that warns up to the caller of `fit`


def names_of_columns(labels: LabelColumns, target: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the labels: those of `target`, those of the columns, or numbers.

    Parameters
    ----------
    labels : LabelColumns
        Columns of `y`.
    target : sequence of str or None
        Parameter of the regressor.

    Returns
    -------
    names : tuple of str

    Raises
    ------
    ValueError
        If `target` is one string or a set, or its names are not unique, or not as many as the columns.
    """
    n_labels = len(labels.columns)
    if target is None and labels.names is not None:
        return labels.unique_names()
    if isinstance(target, str):
        raise ValueError(
            f"target={target!r} is one string, expected a sequence of label names. Pass target=[{target!r}] for one "
            "label. Only ApogeeBCNNCensoredRegressor has a set of labels of its own, target='all'."
        )
    if isinstance(target, set | frozenset):
        raise ValueError(f"target is a set, which has no order: {target}. Pass a list of label names.")
    names = tuple(str(as_text(name)) for name in (range(n_labels) if target is None else target))
    if len(set(names)) != len(names) or (len(names) != n_labels and not labels.is_table):
        raise ValueError(
            f"target names {len(names)} labels ({', '.join(names)}), but y has {n_labels} columns. Name each "
            "column once, in order."
        )
    return names


def check_same_labels(names: Sequence[str], fitted: Sequence[str]) -> None:
    """Refuse labels that differ from those of the model that the training continues.

    Parameters
    ----------
    names : sequence of str
        Names of the labels that were passed.
    fitted : sequence of str
        Names of the labels of the fitted model.

    Raises
    ------
    ValueError
        If they differ.
    """
    if tuple(names) != tuple(fitted):
        raise ValueError(
            f"The labels are {', '.join(names)}, but the model was fitted to {', '.join(fitted)}. Pass the same labels "
            "to continue its training, or start again: fit with warm_start=False."
        )


def check_same_layers(spec: NetworkSpec, fitted: NetworkSpec) -> None:
    """Refuse parameters whose network has other layers than the one whose training continues.

    Parameters
    ----------
    spec : NetworkSpec
        Network that the parameters describe.
    fitted : NetworkSpec
        Network of the fitted model.

    Raises
    ------
    ValueError
        If their weights differ in shape.
    """
    if spec.weight_shapes != fitted.weight_shapes:
        raise ValueError(
            "The parameters describe a network with other layers than the fitted one. Continue its training with "
            "the same widths and windows, or start again: fit with warm_start=False."
        )


def usable_stars(stars: Stars, label_names: Sequence[str], *, may_be_empty: bool) -> Stars:
    """Return the stars of positive weight, with checked labels and label errors.

    Parameters
    ----------
    stars : Stars
        Stars as they were passed, in arrays.
    label_names : sequence of str
        Names of the labels.
    may_be_empty : bool
        Whether a label may be missing in all stars.

    Returns
    -------
    stars : Stars
        Labels are NaN where they are missing; label errors are 0 there and where they are unknown.

    Raises
    ------
    ValueError
        If labels or their errors cannot be used.
    """
    if not stars.weight.all():
        stars = stars.take(stars.weight > 0)
    y = check_labels(stars.y, label_names, may_be_empty=may_be_empty)
    warn_of_scaled_missing_labels(y, label_names, stacklevel=_STACKLEVEL)
    return stars._replace(y=y, y_err=check_label_errors(stars.y_err, y, stacklevel=_STACKLEVEL))


def split(stars: Stars, validation_fraction: float, random_state: np.random.RandomState) -> tuple[Stars, Stars | None]:
    """Split stars into those to train on and those held out.

    Parameters
    ----------
    stars : Stars
        All stars.
    validation_fraction : float
        Share to hold out. If `stars` has groups, share of the groups.
    random_state : RandomState
        Source of the random order; not used if no star is held out.

    Returns
    -------
    training : Stars
        Every label that any star has is present in at least one of them.
    held_out : Stars or None
        In random order, and of other groups than `training`. None if there would be no star, or none with a label.
    """
    if stars.group is None:
        training, held_out = _random_rows(len(stars.x), validation_fraction, random_state)
    else:
        training, held_out = _random_groups(stars.group, validation_fraction, random_state)
    if len(held_out) == 0:
        return stars, None
    present = ~np.isnan(stars.y)
    rare = ~present[training].any(axis=0)  # a label that only held-out stars have could not be learnt
    needed = present[held_out][:, rare].any(axis=1)
    if stars.group is not None:
        needed = np.isin(stars.group[held_out], stars.group[held_out[needed]])
    held_out, training = held_out[~needed], np.concatenate([training, held_out[needed]])
    if not present[held_out].any():  # a loss cannot be measured on stars without labels
        return stars.take(training), None
    return stars.take(training), stars.take(held_out)


def number_held_out(n_stars: int, share: float, of_groups: bool) -> int:
    """Return how many stars are held out, without regard to labels that only few stars have.

    Parameters
    ----------
    n_stars : int
        Number of stars.
    share : float
        Share to hold out.
    of_groups : bool
        Whether the stars are groups of spectra.

    Returns
    -------
    n_held_out : int
    """
    return min(math.ceil(n_stars * share), n_stars - 1) if of_groups else int(n_stars * share)


def _random_rows(n_stars: int, share: float, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of random stars to train on and to hold out."""
    n_held_out = number_held_out(n_stars, share, of_groups=False)
    if n_held_out == 0:
        return np.arange(n_stars), np.arange(0)
    order = random_state.permutation(n_stars)
    return order[n_held_out:], order[:n_held_out]


def _random_groups(
    groups: np.ndarray, share: float, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of random groups to train on and to hold out, at least one of each if there are two."""
    n_groups = len(np.unique(groups))
    n_held_out = number_held_out(n_groups, share, of_groups=True)
    if n_held_out == 0:
        if n_groups == 1 and share > 0:
            warn_user("groups names a single star, so that none can be held out. Name the star of each spectrum.")
        return np.arange(len(groups)), np.arange(0)
    splitter = GroupShuffleSplit(1, test_size=n_held_out, random_state=random_state)
    training, held_out = next(splitter.split(groups, groups=groups))
    return random_state.permutation(training), random_state.permutation(held_out)


def warn_of_other_labels(training: Stars, validation: Stars, label_names: Sequence[str]) -> None:
    """Warn if the labels of validation data cannot be in the units of the training labels.

    Parameters
    ----------
    training : Stars
        Stars to train on.
    validation : Stars
        Validation stars.
    label_names : sequence of str
        Names of the labels.

    Warns
    -----
    UserWarning
        If the medians of a label differ by more than ten standard deviations of the training labels.
    """
    names = []
    for name, *columns in zip(label_names, training.y.T, validation.y.T, strict=True):
        ours, theirs = (column[~np.isnan(column)] for column in columns)
        if len(ours) and len(theirs) and abs(np.median(theirs) - np.median(ours)) > _FAR_APART * ours.std() > 0:
            names.append(str(name))
    if names:
        warn_user(
            f"The validation labels {', '.join(names)} lie far outside the training labels. Pass them in the same "
            "units: TransformedTargetRegressor, for example, scales y but not y_val or validation_data."
        )


def warn_of_few_stars(training: Stars, held_out: Stars | None) -> None:
    """Warn if a training set is so small that the network can only memorise it.

    Parameters
    ----------
    training : Stars
        Stars to train on.
    held_out : Stars or None
        Stars held out.

    Warns
    -----
    UserWarning
        For fewer than 20 training stars, or fewer than labels, if a spectrum has at least a thousand pixels. Fewer
        pixels are not a spectrum but a trial of the code.
    """
    n_stars, n_pixels = training.x.shape
    n_held_out = 0 if held_out is None else len(held_out.x)
    if n_stars < max(_FEW_STARS, training.y.shape[1]) and n_pixels >= _PIXELS_OF_A_SPECTRUM:
        stars = "1 star" if n_stars == 1 else f"{n_stars} stars"
        uncalibrated = (
            ""
            if n_held_out >= MIN_DIFFERENCES
            else f" Held-out stars: {n_held_out}; with fewer than {MIN_DIFFERENCES} the errors are not calibrated."
        )
        warn_user(
            f"The training set has {stars}. A network memorises so few spectra of {n_pixels} pixels, and its "
            f"labels of other stars mean little: train on hundreds of stars, or better thousands.{uncalibrated}"
        )


def warn_of_no_variation(training: Stars, label_names: Sequence[str]) -> None:
    """Warn if all spectra are equal, or all stars have one value of a label.

    Parameters
    ----------
    training : Stars
        Stars to train on.
    label_names : sequence of str
        Names of the labels.

    Warns
    -----
    UserWarning
        If so, for several stars with spectra of at least a thousand pixels.
    """
    n_stars, n_pixels = training.x.shape
    if n_stars < _FEW_STARS or n_pixels < _PIXELS_OF_A_SPECTRUM:
        return
    some = np.asarray(training.x[:_SPECTRA_TO_COMPARE])
    if (some == some[0]).all():
        warn_user(f"The first {len(some)} spectra are equal, so that no label can be learnt from them.")
    known = [column[~np.isnan(column)] for column in training.y.T]
    if names := [name for name, y in zip(label_names, known, strict=True) if len(y) > 0 and not varies(y)]:
        warn_user(
            f"All training stars have the same {', '.join(names)}. The network learns only this value; leave such "
            "labels out."
        )


def normalized(
    stars: Stars,
    spectra_normalizer: SpectraNormalizer,
    label_normalizer: LabelNormalizer,
    *,
    with_flux_errors: bool,
) -> Stars:
    """Return stars in the units that the network is trained in.

    Parameters
    ----------
    stars : Stars
        Stars in flux and label units.
    spectra_normalizer : SpectraNormalizer
        Fitted normaliser of the spectra.
    label_normalizer : LabelNormalizer
        Fitted normaliser of the labels.
    with_flux_errors : bool
        Whether the training needs flux errors.

    Returns
    -------
    stars : Stars
    """
    needs_errors = with_flux_errors and stars.x_err is not None
    return Stars(
        x=change_rows(stars.x, spectra_normalizer.transform),
        y=label_normalizer.transform(stars.y),
        y_err=None if stars.y_err is None else label_normalizer.scale_errors(stars.y_err),
        weight=stars.weight,
        x_err=change_rows(stars.x_err, spectra_normalizer.scale_errors) if needs_errors else None,
    )


def refuse_lazy_cross_fitting(X: Any, calibration_cv: int) -> None:
    """Refuse cross-fitting with spectra that are in a file.

    Parameters
    ----------
    X : array-like or LazyRows
        Spectra.
    calibration_cv : int
        Number of folds.

    Raises
    ------
    ValueError
        If the spectra are in a file: all of them would be held in memory, in a second exposure, for the prediction.
    """
    if isinstance(X, LazyRows):
        raise ValueError(
            f"calibration_cv={calibration_cv} needs all spectra in memory, but those of X stay in their file. Load "
            "them (H5Loader.load, or dataset[:]), or pass calibration_cv=None, with which the held-out stars calibrate "
            "the model."
        )


def noise_levels(x_err: np.ndarray) -> np.ndarray:
    """Return the noise level of each star: the median of its flux errors.

    Parameters
    ----------
    x_err : ndarray of shape (n_samples, n_pixels)
        Flux errors; 0 for replaced pixels, which do not count.

    Returns
    -------
    noise_levels : ndarray of shape (n_samples,)
        0 for a star without any error above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._training_data import noise_levels
    >>> noise_levels(np.array([[0.25, 0.0, 0.0]]))
    array([0.25], dtype=float32)
    """
    return np.concatenate([_median_above_zero(block) for block in in_blocks(x_err)])


def _median_above_zero(x_err: np.ndarray) -> np.ndarray:
    """Return the median of the positive numbers of each row; 0 for a row without any."""
    ordered = np.sort(x_err, axis=1)
    n_zeros = (x_err <= 0).sum(axis=1)
    last = x_err.shape[1] - 1
    middle = [np.minimum((n_zeros + last + half) // 2, last)[:, np.newaxis] for half in (0, 1)]
    return np.mean([np.take_along_axis(ordered, place, axis=1)[:, 0] for place in middle], axis=0, dtype=x_err.dtype)


def are_noisier(x_err: np.ndarray | None, noise_level: float | None) -> np.ndarray | None:
    """Return which spectra have a higher noise level than all of the training.

    Parameters
    ----------
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Flux errors.
    noise_level : float or None
        Highest noise level of the training.

    Returns
    -------
    are_noisier : ndarray of bool of shape (n_samples,) or None
        None if one of the two is not known.
    """
    return None if x_err is None or noise_level is None else noise_levels(x_err) > noise_level


def highest_noise_level(x_err: np.ndarray | None, added_noise: float, earlier: float | None) -> float | None:
    """Return the noise level of the noisiest spectrum that the network was trained on.

    Parameters
    ----------
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Flux errors of the training stars.
    added_noise : float
        Largest noise that the training adds, in flux errors.
    earlier : float or None
        Highest noise level of earlier trainings of the same network.

    Returns
    -------
    noise_level : float or None
        None if flux errors were never given.
    """
    if x_err is None:
        return earlier
    level = float(noise_levels(x_err).max()) * (1 + added_noise**2) ** 0.5
    return level if earlier is None else max(level, earlier)
