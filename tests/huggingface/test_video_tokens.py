"""Video processors whose results are patches or tokens: against Transformers' by goldens, and what
a call does with its videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from goldens import video_tokens_cases
from helpers.compilations import compilations
from helpers.huggingface.video import assert_as_golden, cases_of
from helpers.parity import EVERYTHING

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError
from jaxprep.huggingface import fonts, headers, timestamps

NAMES = sorted(f"{stem}VideoProcessor" for stem in video_tokens_cases.SETTINGS)
GRIDS = json.loads(Path(video_tokens_cases.__file__).with_name("video_grids.json").read_text())
EDGES = {"size": {"shortest_edge": 3136, "longest_edge": 14000}}


def _clip(length: int, height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(length).integers(0, 256, (length, height, width, 3), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_class(name: str) -> None:
    for case in cases_of(name, "video_tokens"):
        assert_as_golden(case, file="video_tokens")


@pytest.mark.parametrize("number", range(len(GRIDS)))
def test_numbers_of_patches_are_those_of_2000_random_videos(number: int) -> None:
    record = GRIDS[number]
    processor = getattr(huggingface, record["class"])(**record["settings"])
    parts = range(8) if EVERYTHING else range(number % 8, number % 8 + 1)
    found = video_tokens_cases.digests(video_tokens_cases.number_of_patches(processor), parts)
    assert found == [record["sha256"][part] for part in parts]


# -- calls -----------------------------------------------------------------------------------------


def test_videos_of_a_list_are_those_of_single_calls() -> None:
    processor = huggingface.Qwen2VLVideoProcessor(**EDGES)
    clips = [_clip(3), _clip(2, 90, 50).astype(np.float32), _clip(1)]
    together = processor(clips)
    alone = [processor(clip) for clip in clips]
    for name in ("pixel_values_videos", "video_grid_thw"):
        np.testing.assert_array_equal(together[name], np.concatenate([one[name] for one in alone]))
    counts = [processor.get_num_of_video_patches(len(clip), *clip.shape[1:3]) for clip in clips]
    assert sum(counts) == len(together.pixel_values_videos)


CALLS: dict[str, dict[str, Any]] = {
    "Qwen2VL": EDGES,
    "VideoLlama3": {
        "size": {"shortest_edge": 3136, "longest_edge": 60000},
        "return_metadata": False,
    },
    "Kimi_K25": {"max_patches": 30, "do_sample_frames": False},
    "Gemma4": {"patch_size": 4, "do_sample_frames": False},
    "SmolVLM": {"size": {"longest_edge": 100}, "max_image_size": {"longest_edge": 48}},
    "Molmo2": {"size": {"height": 70, "width": 70}, "do_sample_frames": False},
    "MiniCPMV4_6": {"scale_resolution": 56, "max_slice_nums": 2, "do_sample_frames": False},
    "NemotronH_Omni_Reasoning_V3": {
        "norm_mean": 0.5,
        "norm_std": 0.5,
        "video_target_num_patches": 30,
    },
}


SLOW = ("SmolVLM", "Molmo2", "Kimi_K25")
"""Classes that differ from others in what is compiled only."""


@pytest.mark.parametrize("stem", [stem for stem in CALLS if EVERYTHING or stem not in SLOW])
def test_inside_jit_a_call_gives_what_an_eager_call_gives(stem: str) -> None:
    processor = getattr(huggingface, f"{stem}VideoProcessor")(**CALLS[stem])
    batch = np.stack([_clip(3), _clip(3) // 2])
    # An array and a list of two lengths, by turns: what is behind them is the same for all classes.
    forms = [batch, [batch[0], batch[1][:2]]]
    turn = list(CALLS).index(stem) % 2
    for videos in forms if EVERYTHING or stem == "Qwen2VL" else forms[turn : turn + 1]:
        eager = processor(videos)
        traced = jax.jit(lambda videos: dict(processor(videos)))(videos)
        assert sorted(traced) == sorted(eager)
        for name, wanted in eager.items():
            ours, theirs = jax.tree.leaves(traced[name]), jax.tree.leaves(wanted)
            for one, other in zip(ours, theirs, strict=True):
                # Of levels, one may be another: see `TIES`.
                atol = 1 if np.asarray(other).dtype == np.uint8 else 5e-6
                np.testing.assert_allclose(one, other, atol=atol)


def test_smolvlm_pads_in_time_and_reads_how_its_checkpoints_sample() -> None:
    sampling = {"max_frames": 4, "fps": 2, "video_size": {"longest_edge": 100}}
    processor = huggingface.SmolVLMVideoProcessor(
        video_sampling=sampling, max_image_size={"longest_edge": 48}
    )
    assert (processor.num_frames, processor.fps) == (4, 2)
    assert processor.size == {"longest_edge": 100}
    given = processor([_clip(3), _clip(1)])
    assert given.pixel_values.shape == (2, 3, 3, 48, 48)
    assert not np.any(given.pixel_values[1, 1:])
    assert np.all(given.pixel_attention_mask)


def test_minicpm_stacks_the_frames_that_sampling_takes() -> None:
    processor = huggingface.MiniCPMV4_6VideoProcessor(scale_resolution=56, stack_frames=3)
    metadata = {"total_num_frames": 30, "fps": 10, "duration": 3.0}
    given = processor(_clip(30), video_metadata=metadata)
    assert given.num_frames_per_video == [6]
    assert len(given.grids_videos) == len(given.num_patches_per_frame) == 6
    with pytest.raises(InputError, match="duration"):
        processor(_clip(30), do_sample_frames=False)
    with pytest.raises(InputError, match="more than 6 frames"):
        processor(_clip(6), video_metadata=metadata, do_sample_frames=False)


def test_videos_of_many_lengths_and_sizes_compile_a_handful_of_programs() -> None:
    processor = huggingface.Qwen3VLVideoProcessor(
        size={"shortest_edge": 12544, "longest_edge": 60000}, do_sample_frames=False
    )
    with compilations() as names:
        for length in range(2, 12):
            for height, width in [(180, 240), (200, 250), (224, 224), (240, 180)]:
                processor(np.zeros((length, height, width, 3), np.uint8), return_tensors="np")
    assert len(names) <= 8, names


def test_times_are_drawn_on_a_copy_by_a_font_of_the_caller() -> None:
    processor = huggingface.Ernie4_5_VLMoeVideoProcessor(font=video_tokens_cases.font_file())
    clip = _clip(2, 120, 160)
    before = clip.copy()
    drawn = processor(clip, **EDGES).pixel_values_videos
    np.testing.assert_array_equal(clip, before)
    assert np.any(drawn != processor(clip, **EDGES, draw_on_frames=False).pixel_values_videos)
    with pytest.raises(InputError, match="`font`"):
        huggingface.Ernie4_5_VLMoeVideoProcessor(font="/no/such/font.ttf")(clip)
    with pytest.raises(InputError, match="uint8"):
        processor(clip.astype(np.float32))
    with pytest.raises(InputError, match="draw_on_frames=False"):
        jax.jit(lambda clip: processor(clip).pixel_values_videos)(clip)


def test_files_of_fonts_are_regular_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = video_tokens_cases.font_file()
    readers: list[Any] = [
        lambda font: timestamps.open_font(font, 8),
        lambda font: headers.font_file(font_path=font),
    ]
    for read in readers:
        assert read(path) is not None
        with pytest.raises(InputError, match="regular file, got a device"):
            read("/dev/null")
    monkeypatch.setattr(fonts, "MAX_FONT", 100)
    for read in readers:
        with pytest.raises(InputError, match="at most 100 bytes"):
            read(path)
    with pytest.raises(InputError, match="at most 100 bytes"):
        headers.font_file(Path(path).read_bytes())


def test_the_pixels_that_qwen3_5_recommends_for_hours_are_those_of_all_frames() -> None:
    size = {"longest_edge": 469762048, "shortest_edge": 4096}
    processor = huggingface.Qwen3VLVideoProcessor(size=size)
    # `get_num_of_video_patches` of Transformers 5.24.
    assert processor.get_num_of_video_patches(700, 1080, 1920) == 904400
    with pytest.raises(ConfigError, match=r"from 1 to 1099511627776, got `10{13}`"):
        huggingface.Qwen3VLVideoProcessor(size=size | {"longest_edge": 10**13})


def test_what_cannot_be_patches_is_one_error() -> None:
    processor = huggingface.Qwen3VLVideoProcessor(do_sample_frames=False)
    with pytest.raises(InputError, match="at least 2 frames"):
        processor(_clip(1))
    with pytest.raises(InputError, match="multiples of 32"):
        processor(_clip(2), do_resize=False)
    with pytest.raises(InputError, match="at least 1"):
        processor.get_num_of_video_patches(0, 60, 90)
    with pytest.raises(ConfigError, match="norm_mean"):
        huggingface.NemotronH_Omni_Reasoning_V3VideoProcessor()
    large = huggingface.Qwen2VLVideoProcessor(size={"shortest_edge": 2**25, "longest_edge": 2**26})
    with pytest.raises(InputError, match="results of at most"):
        large(np.zeros((200, 28, 28, 3), np.uint8))
