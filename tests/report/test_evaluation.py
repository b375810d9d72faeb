"""`evaluate` and what its result holds."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor, residual_table, save_folder, write_h5
from skbcnn.persistence.fingerprint import model_fingerprint
from skbcnn.preprocessing import SpectraNormalizer
from skbcnn.report import evaluate
from skbcnn.report.figures import _median_spectrum, _similar_spectra
from skbcnn.report.model_facts import model_facts
from tests.report.conftest import N_STARS, NAMES, write_stars


@pytest.fixture(scope="module")
def evaluation(network, path):
    return evaluate(network, path)


def test_predictions_are_those_of_the_model(evaluation, network, stars):
    X, X_err, y, _ = stars
    prediction = network._predict_counting_noise_once(X, X_err)
    np.testing.assert_array_equal(evaluation.sample.mean, prediction.mean)
    np.testing.assert_array_equal(evaluation.sample.std, prediction.calibrated)
    assert (evaluation.sample.std_kind, evaluation.sample.calibrated_by) == ("calibrated", "known labels")
    expected = residual_table(y, prediction.mean, label_names=NAMES)
    np.testing.assert_allclose(evaluation.residuals["mad_std"], expected["mad_std"], rtol=1e-4)


def test_intervals_are_those_of_the_model(evaluation, network, stars):
    lower, upper = network.predict_interval(stars[0], coverage=0.9)
    inside = (lower <= stars[2]) & (stars[2] <= upper)
    np.testing.assert_allclose(evaluation.coverage["in_interval"][1], inside[:, 0].mean(), atol=0.01)


def test_novelty_is_that_of_the_model(evaluation, network, stars):
    assessment = network._assess_checked(stars[0], network._predict_counting_noise_once(*stars[:2]), stars[1])
    np.testing.assert_array_equal(evaluation.sample.flags, assessment.flags)
    np.testing.assert_allclose(evaluation.sample.novelty, assessment.score)


def test_other_versions(evaluation):
    rows = {(row["version"], row["label"]): row for row in evaluation.other_versions}
    assert set(rows) == {("raw", "teff"), ("aspcap", "Mg")}
    raw = rows["raw", "teff"]
    assert raw["median_residual"] == pytest.approx(raw["reference_median"] - 100, abs=0.01)
    assert rows["aspcap", "Mg"]["n"] == N_STARS - 30


def test_responses(evaluation):
    assert evaluation.responses.elements == ("Mg", "Al")
    assert evaluation.responses.n_stars == N_STARS - 35
    assert evaluation.no_responses == ""


def test_few_stars_have_no_responses(network, tmp_path, stars):
    X, _, y, _ = (values[30:45] for values in stars)
    path = write_h5(tmp_path / "x.h5", X, dict(zip(NAMES, y.T, strict=True)))
    evaluation = evaluate(network, path)
    assert evaluation.responses is None
    assert "responses need at least" in evaluation.no_responses


@pytest.mark.parametrize("n_stars", [1, pytest.param(15, marks=pytest.mark.slow)])
def test_page_of_few_stars_says_what_is_missing(network, tmp_path, stars, n_stars):
    X, _, y, _ = (values[50 : 50 + n_stars] for values in stars)
    path = write_h5(tmp_path / "x.h5", X, dict(zip(NAMES, y.T, strict=True)))
    page = evaluate(network, path).to_html(tmp_path / "x.html").read_text()
    assert "It could not be drawn" not in page
    assert "The responses of these spectra cannot be estimated." in page
    assert ("averaged over 8 spectra" if n_stars > 8 else f"averaged over {n_stars} spectr") in page
    assert "statistics of so few are uncertain" in page
    assert "There is no table by S/N: the file does not have it." in page
    assert "There is no table by effective temperature (K): each range has fewer than 20 spectra." in page
    assert "Not evaluated" not in page  # the file has no visits


@pytest.mark.parametrize(
    ("visits", "others"), [(False, "20 visits"), pytest.param(True, "40 combined spectra", marks=pytest.mark.slow)]
)
def test_page_says_how_many_spectra_of_the_other_kind_the_file_has(network, tmp_path, stars, visits, others):
    path = write_stars(tmp_path / "x.h5", *(values[:60] for values in stars), in_flag=[0, 0, 1] * 20)
    page = evaluate(network, path, visits=visits).to_html(tmp_path / "x.html").read_text()
    assert re.search(f"Not evaluated</t[hd]><td[^>]*>{others}<", page)


def test_number_of_draws_leaves_the_model_alone(network, path):
    assert evaluate(network, path, n_draws=3).model.n_draws == 3
    assert network.n_draws == 10


def test_limit_of_the_number_of_spectra(network, path, tmp_path):
    evaluation = evaluate(network, path, max_spectra=50)
    assert len(evaluation.sample) == 50
    page = evaluation.to_html(tmp_path / "x.html").read_text()
    assert "50 spectra (combined spectra), of 260 spectra in the file, chosen at random" in page
    assert "Evaluated are 50 of the 260 combined spectra, chosen at random." in page


@pytest.mark.parametrize("wrong", [0, 1.5, "all"])
def test_wrong_limit_of_the_number_of_spectra(network, path, wrong):
    with pytest.raises(ValueError, match=r"max_spectra=.*, expected a whole number of at least 1, or None"):
        evaluate(network, path, max_spectra=wrong)


def test_figures_have_names_and_are_drawn_when_needed(evaluation):
    expected = {"overview", "calibration", "responses", "kiel", "plane_1", "history", "jacobian", "architecture"}
    expected |= {f"residuals_{name}" for name in NAMES} | {f"outlier_{k}" for k in range(1, 7)}
    assert expected <= set(evaluation.figures)
    figure = evaluation.figures["kiel"].figure()
    assert tuple(figure.get_size_inches()) == evaluation.figures["kiel"].size
    assert len(figure.axes[0].collections[0].get_offsets()) == N_STARS


def test_figures_show_a_random_part_of_many_stars(evaluation, monkeypatch, network, path):
    from skbcnn.report import figures

    monkeypatch.setattr(figures, "MAX_POINTS", 50)
    found = evaluate(network, path).figures
    assert "Drawn are 50 of 260 spectra, chosen at random" in found["kiel"].caption
    assert len(found["kiel"].figure().axes[0].collections[0].get_offsets()) == 50
    assert "Drawn" not in found["calibration"].caption


def test_captions_agree_with_the_figures(evaluation):
    found = evaluation.figures
    assert "for 260 spectra, the median number that have a label, of 260" in found["calibration"].caption
    assert "z$ = (predicted $-$ reference)" in found["calibration"].figure().axes[-1].get_xlabel()
    assert "computed with dropout, the validation loss without" in found["history"].caption
    assert "below two standard errors are white" in found["responses"].caption


def test_outliers_are_compared_with_similar_stars(evaluation):
    one = evaluation.outliers[0]
    similar, texts = _similar_spectra(evaluation.sample, int(one["position"]))
    assert texts == "Teff, log g, [Fe/H]"
    assert len(similar) == 20
    assert one["position"] not in similar
    assert f"the median of the 20 evaluated spectra with the nearest {texts}" in evaluation.figures["outlier_1"].caption
    rows = evaluation.sample.rows[similar]
    flux = evaluation.file.spectra(rows).X
    assert_allclose(_median_spectrum(evaluation.file, rows), np.median(flux, axis=0), rtol=1e-6)


def test_unknown_quantity(evaluation):
    with pytest.raises(ValueError, match="quantity='mass', expected 'snr' or 'teff' or 'Fe'"):
        evaluation.residuals_by("mass")


@pytest.mark.parametrize("wrong", [lambda network: make_pipeline(SpectraNormalizer(), network), lambda network: 3])
def test_only_regressors_are_evaluated(network, path, wrong):
    with pytest.raises(TypeError, match="expected a CensoredBCNNRegressor or the path of a saved one"):
        evaluate(wrong(network), path)


def test_repr(evaluation):
    assert repr(evaluation) == "Evaluation('model in memory', 'stars.h5': 260 spectra, 5 labels)"


def test_saved_model(network, path, tmp_path, evaluation):
    folder = save_folder(network, tmp_path / "giants", provenance={"training_data": "synthetic", "n_stars": 216})
    loaded = evaluate(folder, path)
    assert loaded.model_name == "giants"
    np.testing.assert_array_equal(loaded.sample.mean, evaluation.sample.mean)
    facts = model_facts(loaded.model, "giants")
    assert facts["Provenance"] == "training data: synthetic; n stars: 216"
    assert facts["Error bars"] == "calibrated with known labels"
    assert facts["Training"] == "8 epochs, without added noise, random_state 0"
    assert facts["Posterior draws"] == f"10, seed {network.seed_}"
    assert facts["Fingerprint"] == model_fingerprint(network)
    assert facts["Versions"].startswith("skbcnn 0.")


@pytest.fixture(scope="module")
def bare(stars):
    """A model of one label, without calibration, intervals, windows and summary of the training set."""
    model = CensoredBCNNRegressor(
        target=["Mg"], max_epochs=1, calibrate=False, n_draws=4, num_hidden=(8, 8, 4, 4, 2), random_state=0
    )
    return model.fit(stars[0][30:80], stars[2][30:80, 3])


@pytest.fixture(scope="module")
def bare_evaluation(bare, path):
    return evaluate(bare, path)


def test_tables_of_a_bare_model(bare_evaluation):
    assert (bare_evaluation.sample.std_kind, bare_evaluation.sample.mean.shape) == ("total", (N_STARS, 1))
    assert list(bare_evaluation.coverage["label"]) == ["all labels", "Mg"]
    assert bare_evaluation.sample.in_interval is None
    assert len(bare_evaluation.novelty) == 0
    assert "flags" not in bare_evaluation.outliers.colnames


def test_page_of_a_bare_model(bare_evaluation, tmp_path):
    page = bare_evaluation.to_html(tmp_path / "x.html").read_text()
    assert "It could not be drawn" not in page
    assert "not calibrated: it was fitted with calibrate=False" in page
    assert "The model has no prediction intervals" in page
    assert "out-of-distribution spectra cannot be told from others" in page
    assert "The model has one label, so that there are no responses to other labels." in page
    assert "The model has neither Teff and log g, nor the abundances of one of the planes." in page
    assert "kiel" not in bare_evaluation.figures


def test_a_label_that_the_survey_does_not_know(stars, tmp_path):
    model = CensoredBCNNRegressor(target=["age"], max_epochs=1, n_draws=4, num_hidden=(8, 8, 4, 4, 2), random_state=0)
    model.fit(stars[0][:50], stars[2][:50, 2])
    path = write_h5(tmp_path / "x.h5", stars[0], {"teff": stars[2][:, 0]}, extra={"age": stars[2][:, 2]})
    assert list(evaluate(model, path).residuals["label"]) == ["age"]
