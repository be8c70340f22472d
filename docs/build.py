"""Builds the documentation site, `docs/_build/html/index.html`: pages, notebooks, API reference.

    pip install -e '.[docs]'
    python docs/build.py [--draft]

Warnings are errors, and so is a link that leads nowhere, or a page that needs the network. The
notebooks of `docs/guides/` are run; `--draft` leaves that out, and keeps what was built before.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.cmd.build import build_main

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "_build" / "html"
LOADED = {"link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}
"""Elements that a browser loads something for, and the attribute that says from where."""


class Page(HTMLParser):
    """What a page of the site refers to.

    Attributes:
        anchors: the names that a link may end in.
        links: where its links lead.
        loaded: what a browser fetches to show it.
    """

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and values.get("rel") != "canonical" and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])


def broken_links(folder: Path) -> Iterator[str]:
    """Yields a line for each reference of a page in a folder that leads nowhere, and for each thing
    that a browser would have to fetch from elsewhere.
    """
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path.read_text("utf-8")) for path in paths}
    for path, page in pages.items():
        name = path.relative_to(folder)
        for target in page.loaded:
            if urlsplit(target).scheme not in ("", "data") or target.startswith("//"):
                yield f"{name}: fetches {target}"
        for target in dict.fromkeys(page.links + page.loaded):
            url = urlsplit(target)
            if url.scheme or target.startswith("//"):
                continue
            linked = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not linked.exists():
                yield f"{name}: {target} is not there"
            elif url.fragment and unquote(url.fragment) not in anchors(pages, linked):
                yield f"{name}: {target} has no such anchor"


def anchors(pages: dict[Path, Page], path: Path) -> set[str]:
    page = pages.get(path)
    return page.anchors if page else set()


def main(*arguments: str) -> int:
    start = time.monotonic()
    is_draft = "--draft" in arguments
    if not is_draft:
        shutil.rmtree(OUTPUT.parent, ignore_errors=True)
    # a notebook that is not run does not say its language
    draft = ["-D", "nb_execution_mode=off", "-D", "suppress_warnings=myst-nb.lexer"]
    execution = draft if is_draft else []
    options = ["-W", "--keep-going", "-q", "-j", "2", "-b", "html", *execution]
    status = build_main([*options, str(HERE), str(OUTPUT)])
    broken = list(broken_links(OUTPUT))
    for line in broken:
        print(f"Expected links that lead somewhere: {line}", file=sys.stderr)
    print(f"{OUTPUT / 'index.html'}: {time.monotonic() - start:.0f} s, {len(broken)} broken links")
    return 1 if status or broken else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
