"""Decoding of pictures that nobody vouches for: few formats, bounded memory, and one sentence about what is wrong."""

import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from moexray.errors import PromptsError
from moexray.extras import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow reads some forty formats, a few of them by other programs (EPS by Ghostscript). Only these are tried.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# Where Pillow begins to warn of a decompression bomb; kept as it is, even in a program that has raised it.
MOST_PIXELS = 1024**3 // 4 // 3
# What so many pixels of three bytes take without compression.
MOST_BYTES = 3 * (MOST_PIXELS + 1)

_LISTED = "PNG, JPEG, WebP, GIF, BMP or TIFF"
# What files of these formats begin with, but for two that begin as texts may.
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
# What other files begin with that are often taken for such an image.
_OTHERS = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript drawing",
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "a Photoshop document",
    b"version https://git-lfs": "what git-lfs left in the place of a file",
}
# What Pillow's decoders raise on damaged files, beside OSError and its own errors.
_DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)
_MOST_OF_A_TILE = 2**22
_STRIP_PIXELS = 2**18
_PLAIN_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
# The filters of warnings, and Pillow's settings, are those of all threads.
_SETTINGS = threading.Lock()


def decoded(data: bytes, name: str) -> "Image":
    """Return an image as models get it: RGB, upright, on white where it is transparent.

    Parameters
    ----------
    data
        The encoded image, as it stands in a file.
    name
        The image's name in error messages, the beginning of the sentence.

    Raises
    ------
    PromptsError
        If this is no image of one still picture in one of `FORMATS`, is damaged, has more than `MOST_PIXELS` pixels,
        or has values whose meaning the file does not say.
    MissingExtra
        If Pillow is not installed.
    """
    pillow, files, operations = (
        import_extra(f"PIL.{module}", extra="images", purpose=name) for module in ("Image", "ImageFile", "ImageOps")
    )
    if not data:
        message = f"{name} is empty: take it out, or save the image anew"
        raise PromptsError(message)
    try:
        with _strictly(pillow, files):
            if data.startswith(b"\x89PNG"):  # its checksums, which decoding passes over
                with pillow.open(BytesIO(data), formats=FORMATS) as image:
                    image.verify()
            with pillow.open(BytesIO(data), formats=FORMATS) as image:
                _check(image, name)
                image.load()
                operations.exif_transpose(image, in_place=True)
                return _in_rgb(pillow, image)
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError) as error:
        message = f"{name} has more than {pillow.MAX_IMAGE_PIXELS:,} pixels, too many for Pillow: scale it down"
        raise PromptsError(message) from error
    except pillow.UnidentifiedImageError as error:  # an OSError
        is_one = data.startswith(_BEGINNINGS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")
        problem = "damaged: save the image anew" if is_one else f"{_kind(data)}: save it as {_LISTED}"
        message = f"{name} is {problem}"
        raise PromptsError(message) from error
    except MemoryError as error:
        message = f"{name} takes more memory than there is: scale it down"
        raise PromptsError(message) from error
    except _DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{name} is damaged ({reason:.100}): save the image anew"
        raise PromptsError(message) from error


@contextmanager
def _strictly(pillow: Any, files: Any) -> Iterator[None]:
    """Turn Pillow's warning of a decompression bomb into an error, and its others (of damaged EXIF, say) off.

    Some programs have Pillow fill up what a truncated image lacks; here it must not.
    """
    with _SETTINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        fills, files.LOAD_TRUNCATED_IMAGES = files.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            files.LOAD_TRUNCATED_IMAGES = fills


def _check(image: "Image", name: str) -> None:
    """Raise PromptsError if there is more than one picture, or its values are of an unknown range."""
    pixels = image.width * image.height
    if pixels < 1 or pixels > MOST_PIXELS:
        message = f"{name} has {image.width:,} × {image.height:,} pixels: there must be 1 to {MOST_PIXELS:,}"
        raise PromptsError(message)
    # The first picture of an MPO, a JPEG of phones, is the photograph: the others are previews, depths, another eye.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        message = f"{name} is animated or has several pages ({image.format}): save the picture that is meant by itself"
        raise PromptsError(message)
    if image.format == "TIFF":  # its decoder takes memory for a whole tile, whatever the picture has of it
        tile = math.prod(getattr(image, "tag_v2", {}).get(tag, 1) for tag in (322, 323))
        if tile > max(pixels, _MOST_OF_A_TILE):
            message = f"{name} has tiles of {tile:,} pixels, more than the picture: save the image anew"
            raise PromptsError(message)
    problem = _problem_of_values(image)
    if problem:
        message = f"{name} has {problem}: save it with 8 bits a channel"
        raise PromptsError(message)


def _problem_of_values(image: Any) -> str | None:  # of a class for each format
    if not image.mode.startswith("I;16") and image.mode not in (*_PLAIN_MODES, *_ALPHA_MODES):
        return f"values of mode {image.mode} ({image.format}), of which there is no one way to RGB"
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        bits, meaning = (image.tag_v2.get(tag, 1) for tag in (258, 262))
        if bits not in (16, (16,)) or meaning != 1:
            return f"grey values of {bits} bits and photometric interpretation {meaning} (TIFF)"
    arguments = str(image.tile[0][3] if image.tile else "")
    # Pillow compares the transparent colour, which is of the file's depth, with values of 8 bits.
    has_colour = image.format == "PNG" and "transparency" in image.info and image.mode != "P"
    if has_colour and (image.mode == "1" or ";" in arguments):
        return f"a transparent colour at a depth that is not 8 bits ({arguments})"
    return None


def _in_rgb(pillow: Any, image: "Image") -> "Image":
    """Return an image in RGB, made strip by strip, so that no other copy of all its pixels is in memory."""
    import numpy as np

    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if image.format == "WEBP" else image  # whose decoder would stay, with two more canvases
    is_clear = image.mode in _ALPHA_MODES or "transparency" in image.info
    made: Image = pillow.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        strip = image.crop(box)
        if strip.mode.startswith("I;16"):  # the high byte, as Pillow reads 16 bits of RGB
            strip = pillow.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
        if is_clear:
            white = pillow.new("RGBA", strip.size, (255, 255, 255, 255))
            strip = pillow.alpha_composite(white, strip.convert("RGBA"))
        made.paste(strip.convert("RGB"), box)
    return made


def _kind(data: bytes) -> str:
    """Say what a file is that is no image of `FORMATS`."""
    for beginning, kind in _OTHERS.items():
        if data.startswith(beginning):
            return f"{kind}, not an image of pixels"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"avif", b"avis", b"hevc"):
        return "HEIC or AVIF"
    if data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"<svg" in data[:4096].lower():
        return "an SVG drawing, not an image of pixels"
    return "not an image, or not of a format that is read"
