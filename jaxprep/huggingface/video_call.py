"""One call of a video processor: its videos read, their frames sent through the pipelines of the
class, and the results named.

A family of videos (`jaxprep.huggingface.video_registry`) is a function from a `VideoCall` to
`Results`, made of `read_videos` and `run_frames`, as one of images is of `read` and `run`. A frame
is an image to the pipeline: all frames of a video share its tables, and videos of any lengths and
of sizes of one bucket share its programs. What goes across frames (patches of several of them,
grids, padding in time) is done by the family on what `run_frames` returns, on the host or traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.classes import VideoRow
from jaxprep.huggingface.call import Results, size_results
from jaxprep.huggingface.samples import split
from jaxprep.huggingface.videos import Choose, Video, VideoReading, traced_videos, videos_of
from jaxprep.huggingface.views import array_module
from jaxprep.inputs import Layout
from jaxprep.pipeline import Pipeline, Ragged
from jaxprep.pipeline.eager import Store
from jaxprep.types import Batch, Size, is_traced
from jaxprep.videos import sampling
from jaxprep.videos.metadata import VideoMetadata

MAX_RESULT_BYTES = 2**36
"""Of one call: 64 GiB."""


class VideoCall(NamedTuple):
    """One call of a video processor.

    Attributes:
        videos: as passed.
        config: settings, with the call's own.
        own: settings of the processor alone; None where they are the same.
        metadata: of each video, where the caller passes it.
        layout: of arrays, where the caller says it.
        is_traced: the call is inside a caller's transformation.
        return_tensors: as passed.

    >>> call = VideoCall(np.zeros((2, 4, 4, 3)), HuggingFace("VideoMAEVideoProcessor"))
    >>> call.row.sampling
    'uniform'
    """

    videos: Any
    config: HuggingFace
    own: HuggingFace | None = None
    metadata: tuple[VideoMetadata, ...] | None = None
    layout: Layout | None = None
    is_traced: bool = False
    return_tensors: Any = None

    @property
    def row(self) -> VideoRow:
        """What the table says of the class."""
        return row_of(self.config)

    def with_settings(self, **settings: Any) -> VideoCall:
        """Return the same call with other values in some settings."""
        return self._replace(config=self.config.overridden(settings))


@dataclass(frozen=True)
class VideoFamily:
    """What the classes of a family of videos do with a call.

    Attributes:
        run: makes the results of a call and of its videos, which `read_videos` has read.
        methods: what its classes have besides the methods of every processor, or instead.

    >>> PLAIN_VIDEO.methods
    {}
    """

    run: Callable[[VideoCall, Sequence[Video]], Results]
    methods: Mapping[str, Any] = field(default_factory=dict)


def row_of(config: HuggingFace) -> VideoRow:
    """Return the row of a class of videos.

    >>> row_of(HuggingFace("VivitVideoProcessor")).outputs
    ('pixel_values',)
    """
    row = config.row
    assert isinstance(row, VideoRow)  # a video processor's config has a row of videos
    return row


# -- reading -------------------------------------------------------------------------------------


def read_videos(call: VideoCall) -> list[Video]:
    """Read the videos of a call; where it samples, the frames that the rule of the class chooses.

    >>> config = HuggingFace("VideoMAEVideoProcessor", {"do_sample_frames": True, "num_frames": 2})
    >>> read_videos(VideoCall(np.zeros((8, 4, 6, 3), np.uint8), config))[0].metadata.frames_indices
    (0, 4)
    """
    settings = call.config.effective
    reading = VideoReading(
        choose=chooser(call.config, call.own) if settings.flag("do_sample_frames") else None,
        to_rgb=settings.flag("do_convert_rgb"),
        layout=call.layout,
    )
    read = traced_videos if call.is_traced else videos_of
    return read(call.videos, reading, call.metadata)


def chooser(config: HuggingFace, own: HuggingFace | None = None) -> Choose:
    """Return the function that chooses the frames of a video by the rule of a class.

    Args:
        config: settings, with a call's own.
        own: settings of the processor alone; by default the same.

    >>> choose = chooser(HuggingFace("InternVLVideoProcessor", {"num_frames": 2}))
    >>> choose(VideoMetadata(8)).frames_indices
    (2, 6)
    """
    name = row_of(config).sampling
    asked = requested(config)
    default = asked if own is None else requested(own)

    def choose(metadata: VideoMetadata) -> VideoMetadata:
        clip = sampling.Clip(metadata.total_num_frames, metadata.fps, metadata.duration)
        indices = sampling.sample(name, clip, asked, default)
        clip = sampling.assumed(name, clip, asked, default)
        return metadata.sampled(indices, fps=clip.fps, duration=clip.duration)

    return choose


def requested(config: HuggingFace) -> dict[str, Any]:
    """Return the settings that the sampling rule of a class reads, checked.

    Raises:
        ConfigError: a value that is none of a number of frames, a rate, or a name.

    >>> requested(HuggingFace("VideoMAEVideoProcessor", {"fps": 2}))
    {'num_frames': None, 'fps': 2.0}
    """
    settings = config.effective
    values: dict[str, Any] = {}
    for name in sampling.RULES[row_of(config).sampling].settings:
        value = settings.get(name)
        if value is None or (name in NO_NUMBERS and isinstance(value, NO_NUMBERS[name])):
            values[name] = value
        elif name in RATES:
            values[name] = settings.number(name, RATES[name], 1e6)
        else:
            values[name] = settings.integer(name, 1, sampling.MAX_INDICES)
    return values


RATES = {"fps": 1e-6, "max_fps": 1e-6, "initial_shift": 0.0, "max_duration": 0.0}
"""The settings of rules that are no numbers of frames, and the lowest value of each."""
NO_NUMBERS: dict[str, type] = {"initial_shift": bool, "overflow_strategy": str}
"""The settings of rules that may be something else than a number."""


# -- running -------------------------------------------------------------------------------------


class FrameResults(NamedTuple):
    """The results of the frames of the videos of a call.

    Attributes:
        lengths: how many frames each video has.
        joined: those of all videos one after another, `(t0 + t1 + ..., ...)`; None where they are
            not alike, or traced.
        separate: one array `(t, ...)` for each video; None where another attribute has them.
        stacked: `(b, t, ...)`, of a traced batch of videos; None elsewhere.

    >>> results = FrameResults((3, 2), np.zeros((5, 2)))
    >>> [part.shape for part in results.per_video()]
    [(3, 2), (2, 2)]
    """

    lengths: tuple[int, ...]
    joined: Any = None
    separate: list[Any] | None = None
    stacked: Any = None

    def per_video(self) -> list[Any]:
        """Return one array `(t, ...)` for each video: NumPy's, unless traced."""
        if self.stacked is not None:
            return list(self.stacked)
        if self.separate is not None:
            return self.separate
        # On the host: to cut a `jax.Array` would compile a program for every length.
        return split(np.asarray(self.joined), self.lengths)

    def stacked_or_listed(self) -> Any:
        """Return one array `(b, t, ...)` where videos are alike, otherwise `per_video`.

        >>> FrameResults((3, 3), np.zeros((6, 2))).stacked_or_listed().shape
        (2, 3, 2)
        """
        if self.stacked is not None:
            return self.stacked  # split and stacked again, a sharded batch would be gathered
        if self.joined is not None and len(set(self.lengths)) == 1:
            return self.joined.reshape(len(self.lengths), -1, *self.joined.shape[1:])
        results = self.per_video()
        if len({(result.shape, result.dtype) for result in results}) > 1:
            return results
        return jnp.stack(results) if is_traced(results) else np.stack(results)


def run_frames(call: VideoCall, videos: Sequence[Video], view: str | None = None) -> FrameResults:
    """Return the results of the frames of all videos.

    Args:
        call: whose settings say the pipeline.
        videos: read.
        view: one of the row's `views`, or the main result.

    Raises:
        InputError: frames are not what the pipeline takes, or results would take too much memory.

    >>> config = HuggingFace("VideoMAEVideoProcessor", {"size": 8, "crop_size": 8})
    >>> call = VideoCall(np.zeros((2, 5, 20, 30, 3), np.uint8), config)
    >>> run_frames(call, read_videos(call)).joined.shape
    (10, 8, 8, 3)
    """
    pipelines = [pipeline_of_video(call, video, view) for video in videos]
    if call.is_traced:
        return _run_traced(videos, pipelines)
    _check_frames(videos, pipelines)
    groups = _grouped(pipelines)
    separate: list[Any] = [None] * len(videos)
    for pipeline, members in groups.items():
        results = _run_group(pipeline, [videos[i] for i in members])
        if len(groups) == 1:
            return results
        for i, result in zip(members, results.per_video(), strict=True):
            separate[i] = result
    return FrameResults(tuple(video.length for video in videos), separate=separate)


StoreFrame = Callable[[int, int, np.ndarray], None]
"""Takes the number of a video, that of one of its frames, and the result."""


def store_frames(
    call: VideoCall, videos: Sequence[Video], store: StoreFrame, view: str | None = None
) -> None:
    """Run the frames of all videos on the host, and give `store` the result of each as soon as it
    is there.

    Args:
        call, videos, view: as in `run_frames`.
        store: takes the number of a video, that of a frame, and the result; several threads call
            it.

    >>> config = HuggingFace("VideoMAEVideoProcessor", {"size": 8, "crop_size": 8})
    >>> call = VideoCall(np.zeros((2, 1, 20, 30, 3), np.uint8), config)
    >>> store_frames(call, read_videos(call), lambda *given: print(given[:2]))
    (0, 0)
    (1, 0)
    """
    pipelines = [pipeline_of_video(call, video, view) for video in videos]
    _check_frames(videos, pipelines)
    for pipeline, members in _grouped(pipelines).items():
        group = [videos[i] for i in members]
        frames = [(i, frame) for i in members for frame in range(videos[i].length)]

        def put(number: int, result: np.ndarray, frames: Any = frames) -> None:
            video, frame = frames[number]
            store(video, frame, result)

        _run_images(pipeline, group, put)


def _grouped(pipelines: Sequence[Pipeline]) -> dict[Pipeline, list[int]]:
    """The videos of each pipeline: those of one kind share it and its programs."""
    groups: dict[Pipeline, list[int]] = {}
    for i, pipeline in enumerate(pipelines):
        groups.setdefault(pipeline, []).append(i)
    return groups


def _run_images(pipeline: Pipeline, videos: Sequence[Video], store: Store | None = None) -> Ragged:
    """The results of the frames of videos on the host that go through one pipeline."""
    sizes: list[Size] = []
    for video in videos:
        # So that the error names the frame and not the canvas.
        pipeline.check_image(video.frames.shape[1:], video.frames.dtype)
        sizes += [video.size] * video.length
    # Frames of one array need not be copied to a canvas where they fill it.
    frames = videos[0].frames
    if len(videos) > 1:
        frames = [frame for video in videos for frame in video.frames]
    return pipeline.run_images(frames, sizes, store=store)


def _run_group(pipeline: Pipeline, videos: Sequence[Video]) -> FrameResults:
    """The same, put together."""
    ragged = _run_images(pipeline, videos)
    lengths = tuple(video.length for video in videos)
    if ragged.is_stacked:
        return FrameResults(lengths, _as_numpy_on_cpu(ragged.results))
    parts = split(ragged.results, lengths)
    return FrameResults(lengths, separate=[np.stack(part) for part in parts])


def _as_numpy_on_cpu(results: Any) -> Any:
    """Results as NumPy's array where that needs no copy, since JAX compiles each reshape."""
    is_elsewhere = isinstance(results, jax.Array) and any(
        device.platform != "cpu" for device in results.devices()
    )
    return results if is_elsewhere else np.asarray(results)


def pipeline_of_video(call: VideoCall, video: Video, view: str | None = None) -> Pipeline:
    """Return the pipeline of the frames of a video.

    >>> config = HuggingFace("VideoMAEVideoProcessor")
    >>> call = VideoCall(np.zeros((2, 20, 30, 3), np.uint8), config)
    >>> pipeline_of_video(call, read_videos(call)[0]) == config.pipeline
    True
    """
    source = video.source
    if call.row.length_dependent:
        source = source._replace(frames=video.length)
    return call.config.pipeline_of(source, None, view)


def frame_dtype(call: VideoCall, videos: Sequence[Video], view: str | None = None) -> np.dtype:
    """Return the type of one array for the frames of all videos of the host.

    >>> call = VideoCall(np.zeros((2, 20, 30, 3), np.uint8), HuggingFace("VideoMAEVideoProcessor"))
    >>> frame_dtype(call, read_videos(call))
    dtype('float32')
    """
    dtypes = []
    for video in videos:
        pipeline = pipeline_of_video(call, video, view)
        channels = video.frames.shape[-1]
        dtypes.append(pipeline.result_dtype(video.frames.dtype, video.size, channels))
    return np.result_type(*dtypes)


def _check_frames(videos: Sequence[Video], pipelines: Sequence[Pipeline]) -> None:
    shapes: list[tuple[int, ...]] = []
    for video, pipeline in zip(videos, pipelines, strict=True):
        shapes.append((video.length, *pipeline.result_shape(video.size, video.frames.shape[-1])))
    check_results(shapes)


def check_results(shapes: Iterable[Sequence[int]]) -> None:
    """Refuse results that no machine holds, before one of them is made.

    Args:
        shapes: of all results of a call, of at most four bytes a value.

    Raises:
        InputError: they would take more than `MAX_RESULT_BYTES`.

    >>> check_results([(64, 630, 768), (32, 630, 768)])
    """
    count = 4 * sum(map(math.prod, shapes))
    if count > MAX_RESULT_BYTES:
        raise InputError(
            f"Expected results of at most {MAX_RESULT_BYTES} bytes, got {count} - at `videos`. "
            "Take fewer frames with `num_frames` or `fps`, or pass videos in several calls."
        )


def _run_traced(videos: Sequence[Video], pipelines: Sequence[Pipeline]) -> FrameResults:
    separate: list[Any] = []
    lengths: list[int] = []
    for video, pipeline in zip(videos, pipelines, strict=True):

        def run(frames: Any, pipeline: Pipeline = pipeline) -> Any:
            return pipeline(Batch(image=frames)).image

        lengths += [video.length] * video.count
        if video.frames.ndim == 4:
            separate.append(run(video.frames))
            continue
        # Over the videos too, so that their sharding is kept.
        batch = jax.vmap(run)(video.frames)
        if len(videos) == 1:
            return FrameResults(tuple(lengths), stacked=batch)
        separate += list(batch)
    return FrameResults(tuple(lengths), separate=separate)


def repeat_last(frames: Any, axis: int, step: int) -> Any:
    """Return frames, NumPy's or traced, with the last one repeated until there is a multiple of
    `step`.

    Args:
        axis: of the frames.

    >>> repeat_last(np.arange(5), 0, 3).tolist()
    [0, 1, 2, 3, 4, 4]
    """
    missing = -frames.shape[axis] % step
    if not missing:
        return frames
    widths = [(0, 0)] * frames.ndim
    widths[axis] = (0, missing)
    return array_module(frames).pad(frames, widths, mode="edge")


# -- results -------------------------------------------------------------------------------------


def sizes_of(videos: Sequence[Video]) -> list[Size]:
    """Return height and width of every video of a call.

    >>> frames = np.zeros((2, 5, 4, 6, 3))
    >>> sizes_of([Video(frames, "float", VideoMetadata(5))])
    [(4, 6), (4, 6)]
    """
    return [video.size for video in videos for _ in range(video.count)]


def lengths_of(videos: Sequence[Video]) -> list[int]:
    """Return how many frames every video of a call has.

    >>> lengths_of([Video(np.zeros((2, 5, 4, 6, 3)), "float", VideoMetadata(5))])
    [5, 5]
    """
    return [video.length for video in videos for _ in range(video.count)]


def video_results(call: VideoCall, videos: Sequence[Video], results: Any) -> Results:
    """Return the preprocessed videos by their name, and sizes where the class tells them.

    >>> config = HuggingFace("Sam2VideoVideoProcessor", {"size": 8})
    >>> call = VideoCall(np.zeros((1, 4, 6, 3), np.uint8), config)
    >>> plain_video(call, read_videos(call))["original_sizes"]
    [(4, 6)]
    """
    # SAM 2 lists another name in `model_input_names` than it returns.
    named = {call.row.result or call.config.result_name: results}
    return named | size_results(call.config, sizes_of(videos))


def plain_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return videos alone: one array where they are alike, otherwise a list.

    >>> config = HuggingFace("VideoMAEVideoProcessor", {"size": 8, "crop_size": 8})
    >>> call = VideoCall(np.zeros((3, 20, 30, 3), np.uint8), config)
    >>> plain_video(call, read_videos(call))["pixel_values"].shape
    (1, 3, 8, 8, 3)
    """
    return video_results(call, videos, run_frames(call, videos).stacked_or_listed())


PLAIN_VIDEO = VideoFamily(plain_video)
