"""What is APOGEE about the estimator: its windows and labels, its presets, and a pipeline for raw apStar spectra."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skbcnn._presets import PRESETS, preset
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import N_APSTAR_PIXELS, ElementWindows, apogee_windows, chips, kept_pixels, resolve_target

__all__ = ["PRESETS", "ApogeeBCNNCensoredRegressor", "apogee_pipeline", "preset"]


class ApogeeBCNNCensoredRegressor(CensoredBCNNRegressor):
    """Bayesian network for APOGEE spectra that reads each element only inside its own ASPCAP windows.

    Temperature, gravity and iron (and labels without windows: M, alpha, fakemag) come from the full spectrum of 7514
    pixels; every other element from its windows of DR14, from those means, and from two free numbers. See
    `CensoredBCNNRegressor` for the parameters that are not named here.

    Parameters
    ----------
    target : "all", str or sequence of str, default="all"
        Labels in any spelling, in the order in which they are predicted. ``"all"`` is the 22 of the DR14 network:
        teff, logg, C, C1, N, O, Na, Mg, Al, Si, P, S, K, Ca, Ti, Ti2, V, Cr, Mn, Fe, Co, Ni.
    num_hidden, num_filters, filter_len, pool_length, activation, initializer, dropout_rate, l2, maxnorm : network
        Shape and regularisation, as in `CensoredBCNNRegressor`, and so is `context_layer`.
    lr, batch_size, max_epochs, reduce_lr_epsilon, reduce_lr_min, reduce_lr_patience : training
        Likewise, and so are `lr_schedule`, `warmup_epochs`, `clipnorm`, `noise_augmentation`,
        `validation_fraction`, `calibrate`, `early_stopping`, `n_iter_no_change`, `warm_start` and `callbacks`.
    input_norm_mode, labels_norm_mode, length_scale, n_draws, backend, random_state, verbose : the rest
        Likewise.

    See Also
    --------
    CensoredBCNNRegressor : For other surveys and windows; the fitted attributes.
    skbcnn.preprocessing.prepare_spectra : Raw spectra to what this takes.

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

    _parameter_constraints: dict = {
        **{k: v for k, v in CensoredBCNNRegressor._parameter_constraints.items() if k != "windows"},
        "target": [str, "array-like"],
    }

    def __init__(
        self,
        *,
        target="all",
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
        super().__init__(
            target=target,
            num_hidden=num_hidden,
            num_filters=num_filters,
            filter_len=filter_len,
            pool_length=pool_length,
            activation=activation,
            initializer=initializer,
            dropout_rate=dropout_rate,
            l2=l2,
            maxnorm=maxnorm,
            context_layer=context_layer,
            length_scale=length_scale,
            lr=lr,
            batch_size=batch_size,
            max_epochs=max_epochs,
            reduce_lr_epsilon=reduce_lr_epsilon,
            reduce_lr_min=reduce_lr_min,
            reduce_lr_patience=reduce_lr_patience,
            lr_schedule=lr_schedule,
            warmup_epochs=warmup_epochs,
            clipnorm=clipnorm,
            input_norm_mode=input_norm_mode,
            labels_norm_mode=labels_norm_mode,
            noise_augmentation=noise_augmentation,
            validation_fraction=validation_fraction,
            calibrate=calibrate,
            early_stopping=early_stopping,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            callbacks=callbacks,
            n_draws=n_draws,
            backend=backend,
            random_state=random_state,
            verbose=verbose,
        )  # `windows` stays None and is no parameter: `_element_windows` takes those of DR14

    def _check_n_pixels(self, X):
        """Exactly the pixels of DR13 to DR17 without the chip gaps."""
        shape = getattr(X, "shape", ())  # of what has none, scikit-learn makes an array first
        expected = apogee_windows().n_pixels
        if len(shape) != 2 or shape[1] == expected:
            return
        advice = {
            N_APSTAR_PIXELS: "These are raw apStar spectra: remove the chip gaps with ChipGapRemover(), then normalise "
            "with ContinuumNormalizer().",
            sum(chip.n_pixels for chip in chips(12)): "These are on the pixels of DR11 and DR12: take the spectra of a "
            "later release, or pass windows on this grid to CensoredBCNNRegressor.",
        }
        raise ValueError(
            f"X has {shape[1]} features, but {type(self).__name__} is expecting {expected} features as input: spectra "
            f"of APOGEE DR13 to DR17 without chip gaps, not of n_features = {shape[1]} pixels. "
            + advice.get(shape[1], "For other surveys and grids use CensoredBCNNRegressor with windows of your own.")
        )

    def _label_names(self, labels):
        """Canonical names of the labels that `target` asks for."""
        names = tuple(resolve_target(self.target))
        n_labels = len(labels.columns)
        if len(names) != n_labels and not labels.is_table:
            raise ValueError(
                f"y has {n_labels} columns, but target={self.target!r} means {len(names)} labels: {', '.join(names)}. "
                "Pass a y with these columns in this order, or name the labels that y holds: target=[...]."
            )
        return names

    def _element_windows(self):
        """The DR14 windows in use: iron is read from the full spectrum."""
        table = apogee_windows()
        used = [name for name in self.target_names_ if name in table and name != "Fe"]
        return ElementWindows(
            {name: table[name] for name in used}, table.n_pixels, {name: table.widening(name) for name in used}
        )


def apogee_pipeline(model):
    """Put a model of APOGEE spectra behind the preprocessing that it knows of.

    The pipeline takes flux as it stands in apStar files. It passes on flux alone: pixels that are flagged in the
    file's mask, or badly measured, stay as they are, and all continuum pixels weigh the same. Where errors and flags
    are at hand, `skbcnn.prepare_spectra` uses them; the example shows it.

    Parameters
    ----------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted, with a `preprocessing_` that `skbcnn.load_folder` gave it.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        Of the steps ``gaps`` (`ChipGapRemover`), ``continuum`` (`ContinuumNormalizer`) and ``labels`` (`model`).
        Fitted: it can predict.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If it does not tell its preprocessing, or takes other spectra.

    See Also
    --------
    skbcnn.prepare_spectra : The same for flux, errors and flags together.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import ApogeeBCNNCensoredRegressor, prepare_spectra
    >>> from skbcnn.apogee import apogee_pipeline
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(1, 0.1, (10, 7514)), rng.normal(4500, 100, 10)
    >>> model = ApogeeBCNNCensoredRegressor(target="teff", num_hidden=(4, 4, 4, 4, 2), max_epochs=1, random_state=0)
    >>> model = model.fit(X, y)
    >>> model.preprocessing_ = {"data_release": 17, "weighting": "astronn"}  # as of a model that was loaded
    >>> flux = rng.normal(300, 3, (2, 8575))
    >>> apogee_pipeline(model).predict(flux).shape
    (2,)

    With errors and flags:

    >>> X, x_err = prepare_spectra(flux, np.full((2, 8575), 3), np.zeros((2, 8575), int), **model.preprocessing_)
    >>> model.predict(X, x_err=x_err).shape
    (2,)
    """
    check_is_fitted(model)
    told = {name: value for name, value in getattr(model, "preprocessing_", {}).items() if name != "combination"}
    if not told or set(told) - set(ContinuumNormalizer().get_params()):
        raise ValueError(
            f"The model tells of preprocessing {told}, expected parameters of ContinuumNormalizer. Make the pipeline "
            "yourself: Pipeline of ChipGapRemover, ContinuumNormalizer as in the training, and the model."
        )
    continuum = ContinuumNormalizer(**told)
    n_kept = len(kept_pixels(continuum.data_release))
    if n_kept != model.n_features_in_:
        raise ValueError(
            f"The model takes spectra of {model.n_features_in_} pixels, but apStar files have {n_kept} of data release "
            f"{continuum.data_release}. Make a pipeline of transformers for the grid of the model."
        )
    gaps = ChipGapRemover(continuum.data_release).fit(np.ones((1, N_APSTAR_PIXELS)))
    return Pipeline([("gaps", gaps), ("continuum", continuum.fit(np.ones((1, n_kept)))), ("labels", model)])
