"""The commands and their options, and the conversion of errors to one sentence and an exit code.

Nothing heavy is imported here: each command is implemented in the module of its name.
"""

import errno
import traceback
from pathlib import Path
from typing import Any

import click

from skbcnn import __version__
from skbcnn.cli.messages import print_error, warnings_as_sentences

_DEBUG = "skbcnn.debug"


class SentenceGroup(click.Group):
    """A group of commands that prints expected errors as a sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the exit code is 1 after an error, and 130 after Ctrl-C."""
        try:
            with warnings_as_sentences():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # as in `skbcnn predict ... | head`
                raise
            if ctx.meta.get(_DEBUG):
                click.echo(traceback.format_exc(), err=True)
            print_error(error)
            ctx.exit(1)


def _refuse_zero(ctx: click.Context, parameter: click.Parameter, value: int) -> int:
    """Return a number of processes, as joblib counts them."""
    if value == 0:
        raise click.BadParameter("0 is no number of processes. Pass 1 or more, or -1 for one for each core.")
    return value


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[_DEBUG] = value


class _Limit(click.ParamType):
    """A number, or off."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        """Return a float; None for off."""
        if value is None or isinstance(value, float):
            return value
        if str(value).lower() == "off":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor off.", param, ctx)


class _Numbers(click.ParamType):
    """Whole numbers separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        return tuple(click.INT.convert(part.strip(), param, ctx) for part in value.split(",") if part.strip())


def _cut(name: str, default: float | str, text: str) -> Any:
    """Return the option for a limit on the stars of a training set."""
    return click.option(name, type=_Limit(), default=str(default), metavar="NUMBER|off", help=text)


_debug = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show the traceback of an error."
)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace existing output.")
_path = click.Path(path_type=Path, readable=False)  # reading gives better messages
_positive = click.IntRange(min=1)


@click.group(
    cls=SentenceGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
)
@click.version_option(__version__, prog_name="skbcnn")
def skbcnn() -> None:
    """Stellar labels with error bars from spectra, by Bayesian networks that read each element in its own windows."""


@skbcnn.command()
@click.option("--out", type=_path, default="skbcnn-demo", help="Folder to make.")
@click.option("--n-train", type=click.IntRange(min=20), default=3000, help="Training stars, S/N 200.")
@click.option("--n-test", type=click.IntRange(min=2), default=1000, help="Test stars, S/N 100.")
@click.option("--max-epochs", type=_positive, show_default="48", help="Passes through the training stars.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 2), default=0, help="Seed of stars and training.")
@_overwrite
@_debug
def demo(**options: Any) -> None:
    """Train and predict on synthetic stars.

    Draws stars, trains a model on some, predicts the others, and writes data, model, catalogue and pictures to a
    folder. Takes minutes and needs no data.
    """
    from skbcnn.cli.demo import run_demo

    run_demo(**options)


@skbcnn.command()
@click.argument("table", type=_path)
@click.option("--spectra", type=_path, required=True, metavar="ROOT", help="Root of the mirror: the folder of dr17.")
@click.option("--out", type=_path, required=True, metavar="FILE.h5", help="HDF5 file to write.")
@click.option(
    "--release",
    show_default="by name and columns of the table",
    metavar="RELEASE",
    help="Data release of the table: DR14, DR16, DR17, DR19 or DR20.",
)
@click.option("--visits", is_flag=True, help="Add the visits, with the labels of their star.")
@click.option("--kind", type=click.Choice(["apStar", "aspcapStar"]), default="apStar", help="Files of spectra to read.")
@_cut("--min-teff", 4000, "Teff in K must be above this.")
@_cut("--max-teff", 5500, "Teff in K must be below this.")
@_cut("--min-snr", 200, "S/N per pixel must be above this.")
@_cut("--max-snr", "off", "S/N per pixel must be below this.")
@_cut("--max-vscatter", 1, "VSCATTER in km/s must be below this.")
@_cut("--min-fe-h", -10000, "[Fe/H] must be above this. Above -9999, stars without [Fe/H] are left out, too.")
@_cut("--min-location-id", 1, "LOCATION_ID must be above this.")
@click.option("--starflag", type=click.Choice(["zero", "any"]), default="zero", help="STARFLAG of the stars.")
@click.option("--aspcapflag", type=click.Choice(["zero", "any"]), default="zero", help="ASPCAPFLAG of the stars.")
@click.option("--keep-flagged", is_flag=True, help="Keep abundances that have a flag; otherwise they are missing.")
@click.option(
    "--combination",
    type=click.Choice(["pixel", "global"]),
    default="pixel",
    help="Combined spectrum of apStar files: weighted pixel by pixel, or visit by visit.",
)
@click.option(
    "--data-release",
    type=click.IntRange(13, 20),
    show_default="that of the table",
    help="Data release of chips and continuum pixels.",
)
@click.option("--degree", type=click.IntRange(min=0), default=2, help="Degree of the continuum on each chip.")
@click.option(
    "--weighting",
    type=click.Choice(["inverse_variance", "astronn"]),
    default="inverse_variance",
    help="Weights of the continuum fit: by the errors, or as for the models of astroNN.",
)
@click.option(
    "--bad-bits", type=_Numbers(), default="0,1,2,3,4,5,6,7,12", help="Bits of the pixel mask that mark a bad pixel."
)
@click.option(
    "--no-continuum",
    type=click.Choice(["raise", "fill"]),
    default="raise",
    help="A chip without usable continuum: leave the spectrum out, or count all pixels of the chip as bad.",
)
@click.option(
    "--path-template",
    metavar="PATH",
    show_default="the layout of SDSS",
    help="Path of a file below ROOT, with columns of the table in braces: {telescope}/{field}/{apogee_id}.fits.",
)
@click.option(
    "--n-jobs", type=int, default=1, callback=_refuse_zero, help="Processes that read spectra; -1: one for each core."
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler, whose workers read and prepare the spectra.")
@_overwrite
@_debug
def build(**options: Any) -> None:
    """Make a training set from SDSS files.

    TABLE is the allStar table of DR14, DR16 or DR17, or astraAllStarASPCAP of SDSS-V (.fits or .fits.gz).

    Stars are selected as in Leung & Bovy (2019), unless limits are changed or switched off. Their spectra are divided
    by their continuum and written with their labels to an HDF5 file for skbcnn train. What is left out is listed in
    FILE.h5-left-out.csv, and is no error: the exit code is 0. An interrupted command continues where it stopped when it
    is repeated.
    """
    from skbcnn.cli.build import run_build

    run_build(**options)


@skbcnn.command()
@click.argument("data", type=_path, metavar="DATA.h5")
@click.option("--out", type=_path, required=True, help="Folder of the model to make.")
@click.option(
    "--config",
    type=_path,
    metavar="RECIPE.toml",
    help="Parameters of ApogeeBCNNCensoredRegressor, one a line: max_epochs = 40. Options override them.",
)
@click.option(
    "--target",
    show_default="those of the 22 that the file has",
    help="Labels separated by commas: teff,logg,Mg. all: the 22 of DR14, all of which the file must have.",
)
@click.option("--visits", is_flag=True, help="Train on single visits, too.")
@click.option("--no-errors", is_flag=True, help="Ignore the errors of fluxes and labels in the file.")
@click.option(
    "--max-epochs", type=_positive, show_default="by the number of stars", help="Passes through the training stars."
)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), show_default="0.003", help="Initial learning rate.")
@click.option("--batch-size", type=_positive, show_default="by the number of stars", help="Stars in a training step.")
@click.option(
    "--dropout-rate",
    type=click.FloatRange(0, 1, max_open=True),
    show_default="0.05",
    help="Fraction of units dropped.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), show_default="random", help="Seed of weights, order and draws."
)
@click.option(
    "--stream",
    is_flag=True,
    help="Read the spectra batch by batch, so that they need not fit in memory. Compressed ones are first copied to a "
    "temporary file beside --out.",
)
@click.option("--no-plots", is_flag=True, help="Write the tables of the report only.")
@_overwrite
@_debug
def train(**options: Any) -> None:
    """Train a model on an HDF5 file.

    The file has the datasets.h5 layout, with normalised spectra of 7514 pixels. If it has APOGEE_ID or sdss_id, all
    spectra of a star are either trained on or held out.

    Ctrl-C ends the training early and saves the best model so far. If the command is killed, the same command resumes
    after the last complete epoch, and ends with the same model.

    A report on the training is written to the folder MODEL-report beside the model: losses, residuals of the held-out
    stars, and the response of each label to each true label.
    """
    from skbcnn.cli.train import run_train

    run_train(**options)


@skbcnn.command()
@click.argument("model", type=_path)
@click.argument("sources", type=_path, nargs=-1)
@click.option(
    "--out", type=_path, multiple=True, help="Table to write: .fits, .h5, .parquet, .csv or .ecsv. May be repeated."
)
@click.option("--files-from", type=_path, help="File with further names of SOURCES, one a line.")
@click.option(
    "--spectra",
    type=_path,
    metavar="ROOT",
    help="Root of a mirror of SDSS files, the folder of dr17. SOURCES is then an allStar or astraAllStarASPCAP table.",
)
@click.option(
    "--release",
    show_default="by name and columns of the table",
    metavar="RELEASE",
    help="Data release of the table: DR14, DR16, DR17, DR19 or DR20.",
)
@click.option(
    "--path-template",
    metavar="PATH",
    show_default="the layout of SDSS",
    help="Path of a file below ROOT, with columns of the table in braces: {telescope}/{field}/{apogee_id}.fits.",
)
@click.option(
    "--columns",
    metavar="NAME,NAME",
    help="Columns of HDF5 files, keywords of the headers of FITS files, or, with --spectra, columns of the table of "
    "stars, that the catalogue contains, too.",
)
@click.option("--visits", is_flag=True, help="Predict the visits of apStar files, too.")
@click.option(
    "--combination",
    type=click.Choice(["pixel", "global"]),
    show_default="the model's",
    help="Combined spectrum of apStar files: weighted pixel by pixel, or visit by visit.",
)
@click.option(
    "--no-continuum",
    type=click.Choice(["raise", "fill"]),
    show_default="the model's",
    help="A chip of an apStar or aspcapStar file without usable continuum: refuse the spectrum, or count all pixels of "
    "the chip as bad.",
)
@click.option("--n-draws", type=click.IntRange(min=2), show_default="the model's", help="Posterior draws.")
@click.option(
    "--n-jobs",
    type=int,
    show_default="up to 4",
    help="Processes that read and prepare FITS files; -1: one for each core.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler, whose workers read and predict the spectra.")
@click.option(
    "--naming",
    type=click.Choice(["skbcnn", "sdssv"]),
    default="skbcnn",
    help="Names of table columns: teff, teff_err, C1, or as in SDSS-V's AstroNN product, teff, e_teff, c_1_h.",
)
@_overwrite
@_debug
@click.pass_context
def predict(ctx: click.Context, **options: Any) -> None:
    """Predict the labels of spectra.

    MODEL is a model saved by skbcnn, a folder of astroNN, or a checkpoint of SDSS-V's network (.pt).

    SOURCES are apStar or aspcapStar files, HDF5 files in the datasets.h5 layout, folders of such files, or - for names
    on standard input, as find prints them. With --spectra, SOURCES is a table of stars, whose apStar files in the
    mirror are predicted in its order.

    Spectra of apStar and aspcapStar files are prepared like the training spectra of the model. Those of HDF5 files are
    used as they are, every row; they must be normalised. A note says if the file records another preparation than the
    model.

    An interrupted command continues where it stopped when it is repeated. Files and spectra that cannot be used are
    listed beside the table, in NAME.fits-left-out.csv, and the exit code is then 1.
    """
    from skbcnn.cli.predict import run_predict

    ctx.exit(1 if run_predict(**options) else 0)


@skbcnn.command()
@click.argument("model", type=_path)
@click.argument("data", type=_path, metavar="DATA.h5")
@click.option("--html", type=_path, default="report.html", help="Page to write.")
@click.option("--visits", is_flag=True, help="Evaluate the visits (in_flag 1) in place of the combined spectra.")
@click.option("--n-draws", type=click.IntRange(min=2), show_default="the model's", help="Posterior draws.")
@click.option(
    "--max-spectra", type=_positive, default=100_000, help="Largest number of spectra; of more, a random part is used."
)
@click.option(
    "--reference", default="Reference", metavar="NAME", help="Origin of the labels, for texts and figures: ASPCAP."
)
@_overwrite
@_debug
def evaluate(**options: Any) -> None:
    """Compare a model with known labels, on one HTML page.

    MODEL is a model saved by skbcnn, a folder of astroNN, or a checkpoint of SDSS-V's network (.pt).

    DATA.h5 has the datasets.h5 layout, with known labels of stars that the model was not trained on, and with spectra
    that were prepared like those of the training.

    The page needs no other file: it holds the residuals, the calibration of the error bars, the responses, novelty, the
    largest outliers and all figures.
    """
    from skbcnn.cli.evaluate import run_evaluate

    run_evaluate(**options)


@skbcnn.command()
@click.argument("paths", type=_path, nargs=-1, required=True)
@_debug
@click.pass_context
def info(ctx: click.Context, paths: tuple[Path, ...]) -> None:
    """Summarise models, catalogues, tables and files of spectra.

    PATHS are models, HDF5 files in the datasets.h5 layout (of skbcnn build, skbcnn.write_h5 or astroNN), catalogues
    that skbcnn predict has written, allStar and other tables, or apStar and aspcapStar files.
    """
    from skbcnn.cli.info import run_info

    failures = run_info(paths)
    for error in failures:
        print_error(error)
    ctx.exit(1 if failures else 0)
