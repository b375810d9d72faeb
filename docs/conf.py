"""How Sphinx builds the documentation: ``sphinx-build -W --keep-going -b html docs docs/_build/html``.

The pages are Markdown that reads well without Sphinx, too. Those of the gallery are Python programs (``examples/``),
which run when the site is built. The reference is written here, from what the package calls public.
"""

import inspect
import re
import shutil
import sys
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import ModuleType

from skbcnn import __version__

DOCS = Path(__file__).parent

project = "skbcnn"
author = "the skbcnn developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sourcelink = False

myst_heading_anchors = 4  # so that links to headings lead where they lead on GitHub

default_role = "py:obj"  # `name` is a link where that is a public name, and else code
autodoc_typehints = "none"  # the docstrings say it
numpydoc_show_class_members = False  # the template lists them

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "write_computation_times": False,  # each page tells its own
    "show_signature": False,
    "remove_config_comments": True,
}


# The reference ------------------------------------------------------------------------------------------------------

MODULES = (
    "skbcnn",
    "skbcnn.preprocessing",
    "skbcnn.datasets",
    "skbcnn.survey",
    "skbcnn.apogee",
    "skbcnn.metrics",
    "skbcnn.calibration",
    "skbcnn.novelty",
    "skbcnn.inspection",
    "skbcnn.plotting",
    "skbcnn.catalog",
    "skbcnn.persistence",
)
HANDED_OUT = {  # by name, of modules that are not for users otherwise
    "skbcnn.network.training_recipe": ("EpochEnd",),
    "skbcnn.network.backends": ("NumpyBackendWarning",),
}
WITHOUT_DOCSTRING = {  # since it is made when it is first asked for
    "skbcnn.survey.PixelFlag": "Names of the pixel flags of apStar files: ``PixelFlag.SIG_SKYLINE`` is bit 12.",
}


def public_names(module: ModuleType) -> list[str]:
    """What a module calls public: its ``__all__``, or else the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return sorted((name for name in module.__all__ if not name.startswith("_")), key=str.lower)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def table(names: list[str]) -> list[str]:
    """A table of names, each of which gets a page of its own."""
    return [".. autosummary::", "   :toctree: .", "   :nosignatures:", "", *(f"   ~{name}" for name in names), ""]


def section(module: str, text: str, names: list[str]) -> str:
    """Part of the reference: what a module holds. What can be had from the top is described there, and only there."""
    top = set() if module == "skbcnn" else set(public_names(import_module("skbcnn")))
    lines = [module, "-" * len(module), "", f".. py:module:: {module}", "", text, "", ".. py:currentmodule:: None", ""]
    if own := [f"{module}.{name}" for name in names if name not in top]:
        lines += table(own)
    if shared := [f"`~skbcnn.{name}`" for name in names if name in top]:
        lines += [f"{'Also here' if own else 'Here is'}: {', '.join(shared)}.", ""]
    return "\n".join(lines)


def reference_page() -> str:
    """The page that lists all public names, in reStructuredText."""
    parts = [
        "Reference\n=========\n\nAll public names, by the module from which they are imported. What the estimators "
        "inherit from scikit-learn, such as ``get_params`` and ``fit_transform``, is not described here.\n"
    ]
    for name in MODULES:
        module = import_module(name)
        summary = inspect.getdoc(module).split("\n\n")[0]
        parts.append(section(name, summary, public_names(module)))
    for name, names in HANDED_OUT.items():
        parts.append(section(name, "", list(names)))
    return "\n".join(parts)


def write_reference(app, config):
    """Write that page before Sphinx looks for pages. If it has changed, pages of names that are gone go with it."""
    folder, text = DOCS / "api", reference_page()
    page = folder / "index.rst"
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    page.write_text(text, encoding="utf-8")


def is_from_elsewhere(app, what, name, member, skip, options):
    """Leave out methods that a class has from scikit-learn or Python, whose docstrings lead to their own pages."""
    function = inspect.unwrap(getattr(member, "fget", member))
    module = getattr(function, "__module__", None) or ""
    return skip or (what == "class" and not module.startswith("skbcnn"))


def describe_constant(app, what, name, constant, options, lines):
    """Say of a constant what stands below it in its source: else autodoc says what a tuple is."""
    from sphinx.pycode import ModuleAnalyzer  # here, since the tests read this file without Sphinx

    if name in WITHOUT_DOCSTRING:
        lines[:] = [WITHOUT_DOCSTRING[name]]
    elif what == "data":
        package, _, own_name = name.rpartition(".")
        modules = [module for module in sys.modules if module.startswith(f"{package}.")]
        lines[:] = chain(*(ModuleAnalyzer.for_module(m).find_attr_docs().get(("", own_name), []) for m in modules))


# Links --------------------------------------------------------------------------------------------------------------

PROGRAM = re.compile(r"\((docs/)?examples/(\w+)\.py\)")


def to_pages(text: str) -> str:
    """Lead links to the programs of the gallery to the pages made of them, and that to the licence to its file."""
    return PROGRAM.sub(r"(\1auto_examples/\2.rst)", text).replace("(LICENSE)", "(docs/../LICENSE)")


def change_links_of_page(app, docname, content):
    """In a page."""
    content[0] = to_pages(content[0])


def change_links_of_include(app, path, docname, content):
    """In what a page includes, which is the README."""
    content[0] = to_pages(content[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", write_reference)
    app.connect("autodoc-skip-member", is_from_elsewhere)
    app.connect("autodoc-process-docstring", describe_constant)
    app.connect("source-read", change_links_of_page)
    app.connect("include-read", change_links_of_include)
