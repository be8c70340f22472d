"""Video processors: against Transformers' by goldens, and the contract of a call."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from goldens import store, video_cases, vlm_results
from helpers.compilations import compilations
from helpers.huggingface.video import assert_as_golden, cases_of
from helpers.huggingface.vision_language import as_type_of

import jaxprep
from jaxprep import huggingface
from jaxprep.errors import (
    ArgumentError,
    ConfigError,
    DecodeError,
    InputError,
    PresetNotFoundError,
)
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.huggingface import video_call

NAMES = sorted(video_cases.SETTINGS)
SMALL = {"size": {"height": 12, "width": 10}}


def _clip(length: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(length).integers(0, 256, (length, height, width, 3), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_class(name: str) -> None:
    for case in cases_of(name):
        assert_as_golden(case)


def test_every_class_has_goldens() -> None:
    cases = [*store.golden("video").cases, *store.golden("video_tokens").cases]
    assert {*classes.video_rows()} == {case["class"] for case in cases if "class" in case}


@pytest.mark.parametrize("number", range(len(video_cases.POST)))
def test_outputs_of_models_become_what_the_class_makes_of_them(number: int) -> None:
    case = [case for case in store.golden("video").cases if "post" in case][number]
    assert (case["post"], case["method"], case["options"]) == video_cases.POST[number]
    outputs = video_cases.outputs()
    processor = getattr(huggingface, case["post"])(size={"height": 48, "width": 40})
    if case["method"] == "post_process_masks":
        masks = list(outputs["masks_queries_logits"][:, None])
        sizes = (video_cases.TARGETS, [[30, 36], [40, 20]])
        found = processor.post_process_masks(masks, *sizes, **case["options"])
    else:
        method = getattr(processor, case["method"])
        found = method(outputs, video_cases.TARGETS, **case["options"])
    ours = vlm_results.leaves({str(i): one for i, one in enumerate(found)})
    assert sorted(ours) == sorted(case["names"])
    for name, array in ours.items():
        theirs = store.golden("video").pair(case[name], as_type_of(array, case[name]["dtype"]))
        np.testing.assert_allclose(*theirs, atol=2e-5, err_msg=name)


# -- what is passed --------------------------------------------------------------------------------


def test_a_video_gives_the_same_in_every_form() -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    clip = _clip(4)
    pictures = video_cases.clip(video_cases.TINY)
    wanted = np.asarray(processor(clip).pixel_values_videos)
    first = np.moveaxis(clip, -1, 1)
    forms = [
        clip[None],
        [clip],
        [[clip]],
        list(clip),
        [list(clip)],
        first,
        [first],
        jax.numpy.asarray(clip),
    ]
    for form in forms:
        np.testing.assert_array_equal(processor(form).pixel_values_videos, wanted)
    by_pil = processor(pictures).pixel_values_videos
    by_array = processor(video_cases.array(video_cases.TINY)).pixel_values_videos
    np.testing.assert_array_equal(by_pil, by_array)


def test_videos_of_a_list_are_those_of_single_calls() -> None:
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12)
    clips = [_clip(3), _clip(5, 40, 24), _clip(3)]
    together = processor(clips).pixel_values
    assert [one.shape[0] for one in together] == [3, 5, 3]
    for clip, result in zip(clips, together, strict=True):
        np.testing.assert_array_equal(result, processor(clip).pixel_values[0])
    with pytest.raises(InputError, match="Pad them"):
        processor(clips, return_tensors="np")


def test_each_clip_of_a_call_may_have_its_own_layout() -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    clip = _clip(2)
    both = processor([clip, np.moveaxis(clip, -1, 1)]).pixel_values_videos
    np.testing.assert_array_equal(both[0], both[1])


def test_opaque_alpha_is_dropped_and_other_alpha_laid_over_white() -> None:
    processor = huggingface.InternVLVideoProcessor(do_resize=False, do_normalize=False)
    clip = _clip(2)
    opaque = np.concatenate([clip, np.full((*clip.shape[:3], 1), 255, np.uint8)], -1)
    np.testing.assert_array_equal(
        processor(opaque).pixel_values_videos, processor(clip).pixel_values_videos
    )
    opaque[..., 3] = 0
    assert np.allclose(processor(opaque).pixel_values_videos, 1)
    for alpha in (255, 102):
        opaque[..., 3] = alpha
        floats = processor(opaque.astype(np.float32) / 255, do_rescale=False).pixel_values_videos
        np.testing.assert_allclose(floats, processor(opaque).pixel_values_videos, atol=1e-6)
    with pytest.raises(InputError, match=r"\[0, 1\].* at `videos`"):
        processor(opaque.astype(np.float32))


def test_inside_jit_floats_with_alpha_are_laid_over_white_and_other_types_refused() -> None:
    processor = huggingface.InternVLVideoProcessor(
        do_resize=False, do_normalize=False, do_rescale=False
    )
    clip = np.concatenate([_clip(2), _clip(2)[..., :1]], -1)
    floats = clip.astype(np.float32) / 255
    traced = jax.jit(lambda clip: processor(clip).pixel_values_videos)(floats)
    np.testing.assert_allclose(traced, processor(floats).pixel_values_videos, atol=2e-6)
    with pytest.raises(InputError, match="got RGBA of uint8 - at `videos`"):
        jax.jit(lambda clip: processor(clip).pixel_values_videos)(clip)


NO_VIDEOS = [None, [], [[]], np.zeros((4, 4)), np.zeros((2,) * 6), 3, {"a": 1}, [1.5]]


@pytest.mark.parametrize("wrong", [*NO_VIDEOS, np.zeros((0, 4, 6, 3))])
def test_what_is_no_video_is_one_error(wrong: Any) -> None:
    with pytest.raises(InputError, match="videos"):
        huggingface.InternVLVideoProcessor(**SMALL)(wrong)


def test_frames_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="frames of one size"):
        huggingface.InternVLVideoProcessor(**SMALL)([_clip(1)[0], _clip(1, 8, 8)[0]])


# -- sampling --------------------------------------------------------------------------------------


def test_sampled_frames_are_the_frames_at_the_indices() -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    clip = _clip(30)
    given = processor(clip, do_sample_frames=True, num_frames=4, return_metadata=True)
    indices = list(given.video_metadata[0].frames_indices)
    assert indices == processor.sample_frames({"total_num_frames": 30}, num_frames=4).tolist()
    np.testing.assert_array_equal(
        given.pixel_values_videos, processor(clip[indices]).pixel_values_videos
    )


def test_metadata_of_the_caller_stays_as_it_is() -> None:
    metadata = {"total_num_frames": 30, "fps": 10}
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12)
    given = processor(
        _clip(30), do_sample_frames=True, fps=2, video_metadata=metadata, return_metadata=True
    )
    assert metadata == {"total_num_frames": 30, "fps": 10}
    assert given.video_metadata[0].timestamps == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert given.video_metadata[0].sampled_fps == 2.0


def test_metadata_that_does_not_fit_the_videos_is_refused() -> None:
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12)
    with pytest.raises(InputError, match="metadata for each of the 2 videos"):
        processor([_clip(2), _clip(3)], video_metadata=[{"total_num_frames": 2}])
    wrong = {"total_num_frames": 400, "fps": 10, "frames_indices": [0, 100]}

    def call(clip: Any) -> Any:
        return processor(clip, video_metadata=wrong)

    for function in (call, jax.jit(call)):
        with pytest.raises(InputError, match="frames that are passed, got 2 - at `video_metadata`"):
            function(_clip(3))
    other = {"total_num_frames": 400, "fps": 10}

    def sample(clip: Any) -> Any:
        return processor(clip, do_sample_frames=True, num_frames=8, video_metadata=other)

    for function in (sample, jax.jit(sample)):
        with pytest.raises(InputError, match="metadata of a video of 4 frames, got those of 400"):
            function(_clip(4))


def test_huge_requests_are_refused_before_memory_is_taken() -> None:
    processor = huggingface.PeVideoVideoProcessor()
    with pytest.raises(InputError, match="at most"):
        processor(_clip(2, 200, 300), do_sample_frames=True, num_frames=10**6)
    with pytest.raises(ConfigError, match="num_frames"):
        processor(_clip(2), do_sample_frames=True, num_frames=10**9)
    large = huggingface.InternVLVideoProcessor(size={"height": 4000, "width": 4000})
    with pytest.raises(InputError, match="results of at most"):
        large(np.zeros((3000, 2, 2, 3), np.uint8))
    sliced = huggingface.MiniCPMV4_6VideoProcessor(scale_resolution=1400, max_slice_nums=9)
    frames = np.broadcast_to(np.zeros((), np.uint8), (9000, 4, 4, 3))
    with pytest.raises(InputError, match="results of at most"):
        sliced(frames, do_sample_frames=False)


def test_the_results_of_a_call_are_counted_together_and_with_their_padding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = 2 * 48 * 48 * 3 * 4
    monkeypatch.setattr(video_call, "MAX_RESULT_BYTES", one * 3 // 2)
    clip = np.zeros((2, 48, 48, 3), np.uint8)
    plain = huggingface.VideoMAEVideoProcessor(do_resize=False, do_center_crop=False)
    assert plain(clip).pixel_values.shape == (1, 2, 3, 48, 48)
    with pytest.raises(InputError, match=f"got {2 * one} - at `videos`"):
        plain([clip, clip.astype(np.float32)], do_rescale=False)
    sequences = huggingface.Gemma4VideoProcessor(do_resize=False, do_sample_frames=False)
    with pytest.raises(InputError, match=f"got {2 * 630 * 768 * 4} - at `videos`"):
        sequences(clip)


# -- programs --------------------------------------------------------------------------------------


def test_inside_jit_a_batch_gives_what_an_eager_call_gives() -> None:
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12)
    clips = np.stack([_clip(6), _clip(6) // 2])
    call = {"do_sample_frames": True, "num_frames": 3}
    eager = processor(clips, **call).pixel_values
    traced = jax.jit(lambda clips: dict(processor(clips, **call)))(clips)["pixel_values"]
    assert traced.shape == (2, 3, 3, 12, 12)
    np.testing.assert_allclose(traced, eager, atol=2e-6)
    one = jax.jit(lambda clip: processor(clip, **call).pixel_values)(clips[0])
    np.testing.assert_allclose(one, eager[:1], atol=2e-6)
    listed = jax.jit(lambda a, b: processor([a, b]).pixel_values)(clips[0], clips[1][:2])
    assert [one.shape[0] for one in listed] == [6, 2]
    for form in (
        lambda clip: [[clip, clip]],
        lambda clip: [[[*clip]], [clip]],
        lambda clip: clip[0],
    ):
        nested = jax.jit(lambda clip, form=form: processor(form(clip)).pixel_values)(clips[0])
        np.testing.assert_allclose(nested, processor(form(clips[0])).pixel_values, atol=2e-6)
    with pytest.raises(InputError, match="frames of one size"):
        jax.jit(lambda clip: processor([clip[0], clip[0, 1:]]))(clips[0])


def test_long_videos_go_in_parts() -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    clip = _clip(150)
    whole = np.asarray(processor(clip).pixel_values_videos[0])
    parts = [processor(clip[i : i + 50]).pixel_values_videos[0] for i in (0, 50, 100)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_videos_of_many_lengths_and_sizes_compile_a_handful_of_programs() -> None:
    processor = huggingface.InternVLVideoProcessor(size={"height": 33, "width": 35})
    sizes = [(180, 240), (200, 250), (256, 192), (224, 224), (240, 180)]
    with compilations() as names:
        for length in range(1, 21):
            for height, width in sizes:
                processor(np.zeros((length, height, width, 3), np.uint8), return_tensors="np")
    assert len(names) <= 6, names


# -- configs ---------------------------------------------------------------------------------------


def _folder(tmp_path: pathlib.Path, **files: Any) -> str:
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return str(tmp_path)


def test_of_the_files_of_a_folder_the_first_that_counts_is_read(tmp_path: pathlib.Path) -> None:
    own = {"video_processor_type": "VideoMAEVideoProcessor", "size": 30}
    old = {"image_processor_type": "VideoMAEImageProcessor", "size": 20}
    folder = _folder(tmp_path, preprocessor_config=old)
    assert jaxprep.AutoVideoProcessor.from_pretrained(folder).size.shortest_edge == 20
    _folder(tmp_path, video_preprocessor_config=own)
    assert jaxprep.AutoVideoProcessor.from_pretrained(folder).size.shortest_edge == 30
    _folder(tmp_path, processor_config={"image_processor": old})
    assert jaxprep.AutoVideoProcessor.from_pretrained(folder).size.shortest_edge == 30
    _folder(tmp_path, processor_config={"video_processor": {**own, "size": 40}})
    processor = jaxprep.AutoVideoProcessor.from_pretrained(folder)
    assert processor.size.shortest_edge == 40
    assert isinstance(processor, huggingface.VideoMAEVideoProcessor)


@pytest.mark.parametrize(
    "image_class, model_type, stem",
    [
        ("CLIPImageProcessor", "llava_next_video", "LlavaNextVideo"),
        ("LlavaNextImageProcessor", "llava_next_video", "LlavaNextVideo"),
        ("VideoMAEImageProcessor", None, "VideoMAE"),
        ("VideoMAEFeatureExtractor", None, "VideoMAE"),
        ("LlavaOnevisionImageProcessorFast", None, "LlavaOnevision"),
        (None, "instructblip", "InstructBlipVideo"),
        (None, "videoprism", "LlavaOnevision"),
    ],
)
def test_the_class_is_found_by_its_type_or_the_model(
    tmp_path: pathlib.Path, image_class: str | None, model_type: str | None, stem: str
) -> None:
    folder = _folder(tmp_path, preprocessor_config={"image_processor_type": image_class})
    if model_type:
        _folder(tmp_path, config={"model_type": model_type})
    found = type(jaxprep.AutoVideoProcessor.from_pretrained(folder))
    assert found.__name__ == f"{stem}VideoProcessor"


@pytest.mark.parametrize(
    "content, message",
    [
        ({"video_processor_type": "NoVideoProcessor"}, "got `NoVideoProcessor`"),
        ({"image_processor_type": "CLIPImageProcessor"}, "which has none for videos"),
        ({"size": 8}, "got no type at all"),
        ({"auto_map": {"AutoVideoProcessor": "a.B"}}, "which is never run"),
    ],
)
def test_what_is_not_read_is_one_error(content: dict, message: str, tmp_path: pathlib.Path) -> None:
    folder = _folder(tmp_path, video_preprocessor_config=content)
    with pytest.raises(ConfigError, match=message):
        jaxprep.AutoVideoProcessor.from_pretrained(folder)


def test_image_classes_do_not_read_videos(tmp_path: pathlib.Path) -> None:
    content = {"video_processor_type": "VideoMAEVideoProcessor", "do_resize": True, "size": 8}
    folder = _folder(tmp_path, preprocessor_config={**content, "do_normalize": True})
    with pytest.raises(ConfigError, match=r"`jaxprep\.AutoVideoProcessor` reads"):
        jaxprep.AutoImageProcessor.from_pretrained(folder)
    with pytest.raises(ConfigError):
        jaxprep.AutoVideoProcessor.from_pretrained(
            _folder(
                tmp_path, video_preprocessor_config={"image_processor_type": "ViTImageProcessor"}
            )
        )


def test_a_processor_is_saved_and_read_again(tmp_path: pathlib.Path) -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL, num_frames=4, initial_shift=False)
    (file,) = processor.save_pretrained(tmp_path)
    assert pathlib.Path(file).name == "video_preprocessor_config.json"
    again = jaxprep.AutoVideoProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict() and again.initial_shift is False
    assert json.loads(processor.to_json_string())["video_processor_type"] == type(again).__name__
    old = {"image_processor_type": "InternVLImageProcessor", "num_frames": None}
    content = huggingface.BaseVideoProcessor.from_dict(old).to_dict()
    assert content["video_processor_type"] == "InternVLVideoProcessor"
    assert "image_processor_type" not in content


def test_vjepa_2_derives_its_resize_from_the_crop() -> None:
    made = huggingface.VJEPA2VideoProcessor(size={"shortest_edge": 8}, crop_size=32)
    assert made.size == {"shortest_edge": 36}
    assert made(_clip(1), size={"shortest_edge": 64}).pixel_values_videos.shape[-2:] == (32, 32)
    with pytest.raises(ConfigError, match="crop_size"):
        huggingface.VJEPA2VideoProcessor(crop_size={"shortest_edge": 8})


def test_unknown_arguments_are_refused() -> None:
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    with pytest.raises(ArgumentError, match="takes no `colour`"):
        processor(_clip(1), colour=1)
    with pytest.raises(ConfigError, match=r"`\$\.fps`"):
        processor(_clip(9), do_sample_frames=True, fps="fast")


def test_the_config_of_a_class_of_videos_is_a_format() -> None:
    config = HuggingFace("VideoMAEVideoProcessor", {"size": 8, "crop_size": 8})
    assert config.pipeline.output_size((20, 30)) == (8, 8)


def test_a_repository_round_trips_through_the_hub(hub: Any, tmp_path: pathlib.Path) -> None:
    image = {"image_processor_type": "LlavaOnevisionImageProcessor", "size": 9}
    video = {"video_processor_type": "InternVLVideoProcessor", **SMALL}
    files = {"preprocessor_config.json": image, "video_preprocessor_config.json": video}
    hub.add("user/model", files)
    processor = jaxprep.AutoVideoProcessor.from_pretrained("user/model", token=hub.TOKEN)
    assert processor.size == SMALL["size"]
    processor.push_to_hub("user/copy", token=hub.TOKEN)
    (commit,) = hub.commits
    assert list(commit.files) == ["video_preprocessor_config.json"]
    assert commit.message == "Upload video processor"
    hub.add("user/old", {"preprocessor_config.json": image})
    assert jaxprep.AutoVideoProcessor.from_pretrained("user/old").size.shortest_edge == 9
    hub.add("user/none", {"config.json": {"model_type": "videomae"}})
    with pytest.raises(PresetNotFoundError):
        jaxprep.AutoVideoProcessor.from_pretrained("user/none")


def test_a_sharded_batch_stays_sharded() -> None:
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12)
    mesh = jax.make_mesh((1,), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.P("data"))
    clips = jax.device_put(np.stack([_clip(3), _clip(3)]), sharding)
    assert processor(clips).pixel_values.sharding.mesh == mesh
    with jax.set_mesh(mesh):
        call = jax.jit(lambda clips: processor(clips).pixel_values)
        text = call.lower(clips).compile().as_text()
    assert "all-gather" not in text and "all-to-all" not in text


# -- files -----------------------------------------------------------------------------------------


def test_of_a_file_only_the_sampled_frames_are_decoded(tmp_path: pathlib.Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            frame = np.full((48, 64, 3), 8 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    processor = huggingface.VideoMAEVideoProcessor(size=16, crop_size=12, do_normalize=False)
    given = processor(str(path), do_sample_frames=True, fps=2, return_metadata=True)
    assert given.video_metadata[0].frames_indices == (0, 5, 10, 15, 20, 25)
    means = np.asarray(given.pixel_values).mean((0, 2, 3, 4)) * 255
    np.testing.assert_allclose(means, np.arange(0, 30, 5) * 8, atol=4)
    by_bytes = processor([path.read_bytes(), path], do_sample_frames=True, fps=2).pixel_values
    np.testing.assert_array_equal(by_bytes[0], given.pixel_values[0])
    np.testing.assert_array_equal(by_bytes[1], given.pixel_values[0])
    frames, metadata = processor.fetch_videos([str(path)] * 2, lambda metadata: [3, 9])
    assert [one.shape for one in frames] == [(2, 48, 64, 3)] * 2
    assert metadata[1].frames_indices == (3, 9)
    numbers = iter([[5], [0]])
    frames, metadata = processor.fetch_videos(str(path), lambda metadata: next(numbers))
    assert metadata.frames_indices == (5,)
    np.testing.assert_allclose(frames.mean(), 40, atol=4)
    with pytest.raises(DecodeError, match="does not exist"):
        processor(str(tmp_path / "none.mp4"))


def test_nested_lists_of_picture_files_are_videos(tmp_path: pathlib.Path) -> None:
    paths = []
    for i, picture in enumerate(video_cases.clip({**video_cases.TINY, "length": 4})):
        picture.save(tmp_path / f"{i}.png")
        paths.append(str(tmp_path / f"{i}.png"))
    processor = huggingface.InternVLVideoProcessor(**SMALL)
    given = processor([[paths, paths[:2]]], return_metadata=True)
    assert [one.shape[0] for one in given.pixel_values_videos] == [4, 2]
    chosen = processor([[paths]], do_sample_frames=True, num_frames=2)
    assert chosen.pixel_values_videos.shape[1] == 2
