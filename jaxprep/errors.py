"""The errors of the library. `JaxprepError` catches all of them.

An error that callers may already catch by a class of Python's is of that class too.
"""

from __future__ import annotations


class JaxprepError(ValueError):
    """The base class of every error that jaxprep raises on purpose.

    >>> issubclass(PresetNotFoundError, FileNotFoundError)
    True
    """


class InputError(JaxprepError):
    """An image, label, box or argument of a call is not what the call accepts."""


class ConfigError(JaxprepError):
    """A configuration, in Python or in a file, is not valid."""


class PresetNotFoundError(JaxprepError, FileNotFoundError):
    """There is no preset, directory or file of the name given."""


class DecodeError(JaxprepError):
    """A file is not an image that can be read."""


class HubError(JaxprepError, OSError):
    """A hub refused, failed or could not be reached."""


class MissingPackageError(JaxprepError, ImportError):
    """An optional package is needed and not installed."""
