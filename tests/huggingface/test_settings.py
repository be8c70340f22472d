"""Settings of image processors: null, changes in place, sizes with attributes, names of classes in
files of this machine.
"""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from helpers.huggingface.common import assert_close, original
from helpers.images import photograph

from jaxprep import AutoImageProcessor, huggingface
from jaxprep.errors import ConfigError, InputError, JaxprepError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Source

PIXELS = photograph(33, 41)
WIDE = photograph(40, 52)


def vit(**settings: Any) -> Any:
    return huggingface.ViTImageProcessor(**{"size": {"height": 8, "width": 6}, **settings})


# -- null


def test_a_size_without_a_value_is_none_where_transformers_has_none() -> None:
    name, settings = "PoolFormerImageProcessor", {"crop_pct": None, "size": 24, "crop_size": 16}
    theirs = original(name).from_dict(settings)(WIDE, return_tensors="np").pixel_values
    ours = getattr(huggingface, name).from_dict(settings, backend="pil")(WIDE).pixel_values
    assert_close(np.asarray(ours), theirs, name)
    sides = {"pad_size": None, "size": {"longest_edge": 24}}
    wanted = original("SamImageProcessor").from_dict(sides)(WIDE, return_tensors="np").pixel_values
    ours = huggingface.SamImageProcessor.from_dict(sides, backend="pil")
    assert_close(np.asarray(ours(WIDE).pixel_values), wanted, "Sam")


@pytest.mark.parametrize(
    ("name", "key", "size"),
    [
        # What the torchvision backend of Transformers 5.24 returned for an image of 40 x 52.
        ("PI0ImageProcessor", "pad_size", (172, 224)),
        ("PerceptionLMImageProcessor", "vision_input_type", (448, 448)),
        ("PPLCNetImageProcessor", "resize_short", (224, 224)),
        ("ViltImageProcessor", "size_divisor", (384, 499)),
        ("PoolFormerImageProcessor", "crop_pct", (224, 224)),
    ],
)
def test_null_of_a_setting_that_may_be_none_counts_in_a_file_and_in_a_call(
    name: str, key: str, size: tuple[int, int]
) -> None:
    cls = getattr(huggingface, name)
    assert cls.from_dict({key: None}).pipeline.output_size((40, 52)) == size
    in_a_call = cls()._with_call_settings({key: None})
    assert in_a_call.pipeline == cls.from_dict({key: None}).pipeline != cls().pipeline
    assert key in cls.from_dict({key: None}).to_dict()


def test_null_for_the_views_of_perception_lm_is_one_tile() -> None:
    """As "vanilla", whose values the goldens have."""
    settings = {"tile_size": 32, "max_num_tiles": 4}
    processor = huggingface.PerceptionLMImageProcessor(**settings)
    wanted = processor(WIDE, vision_input_type="vanilla")["pixel_values"]
    null = processor.from_dict({**settings, "vision_input_type": None})
    for ours in (processor(WIDE, vision_input_type=None), null(WIDE)):
        np.testing.assert_array_equal(ours["pixel_values"], wanted)
    assert wanted.shape == (1, 1, 3, 32, 32)
    assert null(WIDE, vision_input_type="thumb+tile")["pixel_values"].shape == (1, 5, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        # Those that resize in Transformers 5.24 where `resample` is null; the others raise there.
        ("AriaImageProcessor", "resample"),
        ("DeepseekVLHybridImageProcessor", "high_res_resample"),
        ("Gemma4ImageProcessor", "resample"),
        ("MiniCPMOcrImageProcessor", "resample"),
        ("MiniCPMV4_6ImageProcessor", "resample"),
        ("MuseGlimmerImageProcessor", "resample"),
        ("NemotronH_Omni_Reasoning_V3ImageProcessor", "resample"),
    ],
)
def test_null_for_the_filter_is_bilinear_where_transformers_resizes_with_it(
    name: str, key: str
) -> None:
    null = HuggingFace(name, {key: None})
    assert null.pipeline != HuggingFace(name).pipeline
    assert null.effective.method(key) == "bilinear" != HuggingFace(name).effective.method(key)
    in_a_call = getattr(huggingface, name)()._with_call_settings({key: None})
    assert in_a_call.effective.method(key) == "bilinear"


def test_null_for_the_filter_of_aria_gives_the_pixels_of_transformers() -> None:
    theirs = original("AriaImageProcessor").from_dict({"resample": None, "max_image_size": 490})
    wanted = np.asarray(theirs(WIDE, return_tensors="np").pixel_values)
    ours = huggingface.AriaImageProcessorPil.from_dict({"resample": None, "max_image_size": 490})
    assert_close(np.asarray(ours(WIDE).pixel_values), wanted, "Aria")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        # Their code says `resample or ...`, where nearest is 0.
        ("DeepseekVLHybridImageProcessor", {"high_res_resample": None}),
        ("DeepseekVLHybridImageProcessor", {"high_res_resample": 0, "resample": 2}),
        ("DonutImageProcessor", {"resample": 0}),
    ],
)
def test_a_filter_that_is_0_or_null_gives_the_pixels_of_the_pil_backend(
    name: str, settings: dict[str, Any]
) -> None:
    sizes = {"size": 24, "high_res_size": 32} if "high" in str(settings) else {"size": 24}
    settings = {**settings, **{key: {"height": n, "width": n} for key, n in sizes.items()}}
    wanted = original(name).from_dict(settings)(WIDE, return_tensors="np")
    ours = getattr(huggingface, name).from_dict(settings, backend="pil")(WIDE)
    for key, values in wanted.items():
        assert_close(np.asarray(ours[key]), np.asarray(values), key)


def test_null_for_the_value_around_images_of_fuyu_is_0_as_to_torch() -> None:
    """The torchvision backend of 5.24; the other raises."""
    settings = {"size": {"height": 60, "width": 90}}
    of = huggingface.FuyuImageProcessor.from_dict
    wanted = of({**settings, "padding_value": 0.0})(WIDE)["images"]
    null = of({**settings, "padding_value": None})
    np.testing.assert_array_equal(null(WIDE)["images"], wanted)
    assert null.to_dict()["padding_value"] is None


@pytest.mark.parametrize("name", sorted(classes.rows()))
def test_null_of_any_other_setting_is_the_default_and_of_every_switch_is_off(name: str) -> None:
    row = classes.rows()[name]
    default = HuggingFace(name)
    for key in sorted(classes.arguments(name)):
        config = HuggingFace(name, {key: None})
        if row.takes_null(key):
            assert config.effective.get(key) is None, key
        else:
            assert config.pipeline == default.pipeline, key
    off = {key: False for key, value in row.defaults.items() if value is True}
    null = dict.fromkeys(off)
    assert HuggingFace(name, null).pipeline == HuggingFace(name, off).pipeline


def test_none_in_a_call_of_a_class_of_release_4_is_the_setting_of_the_processor() -> None:
    settings = {"size": 12, "crop_size": 8}
    theirs = original("VideoLlavaImageProcessor")(**settings)
    ours = huggingface.VideoLlavaImageProcessor(**settings)
    switches = {"do_resize": None, "do_normalize": None, "do_center_crop": None}
    wanted = theirs(WIDE, return_tensors="np", **switches)["pixel_values_images"]
    assert_close(np.asarray(ours(WIDE, **switches)["pixel_values_images"]), wanted, "VideoLlava")


def test_none_in_a_call_of_vivit_is_the_setting_of_the_processor_and_in_a_file_off() -> None:
    """Its `preprocess` is that of release 4, and needs torch."""
    settings = {"size": {"shortest_edge": 12}, "crop_size": {"height": 8, "width": 8}}
    processor = huggingface.VivitImageProcessor(**settings)
    wanted = np.asarray(processor(WIDE)["pixel_values"])
    switches = ("do_resize", "do_rescale", "do_normalize", "do_center_crop", "offset")
    for key in switches:
        np.testing.assert_array_equal(processor(WIDE, **{key: None})["pixel_values"], wanted)
    null = processor.from_dict({**settings, "do_resize": None, "do_center_crop": None})
    assert null(WIDE)["pixel_values"].shape[-2:] == WIDE.shape[:2]


CLIP = np.stack([WIDE] * 9)
AT_4 = [{"total_num_frames": 9, "fps": 4.0, "duration": 2.25}]


@pytest.mark.parametrize("name", ["Glm4v", "Glm5Next", "Glmga", "MuseGlimmer"])
def test_null_for_the_rate_that_a_class_always_samples_by_is_its_own(name: str) -> None:
    """Transformers 5.24 raises a `TypeError`, as it does without a number of frames."""
    of = getattr(huggingface, f"{name}VideoProcessor").from_dict
    null = {"fps": None} | ({"num_frames": None} if name == "MuseGlimmer" else {})
    wanted = of({}).sample_frames(AT_4[0])
    np.testing.assert_array_equal(of(null).sample_frames(AT_4[0]), wanted)
    assert of(null).to_dict()["fps"] is None


@pytest.mark.parametrize(
    ("name", "key", "meant"),
    [
        # What the torchvision backend of Transformers 5.24 takes null for.
        ("MiniCPMOcrImageProcessor", "downsample_mode", "16x"),
        ("MiniCPMOcrVideoProcessor", "downsample_mode", "16x"),
        ("MiniCPMOcrVideoProcessor", "resample", 2),
        ("MiniCPMV4_6VideoProcessor", "resample", 2),
        ("MuseGlimmerVideoProcessor", "resample", 2),
        ("GraniteDoclingImageProcessor", "resample", 2),
        ("MiniMaxM3VLVideoProcessor", "vision_segment_max_frames", 10**6),
    ],
)
def test_null_in_a_file_and_in_a_call_is_the_value_that_transformers_takes_it_for(
    name: str, key: str, meant: Any
) -> None:
    cls = getattr(huggingface, name)
    size = (40, 52)
    null = cls.from_dict({key: None})
    for config in (null.config, cls()._with_call_settings({key: None})):
        for view in (None, *config.row.views):
            pipelines = [
                one.pipeline_of(Source(), (size,), view)
                for one in (config, cls(**{key: meant}).config)
            ]
            assert pipelines[0] == pipelines[1]
        assert config.effective.get(key) is None
    assert null.to_dict()[key] is None


def test_null_for_the_filter_is_bilinear_where_a_class_resizes_without_do_resize() -> None:
    """Transformers 5.24 refuses it with `do_resize` alone."""
    name = "LlavaNextImageProcessor"
    settings = {
        "size": {"shortest_edge": 16},
        "crop_size": {"height": 16, "width": 16},
        "image_grid_pinpoints": [[16, 32]],
        "do_resize": False,
    }
    null = {**settings, "resample": None}
    wanted = original(name).from_dict(null)(WIDE, return_tensors="np")["pixel_values"]
    of = getattr(huggingface, f"{name}Pil").from_dict
    assert_close(np.asarray(of(null)(WIDE)["pixel_values"]), wanted, name)
    in_a_call = of(settings)._with_call_settings({"resample": None})
    assert in_a_call.pipeline == of(null).pipeline != of(settings).pipeline
    resizes = {**settings, "do_resize": True}
    kept = of(resizes)._with_call_settings({"resample": None})
    assert kept.pipeline == of({**resizes, "resample": None}).pipeline == of(resizes).pipeline


def test_null_is_off_for_switches_without_a_default_and_by_their_former_names() -> None:
    config = HuggingFace("OwlViTImageProcessor", {"rescale": None})
    assert config.pipeline == HuggingFace("OwlViTImageProcessor", {"do_rescale": False}).pipeline
    both = {"pad_and_return_pixel_mask": True, "do_pad": None}
    for given in (both, {"pad_and_return_pixel_mask": None}):
        assert not HuggingFace("DetrImageProcessor", given).effective.flag("do_pad")
    # Classes that name no default for the switch; a file has turned it on.
    sampled = huggingface.PeVideoVideoProcessor(do_sample_frames=True, num_frames=2)
    for value, count in (({}, 2), ({"do_sample_frames": None}, 9)):
        assert sampled(CLIP, **value)["pixel_values_videos"].shape[1] == count
    cropped = vit(do_center_crop=True, crop_size=4)
    assert cropped(PIXELS, do_center_crop=None)["pixel_values"].shape[-2:] == (8, 6)


def test_null_for_the_frames_of_a_part_is_one_grid_for_each_video() -> None:
    """MiniMax-M3, as Transformers 5.24."""
    settings = {"size": {"shortest_edge": 784, "longest_edge": 3136}, "do_sample_frames": False}
    null = huggingface.MiniMaxM3VLVideoProcessor(**settings, vision_segment_max_frames=None)
    assert null(CLIP)["num_chunks_per_video"].tolist() == [1]
    parts = huggingface.MiniMaxM3VLVideoProcessor(**settings, vision_segment_max_frames=4)
    assert parts(CLIP)["num_chunks_per_video"].tolist() > [1]
    once = parts(CLIP, vision_segment_max_frames=None)["video_grid_thw"]
    np.testing.assert_array_equal(once, null(CLIP)["video_grid_thw"])


def test_none_as_frames_of_a_call_of_pe_video_is_another_rule_with_its_own_number() -> None:
    """As in Transformers 5.24."""
    processor = huggingface.PeVideoVideoProcessor(num_frames=4)
    assert processor.sample_frames(AT_4[0], num_frames=4).tolist() == [0, 2, 5, 8]
    assert processor.sample_frames(AT_4[0], num_frames=None).tolist() == [0, 2, 4, 6]
    null = processor.from_dict({"num_frames": None})
    assert null.sample_frames(AT_4[0]).tolist() == list(range(9))


def test_null_for_the_colours_of_image_gpt_returns_pixels_by_their_name() -> None:
    assert HuggingFace("ImageGPTImageProcessor", {"do_color_quantize": None}).result_name == (
        "pixel_values"
    )
    assert HuggingFace("VideoLlavaImageProcessor").result_name == "pixel_values_images"


def test_null_as_the_largest_rate_of_molmo_2_bounds_nothing() -> None:
    """As in Transformers 5.24; None in a call is the processor's own."""
    null = huggingface.Molmo2VideoProcessor.from_dict({"max_fps": None})
    assert null.sample_frames(AT_4[0]).tolist() == list(range(9))
    bounded = huggingface.Molmo2VideoProcessor(max_fps=2)
    assert len(bounded.sample_frames(AT_4[0], max_fps=None)) == 4


def test_a_setting_of_sampling_without_any_value_is_named() -> None:
    processor = huggingface.SmolVLMVideoProcessor(num_frames=4)
    with pytest.raises(InputError, match=r"a number, which this class samples by.*at `fps`"):
        processor(CLIP, do_sample_frames=True, video_metadata=AT_4)


def test_null_for_small_images_of_minicpm_ocr_leaves_them_small() -> None:
    name, key = "MiniCPMOcrImageProcessor", "small_image_upsize"
    never = getattr(huggingface, name).from_dict({key: "never"})(WIDE)["pixel_values"]
    null = getattr(huggingface, name).from_dict({key: None})
    np.testing.assert_array_equal(null(WIDE)["pixel_values"], never)
    assert null.to_dict()[key] is None


def test_none_in_a_single_operation_is_the_setting_and_of_a_switch_is_off() -> None:
    kept = huggingface.DPTImageProcessor(keep_aspect_ratio=True, resample=0)
    size = {"height": 16, "width": 16}
    assert kept.resize(WIDE, size, resample=None, keep_aspect_ratio=True).shape == (16, 21, 3)
    # Its default in the method is off, whatever the processor's is.
    assert kept.resize(WIDE, size).shape == (16, 16, 3)
    assert kept.resize(WIDE, size, keep_aspect_ratio=None).shape == (16, 16, 3)


# -- changes in place


@pytest.mark.parametrize(
    "change",
    [
        lambda processor: processor.size.__setitem__("height", 77),
        lambda processor: processor.size.update(height=77),
        lambda processor: setattr(processor.size, "height", 77),
        lambda processor: processor.size.pop("height"),
        lambda processor: processor.image_mean.__setitem__(0, 0.1),
        lambda processor: processor.image_std.append(0.1),
        lambda processor: processor.image_std.sort(),
        lambda processor: processor.config.settings.pop("size"),
        lambda processor: processor.config.settings["size"].__delitem__("height"),
        lambda processor: processor.nested["list"][0].update(a=2),
    ],
)
def test_a_change_inside_a_setting_is_refused_by_one_error_that_says_what_to_write(
    change: Any,
) -> None:
    processor = huggingface.BaseImageProcessor.from_dict(
        {"image_processor_type": "ViTImageProcessor", "nested": {"list": [{"a": 1}]}, "size": 8}
    )
    processor = processor if change.__code__.co_names[0] == "nested" else vit()
    before = processor.to_dict()
    with pytest.raises(ConfigError, match=r"processor\.size = \{\*\*processor\.size"):
        change(processor)
    assert processor.to_dict() == before


def test_a_setting_is_replaced_as_the_error_says() -> None:
    processor = vit()
    processor.size = {**processor.size, "height": 7}
    processor.size |= {"width": 5}
    mean = processor.image_mean.copy()
    mean[0] = 0.25
    processor.image_mean = mean
    mean[0] = 0.75
    assert processor.size == {"height": 7, "width": 5}
    assert processor.image_mean == [0.25, 0.5, 0.5]
    assert processor(PIXELS).pixel_values.shape == (1, 3, 7, 5)


def test_what_is_written_out_may_be_changed_and_changes_nothing() -> None:
    processor = vit()
    content = processor.to_dict()
    content["size"]["height"] = 3
    content["image_mean"].append(1)
    assert processor.size.height == 8 and len(processor.image_mean) == 3
    assert json.loads(processor.to_json_string())["size"] == processor.size


def test_frozen_settings_are_pickled_copied_and_hashed() -> None:
    processor = vit()
    for again in (pickle.loads(pickle.dumps(processor)), copy.deepcopy(processor)):
        assert again == processor and hash(again.config) == hash(processor.config)
        with pytest.raises(ConfigError):
            again.size["height"] = 3
    assert processor.image_mean == (0.5, 0.5, 0.5) == tuple(processor.image_mean)
    assert hash(processor.image_mean) == hash((0.5, 0.5, 0.5))
    assert copy.deepcopy(processor.size) == pickle.loads(pickle.dumps(processor.size))


def test_settings_as_attributes_of_a_class_are_refused() -> None:
    cls = huggingface.ViTImageProcessor
    with pytest.raises(ConfigError, match=r"ViTImageProcessor\(size=\.\.\.\)"):
        cls.size = {"height": 8, "width": 8}
    with pytest.raises(ConfigError, match=r"Mine\(do_resize=\.\.\.\)"):

        class Mine(cls):
            do_resize = False

    class Own(cls):
        note = "kept"

        def again(self) -> Any:
            return self.size

    assert Own(size=8).again() == {"height": 8, "width": 8} and Own.size == cls.size
    assert Own.from_dict({"size": 6}).size.height == 6 and type(Own.from_dict({})) is Own


# -- sizes


def test_the_sides_of_a_size_are_attributes_as_in_transformers() -> None:
    sam = huggingface.SamImageProcessor()
    for ours, theirs in ((vit(), original("ViTImageProcessor")()), (sam, None)):
        theirs = theirs or original("SamImageProcessor")()
        for key in ("size", "pad_size", "mask_size", "mask_pad_size"):
            size, wanted = getattr(ours, key, None), getattr(theirs, key, None)
            assert (size is None) == (wanted is None), key
            for side in () if size is None else ("height", "width", "longest_edge", "max_width"):
                is_vit_size = ours is not sam and key == "size" and side in ("height", "width")
                value = {"height": 8, "width": 6}[side] if is_vit_size else getattr(wanted, side)
                assert getattr(size, side) == size[side] == value, (key, side)
    with pytest.raises(AttributeError, match="has no `depth`"):
        _ = sam.size.depth
    with pytest.raises(KeyError):
        _ = sam.size["depth"]


def test_a_size_of_transformers_is_a_size_here() -> None:
    image_utils = pytest.importorskip("transformers").image_utils
    size = image_utils.SizeDict(height=4, width=5)
    assert vit(size=size).size == {"height": 4, "width": 5}
    assert vit()(PIXELS, size=size).pixel_values.shape == (1, 3, 4, 5)
    assert vit().resize(PIXELS, size).shape == (4, 5, 3)


@pytest.mark.filterwarnings("ignore")  # of the originals
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SamImageProcessor", {"pad_size": {"height": 48, "width": 48}}),
        ("PixtralImageProcessor", {}),
        ("Idefics3ImageProcessor", {"max_image_size": {"longest_edge": 24}}),
        ("SmolVLMImageProcessor", {"max_image_size": {"longest_edge": 24}}),
    ],
)
def test_the_longest_edge_counts_whatever_is_said_of_the_shortest(
    name: str, settings: dict[str, Any]
) -> None:
    settings = {"size": {"shortest_edge": 30, "longest_edge": 48}, **settings}
    theirs = original(name).from_dict(settings)(WIDE, return_tensors="np").pixel_values
    ours = getattr(huggingface, name).from_dict(settings, backend="pil")(WIDE).pixel_values
    assert_close(np.asarray(ours), theirs, name)


# -- names of classes


CLASSES = {"0": {"name": "sky", "isthing": 0}, "1": {"name": "cat", "isthing": 1}}
NAMES = {"0": "sky", "1": "cat", "class_names": ["sky", "cat"], "thing_ids": [1]}


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_file_of_this_machine_may_be_given_in_code(
    as_path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(CLASSES))
    cls = huggingface.OneFormerImageProcessor
    given = {"class_info_file": as_path(file)}
    assert cls(**given).metadata == NAMES
    assert cls.from_dict({"repo_path": "org/names"}, **given).metadata == NAMES
    processor = cls()
    processor.class_info_file = given["class_info_file"]
    assert processor.metadata == NAMES
    monkeypatch.chdir(tmp_path)
    assert cls(repo_path=None, class_info_file=as_path("own.json")).metadata == NAMES


@pytest.mark.parametrize("key", ["class_info_file", "repo_path"])
def test_a_file_of_this_machine_in_a_config_is_refused(hub: Any, key: str, tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(CLASSES))
    content = {"image_processor_type": "OneFormerImageProcessor", "class_info_file": "own.json"}
    content[key] = str(file if key == "class_info_file" else tmp_path)
    hub.add("org/strange", {"preprocessor_config.json": content})
    with pytest.raises(JaxprepError, match=r"repository|inside"):
        _ = AutoImageProcessor.from_pretrained("org/strange").metadata


@pytest.mark.parametrize("metadata", [NAMES, CLASSES, {0: "sky", 1: "cat", **NAMES}])
def test_names_of_classes_may_be_a_dictionary_of_either_form(metadata: Any) -> None:
    cls = huggingface.OneFormerImageProcessor
    settings = {"size": {"height": 8, "width": 8}, "num_text": 2}
    wanted = [["a photo with a cat", "a semantic photo"]]
    maps = np.ones((40, 52), np.uint8)
    assert cls(metadata=metadata, **settings)(WIDE, ["semantic"], maps)["text_inputs"] == wanted
    in_a_call = cls(**settings)(WIDE, ["semantic"], maps, metadata=metadata)
    assert in_a_call["text_inputs"] == wanted


# -- backends


def test_a_processor_on_pil_is_of_the_class_that_transformers_names_so(tmp_path: Path) -> None:
    for name, row in classes.rows().items():
        content = {"image_processor_type": name}
        if "pil" not in row.backends:
            continue
        has_twin = len(row.backends) > 1
        processor = huggingface.BaseImageProcessor.from_dict(content, backend="pil")
        assert type(processor).__name__ == (f"{name}Pil" if has_twin else name)
        assert isinstance(processor, getattr(huggingface, name))
    content = {"image_processor_type": "YolosImageProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    for keywords in ({"backend": "pil"}, {"use_fast": False}):
        processor = AutoImageProcessor.from_pretrained(tmp_path, **keywords)
        assert type(processor) is huggingface.YolosImageProcessorPil
        assert type(pickle.loads(pickle.dumps(processor))) is type(processor)
        assert processor.to_dict()["image_processor_type"] == "YolosImageProcessor"
    default = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(default) is huggingface.YolosImageProcessor


def test_a_processor_that_was_loaded_says_its_class_as_an_attribute(tmp_path: Path) -> None:
    huggingface.ViTImageProcessor().save_pretrained(tmp_path)
    loaded = huggingface.AutoImageProcessor.from_pretrained(tmp_path)
    assert loaded.image_processor_type == "ViTImageProcessor"


def test_the_resize_of_mllama_is_traced_and_takes_antialias() -> None:
    processor = huggingface.MllamaImageProcessor()
    image = np.random.default_rng(0).integers(0, 255, (3, 64, 100)).astype(np.uint8)
    size = {"height": 16, "width": 16}
    smooth = jax.jit(lambda image: processor.resize(image, size, 4)[0])(image)
    sharp, tiles = processor.resize(image, size, 4, antialias=False)
    assert smooth.shape == sharp.shape and tiles == (2, 2)
    # of the base class, whose filter torchvision's own tests hold
    plain = huggingface.ViTImageProcessor().resize(image, sharp.shape[1:], 2, antialias=False)
    np.testing.assert_array_equal(sharp, plain)
