"""The regressor for any survey: it checks its input, keeps the fitted state as arrays, and delegates the rest.

`skbcnn.network` holds the network and its training, `skbcnn.calibration` the calibrated standard deviations and
intervals, `skbcnn.novelty` the comparison with the training set. `skbcnn.apogee` adds the windows and labels of APOGEE.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skbcnn import _flux_level
from skbcnn._arrays import plain_spectra
from skbcnn._context_labels import context_weights, describe_context, with_context_labels
from skbcnn._fitted_state import PARAMETERS_ADDED_LATER, complete, forget, unchanged_on_failure, without_caches
from skbcnn._global_settings import default_settings
from skbcnn._label_tables import error_values, label_and_error_values, label_columns
from skbcnn._lazy_rows import change_rows
from skbcnn._moved import find_moved_names
from skbcnn._posterior_moments import LiveNetwork
from skbcnn._posterior_regressor import PosteriorRegressor
from skbcnn._prediction import rows_of
from skbcnn._presets import preset
from skbcnn._provenance import record_later_training
from skbcnn._regressor_parameters import (
    CONSTRAINTS,
    check_sequences,
    element_windows,
    network_spec,
    noise_range,
    training_recipe,
)
from skbcnn._repeated_stars import merge_repeated
from skbcnn._sklearn import check_sample_weight, fit_context
from skbcnn._training_augmentation import about_augmented_level, active_augmentation, training_augmentation
from skbcnn._training_checkpoint import TrainingCheckpoint
from skbcnn._training_data import (
    check_same_labels,
    check_same_layers,
    highest_noise_level,
    names_of_columns,
    normalized,
    refuse_lazy_cross_fitting,
    split,
    usable_stars,
    warn_of_few_stars,
    warn_of_no_variation,
    warn_of_other_labels,
)
from skbcnn._training_identity import training_identity
from skbcnn._training_warnings import warn_of_lost_calibration, warn_of_lost_records
from skbcnn._user_warnings import warn_user
from skbcnn._validation import finite_spectra
from skbcnn._validation_data import group_numbers, named_validation_data, validation_data_of
from skbcnn._versioned_pickle import VersionedPickle
from skbcnn.augmentation import Augmentation
from skbcnn.augmentation.exposures import as_other_exposures
from skbcnn.augmentation.noise import known_or_estimated_errors
from skbcnn.calibration.absence import Uncalibrated, is_calibrated
from skbcnn.calibration.cross_fitting import cross_predict, fold_numbers
from skbcnn.calibration.held_out import (
    calibration_stars,
    can_calibrate,
    label_residuals,
    repeated,
    with_training_noise,
)
from skbcnn.calibration.responses import held_out_responses
from skbcnn.network.backends import require_tensorflow
from skbcnn.network.forking import refuse_after_fork
from skbcnn.network.training_recipe import Stars
from skbcnn.novelty import TrainingDomain
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer


class CensoredBCNNRegressor(VersionedPickle, PosteriorRegressor, BaseEstimator):
    """Bayesian convolutional network that reads each label only inside its own windows.

    A label without a window is read from the full spectrum. A label with a window is read from that window and from
    the context: the means of the full-spectrum labels, through which no gradient flows, and a few free context units
    that the network learns. Dropout stays on in prediction (Monte Carlo dropout [2]_): each set of dropout masks is one
    posterior draw, applied to all spectra.

    Parameters
    ----------
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        Pixels from which each label is read. Labels that are not named are read from the full spectrum. None: the
        windows of the class, of which this one has none, so that all labels are read from the full spectrum.
    target : sequence of str or None, default=None
        Names of the labels, in the order in which they are predicted. None: the names of the columns of `y`, if it is a
        table, else "0", "1", ...
    num_hidden : sequence of 5 int, default=(192, 96, 32, 16, 0)
        Widths of the two full-spectrum layers, of the two window layers, and number of free context units (may be 0).
    num_filters : sequence of 2 int, default=(2, 4)
        Numbers of filters of the two convolutions.
    filter_len : int, default=8
        Length of the filters, in pixels.
    pool_length : int, default=4
        Number of pixels pooled into one after the convolutions.
    activation : str, default="silu"
        Activation function of the hidden layers, by its Keras name.
    initializer : str, default="he_normal"
        Initializer of the kernels of the hidden layers, by its Keras name. Output layers use Glorot uniform.
    dropout_rate : float, default=0.05
        Share of the units that dropout sets to zero, in training and in prediction.
    l2 : float, default=1e-5
        Weight of the L2 penalty on the kernels.
    maxnorm : float or None, default=None
        Largest norm of the kernel of each context unit. None: no limit.
    context_layer : {"output", "hidden"}, default="hidden"
        Layers of the window labels that receive the context. "output": the output layer only, as published [1]_. The
        context then adds to what is read in the window. "hidden": the second window layer, too, so that the same flux
        can mean different abundances in different stars.
    context_labels : "auto", sequence of mapping of str to float, or None, default="auto"
        Context labels: combinations of labels, each a mapping of label names to weights, such as
        ``{"Mg": 1, "Fe": -1}``. A context unit is trained to equal each of them, so that window labels know what else
        absorbs in their windows. They are not predicted. If labels of positive weight are missing, the others replace
        them. These units stand before the free ones of `num_hidden`, have no dropout of their own, and no gradient
        flows through them from the window labels. None: there are free units only. "auto": what the class knows; this
        class knows no combinations.
    length_scale : float, default=3.0
        Prior length scale, used for `inv_tau_` only.
    lr : float, default=3e-3
        Initial learning rate of the Adam optimizer.
    batch_size : "auto" or int, default="auto"
        Number of stars in one training step. "auto": 64; 32 for fewer than 3000 training stars, and 16 for fewer than
        1000, so that few stars make enough steps.
    max_epochs : "auto" or int, default="auto"
        Number of passes through the training stars. "auto": 48. With `augmentation`, every pass shows other spectra,
        so that few stars profit from more passes: 160 for up to 5000 training stars, and fewer for more stars, down to
        48 for more than 16 666.
    reduce_lr_epsilon : float, default=5e-5
        Smallest decrease of the validation loss that counts as an improvement.
    reduce_lr_min : float, default=1e-8
        Lower limit of the learning rate.
    reduce_lr_patience : int, default=2
        Number of epochs without improvement after which the learning rate is halved.
    lr_schedule : {"plateau", "cosine"}, default="cosine"
        Learning-rate schedule. "plateau": halved when the validation loss stops improving (`reduce_lr_epsilon`,
        `reduce_lr_min`, `reduce_lr_patience`). "cosine": from `lr` to `reduce_lr_min` along half a cosine over
        `max_epochs`.
    warmup_epochs : int, default=2
        Number of epochs in which the learning rate rises from a tenth of `lr` to `lr`. Without a warm-up, a large `lr`
        can make the training diverge. The last epoch never belongs to it.
    clipnorm : float or None, default=1.0
        Largest norm of the gradient of all weights together; a larger gradient is scaled down to it. None: no limit.
    input_norm_mode : {0, 1, 2, 3, 4, 255, "3s"}, default=3
        Normalisation of the spectra; the modes are those of `SpectraNormalizer`.
    labels_norm_mode : {0, 1, 2, 3, 4, 255}, default=2
        Normalisation of the labels; the modes are those of `LabelNormalizer`. The logistic mode "3s" is refused, since
        standard deviations cannot be converted back to label units.
    noise_augmentation : float or pair of float, default=0.0
        Standard deviation of the noise that is added to the spectra anew in each epoch, in units of `x_err`, if there
        is no other `augmentation`. A pair (smallest, largest): drawn between these for each spectrum and epoch, so that
        the network also learns spectra noisier than the training set.
    augmentation : "auto", `skbcnn.augmentation.Augmentation`, mapping or None, default="auto"
        Effects by which the training spectra are varied in each epoch: noise, shift, broadening, continuum errors, bad
        pixels, and extrapolated pairs of stars. A mapping names the amplitudes that differ from their defaults. Without
        `x_err`, the noise is estimated from the spectra. None: only `noise_augmentation`. "auto": what the class
        knows; this class does not know what its features are, and varies nothing.
    validation_fraction : float, default=0.1
        Share of the stars held out from the training. They measure the validation loss and calibrate the model. 0: no
        star is held out, and the training loss replaces the validation loss. Not used if `fit` gets validation data.
    calibrate : bool, default=True
        Whether `fit` learns `error_model_`, `interval_scores_`, `validation_residuals_` and `validation_responses_`
        from the held-out stars, and `domain_` from the training stars. The network does not depend on it.
    calibration_cv : int or None, default=None
        Number of folds of cross-fitting. Each fold is predicted by a further network that is trained on the other
        folds, for as many epochs as the network itself, so that all training stars calibrate the model and not only
        those held out. `fit` then takes so many times longer. `partial_fit` does not cross-fit. None: the held-out
        stars calibrate the model.
    early_stopping : bool, default=False
        Whether to stop when the validation loss has not improved for `n_iter_no_change` epochs, and to restore the best
        weights.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which `early_stopping` ends the training.
    warm_start : bool, default=False
        Whether `fit` continues from the weights and the normalisers of the previous `fit`, for another `max_epochs`.
    callbacks : callable or list of callable, default=None
        Functions called after each epoch with one argument, a `skbcnn.network.training_recipe.EpochEnd` (``epoch``,
        ``max_epochs``, the ``figures`` of that epoch as in `history_`, and ``get_weights()``). If one returns True, the
        training ends.
    n_draws : int, default=100
        Number of posterior draws of a prediction.
    backend : {"auto", "tensorflow", "numpy"}, default="auto"
        Library that computes predictions; `fit` always uses TensorFlow. "auto": TensorFlow, or NumPy, with a
        `skbcnn.network.backends.NumpyBackendWarning`, where TensorFlow cannot be imported or the process was forked
        after TensorFlow had started. The two agree to single precision; NumPy takes up to twice as long.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the stars, the held-out stars and the posterior draws. None: `fit`
        draws a seed and keeps it in `seed_`, so that predictions of one fitted model are repeatable.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Weights of the network.
    spec_ : NetworkSpec
        Architecture of the network.
    spectra_normalizer_, label_normalizer_ : SpectraNormalizer, LabelNormalizer
        Normalisers fitted to the training stars.
    context_labels_ : list of dict
        Context labels: ``weights`` by label, and ``mean`` and ``std`` of the training stars.
    history_ : dict of str to list of float
        One entry for each complete epoch of the last call of `fit` or `partial_fit`: `loss` (with the L2 penalty),
        `data_loss` (without), `mean_absolute_error`, `val_loss` (of the held-out stars, without the penalty and with
        dropout off) and `val_mean_absolute_error`, all in normalised units, and `lr`. Without held-out stars, the two
        validation entries are absent.
    n_iter_ : int
        Number of epochs, including those of the previous calls that `warm_start` or `partial_fit` continued.
    interrupted_ : bool
        Whether Ctrl-C ended the training; the best weights until then were kept.
    inv_tau_ : float
        Inverse model precision, 2 n_train l2 / (length_scale^2 (1 - dropout_rate)), of the last `fit`. NaN for models
        of other software that does not store it.
    noise_level_ : float or None
        Highest noise level (median flux error) of the training spectra, including added noise. None if `x_err` was not
        given.
    noise_augmented_ : bool
        Whether the training added noise to the spectra (`noise_augmentation`). The errors that such a model predicts
        include the effect of noise. Flux errors in the prediction would count it twice.
    error_model_ : ErrorModel or None
        Calibration of the standard deviations. None with fewer than 20 held-out stars, and after `partial_fit`.
    interval_scores_ : ndarray of shape (n_stars, n_labels) or None
        Absolute residuals of the calibration stars (held out in `fit`, or passed to `fit_error_model`), in units of
        their total standard deviation, or of that of `interval_error_model_`; used by `predict_interval`.
    interval_noise_ : ndarray of shape (n_stars,) or None
        Noise of the spectra of these stars. None if it is unknown or about equal for all.
    interval_error_model_ : ErrorModel or None
        Calibration of the standard deviations by these stars. None if their label errors were not given; the intervals
        are then multiples of the total standard deviation.
    validation_residuals_ : dict of str to tuple of (float, float, int), or None
        Residuals of the held-out stars by label: median and `mad_std` of predicted minus known label, in label units
        and with noise as in the training, and number of stars.
    validation_responses_ : ResponseMatrix or None
        Responses of the predicted labels of these stars to their known labels: whether each label measures itself.
        None if fewer than 200 held-out stars have all labels.
    domain_ : TrainingDomain or None
        Summary of the training set, used by `assess` to detect out-of-distribution spectra. None without `calibrate`,
        and if Ctrl-C interrupted the calibration before the summary was made.
    target_names_ : tuple of str
        Names of the labels, in the order in which they are predicted.
    label_names_ : tuple of str
        The same as `target_names_`.
    seed_ : int
        Seed of the posterior draws.
    preprocessing_, provenance_ : dict
        Preparation of the spectra (parameters of `prepare_spectra`), and origin of the training set. Models from
        `skbcnn.load_folder` have them; both may be set after `fit`, and `save` stores them. If the training is
        continued, `provenance_` has the entries ``first_training`` and ``later_trainings``.
    n_outputs_ : int
        Number of labels.
    n_features_in_ : int
        Number of pixels of a spectrum.
    feature_names_in_ : ndarray of str
        Names of the pixels, if `X` had column names.

    See Also
    --------
    ApogeeBCNNCensoredRegressor : The same with the windows and labels of APOGEE.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255: the network and its use on APOGEE.
    .. [2] Gal & Ghahramani (2016), ICML: dropout as a posterior.
    .. [3] Kendall & Gal (2017), NeurIPS: model and predictive uncertainty.

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

    __metadata_request__fit = {"groups": False}  # of a splitter, unless `set_fit_request(groups=True)` asks for them

    _parameter_constraints: dict = CONSTRAINTS

    def __init__(
        self,
        *,
        windows=None,
        target=None,
        num_hidden=(192, 96, 32, 16, 0),
        num_filters=(2, 4),
        filter_len=8,
        pool_length=4,
        activation="silu",
        initializer="he_normal",
        dropout_rate=0.05,
        l2=1e-5,
        maxnorm=None,
        context_layer="hidden",
        context_labels="auto",
        length_scale=3.0,
        lr=3e-3,
        batch_size="auto",
        max_epochs="auto",
        reduce_lr_epsilon=5e-5,
        reduce_lr_min=1e-8,
        reduce_lr_patience=2,
        lr_schedule="cosine",
        warmup_epochs=2,
        clipnorm=1.0,
        input_norm_mode=3,
        labels_norm_mode=2,
        noise_augmentation=0.0,
        augmentation="auto",
        validation_fraction=0.1,
        calibrate=True,
        calibration_cv=None,
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
        self.context_labels = context_labels
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
        self.augmentation = augmentation
        self.validation_fraction = validation_fraction
        self.calibrate = calibrate
        self.calibration_cv = calibration_cv
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
        """Make an unfitted regressor with the parameters of a preset.

        Parameters
        ----------
        name : {"leung_bovy_2019", "few_thousand_stars"}
            Name of the preset: the published model, or what version 0.1 recommended for a few thousand spectra; see
            `skbcnn.apogee.preset`.
        **changes
            Parameters that replace those of the preset.

        Returns
        -------
        model : object
            Instance of this class.

        Raises
        ------
        ValueError
            If there is no such preset.

        Examples
        --------
        >>> from skbcnn import ApogeeBCNNCensoredRegressor
        >>> model = ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", max_epochs=40)
        >>> model.max_epochs, model.lr_schedule
        (40, 'plateau')
        """
        return cls(**preset(name) | changes)

    @fit_context(prefer_skip_nested_validation=True)
    @default_settings()
    def fit(
        self,
        X,
        y=None,
        x_err=None,
        y_err=None,
        sample_weight=None,
        *,
        groups=None,
        validation_data=None,
        X_val=None,
        y_val=None,
        x_err_val=None,
        y_err_val=None,
        checkpoint=None,
    ):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels), h5py.Dataset or H5Loader
            Continuum-normalised flux. That of a dataset or a `skbcnn.datasets.H5Loader` stays in its file, and is read
            batch by batch, so that it need not fit in memory; the model is the same bit for bit. `calibration_cv` is
            then not possible. A loader brings the labels and, with ``load_err=True``, all errors.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Labels, unless `X` is a loader; NaN or -9999 where missing. The columns of a table (pandas, astropy,
            structured array) are matched to the labels by name, in any order and spelling; units are converted, and
            masked values are missing. Columns without names are in the order of the labels.
        x_err : array-like of shape (n_samples, n_pixels) or h5py.Dataset, default=None
            Flux errors. `noise_augmentation` adds noise in proportion to them, and their level is kept in
            `noise_level_`, so that predictions of noisier stars are flagged. An error above 1, the continuum, marks a
            bad pixel: its flux becomes 1 and its error 0. If the median is above 1, they are refused.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors (standard deviations); 0, or missing, where unknown. Ignored where the label is missing. The
            columns of a table are named as the labels, or ``<label>_err``; columns without names are in the order of
            those of `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star in the loss, the validation loss and the statistics of the normalisers. Only ratios
            matter; stars of weight 0 are left out. A star of weight 2 counts as the same star given twice, and gives
            the same model bit for bit.
        groups : array-like of shape (n_samples,), default=None
            Name or number of the star of each spectrum, if there are several spectra of a star. All spectra of a star
            are then either held out or trained on, and `validation_fraction` is the share of the stars. Not together
            with validation data.
        validation_data : tuple of (X, y), (X, y, x_err) or (X, y, x_err, y_err), default=None
            Held-out stars, each item in the form of the argument of that name. They take the place of a share of `X`:
            `validation_fraction` is not used, and they measure the validation loss and, without `calibration_cv`,
            calibrate the model. The flux errors are needed with `noise_augmentation`.
        X_val, y_val, x_err_val, y_err_val : array-like, default=None
            The same as `validation_data`, one by one. A pipeline can transform `X_val`
            (``Pipeline(..., transform_input=["X_val"])``).
        checkpoint : str or path-like, default=None
            File that is written after each epoch, and removed at the end. If the process is killed, or an error or a
            second Ctrl-C ends `fit`, the same call resumes the training after the last epoch in the file, and gives the
            same model bit for bit (on the same machine, with as many threads). Calibration is repeated; with
            `calibration_cv`, each fold has a file beside this one. Use one file for one training at a time. None:
            nothing is written.

        Returns
        -------
        self : object
            Fitted regressor.

        Raises
        ------
        ValueError
            If the data cannot be used, or `checkpoint` is damaged or belongs to a training with other data, parameters
            or versions; the message names what differs.
        OSError
            If `checkpoint` cannot be written.
        ImportError
            If TensorFlow cannot be imported.
        RuntimeError
            If the process was forked after TensorFlow had started.
        """
        from skbcnn.datasets.streaming import streamed_if_in_file

        refuse_after_fork("fit")  # before the work
        streamed = streamed_if_in_file(X, y, x_err, y_err, verbose=self.verbose)
        with unchanged_on_failure(self), streamed as (X, y, x_err, y_err):
            continues = self.warm_start and hasattr(self, "weights_")
            stars = self._check_training_data(X, y, x_err, y_err, sample_weight, continues, groups)
            given = validation_data_of(validation_data, X_val, y_val, x_err_val, y_err_val, groups=groups)
            validation = self._check_validation_data(given, stars)
            identity = None if checkpoint is None else training_identity(self, stars, validation, continues)
            stars = merge_repeated(stars)
            if self.calibration_cv is not None:  # refuse what cannot be divided before the work
                refuse_lazy_cross_fitting(X, self.calibration_cv)
                fold_numbers(len(stars.x), self.calibration_cv, stars.group)
            was_calibrated = continues and is_calibrated(self)
            if not continues:
                warn_of_lost_records(self)
            forget(self, "warm_start" if continues else "fit")
            random_state = check_random_state(self.random_state)
            if checkpoint is not None:
                checkpoint = TrainingCheckpoint.of(checkpoint)
                checkpoint.begin(identity)
                random_state = checkpoint.random_state(random_state)
            training, held_out = stars, validation
            if validation is None:
                training, held_out = split(stars, self.validation_fraction, random_state)
            warn_of_few_stars(training, held_out)
            warn_of_no_variation(training, self.target_names_)
            if not continues:
                self._initialize(training, random_state)
            self._train(training, held_out, self.max_epochs, continues, checkpoint)
            self.inv_tau_ = self._inverse_precision(len(training.x))
            self._calibrate(training, held_out, training if validation is not None else stars, checkpoint)
            if continues:
                record_later_training(self, "fit", len(stars.x))
            if checkpoint is not None:
                checkpoint.finish()
        if continues and was_calibrated and self.error_model_ is None:
            warn_of_lost_calibration("fit")
        return self

    @fit_context(prefer_skip_nested_validation=True)
    @default_settings()
    def partial_fit(self, X, y, x_err=None, y_err=None, sample_weight=None):
        """Train for one epoch from the present weights, for instance to fine-tune a model on a few spectra.

        The normalisers are kept, no star is held out, and the learning rate is `lr` throughout. To fine-tune a trained
        model, set `lr` well below that of its training. The state of the Adam optimizer is not kept between calls. The
        first call on an unfitted model initialises it from these stars.

        The calibration of the model before does not hold any longer and is dropped, with a warning; `fit_error_model`
        calibrates it again. `provenance_`, if it is not empty, records the training.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Continuum-normalised flux.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Labels, as in `fit`. After the first call, a label may be missing in all stars.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `fit`.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star; stars of weight 0 are left out.

        Returns
        -------
        self : object
            Fitted regressor.

        Raises
        ------
        ValueError
            If the data cannot be used.
        ImportError
            If TensorFlow cannot be imported.
        RuntimeError
            If the process was forked after TensorFlow had started.

        Examples
        --------
        >>> from skbcnn import CensoredBCNNRegressor
        >>> X, y = [[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]
        >>> CensoredBCNNRegressor(max_epochs=3, random_state=0).fit(X, y).set_params(lr=1e-5).partial_fit(X, y).n_iter_
        4
        """
        refuse_after_fork("partial_fit")
        with unchanged_on_failure(self):
            continues = hasattr(self, "weights_")
            stars = merge_repeated(self._check_training_data(X, y, x_err, y_err, sample_weight, continues))
            was_calibrated = continues and is_calibrated(self)
            forget(self, "partial_fit" if continues else "fit")
            if not continues:
                self._initialize(stars, check_random_state(self.random_state))
                self.inv_tau_ = self._inverse_precision(len(stars.x))
            self._train(stars, None, 1, continues)
            if continues:
                record_later_training(self, "partial_fit", len(stars.x))
            else:
                self._calibrate(stars, None, None)
        if was_calibrated:
            self._uncalibrated = Uncalibrated.CONTINUED
            warn_of_lost_calibration("partial_fit")
        return self

    def save(self, path, *, preprocessing=None, provenance=None, overwrite=False):
        """Save the fitted model as a folder, or as a zip file, of JSON and arrays.

        Parameters
        ----------
        path : str or path-like
            Folder to create, or zip file if the name ends in ``.zip``.
        preprocessing, provenance, overwrite
            As in `skbcnn.save_folder`.

        Returns
        -------
        path : pathlib.Path
            Path of the saved model; `skbcnn.load_folder` loads it.

        See Also
        --------
        skbcnn.save_folder : The same as a function, which also takes pipelines.
        """
        from skbcnn.persistence import save_folder

        return save_folder(self, path, preprocessing=preprocessing, provenance=provenance, overwrite=overwrite)

    @property
    def label_names_(self):
        """Names of the labels, in the order in which they are predicted: the same as `target_names_`."""
        return self.target_names_

    def _validate_params(self):
        """Check the parameters, as scikit-learn does at the start of `fit`, and the entries of sequences."""
        super()._validate_params()
        check_sequences(self)

    # What ApogeeBCNNCensoredRegressor overrides: the labels, windows and pixels of the class

    def _label_names(self, labels, fitted_names):
        """Return the names of the labels in `y`; `fitted_names` are those of the model to continue, or None."""
        if fitted_names is not None and self.target is None:
            return fitted_names
        return names_of_columns(labels, self.target)

    def _element_windows(self):
        """Return the windows of the labels as `ElementWindows`."""
        return element_windows(self.windows or {}, self.target_names_, self.n_features_in_)

    def _check_n_pixels(self, X):
        """Refuse spectra with the wrong number of pixels; this class takes any."""

    def _context_weights(self):
        """Return the weights of the labels in each context label; this class knows no combinations by name."""
        return context_weights(self.context_labels, self.target_names_)

    _near_one = True  # whether the training spectra are near 1; known after `fit`
    _chips: Sequence[slice] | None = None  # pixels of each chip; None: one chip
    _default_augmentation: Augmentation | None = None  # what augmentation="auto" means
    _flux_limits = _flux_level.NOT_COUNTS  # of the median flux; a median outside is warned of in training

    # Training

    def _check_training_data(self, X, y, x_err, y_err, sample_weight, continues, groups=None):
        """Return the training data as `Stars`; set the attributes that describe spectra and labels."""
        given = X
        X, x_err = plain_spectra(X, x_err)
        X = self._check_spectra(X, reset=not continues, y=None if y is None else "no_validation")
        self._near_one = _flux_level.are_near_one(X)
        weight = check_sample_weight(sample_weight, X)
        y, y_err = self._check_columns(X, y, y_err, continues)
        X, x_err = self._spectra_to_learn(given, X, x_err, "x_err", X)
        stars = Stars(X, y, y_err, weight, x_err, group_numbers(groups, len(X)))
        is_image = str(self.input_norm_mode) == "255"  # which is for flux of 0 to 255
        limits = (-np.inf, np.inf) if is_image else self._flux_limits
        augmented = "" if self._near_one else about_augmented_level(self.augmentation, self._default_augmentation)
        _flux_level.warn_of_flux_level(X, limits, type(self).__name__, augmented)
        if continues:
            level = _flux_level.training_level(self)
            _flux_level.warn_of_other_flux_level(X, level, self._flux_limits, "the spectra of this training")
        return usable_stars(stars, self.target_names_, may_be_empty=continues)

    def _spectra_to_learn(self, given, X, x_err, argument, training_x):
        """Return finite spectra and flux errors, which the training needs if it adds noise."""
        X, x_err = finite_spectra(given, X, x_err, _flux_level.are_near_one(training_x))
        if x_err is None and self._active_augmentation is None and self._added_noise[1] > 0:
            raise ValueError(f"noise_augmentation={self.noise_augmentation} needs flux errors: pass {argument}.")
        return X, change_rows(x_err, lambda values: np.asarray(values, dtype=np.float32))

    def _check_validation_data(self, given, training):
        """Return validation data as `Stars` in random order; None if there are none."""
        if given is None:
            return None
        with named_validation_data():
            y, y_err = label_and_error_values(given.y, given.y_err, self.target_names_)
            X, x_err = plain_spectra(given.X, given.x_err)
            X = self._check_spectra(X, reset=False)
            check_consistent_length(X, y)
            X, x_err = self._spectra_to_learn(given.X, X, x_err, "x_err in validation_data, or x_err_val", training.x)
            stars = usable_stars(Stars(X, y, y_err, np.ones(len(X)), x_err), self.target_names_, may_be_empty=True)
        level = _flux_level.median_level(training.x)
        _flux_level.warn_of_other_flux_level(X, level, self._flux_limits, "the validation spectra")
        warn_of_other_labels(training, stars, self.target_names_)
        return stars.take(check_random_state(0).permutation(len(X)))  # the calibration takes the first ones

    def _check_columns(self, X, y, y_err, continues):
        """Return labels and their errors with one column for each label; set the names of the labels."""
        labels = label_columns(y)
        check_consistent_length(X, labels.columns[0])
        names = self._label_names(labels, self.target_names_ if continues else None)
        if continues:
            check_same_labels(names, self.target_names_)
        self._single_label, self.n_outputs_, self.target_names_ = labels.single, len(names), names
        y = labels.values(names, labels.positions(names))
        return y, None if y_err is None else error_values(y_err, labels, names)

    def _initialize(self, training, random_state):
        """Fit the normalisers and draw the seed."""
        weight = training.weight
        self.spectra_normalizer_ = SpectraNormalizer(self.input_norm_mode).fit(training.x, sample_weight=weight)
        self.label_normalizer_ = LabelNormalizer(self.labels_norm_mode).fit(training.y, sample_weight=weight)
        self.context_labels_ = ()
        self.seed_ = int(random_state.randint(np.iinfo(np.int32).max))

    def _network_spec(self):
        """Return the architecture that the parameters describe."""
        n_supervised = len(self._context_weights())
        return network_spec(self, self._element_windows(), self.target_names_, n_supervised)

    def _train(self, training, held_out, max_epochs, continues, checkpoint=None):
        """Normalise the stars and train the network, from its weights or from new ones."""
        spec = self._network_spec()
        if continues:
            check_same_layers(spec, self.spec_)
        self.spec_ = spec
        self.noise_augmented_ = self.noise_augmented_ or self._added_noise[1] > 0
        self.noise_level_ = highest_noise_level(training.x_err, self._added_noise[1], self.noise_level_)
        held_out = held_out and self._normalized(held_out)
        seed, start = ((self.seed_, self.n_iter_), self.weights_) if continues else (self.seed_, None)
        self._train_network(training, held_out, max_epochs, seed=seed, start=start, checkpoint=checkpoint)

    def _train_network(self, training, held_out, max_epochs, *, seed, start, checkpoint):
        """Train the network on stars in flux and label units; the held-out stars are normalised."""
        require_tensorflow("fit")
        from skbcnn.network.tensorflow.training import train

        recipe = training_recipe(self, max_epochs, len(training.x))
        weights = self._context_weights()[: self.spec_.n_supervised]
        described = describe_context(training.y, weights, self.target_names_)
        if [entry["weights"] for entry in described] != [entry["weights"] for entry in self.context_labels_]:
            self.context_labels_ = described  # else those of an earlier training keep their normalisation
        stars = with_context_labels(self._normalized(training), training, weights, self.context_labels_)
        if augmentation := self._active_augmentation:
            x_err = known_or_estimated_errors(training.x, training.x_err)
            stars = stars._replace(x=training.x, x_err=x_err, group=training.group)
            settings = training_augmentation(augmentation, stars, self.spec_, self.spectra_normalizer_, self._chips)
            recipe = replace(recipe, augmentation=settings)
        result = train(self.spec_, recipe, stars, held_out, seed, start, checkpoint)
        self.weights_, self.history_, self.interrupted_ = result
        self.n_iter_ += len(self.history_.get("loss", []))
        self._live = LiveNetwork()

    def _normalized(self, stars):
        """Return stars in normalised units."""
        with_errors = self._active_augmentation is None and self._added_noise[1] > 0
        return normalized(stars, self.spectra_normalizer_, self.label_normalizer_, with_flux_errors=with_errors)

    @property
    def _active_augmentation(self):
        """Augmentation that the training uses; None for none, or noise alone."""
        default = self._default_augmentation if self._near_one else None
        return active_augmentation(self.augmentation, self.noise_augmentation, default)

    @property
    def _added_noise(self):
        """Smallest and largest noise that the training adds, in flux errors."""
        augmentation = self._active_augmentation
        return noise_range(self.noise_augmentation) if augmentation is None else augmentation.noise

    def _inverse_precision(self, n_stars):
        """Return the inverse model precision of a training on so many stars."""
        return 2 * n_stars * self.l2 / (self.length_scale**2 * (1 - self.dropout_rate))

    # Calibration

    def _calibrate(self, training, held_out, stars, checkpoint=None):
        """Summarise the training set, and calibrate the model with the held-out stars.

        With `calibration_cv`, all `stars` calibrate it by cross-fitting, unless they are None.
        """
        if not self.calibrate:
            self._uncalibrated = Uncalibrated.SWITCHED_OFF
            return
        self._uncalibrated = Uncalibrated.NONE_HELD_OUT if held_out is None else Uncalibrated.FEW_HELD_OUT
        calibrating = calibration_stars(held_out)
        # a user who interrupted the training does not want to wait for further trainings
        cross_fits = self.calibration_cv is not None and stars is not None and not self.interrupted_
        try:
            exposures, prediction = self._predict_exposures(training, calibrating, repeats=not cross_fits)
            if cross_fits:
                calibrating, exposures = stars, stars._replace(x=self._as_in_training(stars), group=None)
                prediction = self._cross_prediction(stars, exposures.x, checkpoint)
            if exposures is not None and can_calibrate(calibrating.y):
                self._calibrate_with(exposures, prediction, len(calibrating.x))
        except KeyboardInterrupt:
            if self.interrupted_:
                raise  # the second Ctrl-C
            self._uncalibrated = Uncalibrated.INTERRUPTED
            no_summary = " It has no summary of its training set (domain_); fit it again to learn it."
            unknown = no_summary if self.domain_ is None else ""
            warn_user(f"Calibration interrupted by user; the network is kept. {self._uncalibrated.remedy}{unknown}")

    def _predict_exposures(self, training, stars, *, repeats):
        """Summarise the training set, and return exposures of other stars with their prediction.

        If `stars` is None, both are None.
        """
        if stars is None:
            self.domain_ = self._training_domain(training)
            return None, None
        stars = stars._replace(group=None)  # each spectrum of a star tells something new
        exposures = repeated(stars) if repeats and self._varies_spectra else stars
        # NumPy uses about one core here, and the compiler of TensorFlow another
        with self._posterior().compiling(self.n_draws):
            exposures = exposures._replace(x=self._as_in_training(exposures))
            self.domain_ = self._training_domain(training)
        moments = self._moments(exposures.x, None, "Calibrating")
        self.domain_ = self.domain_.with_model_limit(moments[1, : len(stars.x)])
        return exposures, self._prediction(exposures.x, None, None, moments)

    def _cross_prediction(self, stars, x, checkpoint):
        """Return predictions of spectra `x` of all stars by networks that were trained on other stars."""
        folds = fold_numbers(len(x), self.calibration_cv, stars.group, self.seed_)

        def fit_and_predict(training_rows, other_rows):
            model = copy(self).set_params(callbacks=None)
            part = checkpoint and checkpoint.part(f"fold {folds[other_rows[0]] + 1}", self.n_iter_)
            model._train(stars.take(training_rows), None, self.n_iter_, continues=False, checkpoint=part)
            if model.interrupted_:
                raise KeyboardInterrupt
            return model._prediction(x[other_rows], None, None)

        return cross_predict(fit_and_predict, folds)

    @property
    def _varies_spectra(self):
        """Whether an epoch of the training varies the spectra."""
        return self._active_augmentation is not None or self._added_noise[1] > 0

    def _as_in_training(self, stars):
        """Return the spectra of stars, varied as an epoch of the training varies them."""
        random = np.random.default_rng([self.seed_, self.n_iter_])
        if augmentation := self._active_augmentation:
            return as_other_exposures(stars.x, stars.x_err, augmentation, self._chips, random)
        return with_training_noise(stars, self._added_noise, random)

    def _training_domain(self, training):
        """Return the summary of the training set, without the limit of the model uncertainty."""

        def vary(x, x_err):
            random = np.random.default_rng([self.seed_, self.n_iter_, 1])
            return as_other_exposures(x, x_err, replace(augmentation, noise=(0, 0)), self._chips, random)

        augmentation = self._active_augmentation
        return TrainingDomain.learn(
            training.x,
            training.y,
            training.x_err,
            added_noise=self._added_noise[1],
            vary=None if augmentation is None else vary,
            random_state=self.seed_,
        )

    def _calibrate_with(self, exposures, prediction, n_stars):
        """Calibrate the model with stars that were not trained on, and their prediction.

        The first `n_stars` exposures are of different spectra, and the others are further exposures of these spectra.
        """
        smallest, largest = self._added_noise
        noise = self.domain_._pixel_noise_checked(exposures.x, exposures.x_err) if smallest < largest else None
        self._calibrate_errors(prediction, exposures.y, exposures.y_err, noise, exposures.group, n_stars)
        stars, prediction = exposures.take(slice(n_stars)), rows_of(prediction, slice(n_stars))
        y, y_err = self._like_prediction(stars.y), self._like_prediction(stars.y_err)
        self.validation_residuals_ = label_residuals(y, prediction)
        self.validation_responses_ = held_out_responses(prediction, y, y_err, self.spec_.windows)
        self._uncalibrated = Uncalibrated.UNKNOWN

    # Pickles

    def __getstate__(self):
        """Return a copy of parameters and fitted state, without the compiled network."""
        return without_caches(super().__getstate__())

    def __setstate__(self, state):
        """Set the state of a pickle, completed with what earlier versions did not write."""
        super().__setstate__(complete(state) if "weights_" in state else state)


__getattr__ = find_moved_names(__name__)
