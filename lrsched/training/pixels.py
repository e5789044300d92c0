"""How an image file becomes pixels: every colour mode as 8-bit red, green and blue, by rules with names.

- Orientation: the one that the EXIF tag asks for is applied.
- Transparency: composited on white ("on-white"); black would hide drawings in black.
- 16 bits of grey: value v becomes round(v / 257), so that 65535 becomes 255. So do 32-bit whole numbers, if all of
  them are from 0 to 65535. Of 16 bits a colour Pillow reads the upper 8: v // 256, another by 1 in a quarter of them.
- Floats: from 0 to 255, rounded. Images whose largest value is at most 1 are refused: they are in another unit.
- Others (1-bit, grey, palette, CMYK, YCbCr, HSV): Pillow's conversion to RGB.
- Size: "short-side-lanczos-centre": the short side becomes N pixels by Pillow's LANCZOS filter, and of the long side
  the N pixels in the centre stay.
"""

import concurrent.futures
import functools
import io
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

# Pillow has more formats, and one of them starts Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
MAX_PIXELS = 89_478_485  # of one file; Pillow's own limit, from which on it warns of a decompression bomb
RESIZE = "short-side-lanczos-centre"
RULES = [RESIZE, "on-white", "round(v/257)", 1]  # with a number that changes whenever the pixels do

Pixels = UInt8[np.ndarray, "h w 3"]


def decode(paths: Sequence[pathlib.Path], *, image_size: int | None) -> list[Pixels]:
    """The pixels of image files, decoded in threads.

    Args:
      image_size: height and width to bring it to; None: its own.
    Raises:
      ValueError: naming the first file that is no image, damaged, an animation, too large, or of unknown range.
    """
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata
        return list(pool.map(functools.partial(_decode_file, image_size=image_size), paths))


def _decode_file(path: pathlib.Path, *, image_size: int | None) -> Pixels:
    try:
        return _decode(path.read_bytes(), image_size)
    except Exception as error:  # of a file that it cannot decode, Pillow raises many kinds
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        reason = "no format of these" if "cannot identify image file" in reason else reason
        raise ValueError(f"{path} must be a readable image ({', '.join(FORMATS)}), got {reason:.200}.") from error


def _decode(content: bytes, image_size: int | None) -> Pixels:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS}")
        several = image.format != "MPO"  # a photo, and beside it a preview or the other eye's
        if several and (frames := getattr(image, "n_frames", 1)) > 1:
            raise ValueError(f"{frames} frames")
        image.load()
        upright: Any = ImageOps.exif_transpose(image)
        colours = _to_rgb(upright)
    if image_size is not None:
        colours = ImageOps.fit(colours, (image_size, image_size), method=Image.Resampling.LANCZOS)
    return np.asarray(colours)


def _to_rgb(image: Any) -> Any:
    """The image in Pillow's mode RGB."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bits(np.asarray(image), floats=image.mode == "F")).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray, *, floats: bool) -> np.ndarray:
    low, high = values.min().item(), values.max().item()
    if floats:
        if not (0 <= low <= high <= 255) or 0 < high <= 1:
            raise ValueError(f"floats from {low:g} to {high:g}, not from 0 to 255")
        return np.rint(values).astype(np.uint8)
    if low < 0 or high > 65535:
        raise ValueError(f"whole numbers from {low} to {high}, not from 0 to 65535")
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)
