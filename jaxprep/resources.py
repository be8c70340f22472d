"""The data files that come with the library.

They are in `presets/` of the repository, and in `jaxprep/_presets/` of an installed wheel
(pyproject.toml, `force-include`).
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


@functools.cache
def load_json(name: str) -> Any:
    """The content of a JSON file that comes with the library; do not change it.

    >>> load_json("keras_hub.json")["source"][:9]
    'keras-hub'
    """
    installed = _PACKAGE / "_presets" / name
    # An editable install has no `_presets`: it reads the repository.
    file = installed if installed.exists() else _PACKAGE.parent / "presets" / name
    return json.loads(file.read_text("utf-8"))
