"""Picture files in, network arrays, picture files out."""

import contextlib
import errno
import io
import os
import pathlib
import re
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from nst_course import decoding
from nst_course.images import (
    ImageError,
    check_output,
    check_size,
    denormalize_image,
    example_image,
    generate_noise_image,
    read_first,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    save_painting,
)
from nst_course.weights.network import IMAGENET_MEAN

RNG = np.random.RandomState(0)
NOISE = RNG.randint(0, 256, (7, 11, 3), np.uint8)
# Lossy formats keep a smooth picture nearly as it is.
SMOOTH = np.stack([*np.meshgrid(np.linspace(0, 200, 24), np.linspace(20, 250, 16)), np.full((16, 24), 90.0)], -1)
SMOOTH = SMOOTH.astype(np.uint8)


def save(path, pixels, mode=None, **options):
    picture = Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)
    picture.save(path, **options)
    return path


# ---------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm", ".webp"])
def test_lossless_formats(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", NOISE, **({"lossless": True} if suffix == ".webp" else {}))
    image = read_image(str(path))
    assert image.dtype == np.uint8 and image.flags.writeable
    np.testing.assert_array_equal(image, NOISE)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", SMOOTH, quality=95))
    assert image.shape == SMOOTH.shape
    assert np.abs(image.astype(int) - SMOOTH).max() <= 12


def test_grey(tmp_path):
    grey = NOISE[..., 0]
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", grey)), np.stack([grey] * 3, -1))


def test_grey_with_alpha_is_laid_on_white(tmp_path):
    pixels = np.zeros((2, 2, 2), np.uint8)
    pixels[0, 0] = 100, 255
    pixels[1, 1] = 100, 0
    image = read_image(save(tmp_path / "a.png", pixels))
    assert image[0, 0].tolist() == [100] * 3 and image[1, 1].tolist() == [255] * 3


def test_palette(tmp_path):
    flat = NOISE.copy()
    flat[:] = [[[200, 30, 40]]]
    flat[::2] = [0, 250, 128]
    path = tmp_path / "a.png"
    Image.fromarray(flat).quantize(4).save(path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
    np.testing.assert_array_equal(read_image(path), flat)


def test_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "a.png", transparency=1)
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [10, 20, 30] and image[0, 1].tolist() == [255, 255, 255]


def test_rgba_is_composited_on_white(tmp_path):
    rgba = np.dstack([NOISE, np.full(NOISE.shape[:2], 128, np.uint8)])
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 255
    image = read_image(save(tmp_path / "a.png", rgba)).astype(int)
    alpha = rgba[..., 3:] / 255
    assert np.abs(image - (NOISE * alpha + 255 * (1 - alpha))).max() <= 1
    assert image[0, 0].tolist() == [255] * 3 and image[0, 1].tolist() == NOISE[0, 1].tolist()


def _png(width, height, depth, colour, rows):
    """Write a PNG by hand: Pillow writes no 16-bit colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    grey = np.array([[0, 257, 128 * 257], [300, 40_000, 65_535]], ">u2")
    (tmp_path / "a.png").write_bytes(_png(3, 2, 16, 0, b"".join(b"\0" + row.tobytes() for row in grey)))
    image = read_image(tmp_path / "a.png")
    assert image[..., 0].tolist() == [[0, 1, 128], [1, 156, 255]]
    assert (image == image[..., :1]).all()


def test_16_bit_colour(tmp_path):
    colour = (NOISE.astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in colour)
    (tmp_path / "a.png").write_bytes(_png(11, 7, 16, 2, rows))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), NOISE)


def test_cmyk_jpeg(tmp_path):
    red = np.full((16, 16, 3), [220, 30, 40], np.uint8)
    path = save(tmp_path / "a.jpg", red, "CMYK", quality=95)
    assert np.abs(read_image(path).astype(int) - red).max() < 20


def test_1_bit(tmp_path):
    bits = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", bits, "1"))[..., 0], bits)


def test_floating_point_is_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ImageError, match="Expected 8 or 16 bits.*Save it as PNG"):
        read_image(tmp_path / "a.tiff")


# What each EXIF orientation asks for, by its definition: where row 0 and column 0 of the stored picture lie.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_photographs_are_turned_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](SMOOTH))
    image = read_image(save(tmp_path / f"a{suffix}", stored, exif=exif))
    assert image.shape == SMOOTH.shape
    assert np.abs(image.astype(int) - SMOOTH).max() <= 25


def test_animated_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.unique(read_image(tmp_path / "a.gif").reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


def test_mpo_gives_its_first_picture(tmp_path):
    other = Image.new("RGB", (24, 16), "black")
    Image.fromarray(SMOOTH).save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[other])
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - SMOOTH).max() <= 25


# -------------------------------------------------------------------------------------------------------- bad files


def test_missing_and_folder(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"there is none at {re.escape(str(path))}. Check"):
            read_image(path)


def _encoded(suffix):
    file = io.BytesIO()
    Image.fromarray(RNG.randint(0, 256, (60, 80, 3), np.uint8)).save(file, suffix)
    return file.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is an empty file. Save or download it again"),
        (b"this is a text, not a picture", "is something else. Open it in a picture viewer"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "is something else"),
        (b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n", "is something else"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n", "is something else"),
    ],
)
def test_what_is_no_picture(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated(tmp_path, kind):
    content = _encoded(kind)
    for keep in (len(content) // 2, len(content) * 9 // 10, 20):
        (tmp_path / "a").write_bytes(content[:keep])
        with pytest.raises(ImageError, match="is damaged or truncated|is something else"):
            read_image(tmp_path / "a")


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1)])
def test_too_small(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"Expected at least 2 x 2 pixels; .* has {size[0]} x {size[1]}. Choose"):
        read_image(tmp_path / "a.png")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    # 60000 x 60000 black pixels pack into 11 MB; the refusal must come from the header, so a few bytes will do here.
    (tmp_path / "a.png").write_bytes(_png(60_000, 60_000, 8, 2, b"\0"))
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(
        ImageError, match=r"Expected at most 50,000,000 pixels; .* 60000 x 60000 = 3,600,000,000.*max_p"
    ):
        read_image(tmp_path / "a.png")
    assert Image.MAX_IMAGE_PIXELS == limit is not None


def test_the_limit_can_be_lowered_and_raised(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", NOISE)
    with pytest.raises(ImageError, match="Expected at most 76 pixels"):
        read_image(path, max_pixels=76)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow itself would refuse the picture now
    np.testing.assert_array_equal(read_image(path, max_pixels=77), NOISE)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_threads_leave_pillows_limit_as_it_was(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((300, 300, 3), np.uint8))
    limit = Image.MAX_IMAGE_PIXELS
    threads = [threading.Thread(target=lambda: [read_image(path) for _ in range(40)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Image.MAX_IMAGE_PIXELS == limit is not None


ENCODED = {kind: _encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(ENCODED)))
def test_damaged_files_give_a_picture_or_an_image_error(tmp_path, data, kind):
    content = bytearray(ENCODED[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        # Headers are where it hurts.
        place = data.draw(st.one_of(st.integers(0, 200), st.integers(0, len(content) - 1)))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(content)
    try:
        image = read_image(path, max_pixels=100_000)
    except ImageError:
        return
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


@pytest.mark.parametrize(
    "error, message",
    [
        (struct.error("unpack requires a buffer of 4 bytes"), "is damaged or truncated: unpack requires .* again."),
        (KeyError(7), "cannot be read: 7. Open it in a picture viewer"),
        (MemoryError(), "There is not enough memory for .*a.bmp. Make"),
    ],
)
def test_any_exception_of_the_decoder_becomes_an_image_error(tmp_path, monkeypatch, error, message):
    path = save(tmp_path / "a.bmp", NOISE)

    def fail(*args):
        raise error

    monkeypatch.setattr(decoding, "_upright", fail)
    with pytest.raises(ImageError, match=message):
        read_image(path)


# ------------------------------------------------------------------------------- small files that ask for far too much


def gif(width, height, *frames):
    """Write a GIF of frames (width, height, how it is disposed of), each of one black pixel's worth of data."""
    content = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    for frame_width, frame_height, disposal in frames:
        content += b"\x21\xf9\x04" + struct.pack("<BHBB", disposal << 2, 10, 0, 0)
        content += b"\x2c" + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0) + b"\x02\x02\x44\x01\x00"
    return content + b"\x3b"


HUNGRY = {
    "a large screen": gif(65535, 65535, (4, 4, 0)),
    "a large frame that is disposed of": gif(4, 4, (65535, 65535, 2)),
    "a large frame": gif(4, 4, (65535, 65535, 0)),
}

PEAK = """
import resource, sys
from nst_course.decoding import ImageError, decode, decode_frames
decode(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    for read in (decode, lambda path: list(decode_frames(path))):
        try:
            read(path)
        except ImageError as error:
            assert "Expected at most" in str(error) or "Expected an animation of at most" in str(error), error
        else:
            assert read is decode and "later" in path, path
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_small_gifs_that_ask_for_gigabytes_are_refused_before_they_are_given_any(tmp_path):
    files = {f"{i}.gif": content for i, content in enumerate(HUNGRY.values())}
    file = io.BytesIO()
    Image.new("P", (4, 4)).save(file, "GIF")
    first = file.getvalue()[:-1]
    files["later.gif"] = first + gif(4, 4, (20000, 20000, 0))[19:]
    files["later2.gif"] = first + gif(4, 4, *[(7000, 7000, 1)] * 5)[19:]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    save(tmp_path / "good.png", NOISE)
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / name) for name in ("good.png", *files))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 700  # MiB; one frame of 7000 x 7000 is allowed


def test_the_files_that_took_gigabytes(test_data):
    with pytest.raises(ImageError, match="Expected at most 50,000,000 pixels; a frame of .* has more"):
        read_image(test_data / "faults" / "dispose65535.gif")
    with pytest.raises(ImageError, match="Expected at most 50,000,000 pixels; a frame of .* has more"):
        list(decoding.decode_frames(test_data / "faults" / "grow_20000.gif"))
    with pytest.raises(ImageError, match="of a run-length coded BMP"):
        read_image(test_data / "faults" / "rle_slow.bmp")


def rle_bmp(width, height):
    """Write a run-length coded BMP that ends every line after its first pixel."""
    data = b"\1\1\0\0" * height + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 2, 2)
    offset = 14 + len(head) + 8
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + bytes(8) + data


def test_a_run_length_coded_bmp_is_read_if_it_is_not_too_large(tmp_path):
    (tmp_path / "a.bmp").write_bytes(rle_bmp(70, 40))
    assert read_image(tmp_path / "a.bmp").shape == (40, 70, 3)
    (tmp_path / "a.bmp").write_bytes(rle_bmp(900_000, 10))
    with pytest.raises(ImageError, match="at most 8,388,608 pixels of a run-length coded BMP; .* has 900000 x 10"):
        read_image(tmp_path / "a.bmp")


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    file = io.BytesIO()
    Image.new("L", (2000, 2000)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_image(tmp_path / "a.jpg").shape == (2000, 2000, 3)
    (tmp_path / "a.jpg").write_bytes(content[:-2] + scan * 300 + content[-2:])
    with pytest.raises(ImageError, match="Expected a progressive JPEG of a few scans; .* has 30[0-9] of 2000 x 2000"):
        read_image(tmp_path / "a.jpg")


# ----------------------------------------------------------------------------------------- trouble beside the pixels


def segment(kind, data):
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


EXIF = b"Exif\0\0MM\0*\0\0\0\x08"
ODD_SEGMENTS = {
    "an EXIF block of nothing": segment(0xE1, b"Exif\0\0"),
    "an EXIF block that points beyond itself": segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"),
    "an orientation that is text": segment(0xE1, EXIF + struct.pack(">HHHI4sI", 1, 0x0112, 2, 4, b"top\0", 0)),
    "an orientation of no such number": segment(0xE1, EXIF + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 99, 0, 0)),
    "a count of 2 ** 32 - 1": segment(0xE1, EXIF + struct.pack(">HHHIII", 1, 0x0112, 3, 2**32 - 1, 8, 0)),
    "a list of pictures that is none": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\1\0\1\xb0\4\0\1\0\0\0\7\0\0\0"),
    "a list of pictures that lacks its index": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\0\0\7\0\0\0\0040100"),
    "a profile that is none": segment(0xE2, b"ICC_PROFILE\0\1\1no profile"),
    "half a Photoshop block": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\3\xed\0\0\0\0\0"),
}


@pytest.mark.parametrize("what", ODD_SEGMENTS)
def test_odd_blocks_beside_the_pixels_of_a_jpeg_do_not_cost_the_pixels(tmp_path, what):
    content = save(tmp_path / "a.jpg", SMOOTH, quality=95).read_bytes()
    expected = read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(content[:2] + ODD_SEGMENTS[what] + content[2:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)


def chunk(kind, data, crc=None):
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


ODD_CHUNKS = {
    "a large text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 2**25)),
    "many texts": b"".join(chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(b"a" * 2**22)) for i in range(30)),
    "a large profile": chunk(b"iCCP", b"P\0\0" + zlib.compress(bytes(2**25))),
    "a checksum that is wrong": chunk(b"tEXt", b"Comment\0a", crc=1),
    "a damaged profile": chunk(b"iCCP", b"P\0\0not packed"),
    "an international text of nothing": chunk(b"iTXt", b""),
    "a time that is short": chunk(b"pHYs", b"\0"),
}


@pytest.mark.parametrize("what", ODD_CHUNKS)
def test_odd_chunks_beside_the_pixels_of_a_png_do_not_cost_the_pixels(tmp_path, what):
    content = save(tmp_path / "a.png", NOISE).read_bytes()
    for place in (33, len(content) - 12):  # behind IHDR, before IEND
        (tmp_path / "a.png").write_bytes(content[:place] + ODD_CHUNKS[what] + content[place:])
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), NOISE)


def test_a_png_whose_pixels_are_damaged_is_damaged_whatever_stands_beside_them(tmp_path):
    content = bytearray(save(tmp_path / "a.png", NOISE).read_bytes())
    content[60] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content[:33] + ODD_CHUNKS["a large text"] + content[33:])
    with pytest.raises(ImageError, match="a.png is damaged or truncated"):
        read_image(tmp_path / "a.png")


# ----------------------------------------------------------------------------------------------------- colour profiles


def curve_of_gamma(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def xyz(*values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))


def profile(space, **tags):
    """Write an ICC profile (ICC.1:2001-04, version 2) of the tags given."""
    table, body, place = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name.encode() + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    content = head[:128] + table + body
    return struct.pack(">I", len(content)) + content[4:]


# Their primaries' XYZ under D50, from chromaticities by Bradford's adaptation (SMPTE EG 432-1; Adobe RGB 1998).
P3 = {
    "rXYZ": xyz(0.51512, 0.2412, -0.00105),
    "gXYZ": xyz(0.29198, 0.69225, 0.04189),
    "bXYZ": xyz(0.1571, 0.06657, 0.78407),
}
ADOBE = {
    "rXYZ": xyz(0.60974, 0.31111, 0.01947),
    "gXYZ": xyz(0.20528, 0.62567, 0.06087),
    "bXYZ": xyz(0.14919, 0.06322, 0.74457),
}
SRGB = {
    "rXYZ": xyz(0.43607, 0.22249, 0.01392),
    "gXYZ": xyz(0.38515, 0.71687, 0.09708),
    "bXYZ": xyz(0.14307, 0.06061, 0.7141),
}


def rgb_profile(primaries, gamma):
    curves = {f"{c}TRC": curve_of_gamma(gamma) for c in "rgb"}
    return profile(b"RGB ", wtpt=xyz(0.9642, 1, 0.8249), **primaries, **curves)


def to_srgb(primaries, gamma, colors):
    """Convert by the definition: linear light, through XYZ, to sRGB's primaries and curve (IEC 61966-2-1)."""
    matrix, srgb = (
        np.array([struct.unpack(">3i", p[c][8:]) for c in ("rXYZ", "gXYZ", "bXYZ")]).T / 65536
        for p in (primaries, SRGB)
    )
    light = np.linalg.solve(srgb, matrix @ ((colors.reshape(-1, 3) / 255) ** gamma).T).T.clip(0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * curved).reshape(colors.shape)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("primaries, gamma", [(P3, 2.2), (ADOBE, 2.199)])
def test_colours_are_converted_to_srgb_by_the_profile_in_the_file(tmp_path, primaries, gamma, mode):
    steps = np.array([0, 60, 128, 200, 255], np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(5, 25, 3)
    picture = Image.fromarray(colors).quantize(125) if mode == "P" else Image.fromarray(colors).convert(mode)
    expected = to_srgb(primaries, gamma, np.asarray(picture.convert("RGB")))
    picture.save(tmp_path / "a.png", icc_profile=rgb_profile(primaries, gamma))
    found = read_image(tmp_path / "a.png").astype(float)
    assert np.abs(found - expected).max() <= 2.5 and np.abs(colors - expected).max() > 20


def test_a_picture_with_the_profile_of_srgb_is_left_as_it_is(tmp_path):
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", NOISE, icc_profile=made)), NOISE)


def test_a_grey_picture_is_converted_by_its_profile(tmp_path):
    made = profile(b"GRAY", wtpt=xyz(0.9642, 1, 0.8249), kTRC=curve_of_gamma(1.5))
    grey = np.arange(16, 256, dtype=np.uint8).reshape(16, 15)  # darker ones are rounded on the way
    image = read_image(save(tmp_path / "a.png", grey, icc_profile=made))
    light = (grey / 255) ** 1.5
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(image - expected[..., None]).max() <= 2 and np.abs(grey - expected).max() > 15


def test_a_cmyk_picture_is_converted_by_its_profile(tmp_path):
    # A table of two steps for each ink: Lab's L falls from 100 to 0 with black alone, so that other inks show nothing.
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    lab = b"".join(bytes([255 - 255 * int(ink[3]), 128, 128]) for ink in inks)
    straight = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += straight * 4 + lab + straight * 3
    made = bytearray(profile(b"CMYK", wtpt=xyz(0.9642, 1, 0.8249), A2B0=table))
    made[12:24] = b"prtrCMYKLab "
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., :3] = 200
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.tif", icc_profile=bytes(made))
    assert read_image(tmp_path / "a.tif").min() >= 253
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").max() < 80  # without a profile inks are taken off white


# ------------------------------------------------------------------------------------------------ what a file is


def animated(path, kind, n=3):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")[:n]]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=[40, 200, 90][:n], loop=3, **options)
    return path


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_all_frames_of_an_animation_are_read_whatever_its_name_is(tmp_path, kind, suffix):
    path = animated(tmp_path / f"a{suffix}", kind)
    frames, durations, loops = zip(*decoding.decode_frames(path))
    assert [tuple(frame[0, 0]) for frame in frames] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert durations == (40, 200, 90) and set(loops) == {3} and decoding.count_frames(path) == (3, 1)


def test_a_picture_that_only_stands_for_an_animation_is_not_one_of_its_frames(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True)
    assert [tuple(frame[0, 0]) for frame, *_ in decoding.decode_frames(tmp_path / "a.png")] == [
        (0, 255, 0),
        (0, 0, 255),
    ]
    assert decoding.count_frames(tmp_path / "a.png") == (2, 1)


def test_where_only_the_first_is_read_a_line_says_so(tmp_path, capsys):
    read_first(animated(tmp_path / "a.webp", "WEBP"))
    pages = [Image.new("RGB", (6, 4))] * 2
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    read_first(tmp_path / "b.tif")
    read_first(save(tmp_path / "c.png", NOISE))
    assert capsys.readouterr().out == (
        f"Only the first of the 3 frames of {tmp_path / 'a.webp'} is painted.\n"
        f"Only the first of the 2 pages of {tmp_path / 'b.tif'} is painted.\n"
    )


def test_what_libtiff_says_of_a_damaged_file_does_not_reach_the_terminal(tmp_path, capfd):
    Image.fromarray(NOISE).save(tmp_path / "a.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    for place in range(8, len(content), 7):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        (tmp_path / "a.tif").write_bytes(damaged)
        with contextlib.suppress(ImageError):
            read_image(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


# --------------------------------------------------------------------------------------------------------- resizing


@pytest.mark.parametrize(
    "wanted, shape", [({"width": 12}, (8, 12)), ({"height": 32}, (32, 48)), ({"width": 10, "height": 10}, (10, 10))]
)
def test_resize_shapes(wanted, shape):
    assert resize_image(SMOOTH, **wanted).shape == (*shape, 3)


def test_both_sizes_cover_and_crop_evenly():
    # Three squares side by side: what a square keeps of them is the middle one, not all three squeezed.
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, :20, 0], picture[:, 20:40, 1], picture[:, 40:, 2] = 255, 255, 255
    image = resize_image(picture, width=10, height=10)
    assert image[:, 1:-1, 1].min() > 200 and image[:, 1:-1, [0, 2]].max() < 50


def test_the_same_size_changes_nothing():
    np.testing.assert_array_equal(resize_image(SMOOTH, width=24, height=16), SMOOTH)


def test_resizing_keeps_a_smooth_picture():
    back = resize_image(resize_image(SMOOTH, width=48), width=24).astype(int)
    assert np.abs(back - SMOOTH).max() <= 8


@pytest.mark.parametrize("shape", [(2, 3000, 3), (3000, 2, 3)])
def test_extreme_proportions(shape):
    picture = np.full(shape, 77, np.uint8)
    assert min(resize_image(picture, width=5).shape[:2]) >= 1
    for wanted in ({"width": 300, "height": 20}, {"width": 1, "height": 1}):
        image = resize_image(picture, **wanted)
        assert image.shape == (wanted["height"], wanted["width"], 3) and (image == 77).all()
    if shape[0] == 2:
        assert resize_image(picture, width=5).shape == (1, 5, 3)


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({}, "needs a width, a height or both; found neither. Type width=400"),
        ({"width": 0}, "width must be at least 1 pixel; found 0"),
        ({"height": -3}, "height must be at least 1 pixel; found -3"),
    ],
)
def test_resize_refuses(wanted, message):
    with pytest.raises(ValueError, match=message):
        resize_image(SMOOTH, **wanted)


def test_an_impossible_size_is_refused_before_anything_is_resized():
    narrow = np.zeros((3000, 2, 3), np.uint8)
    with pytest.raises(
        ImageError, match="at most 50,000,000 pixels; .* of 2 x 3000 would become 4000 x 6000000. Choose"
    ):
        resize_image(narrow, width=4000)
    with pytest.raises(ImageError, match="at most 95 pixels"):
        resize_image(SMOOTH, width=12, max_pixels=95)
    assert resize_image(narrow, width=4, max_pixels=24_000).shape == (6000, 4, 3)


def test_resize_wants_bytes():
    with pytest.raises(ValueError, match=r"Expected a uint8 picture .*; found float64 of shape \(16, 24, 3\)"):
        resize_image(SMOOTH / 255, width=12)


# --------------------------------------------------------------------------------------------------- network arrays

PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))


@given(PICTURES)
def test_normalising_and_back_is_exact(picture):
    before = picture.copy()
    array = reshape_and_normalize_image(picture)
    assert array.shape == (1, *picture.shape) and array.dtype == np.float32
    np.testing.assert_array_equal(denormalize_image(array), picture)
    np.testing.assert_array_equal(picture, before)


def test_normalising_and_back_is_exact_for_every_value():
    every = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    np.testing.assert_array_equal(denormalize_image(reshape_and_normalize_image(every)), every)


def test_the_mean_is_subtracted_channel_by_channel():
    array = reshape_and_normalize_image(np.zeros((2, 3, 3), np.uint8))
    np.testing.assert_allclose(array[0, 0, 0], [-123.68, -116.779, -103.939], rtol=1e-6)


def test_denormalize_clips_and_rounds():
    wanted = np.array([[-3.0, 0.4, 0.6], [254.6, 300.0, 127.5]])
    image = (np.stack([wanted] * 3, -1) - IMAGENET_MEAN)[None]
    assert denormalize_image(image)[..., 0].tolist() == [[0, 0, 1], [255, 255, 128]]
    assert denormalize_image(np.full((1, 1, 1, 3), np.inf)).tolist() == [[[255] * 3]]


def test_denormalize_refuses():
    with pytest.raises(ValueError, match="holds NaN"):
        denormalize_image(np.full((1, 2, 2, 3), np.nan))
    with pytest.raises(ValueError, match=r"found \(2, 2, 3\)"):
        denormalize_image(np.zeros((2, 2, 3)))


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3))])
def test_normalize_refuses(bad):
    with pytest.raises(ValueError, match=rf"found {bad.dtype} of shape {re.escape(str(bad.shape))}.*read_image"):
        reshape_and_normalize_image(bad)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.6, 1.0])
def test_noise_is_the_courses(ratio):
    content = reshape_and_normalize_image(SMOOTH)
    np.random.seed(5)
    noise = np.random.uniform(-20, 20, (1, 16, 24, 3)).astype("float32")
    course = noise * ratio + content * (1 - ratio)
    np.random.seed(5)
    image = generate_noise_image(content, ratio)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, course.astype(np.float32))


def test_noise_default_ratio_and_extremes():
    content = reshape_and_normalize_image(SMOOTH)
    np.testing.assert_array_equal(generate_noise_image(content, seed=1), generate_noise_image(content, 0.6, seed=1))
    np.testing.assert_array_equal(generate_noise_image(content, 0), content)
    noise = generate_noise_image(content, 1, seed=0)
    assert -20 <= noise.min() < -19 and 19 < noise.max() <= 20


def test_a_seed_leaves_the_global_state_alone():
    content = np.zeros((1, 3, 5, 3), np.float32)
    np.random.seed(9)
    expected = np.random.uniform()
    np.random.seed(9)
    seeded = generate_noise_image(content, seed=4)
    assert np.random.uniform() == expected
    np.random.seed(4)
    np.testing.assert_array_equal(generate_noise_image(content), seeded)


@pytest.mark.parametrize("shape", [(1, 2, 2, 3), (1, 7, 31, 3), (1, 40, 3, 3)])
def test_noise_of_other_sizes(shape):
    assert generate_noise_image(np.zeros(shape), seed=0).shape == shape


@pytest.mark.parametrize("ratio", [-0.01, 1.01, np.nan, np.inf])
def test_noise_ratio_outside(ratio):
    with pytest.raises(ValueError, match="noise_ratio must be between 0 and 1; found"):
        generate_noise_image(np.zeros((1, 2, 2, 3)), ratio)


def test_noise_wants_a_network_array():
    with pytest.raises(ValueError, match=r"found \(16, 24, 3\). Type reshape_and_normalize_image"):
        generate_noise_image(SMOOTH)


# ----------------------------------------------------------------------------------------------------------- saving


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG"])
def test_save_and_read_back(tmp_path, suffix):
    path = tmp_path / "new" / "folder" / f"a{suffix}"
    save_image(path, NOISE)
    np.testing.assert_array_equal(read_image(path), NOISE)
    save_image(str(path), reshape_and_normalize_image(NOISE[::-1]))
    np.testing.assert_array_equal(read_image(path), NOISE[::-1])
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("suffix, kind", [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP"), (".png", "PNG")])
def test_the_format_follows_from_the_name(tmp_path, suffix, kind):
    save_image(tmp_path / f"a{suffix}", SMOOTH)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.format == kind
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - SMOOTH).max() <= 12


@pytest.mark.parametrize("name", ["a", "a.txt", "a.pdf", "a.eps", "png"])
def test_bad_suffix(tmp_path, name):
    for act in (lambda path: save_image(path, NOISE), check_output):
        with pytest.raises(ValueError, match=rf"ending in .png, .jpg, .webp or .bmp; found '{name}'"):
            act(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_save_refuses_what_is_no_picture(tmp_path):
    with pytest.raises(ValueError, match="Expected a uint8 picture .*found float64"):
        save_image(tmp_path / "a.png", SMOOTH / 255)
    with pytest.raises(ValueError, match="holds NaN"):
        save_image(tmp_path / "a.png", np.full((1, 2, 2, 3), np.nan))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_the_previous_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    save_image(path, NOISE)

    def half(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", half)
    with pytest.raises(OSError, match=r"Could not write .*a\.png: No space left on device. Free some space"):
        save_image(path, SMOOTH)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_image(path), NOISE)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for act in (lambda path: save_image(path, NOISE), check_output):
        with pytest.raises(OSError, match="Could not write .*choose another folder"):
            act(tmp_path / "file" / "a.png")
        with pytest.raises(IsADirectoryError, match="is a folder. Add a file name"):
            (tmp_path / "b.png").mkdir(exist_ok=True)
            act(tmp_path / "b.png")


def test_a_jpeg_keeps_all_colours(tmp_path):
    # One pixel red, one blue: at half the resolution both would be purple.
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, ::2, 0], pixels[:, 1::2, 2] = 255, 255
    save_image(tmp_path / "a.jpg", pixels)
    with Image.open(tmp_path / "a.jpg") as picture:
        assert {layer[1:3] for layer in picture.layer} == {(1, 1)}
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - pixels).max() <= 8


@pytest.mark.parametrize("name, side", [("a.jpg", 65_500), ("a.JPEG", 65_500), ("a.webp", 16_383), ("a.gif", 65_535)])
def test_a_size_that_a_format_cannot_hold_is_refused_before_the_run(tmp_path, name, side):
    check_size(tmp_path / name, (side, 2))
    for size in ((side + 1, 2), (2, side + 1)):
        with pytest.raises(ValueError, match=rf"at most {side:,} pixels .* would have {size[1]} x {size[0]}. Choose"):
            check_size(tmp_path / name, size)
    check_size(tmp_path / "a.png", (10**6, 2))


def test_the_largest_jpeg_and_webp_can_be_saved(tmp_path):
    for name, side in (("a.jpg", 65_500), ("a.webp", 16_383)):
        save_image(tmp_path / name, np.zeros((2, side, 3), np.uint8))
        with pytest.raises(ValueError, match="Expected sides of at most"):
            save_image(tmp_path / name, np.zeros((2, side + 1, 3), np.uint8))
        assert read_image(tmp_path / name).shape == (2, side, 3)


def test_a_painting_that_cannot_be_saved_is_saved_under_another_name(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(OSError, match=r"is a folder. .* The picture is in .*a-\w+\.png\.") as caught:
        save_painting(tmp_path / "a.jpg", NOISE)
    np.testing.assert_array_equal(read_image(re.search(r"in (\S+\.png)", str(caught.value))[1]), NOISE)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "temporary"))
    with pytest.raises(OSError, match=r"Could not write .*a\.png.* The picture is in .*temporary/a-\w+\.png"):
        save_painting(tmp_path / "file" / "a.png", NOISE)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(
        OSError, match=r"Could not write .*a\.png: [\w ]+\. Free some space or choose another folder\.$"
    ):
        save_painting(tmp_path / "file" / "a.png", NOISE)


def test_check_output_leaves_no_file(tmp_path):
    check_output(tmp_path / "new" / "a.png")
    assert os.listdir(tmp_path / "new") == []
    save_image(tmp_path / "a.png", NOISE)
    before = (tmp_path / "a.png").read_bytes()
    check_output(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before and sorted(os.listdir(tmp_path)) == ["a.png", "new"]


# --- pictures by name -------------------------------------------------------------------------------------------------


def test_an_example_is_the_file_in_images():
    path = pathlib.Path(__file__).parents[1] / "images" / "glass_pyramid.png"
    for name in ("glass_pyramid", "glass_pyramid.png"):
        np.testing.assert_array_equal(example_image(name), read_image(path))


def test_a_picture_of_the_current_folder_is_an_example_too_but_hides_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image("images/mine.png", NOISE)
    save_image("images/glass_pyramid.png", NOISE)
    save_image("images/ME.PNG", NOISE)
    np.testing.assert_array_equal(example_image("ME"), NOISE)
    np.testing.assert_array_equal(example_image("mine"), NOISE)
    assert example_image("glass_pyramid").shape == (300, 400, 3)


@pytest.mark.parametrize("name", ["glass_piramid", "../images/glass_pyramid", "", "make_images.py"])
def test_an_unknown_example_names_those_there_are(name):
    with pytest.raises(FileNotFoundError, match="brush_strokes, .*glass_pyramid"):
        example_image(name)
