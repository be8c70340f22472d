"""The configuration of the documentation site; `python docs/build.py` builds it."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "_ext"), str(DOCS.parent)]

# Before JAX is imported, here and in the kernels of the notebooks, which inherit the environment.
# Nothing is fetched: a build gives the same pages with and without a network.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(DOCS.parent), os.environ.get("PYTHONPATH")))
)

import jaxprep  # noqa: E402

project = "jaxprep"
author = "the jaxprep authors"
copyright = "the jaxprep authors, Apache-2.0"
version = release = jaxprep.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "reference",
    "tables",
    "pages",
]
exclude_patterns = ["_build", "_ext", "**/.ipynb_checkpoints"]

# Pages are Markdown, the how-to guides notebooks in Markdown, which are run in every build.
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_execution_in_temp = True  # what they write is no part of the documentation
nb_merge_streams = True

# The docstrings write `name` for code: a link where it names something of ours.
default_role = "py:obj"
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_custom_sections = [("Attributes", "params_style"), ("Warns", "params_style")]
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_display_short_literal_types = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "jaxprep"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "repository_url": "https://github.com/jaxprep/jaxprep",
    "repository_branch": "main",
    "path_to_docs": "docs",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Returns where the source of an object is: what the links [source] lead to."""
    try:
        value: Any = importlib.import_module(info["module"])
        for name in info["fullname"].split("."):
            value = getattr(value, name)
        value = inspect.unwrap(getattr(value, "fget", value))
        path = Path(inspect.getsourcefile(value) or "").relative_to(DOCS.parent)
        lines, first = inspect.getsourcelines(value)
    except (AttributeError, ImportError, OSError, TypeError, ValueError):
        return None  # a class of a table, or a value
    last = first + len(lines) - 1
    return f"{html_theme_options['repository_url']}/blob/main/{path}#L{first}-L{last}"
