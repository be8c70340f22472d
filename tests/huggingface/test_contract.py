"""Image processors of Hugging Face: configs in and out, the hub, inputs, outputs, errors."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import http.server
import io
import json
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import huggingface_cases, inputs
from helpers.huggingface.common import assert_close, needs_torch, original
from helpers.images import photograph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import jaxprep
from jaxprep import AutoImageProcessor, BatchFeature, huggingface
from jaxprep.errors import ConfigError, HubError, InputError, JaxprepError, PresetNotFoundError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders.build import BUILDERS, builder_named
from jaxprep.huggingface.registry import FAMILIES

SMALL = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
RAW_CLIP = {  # as openai/clip-vit-base-patch32 has it
    "crop_size": 24,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 24,
}


PIXELS = photograph(33, 41)


@functools.cache
def picture() -> Image.Image:
    return Image.fromarray(PIXELS)


def small(**settings: Any) -> Any:
    """A processor whose programs are quickly compiled, and shared by these tests."""
    return huggingface.ViTImageProcessor(**{"size": {"height": 8, "width": 8}, **settings})


def values(result: Any) -> np.ndarray:
    return np.asarray(result["pixel_values"])


# -- the table


@pytest.mark.parametrize("backend", ["torchvision", "pil"])
def test_the_defaults_are_those_of_transformers(backend: str) -> None:
    transformers = pytest.importorskip("transformers")
    for name, row in classes.rows().items():
        if "pil" not in row.backends:
            continue
        original = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
        if needs_torch(original):
            continue
        original = original()
        theirs = json.loads(original.to_json_string())
        ours = getattr(huggingface, name)(backend=backend if backend in row.backends else "pil")
        assert ours.to_dict() == theirs, name
        if name in huggingface_cases.classes() and row.backends != ("pil",):
            assert bool(original.default_to_square) == row.square, name


def test_every_row_names_a_family_and_builders_that_there_are() -> None:
    builder_named("resize_smart")  # which imports the modules of all builders
    for name, row in classes.rows().items():
        assert row.family in FAMILIES, name
        for backend in row.backends:
            assert set(row.builder_names(backend)) <= set(BUILDERS), name
        assert row.padding is None or "pad" in row.builder_names(row.backends[0]), name
    assert {row.family for row in classes.rows().values()} == set(FAMILIES)


def test_from_pretrained_builds_its_config_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    check = HuggingFace.check
    monkeypatch.setattr(HuggingFace, "check", lambda config: (built.append(1), check(config)))
    AutoImageProcessor.from_pretrained(written(tmp_path, SMALL), do_normalize=False)
    assert len(built) == 1


def test_every_class_is_there_by_all_its_names() -> None:
    assert huggingface.CLIPImageProcessor is huggingface.CLIPFeatureExtractor
    assert huggingface.CLIPImageProcessor is huggingface.CLIPImageProcessorFast
    assert huggingface.CLIPImageProcessorPil().backend == "pil"
    assert huggingface.CLIPImageProcessor().backend == "torchvision"
    assert huggingface.ViTHybridImageProcessor is huggingface.BitImageProcessor
    assert "SiglipImageProcessorPil" in dir(huggingface) and "DepthProImageProcessorPil" not in dir(
        huggingface
    )
    for name in ("FooImageProcessor", "DepthProImageProcessorPil"):
        with pytest.raises(AttributeError):
            getattr(huggingface, name)


# -- configs


def test_what_is_read_is_written_back_unchanged(tmp_path: Path) -> None:
    content = {
        **RAW_CLIP,
        "do_convert_rgb": None,
        "junk": {"a": [1, None]},
        "processor_class": "CLIPProcessor",
    }
    processor = AutoImageProcessor.from_pretrained(written(tmp_path, content), do_normalize=False)
    (file,) = processor.save_pretrained(tmp_path / "out" / "deep")
    text = Path(file).read_text()
    assert json.loads(text) == {**content, "do_normalize": False}
    assert text == json.dumps({**content, "do_normalize": False}, indent=2, sort_keys=True) + "\n"
    assert text == processor.to_json_string()
    again = AutoImageProcessor.from_pretrained(tmp_path / "out" / "deep")
    assert again == processor
    np.testing.assert_array_equal(values(again(picture())), values(processor(picture())))


def written(folder: Path, content: Any, name: str = "preprocessor_config.json") -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("content", [3, None, "preprocessor_config.json", [1], [("size", 8)]])
def test_a_config_in_code_is_an_object(content: Any) -> None:
    for kind in (huggingface.BaseImageProcessor, huggingface.CLIPImageProcessor):
        with pytest.raises(ConfigError, match=r"^Expected an object, got `.*` - at `\$`\."):
            kind.from_dict(content)


def test_old_forms_mean_what_they_meant() -> None:
    clip = huggingface.BaseImageProcessor.from_dict(RAW_CLIP)
    assert type(clip) is huggingface.CLIPImageProcessor
    assert (clip.size, clip.crop_size, clip.do_rescale) == (
        {"shortest_edge": 24},
        {"height": 24, "width": 24},
        True,
    )
    square = huggingface.CLIPImageProcessor.from_dict({**RAW_CLIP, "use_square_size": True})
    assert square.config.pipeline.steps[1].size == (24, 24)
    owl = huggingface.OwlViTImageProcessor.from_dict({"size": [8, 9], "rescale": False})
    assert owl.size == {"height": 8, "width": 9} and not owl.config.effective.flag("do_rescale")
    assert huggingface.Swin2SRImageProcessor.from_dict({"pad_size": 16})(
        [picture()]
    ).pixel_values.shape[2:] == (48, 48)
    assert huggingface.IdeficsImageProcessor.from_dict({"image_size": 8}).size == {
        "height": 8,
        "width": 8,
    }
    assert huggingface.ViTImageProcessor.from_dict(
        {"size": 8, "default_to_square": False}
    ).size == {"shortest_edge": 8}
    convnext = huggingface.BaseImageProcessor.from_dict(
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 8, "crop_pct": 0.5}
    )
    assert convnext(picture()).pixel_values.shape == (1, 3, 8, 8)
    assert convnext.config.pipeline.steps[0].shortest_edge == 16


BOUNDED = {"shortest_edge": 60, "longest_edge": 1333}


@pytest.mark.parametrize(
    ("old", "today"),
    [
        (
            {"feature_extractor_type": "DetrFeatureExtractor", "size": 60, "max_size": None},
            {"size": BOUNDED},
        ),
        (
            {
                "image_processor_type": "DeformableDetrFeatureExtractor",
                "size": 60,
                "pad_and_return_pixel_mask": False,
            },
            {"size": BOUNDED, "do_pad": False},
        ),
        (
            {"image_processor_type": "GroundingDINOImageProcessor", "size": {"longest_edge": 90}},
            {"size": {"shortest_edge": 90, "longest_edge": 90}},
        ),
        (
            {
                "image_processor_type": "BridgeTowerImageProcessorFast",
                "size": 64,
                "crop_size": None,
            },
            {"size": {"shortest_edge": 64}},
        ),
        (
            {
                "image_processor_type": "SamImageProcessor",
                "size": 64,
                "pad_size": 64,
                "mask_size": 16,
            },
            {
                "size": {"longest_edge": 64},
                "pad_size": {"height": 64, "width": 64},
                "mask_size": {"longest_edge": 16},
            },
        ),
        (
            {
                "image_processor_type": "EomtImageProcessorFast",
                "size": {"shortest_edge": 64, "longest_edge": None},
            },
            {"size": {"shortest_edge": 64}},
        ),
        (
            {
                "image_processor_type": "VitMatteImageProcessor",
                "size_divisibility": 16,
                "size_divisor": None,
            },
            {"size_divisor": 16},
        ),
        (
            {
                "feature_extractor_type": "MaskFormerFeatureExtractor",
                "size": 60,
                "size_divisibility": 64,
            },
            {"size": BOUNDED, "size_divisor": 64},
        ),
        (
            {"feature_extractor_type": "SegformerFeatureExtractor", "size": [60]},
            {"size": {"height": 60, "width": 60}},
        ),
    ],
)
def test_what_transformers_refuses_or_ignores_is_its_form_of_today(
    old: dict[str, Any], today: dict[str, Any]
) -> None:
    ours = huggingface.BaseImageProcessor.from_dict(old)
    modern = type(ours).from_dict(today)
    assert ours.config.pipeline == modern.config.pipeline
    assert {key: getattr(ours, key) for key in today} == {
        key: getattr(modern, key) for key in today
    }


def test_null_means_the_default_of_the_class_and_a_switch_that_is_null_is_off() -> None:
    defaults = huggingface_cases.classes()["SiglipImageProcessor"]["defaults"]
    switches = {key for key, value in defaults.items() if isinstance(value, bool)}
    nulls = huggingface.SiglipImageProcessor.from_dict(dict.fromkeys(defaults.keys() - switches))
    assert nulls.config.pipeline == huggingface.SiglipImageProcessor().config.pipeline
    everything = huggingface.SiglipImageProcessor.from_dict(dict.fromkeys(defaults))
    off = huggingface.SiglipImageProcessor(**dict.fromkeys(switches, False))
    assert everything.config.pipeline == off.config.pipeline
    assert everything.do_convert_rgb is None


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"preprocessor_config.json": SMALL}, "ViTImageProcessor"),
        (
            {
                "preprocessor_config.json": {
                    **SMALL,
                    "image_processor_type": "ViTImageProcessorFast",
                }
            },
            "ViTImageProcessor",
        ),
        (
            {"preprocessor_config.json": {**SMALL, "image_processor_type": "ViTFeatureExtractor"}},
            "ViTImageProcessor",
        ),
        ({"processor_config.json": {"image_processor": SMALL}}, "ViTImageProcessor"),
        (
            {
                "processor_config.json": {"image_processor": SMALL},
                "preprocessor_config.json": RAW_CLIP,
            },
            "ViTImageProcessor",
        ),
        (
            {
                "processor_config.json": {"processor_class": "X"},
                "preprocessor_config.json": RAW_CLIP,
            },
            "CLIPImageProcessor",
        ),
        (
            {
                "preprocessor_config.json": {"size": 8, "do_resize": True, "do_normalize": True},
                "config.json": {"model_type": "swin"},
            },
            "ViTImageProcessor",
        ),
        (
            {"preprocessor_config.json": {**SMALL, "auto_map": {"AutoProcessor": "x.Y"}}},
            "ViTImageProcessor",
        ),
    ],
)
def test_the_class_is_found_where_the_hub_puts_it(
    tmp_path: Path, files: dict[str, Any], name: str
) -> None:
    for file, content in files.items():
        written(tmp_path, content, file)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)).__name__ == name
    for file in files:
        if (
            file != "config.json" and "processor_class" not in files[file]
        ):  # a file by its own path is unwrapped too
            AutoImageProcessor.from_pretrained(str(tmp_path / file))
    config = jaxprep.presets.load(tmp_path)
    assert config.class_name == name  # type: ignore[attr-defined]
    assert jaxprep.ImageClassifierPreprocessor.from_preset(tmp_path)(PIXELS).shape[-1] == 3


def test_a_timm_repository_has_timms_transform(tmp_path: Path) -> None:
    content = {
        "architecture": "resnet18",
        "pretrained_cfg": {"input_size": [3, 8, 8], "interpolation": "bilinear"},
    }
    processor = AutoImageProcessor.from_pretrained(written(tmp_path, content, "config.json"))
    assert processor(picture()).pixel_values.shape == (1, 3, 8, 8)
    expected = jaxprep.ImageClassifierPreprocessor.from_preset(tmp_path)(picture())
    np.testing.assert_array_equal(np.moveaxis(values(processor(picture()))[0], 0, -1), expected)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            {"image_processor_type": "MyProcessor", "auto_map": {"AutoImageProcessor": "a.B"}},
            "never run",
        ),
        (
            {"image_processor_type": "MyProcessor"},
            "`MyProcessor`, which is none of the image processors of",
        ),
        ({"image_processor_type": "TimmWrapperImageProcessor"}, "pretrained_cfg"),
        ({"do_resize": True, "do_normalize": True}, "got no type at all"),
        ({"image_processor_type": 3}, "Expected the name of a class, got `3`"),
        ([1], "Expected an object, got `\\[1\\]`"),
        ({**SMALL, "size": {"height": 8}}, "one of the sets of keys"),
        ({**SMALL, "size": {"height": 10**9, "width": 10**9}}, "at most 1048576 pixels a side"),
        ({**SMALL, "size": {"height": 2**20, "width": 2**20}}, "at most"),
        ({**SMALL, "size": {"longest_edge": 8}}, "height, width"),
        ({**SMALL, "do_resize": "yes"}, "true, false or null"),
        ({**SMALL, "resample": 9}, "PIL's integers"),
        ({**SMALL, "image_mean": "x"}, "a finite number"),
        ({**SMALL, "image_mean": [0.5, 0.5], "do_normalize": True}, "one value or 3, as `std` has"),
        ({**SMALL, "image_std": [0, 1, 1]}, "not 0"),
        ({**SMALL, "rescale_factor": float("nan")}, "a finite number"),
    ],
)
def test_what_is_not_read_says_why(tmp_path: Path, content: Any, says: str) -> None:
    folder = written(tmp_path, content)
    with pytest.raises(ConfigError, match=says) as caught:
        AutoImageProcessor.from_pretrained(folder)
    assert str(folder) in str(caught.value)


def test_unused_keywords_are_given_back_alone(tmp_path: Path) -> None:
    folder = written(tmp_path, SMALL)
    options = {"foo": False, "do_normalize": False, "use_auth_token": None, "resume_download": True}
    processor, unused = AutoImageProcessor.from_pretrained(
        folder, **options, return_unused_kwargs=True
    )
    assert unused == {"foo": False} and processor.do_normalize is False
    assert AutoImageProcessor.from_pretrained(folder, foo=1).to_dict() == SMALL


def test_a_named_class_reads_any_config() -> None:
    processor = huggingface.ViTImageProcessorPil.from_dict(RAW_CLIP)
    assert type(processor) is huggingface.ViTImageProcessorPil and processor.backend == "pil"
    assert processor.size == {"height": 24, "width": 24}


def test_the_backend_is_chosen_as_in_transformers(tmp_path: Path) -> None:
    folder = written(tmp_path, SMALL)
    assert AutoImageProcessor.from_pretrained(folder).backend == "torchvision"
    assert AutoImageProcessor.from_pretrained(folder, backend="pil").backend == "pil"
    assert AutoImageProcessor.from_pretrained(folder, use_fast=False).backend == "pil"
    with pytest.warns(UserWarning, match="no backend 'pil'"):
        assert huggingface.DepthProImageProcessor(backend="pil").backend == "torchvision"
    with pytest.raises(ConfigError, match="backend"):
        AutoImageProcessor.from_pretrained(folder, backend="tensorflow")


def test_settings_are_attributes_that_can_be_set() -> None:
    processor = small()
    processor.do_normalize = False
    processor.size = {"height": 4, "width": 6}
    assert processor(picture()).pixel_values.shape == (1, 3, 4, 6)
    assert (
        processor.to_dict()["size"] == {"height": 4, "width": 6}
        and not processor.to_dict()["do_normalize"]
    )
    with pytest.raises(ConfigError):
        processor.do_resize = "no"
    assert processor.do_resize is True
    with pytest.raises(AttributeError):
        _ = processor.foo


def test_a_processor_is_pickled_and_copied() -> None:
    processor = small()
    assert pickle.loads(pickle.dumps(processor)) == processor == copy.deepcopy(processor)
    assert jaxprep.formats.Format  # the config itself round-trips as jaxprep's own
    data = jaxprep.ImageClassifierPreprocessor(
        jaxprep.ImageConverter.from_config(processor.config)
    ).to_json()
    again = jaxprep.ImageClassifierPreprocessor.from_json(json.loads(json.dumps(data)))
    assert again.pipeline == processor.pipeline


# -- hub and web


def test_a_repository_round_trips_through_the_hub(hub: Any, tmp_path: Path) -> None:
    hub.add(
        "user/model", {"preprocessor_config.json": RAW_CLIP, "config.json": {"model_type": "clip"}}
    )
    processor = AutoImageProcessor.from_pretrained("user/model", cache_dir=tmp_path / "cache")
    hub.requests.clear()
    answer = processor.push_to_hub("user/copy", token=hub.TOKEN, commit_message="A copy")
    (commit,) = hub.commits
    assert (commit.repo, commit.revision, commit.message) == ("user/copy", "main", "A copy")
    assert commit.files == {"preprocessor_config.json": processor.to_json_string().encode()}
    assert answer.commit_url.startswith(hub.endpoint)
    assert {request.token for request in hub.requests if request.method == "POST"} == {hub.TOKEN}
    again = AutoImageProcessor.from_pretrained("user/copy", cache_dir=tmp_path / "cache")
    assert again == processor


def test_saving_pushes_when_asked(hub: Any, tmp_path: Path) -> None:
    hub.add("user/model", {"preprocessor_config.json": RAW_CLIP})
    small().save_pretrained(
        tmp_path / "vit", push_to_hub=True, repo_id="user/model", token=hub.TOKEN
    )
    assert [commit.repo for commit in hub.commits] == ["user/model"]
    small().save_pretrained(tmp_path / "vit")
    assert len(hub.commits) == 1
    with pytest.raises(AssertionError, match="should be a directory"):
        small().save_pretrained(tmp_path / "vit" / "preprocessor_config.json")
    with pytest.raises(TypeError, match="max_shard_size"):
        small().push_to_hub("user/model", token=hub.TOKEN, max_shard_size=1)


def test_the_hub_may_refuse_a_push(hub: Any) -> None:
    with pytest.raises(HubError, match="user/model"):
        small().push_to_hub("user/model", token="hf_of_somebody_else")
    hub.fail(500, times=20, path="/commit/")
    with pytest.raises(HubError, match="user/model"):
        small().push_to_hub("user/model", token=hub.TOKEN)


def test_revision_subfolder_token_and_cache(hub: Any, tmp_path: Path) -> None:
    hub.add("user/model", {"preprocessor_config.json": SMALL}, private=True)
    hub.add(
        "user/model",
        {"preprocessor_config.json": RAW_CLIP, "deep/er/preprocessor_config.json": SMALL},
        "v1",
    )
    read = functools.partial(
        AutoImageProcessor.from_pretrained, "user/model", cache_dir=str(tmp_path), token=hub.TOKEN
    )
    assert type(read()).__name__ == "ViTImageProcessor"
    assert type(read(revision="v1")).__name__ == "CLIPImageProcessor"
    assert type(read(revision="v1", subfolder="deep/er")).__name__ == "ViTImageProcessor"
    hub.requests.clear()
    assert type(read(local_files_only=True)).__name__ == "ViTImageProcessor"
    assert hub.requests == []
    read()
    assert not [
        path for path in hub.paths("GET") if "/resolve/" in path
    ]  # the cache is asked by ETag
    hub.requests.clear()
    read(force_download=True)
    assert [path for path in hub.paths("GET") if "/resolve/" in path]
    with pytest.raises(HubError, match="gated or private"):
        AutoImageProcessor.from_pretrained("user/model", cache_dir=str(tmp_path / "other"))
    for name, error in (("user/absent", PresetNotFoundError), ("user", PresetNotFoundError)):
        with pytest.raises(error):
            AutoImageProcessor.from_pretrained(name, cache_dir=str(tmp_path), token=hub.TOKEN)
    for folder in ("..", "a/../b", "/etc"):
        with pytest.raises(JaxprepError):
            read(subfolder=folder)


def test_a_repository_without_processor_says_so(hub: Any) -> None:
    hub.add("user/model", {"config.json": {"model_type": "bert"}})
    with pytest.raises(PresetNotFoundError, match="preprocessor_config"):
        AutoImageProcessor.from_pretrained("user/model")


@contextlib.contextmanager
def web(files: dict[str, bytes]) -> Iterator[str]:
    """A web server with these files; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_configs_and_images_come_from_addresses() -> None:
    file = io.BytesIO()
    picture().save(file, "PNG")
    with web(
        {"/c.json": json.dumps(SMALL).encode(), "/i.png": file.getvalue(), "/bad.json": b"<html>"}
    ) as address:
        processor = AutoImageProcessor.from_pretrained(f"{address}/c.json")
        np.testing.assert_array_equal(
            values(processor(f"{address}/i.png")), values(processor(picture()))
        )
        with pytest.raises(PresetNotFoundError):
            AutoImageProcessor.from_pretrained(f"{address}/absent.json")
        with pytest.raises(ConfigError, match="JSON"):
            AutoImageProcessor.from_pretrained(f"{address}/bad.json")
    with pytest.raises(HubError):
        AutoImageProcessor.from_pretrained(f"{address}/c.json")


# -- inputs


def test_every_kind_of_input_gives_the_same(tmp_path: Path) -> None:
    processor = small()
    expected = values(processor(picture()))
    assert expected.shape == (1, 3, 8, 8)
    picture().save(tmp_path / "image.png")
    text = base64.b64encode((tmp_path / "image.png").read_bytes()).decode()
    first = np.moveaxis(PIXELS, -1, 0)
    kinds = {
        "numpy": PIXELS,
        "channels first": first,
        "a batch": PIXELS[None],
        "jax": jnp.asarray(PIXELS),
        "nested numbers": PIXELS.tolist(),
        "a path": str(tmp_path / "image.png"),
        "a Path": tmp_path / "image.png",
        "base64": text,
        "a data URI": f"data:image/png;base64,{text}",
        "a list": [picture()],
        "nested lists": [[picture()], []],
        "a tuple": (PIXELS,),
    }
    for name, image in kinds.items():
        np.testing.assert_array_equal(values(processor(image)), expected, name)
    torch = pytest.importorskip("torch") if "torch" in sys.modules else None
    if torch is not None:
        np.testing.assert_array_equal(values(processor(torch.from_numpy(first.copy()))), expected)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # Pillow, of the original
@pytest.mark.parametrize(
    ("mode", "ending", "transparency"),
    [
        ("P", "png", 3),
        ("P", "png", bytes(range(0, 256, 16))),
        ("P", "gif", 3),
        ("L", "png", int(PIXELS[0, 0, 0])),
        ("RGB", "png", tuple(PIXELS[0, 0].tolist())),
        ("LA", "png", None),
        ("RGBA", "png", None),
        ("1", "png", None),
    ],
)
def test_transparency_of_a_file_counts_as_in_the_original(
    tmp_path: Path, mode: str, ending: str, transparency: Any
) -> None:
    path = str(tmp_path / f"image.{ending}")
    image = Image.fromarray(PIXELS[..., 0] if mode == "L" else PIXELS)
    image = image.quantize(16) if mode == "P" else image.convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(PIXELS[..., 1]))
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    name = "CLIPImageProcessor"
    settings = {"size": {"shortest_edge": 20}, "crop_size": 16}
    original_of, ours = original(name)(**settings), huggingface.CLIPImageProcessorPil(**settings)
    text = base64.b64encode(Path(path).read_bytes()).decode()
    for source in (path, text, Image.open(path)):
        wanted = original_of(source, return_tensors="np")["pixel_values"]
        assert_close(ours(source, return_tensors="np").pixel_values, wanted, source)


def test_images_of_mixed_kinds_and_sizes_are_one_batch() -> None:
    processor = small()
    images = [picture(), np.moveaxis(PIXELS, -1, 0)[:, :20], [PIXELS[:, :17] / np.float32(1)]]
    singles = [values(processor(image))[0] for image in images]
    together = processor(images)
    assert isinstance(together.pixel_values, jax.Array)
    np.testing.assert_allclose(values(together), np.stack(singles), atol=1e-6)


def test_channels_are_inferred_or_told() -> None:
    processor = small()
    narrow = PIXELS[:3]  # (3, 41, 3)
    with pytest.warns(UserWarning, match="first is assumed"):
        first = values(processor(narrow))
    np.testing.assert_array_equal(
        first, values(processor(narrow, input_data_format="channels_first"))
    )
    last = values(processor(narrow, input_data_format="channels_last"))
    np.testing.assert_array_equal(last, values(processor(Image.fromarray(narrow))))
    with pytest.raises(InputError, match="Unable to infer channel"):
        processor(np.zeros((9, 9, 5), np.uint8))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        [[]],
        {"a": 1},
        "no such file",
        np.zeros(3),
        np.zeros((4, 4, 3), complex),
        object(),
        ["x", None],
    ],
)
def test_what_is_no_image_is_refused(bad: Any) -> None:
    with pytest.raises(JaxprepError):
        small()(bad)


def test_a_class_that_does_not_convert_to_rgb_says_so() -> None:
    palette = inputs.palette(picture())
    for image in (palette, inputs.rgba(picture())):
        with pytest.raises(InputError):
            small()(image)
        assert small(do_convert_rgb=True)(image).pixel_values.shape == (1, 3, 8, 8)
    gray = values(small()(inputs.grey(picture())))  # one channel is broadcast
    assert gray.shape == (1, 3, 8, 8)


@pytest.mark.parametrize("name", ["BlipImageProcessor"])
def test_arrays_with_alpha_are_laid_over_white(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    array = np.asarray(inputs.rgba(picture()))
    options: Any = {"size": {"height": 8, "width": 8}}
    theirs = getattr(transformers, f"{name}Pil")(**options)
    ours = getattr(huggingface, f"{name}Pil")(**options)
    for image in (array, array[..., :1], array / np.float32(255)):
        expected = np.asarray(theirs(image)["pixel_values"])
        np.testing.assert_allclose(values(ours(image)), expected, atol=2e-6)


def test_floats_are_resized_as_the_pil_backend_does() -> None:
    transformers = pytest.importorskip("transformers")
    options: Any = {"size": {"height": 8, "width": 8}, "do_rescale": False}
    theirs, ours = (
        transformers.ViTImageProcessorPil(**options),
        huggingface.ViTImageProcessorPil(**options),
    )
    for image in (PIXELS / 255, (PIXELS / 255).astype(np.float32), PIXELS.astype(np.float64)):
        expected = np.asarray(theirs(image)["pixel_values"])
        np.testing.assert_allclose(values(ours(image)), expected, atol=2e-6, rtol=2e-6)
    with pytest.raises(InputError, match="where Pillow resizes"):
        ours(PIXELS - 300.5)


# -- outputs


def test_results_are_of_the_kind_asked_for() -> None:
    processor = small()
    images = [picture(), picture()]
    assert isinstance(processor(images).pixel_values, jax.Array)
    assert isinstance(processor(images, return_tensors="jax").pixel_values, jax.Array)
    assert isinstance(processor(images, return_tensors="np").pixel_values, np.ndarray)
    listed = processor(images, return_tensors=None).pixel_values
    assert (
        isinstance(listed, list)
        and isinstance(listed[0], jax.Array)
        and listed[0].shape == (3, 8, 8)
    )
    with pytest.raises(InputError, match="return_tensors"):
        processor(images, return_tensors="mx")


def test_results_of_different_sizes_are_a_list_or_padded() -> None:
    images = [PIXELS, PIXELS[:20]]
    ragged = small(do_resize=False)
    assert [item.shape for item in ragged(images).pixel_values] == [(3, 33, 41), (3, 20, 41)]
    with pytest.raises(ValueError, match="Unable to create tensor"):
        ragged(images, return_tensors="jax")
    padded = values(ragged(images, do_pad=True))
    assert padded.shape == (2, 3, 33, 41)
    assert (padded[1, :, 20:] == 0).all()
    np.testing.assert_array_equal(padded[1, :, :20], np.asarray(ragged(images).pixel_values[1]))


def test_channels_come_last_when_asked() -> None:
    processor = small()
    last = values(processor(picture(), data_format="channels_last"))
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), values(processor(picture())))
    kept = small(data_format="channels_last")
    np.testing.assert_array_equal(values(kept(picture())), last)
    assert kept.to_dict()["data_format"] == "channels_last"


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("switch", ["do_resize", "do_rescale", "do_normalize", "do_center_crop"])
def test_a_switch_of_a_file_may_be_0_or_1_and_is_written_back(
    switch: str, value: int, tmp_path: Path
) -> None:
    content = {"image_processor_type": "CLIPImageProcessor", switch: value}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    theirs = original("CLIPImageProcessor").from_pretrained(tmp_path)
    wanted = theirs(PIXELS, return_tensors="np").pixel_values
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert_close(processor(PIXELS, return_tensors="np").pixel_values, wanted, switch)
    assert processor.to_dict() == content
    made = huggingface.CLIPImageProcessorPil(**{switch: value})
    assert_close(made(PIXELS, return_tensors="np").pixel_values, wanted, switch)


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("ViTImageProcessor", "do_resize"),
        ("ViTImageProcessor", "do_rescale"),
        ("BeitImageProcessor", "do_normalize"),
        ("CLIPImageProcessor", "do_center_crop"),
        ("Swin2SRImageProcessor", "do_pad"),
        ("LevitImageProcessor", "do_center_crop"),
    ],
)
def test_a_switch_that_is_null_is_off_in_a_file_and_in_a_call_and_is_written_back(
    name: str, switch: str, tmp_path: Path
) -> None:
    content = {"image_processor_type": name, switch: None}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    image = PIXELS[:24, :24]
    expected = original(name).from_pretrained(tmp_path)
    wanted = expected(image, return_tensors="np").pixel_values
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert_close(values(processor(image)), wanted, switch)
    default = AutoImageProcessor.from_pretrained(tmp_path, backend="pil", **{switch: True})
    np.testing.assert_array_equal(
        values(default(image, **{switch: None})), values(processor(image))
    )
    processor.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "preprocessor_config.json").read_text())
    assert saved[switch] is None


@pytest.mark.parametrize("converts", [{}, {"do_convert_annotations": None}])
@pytest.mark.parametrize(
    "normalizes", [{}, *({"do_normalize": value} for value in (None, True, False))]
)
def test_null_decides_about_the_boxes_of_detr_as_in_transformers(
    normalizes: dict[str, Any], converts: dict[str, Any]
) -> None:
    content = {**normalizes, **converts}
    expected = bool(original("DetrImageProcessor").from_dict(content).do_convert_annotations)
    config = huggingface.DetrImageProcessor.from_dict(content).config
    assert config.effective.flag("do_convert_annotations") == expected
    for in_a_call in (True, False, None):
        changed = config.overridden({"do_normalize": in_a_call})
        assert changed.effective.flag("do_convert_annotations") == expected


def test_a_call_may_override_settings() -> None:
    processor = small()
    result = processor.preprocess(
        picture(), size=9, do_normalize=False, resample=Image.Resampling.NEAREST
    )
    assert result.pixel_values.shape == (1, 3, 9, 9)
    assert processor.size == {"height": 8, "width": 8}
    np.testing.assert_array_equal(
        values(processor(picture(), image_mean=None)), values(processor(picture()))
    )
    for unknown in ({"foo": 1}, {"segmentation_maps": picture()}):
        with pytest.raises(TypeError, match=next(iter(unknown))):
            processor(picture(), **unknown)
    with pytest.raises(TypeError, match="positional"):
        processor(picture(), picture())


def test_a_feature_is_a_dictionary_and_a_pytree() -> None:
    feature = small()(picture())
    assert (
        isinstance(feature, dict)
        and list(feature) == ["pixel_values"]
        and dict(**feature) == feature
    )
    assert feature.pixel_values is feature["pixel_values"] is feature.data["pixel_values"]
    with pytest.raises(AttributeError):
        _ = feature.labels
    with pytest.raises(KeyError):
        feature[0]
    doubled = jax.jit(lambda feature: jax.tree.map(lambda leaf: 2 * leaf, feature))(feature)
    assert isinstance(doubled, BatchFeature)
    np.testing.assert_array_equal(values(doubled), 2 * values(feature))
    assert jax.tree_util.tree_flatten_with_path(feature)[0][0][0] == (
        jax.tree_util.DictKey("pixel_values"),
    )
    assert pickle.loads(pickle.dumps(feature)).keys() == feature.keys()


def test_a_feature_moves_and_casts() -> None:
    feature = BatchFeature(
        {"x": jnp.ones((4, 2)), "ids": jnp.arange(4), "name": "a", "many": [jnp.ones(2)]}
    )
    assert (
        feature.to("bfloat16") is feature
        and feature.x.dtype == jnp.bfloat16
        and feature.ids.dtype == jnp.int32
    )
    assert feature.many[0].dtype == jnp.bfloat16 and feature.name == "a"
    device = jax.devices()[1]
    assert feature.to(device).x.devices() == {device}
    assert (
        feature.to("cpu:2", dtype=jnp.float32).x.devices() == {jax.devices()[2]}
        and feature.x.dtype == jnp.float32
    )
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    sharding = jax.sharding.NamedSharding(mesh, jax.P("data"))
    assert BatchFeature({"x": np.ones((4, 2))}).to(sharding).x.sharding == sharding
    assert small()(picture(), device=device).pixel_values.devices() == {device}
    for bad in ("cpu:99", object()):
        with pytest.raises(InputError):
            feature.to(bad)


def test_lists_become_tensors() -> None:
    feature = BatchFeature({"a": [np.ones(2), np.zeros(2)], "b": ["x"], "c": [1, 2]}, "jax", ["c"])
    assert feature.a.shape == (2, 2) and feature.b == ["x"] and feature.c == [1, 2]
    assert isinstance(feature.convert_to_tensors("np", []).c, np.ndarray)
    with pytest.raises(InputError, match="`a`"):
        BatchFeature({"a": [np.ones(2), np.ones(3)]}, "np")
    for nested in ([[[np.ones((2, 3))], [np.ones((2, 4))]]], [[[1, 2], [3]], [[1], [2]]]):
        with pytest.raises(InputError, match="`a`"):
            BatchFeature({"a": nested}, "np")


@pytest.mark.parametrize("skipped", [None, [], ["a"]])
def test_entries_that_are_skipped_once_are_skipped_in_later_conversions(skipped: Any) -> None:
    theirs = pytest.importorskip("transformers").BatchFeature
    for at_first in (None, "np"):
        data = {"a": [[1, 2], [3, 4]], "b": [np.zeros(2), np.ones(2)]}
        converted = [
            cls(data, at_first, skipped).copy().convert_to_tensors("np")
            for cls in (theirs, BatchFeature)
        ]
        wanted, found = ({name: type(of[name]) for name in data} for of in converted)
        assert found == wanted


def test_the_pipeline_and_the_processor_run_inside_jit() -> None:
    processor = small()
    expected = values(processor(picture()))
    by_pipeline = jax.jit(processor.pipeline)(jaxprep.Batch(image=PIXELS[None])).image
    np.testing.assert_array_equal(by_pipeline, expected)
    np.testing.assert_array_equal(jax.jit(lambda x: processor(x).pixel_values)(PIXELS), expected)


def test_a_thousand_sizes_are_a_handful_of_programs(monkeypatch) -> None:
    from jaxprep import bounds
    from jaxprep.pipeline.program import run_batch

    monkeypatch.setattr(bounds.programs(), "limit", 1000)  # the tests before have filled the cache
    processor = small(size={"height": 7, "width": 7})
    before = run_batch.count()  # canvases so small are batched
    for height in range(33, 64, 3):
        processor([np.zeros((height, width, 3), np.uint8) for width in range(33, 64, 10)])
    assert run_batch.count() - before <= 5


# -- the single operations


def test_single_operations_keep_the_layout_or_change_it() -> None:
    transformers = pytest.importorskip("transformers")
    ours = huggingface.CLIPImageProcessorPil()
    theirs = transformers.CLIPImageProcessorPil()
    size = transformers.image_utils.SizeDict
    first = np.moveaxis(PIXELS, -1, 0)
    np.testing.assert_array_equal(
        ours.resize(first, {"shortest_edge": 9}),
        theirs.resize(first, size(shortest_edge=9), resample=3),
    )
    crop = theirs.center_crop(first, size(height=10, width=50))
    np.testing.assert_array_equal(ours.center_crop(first, {"height": 10, "width": 50}), crop)
    np.testing.assert_array_equal(
        ours.center_crop(PIXELS, (10, 50), data_format="channels_first"), crop
    )
    np.testing.assert_allclose(
        ours.rescale(first, 1 / 255), theirs.rescale(first, 1 / 255), atol=1e-7
    )
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    np.testing.assert_allclose(
        ours.normalize(first, mean, std), theirs.normalize(first, mean, std), rtol=2e-6
    )
    padded, masks = ours.pad([first, first[:, :20]], return_mask=True)
    expected, expected_masks = theirs.pad([first, first[:, :20]], return_mask=True)
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(masks, expected_masks)
    reflected = theirs.pad([first], size(height=40, width=44), padding_mode="reflect")
    np.testing.assert_array_equal(ours.pad(first, (40, 44), padding_mode="reflect"), reflected[0])
    with pytest.raises(InputError):
        ours.pad([first], pad_size=5)
    assert jax.jit(lambda x: ours.resize(x, 9))(first).shape == (3, 9, 11)


# -- strangers

NAMES = sorted(huggingface_cases.classes())
KEYS = sorted(
    {key for row in huggingface_cases.classes().values() for key in row["defaults"]}
    | {"do_pad", "max_size"}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 300),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["bicubic", "max", "channels_last", "../../etc/passwd", 2**20, 0, -1]),
)
SIDES = (
    "height",
    "width",
    "shortest_edge",
    "longest_edge",
    "max_height",
    "max_width",
    "min_pixels",
    "max_pixels",
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.dictionaries(st.sampled_from(SIDES), SCALARS, max_size=3),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
)
CONFIGS = st.tuples(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4),
    st.sampled_from(["pil", None]),
)


def answer(name: str, changes: dict[str, Any], backend: str | None) -> Any:
    """The processor of a config from a stranger, or the one error it is refused by."""
    try:
        processor = huggingface.BaseImageProcessor.from_dict(
            {"image_processor_type": name, **changes}, backend=backend
        )
        processor.to_json_string()
        return processor.pipeline.output_size((33, 41))
    except JaxprepError as error:
        assert len(str(error)) < 3000
        return error


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONFIGS)
@pytest.mark.filterwarnings("ignore")
def test_a_config_of_a_stranger_works_or_is_refused(config: Any) -> None:
    answer(*config)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=12), inner)),
    )
)
def test_json_of_a_stranger_works_or_is_refused(content: Any) -> None:
    with contextlib.suppress(JaxprepError):
        huggingface.BaseImageProcessor.from_dict(
            content if isinstance(content, dict) else {"image_processor": content}
        )


# -- what is imported


def test_no_other_framework_is_imported(tmp_path: Path) -> None:
    written(tmp_path, SMALL)
    code = f"""
import sys
import jaxprep
assert not {{"jaxprep.huggingface", "PIL", "huggingface_hub"}} & set(sys.modules)
import numpy as np
processor = jaxprep.AutoImageProcessor.from_pretrained({str(tmp_path)!r})
processor(np.zeros((9, 9, 3), np.uint8))
processor.save_pretrained({str(tmp_path / "out")!r})
heavy = {{"torch", "torchvision", "tensorflow", "transformers", "huggingface_hub", "PIL"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


# -- what comes after a model


def test_generated_images_come_back_as_8_bits() -> None:
    transformers = pytest.importorskip("transformers")
    ours, theirs = huggingface.JanusImageProcessorPil(), transformers.JanusImageProcessorPil()
    generated = np.random.default_rng(0).normal(size=(2, 3, 9, 7)).astype(np.float32)
    expected = np.asarray(theirs.postprocess(list(generated))["pixel_values"])
    found = ours.postprocess(generated)["pixel_values"]
    assert isinstance(found, jax.Array) and found.dtype == jnp.uint8
    np.testing.assert_array_equal(found, expected)
    (picture, _) = ours.postprocess(jnp.asarray(generated), return_tensors="PIL.Image.Image")[
        "pixel_values"
    ]
    np.testing.assert_array_equal(np.asarray(picture), np.moveaxis(expected[0], 0, -1))
    round_trip = ours.postprocess(
        ours(PIXELS, do_resize=False, do_pad=False).pixel_values
    ).pixel_values[0]
    assert (
        np.abs(np.moveaxis(np.asarray(round_trip), 0, -1).astype(int) - PIXELS).max() <= 1
    )  # truncated


def test_post_processing_has_its_original_names() -> None:
    processor = huggingface.GLPNImageProcessor()
    depth = jax.random.uniform(jax.random.key(0), (1, 6, 8))
    (result,) = processor.post_process_depth_estimation(
        {"predicted_depth": depth}, target_sizes=[(12, 16)]
    )
    assert result["predicted_depth"].shape == (12, 16)
    with pytest.raises(AttributeError, match="post_process_depth_estimation"):
        _ = processor.post_process_object_detection


# -- tensors of other frameworks, which need not be installed


class _Tensor:
    """What is used of a `torch.Tensor`."""

    def __init__(self, array: np.ndarray):
        self.array, self.dtype = array, f"torch.{array.dtype}"

    def detach(self) -> _Tensor:
        return self

    def cpu(self) -> _Tensor:
        return self

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_torch_tensors_come_through_dlpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(Tensor=_Tensor))
    first = np.ascontiguousarray(np.moveaxis(PIXELS, -1, 0))
    np.testing.assert_array_equal(values(small()([_Tensor(first)])), values(small()(picture())))


@pytest.mark.parametrize(("kind", "package"), [("pt", "torch"), ("tf", "tensorflow")])
def test_other_frameworks_are_imported_by_name(
    monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    stub = type(sys)(package)
    stub.from_numpy = stub.convert_to_tensor = lambda array: (package, array)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, stub)
    name, array = small()(picture(), return_tensors=kind).pixel_values
    assert name == package and isinstance(array, np.ndarray) and array.shape == (1, 3, 8, 8)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=package):
        small()(picture(), return_tensors=kind)
