"""Defines the errors of the library. `JaxprepError` catches all of them.

An error that callers may already catch by a class of Python's is of that class too.
"""

from __future__ import annotations

import re

__all__ = [
    "ArgumentError",
    "ConfigError",
    "DecodeError",
    "HubError",
    "ImageNotFoundError",
    "InputError",
    "JaxprepError",
    "MissingPackageError",
    "PresetNotFoundError",
    "RefusedError",
    "without_credentials",
]

# A `ValueError` first of all, since code that called KerasHub or Transformers before catches that
# for a bad image or config.

# A password may hold anything but what ends the host: rather too much is left out than too little.
# `Path` makes one slash of two.
_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]+:/{1,2})[^/?#\n]*@", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return a text without the user and password of the addresses in it.

    Args:
        text: any text.

    >>> without_credentials("got 404 - at https://me:secret@host/a.json")
    'got 404 - at https://host/a.json'
    """
    return _CREDENTIALS.sub(r"\1", text)


class JaxprepError(ValueError):
    """Base class of every error that jaxprep raises on purpose.

    Whatever message quotes an address, its user and password are left out: errors go into logs.

    >>> issubclass(PresetNotFoundError, FileNotFoundError)
    True
    """

    def __init__(self, *args: object):
        super().__init__(*[_quotable(arg) for arg in args])


def _quotable(arg: object) -> object:
    return without_credentials(arg) if isinstance(arg, str) else arg


class InputError(JaxprepError):
    """Raised where an image, label, box or argument is not what a call accepts.

    >>> import jaxprep
    >>> try:
    ...     jaxprep.ImageConverter()("photo.jpg")
    ... except InputError as error:
    ...     print(error)
    Expected an image ..., got `str` - at `x`. Read files with `jaxprep.read_image`.
    """


class ArgumentError(InputError, TypeError):
    """Raised where a call gets a keyword that it does not take.

    >>> issubclass(ArgumentError, TypeError)
    True
    """


class ConfigError(JaxprepError):
    """Raised where a configuration, in Python or in a file, is not valid.

    >>> import jaxprep
    >>> try:
    ...     jaxprep.ImageConverter(image_size="224")
    ... except ConfigError as error:
    ...     print(error)
    Expected ..., got `'224'` - at `$.image_size`.
    """


class PresetNotFoundError(JaxprepError, FileNotFoundError):
    """Raised where there is no preset, directory or file of the name given.

    >>> import jaxprep
    >>> try:
    ...     jaxprep.ImageConverter.from_preset("timm/resnet50.a1_in1")
    ... except PresetNotFoundError as error:
    ...     print(error)
    Expected ..., got 'timm/resnet50.a1_in1'. Nearest: timm/resnet50.a1_in1k, ...
    """


class DecodeError(JaxprepError):
    """Raised where a file is not an image that can be read.

    >>> import jaxprep
    >>> try:
    ...     jaxprep.read_image(b"no image")
    ... except DecodeError as error:
    ...     print(error)
    Expected an image (...), got other or damaged data - at <bytes>.
    """


class ImageNotFoundError(DecodeError, FileNotFoundError):
    """Raised where the file to decode does not exist.

    >>> import jaxprep
    >>> try:
    ...     jaxprep.read_image("no such file.jpg")
    ... except FileNotFoundError as error:
    ...     print(error)
    Expected an image file, got a path that does not exist - at 'no such file.jpg'.
    """


class HubError(JaxprepError, OSError):
    """Raised where a hub refused, failed or could not be reached.

    >>> issubclass(HubError, OSError)
    True
    """


class RefusedError(HubError):
    """Raised where an answer is one that is never read: too large, or a redirect to where the
    caller has not asked to go.

    >>> issubclass(RefusedError, HubError)
    True
    """


class MissingPackageError(JaxprepError, ImportError):
    """Raised where an optional package is needed and not installed.

    >>> issubclass(MissingPackageError, ImportError)
    True
    """


def __dir__() -> list[str]:
    return sorted(__all__)
