"""Rules for the indices of the frames that a model sees: host arithmetic without pixels.

A rule is a function of a `Clip` and of settings by their names, under `@rule`; a row of
`presets/huggingface_video.json` names it. Each reproduces `sample_frames` of
`transformers/models/<model>/video_processing_<model>.py`, Transformers 5.24, number by number,
float32 of PyTorch included.

Where the original fails, by an index beyond the end or a clip too short for its arithmetic, a rule
gives what was meant: the indices without that beyond the end, or the first frame. Where a request
cannot be met, such as more frames than there are, it is one `InputError`, as in the original a
`ValueError`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxprep.errors import InputError

MAX_INDICES = 2**20
"""Of one request: ten hours at 30 frames a second."""
MAX_TOTAL = 2**24
"""The frames of a video: three days at 60 a second. Some rules look at the time of each."""
DEFAULT_FPS = 24.0
"""The rate that some classes assume where a video's is not known."""


class Clip(NamedTuple):
    """What a rule knows of a video.

    Attributes:
        total: how many frames it has.
        fps: its frames a second, None where not known.
        duration: in seconds, None where not known.

    >>> Clip(90, 30.0, 3.0).frames_at(2)
    6.0
    """

    total: int
    fps: float | None = None
    duration: float | None = None

    def frames_at(self, fps: float) -> float:
        """Return how many frames the clip has at another rate.

        Raises:
            InputError: the rate of the clip is not known.
        """
        return self.total / self.known_fps * fps

    @property
    def known_fps(self) -> float:
        """The rate of the clip.

        Raises:
            InputError: it is not known.
        """
        if self.fps is None:
            raise InputError(
                "Expected the frames a second of the video, which this sampling needs, got none - "
                "at `video_metadata.fps`. Pass `video_metadata`, or `do_sample_frames=False`."
            )
        return self.fps

    @property
    def known_duration(self) -> float:
        """The seconds of the clip.

        Raises:
            InputError: they are not known.
        """
        if self.duration is None:
            raise InputError(
                "Expected the seconds of the video, which this sampling needs, got none - at "
                "`video_metadata.duration`. Pass `video_metadata`, or `do_sample_frames=False`."
            )
        return self.duration


OWN = "own_"
"""What the name of a parameter of a rule begins with that is the processor's own setting."""
Indices = Iterable[int]
Function = TypeVar("Function", bound=Callable[..., Indices])
Value = TypeVar("Value")


class Rule(NamedTuple):
    """A function of a `Clip` and of settings, and how a call's settings count in it.

    Attributes:
        indices: the function; each parameter after the first is the setting of that name, with the
            prefix `OWN` that of the processor, whatever a call says.
        is_exclusive: `num_frames` and `fps` exclude each other.
        optional: the settings that a call may pass as None for "none"; in all others None means the
            processor's own value.
        assume: what is taken for true of a clip whose rate is not known; None where nothing is.

    >>> RULES["uniform"].settings
    ('num_frames', 'fps')
    """

    indices: Callable[..., Indices]
    is_exclusive: bool
    optional: tuple[str, ...]
    assume: Callable[[Clip, Mapping[str, Any]], Clip] | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that it reads."""
        names = tuple(inspect.signature(self.indices).parameters)[1:]
        return tuple(name for name in names if not name.startswith(OWN))

    @property
    def of_processor(self) -> tuple[str, ...]:
        """The names of its parameters that are settings of the processor, without `OWN`."""
        names = inspect.signature(self.indices).parameters
        return tuple(name.removeprefix(OWN) for name in names if name.startswith(OWN))

    @property
    def needed(self) -> tuple[str, ...]:
        """Those of them that are never None, as the annotations of the function say; of others a
        rule may need one for some requests."""
        parameters = list(inspect.signature(self.indices).parameters.values())[1:]
        return tuple(one.name for one in parameters if "None" not in str(one.annotation))


RULES: dict[str, Rule] = {}
"""Every rule by its name, which is what a row's `sampling` says."""


def rule(
    is_exclusive: bool = False,
    optional: tuple[str, ...] = (),
    assume: Callable[[Clip, Mapping[str, Any]], Clip] | None = None,
) -> Callable[[Function], Function]:
    """Register a function under its own name; arguments as in `Rule`.

    >>> @rule()
    ... def first_frame(clip):
    ...     return [0]
    >>> sample("first_frame", Clip(8)).tolist()
    [0]
    >>> RULES.pop("first_frame").settings
    ()
    """

    def register(function: Function) -> Function:
        RULES[function.__name__] = Rule(function, is_exclusive, optional, assume)
        return function

    return register


def sample(
    name: str,
    clip: Clip,
    settings: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Return the indices of the frames that a rule takes of a clip, int64: at least one.

    Args:
        name: of the rule.
        clip: the video.
        settings: those that the rule reads, by name; a missing one is None.
        own: those of the processor, which count where `settings` has None, except for the rule's
            `optional` ones.

    Raises:
        InputError: the request cannot be met, or needs what is not known of the clip.

    >>> sample("uniform", Clip(90, 30.0), {"fps": 2}).tolist()
    [0, 15, 30, 45, 60, 75]
    """
    if not 1 <= clip.total <= MAX_TOTAL:
        raise InputError(f"Expected a video of 1 to {MAX_TOTAL} frames, got {clip.total}.")
    chosen_rule = RULES[name]
    chosen = _merged(chosen_rule, settings, own)
    for key in chosen_rule.needed:
        _known(key, chosen[key])
    clip = assumed(name, clip, settings, own)
    indices = np.asarray(list(chosen_rule.indices(clip, **chosen)), np.int64)
    _bounded(len(indices))
    # Beyond the end is where the original raises an `IndexError`.
    indices = indices[indices < clip.total]
    if not len(indices):
        return np.zeros(1, np.int64)
    return indices


def assumed(
    name: str,
    clip: Clip,
    settings: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> Clip:
    """Return a clip with what its rule takes for true where it is not known; arguments as in
    `sample`.

    >>> assumed("spread", Clip(8)).fps, assumed("uniform", Clip(8)).fps
    (24.0, None)
    """
    chosen_rule = RULES[name]
    if chosen_rule.assume is None:
        return clip
    chosen = _merged(chosen_rule, settings, own)
    return chosen_rule.assume(clip, chosen)


def _merged(
    chosen_rule: Rule, settings: Mapping[str, Any] | None, own: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The settings that a rule reads, those of a call before the processor's own."""
    settings = settings or {}
    own = own or {}
    chosen = {key: settings.get(key) for key in chosen_rule.settings}
    has_count = chosen.get("num_frames") is not None
    has_rate = chosen.get("fps") is not None
    if chosen_rule.is_exclusive and has_count and has_rate:
        raise InputError(
            "Expected `num_frames` or `fps`, which exclude each other, got both - at `fps`. Pass "
            "None for the one that is not meant."
        )
    for key, value in chosen.items():
        if value is None and key not in chosen_rule.optional:
            chosen[key] = own.get(key)
    chosen |= {f"{OWN}{key}": own.get(key) for key in chosen_rule.of_processor}
    return chosen


def _assume_24(clip: Clip, settings: Mapping[str, Any]) -> Clip:
    """24 frames a second."""
    del settings
    if clip.fps:
        return clip
    return clip._replace(fps=DEFAULT_FPS)


def _assume_max_fps(clip: Clip, settings: Mapping[str, Any]) -> Clip:
    """Molmo 2: as many frames a second as are asked for, or may be."""
    fps = clip.fps or settings["fps"] or settings["max_fps"] or DEFAULT_FPS
    duration = clip.duration
    if duration is None:
        duration = clip.total / fps
    return Clip(clip.total, fps, duration)


def _known(name: str, value: Value | None) -> Value:
    """A setting that a request is sampled by."""
    if value is None:
        raise InputError(f"Expected a number, which this class samples by, got None - at `{name}`.")
    return value


def _at_most(count: float, most: int, name: str = "num_frames") -> None:
    if count > most:
        raise InputError(
            f"Expected at most as many frames as the video has, {most}, got {count:g} - at "
            f"`{name}`. Decrease `num_frames` or `fps`."
        )


def _bounded(count: float) -> int:
    """A number of frames that a request asks for, before memory is taken for it."""
    if count > MAX_INDICES:
        raise InputError(f"Expected at most {MAX_INDICES} frames, got {count:g} - at `fps`.")
    return int(count)


# -- the arithmetic of the libraries -------------------------------------------------------------


def torch_arange(start: float, end: float, step: float) -> np.ndarray:
    """Return `torch.arange(start, end, step).int()`, whose numbers are float32.

    `arange_kernel` of
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/RangeFactoriesKernel.cpp
    computes two vectors of 8 at a time, each from its first number, which is rounded to float32;
    the rest one by one.

    >>> torch_arange(0, 34, 34 / 14).tolist()[-2:]
    [31, 34]
    """
    count = math.ceil((end - start) / step)
    count = _bounded(max(count, 0))
    i = np.arange(count, dtype=np.float64)
    numbers = (start + step * i).astype(np.float32)
    # 8 float32 are a vector of AVX2; torch 2.13 has it so on a CPU with AVX-512 too (measured).
    in_vectors = count // 16 * 16
    lane = i[:in_vectors] % 8
    first_of_vector = i[:in_vectors] - lane
    first = (start + step * first_of_vector).astype(np.float32)
    numbers[:in_vectors] = (first.astype(np.float64) + lane * step).astype(np.float32)
    return numbers.astype(np.int64)


def torch_linspace(last: int, count: int) -> np.ndarray:
    """Return `torch.linspace(0, last, count).long()`, whose numbers are float32.

    `linspace_kernel` of the same file counts the second half from the end.

    >>> torch_linspace(89, 6).tolist()
    [0, 17, 35, 53, 71, 89]
    """
    if count == 1:
        return np.zeros(1, np.int64)
    end = np.float32(last)
    steps = np.float32(count - 1)
    step = end / steps
    i = np.arange(count, dtype=np.float32)
    from_start = step * i
    from_end = end - step * (steps - i)
    is_first_half = np.arange(count) < count // 2
    numbers = np.where(is_first_half, from_start, from_end)
    return numbers.astype(np.int64)


def _linspace(start: float, end: float, count: int) -> list[int]:
    """`numpy.linspace(start, end, count, dtype=int)`, which floors."""
    return np.linspace(start, end, count, dtype=int).tolist()


def _distinct_and_even(indices: Iterable[int]) -> list[int]:
    """Indices without repetitions, in their order; the last one twice where their number is odd, as
    the GLM classes pair frames.
    """
    distinct = list(dict.fromkeys(indices)) or [0]
    if len(distinct) % 2:
        distinct.append(distinct[-1])
    return distinct


# -- rules ---------------------------------------------------------------------------------------


@rule(is_exclusive=True)
def uniform(clip: Clip, num_frames: int | None, fps: float | None) -> Indices:
    """Take frames at equal distances from the first on; all of them where nothing is asked for:
    `default_sample_indices_fn` of `transformers/video_utils.py`.

    >>> list(uniform(Clip(9), num_frames=4, fps=None))
    [0, 2, 4, 6]
    """
    if num_frames is None and fps is not None:
        num_frames = max(1, int(clip.frames_at(fps)))
    if num_frames is None:
        return range(clip.total)
    _at_most(num_frames, clip.total)
    return [i * clip.total // num_frames for i in range(num_frames)]


@rule(is_exclusive=True)
def stepped(
    clip: Clip,
    num_frames: int | None,
    fps: float | None,
    temporal_patch_size: int | None,
    min_frames: int | None,
    max_frames: int | None,
) -> np.ndarray:
    """Qwen2-VL, VideoLLaMA 3: take a multiple of `temporal_patch_size` frames, at equal distances
    in float32; a rate needs `min_frames` and `max_frames`, a number of frames does not.

    >>> stepped(Clip(9, 30.0), None, 2, 2, min_frames=4, max_frames=768).tolist()
    [0, 2, 4, 6]
    """
    if num_frames is None and fps is None:
        return np.arange(clip.total)
    patch = _known("temporal_patch_size", temporal_patch_size)
    if num_frames is not None:
        patches = round(num_frames / patch)
    else:
        most_patches = min(_known("max_frames", max_frames), clip.total) // patch
        wanted = max(clip.frames_at(fps or 0), _known("min_frames", min_frames))
        wanted = min(wanted, most_patches * patch, clip.total)
        patches = math.floor(wanted / patch)
    count = patches * patch
    _at_most(count, clip.total)
    # Of a clip shorter than a patch of frames the original has no frame left.
    count = max(count, 1)
    return torch_arange(0, clip.total, clip.total / count)


@rule(is_exclusive=True, optional=("fps",))
def stepped_within(
    clip: Clip,
    num_frames: int | None,
    fps: float | None,
    min_frames: int,
    max_frames: int,
) -> np.ndarray:
    """ERNIE 4.5 VL: take from `min_frames` to `max_frames` frames, at equal distances in float32;
    their number at a rate need not be whole.

    >>> stepped_within(Clip(9, 30.0), None, 2, min_frames=16, max_frames=180).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """
    if num_frames is not None and not min_frames <= num_frames <= max_frames:
        raise InputError(
            f"Expected from {min_frames} to {max_frames} frames (`min_frames`, `max_frames`), got "
            f"{num_frames} - at `num_frames`."
        )
    count: float
    if num_frames is not None:
        count = num_frames
    else:
        count = clip.total
        if fps is not None:
            count = clip.frames_at(fps)
        count = max(count, min_frames)
        count = min(count, max_frames, clip.total)
    _at_most(count, clip.total)
    return torch_arange(0, clip.total, clip.total / count)


@rule(optional=("fps",))
def shifted(
    clip: Clip,
    num_frames: int | None,
    fps: float | None,
    initial_shift: bool | float,
) -> Indices:
    """InternVL: take the middle of each of `num_frames` equal parts; or frames at equal distances
    from another `initial_shift` on.

    >>> shifted(Clip(90), 8, None, initial_shift=True).tolist()
    [5, 16, 28, 39, 50, 61, 73, 84]
    """
    # A number of frames goes before a rate here.
    if num_frames is None and fps is None:
        return range(clip.total)
    count = num_frames
    if count is None:
        # 0 of a clip shorter than a frame at the rate, by which the original divides.
        count = max(int(clip.frames_at(fps or 0)), 1)
    _at_most(count, clip.total)
    start = float(initial_shift)
    if initial_shift is True:
        start = clip.total / count / 2
    return torch_arange(start, clip.total, clip.total / count)


@rule(is_exclusive=True, optional=("num_frames",), assume=_assume_24)
def spread(
    clip: Clip,
    num_frames: int | None,
    fps: float | None,
    min_frames: int | None,
    max_frames: int | None,
) -> Indices:
    """Qwen3-VL, Cohere Compass, Cosmos 3 Edge, HunYuan V4: take frames from the first to the last,
    rounded to the nearest index; the rate of a clip is taken for 24 where it is not known. Only a
    number of frames does without `min_frames` and `max_frames`.

    >>> list(spread(Clip(90, 30.0), None, 2, min_frames=4, max_frames=768))
    [0, 18, 36, 53, 71, 89]
    """
    if num_frames is not None:
        # More frames than there are repeat some, as in the original.
        count = _bounded(num_frames)
    else:
        least = _known("min_frames", min_frames)
        most = _known("max_frames", max_frames)
        if fps is not None:
            wanted = int(clip.frames_at(fps))
            count = min(max(wanted, least), most, clip.total)
        else:
            count = min(max(clip.total, least), most)
    return np.linspace(0, clip.total - 1, count).round().astype(int).tolist()


@rule()
def by_second(clip: Clip, fps: float, max_duration: float) -> Indices:
    """GLM-4V: take a frame at each multiple of `1 / fps` seconds; of a clip longer than
    `max_duration`, as many as that has, over all of it.

    >>> by_second(Clip(90, 30.0, 3.0), fps=2, max_duration=300)
    [0, 15, 30, 45, 60, 75]
    """
    last = clip.total - 1
    duration = _duration(clip)
    if duration <= max_duration:
        count = math.floor(duration * fps)
        count = _bounded(max(count, 1))
        positions = [i * clip.known_fps / fps for i in range(count)]
    else:
        count = int(max_duration * fps)
        if count >= clip.total:
            return _distinct_and_even(range(clip.total))
        seconds = np.linspace(0, duration, count, endpoint=True)
        positions = [second * clip.known_fps for second in seconds]
    return _distinct_and_even(min(last, math.ceil(position)) for position in positions)


def _duration(clip: Clip) -> float:
    """The seconds of a clip; where they are not known, by its frames, as the GLM classes do."""
    fps = clip.known_fps
    return clip.duration or round((clip.total - 1) / fps) + 1


DYNAMIC_RATES = ((30.0, 3.0), (300.0, 1.0), (2400.0, 0.5))
"""GLM-4.6V: the rate in frames a second for clips up to so many seconds, and beyond the last."""


@rule()
def by_dynamic_rate(clip: Clip, temporal_patch_size: int) -> Indices:
    """GLM-4.6V: take pairs of frames at a rate that falls with the duration, 640 frames at most.

    >>> by_dynamic_rate(Clip(90, 30.0, 3.0), temporal_patch_size=2)[:4]
    [0, 5, 10, 15]
    """
    duration = _duration(clip)
    longest, _ = DYNAMIC_RATES[-1]
    counted = min(duration, longest)
    rate = next(rate for seconds, rate in DYNAMIC_RATES if counted <= seconds)
    count = int(counted * rate * temporal_patch_size)
    count = min(count, 640)
    every = 1 / (temporal_patch_size * rate)
    if clip.total < count:
        walked = _linspace(0, clip.total - 1, count)
    else:
        walked = _walk(clip, every, stop=int(duration))
    return _distinct_and_even(_as_many(walked, count, clip.total))


@rule()
def by_rate(clip: Clip, fps: float, max_frames: int, max_duration: float | None) -> Indices:
    """GLM-5: take frames at the rate `fps`, `max_frames` at most.

    >>> by_rate(Clip(90, 30.0, 3.0), fps=2, max_frames=2048, max_duration=None)
    [0, 15, 30, 45, 60, 75]
    """
    duration = _duration(clip)
    stop = int(duration)
    if max_duration is not None and max_duration > 0:
        duration = min(duration, max_duration)
    count = min(int(duration * fps), max_frames)
    if clip.total < count:
        walked = _linspace(0, clip.total - 1, count)
    else:
        walked = _walk(clip, 1 / fps, stop)
    return _distinct_and_even(_as_many(walked, count, clip.total))


@rule()
def by_rate_before_end(clip: Clip, fps: float, max_frames: int) -> Indices:
    """GLM-GA: take frames at the rate `fps`, the last of them one step before the end.

    >>> by_rate_before_end(Clip(90, 30.0, 3.0), fps=2, max_frames=640)
    [0, 12, 24, 36, 48, 60]
    """
    duration = _duration(clip)
    count = min(int(duration * fps), max_frames)
    if clip.total < count:
        walked = [math.floor(i * clip.total / count) for i in range(count)]
    else:
        walked = _walk(clip, 1 / fps, duration - 1 / fps)
    return _distinct_and_even(_as_many(walked, count, clip.total))


def _walk(clip: Clip, every: float, stop: float) -> list[int]:
    """The first frame at or after each multiple of `every` seconds, up to `stop`.

    The multiples are added up, and times are multiples of a rounded `1 / fps`, as in the original.
    """
    per_frame = 1 / clip.known_fps
    indices: list[int] = []
    second = 0.0
    for i in range(clip.total):
        if i * per_frame < second:
            continue
        second += every
        indices.append(i)
        if second >= stop:
            break
    return indices


def _as_many(indices: Sequence[int], count: int, total: int) -> Sequence[int]:
    """Indices, made `count` by spreading them anew where they are not."""
    if len(indices) == count:
        return indices
    if len(indices) > count:
        return _linspace(0, total - 1, count)
    if not indices:
        return _linspace(0, total - 1, count)
    return _linspace(indices[0], indices[-1], count)


@rule(assume=_assume_24)
def even(clip: Clip, num_frames: int, fps: float, temporal_patch_size: int) -> Indices:
    """Muse Glimmer: take a multiple of `temporal_patch_size` frames, `num_frames` at most, from the
    first to the last, in float32; the rate of a clip is taken for 24 where it is not known.

    >>> even(Clip(90, 30.0), num_frames=96, fps=2, temporal_patch_size=2).tolist()
    [0, 17, 35, 53, 71, 89]
    """
    count_at_rate = int(clip.total * fps / clip.known_fps)
    count = min(count_at_rate, num_frames, clip.total)
    patches = max(1, count // temporal_patch_size)
    count = patches * temporal_patch_size
    return torch_linspace(clip.total - 1, min(count, clip.total))


@rule()
def inner(clip: Clip, num_frames: int, fps: float) -> Indices:
    """SmolVLM: take frames at the rate `fps`, `num_frames` at most, spread over the clip; of a long
    one without its first and last second.

    >>> inner(Clip(90, 30.0, 3.0), num_frames=64, fps=1).tolist()
    [0, 44, 89]
    """
    rate = clip.known_fps
    duration = clip.known_duration
    last = clip.total - 1
    count = min(round(fps * duration), num_frames)
    count = _bounded(max(count, 1))
    start = 0
    end = last
    # `skip_secs` of the original is 1, and no setting.
    if duration - 2 > num_frames * fps:
        start = int(rate)
        end = min(int(clip.total - rate), last)
    if start >= end:
        start = 0
        end = last
    return np.unique(_linspace(start, end, count))


@rule(optional=("fps", "max_frames", "overflow_strategy", "num_frames"))
def by_budget(
    clip: Clip,
    fps: float | None,
    max_frames: int | None,
    overflow_strategy: str | None,
    num_frames: int | None,
) -> Indices:
    """EmbeddingGemma 2: take frames at the rate `fps`; where there are more than `max_frames`, the
    first of them ("truncate") or spread ones ("uniform").

    >>> by_budget(Clip(90, 30.0, 3.0), 1, 32, "uniform", None)
    [0, 30, 60]
    """
    if num_frames is not None:
        raise InputError("Expected `fps` and `max_frames` for this class - at `num_frames`.")
    indices = list(range(clip.total))
    if fps is not None and clip.fps is not None and clip.duration is not None:
        step = clip.fps / fps
        last = clip.total - 1
        count = int(clip.duration * fps)
        count = _bounded(max(1, count))
        indices = [min(last, int(i * step)) for i in range(count)]
    if overflow_strategy is None:
        return indices
    if overflow_strategy not in ("truncate", "uniform"):
        raise InputError(
            "Expected 'truncate' or 'uniform', got "
            f"{overflow_strategy!r:.40} - at `overflow_strategy`."
        )
    if max_frames is None:
        raise InputError("Expected a number for an `overflow_strategy` - at `max_frames`.")
    if len(indices) <= max_frames:
        return indices
    if overflow_strategy == "truncate":
        return indices[:max_frames]
    return _thinned(indices, max_frames)


def _thinned(indices: Sequence[int], most: int) -> list[int]:
    """At most `most` of the indices, spread over them."""
    if len(indices) <= most:
        return list(indices)
    return [indices[i] for i in _linspace(0, len(indices) - 1, most)]


@rule()
def every_second(clip: Clip, max_num_frames: int, stack_frames: int | None) -> Indices:
    """MiniCPM-V: take a frame for each second, of a long clip `max_num_frames` spread ones; then,
    with `stack_frames` above 1, the frames between them, which are stacked to pictures.

    >>> every_second(Clip(90, 30.0, 3.0), max_num_frames=128, stack_frames=1)
    [0, 30, 60]
    >>> every_second(Clip(90, 30.0, 3.0), max_num_frames=128, stack_frames=3)
    [0, 30, 60, 10, 20, 40, 49, 70, 80]
    """
    rate = clip.known_fps
    duration = clip.known_duration
    last = clip.total - 1
    seconds = _bounded(math.ceil(duration))
    if duration > max_num_frames:
        # A frame each 0.1 s, whose times are rounded so that 3 * 0.1 is 0.3, as there.
        tenths = _bounded(int(duration / 0.1))
        times = [round(i * 0.1, 1) for i in range(tenths)]
        indices = [min(int(time * rate), last) for time in times]
        indices = _thinned(indices, max_num_frames)
    else:
        indices = [int(i * rate) for i in range(seconds)]
    between = times_between(duration, stack_frames or 1, max_num_frames)
    indices_between = [min(int(time * rate), last) for time in between]
    return indices + indices_between


def times_between(duration: float, stack_frames: int, max_num_frames: int) -> list[float]:
    """Return the times of the frames that MiniCPM-V takes between those of each second.

    Args:
        duration: of the clip, in seconds.
        stack_frames: how many frames a second has; 1 has none between.
        max_num_frames: that many for each of them, spread over a long clip.

    >>> times_between(1.5, 2, 128)
    [0.5]
    """
    seconds = math.ceil(duration)
    _bounded(seconds * stack_frames)
    inside = []
    for second in range(seconds):
        for frame in range(1, stack_frames):
            time = second + frame / stack_frames
            if time < duration:
                inside.append(time)
    most = max_num_frames * (stack_frames - 1)
    if len(inside) <= most:
        return inside
    kept = _linspace(0, len(inside) - 1, most)
    return [inside[i] for i in kept]


@rule(is_exclusive=True, optional=("fps",), assume=_assume_max_fps)
def capped(
    clip: Clip,
    num_frames: int | None,
    fps: float | None,
    max_fps: float | None,
) -> Indices:
    """Molmo 2: take `num_frames` frames at equal distances in float32, fewer where those would be
    more than `max_fps` a second.

    >>> capped(Clip(90, 30.0, 3.0), 64, None, max_fps=2).tolist()
    [0, 15, 30, 45, 60, 75]
    """
    rate = clip.known_fps
    duration = clip.known_duration
    if fps is not None:
        count = int(duration * fps)
    else:
        count = clip.total
        if num_frames is not None:
            count = num_frames
        if max_fps is not None and rate > max_fps:
            most = int(duration * max_fps)
            count = min(count, most)
    count = max(min(count, clip.total), 1)
    return torch_arange(0, clip.total, clip.total / count)


@rule(optional=("num_frames",))
def ends_included(
    clip: Clip, num_frames: int | None, fps: float | None, own_num_frames: int | None = None
) -> Indices:
    """PE Video: take `num_frames` frames from the first to the last; where a call says None, as
    `uniform` does with the number of the processor.

    >>> ends_included(Clip(9), 3, None)
    [0, 4, 8]
    """
    if not num_frames:
        return uniform(clip, own_num_frames, fps)
    _bounded(num_frames)
    last = clip.total - 1
    # The original divides by 0 for one frame, which is the first.
    steps = max(num_frames - 1, 1)
    return [int(i * last / steps) for i in range(num_frames)]
