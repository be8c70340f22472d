"""The videos of a call of a video processor, read as `(t, h, w, c)`: on the host, or traced.

What is a video is said in one place, `raw_videos`; the rest is the same for all of them: its frames
are chosen by the rule of the class, before anything of a file is decoded, and only the chosen ones
are read.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders import Source, ValueRange
from jaxprep.huggingface.images import (
    MAX_BYTES,
    Image,
    decoded,
    refuse_symbolic,
    traced_image,
    with_value_range,
)
from jaxprep.inputs import Layout, Policy, as_numpy, channels_last, is_numbers, layout_of
from jaxprep.pictures import is_pil, with_levels
from jaxprep.types import Size
from jaxprep.videos.metadata import VideoMetadata, check_frames, of_frames
from jaxprep.web import fetch

VIDEOS = Policy(
    "a video (an array (t, h, w, c) or (t, c, h, w) of NumPy, JAX or torch; a list of frames; a "
    "path, a URL, or the bytes of a file), a batch of them, or a list of them, nested or not",
    narrows=True,
)
Choose = Callable[[VideoMetadata], VideoMetadata]
"""From what is known of a video to the same with the indices of the frames that are wanted, and
with what is assumed where it is not known."""


class Video(NamedTuple):
    """Frames `(t, h, w, c)` of one video; inside a caller's transformation it may be a batch `(b,
    t, h, w, c)`, which stays one array so that its sharding is kept.

    Attributes:
        frames: those that were chosen.
        value_range: of their values.
        metadata: of the whole video, with the indices of these frames.

    >>> video = Video(np.zeros((5, 4, 6, 3), np.uint8), "uint8", of_frames(5, (4, 6)))
    >>> video.length, video.size, video.count
    (5, (4, 6), 1)
    """

    frames: Any
    value_range: ValueRange
    metadata: VideoMetadata

    @property
    def length(self) -> int:
        """How many frames there are."""
        return self.frames.shape[-4]

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.frames.shape[-3], self.frames.shape[-2]

    @property
    def count(self) -> int:
        """How many videos there are in it."""
        return 1 if self.frames.ndim == 4 else len(self.frames)

    @property
    def source(self) -> Source:
        """What the pipeline of its frames is made for."""
        return Source(self.value_range, self.frames.shape[-1])


class VideoReading(NamedTuple):
    """How the videos of a call are read.

    Attributes:
        choose: the frames; None takes all.
        to_rgb: convert them to RGB.
        layout: of arrays; None infers it from the number of channels, for each video.

    >>> VideoReading().choose is None
    True
    """

    choose: Choose | None = None
    to_rgb: bool = True
    layout: Layout | None = None


class Raw(NamedTuple):
    """One video as a caller passed it.

    Attributes:
        value: NumPy's array `(t, ...)`, a list of frames, or a path, an address or bytes of a file.
        where: its position in the call, for messages.

    >>> Raw("clip.mp4", "videos").is_file
    True
    """

    value: Any
    where: str

    @property
    def is_file(self) -> bool:
        """Whether it has to be decoded."""
        return isinstance(self.value, (str, os.PathLike, bytes))


def raw_videos(value: Any, where: str = "videos") -> Iterator[Raw]:
    """Yield every video of what a caller passed, in order; nested lists are flattened.

    A list of frames, of PIL images or arrays of three axes, is one video; so is a list of paths of
    pictures in a list of lists, as chat templates make it (`make_batched_videos` of
    `transformers/video_utils.py`).

    Raises:
        InputError: something that is no video.

    >>> clip = np.zeros((2, 4, 6, 3))
    >>> [raw.where for raw in raw_videos([clip, [clip[0], clip[1]], [[clip]]])]
    ['videos[0]', 'videos[1]', 'videos[2][0][0]']
    >>> [raw.value for raw in raw_videos([["a.mp4"], "b.mp4"])]
    ['a.mp4', 'b.mp4']
    """
    if _is_list(value) and value and all(_are_paths_in_lists(item) for item in value):
        for i, item in enumerate(value):
            for j, paths in enumerate(item):
                yield Raw(list(paths), f"{where}[{i}][{j}]")
        return
    yield from _flattened(value, where)


def _flattened(value: Any, where: str) -> Iterator[Raw]:
    if isinstance(value, (str, os.PathLike, bytes)):
        yield Raw(value, where)
        return
    if _is_frame(value):
        yield Raw([value], where)
        return
    if not _is_list(value):
        # NumPy's before it is cut, since JAX would compile a program for that.
        yield from _of_any_array(as_numpy(value, where, VIDEOS), where)
        return
    if not value:
        raise InputError(f"Expected {VIDEOS.expected}, got an empty list - at `{where}`.")
    if all(_is_frame(item) for item in value):
        yield Raw(list(value), where)
        return
    for i, item in enumerate(value):
        yield from _flattened(item, f"{where}[{i}]")


def _of_any_array(array: np.ndarray, where: str) -> Iterator[Raw]:
    if array.ndim == 4:
        yield Raw(array, where)
    elif array.ndim == 5:
        for i, video in enumerate(array):
            yield Raw(video, f"{where}[{i}]")
    else:
        raise InputError(
            f"Expected {VIDEOS.expected}, got an array of {array.ndim} axes - at `{where}`."
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and not is_numbers(value)


def _are_paths_in_lists(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(_are_paths(item) for item in value)


def _are_paths(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(isinstance(item, str) for item in value)


def _is_frame(value: Any) -> bool:
    return is_pil(value) or getattr(value, "ndim", None) == 3


def videos_of(
    value: Any, reading: VideoReading, metadata: Sequence[VideoMetadata] | None = None
) -> list[Video]:
    """Return every video of what a caller passed, in order, its frames chosen.

    Args:
        value: what a call takes.
        reading: how.
        metadata: of each video; by default what its array or its file says.

    Raises:
        InputError: something that is no video, frames of different sizes, or as many metadata as
            there are no videos.

    >>> clips = [np.zeros((5, 4, 6, 3), np.uint8), np.zeros((2, 8, 8, 3), np.uint8)]
    >>> first = VideoReading(lambda metadata: metadata.sampled([0]))
    >>> [video.frames.shape for video in videos_of(clips, first)]
    [(1, 4, 6, 3), (1, 8, 8, 3)]
    """
    raws = list(raw_videos(value))
    if not raws:
        raise InputError(f"Expected {VIDEOS.expected}, got no video - at `videos`.")
    if metadata is not None and len(metadata) != len(raws):
        raise InputError(
            f"Expected metadata for each of the {len(raws)} videos, got {len(metadata)} - at "
            "`video_metadata`."
        )
    read = []
    for i, raw in enumerate(raws):
        known = None if metadata is None else metadata[i]
        read.append(_from_file(raw, reading) if raw.is_file else _from_frames(raw, reading, known))
    return read


def _from_file(raw: Raw, reading: VideoReading) -> Video:
    from jaxprep.videos.decode import read_video  # which loads PyAV

    source = raw.value
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        source = fetch(source, 16 * MAX_BYTES)
    choose = reading.choose
    if choose is None:
        frames, metadata = read_video(source)
        return Video(frames, "uint8", metadata)
    chosen = []

    def indices_of(known: VideoMetadata) -> Any:
        # Once, since a caller's function may remember its calls; it also says what is assumed
        # where the file does not say it.
        chosen.append(choose(known))
        return chosen[0].frames_indices

    frames, metadata = read_video(source, indices_of)
    height, width = metadata.height, metadata.width
    return Video(frames, "uint8", dataclasses.replace(chosen[0], height=height, width=width))


def _from_frames(raw: Raw, reading: VideoReading, metadata: VideoMetadata | None) -> Video:
    """A video of an array or of a list of frames."""
    frames, where = raw
    count = len(frames)
    if not count:
        raise InputError(f"Expected a video with frames, got none - at `{where}`.")
    metadata = metadata or VideoMetadata(count, frames_indices=tuple(range(count)))
    metadata, indices = _chosen(metadata, count, reading.choose)
    if isinstance(frames, np.ndarray):
        image = _of_array(frames, indices, where, reading)
    else:
        image = _of_list(frames, range(count) if indices is None else indices, where, reading)
    height, width = image.size
    if metadata.height is None or metadata.width is None:
        metadata = dataclasses.replace(metadata, height=height, width=width)
    return Video(image.pixels, image.value_range, metadata)


def _chosen(
    metadata: VideoMetadata, count: int, choose: Choose | None
) -> tuple[VideoMetadata, list[int] | None]:
    """The metadata of a video whose `count` frames are passed, with the indices of those that are
    taken; and these, None for all. Those of another video are refused.
    """
    if choose is None:
        indices = metadata.frames_indices
        if indices is not None and len(indices) != count:
            raise InputError(
                f"Expected `frames_indices` of the {count} frames that are passed, got "
                f"{len(indices)} - at `video_metadata`. Leave them out, or pass "
                "`do_sample_frames=True`."
            )
        return metadata, None
    chosen = choose(metadata)
    indices = list(chosen.frames_indices or ())
    if max(indices) >= count:
        raise InputError(
            f"Expected metadata of a video of {count} frames, got those of "
            f"{metadata.total_num_frames} - at `video_metadata`. Pass all frames, or "
            "`do_sample_frames=False`."
        )
    return chosen, indices


def _of_array(
    array: np.ndarray, indices: Sequence[int] | None, where: str, reading: VideoReading
) -> Image:
    """The chosen frames of an array; None is all."""
    if indices is not None:
        check_frames(len(indices), array.shape[-3:])
        array = array[indices]
    return _as_frames(array, where, reading)


def _of_list(
    frames: Sequence[Any], indices: Sequence[int], where: str, reading: VideoReading
) -> Image:
    """The chosen frames of a list; pictures of files are decoded only where they are chosen."""
    arrays: dict[int, np.ndarray] = {}
    layout = reading.layout
    for i in sorted(set(indices)):
        frame, place = frames[i], f"{where}[{i}]"
        if isinstance(frame, str):
            arrays[i], layout = decoded(frame, place), "channels_last"
        elif is_pil(frame):
            arrays[i], layout = _of_pil(frame, place), "channels_last"
        else:
            arrays[i] = as_numpy(frame, place, VIDEOS)
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        raise InputError(f"Expected frames of one size, got {sorted(shapes)} - at `{where}`.")
    check_frames(len(indices), next(iter(shapes)))
    array = np.stack([arrays[i] for i in indices])
    return _as_frames(array, where, reading._replace(layout=layout))


def _of_pil(image: Any, where: str) -> np.ndarray:
    """A PIL image as `(h, w, c)`: its levels; indices of a palette become colours."""
    image = with_levels(image, where)
    if image.mode in ("P", "PA"):
        has_alpha = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if has_alpha else "RGB")
    elif image.mode in ("1", "L", "LA"):
        image = image.convert("RGBA" if image.mode == "LA" else "L")
    elif image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _as_frames(array: np.ndarray, where: str, reading: VideoReading) -> Image:
    """An array of one video with its channels last, as an `Image` whose pixels are its frames."""
    if array.ndim != 4:
        raise InputError(f"Expected a video of four axes, got shape {array.shape} - at `{where}`.")
    array = channels_last(array, reading.layout or video_layout(array.shape, where))
    image = with_value_range(array)
    if not reading.to_rgb or array.shape[-1] != 4:
        return image
    return _over_white(image, where)


def video_layout(shape: tuple[int, ...], where: str = "videos") -> Layout:
    """Return where the channels of a video are, from their number: 1 or 3, as in Transformers; 4
    where neither end is one of those.

    Raises:
        InputError: neither end can be the channels.

    >>> video_layout((8, 4, 6, 3)), video_layout((8, 3, 4, 4)), video_layout((8, 16, 16, 4))
    ('channels_last', 'channels_first', 'channels_last')
    """
    first, last = shape[-3] in (1, 3), shape[-1] in (1, 3)
    if first != last:
        return "channels_first" if first else "channels_last"
    return layout_of(shape, where)


def _over_white(image: Image, where: str) -> Image:
    """RGBA without its alpha: opaque frames keep their type, others become floats, as in
    `convert_to_rgb` of `transformers/video_utils.py`; floats are in [0, 1], as those of images.
    """
    pixels = image.pixels
    is_float = image.value_range == "float"
    if is_float and pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise InputError(f"Expected floats with alpha to be in [0, 1], got others - at `{where}`.")
    white = np.float32(1 if is_float else 255)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if not np.any(alpha < white):
        return image._replace(pixels=np.ascontiguousarray(colour))
    return Image(_blended(colour, alpha, white), "float")


def _blended(colour: Any, alpha: Any, white: Any) -> Any:
    """Values from 0 to `white`, NumPy's or traced, over white."""
    share = alpha.astype(np.float32) / white
    return (1 - share) * white + share * colour.astype(np.float32)


# -- inside a caller's transformation ------------------------------------------------------------


def traced_videos(
    value: Any, reading: VideoReading, metadata: Sequence[VideoMetadata] | None = None
) -> list[Video]:
    """Return traced arrays, each a video or a batch of them, with channels last; nested lists are
    flattened, and the frames are chosen by what the shapes and the metadata say.

    Raises:
        InputError: something that is no array of four or five axes.

    >>> traced_videos(jnp.zeros((2, 5, 3, 4, 6)), VideoReading())[0].frames.shape
    (2, 5, 4, 6, 3)
    """
    arrays = list(_traced_arrays(value))
    videos = []
    for i, array in enumerate(arrays):
        if getattr(array, "ndim", None) not in (4, 5):
            raise InputError(
                "Expected arrays (t, h, w, c) inside a transformation of JAX, got "
                f"{array!r:.80} - at `videos`."
            )
        refuse_symbolic(array.shape, "videos")
        array = channels_last(array, reading.layout or video_layout(array.shape))
        count = array.shape[-4]
        known = of_frames(count, array.shape[-3:-1])
        if metadata is not None:
            if len(metadata) != len(arrays):
                raise InputError(
                    f"Expected metadata for each of the {len(arrays)} arrays, got {len(metadata)} "
                    "- at `video_metadata`."
                )
            known = metadata[i]
        known, indices = _chosen(known, count, reading.choose)
        if indices is not None:
            array = array[..., np.asarray(indices), :, :, :]
        if reading.to_rgb and array.shape[-1] == 4:
            array = _traced_over_white(array)
        videos.append(Video(array, traced_image(array).value_range, known))
    return videos


def _traced_over_white(frames: Any) -> Any:
    """RGBA in [0, 1] without its alpha. uint8 frames stay uint8 only where all are opaque, which a
    trace cannot see.
    """
    if not jnp.issubdtype(frames.dtype, jnp.floating):
        raise InputError(
            f"Expected RGB, or RGBA as floats in [0, 1], inside a transformation of JAX, got RGBA "
            f"of {frames.dtype} - at `videos`. Lay it over white before, or call the processor "
            "outside of `jax.jit`."
        )
    return _blended(frames[..., :3], frames[..., 3:], 1)


def _traced_arrays(value: Any) -> Iterator[Any]:
    """The arrays of videos in lists, nested or not; frames of a list are one video."""

    def is_frame(item: Any) -> bool:
        return getattr(item, "ndim", None) == 3

    if is_frame(value):
        yield jnp.asarray(value)[None]
    elif not isinstance(value, (list, tuple)):
        yield value
    elif value and all(is_frame(item) for item in value):
        shapes = {item.shape for item in value}
        if len(shapes) > 1:
            raise InputError(f"Expected frames of one size, got {sorted(shapes)} - at `videos`.")
        yield jnp.stack(value)
    else:
        for item in value:
            yield from _traced_arrays(item)
