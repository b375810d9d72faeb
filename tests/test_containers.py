"""Any container of numbers gives the result of the plain array with the same values, or an error in plain words.

Containers, types of numbers, order in memory, byte order and masks are drawn at random. Values that a container masks
are NaN in the plain array. `pytest -m slow` draws many more examples.
"""

import importlib.util
import itertools
import linecache
import tempfile
import warnings
from dataclasses import astuple
from typing import Any, NamedTuple
from unittest.mock import patch

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from sklearn.metrics import max_error

from skbcnn import CensoredBCNNRegressor, ChipGapRemover, Prediction, prepare_spectra
from skbcnn.calibration import fit_error_model, fit_noise_model, interval_scores
from skbcnn.metrics import (
    crps_gaussian,
    expected_calibration_error,
    gaussian_nll_loss,
    mad_std_error,
    magic_metric,
    mean_absolute_error,
    median_bias,
    r2_score,
    residual_table,
    root_mean_squared_error,
)
from skbcnn.preprocessing import ContinuumNormalizer, LabelNormalizer, SpectraNormalizer, errors_from_ivar
from skbcnn.survey import bad_pixels

N_STARS, N_PIXELS = 24, 12
NUMBERS = itertools.count()
LABELS = ("logg", "Mg")


class ArrayProtocol:
    """What is an array to NumPy only, like arrays of other libraries."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


def _memmap(values):
    with tempfile.NamedTemporaryFile() as file:
        mapped = np.memmap(file.name, dtype=values.dtype, mode="w+", shape=values.shape)
        mapped[:] = values
        return mapped


def _h5_dataset(values):
    values = _common(values) if values.dtype == np.longdouble else values
    file = h5py.File(f"{next(NUMBERS)}.h5", "w", driver="core", backing_store=False)
    file["values"] = values
    return file["values"]


def _read_only(values):
    values = values.copy()
    values.setflags(write=False)
    return values


def _every_second(values):
    larger = np.zeros([2 * n for n in values.shape], dtype=values.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in values.shape)]
    view[...] = values
    return view


def _objects_with(absent):
    def objects(values, missing):
        return np.where(missing, absent, values.astype(object))

    return objects


def _frame(values):
    values = values.astype(values.dtype.newbyteorder("="))
    return pd.Series(values) if values.ndim == 1 else pd.DataFrame(values)


def _nullable_frame(values, missing):
    return _frame(values).mask(_frame(missing)).convert_dtypes()


def _mixed_frame(values, missing):
    """Return a data frame with columns of several types."""
    if values.ndim == 1:
        return _frame(values).astype("Float64").mask(_frame(missing))
    types = ["float64", "Float64", "float32", "Float32", "object"]
    frame = _frame(np.where(missing, np.nan, values.astype(np.float64)))
    return frame.astype({name: types[name % len(types)] for name in frame.columns})


def _named(values):
    """Return columns with names of labels or pixels."""
    columns = values[:, None] if values.ndim == 1 else values
    names = LABELS if columns.shape[1] == len(LABELS) else [f"x{j}" for j in range(columns.shape[1])]
    return dict(zip(names, columns.T, strict=True))


def _common(values):
    """Return values in a type that files and all libraries have."""
    if values.dtype.kind == "f":
        return values.astype("f4" if values.dtype.itemsize <= 4 else "f8")
    return values.astype("i8")


def _fits_records(values):
    return fits.BinTableHDU(Table(_named(_common(values)))).data


class Container(NamedTuple):
    """One kind of container.

    `make` is called with values, and with the masked places if `masks`. If `may_be_refused`, an error is right, too.
    """

    make: Any
    masks: bool = False
    may_be_refused: bool = False


CONTAINERS = {
    "array": Container(lambda values: values),
    "columns in memory": Container(np.asfortranarray),
    "reversed": Container(lambda values: np.ascontiguousarray(values[::-1])[::-1]),
    "every second": Container(_every_second),
    "read-only": Container(_read_only),
    "memory-mapped": Container(_memmap),
    "HDF5": Container(_h5_dataset),
    "list": Container(lambda values: values.tolist()),
    "list of arrays": Container(list),
    "tuple": Container(lambda values: tuple(map(tuple, values)) if values.ndim == 2 else tuple(values)),
    "array protocol": Container(ArrayProtocol, may_be_refused=True),
    "objects": Container(lambda values: values.astype(object)),
    "objects with None": Container(_objects_with(None), masks=True, may_be_refused=True),
    "objects with NA": Container(_objects_with(pd.NA), masks=True, may_be_refused=True),
    "data frame of objects with NA": Container(
        lambda values, missing: (
            pd.DataFrame(np.where(missing, pd.NA, values.astype(object)))
            if values.ndim == 2
            else pd.Series(np.where(missing, pd.NA, values.astype(object)))
        ),
        masks=True,
    ),
    "list with NA": Container(lambda *arguments: _objects_with(pd.NA)(*arguments).tolist(), masks=True),
    "list with None": Container(lambda *arguments: _objects_with(None)(*arguments).tolist(), masks=True),
    "text": Container(lambda values: values.astype(np.float64).astype(str), may_be_refused=True),
    "data frame": Container(_frame),
    "nullable data frame": Container(_nullable_frame, masks=True),
    "data frame of several types": Container(_mixed_frame, masks=True),
    "categories": Container(lambda values: _frame(_common(values)).astype("category"), may_be_refused=True),
    "masked array": Container(lambda values, missing: np.ma.array(values, mask=missing), masks=True),
    "list of masked arrays": Container(lambda values, missing: list(np.ma.array(values, mask=missing)), masks=True),
    "Masked": Container(Masked, masks=True),
    "Quantity": Container(lambda values: units.Quantity(values, dtype=values.dtype)),
    "Masked Quantity": Container(
        lambda values, missing: Masked(units.Quantity(values, dtype=values.dtype), missing), masks=True
    ),
    "Column": Container(Column),
    "MaskedColumn": Container(lambda values, missing: MaskedColumn(values, mask=missing), masks=True),
    "table": Container(lambda values: Table(_named(values)), may_be_refused=True),
    "table with mask": Container(
        lambda values, missing: Table(
            {
                name: MaskedColumn(column, mask=absent)
                for (name, column), absent in zip(_named(values).items(), _named(missing).values(), strict=True)
            }
        ),
        masks=True,
        may_be_refused=True,
    ),
    "records with mask": Container(
        lambda *arguments: CONTAINERS["table with mask"].make(*arguments).as_array(), masks=True, may_be_refused=True
    ),
    "QTable": Container(lambda values: QTable(_named(values)), may_be_refused=True),
    "records": Container(lambda values: Table(_named(values)).as_array(), may_be_refused=True),
    "FITS records": Container(_fits_records, may_be_refused=True),
    "sparse": Container(lambda values: csr_array(_common(np.atleast_2d(values))), may_be_refused=True),
    "set": Container(lambda values: set(values.ravel().tolist()), may_be_refused=True),
    "generator": Container(lambda values: (row for row in values), may_be_refused=True),
    "dict": Container(_named, may_be_refused=True),
    "rows of different lengths": Container(
        lambda values: [np.atleast_1d(row)[: 1 + j % 2] for j, row in enumerate(values)], may_be_refused=True
    ),
    "words": Container(lambda values: np.full(values.shape, "high"), may_be_refused=True),
    "dates": Container(lambda values: values.astype("i8").astype("M8[s]"), may_be_refused=True),
    "complex": Container(lambda values: values.astype(complex), may_be_refused=True),
}


def _native(values):
    """Return values in the byte order of the machine, and long doubles as doubles: pyarrow takes no others."""
    return values.astype(float if values.dtype == np.longdouble else values.dtype.newbyteorder("="))


for _library, _make in {
    "polars": lambda module: lambda values: (module.Series if values.ndim == 1 else module.DataFrame)(values),
    "pyarrow": lambda module: lambda values: module.table(_named(_native(values))),
    "xarray": lambda module: module.DataArray,
}.items():
    if importlib.util.find_spec(_library) is not None:
        CONTAINERS[_library] = Container(_make(importlib.import_module(_library)), may_be_refused=True)

TYPES = ["f2", "f4", "f8", "g", ">f4", ">f8", "i1", "i2", "i4", "i8", ">i2", ">i8", "u1", "u2", "u4", "u8", "?"]


class Argument(NamedTuple):
    """An argument in a container, and the plain array with the same values."""

    passed: Any
    plain: np.ndarray
    kind: str
    may_be_refused: bool

    def __repr__(self):
        return f"{self.kind} of {type(self.passed).__name__}, {getattr(self.passed, 'dtype', '')}"


@st.composite
def arguments(draw, shape, low, high, flags=False):
    """Draw an argument with values between two limits; flags are whole numbers, and masked ones are 1."""
    kinds = sorted(
        CONTAINERS.keys() - {"data frame of several types"} if flags else CONTAINERS
    )  # of which two are float
    types = [name for name in TYPES if np.dtype(name).kind != "f" or not flags]
    kind, dtype = draw(st.sampled_from(kinds)), np.dtype(draw(st.sampled_from(types)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    container = CONTAINERS[kind]
    values = random.uniform(low, high + (dtype.kind != "f"), size=shape).astype(dtype)
    missing = random.random(shape) < draw(st.sampled_from([0, 0, 0.2]))
    missing &= container.masks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's fill value of a masked array of float16 overflows
        passed = container.make(values, missing) if container.masks else container.make(values)
    plain = np.where(missing, dtype.type(1), values) if flags else np.where(missing, np.nan, values).astype(np.float64)
    return Argument(passed, plain, kind, container.may_be_refused)


def outcome(use, argument):
    """Return what a function returns as a list of arrays, or the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return arrays(use(argument))
        except (ValueError, TypeError) as error:
            return error


def arrays(result):
    """Return all numbers of a result as arrays."""
    if isinstance(result, tuple | list):
        return [array for item in result for array in arrays(item)]
    if hasattr(result, "colnames"):
        result = [np.ma.filled(np.ma.asarray(result[name], dtype=float), np.nan) for name in result.colnames[1:-1]]
        return arrays(result)
    if hasattr(result, "__dataclass_fields__"):
        return arrays([value for value in astuple(result) if isinstance(value, np.ndarray | float)])
    return [] if result is None else [np.asarray(getattr(result, "value", result))]


def assert_says_what_to_do(error):
    """Assert that the code raises the error itself, in sentences, and does not leave it to another library."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    line = linecache.getline(file, trace.tb_lineno).strip()
    if not line.startswith("raise") or not ("skbcnn" in file or "sklearn" in file):
        raise AssertionError(f"not worded by the package, but raised by {file}: {line}") from error
    if "skbcnn" in file and not (str(error)[0].isalpha() and str(error).rstrip()[-1] in ".?" and " " in str(error)):
        raise AssertionError("not a sentence") from error


def check(use, argument, bad):
    """Assert that the result is that of the plain array, with NaN or `bad` where masked, or an error in plain words."""
    found, expected = outcome(use, argument.passed), outcome(use, argument.plain)
    if isinstance(found, Exception):
        assert_says_what_to_do(found)
        nothing_missing = not np.isnan(argument.plain).any()
        if "holds booleans" in str(found):  # flux errors: they can only be a mask
            return
        if nothing_missing and not argument.may_be_refused and not isinstance(expected, Exception):
            raise AssertionError(f"refused in the container {argument.kind!r}, but not as an array") from found
        return
    allowed = [expected, outcome(use, np.where(np.isnan(argument.plain), bad, argument.plain))]
    allowed = [result for result in allowed if not isinstance(result, Exception)]
    assert allowed, f"accepted, but the plain array is refused: {expected}"
    for last, result in enumerate(allowed, start=1 - len(allowed)):
        try:
            assert len(found) == len(result)
            for ours, theirs in zip(found, result, strict=True):
                assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 if ours.dtype == np.float32 else 1e-7)
        except AssertionError:
            if last == 0:
                raise
        else:
            return


RANDOM = np.random.default_rng(0)
FLUX = RANDOM.uniform(0.5, 1.5, size=(N_STARS, N_PIXELS))
ERRORS = np.full(FLUX.shape, 0.05)
TRUE = RANDOM.uniform(1, 5, size=(N_STARS, 2))
PREDICTED = TRUE + RANDOM.normal(size=TRUE.shape) / 10
STD = RANDOM.uniform(0.1, 1, size=TRUE.shape)
PREDICTION = Prediction(PREDICTED, STD, STD, STD, LABELS)
FRAME = {"pixels": "all", "chips": [(0, N_PIXELS)], "degree": 0, "no_continuum": "fill"}
NORMALIZER = ContinuumNormalizer(**FRAME)


@pytest.fixture(scope="module")
def model():
    """A model without windows, fitted to `FLUX`."""
    model = CensoredBCNNRegressor(
        num_hidden=(4, 4, 4, 4, 2), max_epochs=1, n_draws=3, target=LABELS, random_state=0, validation_fraction=0
    )
    return model.fit(FLUX, TRUE, x_err=ERRORS)


def learnt(X=FLUX, y=TRUE, target=LABELS, **arguments):
    """Return the stars that `fit` passes to the training."""
    stars = []

    def keep(model, *given, **_):
        stars.extend([None if value is None else np.asarray(value) for value in part] for part in given[:2] if part)

    model = CensoredBCNNRegressor(
        target=target, labels_norm_mode=0, input_norm_mode=0, validation_fraction=0.3, calibrate=False, random_state=0
    )
    with patch.object(CensoredBCNNRegressor, "_train_network", keep):  # spectra in a file are read during `fit` only
        model.fit(X, y, **arguments)
    return [value for part in stars for value in part]


def spectra_functions(model):
    """Return functions of flux."""
    return {
        "predict": model.predict,
        "predict_distribution": lambda X: model.predict_distribution(X).total,
        "score": lambda X: model.score(X, TRUE),
        "novelty_score": model.novelty_score,
        "fit": learnt,
        "validation_data": lambda X: learnt(validation_data=(X, TRUE)),
        "ChipGapRemover": lambda X: ChipGapRemover(chips=[(0, 4), (6, 12)]).fit(X).transform(X),
        "ChipGapRemover.inverse_transform": lambda X: ChipGapRemover(chips=[(0, 12)]).fit(FLUX).inverse_transform(X),
        "ContinuumNormalizer": lambda X: NORMALIZER.fit(X).normalize(X),
        "SpectraNormalizer": lambda X: SpectraNormalizer(2).fit(X).transform(X),
        "SpectraNormalizer.inverse_transform": lambda X: SpectraNormalizer(2).fit(FLUX).inverse_transform(X),
        "prepare_spectra": lambda X: prepare_spectra(X, **FRAME),
    }


def error_functions(model):
    """Return functions of flux errors."""
    return {
        "predict_distribution": lambda x_err: model.predict_distribution(FLUX, x_err=x_err).total,
        "assess": lambda x_err: model.assess(FLUX, x_err).score,
        "fit": lambda x_err: learnt(x_err=x_err),
        "validation_data": lambda x_err: learnt(x_err=ERRORS, validation_data=(FLUX, TRUE, x_err)),
        "ContinuumNormalizer": lambda x_err: NORMALIZER.fit(FLUX, x_err=x_err).normalize(FLUX, x_err),
        "SpectraNormalizer.scale_errors": lambda err: SpectraNormalizer(2).fit(FLUX).scale_errors(err),
        "prepare_spectra": lambda err: prepare_spectra(FLUX, err, **FRAME),
    }


def inverse_variance_functions(_):
    """Return functions of inverse variances."""
    return {
        "errors_from_ivar": errors_from_ivar,
        "prepare_spectra": lambda ivar: prepare_spectra(FLUX, ivar=ivar, **FRAME),
    }


def bitmask_functions(_):
    """Return functions of bitmasks."""
    return {
        "bad_pixels": lambda bitmask: bad_pixels(bitmask, [0, 1]),
        "ContinuumNormalizer": lambda bitmask: NORMALIZER.fit(FLUX, bitmask=bitmask).normalize(FLUX, ERRORS, bitmask),
        "prepare_spectra": lambda bitmask: prepare_spectra(FLUX, ERRORS, bitmask, **FRAME),
    }


def label_functions(model):
    """Return functions of labels, their errors and predictions."""
    return {
        "mad_std_error": lambda y: mad_std_error(y, PREDICTED),
        "mean_absolute_error": lambda y: mean_absolute_error(y, PREDICTED),
        "median_bias": lambda y: median_bias(y, PREDICTED),
        "r2_score": lambda y: r2_score(y, PREDICTED),
        "root_mean_squared_error": lambda y: root_mean_squared_error(y, PREDICTED),
        "magic_metric": lambda y: magic_metric(max_error)(y, PREDICTED),
        "crps_gaussian": lambda y: crps_gaussian(y, PREDICTED, STD),
        "gaussian_nll_loss": lambda y: gaussian_nll_loss(y, PREDICTED, STD),
        "expected_calibration_error": lambda y: expected_calibration_error(y, PREDICTED, STD),
        "residual_table": lambda y: residual_table(y, PREDICTED, label_names=LABELS),
        "y_pred": lambda y: mean_absolute_error(TRUE, y),
        "y_std": lambda y: crps_gaussian(TRUE, PREDICTED, y),
        "y_err": lambda y: gaussian_nll_loss(TRUE, PREDICTED, STD, y_err=y),
        "fit_error_model": lambda y: fit_error_model(PREDICTION, y),
        "fit_error_model y_err": lambda y: fit_error_model(PREDICTION, TRUE, y),
        "interval_scores": lambda y: interval_scores(PREDICTION, y),
        "interval_scores y_err": lambda y: interval_scores(PREDICTION, TRUE, y),
        "LabelNormalizer": lambda y: LabelNormalizer().fit(y).transform(y),
        "LabelNormalizer.inverse_transform": lambda y: LabelNormalizer().fit(TRUE).inverse_transform(y),
        "LabelNormalizer.scale_errors": lambda y: LabelNormalizer().fit(TRUE).scale_errors(y),
        "LabelNormalizer.inverse_moments": lambda y: LabelNormalizer().fit(TRUE).inverse_moments(y, y),
        "fit": lambda y: learnt(y=y),
        "fit y_err": lambda y: learnt(y_err=y),
        "validation_data": lambda y: learnt(validation_data=(FLUX, y)),
        "score": lambda y: model.score(FLUX, y),
    }


def star_functions(_):
    """Return functions of one value for each star."""
    return {
        "sample_weight of metrics": lambda weight: mean_absolute_error(TRUE, PREDICTED, sample_weight=weight),
        "sample_weight of fit": lambda weight: learnt(sample_weight=weight),
        "sample_weight of normalizers": lambda weight: SpectraNormalizer().fit(FLUX, sample_weight=weight).mean_,
        "groups": lambda star: learnt(groups=star),
        "star": lambda star: fit_noise_model(PREDICTION, star),
        "noise": lambda noise: fit_error_model(PREDICTION, TRUE, noise=noise),
        "single label": lambda y: mean_absolute_error(y, TRUE[:, 0]),
        "single predicted label": lambda y: mean_absolute_error(TRUE[:, 0], y),
        "single label in fit": lambda y: learnt(y=y, target=["logg"]),
    }


CASES = {  # functions, shape, lowest and highest value, value of the plain array that marks a bad pixel
    "spectra": (spectra_functions, (N_STARS, N_PIXELS), 0.5, 1.5, 1),
    "flux errors": (error_functions, (N_STARS, N_PIXELS), 0.01, 0.2, np.inf),
    "inverse variances": (inverse_variance_functions, (N_STARS, N_PIXELS), 25, 100, 0),
    "bitmasks": (bitmask_functions, (N_STARS, N_PIXELS), 0, 4, 1),
    "labels": (label_functions, (N_STARS, 2), 1, 5, np.nan),
    "stars": (star_functions, (N_STARS,), 1, 5, np.nan),
}


def check_case(case, model, n_examples):
    functions, shape, low, high, bad = CASES[case]
    uses = functions(model)

    @settings(max_examples=n_examples, suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from(sorted(uses)), argument=arguments(shape, low, high, case == "bitmasks"))
    def check_one(name, argument):
        assume(argument.kind != "words" or name not in ("groups", "star"))
        check(uses[name], argument, bad)

    check_one()


@pytest.mark.parametrize("case", CASES)
class TestAnyContainer:
    def test_gives_the_result_of_the_plain_array_or_an_error_in_plain_words(self, case, model):
        check_case(case, model, n_examples=40)

    @pytest.mark.slow
    def test_in_many_examples(self, case, model):
        check_case(case, model, n_examples=1500)


class TestNamesOfPixels:
    """Data frames of flux and errors have their columns in one order."""

    names = [f"x{j}" for j in range(N_PIXELS)]
    flux = pd.DataFrame(FLUX, columns=names)
    other = pd.DataFrame(ERRORS, columns=names[::-1])

    def test_of_spectra_in_another_order_are_refused(self):
        model = CensoredBCNNRegressor(num_hidden=(4, 4, 4, 4, 2), max_epochs=1, random_state=0).fit(self.flux, TRUE)
        for pixels in (self.flux, self.flux.convert_dtypes(), self.flux.astype(object)):
            with pytest.raises(ValueError, match="Feature names must be in the same order"):
                model.predict(pixels[pixels.columns[::-1]])

    def test_of_errors_in_another_order_are_refused(self):
        for use, message in (
            (lambda: learnt(self.flux, x_err=self.other), r"x_err has its columns in another order than X"),
            (lambda: NORMALIZER.fit(self.flux, bitmask=self.other), r"bitmask .* than X. Pass bitmask\[X.columns\]"),
            (
                lambda: prepare_spectra(self.flux, self.other, **FRAME),
                r"err has .* than flux. Pass err\[flux.columns\]",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                use()

    def test_of_errors_may_be_others(self):
        renamed = self.other[self.names].add_prefix("e_")
        assert_allclose(prepare_spectra(self.flux, renamed, **FRAME)[1], prepare_spectra(FLUX, ERRORS, **FRAME)[1])
