"""How deep somebody has to read who follows an image from a first call to the kernel."""

from __future__ import annotations

import json
import subprocess
import sys

MOST_FILES = 15
MOST_FRAMES = 14

WALK = """
import json, sys
from pathlib import Path
import jax, numpy as np
import jaxprep

package = str(Path(jaxprep.__file__).parent)


def walk(call):
    files, stack, deepest = set(), [], []

    def hook(frame, event, _):
        nonlocal deepest
        if event == "call":
            file = frame.f_code.co_filename
            is_ours = file.startswith(package)
            stack.append(frame.f_code.co_qualname if is_ours else None)
            if is_ours:
                files.add(Path(file).relative_to(package).as_posix())
                deepest = max(deepest, [name for name in stack if name], key=len)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(None)
    return sorted(files), deepest


image = np.zeros((300, 400, 3), np.uint8)
pre = jaxprep.ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
walks = [walk(lambda: pre(image)), walk(lambda: jax.jit(pre).lower(image))]
print(json.dumps(walks))
"""
"""Prints the files of jaxprep, and the names in the deepest stack, of a first call and then of a
jitted one: in a process of its own, where nothing is remembered."""


def test_a_first_call_and_a_jitted_one_after_it_go_through_few_files_and_few_frames():
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True)
    walks = json.loads(done.stdout.splitlines()[-1])
    assert len(walks) == 2
    for files, deepest in walks:
        assert 10 < len(files) <= MOST_FILES, files
        assert 10 < len(deepest) <= MOST_FRAMES, deepest
