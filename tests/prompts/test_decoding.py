"""A picture is decoded as the model's processor would have it, or refused in one sentence, in bounded memory."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image, ImageFile

from moexray.errors import PromptsError
from moexray.prompts.decoding import MOST_PIXELS, decoded

from ..mutation import mutated
from .pictures import SIZE, encoded, picture, pixels

WHITE = 255


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], bits: int, colours: int, lines: bytes, *more: bytes) -> bytes:
    """Write a PNG by its specification: each line begins with its filter, 0 for none."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(**tags: tuple[int, int]) -> bytes:
    """Write a TIFF of one directory and no pixels; each tag is its number and its value."""
    entries = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in sorted(tags.values()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def values(data: bytes) -> NDArray[np.uint8]:  # (rows, columns, 3)
    found = decoded(data, "image 1")
    assert found.mode == "RGB"
    return np.asarray(found)


def grey(*row: int) -> list[list[list[int]]]:
    return [[[value] * 3 for value in row]]


def on_white(value: float, alpha: float, white: float = WHITE) -> int:
    return round((float(value) * alpha + white * (255 - float(alpha))) / 255)


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF"])
def test_colours_of_eight_bits_are_kept(format_: str) -> None:
    np.testing.assert_array_equal(values(picture(format_=format_)), pixels())


@pytest.mark.parametrize("options", [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")])
def test_a_compressed_tiff_is_read(options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(values(picture(format_="TIFF", **options)), pixels())


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "GIF", "MPO"])
def test_lossy_formats_are_read(format_: str) -> None:
    """Of one colour, which compression and palettes keep; an MPO is a JPEG with further pictures, as phones write."""
    one, other = Image.new("RGB", SIZE, (200, 100, 50)), Image.new("RGB", SIZE)
    more = {"save_all": True, "append_images": [other]} if format_ == "MPO" else {}
    assert np.abs(values(encoded(one, format_, **more)).astype(int) - (200, 100, 50)).max() <= 3


def test_the_content_and_not_the_name_says_what_a_picture_is() -> None:
    """Names are not even asked."""
    assert decoded(picture(format_="BMP"), 'image "a.jpg"').size == SIZE


def test_grey_palette_and_black_and_white_become_colours() -> None:
    levels = pixels()[:, :, 0]
    np.testing.assert_array_equal(values(encoded(Image.fromarray(levels))), levels[:, :, None].repeat(3, axis=2))
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 7]))
    assert values(png((2, 1), 8, 3, b"\0\1\0", palette)).tolist() == [[[0, 255, 7], [255, 0, 0]]]
    assert values(png((4, 1), 1, 0, b"\0\x50")).tolist() == grey(0, 255, 0, 255)
    assert values(png((4, 1), 2, 0, b"\0\x1b")).tolist() == grey(0, 85, 170, 255)


def test_inks_become_colours_without_a_profile() -> None:
    """Light that neither a colour's ink nor black takes: (255 − ink)(255 − black) / 255."""
    inks, black = np.array([100, 50, 20]), 30
    image = Image.new("CMYK", SIZE, (*inks.tolist(), black))
    expected = np.round((255 - inks) * (255 - black) / 255)
    assert (values(encoded(image, "TIFF")) == expected).all()
    assert np.abs(values(encoded(image, "JPEG", quality=100)) - expected).max() <= 2


def test_of_sixteen_bits_the_high_eight_are_kept() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (4, 6), dtype=np.uint16)
    for format_ in ("PNG", "TIFF"):
        found = values(encoded(Image.fromarray(deep), format_))
        np.testing.assert_array_equal(found, (deep >> 8)[:, :, None].repeat(3, axis=2))
    assert values(png((2, 1), 16, 2, b"\0" + bytes(range(12)))).tolist() == [[[0, 2, 4], [6, 8, 10]]]


def test_what_is_transparent_lies_on_white() -> None:
    """As transformers has it, and with the colours that are hidden there out of sight."""
    colours, alpha = pixels(), pixels(1)[:, :, 0]
    image = Image.fromarray(np.dstack([colours, alpha]))
    expected = np.vectorize(on_white)(colours, alpha[:, :, None])
    for format_, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        assert np.abs(values(encoded(image, format_, **options)).astype(int) - expected).max() <= 1
    image.putalpha(0)
    assert (values(encoded(image)) == WHITE).all()
    both = Image.fromarray(np.dstack([colours[:, :, 0], alpha]), "LA")
    expected = np.vectorize(on_white)(colours[:, :, 0], alpha)
    assert np.abs(values(encoded(both))[:, :, 0].astype(int) - expected).max() <= 1


def test_a_transparent_colour_and_a_transparent_entry_of_a_palette_lie_on_white() -> None:
    assert values(png((4, 1), 8, 0, b"\0\1\2\3\4", chunk(b"tRNS", b"\0\3"))).tolist() == grey(1, 2, WHITE, 4)
    key = chunk(b"tRNS", bytes([0, 1, 0, 2, 0, 3]))
    assert values(png((2, 1), 8, 2, b"\0\1\2\3\4\5\6", key)).tolist() == [[[WHITE] * 3, [4, 5, 6]]]
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0])) + chunk(b"tRNS", b"\x80")
    half = on_white(0, 128)
    assert values(png((2, 1), 4, 3, b"\0\x10", palette)).tolist() == [[[0, 255, 0], [255, half, half]]]


UPRIGHT: dict[int, Callable[[Any], NDArray[np.uint8]]] = {
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),  # clockwise by 90 degrees
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, *UPRIGHT, 9])
def test_pictures_are_turned_as_exif_says(orientation: int, format_: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = UPRIGHT.get(orientation, np.asarray)(pixels())
    found = decoded(picture(format_=format_, exif=exif), "image 1")
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert 0x0112 not in found.getexif() or found.getexif()[0x0112] in (1, 9)  # nobody turns it twice


def test_large_pictures_are_converted_strip_by_strip_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(np.dstack([pixels(), pixels(1)[:, :, 0]]))
    whole = values(encoded(image))
    monkeypatch.setattr("moexray.prompts.decoding._STRIP_PIXELS", 2 * SIZE[0])
    np.testing.assert_array_equal(values(encoded(image)), whole)


FRAMES = [Image.fromarray(pixels(seed)) for seed in range(3)]
BOMB = zlib.compress(bytes(2**26))
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
GIF = b"GIF89a" + struct.pack("<HHBBBBHHHHB", 65535, 65535, 0, 0, 0, 44, 0, 0, 1, 1, 0) + b"\2\2D\1\0;"
REFUSED = {
    "nothing": (b"", "is empty"),
    "a text": (b"a secret", "is not an image, or not of a format that is read: save it as PNG, JPEG, WebP, GIF"),
    "SVG": (SVG, "is an SVG drawing, not an image of pixels: save it as PNG"),
    "SVG, by a name in capitals": (b"\xef\xbb\xbf <!DOCTYPE SVG>\n<SVG>", "is an SVG drawing"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript drawing, not an image"),
    "PDF": (b"%PDF-1.7\n", "is a PDF document, not an image"),
    "icon": (encoded(FRAMES[0], "ICO"), "is an icon, not an image"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "is what git-lfs left in the place of a file"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0", "is HEIC or AVIF: save it as"),
    "PPM": (encoded(FRAMES[0], "PPM"), "is not an image, or not of a format that is read"),
    "TGA": (encoded(FRAMES[0], "TGA"), "is not an image, or not of a format that is read"),
    "animated GIF": (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), r"is animated or .* \(GIF\)"),
    "animated PNG": (encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), r"is animated or .* \(PNG\)"),
    "animated WebP": (encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), r"is animated .* \(WEBP\)"),
    "pages": (encoded(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), r"is animated or .* \(TIFF\)"),
    "10⁹ pixels": (png((31623, 31623), 8, 2, b""), "has more than 89,478,485 pixels, too many for Pillow"),
    "10⁸ pixels": (png((10000, 10000), 8, 2, b""), "has more than 89,478,485 pixels, too many for Pillow"),
    "GIF of 4 · 10⁹ pixels": (GIF, "has more than 89,478,485 pixels"),
    "most pixels without any": (png((9459, 9459), 8, 2, b""), "is damaged"),
    "bomb in zTXt": (png((1, 1), 8, 0, b"\0\0", chunk(b"zTXt", b"a\0\0" + BOMB)), "is damaged .*too large"),
    "bomb in iTXt": (png((1, 1), 8, 0, b"\0\0", chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)), "is damaged .*too large"),
    "bomb in iCCP": (png((1, 1), 8, 0, b"\0\0", chunk(b"iCCP", b"a\0\0" + BOMB)), "is damaged .*too large"),
    "tiles beyond the picture": (
        tiff(w=(256, 1), h=(257, 1), bits=(258, 8), kind=(262, 1), tw=(322, 2**15), th=(323, 2**15), at=(324, 8),
             size=(325, 8)),
        "has tiles of 1,073,741,824 pixels",
    ),
    "12 bits": (
        tiff(w=(256, 1), h=(257, 1), bits=(258, 12), kind=(262, 1), at=(273, 8), size=(279, 8)),
        r"has grey values of \(?12,?\)? bits",
    ),
    "16 bits from white to black": (
        tiff(w=(256, 1), h=(257, 1), bits=(258, 16), kind=(262, 0), at=(273, 8), size=(279, 8)),
        r"has grey values of \(?16,?\)? bits and photometric interpretation 0",
    ),
    "real numbers": (encoded(Image.new("F", SIZE), "TIFF"), r"has values of mode F \(TIFF\).*save it with 8 bits"),
    "32 bits": (encoded(Image.new("I", SIZE), "TIFF"), r"has values of mode I \(TIFF\)"),
    "CIELAB": (encoded(FRAMES[0].convert("LAB"), "TIFF"), r"has values of mode LAB \(TIFF\)"),
    "a transparent colour of 16 bits": (
        png((1, 1), 16, 0, b"\0\0\0", chunk(b"tRNS", b"\0\0")),
        "has a transparent colour at a depth that is not 8 bits",
    ),
    "a transparent colour of 2 bits": (png((4, 1), 2, 0, b"\0\0", chunk(b"tRNS", b"\0\3")), "has a transparent colour"),
}  # fmt: skip


@pytest.fixture
def _no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if Pillow calls Ghostscript."""

    def call(*_: Any, **__: Any) -> None:
        message = "a program was called"
        raise AssertionError(message)

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", call)
    monkeypatch.setattr(subprocess, "Popen", call)


@pytest.mark.usefixtures("_no_program")
@pytest.mark.parametrize(("data", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_still_picture_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(PromptsError, match=f"^image 1 {problem}") as caught:
        decoded(data, "image 1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_refused(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a program that has told Pillow to fill up what is not there, which stays as it was."""
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), format_)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kept in (len(whole) // 4, len(whole) // 2, len(whole) - 100):
        with pytest.raises(PromptsError, match=r"^image 1 is damaged"):
            decoded(whole[:kept], "image 1")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_changed_byte_of_a_png_is_refused_by_its_checksum() -> None:
    whole = picture()
    for place in range(20, len(whole) - 12, 7):
        with pytest.raises(PromptsError, match=r"^image 1 (is damaged|has more than)"):
            decoded(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :], "image 1")


def test_a_program_that_takes_more_pixels_gets_no_more_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Image.MAX_IMAGE_PIXELS == MOST_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(PromptsError, match="has 10,000 × 10,000 pixels: there must be 1 to 89,478,485"):
        decoded(png((10000, 10000), 8, 2, b""), "image 1")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(PromptsError, match="has more than 10 pixels"):
        decoded(picture(), "image 1")


def samples() -> Iterator[bytes]:
    image = Image.fromarray(pixels())
    clear, exif = image.copy(), Image.Exif()
    clear.putalpha(100)
    exif[0x0112] = 6
    yield from (picture(format_=name, exif=exif) for name in ("PNG", "JPEG", "WEBP", "TIFF"))
    yield from (encoded(clear, name) for name in ("PNG", "WEBP", "BMP", "TIFF"))
    yield from (encoded(image.convert("P"), name) for name in ("PNG", "GIF", "BMP", "TIFF"))
    yield from (encoded(image, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"))
    yield from (encoded(image.convert("CMYK"), "JPEG"), encoded(image, "JPEG", progressive=True))
    yield encoded(image, "GIF", save_all=True, append_images=FRAMES[1:])
    yield encoded(Image.new("I;16", SIZE, 999))


def attack(number: int, seed: int) -> int:
    """Mutate pictures, and return how many were refused; each that is not has the size that it says."""
    refused, rng, contents = 0, np.random.default_rng(seed), list(samples())
    for trial in range(number):
        data = mutated(contents[trial % len(contents)], rng)
        try:
            found = decoded(data, "image 1")
        except PromptsError as error:
            assert str(error).startswith("image 1 ")  # noqa: PT017
            refused += 1
        else:
            assert (found.mode, np.asarray(found).shape) == ("RGB", (found.height, found.width, 3))
    return refused


def test_a_damaged_picture_is_decoded_or_refused() -> None:
    assert 100 < attack(300, seed=0) < 300


@pytest.mark.nightly
def test_ten_thousand_damaged_pictures_are_decoded_or_refused() -> None:
    attack(10_000, seed=1)


MEASURED = """
import sys
from pathlib import Path
from PIL import Image, ImageOps
import numpy
from moexray.prompts.decoding import decoded

def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)

Image.init()
data = Path(sys.argv[1]).read_bytes()
before = peak()
image = decoded(data, "image")
print((peak() - before) * 1024 / (image.width * image.height))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory where Linux keeps it")
@pytest.mark.parametrize(("format_", "most"), [("PNG", 12), ("WEBP", 20)])
def test_decoding_takes_a_few_bytes_a_pixel(format_: str, most: int, tmp_path: Path) -> None:
    """Of the kind that takes most: turned, and transparent. WebP's own decoder holds two more copies."""
    image = Image.linear_gradient("L").resize((2000, 2000)).convert("RGB")
    image.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a").write_bytes(encoded(image, format_, exif=exif))
    run = [sys.executable, "-c", MEASURED, str(tmp_path / "a")]
    found = float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert 4 < found < most, found
