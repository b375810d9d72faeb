"""A fitted model behind what its spectra need, as a scikit-learn pipeline."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer
from skbcnn.survey import N_APSTAR_PIXELS, kept_pixels


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
    >>> from skbcnn.pipelines import apogee_pipeline
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
