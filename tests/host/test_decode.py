"""Decoding, rule by rule, on files that the tests write: some with Pillow, some byte by byte."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pillow_heif
import pytest
import simplejpeg
from helpers.images import noise
from PIL import Image, ImageFile

from jaxprep.errors import DecodeError, InputError, JaxprepError, MissingPackageError
from jaxprep.host import decode as decode_module
from jaxprep.host import read_image, to_array
from jaxprep.host.decode import MAX_BYTES, MAX_PIXELS, decode, memory_of


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image = (
        image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    )
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    samples: np.ndarray, colour_type: int, *, size: tuple[int, int] | None = None, more: bytes = b""
) -> bytes:
    """A PNG (ISO 15948) of uint8 or uint16 samples (h, w[, c]); `size` is what the header says
    instead of the truth.
    """
    height, width = size or samples.shape[:2]
    big_endian = samples.astype(samples.dtype.newbyteorder(">"))
    header = struct.pack(
        ">IIBBBBB", width, height, 8 * samples.dtype.itemsize, colour_type, 0, 0, 0
    )
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in big_endian))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


# Orientation


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores. Exif 2.32, tag 0x0112, says where the stored row 0 and column 0 are in
    the upright image: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right
        top, 7 right bottom, 8 left bottom.
    """
    transposed = upright.transpose(
        1, 0, 2
    )  # rows of the stored image are columns of the upright one
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: transposed,
        6: transposed[::-1],
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],
    }[orientation]


def exif(orientation: object) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind, options, orientation):
    upright = noise(3, 5, 3)
    file = encoded(stored(upright, orientation), kind, exif=exif(orientation), **options)
    np.testing.assert_array_equal(read_image(file), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_photograph_is_applied(photos, orientation):
    upright = np.asarray(Image.open(photos / "chelsea.jpg"))
    file = encoded(
        stored(upright, orientation), "JPEG", quality=100, subsampling=0, exif=exif(orientation)
    )
    image = read_image(file)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 1  # JPEG at its best quality


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_means_nothing_is_upright(orientation):
    image = noise(3, 5, 3)
    np.testing.assert_array_equal(read_image(encoded(image, exif=exif(orientation))), image)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_is_upright():
    image = noise(3, 5, 3)
    np.testing.assert_array_equal(
        read_image(encoded(image, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), image
    )


def test_a_decoded_image_keeps_no_orientation_to_apply_again():
    image = decode(encoded(noise(3, 5, 3), exif=exif(6)))
    assert image.size == (3, 5)
    assert image.getexif().get(0x0112, 1) == 1


# Colour


def test_rgb_is_returned_as_it_is_stored():
    image = noise(4, 6, 3)
    decoded = read_image(encoded(image))
    np.testing.assert_array_equal(decoded, image)
    assert (decoded.dtype, decoded.shape) == (np.uint8, (4, 6, 3))


def test_an_icc_profile_is_not_applied():
    image = noise(4, 6, 3)
    np.testing.assert_array_equal(read_image(encoded(image, icc_profile=b"\0" * 128)), image)


def test_ycbcr_photographs_are_what_pillow_makes_of_them(photos):
    for path in photos.glob("*.jpg"):
        np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 255, 0), (255, 255, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 0, 0, 100), (155, 155, 155)),
    ],
)
def test_cmyk_ink_takes_away_light(ink, colour):
    image = read_image(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    assert np.abs(image.astype(int) - colour).max() <= 2  # JPEG's rounding


def test_a_16_bit_colour_png_keeps_the_high_bytes():
    samples = np.random.default_rng(0).integers(0, 2**16, (4, 6, 3), dtype=np.uint16)
    np.testing.assert_array_equal(read_image(png(samples, 2)), samples >> 8)


def test_a_palette_image_has_the_colours_of_its_palette():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    a, b, c = (10, 20, 30), (40, 50, 60), (70, 80, 90)
    np.testing.assert_array_equal(read_image(encoded(image)), [[a, b], [c, b]])


# Gray


def test_gray_becomes_three_equal_channels():
    values = noise(4, 6)
    np.testing.assert_array_equal(read_image(encoded(values)), gray(values))


def test_one_bit_becomes_black_and_white():
    bits = np.array([[0, 1, 1], [1, 0, 1]], bool)
    np.testing.assert_array_equal(
        read_image(encoded(Image.fromarray(bits))), gray(bits * np.uint8(255))
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_keeps_the_high_byte(kind):
    values = np.array([[0x0000, 0x00FF, 0x0100], [0x1234, 0x80FF, 0xFFFF]], np.uint16)
    expected = gray(np.array([[0x00, 0x00, 0x01], [0x12, 0x80, 0xFF]], np.uint8))
    np.testing.assert_array_equal(read_image(encoded(values, kind)), expected)


def test_32_bit_gray_within_16_bits_keeps_the_high_byte():
    values = np.array([[0, 0x1234, 0xFFFF]], np.int32)
    np.testing.assert_array_equal(
        read_image(encoded(values, "TIFF")), gray(np.array([[0, 0x12, 0xFF]], np.uint8))
    )


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 65536]], np.int32),
        np.array([[-1, 5]], np.int32),
        np.array([[0.5]], np.float32),
    ],
)
def test_samples_without_an_agreed_range_are_refused(values):
    with pytest.raises(
        DecodeError, match=r"Expected samples of 8 or 16 bits, got .* - at <bytes>\."
    ):
        read_image(encoded(values, "TIFF"))
    with pytest.raises(InputError, match="Expected samples of 8 or 16 bits"):
        to_array(Image.fromarray(values))


# Alpha


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255
    return colour * weight + 255 * (1 - weight)


def test_alpha_is_dropped_and_the_stored_colours_stay():
    image = noise(8, 8, 4)
    image[0, :, 3] = 0
    np.testing.assert_array_equal(read_image(encoded(image)), image[..., :3])


def test_alpha_white_lays_the_image_over_white():
    image = noise(8, 8, 4)
    image[0, :, 3], image[1, :, 3] = 0, 255
    result = read_image(encoded(image), alpha="white")
    np.testing.assert_allclose(
        result, over_white(image[..., :3], image[..., 3]), atol=1
    )  # to the nearest integer
    np.testing.assert_array_equal(result[0], 255)
    np.testing.assert_array_equal(result[1], image[1, :, :3])


def test_gray_with_alpha_follows_the_rules_of_both():
    image = noise(8, 8, 2)
    file = png(image, 4)
    np.testing.assert_array_equal(read_image(file), gray(image[..., 0]))
    expected = over_white(gray(image[..., 0]), image[..., 1])
    np.testing.assert_allclose(read_image(file, alpha="white"), expected, atol=1)


def test_transparent_palette_entries_follow_the_rules_of_alpha():
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    file = encoded(image, transparency=0)
    np.testing.assert_array_equal(read_image(file), [[(10, 20, 30), (40, 50, 60)]])
    np.testing.assert_array_equal(
        read_image(file, alpha="white"), [[(255, 255, 255), (40, 50, 60)]]
    )


def test_a_transparent_colour_follows_the_rules_of_alpha():
    image = np.array([[(10, 20, 30), (40, 50, 60)]], np.uint8)
    file = encoded(image, transparency=(40, 50, 60))
    np.testing.assert_array_equal(read_image(file), image)
    np.testing.assert_array_equal(
        read_image(file, alpha="white"), [[(10, 20, 30), (255, 255, 255)]]
    )


def test_a_transparent_16_bit_gray_follows_the_rules_of_alpha():
    values = np.array([[0x1234, 0x1235]], np.uint16)
    file = png(values, 0, more=chunk(b"tRNS", struct.pack(">H", 0x1234)))
    np.testing.assert_array_equal(read_image(file), gray(np.array([[0x12, 0x12]], np.uint8)))
    np.testing.assert_array_equal(
        read_image(file, alpha="white"), gray(np.array([[0xFF, 0x12]], np.uint8))
    )


def test_opaque_images_do_not_depend_on_alpha(photos):
    path = photos / "coffee.jpg"
    np.testing.assert_array_equal(read_image(path, alpha="white"), read_image(path))


def test_another_alpha_is_refused():
    with pytest.raises(JaxprepError, match="Expected 'drop' or 'white', got 'black' - at `alpha`"):
        read_image(encoded(noise(2, 2, 3)), alpha="black")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_8_bit_mode_of_pillow_becomes_rgb(mode):
    for alpha in ("drop", "white"):
        array = to_array(Image.new(mode, (3, 2)), alpha=alpha)
        assert (array.dtype, array.shape) == (np.uint8, (2, 3, 3))


# Many frames


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_many_frames_the_first_counts(kind):
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    first, *rest = (Image.new("RGB", (4, 3), colour) for colour in colours)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    file = encoded(first, kind, save_all=True, append_images=rest, **lossless)
    np.testing.assert_array_equal(read_image(file), np.full((3, 4, 3), colours[0], np.uint8))


def test_of_a_multi_picture_file_the_first_counts(photos):
    first, second = Image.open(photos / "coffee.jpg"), Image.open(photos / "rocket.jpg")
    file = encoded(first, "MPO", save_all=True, append_images=[second])
    assert read_image(file).shape == (400, 600, 3)


# What is refused


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_file_is_refused(kind, part, tmp_path):
    whole = encoded(noise(64, 64, 3), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(DecodeError, match=r"- at '.*cut\.img'"):
        read_image(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"GIF89a", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"not an image"],
)
def test_what_is_no_image_is_refused(content):
    with pytest.raises(DecodeError, match="at <bytes>"):
        read_image(content)


def test_a_file_is_read_by_its_content_whatever_its_name(tmp_path):
    image = noise(4, 6, 3)
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encoded(image))
    np.testing.assert_array_equal(read_image(path), image)


def test_a_format_that_is_not_listed_is_refused():
    with pytest.raises(DecodeError, match="got other or damaged data"):
        read_image(encoded(noise(4, 4, 3), "PDF"))
    with pytest.raises(DecodeError, match="got other or damaged data"):
        read_image(encoded(noise(4, 4, 3), "ICO"))


@pytest.mark.parametrize("size", [(2**14, 2**13 + 1), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_header_that_promises_too_much_is_refused_undecoded(size):
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(DecodeError, match="pixels"):
        read_image(png(noise(1, 1, 3), 2, size=size))


def test_max_pixels_is_what_the_caller_says():
    file = encoded(noise(4, 6, 3))
    assert read_image(file, max_pixels=24).shape == (4, 6, 3)
    with pytest.raises(
        DecodeError, match=r"at most 23 pixels \(`max_pixels`\), got 4 x 6 = 24 - at <bytes>"
    ):
        read_image(file, max_pixels=23)


def test_a_file_that_does_not_exist_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist - at '.*absent\.png'") as caught:
        read_image(tmp_path / "absent.png")
    assert isinstance(caught.value, DecodeError)


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(DecodeError, match="got a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("source", [None, 3, np.zeros((2, 2, 3), np.uint8)])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(InputError, match="Expected a path, bytes or a binary file"):
        read_image(source)


# Sources


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP"])
def test_a_file_of_the_caller_stays_open(kind):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    more = {"save_all": True, "append_images": frames[1:]} if kind != "JPEG" else {}
    file = io.BytesIO(encoded(frames[0], kind, **more))
    assert read_image(file).shape == read_image(file).shape == (3, 4, 3)
    assert memory_of(file).decoded == 36 and not file.closed


def test_every_kind_of_source_gives_the_same_image(tmp_path):
    image = noise(4, 6, 3)
    content = encoded(image)
    path = tmp_path / "image.png"
    path.write_bytes(content)
    file = io.BytesIO(content)
    file.seek(7)  # files are read from their start
    for source in (path, str(path), content, bytearray(content), memoryview(content), file):
        np.testing.assert_array_equal(read_image(source), image)
    assert not file.closed


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": 0},
        {"subsampling": 1},
        {"progressive": True},
        {"quality": 30},
        {"exif": exif(6)},
        {"mode": "L"},
        {"mode": "CMYK"},
    ],
)
def test_simplejpeg_decodes_as_pillow_does(photos, options, monkeypatch):
    options = dict(options)
    photo = (
        Image.open(photos / "chelsea.jpg").convert(options.pop("mode", "RGB")).resize((187, 131))
    )
    content = encoded(photo, "JPEG", **options)
    found = read_image(content)
    monkeypatch.setattr("jaxprep.host.decode._jpeg_decoder", lambda: None)
    np.testing.assert_array_equal(found, read_image(content))


def test_simplejpeg_takes_photographs(photos, monkeypatch):
    taken: list[int] = []
    original = simplejpeg.decode_jpeg
    monkeypatch.setattr(
        "jaxprep.host.decode._jpeg_decoder", lambda: lambda data: taken.append(1) or original(data)
    )
    read_image(photos / "chelsea.jpg")
    assert taken


def test_the_array_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read_image(encoded(noise(4, 6, 3)))[0, 0, 0] = 1


# HEIC


def heic(image: np.ndarray, **info: object) -> bytes:
    file = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.fromarray(image))
    heif.info.update(info)
    heif.save(file, quality=-1)
    return file.getvalue()


def blocks(*shape: int) -> np.ndarray:
    """Large blocks of colour, which HEVC's half-size chroma keeps."""
    return np.kron(noise(*shape), np.ones((16, 16, 1), np.uint8))


@pytest.mark.parametrize("channels", [3, 4])
def test_heic_is_what_pillow_heif_makes_of_it(channels):
    image = blocks(4, 6, channels)
    file = heic(image)
    found = read_image(file)
    expected = np.asarray(pillow_heif.open_heif(io.BytesIO(file)).to_pillow())[..., :3]
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (64, 96, 3) and np.abs(found - image[..., :3].astype(int)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation):
    """The file says how to turn it in its container, and again in its EXIF block."""
    upright = blocks(4, 6, 3)
    file = heic(
        np.ascontiguousarray(stored(upright, orientation)), exif=exif(orientation).tobytes()
    )
    found = read_image(file)
    assert found.shape == upright.shape
    assert np.abs(found - upright.astype(int)).mean() < 4
    assert decode(file).getexif().get(0x0112, 1) == 1


def test_gray_heic_becomes_three_equal_channels():
    found = read_image(heic(np.kron(noise(4, 6), np.ones((16, 16), np.uint8))))
    assert (found == found[..., :1]).all() and found.shape == (64, 96, 3)


def test_of_heic_with_many_images_the_primary_one_counts():
    images = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    file = io.BytesIO()
    heif = pillow_heif.from_pillow(images[0])
    for image in images[1:]:
        heif.add_from_pillow(image)
    heif.save(file, quality=-1, primary_index=1)
    assert read_image(file.getvalue())[16, 16].argmax() == 1


def test_heic_without_pillow_heif_is_refused_with_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "a.jpg").write_bytes(heic(blocks(2, 2, 3)))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for read in (read_image, memory_of, decode):
        with pytest.raises(MissingPackageError, match=r"jaxprep\[heif\].* - at '.*a\.jpg'"):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("damage", ["cut", "header"])
def test_a_damaged_heic_is_refused(damage):
    file = bytearray(heic(blocks(4, 6, 3)))
    if damage == "cut":
        del file[len(file) // 2 :]
    else:
        file[40:190] = bytes(150)
    with pytest.raises(DecodeError, match="at <bytearray>"):
        read_image(file)


def test_a_heic_of_too_many_pixels_is_refused_undecoded():
    with pytest.raises(DecodeError, match=r"at most 6143 pixels .*, got 64 x 96 = 6144 - at"):
        read_image(heic(blocks(4, 6, 3)), max_pixels=6143)


# What is not read at all


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []

    def opening(path: str, *args: object) -> object:
        names.append(os.fspath(path))
        return open(path, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(decode_module, "open", opening, raising=False)
    return names


@pytest.mark.parametrize("read", [read_image, decode, memory_of])
def test_pipes_and_devices_are_refused_unopened(read, tmp_path, opened):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(DecodeError, match=f"got a pipe, device or socket - at '.*{name}'"):
            read(tmp_path / name)
    assert opened == []


@pytest.mark.skipif(not os.path.exists("/proc/kmsg"), reason="needs /proc")
def test_files_of_proc_are_refused_unopened(tmp_path, opened):
    (tmp_path / "log.jpg").symlink_to("/proc/kmsg")  # it waits for the next line for ever
    with pytest.raises(DecodeError, match="got an empty file"):
        read_image(tmp_path / "log.jpg")
    assert opened == []


def sparse(path: Path, begin: bytes, size: int) -> Path:
    """A file that takes no space on disk, of zeros after its begin."""
    with open(path, "wb") as file:
        file.write(begin)
        file.truncate(size)
    return path


def test_a_file_too_large_for_an_image_is_refused_unopened(tmp_path, opened):
    path = sparse(tmp_path / "a.jpg", b"\xff\xd8\xff", 12 * 10**9)
    with pytest.raises(
        DecodeError, match=rf"at most {MAX_BYTES} bytes, got 12000000000 bytes - at"
    ):
        read_image(path)
    with pytest.raises(DecodeError, match=rf"at most {2 * MAX_BYTES} bytes"):
        read_image(path, max_pixels=2 * MAX_PIXELS)
    assert opened == []


GIF_OF_NO_BLOCKS = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0)
STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"P6 9 9", GIF_OF_NO_BLOCKS, b"BM"]


@pytest.mark.parametrize("begin", STARTS)
def test_of_a_large_file_that_is_no_image_only_the_header_is_read(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_module, "MAX_READS", 2**14)  # a 64th, as it is traced
    path = sparse(tmp_path / "a.jpg", begin, MAX_BYTES)
    tracemalloc.start()
    with pytest.raises(DecodeError, match=r"a\.jpg"):
        read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "HEIF"])
def test_a_file_that_is_read_whole_may_be_less_large(kind, tmp_path):
    image = blocks(1, 1, 3)
    path = sparse(
        tmp_path / "a", heic(image) if kind == "HEIF" else encoded(image, kind), 2**28 + 1
    )
    with pytest.raises(DecodeError, match=rf"at most {2**28} bytes, as it is of kind {kind} - at"):
        read_image(path)


def test_what_follows_the_end_of_a_jpeg_is_not_read(tmp_path):
    content = encoded(noise(40, 60, 3), "JPEG")
    expected = read_image(content)
    path = sparse(tmp_path / "a.jpg", content, 2**29)
    tracemalloc.start()
    np.testing.assert_array_equal(read_image(path), expected)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def tiff_tag(tag: int, value: int) -> bytes:
    """A TIFF of one gray pixel with one tag more."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[tag] = value
    if tag == 50706:
        tags.tagtype[tag] = 4  # LONG
    return encoded(np.zeros((1, 1), np.uint8), "TIFF", tiffinfo=tags)


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (50706, 0x01040000)])
def test_the_preview_in_a_raw_file_is_no_image(tag, value):
    assert read_image(tiff_tag(254, 0)).shape == (1, 1, 3)
    with pytest.raises(DecodeError, match="camera's raw file"):
        read_image(tiff_tag(tag, value))


def test_a_picture_of_a_kind_that_is_not_read_is_named():
    with pytest.raises(DecodeError, match="got one of the kind JPEG XL - at <bytes>"):
        read_image(b"\xff\x0a" + bytes(99))


def test_too_little_memory_says_for_what(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise(4, 6, 3)))

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "tobytes", refuse)
    with pytest.raises(
        MemoryError, match=r"Expected memory for the image, got none - at '.*a\.png'"
    ):
        read_image(path)


# How much memory an image takes


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"])
@pytest.mark.parametrize("turned", [False, True])
def test_memory_is_known_without_decoding(kind, turned, monkeypatch):
    """How much it is, was measured: what `getrusage` says of a process never shrinks."""
    image = Image.fromarray(noise(40, 64, 3))
    options = {"exif": exif(6)} if turned and kind not in ("BMP", "GIF", "HEIF") else {}
    if kind == "HEIF":
        content = heic(np.asarray(image))
    else:
        content = encoded(image.convert("P") if kind == "GIF" else image, kind, **options)
    expected = read_image(content).nbytes

    def refuse(*_: object) -> None:
        raise AssertionError("it decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    monkeypatch.setattr(pillow_heif.HeifImage, "load", refuse)
    monkeypatch.setattr(decode_module, "_jpeg_decoder", lambda: refuse)
    said = memory_of(content)
    assert said.decoded == expected == 40 * 64 * 3
    assert said.decoding >= expected + len(content)
    if options and kind != "TIFF":  # which may always be
        monkeypatch.undo()
        assert said.decoding > memory_of(encoded(image, kind)).decoding + 40 * 64 * 3


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("CMYK", 4)])
def test_a_progressive_jpeg_takes_its_coefficients_too(mode, channels):
    """Measured on 25 million pixels in full colour: 218 MB, where one without scans takes 75."""
    image = Image.fromarray(noise(40, 64, 3)).convert(mode)
    plain, progressive = (encoded(image, "JPEG", progressive=scans) for scans in (False, True))
    longer = len(progressive) - len(plain)
    more = memory_of(progressive).decoding - memory_of(plain).decoding - longer
    assert more == 2 * channels * 40 * 64


def test_a_large_image_is_converted_band_by_band(monkeypatch):
    files = [encoded(Image.fromarray(noise(9, 7, channels)), "PNG") for channels in (3, 4)]
    files.append(png(np.arange(63, dtype=np.uint16).reshape(9, 7) * 999, 0))
    palette = Image.fromarray(noise(9, 7), "P")
    palette.putpalette(bytes(range(256)) * 3)
    files.append(encoded(palette, transparency=3))
    for file in files:
        for alpha in ("drop", "white"):
            expected = read_image(file, alpha=alpha)
            with monkeypatch.context() as patch:
                patch.setattr(decode_module, "BAND_PIXELS", 16)
                found = read_image(file, alpha=alpha)
            np.testing.assert_array_equal(found, expected)
            assert not found.flags.writeable


def test_memory_of_refuses_what_reading_refuses():
    for content in (b"", b"no image", png(noise(1, 1, 3), 2, size=(2**14, 2**13 + 1))):
        with pytest.raises(DecodeError, match="at <bytes>"):
            memory_of(content)


def test_a_text_file_is_told_how_it_is_opened():
    with pytest.raises(InputError, match=r"got the text file `StringIO`\. Open it with .*'rb'"):
        read_image(io.StringIO("x"))  # pyright: ignore[reportArgumentType]


def test_the_header_of_a_file_that_has_no_transparent_colour_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
):
    files = [encoded(Image.new("RGB", (4, 3)), kind) for kind in ("JPEG", "BMP")]
    monkeypatch.setattr(Image, "open", None)
    assert [decode_module.transparency_of(file) for file in files] == [None, None]
