"""Writes the docstring and the signature of a class of the tables, so that `help`, completion and
the reference show its settings with their defaults.
"""

from __future__ import annotations

import functools
import inspect
import json
import textwrap
from typing import Any

from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.classes import ProcessorRow
from jaxprep.postprocess import methods
from jaxprep.resources import load_json

SETTINGS = "huggingface_settings.json"
WIDTH = 96
"""Of the lines of a docstring, which `help` indents by 4."""
MAX_DEFAULT = 60
"""A default of more characters is not shown."""
EXACT = "compute the last steps by a table, so that every bit is that of Transformers."
REFERENCE = (
    "whose arithmetic resizes: by default that of the backend; see `jaxprep.formats.HuggingFace`."
)
REQUIRED = {"norm_mean": 0.5, "norm_std": 0.5}
"""Settings without which a class that has them makes no processor, with values for an example."""
OF_CALLS = frozenset(("device", "disable_grouping", "return_tensors", "input_data_format"))
"""Arguments of a call that no processor has as a setting."""


@functools.cache
def descriptions() -> dict[str, str]:
    """Return what each setting of the classes does, in a sentence.

    >>> descriptions()["do_resize"]
    'whether to resize the images.'
    """
    return load_json(SETTINGS)


def settings_of(class_name: str) -> list[str]:
    """Return the names of the settings of a class, in the order in which they are documented: those
    with a default as the table has them, then the others.

    >>> settings_of("ViTImageProcessor")[:3]
    ['do_resize', 'size', 'resample']
    """
    names = classes.arguments(class_name) - OF_CALLS
    defaults = classes.known_row(class_name).defaults
    with_default = [name for name in descriptions() if name in names and name in defaults]
    return [*with_default, *sorted(names - set(with_default))]


def docstring(name: str, class_name: str, row: ProcessorRow, noun: str, base: str) -> str:
    """Return the docstring of a class.

    Args:
        name: of the class.
        class_name: of its row, which is another where it runs on PIL.
        row: of the table.
        noun: "image processor" or "video processor".
        base: the name of the class whose calls it has.

    >>> name = "GLPNImageProcessor"
    >>> text = docstring(name, name, classes.rows()[name], "image processor", "Base")
    >>> print(text.splitlines()[0])
    Reproduces the image processor `transformers.GLPNImageProcessor` of glpn.
    """
    models = f" of {_listed(row.models)}" if row.models else ""
    parts = [f"Reproduces the {noun} `transformers.{name}`{models}."]
    results = _listed([f"`{output}`" for output in row.outputs])
    parts.append(f"Call it as a `{base}`; the results are {results}.")
    further = [f"`{method}`" for method in sorted(methods(class_name))]
    parts.append(f"Further methods: {_listed(further)}; see `jaxprep.postprocess`.")
    arguments = ["Args:"]
    if name == class_name:
        arguments += _argument("backend", _backends(name, row))
    for setting in settings_of(class_name):
        default = _shown(row.defaults[setting]) if setting in row.defaults else ""
        arguments += _argument(setting, descriptions()[setting] + default)
    arguments += _argument("exact", f"{EXACT} Default: False.")
    arguments += _argument("reference", REFERENCE)
    parts.append("\n".join(arguments))
    parts.append(f"Raises:\n{_indented('ConfigError: a value that a setting does not take.', 4)}")
    given = {key: value for key, value in REQUIRED.items() if key in row.kwargs}
    given["do_normalize"] = False
    keywords = ", ".join(f"{key}={value}" for key, value in given.items())
    parts.append(
        f">>> from jaxprep.huggingface import {name}\n"
        f">>> processor = {name}({keywords})\n"
        ">>> processor.do_normalize, processor.model_input_names\n"
        f"{(False, list(row.outputs))}"
    )
    return "\n\n".join([textwrap.fill(part, WIDTH) for part in parts[:3]] + parts[3:]) + "\n"


def signature(class_name: str, row: ProcessorRow, has_backend: bool) -> inspect.Signature:
    """Return the arguments of a class: its settings by name, with their defaults.

    >>> row = classes.rows()["ViTImageProcessor"]
    >>> list(signature("ViTImageProcessor", row, True).parameters)[:3]
    ['backend', 'do_resize', 'size']
    """
    backend = {"backend": None} if has_backend else {}
    settings = {name: row.defaults.get(name) for name in settings_of(class_name)}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in {**backend, **settings, "exact": False, "reference": None}.items()
    ]
    return inspect.Signature(parameters)


class ClassSignature:
    """The signature of a class, and of none of its instances and subclasses: these are called with
    other arguments, and those may have an `__init__` of their own.

    >>> class Example:
    ...     __signature__ = ClassSignature(inspect.Signature)
    >>> inspect.signature(Example), hasattr(Example(), "__signature__")
    (<Signature ()>, False)
    """

    def __init__(self, make: Any):
        self.make = make
        self.owner: type | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        if instance is not None or owner is not self.owner:
            raise AttributeError("__signature__")
        return self.make()


def _backends(name: str, row: ProcessorRow) -> str:
    if len(row.backends) == 1:
        return f'only "{row.backends[0]}", the default.'
    return f'"torchvision", the default, or "pil", which `{name}Pil` has.'


def _shown(default: Any) -> str:
    text = json.dumps(default) if isinstance(default, (dict, list)) else repr(default)
    if default == 1 / 255:
        text = "1/255"
    return f" Default: {text}." if len(text) <= MAX_DEFAULT else ""


def _argument(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{name}: {text}", WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8
    )


def _indented(text: str, columns: int) -> str:
    return textwrap.indent(text, " " * columns)


def _listed(words: Any) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
