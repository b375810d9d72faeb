"""The HTML page of an evaluation: one file, without scripts and without links to anything outside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from skbcnn import __version__
from skbcnn.report.cells import PageTable
from skbcnn.report.encoding import data_uri
from skbcnn.report.sections import Block, FigureGroup, Paragraph, sections

if TYPE_CHECKING:
    from skbcnn.report.evaluation import Evaluation
    from skbcnn.report.figures import ReportFigure

_PIXELS_PER_INCH = 96  # of CSS
_NARROW = 4.5  # inches: figures up to this width are shown whole on a phone


class Picture(NamedTuple):
    """A figure in the page; `uri` is empty if it could not be drawn, and `caption` says why."""

    name: str
    uri: str
    width: int
    height: int
    alt: str
    caption: str
    is_narrow: bool


def page(evaluation: Evaluation) -> str:
    """Return the HTML page of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        Evaluation to describe.

    Returns
    -------
    html : str
        The whole page. The same evaluation gives the same text.
    """
    environment = Environment(
        loader=PackageLoader("skbcnn.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    style, _, _ = environment.loader.get_source(environment, "page.css")  # type: ignore[union-attr]
    figures = evaluation.figures
    template = environment.get_template("page.html.jinja")
    return template.render(
        title=f"Evaluation of {evaluation.model_name} on {evaluation.file.path.name}",
        style=style,
        sections=sections(evaluation),
        rows=_rows,
        kind=_kind,
        pictures=lambda names: [_picture(name, figures[name]) for name in names if name in figures],
        version=__version__,
    )


def _rows(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return paragraphs one by one, and tables and figures together that stand between two paragraphs.

    Those that stand together are beside each other where there is space.
    """
    rows: list[list[Block]] = []
    for is_text, group in groupby(blocks, lambda block: isinstance(block, Paragraph)):
        together = list(group)
        rows += [[block] for block in together] if is_text else [together]
    return rows


def _kind(block: Any) -> str:
    return {Paragraph: "paragraph", PageTable: "table", FigureGroup: "figures"}[type(block)]


def _picture(name: str, figure: ReportFigure) -> Picture:
    """Return a figure as an image; one that cannot be drawn does not lose the page."""
    width, height = (round(side * _PIXELS_PER_INCH) for side in figure.size)
    try:
        uri, caption = data_uri(figure.figure()), figure.caption
    except ValueError as error:
        uri, caption = "", f"{figure.alt} It could not be drawn: {error}"
    return Picture(name, uri, width, height, figure.alt, caption, figure.size[0] <= _NARROW)
