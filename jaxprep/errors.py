"""The library's errors: catch `JaxprepError`; those that users already catch inherit twice."""

from __future__ import annotations


class JaxprepError(ValueError):
    """Base of every error that jaxprep raises on purpose."""


class InputError(JaxprepError):
    """An image, label, box or argument of a call is not what the call accepts."""


class ConfigError(JaxprepError):
    """A configuration, in Python or in a file, is not valid."""


class PresetNotFoundError(JaxprepError, FileNotFoundError):
    """No preset, directory or file answers to the name given."""


class DecodeError(JaxprepError):
    """A file is not an image that can be read."""


class HubError(JaxprepError, OSError):
    """A hub refused, failed or could not be reached."""


class MissingPackageError(JaxprepError, ImportError):
    """An optional package is needed and not installed."""
