"""Fetches files by their addresses, and bounds what the packages of hubs fetch, in time and size.

What is opened:

* Addresses of `http` and `https`; a redirect to any other scheme is refused.
* The address that a caller gives, whichever host it names: a server on the same machine or a mirror
  inside a company's network is as good as any. **Who passes on addresses of strangers checks them
  first.**
* But no redirect from a public host into a private network (loopback, link-local, or any other
  address that is not globally reachable): the caller has not asked for that.

Nothing is waited for longer than `SECONDS` in all, however slowly it comes.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from jaxprep.errors import HubError, PresetNotFoundError, RefusedError, without_credentials

T = TypeVar("T")

SECONDS = 60.0
"""The longest that one file, or the files of one repository, may take in all."""
IDLE_SECONDS = 10.0
"""The longest without a byte."""
MAX_REDIRECTS = 10


@dataclass
class Limit:
    """Holds what the answers to the requests of a thread may be.

    Attributes:
        max_bytes: of each answer.
        seconds: of all together.
        start: of the first, by `time.monotonic`.

    >>> Limit(10, 60).max_bytes
    10
    """

    max_bytes: int
    seconds: float
    start: float = field(default_factory=time.monotonic)

    def check_time(self) -> None:
        """Raise `TimeoutError` where it is over."""
        if time.monotonic() > self.start + self.seconds:
            raise self.timeout()

    def timeout(self) -> TimeoutError:
        """Return the error of answers that take too long."""
        return TimeoutError(f"no end within {self.seconds:g} seconds")


_LIMIT: ContextVar[Limit | None] = ContextVar("limit", default=None)


def fetch(
    url: str,
    max_bytes: int,
    proxies: Mapping[str, str] | None = None,
    *,
    seconds: float | None = None,
) -> bytes:
    """Return the content behind an `http(s)://` address.

    Args:
        url: the address.
        max_bytes: of the content.
        proxies: by scheme; None takes those of the environment.
        seconds: in all; None is `SECONDS`.

    Raises:
        PresetNotFoundError: there is none.
        HubError: it cannot be reached, comes too slowly, is larger than `max_bytes`, or is
            redirected to where no redirect is followed.

    >>> fetch("http://localhost:1", 10)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    jaxprep.errors.HubError: Expected a file, got ConnectError: ...
    """
    http = _http_package()
    place = _place(url)
    try:
        content, status, reason = within(
            SECONDS if seconds is None else seconds,
            max_bytes,
            lambda: _get(http, url, proxies),
        )
    except RefusedError as error:
        raise RefusedError(f"{error} - at {place}.") from None
    # The package has errors of several roots, for an address that cannot be parsed one of its own;
    # `from None`, since their messages may quote the password of an address.
    except Exception as error:
        said = without_credentials(str(error)) or "no more is known"
        raise HubError(
            f"Expected a file, got {type(error).__name__}: {said} - at {place}."
        ) from None
    if status in (404, 410):
        raise PresetNotFoundError(f"Expected a file, got {status} {reason} - at {place}.")
    if status != 200:
        raise HubError(f"Expected a file, got {status} {reason} - at {place}.")
    return content


def _place(url: str) -> str:
    """Return an address as an error quotes it: on one line, and without what may be a secret, the
    password and the signature that follows `?`.
    """
    text = " ".join(without_credentials(url).partition("?")[0].split())
    return text if len(text) <= 200 else text[:197] + "..."


def _get(http: ModuleType, url: str, proxies: Mapping[str, str] | None) -> tuple[bytes, int, str]:
    """Return the content of an answer, its status, and the status in words."""
    options: dict[str, Any] = {}
    if proxies is not None:
        options = {"mounts": _mounts(http, proxies), "trust_env": False}
    client = http.Client(
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        timeout=IDLE_SECONDS,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [bound_response]},
        **options,
    )
    with client, client.stream("GET", url) as answer:
        # What a server says beside a failure is of no use, and may be of any length.
        content = b"".join(answer.iter_raw()) if answer.status_code == 200 else b""
        return content, answer.status_code, answer.reason_phrase


def _mounts(http: ModuleType, proxies: Mapping[str, str]) -> dict[str, Any]:
    """Return the transports of the package for proxies in the form that `requests` takes."""
    mounts = {}
    for scheme, address in proxies.items():
        proxy = address if "://" in address else f"http://{address}"
        mounts[f"{scheme}://"] = http.HTTPTransport(proxy=proxy)
    return mounts


def _http_package() -> ModuleType:
    """Return the HTTP package that `huggingface_hub` brings: `httpx` until its release 2."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("httpx2")
    return importlib.import_module("httpx")


# -- limits --------------------------------------------------------------------------------------


def within(seconds: float, max_bytes: int, call: Callable[[], T]) -> T:
    """Call a function that waits for a network, and return what it returns.

    It runs in a thread of its own, which a call that never returns cannot hold up: HTTP packages
    bound the wait for the next byte, not the whole. A thread that is given up ends with the next
    byte it gets, where its requests go through `bound_response`.

    Args:
        seconds: before the call is given up.
        max_bytes: of each answer, where `bound_response` is called.
        call: the function.

    Raises:
        TimeoutError: it has not returned in time.
        Exception: what it raised.

    >>> within(60, 10, lambda: 7)
    7
    """
    results: list[T] = []
    errors: list[BaseException] = []
    limit = Limit(max_bytes, seconds)

    def work() -> None:
        try:
            _LIMIT.set(limit)
            results.append(call())
        except BaseException as error:
            errors.append(error)

    # The caller's context variables hold in the thread too.
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(work,), daemon=True, name="jaxprep-download"
    )
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise limit.timeout()
    return results[0]


def set_max_bytes(max_bytes: int) -> None:
    """Set the size of the answers from now on, inside a call of `within`.

    >>> within(60, 10, lambda: set_max_bytes(20))
    """
    limit = _LIMIT.get()
    if limit is not None:
        limit.max_bytes = max_bytes


def bound_response(response: Any) -> None:
    """Bound an answer by the limits of `within`, and refuse the redirects that are not followed.

    It is a hook of `httpx.Client`, which calls it before it reads the content or follows a
    redirect. Outside of `within` it does nothing.

    >>> bound_response(None)
    """
    limit = _LIMIT.get()
    if limit is None:
        return
    if response.has_redirect_location:
        target = response.request.url.join(response.headers["location"])
        _check_redirect(response.request.url, target)
    # It was asked for as it is. What a few bytes are unpacked to has no bound.
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RefusedError(f"Expected content as it is, got it as {encoding}")
    response.stream = _bounded(response.stream, limit)


def _bounded(stream: Any, limit: Limit) -> Any:
    """Return a stream of `httpx` with the same content, which ends where a limit is exceeded."""
    # of `httpx` or of `httpx2`, which take none but their own
    http = importlib.import_module(type(stream).__module__.partition(".")[0])

    class Bounded(http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            count = 0
            for chunk in stream:
                count += len(chunk)
                if count > limit.max_bytes:
                    raise RefusedError(f"Expected at most {limit.max_bytes} bytes, got more")
                limit.check_time()
                yield chunk

        def close(self) -> None:
            stream.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(stream, name)  # the package measures the time in it

    return Bounded()


def _check_redirect(source: Any, target: Any) -> None:
    """Raise where a redirect leads to another scheme, or from a public host to a private one."""
    if target.scheme not in ("http", "https"):
        raise RefusedError(f"Expected an http(s) address, got a redirect to {target.scheme}")
    if source.host != target.host and is_private(target.host) and not is_private(source.host):
        raise RefusedError(
            "Expected a redirect to a public host, got one into a private network, to "
            f"{target.host}"
        )


def is_private(host: str) -> bool:
    """Return whether a host is in a network that is not globally reachable, this machine included.

    A name that is not known here counts as public: where a proxy looks it up, only that can tell.

    >>> is_private("127.0.0.1"), is_private("::1"), is_private("8.8.8.8")
    (True, True, False)
    """
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return any(_is_private_address(str(entry[4][0])) for entry in found)


def _is_private_address(text: str) -> bool:
    # The part after `%` names an interface of this machine.
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global
