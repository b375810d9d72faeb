"""The card of a saved model: its content, and text in the model that must not become Markdown, HTML or YAML."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from skbcnn import CensoredBCNNRegressor, ChipGapRemover
from skbcnn.calibration import ErrorModel
from skbcnn.inspection import ResponseMatrix
from skbcnn.persistence import load_folder, save_folder

HOSTILE = (
    "a|b\n# Owned <script>x</script> [link](http://evil) ![](e) `c` *d* _e_ \\ \u202e @f www.evil.org ~~g~~ $h$ &lt;"
)
MINUS = "\N{MINUS SIGN}"


def card(path):
    return (path / "README.md").read_text(encoding="utf-8")


def front_matter(text):
    """Return the lines between the two lines of dashes."""
    assert text.startswith("---\n")
    block = text[4 : text.index("\n---\n")]
    assert re.fullmatch(r"(([a-z_]+:( \"?[a-z0-9.+-]+\"?)?|- [a-z-]+)\n?)*", block), block
    return block.splitlines()


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """Return the cells of the table in a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


@pytest.fixture
def known(saved):
    """Model with values in every section of the card."""
    model = load_folder(saved)
    model.domain_ = replace(model.domain_, label_range=np.array([[3501.2, -1.52], [5999.0, 0.43]]))
    model.history_ = {"loss": [2.0, 1.0], "data_loss": [1.5, 0.51234], "val_loss": [0.9, 0.70001]}
    model.n_iter_ = 2
    model.label_normalizer_.mean_ = np.array([4500.4, -0.1])
    model.label_normalizer_.scale_ = np.array([300.0, 0.25])
    model.error_model_ = ErrorModel(
        ("teff", "Mg"), np.array([1.25, 0.8]), np.array([3.2, 0.0151]), np.array([30, 28]), "repeat visits"
    )
    model.validation_residuals_ = {"teff": (-12.4, 81.6, 30), "Mg": (-0.0004, 0.0712, 28)}
    model.validation_responses_ = ResponseMatrix(
        label_names=("teff", "Mg"),
        matrix=np.array([[0.912, 55.4], [1e-4, 0.8]]),
        standard_errors=np.array([[0.021, 3.0], [1e-5, 0.013]]),
        elements=("Mg",),
        n_stars=321,
        spreads=np.array([290.0, 0.3]),
        mean_own_error=0.013,
        errors_removed=True,
    )
    return model


def test_sections_of_a_complete_model(known, tmp_path):
    provenance = {"training_data": "APOGEE DR14", "n_stars": 30067, "snr": 200.0, "license": "CC-BY-4.0"}
    text = card(known.save(tmp_path / "model", provenance=provenance, preprocessing={"combination": "pixel"}))
    assert front_matter(text)[:2] == ['license: "cc-by-4.0"', "library_name: skbcnn"]
    assert "# 2 labels of stars from spectra\n" in text
    assert "from spectra of 40 pixels. The labels are teff and Mg. Of these, 1 is read only from windows" in text
    assert rows(section(text, "Use")) == [["combination", "pixel"]]
    assert rows(section(text, "Labels")) == [
        ["teff", "K", "full spectrum", "3501", "5999", "4500", "300"],
        ["Mg", "dex", "6 pixels", f"{MINUS}1.520", "0.430", f"{MINUS}0.100", "0.250"],
    ]
    training = dict(rows(section(text, "Training")))
    assert training["training\\_data"] == "APOGEE DR14"
    assert (training["n\\_stars"], training["snr"], training["epochs"]) == ("30067", "200", "2")
    assert (training["loss at the end"], training["validation loss at the end"]) == ("0.5123", "0.7")
    assert rows(section(text, "Accuracy")) == [["teff", f"{MINUS}12", "82", "30"], ["Mg", "0.000", "0.071", "28"]]
    responses = section(text, "Responses")
    assert "among 321 held-out stars." in responses
    assert "Mean own response of the elements: 0.800 \N{PLUS-MINUS SIGN} 0.013; foreign: -.\n" in responses
    assert rows(responses) == [
        ["teff", "0.91 \N{PLUS-MINUS SIGN} 0.02", "55", "Mg", "55"],
        ["Mg", "0.80 \N{PLUS-MINUS SIGN} 0.01", "-", "-", "-"],
    ]
    assert "were fitted to repeat visits" in section(text, "Uncertainties")
    assert rows(section(text, "Uncertainties")) == [["teff", "1.25", "3", "30"], ["Mg", "0.80", "0.015", "28"]]
    assert {"skbcnn", "numpy", "keras"} < {name for name, _ in rows(section(text, "Versions"))}
    assert "MNRAS 483, 3255" in section(text, "Citation")


def test_sections_of_a_model_without_calibration(saved, tmp_path):
    model = load_folder(saved)
    model.domain_ = model.error_model_ = model.validation_residuals_ = model.validation_responses_ = None
    model.history_ = {}
    model.label_normalizer_.mode = 0
    text = card(model.save(tmp_path / "model"))
    assert not any(line.startswith("license") for line in front_matter(text))
    assert "stars with known labels were held out" in section(text, "Accuracy")
    assert "are not calibrated" in section(text, "Uncertainties")
    assert "## Responses" not in text
    assert len(rows(section(text, "Labels"))[0]) == 3
    assert "Values of the training set" not in text
    assert "loss" not in section(text, "Training")
    assert "synthetic" not in text


def test_calibration_that_depends_on_noise(known, tmp_path):
    known.error_model_ = replace(known.error_model_, noise_slope=np.array([0.5, -0.25]), noise_range=(0.002, 0.005))
    text = section(card(known.save(tmp_path / "model")), "Uncertainties")
    assert "`(scale * total + offset) * relative noise ** (noise slope)`" in text
    assert "noise level of the spectrum divided by 0.005." in text
    assert [row[-1] for row in rows(text)] == ["0.50", f"{MINUS}0.25"]
    known.error_model_ = replace(known.error_model_, noise_curve=np.array([0.0, 0.25]))
    text = section(card(known.save(tmp_path / "other")), "Uncertainties")
    assert "** (noise slope + noise curve * log(relative noise))`" in text
    assert [row[-2:] for row in rows(text)] == [["0.50", "0.00"], [f"{MINUS}0.25", "0.25"]]


def test_random_state_is_on_the_card_once(known, tmp_path):
    known.random_state, known.seed_ = 1, 1791095845
    text = section(card(known.save(tmp_path / "model")), "Training")
    assert ["random_state", "1"] in [[cell.replace("\\", "") for cell in row] for row in rows(text)]
    assert ["seed of the posterior draws", "1791095845"] in rows(text)
    text = section(card(known.save(tmp_path / "other", provenance={"random_state": 1})), "Training")
    assert text.replace("\\", "").count("random_state") == 1


def test_warning_of_synthetic_spectra(known, tmp_path):
    text = card(known.save(tmp_path / "model", provenance={"training_data": "synthetic"}))
    assert "**It was trained on synthetic spectra only." in text


def test_card_of_a_pipeline(model, tmp_path):
    pipeline = Pipeline([("gaps", ChipGapRemover(chips=[(0, 20), (22, 42)])), ("skip", None), ("network", model)])
    steps = rows(section(card(save_folder(pipeline, tmp_path / "model")), "Use"))
    assert [name for name, _ in steps] == ["gaps", "skip", "network"]
    assert steps[0][1] == "ChipGapRemover(chips=\\[(0, 20), (22, 42)\\])"
    assert steps[1][1] == "None"


def test_example_on_the_card(saved):
    code = re.search(r"```python\n(.*?)```", card(saved), re.DOTALL)[1]
    loading = "\n".join(line for line in code.splitlines() if "predict" not in line)
    namespace = {}
    exec(loading.replace("path/to/this/model", str(saved)), namespace)
    assert namespace["model"].target_names_ == ("teff", "Mg")
    assert "mean, std = model.predict(X, return_std=True)" in code


@pytest.mark.parametrize("license", [HOSTILE, "mit\ntags: [owned]", 'mit"', "", ["mit"], "x" * 50])
def test_what_is_no_licence_is_left_out(saved, tmp_path, license):
    text = card(load_folder(saved).save(tmp_path / "model", provenance={"license": license}))
    assert not any(line.startswith("license") for line in front_matter(text))


def hostile_model(saved):
    """Return a model all of whose text is an attack."""
    model = load_folder(saved)
    model.target_names_ = (HOSTILE, "Mg")
    model.validation_residuals_ = {HOSTILE: (0.0, 1.0, 20), "Mg": (float("nan"), float("nan"), 0)}
    return model


def test_hostile_names_stay_in_their_cells(saved, tmp_path):
    texts = {HOSTILE: HOSTILE, "list": [HOSTILE, {HOSTILE: [HOSTILE]}]}
    text = card(hostile_model(saved).save(tmp_path / "model", provenance=texts, preprocessing=texts))
    front_matter(text)
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        "# 2 labels of stars from spectra",
        *(
            f"## {title}"
            for title in ("Use", "Labels", "Training", "Accuracy", "Uncertainties", "Versions", "Citation")
        ),
    ]
    for title, width in {"Use": 2, "Labels": 7, "Training": 2, "Accuracy": 4}.items():
        assert {len(row) for row in rows(section(text, title))} == {width}
    parts = text[: text.index("## Citation")].split("```")
    outside = parts[0] + parts[2]
    assert not re.search(r"(?<!\\)[<>\[$~@&]|(?<!\\)!\\?\[|https?://|www\.|\u202e", outside)
    assert rows(section(text, "Accuracy"))[1] == ["Mg", "-", "-", "0"]


def test_long_texts_are_cut(saved, tmp_path):
    provenance = {"note": "x" * 10_000, "pixels": list(range(500)), "deep": [[[1.23456789]]], "none": None, "on": True}
    cells = dict(rows(section(card(load_folder(saved).save(tmp_path / "m", provenance=provenance)), "Training")))
    assert len(cells["note"]) == 303
    assert cells["pixels"].endswith("22, 23 and 476 more")
    assert (cells["deep"], cells["none"], cells["on"]) == ("1.235", "-", "yes")


def test_long_lists_of_labels_are_cut(stars, tiny, tmp_path):
    X = stars[0]
    text = card(CensoredBCNNRegressor(**tiny).fit(X, X[:, :30]).save(tmp_path / "model"))
    assert "22, 23 and 6 more." in text
    assert len(rows(section(text, "Labels"))) == 30


def test_one_label(stars, tiny, tmp_path):
    X, _, y = stars
    text = card(CensoredBCNNRegressor(**tiny).fit(X, y[:, 0]).save(tmp_path / "model"))
    assert "# 1 label of stars from spectra\n" in text
    assert "The labels are 0." in text
