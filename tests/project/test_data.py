"""The photographs that come with the library, and the wheel that they come in."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

import jaxprep
from jaxprep import data
from jaxprep.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", data.PHOTOS)
def test_a_photograph_is_its_file_as_read_image_reads_it(name):
    image = jaxprep.data.photo(name)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    expected = jaxprep.read_image(ROOT / "examples" / "photos" / f"{name}.jpg")
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("name", ["cat", "chelsea.jpg", "../photos/chelsea", "", None, 3, ["a"]])
def test_a_photograph_of_another_name_is_refused_with_the_names(name):
    with pytest.raises(InputError, match=r"'chelsea'.*`name`"):
        data.photo(name)


def test_the_wheel_holds_the_photographs_and_their_licences_and_the_sdist_does_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    targets = project["tool"]["hatch"]["build"]["targets"]
    included = targets["wheel"]["force-include"]
    for name in (*(f"{photo}.jpg" for photo in data.PHOTOS), "README.md"):
        source = f"examples/photos/{name}"
        assert included[source] == f"jaxprep/_photos/{name}"
        # a wheel is also built from the sdist
        assert not any(f"/{source}".startswith(path) for path in targets["sdist"]["exclude"])
    licences = (ROOT / "examples/photos/README.md").read_text()
    assert all(f"{photo}.jpg" in licences for photo in data.PHOTOS)
