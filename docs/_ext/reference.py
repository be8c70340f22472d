"""Writes the sources of the API reference, `reference/generated/`, from the modules themselves.

A page for each public module, a section for each module that defines some of its names, an entry
for each name: a new name in an `__all__` has its entry without being written anywhere.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxprep
from jaxprep.formats.huggingface import classes

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance.md"
CLASSES_MODULE = "jaxprep.huggingface"
OTHER_CLASSES = "Further classes"
FIRST = (
    "jaxprep",
    "jaxprep.ops",
    "jaxprep.augment",
    "jaxprep.training",
    "jaxprep.huggingface",
    "jaxprep.postprocess",
    "jaxprep.presets",
    "jaxprep.formats",
    "jaxprep.parallel",
)
"""The order of the pages; modules that are not named follow."""


def public_modules() -> dict[str, ModuleType]:
    """Returns the public modules by name: `jaxprep` and those that its `__all__` lists."""
    found = {"jaxprep": jaxprep}
    for name in jaxprep.__all__:
        value = getattr(jaxprep, name)
        if inspect.ismodule(value):
            found[value.__name__] = value
    first = {name: found[name] for name in FIRST}
    return first | found


def public_names(module: ModuleType) -> list[str]:
    """Returns the names of a module that its users use, without those of public modules."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, value in vars(module).items() if is_defined_in(value, module)]
    modules = public_modules()
    return [name for name in names if f"{module.__name__}.{name}" not in modules]


def is_defined_in(value: Any, module: ModuleType) -> bool:
    """Returns whether a value is a public function or class that the module defines."""
    is_documented = inspect.isclass(value) or inspect.isroutine(value)
    if not is_documented or value.__name__.startswith("_"):
        return False
    return value.__module__ == module.__name__


def processor_groups() -> dict[str, list[str]]:
    """Returns the classes of Transformers by the tables of `conformance.md` that they are in."""
    groups: dict[str, list[str]] = {}
    left = {*classes.rows(), *classes.video_rows(), "TimmWrapperImageProcessor"}
    title = ""
    for line in CONFORMANCE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        name = line.removeprefix("| ").partition(" ")[0]
        if line.startswith("| ") and name in left:
            left.discard(name)
            groups.setdefault(title, []).append(name)
    if left:
        groups[OTHER_CLASSES] = sorted(left)
    return groups


def slug(title: str) -> str:
    """Returns a title as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def pages() -> dict[str, str]:
    """Returns the text of every page in reStructuredText, by its path without the ending."""
    written = {}
    for name, module in public_modules().items():
        written[name] = module_page(name, module)
    for title, names in processor_groups().items():
        written[f"huggingface/{slug(title)}"] = classes_page(title, names)
    return written


def module_page(name: str, module: ModuleType) -> str:
    lines = [*heading(name, "="), ""]
    # what `help(module)` begins with
    lines += [f".. automodule:: {name}", "   :no-members:", "", f".. currentmodule:: {name}", ""]
    if name == CLASSES_MODULE:
        lines += [".. toctree::", "   :maxdepth: 1", "   :caption: The classes", ""]
        lines += [f"   huggingface/{slug(title)}" for title in processor_groups()]
        lines.append("")
    # not constants, of which a table would show the docstring of their type
    lines += summary([name for name in public_names(module) if is_documented(module, name)])
    # `jaxprep` has the names that other pages group: one list is enough
    has_sections = module is not jaxprep and len(sections_of(module)) > 1
    for home, names in sections_of(module).items():
        if has_sections:
            lines += section_head(home)
        for entry in names:
            lines += entry_of(module, entry)
    return "\n".join(lines) + "\n"


def summary(names: list[str]) -> list[str]:
    """Returns a table of names with the first sentences of their docstrings."""
    return [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]


def is_documented(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    return inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)


def sections_of(module: ModuleType) -> dict[str, list[str]]:
    """Returns the names of a module by the module that defines them, in the order of `__all__`."""
    sections: dict[str, list[str]] = {}
    for name in public_names(module):
        value = getattr(module, name)
        home = value.__name__ if inspect.ismodule(value) else home_of(module, name, value)
        sections.setdefault(home, []).append(name)
    return sections


def home_of(module: ModuleType, name: str, value: Any) -> str:
    """Returns the name of the module that defines a value."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__module__
    # A constant does not know where it is from: the module whose source assigns it.
    source = inspect.getsource(module)
    imports = re.findall(r"^from (jaxprep[\w.]*) import (\([^)]*\)|[^\n]*)", source, re.MULTILINE)
    for home, imported in imports:
        if re.search(rf"\b{name}\b", imported):
            return home
    return module.__name__


def section_head(home: str) -> list[str]:
    module = importlib.import_module(home)
    title = home.rpartition(".")[2].replace("_", " ").capitalize()
    paragraph = (inspect.getdoc(module) or "").partition("\n\n")[0]
    return ["", *heading(title, "-"), "", paragraph, ""]


def entry_of(module: ModuleType, name: str) -> list[str]:
    """Returns the directive that documents a name."""
    value = getattr(module, name)
    full_name = f"{module.__name__}.{name}"
    if module is not jaxprep and name in jaxprep.__all__:
        return short_entry(full_name, name, value)
    if inspect.ismodule(value):
        return [f".. automodule:: {full_name}", "   :members:", ""]
    if inspect.isclass(value):
        members = ["   :members:", "   :special-members: __call__"]
        return [f".. autoclass:: {full_name}", *members, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {full_name}", ""]
    return [f".. py:data:: {full_name}", f"   :value: {value!r}", ""]


def short_entry(full_name: str, name: str, value: Any) -> list[str]:
    """Returns the entry of a name that the page of `jaxprep` documents."""
    kind = "class" if inspect.isclass(value) else "function"
    # of a function without its arguments Sphinx would show empty parentheses
    directive = kind if kind == "class" else "data"
    return [f".. py:{directive}:: {full_name}", "", f"   The {kind} `jaxprep.{name}`.", ""]


def classes_page(title: str, names: list[str]) -> str:
    lines = [*heading(title, "="), "", f".. currentmodule:: {CLASSES_MODULE}", ""]
    lines += summary(names)
    for name in names:
        # the settings are below, with their defaults
        lines += [f".. autoclass:: {CLASSES_MODULE}.{name}(**settings)", "   :members:", ""]
    return "\n".join(lines) + "\n"


def heading(title: str, mark: str) -> list[str]:
    return [title, mark * len(title)]


def write(app: Any, config: Any) -> None:
    """Writes the pages that have changed, and removes those that are no more."""
    folder = Path(app.srcdir, "reference", "generated")
    wanted = {folder / f"{name}.rst": text for name, text in pages().items()}
    for path in set(files_in(folder)) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def files_in(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.rst")


def setup(app: Any) -> dict[str, Any]:
    """Registers the extension."""
    app.connect("config-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
