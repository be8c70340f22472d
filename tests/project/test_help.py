"""`help`, completion and the API reference tell the arguments of what is public."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import examples

import jaxprep
from jaxprep import huggingface
from jaxprep.formats.huggingface import classes
from jaxprep.huggingface import class_docs

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS = [name for name in dir(huggingface) if classes.row_of(name.removesuffix("Pil"))]
WITHOUT_ARGUMENTS = ("jaxprep.huggingface", "jaxprep.errors")
"""Modules whose classes take what their subclasses say, or a message."""


def documented() -> dict[str, Any]:
    """The public functions and classes, by their full names."""
    modules = [
        value
        for value in map(jaxprep.__getattr__, jaxprep.__all__)
        if isinstance(value, ModuleType)
    ]
    found = {}
    for module in (jaxprep, *modules):
        if module.__name__ not in WITHOUT_ARGUMENTS:
            for name in getattr(module, "__all__", ()):
                value = getattr(module, name)
                if callable(value):
                    found[f"{module.__name__}.{name}"] = value
    return found


DOCUMENTED = documented()


def described(text: str) -> set[str]:
    """The names that a docstring describes: what stands before a colon in an indented line."""
    names = set()
    for line in re.findall(r"^ +([\w*][\w*, ]*):(?: |$)", text, re.MULTILINE):
        names |= {name.strip(" *") for name in line.split(",")}
    return names


@pytest.fixture(scope="module")
def reference() -> Any:
    """The module of `docs/` that writes the API reference."""
    path = ROOT / "docs" / "_ext" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_docstring_describes_each_argument(name: str) -> None:
    value = DOCUMENTED[name]
    arguments = set(inspect.signature(value).parameters) - {"self", "args", "_"}
    assert arguments <= described(inspect.getdoc(value) or "")


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_class_documents_and_completes_its_settings(name: str) -> None:
    cls = getattr(huggingface, name)
    settings = set(class_docs.settings_of(cls.class_name))
    assert settings <= described(cls.__doc__)
    assert settings <= set(inspect.signature(cls).parameters)
    assert settings <= set(dir(cls))
    test = doctest.DocTestParser().get_doctest(cls.__doc__, {}, name, None, 0)
    assert test.examples
    examples.run(test)


def test_an_instance_completes_settings_and_methods_and_has_a_signature_of_its_own() -> None:
    processor = huggingface.DetrImageProcessor()
    assert {"size", "format", "post_process_object_detection"} <= set(dir(processor))
    assert "images" in inspect.signature(processor).parameters

    class Mine(huggingface.DetrImageProcessor):
        def __init__(self, side: int):
            super().__init__(size={"height": side, "width": side})

    assert list(inspect.signature(Mine).parameters) == ["side"]


def test_each_setting_of_the_tables_is_described_and_nothing_else() -> None:
    names = [*classes.rows(), *classes.video_rows()]
    settings = set().union(*map(classes.arguments, names))
    assert settings == set(class_docs.descriptions())


def test_every_public_name_has_an_entry_in_the_reference(reference: Any) -> None:
    text = "\n".join(reference.pages().values())
    entries = set(re.findall(r"^\.\. (?:auto|py:)\w+:: ([\w.]+)", text, re.MULTILINE))
    for name in jaxprep.__all__:
        value = getattr(jaxprep, name)
        assert f"jaxprep.{name}" in entries
        if inspect.ismodule(value):
            public = getattr(value, "__all__", [])
            assert {f"{value.__name__}.{member}" for member in public} <= entries
    known = {f"jaxprep.huggingface.{name}" for name in [*classes.rows(), *classes.video_rows()]}
    assert known <= entries
