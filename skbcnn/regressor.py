"""The regressor for any survey: it checks its input, keeps the fitted state as arrays, and delegates the rest.

The network itself is in `skbcnn.network`; `skbcnn.apogee` adds the windows and labels of APOGEE.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skbcnn._fitted_state import PARAMETERS_ADDED_LATER, complete, forget, unchanged_on_failure, without_caches
from skbcnn._label_tables import error_values, label_columns, label_values
from skbcnn._posterior_moments import LiveNetwork, posterior_moments
from skbcnn._prediction import Prediction
from skbcnn._presets import preset
from skbcnn._sklearn import Interval, Options, StrOptions, check_sample_weight, fit_context
from skbcnn._validation import (
    check_finite_spectra,
    check_flux_errors,
    check_label_errors,
    check_labels,
    in_blocks,
    warn_of_transformed_magic,
)
from skbcnn._versioned_pickle import VersionedPickle
from skbcnn.calibration import (
    fit_error_model,
    fit_noise_model,
    interval_factor,
    interval_factors_by_noise,
    interval_scores,
)
from skbcnn.calibration.error_model import FEWEST_DIFFERENCES
from skbcnn.metrics import r2_score, residual_table
from skbcnn.network.backends import BACKENDS, require_tensorflow
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.training_recipe import Recipe, Stars
from skbcnn.novelty import TrainingDomain
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.survey import ElementWindows

_LINEAR_MODES = {0, 1, 2, 3, 4, 255}
_ONE_NOISE = 1.5  # spectra whose noise differs by less than this factor do not tell how error bars go with it
_MOST_CALIBRATING = 6000  # held-out stars: with so many, error bars are known label by label


class CensoredBCNNRegressor(VersionedPickle, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Bayesian convolutional network that reads each label only inside its own windows.

    Labels without a window are read from the full spectrum. Labels with one are read from it, from the means of the
    labels without one, and from a few free numbers that summarise the star. Dropout stays on when labels are
    predicted: each pattern of dropped units is one draw from the posterior over networks, and applies to all spectra.

    Parameters
    ----------
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        Pixels in which each label may be read. Labels that are not named, or all with None, see everything.
    target : sequence of str, default=None
        Names of the labels, in the order in which they are predicted. None: those of the columns of `y`, if it is a
        table, else "0", "1", ...
    num_hidden : sequence of 5 int, default=(192, 96, 32, 16, 2)
        Widths: two full-spectrum layers, two window layers, free numbers that window labels are told (0: none).
    num_filters : sequence of 2 int, default=(2, 4)
        Filters of the two convolutions.
    filter_len : int, default=8
        Pixels that a filter spans.
    pool_length : int, default=4
        Pixels pooled into one after the convolutions.
    activation : str, default="relu"
        Keras's name of the activation.
    initializer : str, default="random_normal"
        Keras's name of the initializer of the kernels. Those of the output heads are Glorot-uniform.
    dropout_rate : float, default=0.3
        Share of units dropped, in training and in prediction.
    l2 : float, default=5e-9
        Weight of the sum of squared kernels in the objective.
    maxnorm : float or None, default=0.5
        Largest norm of the kernel of each free number.
    context_layer : {"output", "hidden"}, default="output"
        Where labels with a window are told of the star: in their output heads, as published, so that it adds to what is
        read in the window; or also in their second window layer ("hidden"), so that the same window may be read
        otherwise in another star.
    length_scale : float, default=3.0
        Prior length scale; enters `inv_tau_` only.
    lr : float, default=5e-4
        Learning rate of Adam at the start.
    batch_size : int, default=64
        Stars in a step.
    max_epochs : int, default=50
        Passes through the data.
    reduce_lr_epsilon : float, default=5e-5
        Least fall of the validation loss that counts as one.
    reduce_lr_min : float, default=1e-8
        Least learning rate.
    reduce_lr_patience : int, default=2
        Epochs without a fall before the learning rate is halved.
    input_norm_mode : {0, 1, 2, 3, 4, 255, "3s"}, default=3
        How spectra are normalised, as in `SpectraNormalizer`.
    labels_norm_mode : {0, 1, 2, 3, 4, 255}, default=2
        How labels are normalised, as in `LabelNormalizer`. The logistic squash "3s" has no error bars in label units,
        and is refused.
    lr_schedule : {"plateau", "cosine"}, default="plateau"
        How the learning rate falls: halved when the validation loss stalls (`reduce_lr_epsilon`, `reduce_lr_min`,
        `reduce_lr_patience`), or from `lr` to `reduce_lr_min` along half a cosine over `max_epochs`.
    warmup_epochs : int, default=0
        Epochs in which the learning rate first rises from a tenth of `lr` to it: large steps at the start may lead a
        training astray. The last epoch is never one of them.
    clipnorm : float or None, default=None
        Longest gradient of the loss, by all weights together; a longer one is shortened to it. None: none is.
    noise_augmentation : float or pair of float, default=0.0
        Each epoch adds fresh noise of this many `x_err` to the spectra. A pair (least, most): of as many as are drawn
        between them for each spectrum and epoch, so that noisier spectra than those at hand are learnt, too.
    validation_fraction : float, default=0.1
        Share of the stars held out to measure the loss on. 0: none, and the training loss takes its place.
    calibrate : bool, default=True
        Whether to look back after the training: how large the error bars of the stars held out should have been
        (`error_model_`, `interval_scores_`, `validation_residuals_`), and what the training stars look like
        (`domain_`). The network does not depend on it.
    early_stopping : bool, default=False
        Stop when the validation loss stalls for `n_iter_no_change` epochs, and restore the best weights.
    n_iter_no_change : int, default=10
        See `early_stopping`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights and the normalisers that an earlier `fit` left, for `max_epochs` more.
    callbacks : callable or list of callable, default=None
        What is called after each epoch, with one argument: a `skbcnn.network.training_recipe.EpochEnd` (``epoch``,
        ``max_epochs``, the ``figures`` of that epoch as in `history_`, and ``get_weights()``). If one returns True, the
        training ends there.
    n_draws : int, default=100
        Posterior draws of a prediction.
    backend : {"auto", "tensorflow", "numpy"}, default="auto"
        What computes predictions; `fit` always takes TensorFlow. "auto": TensorFlow where it can be imported, else
        NumPy, with a `skbcnn.network.backends.NumpyBackendWarning`. They agree to single precision, and NumPy takes up
        to twice as long.
    random_state : int, RandomState instance or None, default=None
        Of weights, order, split and draws. With None, `fit` draws a seed and keeps it: a fitted model repeats itself.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        What was learnt, as plain arrays.
    spec_ : NetworkSpec
        The network that they belong to.
    spectra_normalizer_, label_normalizer_ : SpectraNormalizer, LabelNormalizer
        Fitted to the training stars.
    history_ : dict of str to list of float
        An entry for each whole epoch of the last call of `fit` or `partial_fit`: `loss` (with L2), `data_loss`
        (without), `mean_absolute_error`, `val_loss` (without L2, with dropout off, over the stars held out) and
        `val_mean_absolute_error`, all in normalised units, and `lr`. The two of validation are absent where no star is
        held out.
    n_iter_ : int
        Epochs run, with those of the earlier calls that `warm_start` or `partial_fit` went on from.
    interrupted_ : bool
        Whether Ctrl-C ended the training; the best weights until then were kept.
    inv_tau_ : float
        Inverse model precision, 2 n_train l2 / (length_scale^2 (1 - dropout_rate)), of the last `fit`; NaN for models
        of other software that does not tell it.
    noise_level_ : float or None
        Largest median flux error of a training star, with the noise that was added; None if `x_err` was not given.
    error_model_ : ErrorModel or None
        Scale and offset of calibrated error bars. None if fewer than 20 stars were held out, or after `partial_fit`.
    interval_scores_ : ndarray of shape (n_stars, n_labels) or None
        How many error bars the stars held out, or those of `fit_error_model`, were off; for `predict_interval`.
    interval_noise_ : ndarray of shape (n_stars,) or None
        Noise of their spectra. None: all are about as noisy, or it is not known.
    validation_residuals_ : dict of str to tuple of (float, float, int), or None
        Of the stars held out, for each label: median and `mad_std` of predicted minus known label, in label units and
        with noise as in the training, and how many stars had it.
    domain_ : TrainingDomain or None
        What the training stars looked like, so that others are known; see `assess`. None without `calibrate`.
    target_names_ : tuple of str
        Names of the labels.
    seed_ : int
        Of the posterior draws.
    preprocessing_, provenance_ : dict
        Of a model from `skbcnn.persistence.load_folder` only: how the spectra were prepared, and what it learnt from.
    n_outputs_ : int
        Number of labels.
    n_features_in_ : int
        Pixels of a spectrum.
    feature_names_in_ : ndarray of str
        Names of the pixels, where `X` had them.

    See Also
    --------
    ApogeeBCNNCensoredRegressor : The same with the windows and labels of APOGEE.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255: the network and its use on APOGEE.
    .. [2] Gal & Ghahramani (2016), ICML: dropout as a posterior.
    .. [3] Kendall & Gal (2017), NeurIPS: the two kinds of uncertainty.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(100, 30))
    >>> y = np.column_stack([X[:, 0], X[:, 5] + X[:, 6]])
    >>> model = CensoredBCNNRegressor(windows={"Mg": [5, 6]}, target=["teff", "Mg"], max_epochs=2, random_state=0)
    >>> mean, std = model.fit(X, y).predict(X[:3], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((3, 2), True)
    """

    _parameters_added_later = PARAMETERS_ADDED_LATER

    _parameter_constraints: dict = {
        "windows": [Mapping, None],
        "target": ["array-like", None],
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
        "length_scale": [Interval(Real, 0, None, closed="neither")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
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
        "early_stopping": ["boolean"],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [callable, list, tuple, None],
        "n_draws": [Interval(Integral, 2, None, closed="left")],
        "backend": [StrOptions(set(BACKENDS))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        windows=None,
        target=None,
        num_hidden=(192, 96, 32, 16, 2),
        num_filters=(2, 4),
        filter_len=8,
        pool_length=4,
        activation="relu",
        initializer="random_normal",
        dropout_rate=0.3,
        l2=5e-9,
        maxnorm=0.5,
        context_layer="output",
        length_scale=3.0,
        lr=5e-4,
        batch_size=64,
        max_epochs=50,
        reduce_lr_epsilon=5e-5,
        reduce_lr_min=1e-8,
        reduce_lr_patience=2,
        lr_schedule="plateau",
        warmup_epochs=0,
        clipnorm=None,
        input_norm_mode=3,
        labels_norm_mode=2,
        noise_augmentation=0.0,
        validation_fraction=0.1,
        calibrate=True,
        early_stopping=False,
        n_iter_no_change=10,
        warm_start=False,
        callbacks=None,
        n_draws=100,
        backend="auto",
        random_state=None,
        verbose=0,
    ):
        self.windows = windows
        self.target = target
        self.num_hidden = num_hidden
        self.num_filters = num_filters
        self.filter_len = filter_len
        self.pool_length = pool_length
        self.activation = activation
        self.initializer = initializer
        self.dropout_rate = dropout_rate
        self.l2 = l2
        self.maxnorm = maxnorm
        self.context_layer = context_layer
        self.length_scale = length_scale
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.reduce_lr_epsilon = reduce_lr_epsilon
        self.reduce_lr_min = reduce_lr_min
        self.reduce_lr_patience = reduce_lr_patience
        self.lr_schedule = lr_schedule
        self.warmup_epochs = warmup_epochs
        self.clipnorm = clipnorm
        self.input_norm_mode = input_norm_mode
        self.labels_norm_mode = labels_norm_mode
        self.noise_augmentation = noise_augmentation
        self.validation_fraction = validation_fraction
        self.calibrate = calibrate
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.n_draws = n_draws
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_preset(cls, name, **changes):
        """Make an unfitted regressor by a recipe.

        Parameters
        ----------
        name : {"leung_bovy_2019", "few_thousand_stars"}
            The published model's recipe, or one for a few thousand spectra: see `skbcnn.apogee.preset`.
        **changes
            Parameters that are to differ from it.

        Returns
        -------
        model : object
            Of this class.

        Raises
        ------
        ValueError
            If there is no such recipe.

        Examples
        --------
        >>> from skbcnn import ApogeeBCNNCensoredRegressor
        >>> ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", random_state=0)
        ApogeeBCNNCensoredRegressor(max_epochs=60, num_hidden=(192, 64, 32, 16, 2),
                                    random_state=0)
        """
        return cls(**preset(name) | changes)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, x_err=None, y_err=None, sample_weight=None):
        """Learn the labels of spectra.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Continuum-normalised flux.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Labels; NaN or -9999 where missing. The columns of a table (pandas, astropy, structured array) are matched
            to the labels by name, in any order and spelling; units are converted, and what is masked is missing.
            Columns without names stand in the order of the labels.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Their level is kept, so that noisier stars are flagged in prediction, and
            `noise_augmentation` adds fresh noise of this size.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors (standard deviations); 0, or missing, where unknown. Never looked at beside a missing label.
            The columns of a table are called as the labels are, or ``<label>_err``; columns without names stand
            beside those of `y` as it came.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star in the loss, the statistics of the normalisers and the validation loss. Only ratios
            count; 0 leaves a star out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the data cannot be used; the message says why and what to do.
        ImportError
            If TensorFlow cannot be imported.
        """
        with unchanged_on_failure(self):
            goes_on = self.warm_start and hasattr(self, "weights_")
            stars = self._check_training_data(X, y, x_err, y_err, sample_weight, goes_on)
            forget(self, "warm_start" if goes_on else "fit")
            random = check_random_state(self.random_state)
            training, validation = self._split(stars, random)
            if not goes_on:
                self._start_afresh(training, random)
            self._go_through(training, validation, self.max_epochs, goes_on)
            self.inv_tau_ = self._inverse_precision(training)
            self._look_back(training, validation)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, x_err=None, y_err=None, sample_weight=None):
        """Go through some stars once, from the weights as they are: for fine-tuning on a few spectra.

        Normalisers are kept, no star is held out, and the learning rate is `lr` throughout: for a model that was
        trained before, set it well below that of the training. Adam starts afresh in each call. The first call on a
        model that was never fitted sets it up from its stars.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Continuum-normalised flux.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Labels, as in `fit`. After the first call a label may be missing in all stars.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `fit`.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star; 0 leaves it out.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the data cannot be used; the message says why and what to do.

        Examples
        --------
        >>> from skbcnn import CensoredBCNNRegressor
        >>> X, y = [[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]
        >>> CensoredBCNNRegressor(max_epochs=3, random_state=0).fit(X, y).set_params(lr=1e-5).partial_fit(X, y).n_iter_
        4
        """
        with unchanged_on_failure(self):
            goes_on = hasattr(self, "weights_")
            stars = self._check_training_data(X, y, x_err, y_err, sample_weight, goes_on)
            forget(self, "partial_fit" if goes_on else "fit")
            if not goes_on:
                self._start_afresh(stars, check_random_state(self.random_state))
                self.inv_tau_ = self._inverse_precision(stars)
            self._go_through(stars, None, 1, goes_on)
            self._look_back(None if goes_on else stars, None)
        return self

    def _start_afresh(self, training, random):
        """Forget what was learnt: normalisers from these stars, a seed of its own."""
        self.spectra_normalizer_ = SpectraNormalizer(self.input_norm_mode).fit(
            training.x, sample_weight=training.weight
        )
        self.label_normalizer_ = LabelNormalizer(self.labels_norm_mode).fit(training.y, sample_weight=training.weight)
        self.seed_ = int(random.randint(np.iinfo(np.int32).max))

    def _inverse_precision(self, training):
        return 2 * len(training.x) * self.l2 / (self.length_scale**2 * (1 - self.dropout_rate))

    def predict(self, X, return_std=False, x_err=None):
        """Labels of spectra: the average over posterior draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        return_std : bool, default=False
            Also return the total standard deviation.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, carried into the draws: each draw adds one pattern of noise, scaled by them, to all spectra.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_labels) or (n_samples,)
            In label units.
        std : ndarray of the same shape
            Only with `return_std`.
        """
        prediction = self.predict_distribution(X, x_err=x_err)
        return (prediction.mean, prediction.total) if return_std else prediction.mean

    def predict_std(self, X, kind="total", x_err=None):
        """Uncertainty of the labels of spectra.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        kind : {"total", "predictive", "model", "calibrated"}, default="total"
            What the spectrum does not tell (predictive), what the network does not know (model), both, or both as
            held-out stars or repeat visits say that they should be (calibrated).
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.

        Returns
        -------
        std : ndarray of shape (n_samples, n_labels) or (n_samples,)
            In label units.
        """
        return self.predict_distribution(X, x_err=x_err).std(kind)

    def predict_interval(self, X, coverage=0.9, x_err=None):
        """Intervals that hold a given share of the labels, whatever the distribution of their errors.

        They reach to both sides of the mean by as many total standard deviations as were needed for the stars held
        out in `fit`, or for those of `fit_error_model` (split-conformal prediction). On stars of their kind the label
        as the catalogue has it is within with a probability of at least `coverage`. If `y_err` told the errors of the
        labels, the intervals are shorter, and for the true label: that holds as far as the error bars, and those of the
        catalogue, are in proportion to each other. Where the spectra differ in noise, only stars of like noise are
        asked, if there are enough. The stars held out in `fit` also steer the learning rate, which is not in the proof.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        coverage : float, default=0.9
            Share of the labels that is to be within.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`: they widen the intervals.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples, n_labels) or (n_samples,)
            Ends of the intervals, in label units.

        Raises
        ------
        ValueError
            If no stars were held out, or too few for this coverage.

        References
        ----------
        .. [1] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), JASA 113, 1094.
        """
        check_is_fitted(self)
        if self.interval_scores_ is None:
            raise ValueError(
                f"Intervals need at least {FEWEST_DIFFERENCES} stars that were held out in fit, and there were fewer. "
                "Fit with calibrate=True and a larger validation_fraction."
            )
        by_noise = self.interval_noise_ is not None
        self._interval_factors(coverage, np.ones(1) if by_noise else None)  # what is refused is refused before the work
        prediction, noise = self._predicted(X, x_err, with_noise=by_noise)
        factors = self._interval_factors(coverage, noise if by_noise else None)
        reach = prediction.total * (factors[..., 0] if self._single_label else factors)
        return prediction.mean - reach, prediction.mean + reach

    def _interval_factors(self, coverage, noise):
        """Error bars that intervals reach: for each label, or for spectra of some noise and each label."""
        if noise is None:
            return interval_factor(self.interval_scores_, coverage)
        return interval_factors_by_noise(self.interval_scores_, self.interval_noise_, coverage, noise)

    def fit_error_model(self, X, y, x_err=None, y_err=None):
        """Learn from stars with known labels how large the error bars should be.

        `fit` does so with the stars that it held out. Some hundred tell the error bars of all labels together, but
        some thousand are needed for each label by itself: stars that were too faint or too many to train on will do.
        Replaces `error_model_` (for ``predict_std(X, kind="calibrated")``), `interval_scores_` and `interval_noise_`
        (for `predict_interval`); all other error bars stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra that were not trained on, as noisy as those to come: if they differ in noise, error bars will go
            with it.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Their labels, as in `fit`; each may be missing in some stars or in all.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, if those of the spectra to come will be given to `predict_std`, too.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors, as in `fit`: error bars need not cover them.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If no label is known of at least 20 stars, or the data cannot be used.

        See Also
        --------
        fit_noise_model : Where no label is known, but stars were observed more than once.
        skbcnn.calibration.fit_error_model : The same from a prediction.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import CensoredBCNNRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(2100, 20))
        >>> y = X[:, 0] + 0.1 * rng.normal(size=2100)
        >>> model = CensoredBCNNRegressor(max_epochs=2, random_state=0).fit(X[:100], y[:100])
        >>> error = model.fit_error_model(X[100:1100], y[100:1100]).predict_std(X[1100:], kind="calibrated")
        >>> bool(abs((abs(model.predict(X[1100:]) - y[1100:]) < error).mean() - 0.68) < 0.04)
        True
        """
        check_is_fitted(self)
        labels = label_columns(y)
        y = labels.values(self.target_names_, labels.positions(self.target_names_))
        y_err = None if y_err is None else error_values(y_err, labels, self.target_names_)
        X = self._check_new_spectra(X)
        check_consistent_length(X, y)
        y = check_labels(y, self.target_names_, may_be_empty=True)
        stars = Stars(X, y, check_label_errors(y_err, y), None, None)
        prediction, noise = self._predicted(X, x_err, with_noise=True)
        self._learn_errors(stars, prediction, noise if noise is not None and _differs(noise) else None)
        return self

    def fit_noise_model(self, X, star, x_err=None):
        """Learn from repeat visits how large the error bars should be, for ``predict_std(X, kind="calibrated")``.

        Replaces `error_model_`; all other error bars stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra of single visits.
        star : array-like of shape (n_samples,)
            Which star each is of: a name or a number.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, if those of the spectra to come will be given to `predict_std`, too.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there are fewer than 20 pairs of visits, or the spectra cannot be used.

        See Also
        --------
        skbcnn.calibration.fit_noise_model : The same from a prediction.
        """
        prediction = self.predict_distribution(X, x_err=x_err)
        self.error_model_ = fit_noise_model(prediction, star)
        return self

    def predict_distribution(self, X, x_err=None):
        """Labels of spectra with every kind of uncertainty, in one pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.

        Returns
        -------
        prediction : Prediction
            Mean, model, predictive and total standard deviation, and the calibrated one if it is known.

        Raises
        ------
        ValueError
            If the spectra cannot be used; the message says why and what to do.
        """
        return self._predicted(X, x_err)[0]

    def _predicted(self, X, x_err, with_noise=False):
        """The prediction, and the noise of the spectra if it is asked for or enters the error bars; None otherwise."""
        check_is_fitted(self)
        self._validate_params()  # n_draws may have been set since
        X = self._check_new_spectra(X)
        x_err = check_flux_errors(x_err, X)
        moments = self._moments(X, x_err)
        if self._single_label:
            moments = moments[:, :, 0]
        noisier = None
        if x_err is not None and self.noise_level_ is not None:
            noisier = _noise_level(x_err) > self.noise_level_
        prediction = Prediction(*moments, self.target_names_, noisier)
        enters = self.error_model_ is not None and self.error_model_.noise_slope is not None
        noise = self.domain_.pixel_noise(X, x_err) if (enters or with_noise) and self.domain_ is not None else None
        if self.error_model_ is not None:
            prediction = replace(prediction, calibrated=self.error_model_.std(prediction, noise))
        return prediction, noise

    def assess(self, X, x_err=None, prediction=None):
        """Compare stars with those trained on: how far they lie outside, and in which respect.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`. Where they are 0 a pixel is taken as bad.
        prediction : Prediction, default=None
            What `predict_distribution` gave for these spectra and errors, if it was asked before: spares asking again.

        Returns
        -------
        assessment : skbcnn.novelty.Assessment
            ``score`` (above 1: outside), ``flags`` (`skbcnn.novelty.NoveltyFlag`), and what they are made of.

        Raises
        ------
        ValueError
            If the model does not know what its training stars looked like, or the spectra cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import CensoredBCNNRegressor
        >>> rng = np.random.default_rng(0)
        >>> y = rng.normal(size=300)
        >>> X = 1 - 0.2 * np.outer(y**2, np.exp(-((np.arange(60) - 30) ** 2) / 50)) + 0.01 * rng.normal(size=(300, 60))
        >>> model = CensoredBCNNRegressor(max_epochs=2, random_state=0).fit(X, y)
        >>> model.assess(np.vstack([X[:2], X[:2, ::-1] + np.sin(np.arange(60) / 3)])).score > 1
        array([False, False,  True,  True])
        """
        check_is_fitted(self)
        if self.domain_ is None:
            raise ValueError(
                "The model does not know what its training stars looked like: it was fitted with calibrate=False, or "
                "by other software. Fit it with calibrate=True."
            )
        if prediction is None:
            prediction = self.predict_distribution(X, x_err=x_err)
        return self.domain_.assess(self._check_new_spectra(X), prediction, x_err)

    def novelty_score(self, X, x_err=None):
        """How far stars lie outside what was trained on.

        Parameters
        ----------
        X, x_err
            As in `assess`.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Above 1 for stars outside; about one good star in a hundred is, or fewer.
        """
        return self.assess(X, x_err).score

    def novelty_flags(self, X, x_err=None):
        """What to know of stars before using their labels.

        Parameters
        ----------
        X, x_err
            As in `assess`.

        Returns
        -------
        flags : ndarray of int32 of shape (n_samples,)
            Sums of `skbcnn.novelty.NoveltyFlag` bits.
        """
        return self.assess(X, x_err).flags

    def jacobian(self, X, mean_output=False, n_draws=None, denormalize=True, path="total"):
        """Derivatives of the labels by the flux of each pixel, averaged over posterior draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, normalised as those of `fit`.
        mean_output : bool, default=False
            Whether to average over the stars.
        n_draws : int, default=None
            Posterior draws to average over. None: as many as predictions have; 10 or 20 are enough.
        denormalize : bool, default=True
            Whether derivatives are in units of the label per unit of flux, or in normalised units.
        path : {"total", "stopped", "window"}, default="total"
            On which ways the flux acts on labels with a window.

        Returns
        -------
        jacobian : ndarray of shape (n_samples, n_labels, n_pixels), float32
            Without the first axis if averaged over the stars.

        See Also
        --------
        skbcnn.inspection.jacobian : The same as a function, where the paths are explained.
        """
        from skbcnn.inspection import jacobian  # here, since it imports this module

        return jacobian(self, X, mean_output=mean_output, n_draws=n_draws, denormalize=denormalize, path=path)

    def _look_back(self, training, held_out):
        """Learn how large the error bars should have been, and keep what the training stars look like."""
        if not self.calibrate:
            return
        if held_out is not None:
            held_out = held_out.take(slice(_MOST_CALIBRATING)) if len(held_out.x) >= FEWEST_DIFFERENCES else None
        try:
            if training is not None:
                self.domain_ = self._learn_domain(training, held_out)
            if held_out is not None:
                self._calibrate(held_out)
        except KeyboardInterrupt:
            warnings.warn("Calibration interrupted by user; what was learnt until then is kept.", stacklevel=3)

    def _learn_domain(self, training, held_out):
        """Keep what the training stars look like, and how uncertain the network is of stars held out."""
        return TrainingDomain.learn(
            training.x,
            training.y,
            training.x_err,
            model_std=None if held_out is None else self._moments(held_out.x, None)[1],
            added_noise=_noise_range(self.noise_augmentation)[1],
            random_state=self.seed_,
        )

    def _calibrate(self, stars):
        """Learn from stars held out how large the error bars should have been, with noise as in the training."""
        random = np.random.default_rng([self.seed_, self.n_iter_])
        least, most = _noise_range(self.noise_augmentation)
        x = stars.x
        if most > 0:
            level = random.uniform(least, most, size=(len(x), 1)).astype(np.float32)
            x = x + level * stars.x_err * random.standard_normal(x.shape, dtype=np.float32)
        prediction = self.predict_distribution(x)
        if (~np.isnan(stars.y)).sum(axis=0).max(initial=0) >= FEWEST_DIFFERENCES:
            # of one noise, no power is to be learnt
            self._learn_errors(stars, prediction, self.domain_.pixel_noise(x, stars.x_err) if least < most else None)
            self.validation_residuals_ = _residuals(self._as_given(stars.y), prediction)

    def _learn_errors(self, stars, prediction, noise):
        """Error bars and intervals from what was predicted of stars with known labels."""
        y, y_err = self._as_given(stars.y), self._as_given(stars.y_err)
        noise = noise if noise is not None and np.median(noise) > 0 else None
        self.error_model_ = fit_error_model(prediction, y, y_err, noise)
        self.interval_scores_ = interval_scores(prediction, y, y_err)
        self.interval_noise_ = noise

    def _as_given(self, columns):
        """Columns of labels in the shape that predictions have."""
        return columns[:, 0] if self._single_label and columns is not None else columns

    def _moments(self, X, x_err):
        """Mean and standard deviations (model, predictive, total) in label units: (4, n_samples, n_labels).

        Spectra are cast and normalised as they are needed, a chunk at a time.
        """
        posterior = self._live.posterior(self.backend, self.spec_, self.weights_, self.seed_)
        return posterior_moments(
            posterior,
            self.spectra_normalizer_,
            self.label_normalizer_,
            X,
            x_err,
            n_draws=self.n_draws,
            verbose=self.verbose,
        )

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R^2 of the predicted labels, missing ones left out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels; NaN or -9999 where missing. The columns of a table are matched by name, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star.

        Returns
        -------
        score : float
            Average over the labels; 1 is perfect.
        """
        check_is_fitted(self)
        y = label_values(y, self.target_names_)
        return r2_score(y, self.predict(X), sample_weight=sample_weight)

    def _check_training_data(self, X, y, x_err, y_err, sample_weight, goes_on):
        """All that came, checked, as arrays; also sets what is known of it before anything is learnt."""
        X = self._check_spectra(X, reset=not goes_on, y=None if y is None else "no_validation")
        weight = check_sample_weight(sample_weight, X)
        y, y_err = self._check_columns(X, y, y_err, goes_on)
        x_err = check_flux_errors(x_err, X)
        if _noise_range(self.noise_augmentation)[1] > 0 and x_err is None:
            raise ValueError(f"noise_augmentation={self.noise_augmentation} needs flux errors: pass x_err to fit.")
        stars = Stars(X, y, y_err, weight, None if x_err is None else np.asarray(x_err, dtype=np.float32))
        stars = stars if weight.all() else stars.take(weight > 0)
        y = check_labels(stars.y, self.target_names_, may_be_empty=goes_on)
        warn_of_transformed_magic(y, self.target_names_)
        return stars._replace(y=y, y_err=check_label_errors(stars.y_err, y))

    def _check_columns(self, X, y, y_err, goes_on):
        """Labels and their errors as numbers, a column for each label; also sets which labels they are."""
        labels = label_columns(y)
        check_consistent_length(X, labels.columns[0])
        names = self.target_names_ if goes_on and self.target is None else self._label_names(labels)
        if goes_on and names != self.target_names_:
            raise ValueError(
                f"The labels are {', '.join(names)}, but what was learnt is of {', '.join(self.target_names_)}. Pass "
                "the same labels to go on from it, or start afresh: fit with warm_start=False."
            )
        self._single_label, self.n_outputs_, self.target_names_ = labels.single, len(names), names
        y = labels.values(names, labels.positions(names))
        return y, None if y_err is None else error_values(y_err, labels, names)

    def _check_spectra(self, X, *, reset, y="no_validation"):
        """Spectra as finite float32, of the right number of pixels."""
        if not reset:  # else what is wrong otherwise (sparse, complex, empty) is said first
            self._check_n_pixels(X)
        X = validate_data(self, X, y, reset=reset, dtype=np.float32, ensure_all_finite=False)
        self._check_n_pixels(X)
        check_finite_spectra(X)
        return X

    def _check_new_spectra(self, X):
        """Spectra to predict, finite and of the right number of pixels; an array of numbers is left as it is."""
        if type(X) not in (np.ndarray, np.memmap) or X.ndim != 2 or len(X) == 0 or X.dtype.kind not in "fiub":
            return self._check_spectra(X, reset=False)
        self._check_n_pixels(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        check_finite_spectra(X)
        return X

    def _check_n_pixels(self, X):
        """Any number of pixels will do."""

    def _label_names(self, labels):
        """Names of the labels: as asked for, as the columns have them, or numbers."""
        n_labels = len(labels.columns)
        if self.target is None and labels.names is not None:
            return labels.names_once()
        names = tuple(map(str, range(n_labels) if self.target is None else self.target))
        if len(set(names)) != len(names) or (len(names) != n_labels and not labels.is_table):
            raise ValueError(
                f"target names {len(names)} labels ({', '.join(names)}), but y has {n_labels} columns. Name each "
                "column once, in order."
            )
        return names

    def _element_windows(self):
        """Windows on the grid of the spectra; labels that are not in it see everything."""
        windows = self.windows or {}
        if not isinstance(windows, ElementWindows):
            windows = ElementWindows(windows, self.n_features_in_)
        if unknown := [name for name in windows if name not in self.target_names_]:
            raise ValueError(
                f"windows are given for {', '.join(unknown)}, but the labels are {', '.join(self.target_names_)}. Pass "
                "target=[...] with the names of the columns of y, spelt as in the windows."
            )
        if len(windows) and windows.n_pixels != self.n_features_in_:
            raise ValueError(
                f"X has {self.n_features_in_} pixels a spectrum, but the windows were made for {windows.n_pixels}. "
                "Make them on the wavelength grid of X."
            )
        return windows

    def _network_spec(self):
        """The network that the parameters and the data ask for."""
        windows = self._element_windows()
        pixels = {name: tuple(window.tolist()) for name, window in windows.items()}
        return NetworkSpec(
            n_pixels=self.n_features_in_,
            windows=tuple(pixels.get(name) for name in self.target_names_),
            widening=tuple(windows.widening(name) for name in self.target_names_),
            num_hidden=_widths("num_hidden", self.num_hidden, 5),
            num_filters=_widths("num_filters", self.num_filters, 2),
            filter_len=int(self.filter_len),
            pool_length=int(self.pool_length),
            activation=self.activation,
            initializer=self.initializer,
            dropout_rate=float(self.dropout_rate),
            l2=float(self.l2),
            maxnorm=None if self.maxnorm is None else float(self.maxnorm),
            context_layer=self.context_layer,
        )

    def _split(self, stars, random):
        """Stars to learn from, and stars held out to measure the loss on (None if there are too few)."""
        n_held_out = int(len(stars.x) * self.validation_fraction)
        if n_held_out == 0:
            return stars, None
        order = random.permutation(len(stars.x))
        held_out, training = order[:n_held_out], order[n_held_out:]
        present = ~np.isnan(stars.y)
        rare = ~present[training].any(axis=0)  # labels of which every star was held out: these are needed more here
        needed = present[held_out][:, rare].any(axis=1)
        held_out, training = held_out[~needed], np.concatenate([training, held_out[needed]])
        if not present[held_out].any():  # a loss cannot be measured on stars without labels
            return stars.take(training), None
        return stars.take(training), stars.take(held_out)

    def _normalized(self, stars):
        """Stars in normalised units, with flux errors if they are needed."""
        noisy = _noise_range(self.noise_augmentation)[1] > 0
        return Stars(
            x=self.spectra_normalizer_.transform(stars.x),
            y=self.label_normalizer_.transform(stars.y),
            y_err=None if stars.y_err is None else self.label_normalizer_.scale_errors(stars.y_err),
            weight=stars.weight,
            x_err=self.spectra_normalizer_.scale_errors(stars.x_err) if noisy else None,
        )

    def _go_through(self, training, validation, max_epochs, goes_on):
        """Learn from stars, from the weights as they are or afresh."""
        spec = self._network_spec()
        if goes_on and spec.weight_shapes != self.spec_.weight_shapes:
            raise ValueError(
                "The parameters now ask for a network of other layers than the one that was learnt. Go on with the "
                "same widths and windows, or start afresh: fit with warm_start=False."
            )
        self.spec_ = spec
        self.noise_level_ = _highest_noise(training.x_err, self.noise_augmentation, self.noise_level_)
        seed, start = ((self.seed_, self.n_iter_), self.weights_) if goes_on else (self.seed_, None)
        self._learn(
            self._normalized(training), validation and self._normalized(validation), max_epochs, seed=seed, start=start
        )

    def _learn(self, training, validation, max_epochs, *, seed, start):
        """Train the network and keep what comes of it."""
        require_tensorflow("fit")
        from skbcnn.network.tensorflow.training import train

        recipe = Recipe(
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=max_epochs,
            reduce_lr_epsilon=self.reduce_lr_epsilon,
            reduce_lr_min=self.reduce_lr_min,
            reduce_lr_patience=self.reduce_lr_patience,
            lr_schedule=self.lr_schedule,
            warmup_epochs=min(self.warmup_epochs, max_epochs - 1),
            clipnorm=self.clipnorm,
            noise=_noise_range(self.noise_augmentation),
            stop_after=self.n_iter_no_change if self.early_stopping else None,
            verbose=self.verbose,
            callbacks=_callables(self.callbacks),
        )
        self.weights_, self.history_, self.interrupted_ = train(self.spec_, recipe, training, validation, seed, start)
        self.n_iter_ += len(self.history_.get("loss", []))
        self._live = LiveNetwork()

    def save(self, path, *, preprocessing=None, provenance=None, overwrite=False):
        """Save the fitted model as a folder, or as one zip file, of text and arrays.

        Parameters
        ----------
        path : str or path-like
            The folder to make; if it ends in ``.zip``, one file.
        preprocessing, provenance, overwrite
            As in `skbcnn.save_folder`.

        Returns
        -------
        path : pathlib.Path
            What was written; `skbcnn.load_folder` loads it.

        See Also
        --------
        skbcnn.save_folder : What this calls; it takes pipelines, too.
        """
        from skbcnn.persistence import save_folder

        return save_folder(self, path, preprocessing=preprocessing, provenance=provenance, overwrite=overwrite)

    def __getstate__(self):
        """Return a copy of parameters and fitted state, without the compiled network."""
        return without_caches(super().__getstate__())

    def __setstate__(self, state):
        """Take the state of a pickle, and complete what an earlier version did not write."""
        super().__setstate__(complete(state) if "weights_" in state else state)


def _noise_level(x_err):
    """Median flux error of each star."""
    return np.concatenate([np.median(block, axis=1) for block in in_blocks(x_err)])


def _differs(noise):
    """Whether nine in ten spectra differ in noise by more than a little."""
    low, high = np.quantile(noise, [0.05, 0.95])
    return bool(high > _ONE_NOISE * low)


def _noise_range(noise_augmentation):
    """Least and most flux errors of noise to be added."""
    if isinstance(noise_augmentation, Real):
        return float(noise_augmentation), float(noise_augmentation)
    levels = tuple(noise_augmentation)
    if len(levels) != 2 or not all(isinstance(level, Real) for level in levels) or not 0 <= levels[0] <= levels[1]:
        raise ValueError(
            f"noise_augmentation={noise_augmentation!r}, expected one number or two, the least and the most flux "
            "errors of noise to add, such as (0, 3)."
        )
    return float(levels[0]), float(levels[1])


def _highest_noise(x_err, noise_augmentation, before):
    """Noise level of the noisiest star learnt from, None if no flux errors were given."""
    if x_err is None:
        return before
    added = _noise_range(noise_augmentation)[1]
    level = float(_noise_level(x_err).max()) * (1 + added**2) ** 0.5
    return level if before is None else max(level, before)


def _residuals(y, prediction):
    """Median and spread of predicted minus known label, and how many stars had it, by label."""
    table = residual_table(y, prediction.mean, label_names=prediction.label_names)
    columns = (table[name].tolist() for name in ("label", "median_residual", "mad_std", "n"))
    return {label: tuple(figures) for label, *figures in zip(*columns, strict=True)}


def _callables(callbacks):
    """One callback, several or none, as a tuple."""
    several = (callbacks,) if callable(callbacks) else tuple(callbacks or ())
    if strangers := [callback for callback in several if not callable(callback)]:
        raise TypeError(f"callbacks holds {strangers[0]!r}, expected functions of one argument, an EpochEnd.")
    return several


def _widths(name, values, n_expected):
    """Layer widths as a tuple of int."""
    least = (1, 1) if n_expected == 2 else (1, 1, 1, 1, 0)
    widths = tuple(values)
    whole = len(widths) == n_expected and all(isinstance(width, Integral) for width in widths)
    if not whole or any(width < low for width, low in zip(widths, least, strict=True)):
        raise ValueError(f"{name}={values!r}, expected {n_expected} whole numbers, at least {least}.")
    return tuple(int(width) for width in widths)


def __getattr__(name: str):
    """Find the class that earlier versions defined here, for their pickles."""
    if name == "ApogeeBCNNCensoredRegressor":
        from skbcnn.apogee import ApogeeBCNNCensoredRegressor

        return ApogeeBCNNCensoredRegressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
