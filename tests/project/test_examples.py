"""The examples in docstrings run as they are written, and public objects have one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from helpers import examples, public

pytestmark = pytest.mark.usefixtures("quick_compilation")

EXAMPLES = list(examples.examples_of_docstrings())
WITHOUT_EXAMPLE = Path(__file__).with_name("without_example.txt")
"""What need not have an example yet, a line each: an object, or `module.*` for all that a module
defines. A line that exempts nothing is an error. To write the list anew, in `tests`:

    python -m helpers.examples > project/without_example.txt
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_prints_what_it_says(example: doctest.DocTest, offline_folder: Path) -> None:
    examples.run(example)


@pytest.mark.parametrize("source", [">>> 1 + 1\n3", ">>> 1 / 0\n", ">>> print('a')\n"])
def test_a_wrong_example_fails(source: str) -> None:
    example = doctest.DocTestParser().get_doctest(source, {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match="Failed example"):
        examples.run(example)


def test_every_public_object_has_an_example() -> None:
    listed = set(WITHOUT_EXAMPLE.read_text("utf-8").split())
    lacking = examples.objects_without_example()
    exempt = {name for name in lacking if {name, examples.whole_module(name)} & listed}
    used = exempt | {examples.whole_module(name) for name in exempt}
    needed, needless = sorted(lacking - exempt), sorted(listed - used)
    assert not needed, "\n".join(["Expected an example in the docstrings of these:", *needed])
    assert not needless, "\n".join([f"Remove from {WITHOUT_EXAMPLE.name}:", *needless])


@pytest.mark.parametrize(
    "module", ["", ".formats", ".huggingface", ".ops", ".parallel", ".postprocess", ".presets"]
)
def test_every_exported_function_and_class_is_among_the_public_objects(module: str) -> None:
    """Else its example would not be asked for."""
    known = {id(value) for found in public.modules() for value in public.objects(found).values()}
    package = importlib.import_module(f"jaxprep{module}")
    exported = [getattr(package, name) for name in package.__all__]
    functions_and_classes = [value for value in exported if callable(value)]
    assert [value for value in functions_and_classes if id(value) not in known] == []
