"""Kill build, train and predict at random moments and resume them: ``python -m tests.benchmarks.kills``.

Each command runs once undisturbed. Then it is killed (as by kill -9) at random moments and repeated, 20 times in all by
default, and every output is compared byte for byte with that of the undisturbed run. The command stops with an error at
the first difference.
"""

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.markdown import print_table
from tests.kills import kill_and_resume, run, skbcnn
from tests.survey_mirror import write_mirror

RECIPE = "num_hidden = [8, 8, 4, 4, 0]\nmax_epochs = 6\nn_draws = 10\n"


def commands(folder, n_stars):
    """Yield name, command line and output of each command; the output of one is made before the next is yielded."""
    mirror = write_mirror(folder / "sas", n_stars, faulty=False)  # `predict` ends with 1 where a file cannot be read
    data, model, recipe = folder / "datasets.h5", folder / "model", folder / "recipe.toml"
    recipe.write_text(RECIPE)
    spectra = mirror.root / "dr17/apogee/spectro/redux"
    yield "build", skbcnn("build", mirror.table, "--spectra", mirror.root, "--out", data), data
    yield "train", skbcnn("train", data, "--out", model, "--config", recipe, "--seed", 1, "--overwrite"), model
    yield "predict", skbcnn("predict", model, data, "--out", folder / "stars.fits"), folder / "stars.fits"
    yield "predict", skbcnn("predict", model, spectra, "--out", folder / "files.fits"), folder / "files.fits"


def main():
    """Print how many kills each command survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-kills", type=int, default=20, help="number of kills, shared by the four commands")
    parser.add_argument("--n-stars", type=int, default=300, help="number of stars in the table")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, command, out) in enumerate(commands(Path(folder), arguments.n_stars)):
            n_kills = len(range(number, arguments.n_kills, 4))
            n_compared = kill_and_resume(command, out, n_kills, seed=[arguments.seed, number])
            run(command)  # the next command needs the output
            rows.append([name, out.name, n_kills, n_compared])
            print(*rows[-1], flush=True)
    print_table(["command", "output", "kills", "outputs compared, all equal"], rows)


if __name__ == "__main__":
    main()
