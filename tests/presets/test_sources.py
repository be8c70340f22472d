"""Presets from hubs: what is downloaded, what is kept, and what a user reads when it fails."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from jaxprep.errors import (
    ConfigError,
    HubError,
    InputError,
    MissingPackageError,
    PresetNotFoundError,
)
from jaxprep.presets import sources
from jaxprep.presets.files import preset_files
from jaxprep.presets.sources import is_hub_handle, resolve

VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}}
CONFIG = {"model_type": "vit"}
FILES = {"preprocessor_config.json": VIT, "config.json": CONFIG, "model.safetensors": b"\0" * 1000}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(folder: Path, name: str) -> object:
    return json.loads((folder / name).read_text())


# Handles


@pytest.mark.parametrize("handle", ["hf://user/repo", "kaggle://keras/resnet/keras/resnet_50"])
def test_a_scheme_makes_a_hub_handle(handle):
    assert is_hub_handle(handle)


@pytest.mark.parametrize(
    "handle", ["resnet_50_imagenet", "timm/resnet50.a1_in1k", "./hf", "https://huggingface.co/a/b"]
)
def test_names_and_paths_are_no_hub_handles(handle):
    assert not is_hub_handle(handle)


@pytest.mark.parametrize(
    "handle",
    [
        "hf://user",
        "hf://user/",
        "hf://../repo",
        "hf://user/..",
        "hf://user/repo/../../escape",
        "hf://user/repo/./folder",
        "hf://user/repo//folder",
        "hf://user/repo@..",
        "hf://user/repo@../../escape",
        "hf://user/repo@",
        "hf://user/re--po",
        "hf://user/repo.git",
        "hf://user/repo\n",
        "hf://us er/repo",
        "hf://user/repo?x=1",
        "hf://user\\repo/x",
        "kaggle://keras/resnet/keras",
        "kaggle://keras/resnet/pyTorch/resnet_50",
        "kaggle://keras/../keras/resnet_50",
        "kaggle://keras/resnet/keras/resnet_50/latest",
        "gs://bucket/preset",
    ],
)
def test_a_malformed_handle_is_refused_before_any_request(hub, handle):
    with pytest.raises(PresetNotFoundError):
        resolve(handle)
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["../../escape", "..", "a/../b", "/main", "", "a b", "main\n"])
def test_a_revision_that_leaves_its_folder_is_refused(hub, revision):
    with pytest.raises(InputError, match="at `revision`"):
        resolve("hf://user/repo", revision=revision)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["../config.json", "a/config.json", "", "..", "/etc/passwd"])
def test_a_file_is_a_name_and_no_path(hub, name):
    with pytest.raises(InputError, match="at `files`"):
        resolve("hf://user/repo", files=(name,))
    assert hub.requests == []


def test_a_revision_is_given_once(hub):
    with pytest.raises(InputError, match="Expected one branch, tag or commit"):
        resolve("hf://user/repo@v1", revision="v2")


# Hugging Face: what is downloaded


def test_the_files_that_exist_are_downloaded_and_no_others(hub):
    repo = hub.add("user/repo", FILES)
    folder = resolve("hf://user/repo")
    assert names(folder) == ["config.json", "preprocessor_config.json"]
    assert read(folder, "preprocessor_config.json") == VIT
    assert folder.name == repo.commit("main")
    assert not any("safetensors" in request.path for request in hub.requests)


def test_only_the_files_asked_for_are_downloaded(hub):
    hub.add("user/repo", FILES)
    assert names(resolve("hf://user/repo", files=("config.json", "absent.json"))) == ["config.json"]


def test_files_go_into_the_cache_of_the_hub_library(hub, tmp_path):
    hub.add("user/repo", FILES)
    assert resolve("hf://user/repo").is_relative_to(
        tmp_path / "hub" / "models--user--repo" / "snapshots"
    )


def test_files_go_into_the_cache_given(hub, tmp_path):
    hub.add("user/repo", FILES)
    assert resolve("hf://user/repo", cache_dir=tmp_path / "mine").is_relative_to(tmp_path / "mine")
    assert not (tmp_path / "hub").exists()


def test_a_folder_of_the_repository_is_the_folder_returned(hub):
    hub.add("user/repo", {"config.json": {"top": True}, "a/b/config.json": {"top": False}})
    folder = resolve("hf://user/repo/a/b")
    assert folder.parts[-2:] == ("a", "b")
    assert read(folder, "config.json") == {"top": False}


@pytest.mark.parametrize("at", [True, False])
@pytest.mark.parametrize("revision", ["v1", "refs/pr/1"])
def test_a_revision_is_honoured(hub, at, revision):
    hub.add("user/repo", FILES)
    hub.add("user/repo", {"config.json": {"version": revision}}, revision=revision)
    folder = (
        resolve(f"hf://user/repo@{revision}")
        if at
        else resolve("hf://user/repo", revision=revision)
    )
    assert read(folder, "config.json") == {"version": revision}


def test_a_branch_may_have_slashes(hub):
    hub.add("user/repo", {"config.json": {}}, revision="feature/resize")
    assert names(resolve("hf://user/repo", revision="feature/resize")) == ["config.json"]


def test_a_commit_is_a_revision(hub):
    old = hub.add("user/repo", FILES).commit("main")
    hub.add("user/repo", FILES, revision="old")
    hub.add("user/repo", {"config.json": {"new": True}})
    assert read(resolve(f"hf://user/repo@{old}"), "config.json") == CONFIG


def test_cached_files_are_not_downloaded_again(hub):
    hub.add("user/repo", FILES)
    first = resolve("hf://user/repo")
    downloads = len(hub.paths("GET"))
    assert resolve("hf://user/repo") == first
    assert [path for path in hub.paths("GET")[downloads:] if "/resolve/" in path] == []


def test_a_changed_repository_is_downloaded_again(hub):
    hub.add("user/repo", FILES)
    first = resolve("hf://user/repo")
    hub.add("user/repo", FILES | {"config.json": {"model_type": "deit"}})
    second = resolve("hf://user/repo")
    assert read(first, "config.json") == CONFIG
    assert read(second, "config.json") == {"model_type": "deit"}


def test_all_files_come_from_one_commit_while_the_repository_changes(hub, monkeypatch):
    repo = hub.add("user/repo", FILES)
    hub.add("user/repo", FILES, revision="old")
    with_retries = sources._with_retries

    def then_push(call, *args, **kwargs):
        result = with_retries(call, *args, **kwargs)
        if "preprocessor_config.json" in args:
            hub.add(
                "user/repo", {"preprocessor_config.json": {"new": 1}, "config.json": {"new": 1}}
            )
        return result

    monkeypatch.setattr(sources, "_with_retries", then_push)
    folder = resolve("hf://user/repo")
    assert folder.name == repo.commit("old")
    assert read(folder, "config.json") == CONFIG


# Hugging Face: what the user reads


def test_a_repository_without_presets_is_not_found(hub):
    hub.add("user/repo", {"README.md": "# Hello", "model.safetensors": b"\0"})
    with pytest.raises(PresetNotFoundError, match=r"found none - at hf://user/repo\."):
        resolve("hf://user/repo")


def test_a_repository_that_does_not_exist_is_not_found(hub):
    with pytest.raises(FileNotFoundError, match="Expected a model repository, got 'user/repo'"):
        resolve("hf://user/repo", token=hub.TOKEN)


def test_a_revision_that_does_not_exist_is_not_found(hub):
    hub.add("user/repo", FILES)
    with pytest.raises(PresetNotFoundError, match="Expected a revision of user/repo, got 'v9'"):
        resolve("hf://user/repo@v9")


def test_a_deleted_repository_is_not_hidden_by_the_cache(hub):
    hub.add("user/repo", FILES)
    resolve("hf://user/repo", token=hub.TOKEN)
    del hub.repos["user/repo"]
    with pytest.raises(PresetNotFoundError):
        resolve("hf://user/repo", token=hub.TOKEN)


@pytest.mark.parametrize("access", ["gated", "private"])
@pytest.mark.parametrize("token", [None, "hf_of_somebody_else"])
def test_a_repository_that_needs_a_token_says_so(hub, access, token):
    hub.add("user/repo", FILES, **{access: True})
    with pytest.raises(HubError, match=r"got 40[13]: .*`token`") as caught:
        resolve("hf://user/repo", token=token)
    assert "hf_of_somebody_else" not in str(caught.value)


@pytest.mark.parametrize("access", ["gated", "private"])
def test_a_token_opens_a_repository(hub, access):
    hub.add("user/repo", FILES, **{access: True})
    assert names(resolve("hf://user/repo", token=hub.TOKEN)) == [
        "config.json",
        "preprocessor_config.json",
    ]
    assert {request.token for request in hub.requests} == {hub.TOKEN}


def test_the_stored_token_is_sent_unless_declined(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    hub.add("user/repo", FILES, private=True)
    resolve("hf://user/repo")
    with pytest.raises(HubError):
        resolve("hf://user/repo", token=False)


def test_a_file_larger_than_any_preset_is_not_downloaded(hub, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    hub.add("user/repo", {"config.json": b" " * 101})
    with pytest.raises(
        ConfigError, match=r"at most 100 bytes, got 101 - at config\.json of hf://user/repo"
    ):
        resolve("hf://user/repo")
    assert not any("/resolve/" in request.path for request in hub.requests)


# Hugging Face: failures that pass, and being offline


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_tried_again(hub, status, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    hub.add("user/repo", FILES)
    hub.fail(status, times=len(sources.RETRY_WAITS), path="/api/")
    assert names(resolve("hf://user/repo")) == ["config.json", "preprocessor_config.json"]
    assert tuple(waits) == sources.RETRY_WAITS


def test_a_download_that_fails_is_tried_again(hub):
    hub.add("user/repo", FILES)
    resolve("hf://user/repo", files=("preprocessor_config.json",))
    hub.fail(500, path="config.json")
    assert names(resolve("hf://user/repo", files=("config.json",))) == [
        "config.json",
        "preprocessor_config.json",
    ]


def test_a_failure_that_stays_names_the_host_and_the_status(hub):
    hub.add("user/repo", FILES)
    hub.fail(500, times=99)
    with pytest.raises(HubError, match=rf"files from {hub.endpoint}.*500"):
        resolve("hf://user/repo")
    assert len(hub.requests) == 1 + len(sources.RETRY_WAITS)


def test_an_interrupted_download_is_resumed(hub):
    hub.add("user/repo", FILES)
    hub.interrupt()
    assert read(resolve("hf://user/repo"), "preprocessor_config.json") == VIT


def test_half_a_file_is_never_kept(hub, tmp_path):
    hub.add(
        "user/repo", {"config.json": b"{"}
    )  # half of one byte is none, so that no try makes progress
    hub.interrupt(times=99)
    with pytest.raises(HubError, match=hub.endpoint):
        resolve("hf://user/repo")
    assert [
        path
        for path in (tmp_path / "hub").rglob("*")
        if path.name.endswith((".json", ".incomplete"))
    ] == []


def test_a_hub_that_refuses_connections_is_named(hub):
    hub.close()
    with pytest.raises(HubError, match=rf"Expected files from {hub.endpoint}, got ConnectError"):
        resolve("hf://user/repo")


@pytest.mark.parametrize("revision", [None, "v1", "commit"])
def test_cached_files_serve_while_the_hub_is_away(hub, revision):
    repo = hub.add("user/repo", FILES, revision="v1" if revision == "v1" else "main")
    revision = repo.commit("main") if revision == "commit" else revision
    folder = resolve("hf://user/repo", revision=revision)
    hub.close()
    with pytest.warns(UserWarning, match="files in the cache are used"):
        assert resolve("hf://user/repo", revision=revision) == folder


def test_cached_files_serve_while_the_hub_fails(hub):
    hub.add("user/repo", FILES)
    folder = resolve("hf://user/repo")
    hub.fail(503, times=99)
    with pytest.warns(UserWarning, match="files in the cache are used"):
        assert resolve("hf://user/repo") == folder


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_asks_only_the_cache(hub, monkeypatch, how):
    hub.add("user/repo", FILES)
    folder = resolve("hf://user/repo")
    asked = len(hub.requests)
    if how == "environment":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert resolve("hf://user/repo", local_files_only=how == "argument") == folder
    with pytest.raises(PresetNotFoundError, match="not/cached"):
        resolve("hf://not/cached", local_files_only=how == "argument")
    assert len(hub.requests) == asked


def test_importing_the_module_loads_no_hub_library():
    code = (
        "import sys; import jaxprep.presets.sources\n"
        "heavy = ('huggingface_hub', 'kagglehub', 'PIL', 'orbax')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_hub_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", None)
    with pytest.raises(MissingPackageError, match="pip install 'huggingface_hub'"):
        resolve("hf://user/repo")


# Kaggle, whose package is optional: a stand-in with the one function that is called

MODEL = "keras/resnet/keras/resnet_50_imagenet"


class KaggleError(Exception):
    def __init__(self, status: int):
        super().__init__(f"{status} Client Error.\n\nDetails.")
        self.response = types.SimpleNamespace(status_code=status)


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A `kagglehub` that keeps the files of `kaggle.files` and raises what is in `kaggle.errors`
    first.
    """
    module = types.ModuleType("kagglehub")
    module.files, module.errors, module.asked = {}, [], []

    def model_download(handle, path=None):
        module.asked.append((handle, path))
        if module.errors:
            raise module.errors.pop(0)
        if path not in module.files:
            raise KaggleError(404)
        file = tmp_path / "kaggle" / handle / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(module.files[path]))
        return str(file)

    module.model_download = model_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return module


@pytest.mark.parametrize("version", ["", "/2"])
def test_kaggle_gives_the_files_that_exist(kaggle, version):
    kaggle.files = {
        "preprocessor.json": {"a": 1},
        "config.json": {"b": 2},
        "model.weights.h5": "large",
    }
    folder = resolve(f"kaggle://{MODEL}{version}")
    assert names(folder) == ["config.json", "preprocessor.json"]
    assert read(folder, "config.json") == {"b": 2}
    assert kaggle.asked == [(MODEL + version, name) for name in preset_files()]


def test_a_kaggle_model_without_presets_is_not_found(kaggle):
    with pytest.raises(PresetNotFoundError, match=f"found none - at kaggle://{MODEL}"):
        resolve(f"kaggle://{MODEL}")


@pytest.mark.parametrize("status", [401, 403])
def test_kaggle_says_that_a_login_is_needed(kaggle, status):
    kaggle.errors = [KaggleError(status)]
    with pytest.raises(HubError, match=rf"got {status}: .*kagglehub\.login"):
        resolve(f"kaggle://{MODEL}")


def test_kaggle_is_tried_again(kaggle):
    kaggle.files = {"config.json": {}}
    kaggle.errors = [KaggleError(503), KaggleError(500)]
    assert names(resolve(f"kaggle://{MODEL}")) == ["config.json"]


@pytest.mark.parametrize("error", [KaggleError(500), ConnectionError("refused"), ValueError("odd")])
def test_kaggle_failures_name_the_host(kaggle, error):
    kaggle.errors = [error] * 3
    with pytest.raises(HubError, match=r"https://www\.kaggle\.com, got"):
        resolve(f"kaggle://{MODEL}")


def test_a_kaggle_file_larger_than_any_preset_is_refused(kaggle, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    kaggle.files = {"config.json": {"long": "x" * 10}}
    with pytest.raises(ConfigError, match="at most 10 bytes"):
        resolve(f"kaggle://{MODEL}")


def test_two_versions_of_a_kaggle_model_are_not_mixed(kaggle, tmp_path, monkeypatch):
    kaggle.files = {"preprocessor.json": {}, "config.json": {}}
    download = kaggle.model_download
    monkeypatch.setattr(
        kaggle,
        "model_download",
        lambda h, path: download(f"{h}/{1 + (path == 'config.json')}", path),
    )
    with pytest.raises(HubError, match="Expected files of one version"):
        resolve(f"kaggle://{MODEL}")


@pytest.mark.parametrize(
    "option", [{"revision": "2"}, {"token": "x"}, {"cache_dir": "x"}, {"local_files_only": True}]
)
def test_kaggle_takes_no_options_of_hugging_face(kaggle, option):
    with pytest.raises(InputError, match="end the handle with a version"):
        resolve(f"kaggle://{MODEL}", **option)
    assert kaggle.asked == []


def test_a_missing_kagglehub_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'jaxprep\[kaggle\]'"):
        resolve(f"kaggle://{MODEL}")
