"""The data files that come with the library: `presets/` in the repository, `jaxprep/_presets/` once
installed.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


@functools.cache
def load_json(name: str) -> Any:
    """The content of the JSON file `name`; do not change it."""
    installed, repository = _HERE / "_presets" / name, _HERE.parent / "presets" / name
    return json.loads((installed if installed.exists() else repository).read_text("utf-8"))
