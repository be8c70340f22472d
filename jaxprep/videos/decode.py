"""Decode chosen frames of a video file, with PyAV (`pip install jaxprep[video]`).

The rules, in the order in which they apply:

* Only regular files of at most `MAX_BYTES`, and the bytes of one, are opened, in the containers of
  `CONTAINERS`: a playlist may name other files, and is refused.
* All packets are looked at, without decoding: how many frames there are, and when each is shown, is
  what the file holds, not what its header claims. A file whose packets say no time is decoded from
  its start.
* The caller chooses indices; frames are numbered in the order in which they are shown. Pixels that
  would take too much memory are refused before one is decoded.
* Only what the chosen frames need is decoded: from the last key frame before each.
* Frames become 8-bit RGB by libswscale, and are turned upright, as the file says it.

The metadata is that of torchcodec in its mode "exact", which Transformers prefers:
https://github.com/meta-pytorch/torchcodec/blob/main/src/torchcodec/_core/_metadata.py
"""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxprep import codec
from jaxprep.bounds import MAX_PIXELS
from jaxprep.errors import DecodeError, ImageNotFoundError, InputError, MissingPackageError
from jaxprep.resources import NotRegularError, open_regular
from jaxprep.videos.metadata import VideoMetadata, check_frames
from jaxprep.videos.sampling import MAX_TOTAL

Source = str | os.PathLike[str] | bytes
MAX_BYTES = 2**36
"""Of a file: 64 GiB, which is never in memory at once."""
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,gif,asf,mxf,h264,"
    "hevc,ivf,obu,y4m,yuv4mpegpipe,dv,mjpeg"
)
"""FFmpeg's names of the formats that are read: files that hold their frames themselves."""


class Decoded(NamedTuple):
    """The chosen frames of a video.

    Attributes:
        frames: upright, `(t, h, w, 3)` uint8.
        metadata: of the whole video, with the indices of these frames.

    >>> Decoded(np.zeros((2, 4, 6, 3), np.uint8), VideoMetadata(9)).frames.shape
    (2, 4, 6, 3)
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    metadata: VideoMetadata


def read_video(source: Source, choose: Callable[[VideoMetadata], Any] | None = None) -> Decoded:
    """Decode the frames of a video file that a caller chooses.

    Args:
        source: a path, or the bytes of a file.
        choose: a function from the metadata of the video to the indices of the wanted frames, in
            any order and any number of times; all frames by default.

    Raises:
        DecodeError: the source is no video, damaged or too large; for a path that does not exist it
            is a `FileNotFoundError` too.
        InputError: an index that the video does not have, or frames that take too much memory.
        MissingPackageError: PyAV is not installed.

    >>> read_video(b"no video")
    Traceback (most recent call last):
    jaxprep.errors.DecodeError: Expected a video, got other or damaged data - at <bytes>.
    """
    name = "<bytes>" if isinstance(source, bytes) else codec.shown(os.fspath(source))
    av = _pyav()
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_file(source, name))
            with _opened(av, file) as container:
                video = _scan(container, name)
            indices = range(video.metadata.total_num_frames)
            if choose is not None:
                indices = choose(video.metadata)
            chosen = [int(index) for index in indices]
            _check_request(chosen, video.metadata)
            # Opened again, since a stream without times cannot go back to its start.
            file.seek(0)
            with _opened(av, file) as container:
                frames = _decode(container, video, chosen, name)
        # Errors of FFmpeg are of several classes of Python's.
        except (av.error.FFmpegError, StopIteration) as error:
            raise DecodeError(
                f"Expected a video, got other or damaged data - at {name}."
            ) from error
    pixels = np.stack([frames[index] for index in chosen])
    height, width = pixels.shape[1:3]
    return Decoded(pixels, video.metadata.sampled(chosen, height=height, width=width))


def _pyav() -> Any:
    try:
        import av  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `av` (PyAV), which decodes videos: pip install jaxprep[video]. "
            "Arrays and lists of frames need no package."
        ) from error
    # FFmpeg prints what it thinks of a damaged file; the error says it.
    av.logging.set_level(None)  # pyright: ignore[reportPrivateImportUsage]
    return av


@contextlib.contextmanager
def _file(source: Source, name: str) -> Iterator[IO[bytes]]:
    """The source as a binary file: FFmpeg would take a path for an address of any protocol."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        file = open_regular(source)
    except FileNotFoundError as error:
        raise ImageNotFoundError(
            f"Expected a video file, got a path that does not exist - at {name}."
        ) from error
    except (NotRegularError, OSError, ValueError) as error:
        raise DecodeError(f"Expected a video file, got {error} - at {name}.") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise DecodeError(f"Expected at most {MAX_BYTES} bytes, got {size} - at {name}.")
        yield file


def _opened(av: Any, file: IO[bytes]) -> Any:
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    # A title need not be text.
    return av.open(file, options=options, metadata_errors="replace")


class _Video(NamedTuple):
    """What the packets of a file say.

    Attributes:
        metadata: without indices.
        times: when each frame is shown, in order, in the unit of the stream; empty where the
            packets do not say it.
        key_times: those of the key frames, in order.
    """

    metadata: VideoMetadata
    times: list[int]
    key_times: list[int]


def _scan(container: Any, name: str) -> _Video:
    if not container.streams.video:
        raise DecodeError(f"Expected a video, got a file without pictures - at {name}.")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise DecodeError(f"Expected a video of a known codec, got another - at {name}.")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise DecodeError(
            f"Expected frames of at most {MAX_PIXELS} pixels, got {(height, width)} - at {name}."
        )
    times, key_times, end, count = [], [], 0, 0
    for packet in container.demux(stream):
        # The last is empty; those that are discarded lie before the start of an edited video.
        if not packet.size or packet.is_discard:
            continue
        count += 1
        if count > MAX_TOTAL:
            raise DecodeError(f"Expected at most {MAX_TOTAL} frames, got more - at {name}.")
        if packet.pts is None:
            continue
        times.append(packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            key_times.append(packet.pts)
    if not count:
        raise DecodeError(f"Expected a video with frames, got none - at {name}.")
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    known = len(times) == count == len(set(times)) and bool(key_times)
    times.sort()
    seconds = float((end - times[0]) * stream.time_base) if known else 0.0
    if seconds <= 0:
        seconds = count / rate if rate else 0.0
    metadata = VideoMetadata(
        total_num_frames=count,
        fps=count / seconds if seconds else rate,
        width=width or None,
        height=height or None,
        duration=seconds,
        video_backend="pyav",
    )
    return _Video(metadata, times if known else [], sorted(key_times))


def _check_request(indices: Sequence[int], metadata: VideoMetadata) -> None:
    if not indices:
        raise InputError("Expected the index of at least one frame, got none.")
    total = metadata.total_num_frames
    if not 0 <= min(indices) <= max(indices) < total:
        raise InputError(
            f"Expected indices from 0 to {total - 1}, got {min(indices)} to {max(indices)}."
        )
    check_frames(len(indices), (metadata.height or 1, metadata.width or 1, 3))


def _decode(
    container: Any, video: _Video, wanted: Sequence[int], name: str
) -> dict[int, UInt8[np.ndarray, "h w 3"]]:
    """The pixels of the frames with these indices."""
    indices = sorted(set(wanted))
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    # Frames may be larger than the header says.
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    frames: dict[int, np.ndarray] = {}
    sizes = set()
    if video.times:
        chosen = _by_time(container, stream, video, indices, name)
    else:
        chosen = _by_count(container, stream, indices)
    for index, frame in chosen:
        if not sizes:
            # Again, since frames may be larger than the header says.
            check_frames(len(wanted), (frame.height, frame.width, 3))
        sizes.add((frame.height, frame.width, frame.rotation))
        if len(sizes) > 1:
            raise DecodeError(f"Expected frames of one size, got {sorted(sizes)} - at {name}.")
        if frame.is_corrupt:
            raise DecodeError(f"Expected a video, got a damaged frame {index} - at {name}.")
        pixels = frame.to_ndarray(format="rgb24")
        # The angle is that of the display matrix, counterclockwise.
        frames[index] = np.rot90(pixels, round(frame.rotation / 90))
    missing = [index for index in indices if index not in frames]
    if missing:
        raise DecodeError(
            f"Expected a video with frame {missing[0]}, got damaged data - at {name}."
        )
    return frames


def _by_count(container: Any, stream: Any, indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """The chosen frames, counted from the start."""
    wanted = set(indices)
    for index, frame in enumerate(container.decode(stream)):
        if index in wanted:
            yield index, frame
        if index >= indices[-1]:
            return


def _by_time(
    container: Any, stream: Any, video: _Video, indices: Sequence[int], name: str
) -> Iterator[tuple[int, Any]]:
    """The chosen frames, each decoded from the last key frame before it."""
    times, key_times = video.times, video.key_times
    decoded = container.decode(stream)
    last = None
    for index in indices:
        time = times[index]
        key_time = key_times[max(bisect.bisect_right(key_times, time) - 1, 0)]
        position = times[0] - 1 if last is None else last.pts
        # Where the key frame is the next one, it comes without a seek.
        skips = key_time > position and times[bisect.bisect_right(times, position)] < key_time
        if skips and key_time > key_times[0]:
            decoded = _from_key_frame(container, stream, video, key_time, time)
            last = None
        while last is None or last.pts < time:
            following = next((frame for frame in decoded if frame.pts is not None), None)
            if following is None or following.pts > time:
                # The second field of an interlaced frame has a packet, and no frame of its own.
                is_field = last is not None and last.pts >= times[max(index - 1, 0)]
                if not is_field:
                    raise DecodeError(
                        f"Expected a video with frame {index}, got damaged data - at {name}."
                    )
                yield index, last
                # What was decoded beyond the field is the next frame to look at.
                if following is not None:
                    last = following
                break
            last = following
        else:
            yield index, last


def _from_key_frame(container: Any, stream: Any, video: _Video, key_time: int, time: int) -> Any:
    """The frames from a key frame on, as an iterator; from an earlier one where the container has
    no exact index.
    """
    keys = video.key_times
    end = bisect.bisect_right(keys, key_time)
    for key in (*keys[max(end - 3, 0) : end][::-1], keys[0]):
        container.seek(key, stream=stream, backward=True, any_frame=False)
        decoded = container.decode(stream)
        first = next(decoded, None)
        if first is not None and first.pts is not None and first.pts <= time:
            return itertools.chain([first], decoded)
    container.seek(0)
    return container.decode(stream)
