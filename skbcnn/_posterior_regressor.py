"""What a fitted regressor does: prediction, calibration with further stars, and comparison with the training set."""

from dataclasses import replace
from numbers import Integral

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skbcnn import _flux_level
from skbcnn._arrays import plain_spectra
from skbcnn._global_settings import default_settings
from skbcnn._label_tables import label_and_error_values, label_values
from skbcnn._lazy_rows import LazyRows
from skbcnn._posterior_moments import count_draws_once, posterior_draws, posterior_moments
from skbcnn._prediction import Prediction, columns_of, ratio_of_stds
from skbcnn._training_data import are_noisier
from skbcnn._training_warnings import warn_of_doubled_noise
from skbcnn._user_warnings import warn_user
from skbcnn._validation import check_label_errors, check_labels, finite_spectra
from skbcnn.calibration import Intervals, fit_error_model, fit_noise_model, interval_scores
from skbcnn.calibration.absence import warn_of_missing_labels
from skbcnn.calibration.held_out import noise_varies
from skbcnn.metrics import r2_score
from skbcnn.network.backends import posterior_class
from skbcnn.novelty.causes import warn_of_likely_cause


class PosteriorRegressor(MultiOutputMixin, RegressorMixin):
    """Methods of a regressor that predicts with draws from the posterior of a trained network.

    `CensoredBCNNRegressor` adds the parameters and the training, which sets the attributes that these methods read.
    """

    def predict(self, X, return_std=False, x_err=None):
        """Predict labels: the mean over the posterior draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        return_std : bool, default=False
            Whether to return the total standard deviation, too.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Each draw then adds one pattern of noise, scaled by them, to all spectra. A model that was
            trained with noise (`noise_augmented_`) does not need this, and warns, because noise would count twice.
            Errors above 1 mark bad pixels, as in `fit`.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_labels) or (n_samples,)
            Labels, in label units.
        std : ndarray of the same shape
            Total standard deviation, in label units. Only with `return_std`.
        """
        prediction = self.predict_distribution(X, x_err=x_err)
        return (prediction.mean, prediction.total) if return_std else prediction.mean

    def predict_std(self, X, kind="total", x_err=None):
        """Predict standard deviations of the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        kind : {"total", "predictive", "model", "calibrated"}, default="total"
            Kind of uncertainty: of the spectrum (predictive), of the network (model), both together (total), or
            the total one corrected by `error_model_` (calibrated).
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.

        Returns
        -------
        std : ndarray of shape (n_samples, n_labels) or (n_samples,)
            Standard deviations, in label units.

        Warns
        -----
        UserWarning
            If too few stars with some labels calibrated the model, so that their calibrated errors are the total ones.
        """
        check_is_fitted(self)
        if kind == "calibrated":
            self._refuse_uncalibrated()
        return self.predict_distribution(X, x_err=x_err).std(kind)

    @default_settings()
    def predict_distribution(self, X, x_err=None, keep_draws=False):
        """Predict labels with all kinds of uncertainty in one pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.
        keep_draws : bool, default=False
            Whether the prediction keeps the labels of every draw (`Prediction.draws`), which `Prediction.covariance`
            and `Prediction.group_mean` need. They take ``4 * n_draws`` bytes for each label of each spectrum: 8.8 kB a
            spectrum with 22 labels and 100 draws. The means and standard deviations are the same.

        Returns
        -------
        prediction : Prediction
            Mean and model, predictive and total standard deviations; the calibrated ones, too, if the model has an
            `error_model_`.

        Raises
        ------
        ValueError
            If the spectra cannot be used.
        """
        X, x_err = self._check_input_of_draws(X, x_err)
        return self._predict_checked(X, x_err, keep_draws)

    @default_settings()
    def sample_y(self, X, n_samples=1, random_state=0, x_err=None, kind="total"):
        """Draw labels from the posterior.

        A sample is one network: a dropout mask that is applied to all spectra, so that errors which the network makes
        for similar stars, and for several labels of a star, are alike within a sample. Normal noise of the predictive
        standard deviation is added to each spectrum and label independently. The deviations from the mean are scaled
        such that their standard deviation is the total or the calibrated one. The mean over many samples is
        ``predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_stars, n_pixels)
            Spectra, prepared as those of `fit`. Pass all stars in one call: the noise depends on the row.
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=0
            Source of the dropout masks and the noise. An int gives the same networks in each call, None other ones.
            The masks do not depend on those of `predict`, which `fit` has fixed (`seed_`).
        x_err : array-like of shape (n_stars, n_pixels), default=None
            Flux errors, as in `predict`.
        kind : {"total", "calibrated"}, default="total"
            Standard deviation of the samples, as in `predict_std`.

        Returns
        -------
        y_samples : ndarray of shape (n_stars, n_labels, n_samples) or (n_stars, n_samples)
            Labels, in label units; without the axis of the labels if `y` was 1-D in `fit`.

        Raises
        ------
        ValueError
            If `n_samples` is not a positive whole number, `kind` is none of these, the model is not calibrated, or the
            spectra cannot be used.

        See Also
        --------
        predict_distribution : With ``keep_draws=True``, the draws that `predict` averages, without noise.

        Notes
        -----
        The samples are chosen at random from ``max(n_samples, n_draws)`` balanced draws (`skbcnn.network.masks`), and
        the predictive standard deviation is that of these draws. A call thus takes as long as a prediction if
        `n_samples` is at most `n_draws`.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import CensoredBCNNRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(100, 20))
        >>> model = CensoredBCNNRegressor(max_epochs=2, random_state=0).fit(X, X[:, 0])
        >>> samples = model.sample_y(X[:4], n_samples=500)
        >>> samples.shape
        (4, 500)
        >>> mean, std = model.predict(X[:4], return_std=True)
        >>> bool((abs(samples.mean(axis=1) - mean) < 0.2 * std).all())
        True
        """
        if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r}, expected a whole number of samples, at least 1.")
        check_is_fitted(self)
        if kind == "calibrated":
            self._refuse_uncalibrated()
        elif kind != "total":
            raise ValueError(f"kind={kind!r}, expected 'total' or 'calibrated'.")
        X, x_err = self._check_input_of_draws(X, x_err)
        rng = check_random_state(random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        n_networks = max(int(n_samples), self.n_draws)
        chosen = rng.permutation(n_networks)[:n_samples]
        posterior = posterior_class(self.backend)(self.spec_, self.weights_, seed)
        moments, draws = self._draws(posterior, X, x_err, n_networks, chosen)
        mean, model, predictive, std = moments
        if kind == "calibrated":
            std = columns_of(self._prediction(X, x_err, self._noise_of_calibration(X, x_err), moments).calibrated)
        deviations = draws - mean + predictive * rng.standard_normal(draws.shape)
        samples = np.moveaxis(mean + deviations * ratio_of_stds(std, np.hypot(model, predictive)), 0, -1)
        return samples[:, 0] if self._single_label else samples

    @default_settings()
    def predict_interval(self, X, coverage=0.9, x_err=None):
        """Predict intervals that contain a given share of the labels, whatever the distribution of the residuals.

        These are split-conformal intervals [1]_: the mean plus or minus a multiple of a standard deviation, chosen such
        that the intervals of the calibration stars contain their labels. The calibration stars are those held out in
        `fit`, or those passed to `fit_error_model`. Without `y_err` of these stars, the standard deviation is the total
        one, and for stars of the same kind the probability that the interval contains the label of the catalogue is at
        least `coverage`. With `y_err`, it is the one that these stars calibrated; the intervals are shorter and are for
        the true label, which holds as far as the calibrated and the catalogue errors are right up to a common factor.
        If the spectra of the calibration stars differ in noise and there are enough of them, each interval is based on
        stars of similar noise.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        coverage : float, default=0.9
            Share of the labels within the intervals.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`: they widen the intervals.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples, n_labels) or (n_samples,)
            Ends of the intervals, in label units; NaN for labels that too few calibration stars have.

        Raises
        ------
        ValueError
            If there are no calibration stars, or too few for this coverage of any label.

        Warns
        -----
        UserWarning
            If too few calibration stars have some labels.

        Notes
        -----
        With `calibration_cv`, the scores are those of cross-fitting, and the coverage is not guaranteed: the intervals
        with a guarantee are those of `skbcnn.calibration.cross_fitting.cv_plus_bounds`, which needs the networks of all
        folds. The proof of coverage assumes that the calibration stars did not influence the training. The stars held
        out in `fit` steer the learning rate, and `early_stopping` if it is used; those of `fit_error_model` do not.

        References
        ----------
        .. [1] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), JASA 113, 1094.
        """
        check_is_fitted(self)
        self._uncalibrated.refuse(self.interval_scores_, "prediction intervals")
        intervals = self._intervals()
        available = intervals.available(coverage)  # before the work
        if not available.all():
            without = ", ".join(np.asarray(self.target_names_)[~available])
            warn_user(
                f"The intervals of {without} are NaN: too few calibration stars have these labels for a coverage of "
                f"{coverage}."
            )
        X, x_err = self._check_input_of_draws(X, x_err)
        noise = self._pixel_noise(X, x_err) if intervals.depend_on_noise else None
        return intervals.bounds(self._prediction(X, x_err, noise), coverage, noise)

    @default_settings()
    def fit_error_model(self, X, y, x_err=None, y_err=None):
        """Calibrate the standard deviations and intervals with stars of known labels.

        `fit` does so with its held-out stars. Some hundred stars calibrate all labels together; some thousand are
        needed to calibrate each label by itself. Stars that are too faint or too many to train on are suitable.

        This replaces `error_model_` (for ``predict_std(X, kind="calibrated")``), `interval_scores_`,
        `interval_noise_` and `interval_error_model_` (for `predict_interval`). The other standard deviations do not
        change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra that were not used in training, with the noise of those to be predicted. If their noise differs, the
            calibration depends on it.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            Labels, as in `fit`; each may be missing in some stars or in all.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Pass them if they will be passed in prediction, too.
        y_err : array-like of the shape of `y`, or table, default=None
            Label errors, as in `fit`; the calibrated standard deviations do not include them.

        Returns
        -------
        self : object
            Calibrated regressor.

        Raises
        ------
        ValueError
            If no label is known for at least 20 stars, or the data cannot be used.

        See Also
        --------
        fit_noise_model : Calibration with repeat visits, where no label is known.
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
        y, y_err = label_and_error_values(y, y_err, self.target_names_)
        X, x_err = self._check_input_of_draws(X, x_err)
        check_consistent_length(X, y)
        y = check_labels(y, self.target_names_, may_be_empty=True)
        y_err = check_label_errors(y_err, y, stacklevel=4)  # the caller, beyond the decorator
        noise = self._pixel_noise(X, x_err)
        prediction = self._prediction(X, x_err, noise)
        self._calibrate_errors(prediction, y, y_err, noise if noise is not None and noise_varies(noise) else None)
        return self

    @default_settings()
    def fit_noise_model(self, X, star, x_err=None):
        """Calibrate the standard deviations with repeat visits, for ``predict_std(X, kind="calibrated")``.

        This replaces `error_model_`; the other standard deviations and the intervals do not change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra of single visits.
        star : array-like of shape (n_samples,)
            Name or number of the star of each visit.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Pass them if they will be passed in prediction, too.

        Returns
        -------
        self : object
            Calibrated regressor.

        Raises
        ------
        ValueError
            If there are fewer than 20 pairs of visits, or the spectra cannot be used.

        See Also
        --------
        skbcnn.calibration.fit_noise_model : The same from a prediction.
        skbcnn.calibration.combine_visits : Labels of each star from all its visits.
        """
        prediction = self.predict_distribution(X, x_err=x_err)
        self.error_model_ = fit_noise_model(prediction, star)
        return self

    @default_settings()
    def assess(self, X, x_err=None, prediction=None):
        """Compare spectra with the training set: how far they lie outside, and in which respect.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Pixels whose error is 0 or above 1 count as bad. Unless `prediction` is passed, they enter the
            posterior draws as in `predict`, but not those of a model that was trained with noise.
        prediction : Prediction, default=None
            Result of `predict_distribution` for these spectra and errors, if there is one: saves a second prediction.

        Returns
        -------
        assessment : skbcnn.novelty.Assessment
            ``score`` (above 1: outside), ``flags`` (`skbcnn.NoveltyFlag`), and the numbers behind them.

        Raises
        ------
        ValueError
            If the model has no `domain_`, or the spectra cannot be used.

        Warns
        -----
        UserWarning
            If more than half of at least 10 spectra are out-of-distribution and their flux level, shift or bad pixels
            explain it.

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
                f"The model has no summary of its training set (domain_): {self._uncalibrated.no_summary}. Fit it with "
                "calibrate=True."
            )
        X, x_err = self._check_input(X, x_err)
        if prediction is None:
            prediction = self._predict_counting_noise_once(X, x_err)
        assessment = self._assess_checked(X, prediction, x_err)
        warn_of_likely_cause(self.domain_, assessment.flags, X, x_err)
        return assessment

    def novelty_score(self, X, x_err=None):
        """Return how far spectra lie outside the training set.

        Parameters
        ----------
        X, x_err
            Spectra and flux errors, as in `assess`.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Novelty, above 1 for stars outside the training set. At most about one in a hundred good stars is above 1.
        """
        return self.assess(X, x_err).score

    def novelty_flags(self, X, x_err=None):
        """Return flags of the stars whose labels need care.

        Parameters
        ----------
        X, x_err
            Spectra and flux errors, as in `assess`.

        Returns
        -------
        flags : ndarray of int32 of shape (n_samples,)
            Sums of `skbcnn.NoveltyFlag` bits.
        """
        return self.assess(X, x_err).flags

    def jacobian(self, X, mean_output=False, n_draws=None, denormalize=True, path="total"):
        """Return derivatives of the labels with respect to the flux of each pixel, averaged over posterior draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
        mean_output : bool, default=False
            Whether to average over the stars.
        n_draws : int, default=None
            Number of posterior draws. None: as many as in predictions; 10 or 20 are enough.
        denormalize : bool, default=True
            Whether derivatives are in label units per unit of flux, or in normalised units.
        path : {"total", "stopped", "window"}, default="total"
            Paths through the network that are followed from the flux to the window labels.

        Returns
        -------
        jacobian : ndarray of shape (n_samples, n_labels, n_pixels), float32
            Derivatives; without the first axis if averaged over the stars.

        See Also
        --------
        skbcnn.jacobian : The same as a function, with the paths explained.
        """
        from skbcnn.inspection import jacobian  # here, since it imports this module

        return jacobian(self, X, mean_output=mean_output, n_draws=n_draws, denormalize=denormalize, path=path)

    @default_settings()
    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination R^2 of the predicted labels, without missing ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Spectra, prepared as those of `fit`.
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

    # The steps of these methods

    def _calibrate_errors(self, prediction, y, y_err, noise, star=None, n_scores=None):
        """Fit the error model, and keep the scores of the first `n_scores` spectra (None: all) for intervals."""
        y, y_err = self._like_prediction(y), self._like_prediction(y_err)
        noise = noise if noise is not None and np.median(noise) > 0 else None
        self.error_model_ = fit_error_model(prediction, y, y_err, noise, star)
        warn_of_missing_labels(self.error_model_)
        self.interval_noise_ = None if noise is None else noise[:n_scores]
        # Label errors hide from the scores that `total` is wrong. Without them, scores in units of `total`, to which
        # these stars were not fitted, keep the guarantee of the coverage.
        self.interval_error_model_ = None if y_err is None else self.error_model_
        std = None if y_err is None else self.error_model_.std(prediction, noise)
        self.interval_scores_ = interval_scores(prediction, y, y_err, std)[:n_scores]

    def _refuse_uncalibrated(self):
        """Raise an error if the model has no calibrated errors, and warn if some labels have none."""
        self._uncalibrated.refuse(self.error_model_, "calibrated error bars")
        warn_of_missing_labels(self.error_model_)

    def _intervals(self):
        """Return the intervals of the calibration stars, of which there must be some."""
        return Intervals(self.interval_scores_, self.interval_noise_, self.interval_error_model_)

    def _like_prediction(self, columns):
        """Return columns of labels in the shape of a prediction: 1-D for a single label."""
        return columns[:, 0] if self._single_label and columns is not None else columns

    def _check_input(self, X, x_err):
        """Return spectra and flux errors to predict from, checked once for all that follows."""
        check_is_fitted(self)
        self._validate_params()  # n_draws may have been set since
        level = _flux_level.training_level(self)
        flux, x_err = plain_spectra(X, x_err)
        X, x_err = finite_spectra(X, self._check_new_spectra(flux), x_err, _flux_level.is_near_one(level))
        _flux_level.warn_of_other_flux_level(X, level, self._flux_limits)
        return X, x_err

    def _check_input_of_draws(self, X, x_err):
        """Return checked spectra and flux errors; warn if the draws would count noise twice."""
        X, x_err = self._check_input(X, x_err)
        if x_err is not None and self.noise_augmented_:
            warn_of_doubled_noise()
        return X, x_err

    def _assess_checked(self, X, prediction, x_err):
        """Return the comparison of spectra that were checked with the training set."""
        errors_in_draws = not self.noise_augmented_  # as in `_predict_counting_noise_once`
        return self.domain_._assess_checked(X, prediction, x_err, errors_in_draws=errors_in_draws)

    def _predict_counting_noise_once(self, X, x_err):
        """Return the prediction for spectra that were checked; flux errors enter its draws if the training had none.

        They always say which stars are noisier than those of the training.
        """
        x_err_of_draws = None if self.noise_augmented_ else x_err
        prediction = self._prediction(X, x_err_of_draws, self._noise_of_calibration(X, x_err))
        return replace(prediction, noisier=are_noisier(x_err, self.noise_level_))

    def _predict_checked(self, X, x_err, keep_draws=False):
        """Return the prediction for spectra that were checked."""
        noise = self._noise_of_calibration(X, x_err)
        if not keep_draws:
            return self._prediction(X, x_err, noise)
        posterior = self._posterior()
        moments, draws = self._draws(posterior, X, x_err, self.n_draws)
        prediction = self._prediction(X, x_err, noise, moments)
        return replace(prediction, draws=draws[:, :, 0] if self._single_label else draws)

    def _draws(self, posterior, X, x_err, n_draws, kept=None):
        """Return moments (4, n_samples, n_labels) and draws (n_kept, n_samples, n_labels) in label units."""
        normalizers = self.spectra_normalizer_, self.label_normalizer_
        options = {"n_draws": n_draws, "verbose": self.verbose}
        moments, draws = posterior_draws(posterior, *normalizers, X, x_err, kept=kept, **options)
        return self._with_total(moments, posterior, X, x_err, options), draws

    def _with_total(self, moments, posterior, X, x_err, options):
        """Return moments with the total standard deviation of this model."""
        if not self._draws_counted_once:
            return moments
        if x_err is None:
            return count_draws_once(moments)
        normalizers = self.spectra_normalizer_, self.label_normalizer_
        return count_draws_once(moments, posterior_moments(posterior, *normalizers, X, None, **options))

    def _noise_of_calibration(self, X, x_err):
        """Return the noise of spectra if the calibrated errors depend on it, else None."""
        is_needed = self.error_model_ is not None and self.error_model_.depends_on_noise
        return self._pixel_noise(X, x_err) if is_needed else None

    def _prediction(self, X, x_err, noise, moments=None):
        """Return the prediction for spectra that were checked and whose noise, if it is needed, was measured."""
        moments = self._moments(X, x_err) if moments is None else moments
        if self._single_label:
            moments = moments[:, :, 0]
        prediction = Prediction(*moments, self.target_names_, are_noisier(x_err, self.noise_level_))
        if self.error_model_ is None:
            return prediction
        calibrated = self.error_model_.std(prediction, noise)
        return replace(prediction, calibrated=calibrated, calibrated_by=self.error_model_.source)

    def _pixel_noise(self, X, x_err):
        """Return the noise of spectra, measured from pixel to pixel; None if the model has no `domain_`."""
        return None if self.domain_ is None else self.domain_._pixel_noise_checked(X, x_err)

    def _posterior(self):
        """Return the object that computes posterior draws."""
        return self._live.posterior(self.backend, self.spec_, self.weights_, self.seed_)

    def _moments(self, X, x_err, title="Predicting"):
        """Return mean and standard deviations (model, predictive, total) in label units: (4, n_samples, n_labels)."""
        posterior = self._posterior()
        normalizers = self.spectra_normalizer_, self.label_normalizer_
        options = {"n_draws": self.n_draws, "verbose": self.verbose, "title": title}
        moments = posterior_moments(posterior, *normalizers, X, x_err, **options)
        return self._with_total(moments, posterior, X, x_err, options)

    def _check_spectra(self, X, *, reset, y="no_validation"):
        """Return spectra without mask and unit as float32 with the right number of pixels."""
        if getattr(X, "ndim", 2) == 1 and len(X) > 0:
            raise ValueError(
                f"Expected 2D array, got 1D array instead: X has {len(X)} values, expected (n_samples, n_pixels). "
                "Reshape your data: X.reshape(1, -1) is one spectrum."
            )
        if not reset:  # else scikit-learn first says what else is wrong: sparse, complex, empty
            self._check_n_pixels(X)
        if isinstance(X, LazyRows):
            validate_data(self, X, y, reset=reset, skip_check_array=True)
        else:
            X = validate_data(self, X, y, reset=reset, dtype=np.float32, ensure_all_finite=False)
        self._check_n_pixels(X)
        return X

    def _check_new_spectra(self, X):
        """Return spectra with the right number of pixels; an array of numbers is not copied or cast."""
        if type(X) not in (np.ndarray, np.memmap) or X.ndim != 2 or len(X) == 0 or X.dtype.kind not in "fiub":
            return self._check_spectra(X, reset=False)
        self._check_n_pixels(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        return X
