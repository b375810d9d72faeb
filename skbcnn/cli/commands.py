"""The commands and their options; what goes wrong becomes one sentence and an exit code.

Nothing heavy is imported here: the work of each command lives in the module of its name.
"""

import contextlib
import errno
import traceback
import warnings
from pathlib import Path

import click

from skbcnn import __version__

_DEBUG = "skbcnn.debug"


class SentenceGroup(click.Group):
    """A group of commands whose expected errors end in a sentence, not in a traceback."""

    def invoke(self, ctx):
        """Run a command; exit code 1 if it cannot be done, 130 if Ctrl-C ended it."""
        try:
            with _warnings_as_sentences():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `skbcnn predict ... | head` is no error
                raise
            if ctx.meta.get(_DEBUG):
                click.echo(traceback.format_exc(), err=True)
            print_error(error)
            ctx.exit(1)


def print_error(error):
    """Print an exception as a sentence, on the error stream.

    Parameters
    ----------
    error : Exception
        What was raised.
    """
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror + (f": {error.filename}" if error.filename else "")
    click.secho(f"Error: {message or type(error).__name__}", fg="red", err=True)


@contextlib.contextmanager
def _warnings_as_sentences():
    """Show what the library warns of without file names and line numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *args, **kwargs: click.echo(f"Note: {message}", err=True)
        yield


def _remember_debug(ctx, parameter, value):
    ctx.meta[_DEBUG] = value


_debug = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show the traceback of an error."
)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace what exists under the names of the output.")
_path = click.Path(path_type=Path, readable=False)  # whether a file can be read is found out by reading it
_positive = click.IntRange(min=1)


@click.group(
    cls=SentenceGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
)
@click.version_option(__version__, prog_name="skbcnn")
def skbcnn():
    """Stellar spectra in, labels with error bars out: Bayesian networks that read each element in its own windows."""


@skbcnn.command()
@click.option("--out", type=_path, default="skbcnn-demo", help="Folder to make.")
@click.option("--n-train", type=click.IntRange(min=20), default=3000, help="Stars to train on, S/N 200.")
@click.option("--n-test", type=click.IntRange(min=2), default=1000, help="Other stars to predict, S/N 100.")
@click.option("--max-epochs", type=_positive, show_default="of the recipe", help="Passes through the training stars.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 2), default=0, help="Of stars and training.")
@_overwrite
@_debug
def demo(**options):
    """Show the whole way on synthetic stars.

    Draws stars, trains on some, predicts the others, and writes everything into a folder: data, model, catalogue and
    pictures. Takes minutes, and needs no data.
    """
    from skbcnn.cli.demo import run_demo

    run_demo(**options)


@skbcnn.command()
@click.argument("data", type=_path, metavar="DATA.h5")
@click.option("--out", type=_path, required=True, help="Folder of the model to make.")
@click.option("--target", default="all", help="Labels, with commas between them: teff,logg,Mg. all: the 22 of DR14.")
@click.option("--no-errors", is_flag=True, help="Leave the errors of fluxes and labels in the file unused.")
@click.option("--max-epochs", type=_positive, default=50, help="Passes through the data.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=5e-4, help="Learning rate at the start.")
@click.option("--batch-size", type=_positive, default=64, help="Stars in a step.")
@click.option("--dropout-rate", type=click.FloatRange(0, 1, max_open=True), default=0.3, help="Share of units dropped.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), show_default="drawn", help="Of weights, order and draws.")
@_overwrite
@_debug
def train(**options):
    """Train a model on an HDF5 file.

    The file is in the datasets.h5 layout, its spectra normalised, of 7514 pixels; visits in it are left out.
    Ctrl-C ends the training early and keeps the best model until then.
    """
    from skbcnn.cli.train import run_train

    run_train(**options)


@skbcnn.command()
@click.argument("model", type=_path)
@click.argument("spectra", type=_path, nargs=-1, required=True)
@click.option("--out", type=_path, multiple=True, help="Table to write: .fits, .csv, .ecsv or .h5. May be repeated.")
@click.option("--visits", is_flag=True, help="Also the visits of apStar files, a line for each.")
@click.option(
    "--combination",
    type=click.Choice(["pixel", "global"]),
    show_default="the model's",
    help="Which combined spectrum of apStar files: weighted pixel by pixel, or visit by visit.",
)
@click.option("--n-draws", type=click.IntRange(min=2), show_default="the model's", help="Posterior draws.")
@click.option(
    "--naming",
    type=click.Choice(["skbcnn", "sdssv"]),
    default="skbcnn",
    help="Columns of the tables: teff, teff_err, C1, or as in SDSS-V's AstroNN product, teff, e_teff, c_1_h.",
)
@_overwrite
@_debug
@click.pass_context
def predict(ctx, **options):
    """Predict the labels of spectra.

    MODEL is what skbcnn saved, a folder that astroNN wrote, or a checkpoint of SDSS-V's network (.pt).

    SPECTRA are apStar or aspcapStar files, or HDF5 files in the datasets.h5 layout.

    apStar and aspcapStar spectra are normalised as those that the model was trained on; those of HDF5 files are taken
    as they are, every row.
    """
    from skbcnn.cli.predict import run_predict

    failures = run_predict(**options)
    for error in failures:
        print_error(error)
    ctx.exit(1 if failures else 0)
