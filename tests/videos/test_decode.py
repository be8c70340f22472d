"""Chosen frames of files are those that decoding all of a file gives; damaged files are one error.

The files are made here, with PyAV, in several codecs and containers.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import numpy as np
import pytest

from jaxprep.errors import DecodeError, InputError, JaxprepError, MissingPackageError
from jaxprep.videos import decode, metadata
from jaxprep.videos.decode import read_video

av = pytest.importorskip("av")
FORMATS = [
    ("clip.mp4", "libx264", {"gop_size": 10, "max_b_frames": 2}),
    ("short.mp4", "libx264", {"gop_size": 2, "max_b_frames": 1}),
    ("clip.mkv", "libx264", {"gop_size": 250}),
    ("clip.webm", "libvpx-vp9", {"gop_size": 10}),
    ("clip.avi", "mpeg4", {"gop_size": 12}),
    ("clip.ts", "mpeg2video", {"gop_size": 12, "max_b_frames": 2}),
    ("clip.h264", "libx264", {"gop_size": 10}),  # packets without times
]


def _write(
    path: pathlib.Path,
    codec: str,
    count: int = 40,
    turn: int = 0,
    size: tuple[int, int] = (48, 64),
    **options: int,
) -> str:
    """Make a file of frames that differ, 25 a second."""
    try:
        container = av.open(str(path), "w")
        stream = container.add_stream(codec, rate=25)
    except Exception:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    with container:
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        if turn:
            stream.set_display_rotation(turn)
        for i in range(count):
            picture = np.full((*size, 3), i * 5, np.uint8)
            picture[:, : i + 1] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def _all(path: str) -> np.ndarray:
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


@pytest.mark.parametrize("name, codec, options", FORMATS)
def test_chosen_frames_are_those_of_decoding_all(
    tmp_path: pathlib.Path, name: str, codec: str, options: dict[str, int]
) -> None:
    path = _write(tmp_path / name, codec, **options)
    wanted = _all(path)
    whole = read_video(path)
    np.testing.assert_array_equal(whole.frames, wanted)
    assert whole.metadata.total_num_frames == len(wanted) == 40
    assert whole.metadata.fps == pytest.approx(25, rel=0.05)
    assert whole.metadata.duration == pytest.approx(1.6, rel=0.05)
    random = np.random.default_rng(0)
    for _ in range(6):
        indices = random.integers(0, 40, random.integers(1, 7)).tolist()
        chosen = read_video(path, lambda metadata, indices=indices: indices)
        np.testing.assert_array_equal(chosen.frames, wanted[indices])
        assert chosen.metadata.frames_indices == tuple(indices)


def test_only_what_the_chosen_frames_need_is_decoded(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "clip.mp4", "mpeg4", gop_size=10, max_b_frames=0)
    calls: list[int] = []
    original = decode._by_time

    def counted(container: Any, *args: Any) -> Any:
        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(container, name)

            def decode(self, *args: Any) -> Any:
                for frame in container.decode(*args):
                    calls.append(frame.pts)
                    yield frame

        return original(Counting(), *args)

    monkeypatch.setattr(decode, "_by_time", counted)
    read_video(path, lambda metadata: [21, 32])
    assert len(calls) == 5  # 20 and 21, and from 30 on


def test_frames_that_follow_each_other_are_decoded_without_a_seek(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "clip.mp4", "mpeg4", gop_size=1, max_b_frames=0)
    seeks: list[int] = []
    original = decode._from_key_frame

    def counted(container: Any, stream: Any, video: Any, key_time: int, time: int) -> Any:
        seeks.append(key_time)
        return original(container, stream, video, key_time, time)

    monkeypatch.setattr(decode, "_from_key_frame", counted)
    wanted = _all(path)
    np.testing.assert_array_equal(read_video(path).frames, wanted)
    assert not seeks
    indices = [7, 8, 9, 20, 39]
    chosen = read_video(path, lambda metadata: indices)
    np.testing.assert_array_equal(chosen.frames, wanted[indices])
    assert len(seeks) == 3


@pytest.mark.parametrize("turn", [90, -90, 180])
def test_frames_are_turned_upright(tmp_path: pathlib.Path, turn: int) -> None:
    stored = _all(_write(tmp_path / "plain.mp4", "libx264", count=2))
    turned = read_video(_write(tmp_path / "turned.mp4", "libx264", count=2, turn=turn))
    # The display matrix says how far the frame is to be turned, counterclockwise.
    wanted = np.rot90(stored, turn // 90, axes=(1, 2))
    np.testing.assert_array_equal(turned.frames, wanted)
    assert (turned.metadata.height, turned.metadata.width) == wanted.shape[1:3]


def test_a_damaged_file_gives_frames_or_one_error(tmp_path: pathlib.Path) -> None:
    content = pathlib.Path(_write(tmp_path / "clip.mp4", "libx264")).read_bytes()
    random = np.random.default_rng(1)
    errors = 0
    for i in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 20)):
            damaged[place] = random.integers(0, 256)
        if i % 3 == 0:
            damaged = damaged[: random.integers(0, len(content))]
        try:
            read_video(bytes(damaged), lambda metadata: [0, metadata.total_num_frames - 1])
        except JaxprepError as error:
            errors += 1
            assert "\n" not in str(error)
    assert errors > 20


def test_what_names_other_files_is_refused(tmp_path: pathlib.Path) -> None:
    target = _write(tmp_path / "clip.ts", "mpeg2video", count=3)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    (tmp_path / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile {target}\n")
    for name in ("list.m3u8", "list.ffconcat"):
        with pytest.raises(DecodeError, match="Expected a video"):
            read_video(tmp_path / name)
    with pytest.raises(DecodeError, match="regular file"):
        read_video("/dev/null")
    with pytest.raises(DecodeError, match="Expected a video file"):
        read_video("concat:" + target)


def test_indices_and_memory_are_checked_before_a_frame_is_decoded(tmp_path: pathlib.Path) -> None:
    path = _write(tmp_path / "clip.mp4", "libx264", count=3)
    with pytest.raises(InputError, match="indices from 0 to 2"):
        read_video(path, lambda metadata: [3])
    with pytest.raises(InputError, match="at least one frame"):
        read_video(path, lambda metadata: [])
    with pytest.raises(InputError, match="frames of at most"):
        read_video(path, lambda metadata: [0] * 10**6)


def test_memory_is_checked_again_where_frames_are_larger_than_the_header_says(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _write(tmp_path / "small.h264", "libx264", count=1, size=(16, 16))
    large = _write(tmp_path / "large.h264", "libx264", count=2)
    both = pathlib.Path(small).read_bytes() + pathlib.Path(large).read_bytes()
    limit = 100 * 16 * 16 * 3
    monkeypatch.setattr(metadata, "MAX_FRAME_BYTES", limit)
    assert read_video(both, lambda metadata: [1] * 8).frames.shape == (8, 48, 64, 3)
    with pytest.raises(InputError, match=rf"frames of at most {limit} bytes, got 100 of \(48, 64"):
        read_video(both, lambda metadata: [1] * 100)


def test_without_pyav_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"pip install jaxprep\[video\]"):
        read_video(b"")
