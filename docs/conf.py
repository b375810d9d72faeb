"""How Sphinx builds the documentation: ``sphinx-build -W --keep-going -b html docs docs/_build/html``.

The pages are Markdown files. The gallery pages are Python programs in ``examples/``, which run during the build. The
reference pages are generated here from the public names of the package.
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

myst_heading_anchors = 4  # the same anchors of headings as on GitHub

default_role = "py:obj"  # `name` is a link if it is a public name, otherwise code
autodoc_typehints = "none"  # the docstrings give the types
numpydoc_show_class_members = False  # the template lists the members

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": (),
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "write_computation_times": False,  # each page shows its own time
    "show_signature": False,
    "remove_config_comments": True,
}


# The reference ------------------------------------------------------------------------------------------------------

PUBLIC_MODULES = (
    "skbcnn",
    "skbcnn.preprocessing",
    "skbcnn.augmentation",
    "skbcnn.datasets",
    "skbcnn.survey",
    "skbcnn.apogee",
    "skbcnn.metrics",
    "skbcnn.calibration",
    "skbcnn.novelty",
    "skbcnn.inspection",
    "skbcnn.plotting",
    "skbcnn.report",
    "skbcnn.catalog",
    "skbcnn.persistence",
)
PUBLIC_NAMES_OF_INTERNAL_MODULES = {
    "skbcnn.network.training_recipe": ("EpochEnd",),
    "skbcnn.network.backends": ("NumpyBackendWarning",),
}
DESCRIPTIONS = {  # of names that have no docstring, because they are created at their first use
    "skbcnn.survey.PixelFlag": "Names of the pixel flags of apStar files: ``PixelFlag.SIG_SKYLINE`` is bit 12.",
}


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a module: its ``__all__``, or the functions and classes that it defines."""
    if hasattr(module, "__all__"):
        return sorted((name for name in module.__all__ if not name.startswith("_")), key=str.lower)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def autosummary(names: list[str]) -> list[str]:
    """Return the lines of a table of names, in which each name links to its own page."""
    return [".. autosummary::", "   :toctree: .", "   :nosignatures:", "", *(f"   ~{name}" for name in names), ""]


def section(module: str, text: str, names: list[str]) -> str:
    """Return the section of a module. Names of the top-level package are described there only, and linked here."""
    top = set() if module == "skbcnn" else set(public_names(import_module("skbcnn")))
    lines = [module, "-" * len(module), "", f".. py:module:: {module}", "", text, "", ".. py:currentmodule:: None", ""]
    if own := [f"{module}.{name}" for name in names if name not in top]:
        lines += autosummary(own)
    if shared := [f"`~skbcnn.{name}`" for name in names if name in top]:
        lines += [f"Described in the first section: {', '.join(shared)}.", ""]
    return "\n".join(lines)


def reference_page() -> str:
    """Return the page that lists all public names, in reStructuredText."""
    parts = [
        "Reference\n=========\n\nThis page lists all public names, grouped by the module from which you import them. "
        "Methods that the estimators inherit from scikit-learn, such as ``get_params`` and ``fit_transform``, are "
        "described in scikit-learn's documentation.\n"
    ]
    for name in PUBLIC_MODULES:
        module = import_module(name)
        summary = inspect.getdoc(module).split("\n\n")[0]
        parts.append(section(name, summary, public_names(module)))
    for name, names in PUBLIC_NAMES_OF_INTERNAL_MODULES.items():
        parts.append(section(name, "", list(names)))
    return "\n".join(parts)


def write_reference(app, config):
    """Write the reference page before Sphinx collects the pages. Delete all generated pages first if it has changed."""
    folder, text = DOCS / "api", reference_page()
    page = folder / "index.rst"
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    page.write_text(text, encoding="utf-8")


def skip_foreign_member(app, what, name, member, skip, options):
    """Skip methods that a class inherits from scikit-learn or Python: their docstrings link to pages outside."""
    function = inspect.unwrap(getattr(member, "fget", member))
    module = getattr(function, "__module__", None) or ""
    return skip or (what == "class" and not module.startswith("skbcnn"))


def describe_constant(app, what, name, constant, options, lines):
    """Describe a constant by the string below it in the source. Otherwise autodoc shows the docstring of its type."""
    from sphinx.pycode import ModuleAnalyzer  # imported here, because the tests run this file without Sphinx

    if name in DESCRIPTIONS:
        lines[:] = [DESCRIPTIONS[name]]
    elif what == "data":
        package, _, own_name = name.rpartition(".")
        modules = [module for module in sys.modules if module.startswith(f"{package}.")]
        lines[:] = chain(*(ModuleAnalyzer.for_module(m).find_attr_docs().get(("", own_name), []) for m in modules))


# Links --------------------------------------------------------------------------------------------------------------

PROGRAM = re.compile(r"\((docs/)?examples/(\w+)\.py\)")


def to_pages(text: str) -> str:
    """Make links to programs of the gallery lead to their pages, and the link to the licence to its file."""
    return PROGRAM.sub(r"(\1auto_examples/\2.rst)", text).replace("(LICENSE)", "(docs/../LICENSE)")


def change_links_of_page(app, docname, content):
    """Change the links of a page."""
    content[0] = to_pages(content[0])


def change_links_of_include(app, path, docname, content):
    """Change the links of an included file, which is the README."""
    content[0] = to_pages(content[0])


def setup(app):
    """Connect the functions above to the events of Sphinx."""
    app.connect("config-inited", write_reference)
    app.connect("autodoc-skip-member", skip_foreign_member)
    app.connect("autodoc-process-docstring", describe_constant)
    app.connect("source-read", change_links_of_page)
    app.connect("include-read", change_links_of_include)
