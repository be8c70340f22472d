"""Where the command line keeps what it compiles."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jaxprep.cli import cache
from jaxprep.cli.options import make_parser


@pytest.fixture
def environment(monkeypatch):
    """Variables of a process that has not imported JAX yet."""
    variables = {"HOME": "/home/ada"}
    monkeypatch.setattr(cache.os, "environ", variables)
    monkeypatch.delitem(sys.modules, "jax")
    return variables


def test_the_cache_is_a_folder_of_its_own(environment):
    environment["XDG_CACHE_HOME"] = "/var/cache/ada"
    cache.use_cache(no_cache=False)
    folder = Path(environment[cache.VARIABLE])
    assert folder.parent == Path("/var/cache/ada/jaxprep/programs")
    # with a bound JAX locks the folder, which processes share
    assert int(environment["JAX_COMPILATION_CACHE_MAX_SIZE"]) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such files lie in other folders")
def test_a_relative_cache_home_is_ignored(environment):
    environment["XDG_CACHE_HOME"] = "cache"
    assert cache.folder().parts[:4] == (*Path.home().parts, ".cache")[:4]


def test_the_folder_of_the_user_wins(environment):
    environment[cache.VARIABLE] = "/mine"
    before = dict(environment)
    cache.use_cache(no_cache=False)
    assert environment == before


def test_a_user_without_a_home_has_no_cache(environment, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.Path, "home", home)
    before = dict(environment)
    cache.use_cache(no_cache=False)
    assert environment == before


def test_no_cache_keeps_nothing(environment):
    environment[cache.VARIABLE] = "/mine"
    cache.use_cache(no_cache=True)
    assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_a_process_that_has_imported_jax_keeps_its_settings(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", object())
    before = dict(environment)
    cache.use_cache(no_cache=False)
    assert environment == before


def test_an_export_is_of_one_size_or_for_canvases(capsys):
    parse = make_parser().parse_args
    args = parse(["export", "x", "--canvas", "4", "6", "--output", "y", "--platforms", "cpu, tpu"])
    assert (args.canvas, args.size, args.platforms) == ([4, 6], None, ("cpu", "tpu"))
    for shape in ([], ["--size", "4", "6", "--canvas", "4", "6"], ["--size", "0", "6"]):
        with pytest.raises(SystemExit):
            parse(["export", "x", "--output", "y", *shape])
    capsys.readouterr()
