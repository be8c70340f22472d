"""Changes the text of pages as Sphinx reads them.

Links to files outside `docs/`, such as `../examples/README.md`, become links to the repository: on
GitHub, where the pages are read too, they are links between files. The pages `contributing` and
`changelog` are files of the repository's root. In `index`, the line `OTHER_PAGES` becomes the pages
of `docs/` that the index does not name, so that a new page is in the menu.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?P<text>(?<!!)\[[^\]]*\])\((?P<path>[\w./-]+)(?P<anchor>#[^)\s]*)?\)")
OTHER_PAGES = "OTHER_PAGES"
FROM_ROOT = {"contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}


def rewrite(app: Any, docname: str, source: list[str]) -> None:
    """Rewrites the links of one page, as Sphinx reads it."""
    docs = Path(app.srcdir).resolve()
    folder = (docs / docname).parent
    if docname in FROM_ROOT:
        path = docs.parent / FROM_ROOT[docname]
        app.env.note_dependency(str(path))
        source[0] = path.read_text("utf-8")
        folder = docs.parent

    if docname == "index":
        source[0] = source[0].replace(OTHER_PAGES, "\n".join(other_pages(docs, source[0])))

    def replaced(match: re.Match[str]) -> str:
        target = folder.joinpath(match["path"]).resolve()
        if not target.exists():
            return match[0]  # Sphinx says so, or it is no file
        if target.is_relative_to(docs):
            where = "../" * docname.count("/") + str(target.relative_to(docs))
        else:
            kind = "tree" if target.is_dir() else "blob"
            options = app.config.html_theme_options
            base = f"{options['repository_url']}/{kind}/{options['repository_branch']}"
            where = f"{base}/{target.relative_to(docs.parent)}"
        return f"{match['text']}({where}{match['anchor'] or ''})"

    source[0] = LINK.sub(replaced, source[0])


def other_pages(docs: Path, index: str) -> list[str]:
    """Returns the pages of a folder that no line of its index names."""
    named = {line.strip() for line in index.splitlines()}
    return sorted({path.stem for path in docs.glob("*.md")} - named - {"index"})


def setup(app: Any) -> dict[str, Any]:
    """Registers the extension."""
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
