"""Fetching one file of the web, of bounded size."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

from jaxprep.errors import HubError, PresetNotFoundError

TIMEOUT = 10.0


def fetch(url: str, max_bytes: int, proxies: Mapping[str, str] | None = None) -> bytes:
    """The content behind an `http(s)://` address.

    Raises:
        PresetNotFoundError: there is none.
        HubError: it cannot be reached, or is larger than `max_bytes`.

    >>> fetch("http://localhost:1", 10)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    jaxprep.errors.HubError: Expected a file, got URLError: ...
    """
    handlers = [] if proxies is None else [urllib.request.ProxyHandler(dict(proxies))]
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT) as answer:
            # One byte more than allowed tells a file that is too large, without reading all of it.
            content = answer.read(max_bytes + 1)
    except urllib.error.HTTPError as error:
        kind = PresetNotFoundError if error.code in (404, 410) else HubError
        raise kind(f"Expected a file, got {error.code} {error.reason} - at {url}.") from error
    except (OSError, ValueError) as error:
        raise HubError(
            f"Expected a file, got {type(error).__name__}: {error} - at {url}."
        ) from error
    if len(content) > max_bytes:
        raise HubError(f"Expected at most {max_bytes} bytes, got more - at {url}.")
    return content
