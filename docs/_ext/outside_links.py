"""Makes links of a page to files outside `docs/`, such as `../examples/README.md`, links to the
repository. On GitHub, where the pages are read too, they are links between files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]*)")


def rewrite(app: Any, docname: str, source: list[str]) -> None:
    """Rewrites the links of one page, as Sphinx reads it."""
    url = app.config.html_theme_options["repository_url"]
    branch = app.config.html_theme_options["repository_branch"]

    docs = Path(app.srcdir).resolve()

    def replaced(match: re.Match[str]) -> str:
        target = (docs / docname).parent.joinpath(match[1]).resolve()
        if target.is_relative_to(docs):  # a page in a folder links to one above it
            return match[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"]({url}/{kind}/{branch}/{target.relative_to(docs.parent)}"

    source[0] = LINK.sub(replaced, source[0])


def setup(app: Any) -> dict[str, Any]:
    """Registers the extension."""
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
