"""`VideoMetadata`: what is known of a video beside its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.types import Size

MAX_FRAME_BYTES = 2**33
"""Of the frames that are chosen of one video: 8 GiB."""
MAX_FRAMES = 2**31 - 1
"""Of a video; that is a year at 60 frames a second."""


@dataclass(frozen=True)
class VideoMetadata(Mapping[str, Any]):
    """Describes a video, and which of its frames were taken.

    The contract is that of `VideoMetadata` in
    https://github.com/huggingface/transformers/blob/main/src/transformers/video_utils.py,
    except that it never changes: sampling returns another one.

    Attributes:
        total_num_frames: how many frames the whole video has.
        fps: its frames a second; None where not known.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        duration: of the whole video, in seconds.
        video_backend: what decoded it.
        frames_indices: of the frames that were taken, in the order in which they are.

    Raises:
        InputError: a number that is none, or out of range.

    >>> metadata = VideoMetadata(total_num_frames=90, fps=30.0, frames_indices=(0, 45))
    >>> metadata.timestamps, metadata["fps"], dict(metadata)["total_num_frames"]
    ([0.0, 1.5], 30.0, 90)
    """

    total_num_frames: int
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    video_backend: str | None = None
    frames_indices: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        self._set("total_num_frames", _integer(self.total_num_frames, "total_num_frames"))
        for name in ("fps", "duration"):
            value = getattr(self, name)
            # A stream without a rate says 0: that is not known.
            self._set(name, None if value is None else _seconds(value, name) or None)
        for name in ("width", "height"):
            value = getattr(self, name)
            self._set(name, None if value is None else _integer(value, name))
        if self.frames_indices is not None:
            indices = np.asarray(self.frames_indices)
            if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "ui"):
                raise _expected("a list of integers", self.frames_indices, "frames_indices")
            self._set("frames_indices", tuple(indices.tolist()))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # before anyone has seen the object

    @classmethod
    def of(cls, value: Any) -> VideoMetadata:
        """Return metadata of a mapping, of Transformers' own class, or as it is.

        Raises:
            InputError: something else, or an unknown key.

        >>> VideoMetadata.of({"total_num_frames": 8, "fps": 2}).fps
        2.0
        """
        if isinstance(value, VideoMetadata):
            return value
        if not isinstance(value, Mapping):
            raise InputError(
                "Expected a mapping or a `VideoMetadata` for each video, got "
                f"`{type(value).__name__}` - at `video_metadata`."
            )
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(map(str, value)) - set(known))
        if unknown or "total_num_frames" not in value:
            raise InputError(
                f"Expected the keys {known}, of which `total_num_frames` is needed, got "
                f"{codec.shown(list(value))} - at `video_metadata`."
            )
        return cls(**value)

    @property
    def timestamps(self) -> list[float]:
        """The seconds at which the frames that were taken begin.

        Raises:
            InputError: `fps` or `frames_indices` is not known.
        """
        if self.fps is None or self.frames_indices is None:
            raise InputError(
                "Expected `fps` and `frames_indices`, without which there are no timestamps, got "
                f"{self.fps} and {self.frames_indices} - at `video_metadata`."
            )
        return [index / self.fps for index in self.frames_indices]

    @property
    def sampled_fps(self) -> float:
        """The frames a second of what was taken; 24 where nothing is known."""
        if self.frames_indices is None or self.fps is None:
            return self.fps or 24
        return len(self.frames_indices) / self.total_num_frames * self.fps

    def sampled(self, indices: Any, **changes: Any) -> VideoMetadata:
        """Return the same with other `frames_indices`, and maybe other attributes.

        >>> VideoMetadata(8).sampled([0, 4], fps=2).frames_indices
        (0, 4)
        """
        return replace(self, frames_indices=tuple(int(index) for index in indices), **changes)

    def __getitem__(self, name: str) -> Any:
        if name not in {field.name for field in fields(self)}:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))


def check_frames(count: int, shape: Sequence[int]) -> None:
    """Refuse frames that would take more than `MAX_FRAME_BYTES`, before memory is taken for them.

    Args:
        count: how many there are.
        shape: of one, height, width and channels in any order.

    Raises:
        InputError: they would.

    >>> check_frames(64, (480, 640, 3))
    """
    if count * math.prod(shape) > MAX_FRAME_BYTES:
        raise InputError(
            f"Expected frames of at most {MAX_FRAME_BYTES} bytes, got {count} of {tuple(shape)}. "
            "Ask for fewer with `num_frames` or `fps`."
        )


def of_frames(count: int, size: Size) -> VideoMetadata:
    """Return what is known of frames that come without metadata.

    >>> of_frames(3, (4, 6)).frames_indices
    (0, 1, 2)
    """
    height, width = size
    return VideoMetadata(count, width=width, height=height, frames_indices=tuple(range(count)))


def _integer(value: Any, name: str) -> int:
    number = codec.plain(value)
    if type(number) is not int or not 0 <= number <= MAX_FRAMES:
        raise _expected(f"an integer from 0 to {MAX_FRAMES}", value, name)
    return number


def _seconds(value: Any, name: str) -> float:
    number = codec.plain(value)
    # PyAV has fractions for rates.
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    seconds = float(number) if is_number else -1.0
    if not 0 <= seconds <= 1e9:
        raise _expected("a number from 0 to 1e9", value, name)
    return seconds


def _expected(wanted: str, got: Any, name: str) -> InputError:
    return InputError(f"Expected {wanted}, got {codec.shown(got)} - at `video_metadata.{name}`.")
