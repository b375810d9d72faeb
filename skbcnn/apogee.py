"""What is APOGEE about the estimator: its windows and labels, its presets, and a pipeline for raw apStar spectra."""

from collections import Counter

from sklearn import config_context, get_config
from sklearn.pipeline import Pipeline

from skbcnn._context_labels import APOGEE_CONTEXT, context_weights
from skbcnn._flux_level import NORMALIZED
from skbcnn._presets import PRESETS, preset
from skbcnn._regressor_parameters import element_windows
from skbcnn._user_warnings import warn_user
from skbcnn.augmentation import Augmentation
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import (
    N_APSTAR_PIXELS,
    ElementWindows,
    apogee_windows,
    chip_slices,
    chips,
    find_label,
    resolve_target,
)
from skbcnn.survey.labels import UnknownLabelError
from skbcnn.survey.other_quantities import is_element

__all__ = ["PRESETS", "ApogeeBCNNCensoredRegressor", "apogee_pipeline", "preset"]


class ApogeeBCNNCensoredRegressor(CensoredBCNNRegressor):
    """Bayesian network for APOGEE spectra that reads each element only inside its own ASPCAP windows.

    It is `CensoredBCNNRegressor` with the windows of DR14, the 22 labels of the DR14 network [1]_, and spectra of 7514
    pixels. Temperature, gravity and iron (and M, alpha and fakemag, which have no windows) are read from the full
    spectrum. Every other element is read from its windows and from the context.

    Parameters
    ----------
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        Pixels from which each label is read, on the grid of 7514 pixels. Labels that are not named, iron among them,
        are read from the full spectrum. None: the windows of DR14 (`skbcnn.survey.apogee_windows`), without iron.
        ``{}``: no windows, so that all labels are read from the full spectrum. The names may have any spelling, and
        windows of elements that are not predicted are ignored.
    target : "all", str, sequence of str, or None, default=None
        Labels in any spelling, in the order in which they are predicted. None and ``"all"``: the 22 labels of DR14,
        teff, logg, C, C1, N, O, Na, Mg, Al, Si, P, S, K, Ca, Ti, Ti2, V, Cr, Mn, Fe, Co, Ni.
    num_hidden, num_filters, filter_len, pool_length, activation, initializer, dropout_rate, l2, maxnorm, context_layer
        Architecture and regularisation, as in `CensoredBCNNRegressor`.
    context_labels : "auto", sequence of str or of mapping of str to float, or None, default="auto"
        Context labels, as in `CensoredBCNNRegressor`. ``"alpha"``, ``"C"``, ``"N"`` and ``"O"`` stand for [alpha/Fe],
        [C/Fe], [N/Fe] and [O/Fe], computed from `y`. Those that the labels of `target` do not give are left out.
        "auto": these four.
    augmentation : "auto", `skbcnn.augmentation.Augmentation`, mapping or None, default="auto"
        Effects by which the training spectra are varied, as in `CensoredBCNNRegressor`. "auto": the default amplitudes,
        with the noise of `noise_augmentation` if that is not 0; none for spectra whose continuum is not at 1.
    lr, batch_size, max_epochs, reduce_lr_epsilon, reduce_lr_min, reduce_lr_patience, lr_schedule, warmup_epochs
        Optimisation, as in `CensoredBCNNRegressor`; `clipnorm` and `noise_augmentation`, too.
    validation_fraction, calibrate, early_stopping, n_iter_no_change, warm_start, callbacks
        Course of the training, as in `CensoredBCNNRegressor`.
    input_norm_mode, labels_norm_mode, length_scale, n_draws, backend, random_state, verbose
        Normalisation and prediction, as in `CensoredBCNNRegressor`.

    See Also
    --------
    CensoredBCNNRegressor : Regressor for other surveys and grids, with all parameters and fitted attributes.
    skbcnn.preprocessing.prepare_spectra : Preparation of raw spectra for this regressor.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255.

    Examples
    --------
    >>> from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
    >>> stars = make_apogee_spectra(60, random_state=0)
    >>> model = ApogeeBCNNCensoredRegressor(max_epochs=1, n_draws=10, random_state=0)
    >>> model.fit(stars.X, stars.y, y_err=stars.y_err).predict(stars.X[:2]).shape
    (2, 22)
    """

    _chips = tuple(chip_slices().values())
    _default_augmentation = Augmentation()

    _flux_limits = NORMALIZED

    def _check_n_pixels(self, X):
        """Refuse spectra with another number of pixels than those of DR13 to DR20 without the chip gaps."""
        shape = getattr(X, "shape", ())  # without a shape, scikit-learn makes an array first
        expected = apogee_windows().n_pixels
        if len(shape) != 2 or shape[1] == expected:
            return
        advice = {
            N_APSTAR_PIXELS: "These are raw apStar spectra: prepare them with prepare_spectra, which takes flux, "
            "errors and bitmask, or with ChipGapRemover() and ContinuumNormalizer() in a Pipeline.",
            sum(chip.n_pixels for chip in chips(12)): "These are on the pixels of DR11 and DR12: use the spectra of a "
            "later release, or pass windows on this grid to CensoredBCNNRegressor.",
        }
        raise ValueError(
            f"X has {shape[1]} features, but {type(self).__name__} is expecting {expected} features as input: spectra "
            f"of APOGEE DR13 to DR20 without chip gaps, not of n_features = {shape[1]} pixels. "
            + advice.get(shape[1], "For other surveys and grids use CensoredBCNNRegressor with windows of your own.")
        )

    def _target_names(self):
        """Return the canonical names of the labels in `target`; an error for another name says which class takes it."""
        try:
            return tuple(resolve_target("all" if self.target is None else self.target))
        except UnknownLabelError as error:
            raise ValueError(f"{error} CensoredBCNNRegressor predicts labels of any name.") from None

    def _label_names(self, labels, fitted_names):
        """Return the canonical names of the labels in `target`."""
        names = self._target_names()
        n_labels = len(labels.columns)
        if len(names) != n_labels and not labels.is_table:
            raise ValueError(
                f"y has {n_labels} columns, but target={self.target!r} means {len(names)} labels: {', '.join(names)}. "
                "Pass a y with these columns in this order, or name the labels that y holds: target=[...]."
            )
        return names

    def _context_weights(self):
        """Return the weights of the labels in each context label; ``"alpha"``, ``"C"`` and ``"N"`` are known."""
        return context_weights(self.context_labels, self.target_names_, APOGEE_CONTEXT, _canonical_name)

    def _element_windows(self):
        """Return the windows of the labels: those given, or those of DR14 without iron."""
        table = apogee_windows()
        if self.windows is None:
            return _windows_of(table, [name for name in self.target_names_ if name in table and name != "Fe"])
        windows = self.windows
        if not isinstance(windows, ElementWindows):
            windows = ElementWindows(windows, self.n_features_in_)
        windows = _with_canonical_names(windows)
        used = [name for name in windows if name in self.target_names_ or not is_element(name)]
        return element_windows(_windows_of(windows, used), self.target_names_, self.n_features_in_)


def _windows_of(windows, names):
    """Return the windows of some labels."""
    widening = {name: windows.widening(name) for name in names}
    return ElementWindows({name: windows[name] for name in names}, windows.n_pixels, widening)


def _canonical_name(name):
    """Return the canonical name of a label in any spelling; a name that is not known stays."""
    known = find_label(name)
    return known.name if known else name


def _with_canonical_names(windows):
    """Return windows with the canonical names of the labels that are known."""
    names = {name: _canonical_name(name) for name in windows}
    if repeated := sorted(name for name, count in Counter(names.values()).items() if count > 1):
        raise ValueError(f"windows has several windows of {', '.join(repeated)}, in different spellings. Pass one.")
    pixels = {names[name]: windows[name] for name in windows}
    return ElementWindows(pixels, windows.n_pixels, {names[name]: windows.widening(name) for name in windows})


def apogee_pipeline(model: CensoredBCNNRegressor) -> Pipeline:
    """Return a pipeline of the preparation that a model records and the model.

    The pipeline takes flux as it is in apStar files. Errors and bitmask of the files are passed as metadata, as in the
    example; the spectra are then prepared exactly as by `skbcnn.prepare_for_model`. Without them, pixels that are
    flagged in the bitmask or have large errors are not replaced, and all continuum pixels have the same weight, so the
    labels differ.

    Parameters
    ----------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted. `skbcnn.load_folder` sets its `preprocessing_`; if it is empty, the defaults of `ContinuumNormalizer`
        are used.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Steps ``gaps`` (`ChipGapRemover`), ``continuum`` (`ContinuumNormalizer`) and ``labels`` (`model`). It is fitted
        and can predict. If scikit-learn's metadata routing is enabled, its methods take ``flux_err`` and ``bitmask``,
        of shape (n_samples, 8575).

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the model records unknown preprocessing parameters, or takes other pixels than those of apStar files.

    Warns
    -----
    UserWarning
        If the model records no preprocessing, or metadata routing is not enabled.

    See Also
    --------
    skbcnn.prepare_for_model : The same preparation without a pipeline. It also returns the errors that `x_err` takes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn import config_context
    >>> from skbcnn import ApogeeBCNNCensoredRegressor, prepare_for_model
    >>> from skbcnn.apogee import apogee_pipeline
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(1, 0.1, (30, 7514)), rng.normal(4500, 100, 30)
    >>> model = ApogeeBCNNCensoredRegressor(target="teff", num_hidden=(4, 4, 4, 4, 2), max_epochs=1, random_state=0)
    >>> model = model.fit(X, y)
    >>> model.preprocessing_ = {"data_release": 17, "weighting": "astronn"}  # load_folder sets it
    >>> flux, err, bitmask = rng.normal(300, 3, (2, 8575)), np.full((2, 8575), 3.0), np.zeros((2, 8575), int)
    >>> with config_context(enable_metadata_routing=True):
    ...     labels = apogee_pipeline(model).predict(flux, flux_err=err, bitmask=bitmask)
    >>> X, x_err = prepare_for_model(model, flux, err, bitmask)
    >>> bool((model.predict(X) == labels).all())
    True
    """
    preparation = ModelPreparation.from_model(model)
    preparation.warn(stacklevel=3)
    if not get_config()["enable_metadata_routing"]:
        warn_user(
            "The pipeline gets flux alone, so bad pixels that only the errors and the bitmask of a file mark are kept, "
            "and the labels differ from those of prepare_for_model and the command line. If there are errors or "
            "bitmasks, use prepare_for_model, or enable scikit-learn's metadata routing and pass flux_err and bitmask."
        )
    gaps, continuum = preparation.gap_remover(), preparation.normalizer
    with config_context(enable_metadata_routing=True):
        continuum.set_fit_request(x_err="flux_err", bitmask=True)
        continuum.set_transform_request(x_err="flux_err", bitmask=True)
    for step in (gaps, continuum):
        step.set_output(transform="default")  # the model was fitted on arrays, whatever the global setting is now
    return Pipeline([("gaps", gaps), ("continuum", continuum), ("labels", model)])
