"""How deep somebody has to read who follows an image from a first call to the kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxprep

PACKAGE = str(Path(jaxprep.__file__).parent)
MOST_FILES = 15
MOST_FRAMES = 14


def walk(call: Callable[[], Any]) -> tuple[set[str], list[str]]:
    """The files of jaxprep that a call goes through, and its deepest stack, by names."""
    files: set[str] = set()
    stack: list[str | None] = []
    deepest: list[str] = []

    def hook(frame: Any, event: str, _: Any) -> None:
        nonlocal deepest
        if event == "call":
            file = frame.f_code.co_filename
            is_ours = file.startswith(PACKAGE)
            stack.append(frame.f_code.co_qualname if is_ours else None)
            if is_ours:
                files.add(file)
                deepest = max(deepest, [name for name in stack if name], key=len)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(None)
    return files, deepest


@pytest.mark.usefixtures("quick_compilation")
def test_a_first_call_and_a_jitted_one_after_it_go_through_few_files_and_few_frames():
    # of a size that no other test has, so that nothing is remembered
    image = np.zeros((301, 403, 3), np.uint8)
    pre = jaxprep.ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
    for call in (lambda: pre(image), lambda: jax.jit(pre).lower(image)):
        files, deepest = walk(call)
        assert 10 < len(files) <= MOST_FILES, sorted(files)
        assert 10 < len(deepest) <= MOST_FRAMES, deepest
