"""Downloads preset files from hubs, by `hf://` and `kaggle://` handles.

Only the JSON files that are asked for by name are downloaded, into the cache of the hub's
package (`huggingface_hub`, `kagglehub`) and nowhere else; the result is a folder of that cache. A
hub that cannot be reached is no error while its files are cached. What a hub sends is bounded in
time and size, as `jaxprep.web` says.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from jaxprep import web
from jaxprep.errors import (
    ConfigError,
    HubError,
    InputError,
    JaxprepError,
    MissingPackageError,
    PresetNotFoundError,
    RefusedError,
)
from jaxprep.presets.files import MAX_BYTES, as_path, preset_files

RETRY_WAITS = (1.0, 3.0)
"""Seconds before each further try of a hub that answers with one of `TRANSIENT`."""
TRANSIENT = (408, 429, 500, 502, 503, 504)
"""The HTTP statuses of failures that pass: timeouts, too many requests, errors of the server."""
MAX_LISTING = 2**26
"""Bytes of a repository's list of files; that of 100,000 files takes 20 MB."""
HEADROOM = 2**16
"""Bytes that an answer may have beyond the size that the list says: those of a page of an error."""
FORMS = "`hf://user/repo[@revision][/folder]` or `kaggle://org/model/keras/variant[/version]`"

RepoType = Literal["model", "dataset"]

# A word of a handle becomes a part of a path in the cache and of an address: `.` and `..` are none.
_WORD = r"(?!\.{1,2}(?:[/@]|$))[\w.+-]+"
# Of revisions only pull requests (refs/pr/1) and converted data sets (refs/convert/parquet) have
# slashes: what else follows the repository is a folder.
_HF = re.compile(
    rf"hf://(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>refs/(?:pr|convert)/{_WORD}|{_WORD}))?(?P<folder>(?:/{_WORD})*)/?",
    re.ASCII,
)
_KAGGLE = re.compile(rf"kaggle://(?P<model>{_WORD}/{_WORD}/keras/{_WORD}(?:/\d+)?)/?", re.ASCII)
_REVISION = re.compile(rf"{_WORD}(?:/{_WORD})*", re.ASCII)
_FILE = re.compile(_WORD, re.ASCII)


def is_hub_handle(handle: str) -> bool:
    """Return whether a handle begins with the scheme of a hub; `resolve` checks the rest of it.

    >>> is_hub_handle("hf://google/vit-base-patch16-224"), is_hub_handle("resnet_50_imagenet")
    (True, False)
    """
    return handle.startswith(("hf://", "kaggle://"))


def is_repository(name: str) -> bool:
    """Return whether a text could be the name of a repository of the Hugging Face hub.

    >>> is_repository("google/vit-base-patch16-224"), is_repository("/tmp/vit")
    (True, False)
    """
    return _HF.fullmatch(f"hf://{name}") is not None


def resolve(
    handle: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    files: tuple[str, ...] | None = None,
    repo_type: RepoType = "model",
) -> Path:
    """Download the preset files of a hub's repository into the local cache.

    Args:
        handle: `hf://user/repo[@revision][/folder]` or
            `kaggle://org/model/keras/variant[/version]`.
        revision: branch, tag or commit; a handle with `@revision` takes none. Hugging Face only, as
            are the next three.
        token: access token; None takes the one that `hf auth login` or `HF_TOKEN` left, False sends
            none.
        cache_dir: where to keep the files; None is the cache of `huggingface_hub`.
        local_files_only: read the cache only, as with `HF_HUB_OFFLINE=1`. Files that no earlier
            call has cached then count as missing.
        force_download: download what is cached too. Hugging Face only.
        files: names of the files that are wanted; those that the repository does not have are left
            out. None: all that a config is read from.
        repo_type: of what the repository is, "model" or "dataset". Hugging Face only.

    Returns:
        the folder that holds them, all of one commit. It may hold more, which other programs
        downloaded.

    Raises:
        PresetNotFoundError: the handle is malformed, or no such repository, revision or file
            exists.
        HubError: the hub refuses (a token is needed), fails, or cannot be reached while nothing is
            cached.
        ConfigError: a file is larger than any preset, or `cache_dir` is no path.
        InputError: an argument that the hub of the handle does not have, `files` with a folder, or
            a `token` that is none.

    >>> resolve("hf://no-slash")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    jaxprep.errors.PresetNotFoundError: Expected `hf://user/repo[@revision][/folder]` or ...
    """
    check_token(token)
    files = preset_files() if files is None else files
    if cache_dir is not None:
        as_path(cache_dir, "cache_dir")
    for name in files:
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise InputError(f"Expected the name of a file, got {name!r} - at `files`.")
    if match := _HF.fullmatch(handle):
        is_revision = isinstance(revision, str) and _REVISION.fullmatch(revision)
        if revision is not None and (match["revision"] or not is_revision):
            raise InputError(
                f"Expected one branch, tag or commit, got {revision!r} - at `revision` of {handle}."
            )
        repo = _Repo(
            handle=handle,
            repo=match["repo"],
            revision=revision or match["revision"],
            folder=match["folder"],
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            repo_type=repo_type,
        )
        paths = repo.files(files, local_files_only)
    elif match := _KAGGLE.fullmatch(handle):
        if revision is not None or token is not None or cache_dir is not None or local_files_only:
            raise InputError(
                "Expected no `revision`, `token`, `cache_dir` or `local_files_only` for Kaggle: "
                "end the handle with a version, and set `KAGGLE_API_TOKEN` and `KAGGLEHUB_CACHE` - "
                f"at {handle}."
            )
        paths = _kaggle_files(handle, match["model"], files)
    else:
        raise PresetNotFoundError(f"Expected {FORMS}, got {handle!r}.")
    return _common_folder(paths, handle, files)


def check_token(token: Any) -> None:
    """Raise `InputError` where an access token is none; the message does not quote it.

    >>> check_token("hf_abc")
    """
    if token is None or isinstance(token, bool):
        return
    # Anything else the HTTP package would refuse in words that quote the header with the token.
    if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
        raise InputError(
            "Expected an access token of visible ASCII characters, got another value - at `token`."
        )


@dataclass(frozen=True)
class _Repo:
    """Names a folder at a revision of a repository on the Hugging Face hub."""

    handle: str
    repo: str
    revision: str | None
    folder: str
    token: str | bool | None
    cache_dir: str | os.PathLike[str] | None
    force_download: bool = False
    repo_type: RepoType = "model"

    def files(self, names: Iterable[str], local_files_only: bool) -> list[Path]:
        hub = _huggingface_hub()
        try:
            hub.utils.validate_repo_id(self.repo)  # has rules that `_WORD` has not, as no `--`
        except hub.errors.HFValidationError as error:
            raise PresetNotFoundError(f"{error} - at {self.handle}.") from error
        paths = [f"{self.folder}/{name}".lstrip("/") for name in names]
        # The package reads `HF_HUB_OFFLINE` itself, but only when it is asked for a file.
        if local_files_only or hub.constants.HF_HUB_OFFLINE:
            return self.cached(hub, paths)
        try:
            return web.within(web.SECONDS, MAX_LISTING, lambda: self.downloaded(hub, paths))
        except RefusedError as error:
            raise HubError(f"{error} - at {self.handle}.") from error
        except JaxprepError:
            raise
        # `HfHubHTTPError` and the HTTP package's errors; `OSError` of the disk; and whatever comes
        # of an answer that has not the shape which the package takes for granted.
        except Exception as error:
            # `LocalEntryNotFoundError` hides why the hub could not be asked; its cause says it.
            is_hidden = isinstance(error, hub.errors.LocalEntryNotFoundError)
            cause = (error.__cause__ if is_hidden else None) or error
            failure = self.failure(hub, cause)
            cached = [] if _is_final(cause) else self.cached(hub, paths)
            if not cached:
                # The package's messages quote the address, with what stands in it.
                raise failure from (None if "@" in hub.constants.ENDPOINT else error)
            warnings.warn(f"{failure} The files in the cache are used.", stacklevel=3)
            return cached

    def downloaded(self, hub: ModuleType, paths: Iterable[str]) -> list[Path]:
        # The client is shared with the rest of the process, for which the hook does nothing.
        hooks = hub.utils.get_session().event_hooks["response"]
        if web.bound_response not in hooks:
            hooks.append(web.bound_response)
        headers = {"Accept-Encoding": "identity"}  # as `bound_response` wants it
        api = hub.HfApi(token=self.token, library_name="jaxprep", headers=headers)
        info = _with_retries(
            api.repo_info,
            self.repo,
            repo_type=self.repo_type,
            revision=self.revision,
            files_metadata=True,
            timeout=web.IDLE_SECONDS,
        )
        sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or ()}
        wanted = [path for path in paths if path in sizes]
        for path in wanted:
            _check_size(sizes[path], f"{path} of {self.handle}")
        files: list[Path] = []
        # The first file is asked for by the revision's name, so that the cache learns what the name
        # stands for; the others by the commit that it was of, so that all are of one commit.
        revision = self.revision
        for path in wanted:
            web.set_max_bytes(sizes[path] + HEADROOM)
            file = _with_retries(
                api.hf_hub_download,
                self.repo,
                path,
                repo_type=self.repo_type,
                revision=revision,
                cache_dir=self.cache_dir,
                force_download=self.force_download,
            )
            files.append(Path(file))
            revision = files[0].parents[path.count("/")].name
        return files

    def cached(self, hub: ModuleType, paths: Iterable[str]) -> list[Path]:
        files = []
        for path in paths:
            file = hub.try_to_load_from_cache(
                self.repo,
                path,
                revision=self.revision,
                cache_dir=self.cache_dir,
                repo_type=self.repo_type,
            )
            # Else None, or a mark that the repository is known not to have the file.
            if isinstance(file, str):
                files.append(Path(file))
        return files

    def failure(self, hub: ModuleType, error: BaseException) -> JaxprepError:
        """Return the error of jaxprep's that says what an error of `huggingface_hub` means."""
        status = _status(error)
        if status in (401, 403):
            return HubError(
                f"Expected a repository that can be read, got {status}: it is gated or private, or "
                "does not exist. Log in with `hf auth login`, or pass the `token` of an account "
                f"that has access - at {self.handle}."
            )
        if isinstance(error, hub.errors.RevisionNotFoundError):
            return PresetNotFoundError(
                f"Expected a revision of {self.repo}, got {self.revision!r} - at {self.handle}."
            )
        if status == 404:
            return PresetNotFoundError(
                f"Expected a {self.repo_type} repository, got {self.repo!r} - at {self.handle}."
            )
        return unreachable(hub.constants.ENDPOINT, error, self.handle)


def _kaggle_files(handle: str, model: str, names: Iterable[str]) -> list[Path]:
    hub = _import_or_explain("kagglehub", "jaxprep[kaggle]")
    files = []
    for name in names:
        try:
            call = functools.partial(_with_retries, hub.model_download, model, path=name)
            files.append(Path(web.within(web.SECONDS, MAX_BYTES, call)))
        except Exception as error:  # kagglehub raises those of `requests`, and plain `Exception`
            status = _status(error)
            if status in (401, 403):
                raise HubError(
                    f"Expected a model that can be read, got {status}: its terms are not accepted, "
                    "it is private, or does not exist. Log in with `kagglehub.login()` or set "
                    f"`KAGGLE_API_TOKEN` - at {handle}."
                ) from error
            if status != 404:
                raise unreachable("https://www.kaggle.com", error, handle) from error
    return files


def _common_folder(files: list[Path], handle: str, names: tuple[str, ...]) -> Path:
    """Return the folder that all files are in.

    Without a version kagglehub takes the newest one, which may change between two files.
    """
    if not files:
        raise PresetNotFoundError(
            f"Expected at least one of {', '.join(names)}, found none - at {handle}."
        )
    for file in files:
        _check_size(file.stat().st_size, f"{file.name} of {handle}")
    folders = {file.parent for file in files}
    if len(folders) > 1:
        raise HubError(
            f"Expected files of one version, got {sorted(map(str, folders))}: try again - at "
            f"{handle}."
        )
    return folders.pop()


def _check_size(size: int, where: str) -> None:
    if size > MAX_BYTES:
        raise ConfigError(
            f"Expected a preset file of at most {MAX_BYTES} bytes, got {size} - at {where}."
        )


def _with_retries(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, and again after each of `RETRY_WAITS` while the hub's failure may pass."""
    for wait in RETRY_WAITS:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            if _status(error) not in TRANSIENT:
                raise
        time.sleep(wait)
    return call(*args, **kwargs)


def _status(error: BaseException) -> int | None:
    """Return the status of the HTTP response that an error is about, if it is about one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_final(error: BaseException) -> bool:
    """Return whether the hub gave an answer that it will give again, and cached files must not
    hide.
    """
    return _status(error) not in (None, *TRANSIENT)


def unreachable(host: str, error: BaseException, handle: str) -> HubError:
    """Return the error that a hub cannot be reached, fails, or answers what is no answer of a hub.

    >>> str(unreachable("https://hub", TimeoutError("no end within 60 seconds"), "hf://user/repo"))
    'Expected files from https://hub, got TimeoutError: no end within 60 seconds - at hf://user/repo.'
    """
    first_line = next(iter(str(error).splitlines()), "")
    got = f"{type(error).__name__}: {first_line}"
    # What the hub's package raises where it reads an answer, without having looked at its shape.
    if isinstance(error, (TypeError, LookupError, AttributeError, ValueError)):
        got = f"an answer that is none of a hub ({got})"
    return HubError(f"Expected files from {host}, got {got} - at {handle}.")


def _huggingface_hub() -> ModuleType:
    # The package imports its modules lazily: they become attributes only when imported.
    for module in ("constants", "errors", "utils"):
        _import_or_explain(f"huggingface_hub.{module}", "huggingface_hub")
    return _import_or_explain("huggingface_hub", "huggingface_hub")


def _import_or_explain(name: str, install: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"Expected the package `{name}`: pip install '{install}'."
        ) from error
