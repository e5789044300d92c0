"""Image files of every kind: read by the rule of their mode, or refused by name."""

import io
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from lrsched.training import pixels

RED = (200, 30, 60)


def save(path: pathlib.Path, image: Image.Image, **words: object) -> pathlib.Path:
    image.save(path, **words)
    return path


def decode(path: pathlib.Path, image_size: int | None = None) -> np.ndarray:
    return pixels.decode([path], image_size=image_size)[0]


def half(mode: str, value: object, background: object = 0) -> Image.Image:
    """4 x 2 pixels, the left half of a value."""
    image = Image.new(mode, (4, 2), background)
    image.paste(value, (0, 0, 2, 2))
    return image


def palette(colour: tuple[int, int, int], *, transparent: bool = False) -> Image.Image:
    image = half("P", 1)
    image.putpalette([0, 0, 0, *colour])
    if transparent:
        image.info["transparency"] = 0
    return image


def of_array(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


# mode -> file, image, red green blue of the left half, of the right half
MODES = {
    "1": ("a.png", half("1", 1), (255, 255, 255), (0, 0, 0)),
    "1 of a bitmap": ("a.pbm", half("1", 1), (255, 255, 255), (0, 0, 0)),
    "L": ("a.png", half("L", 77, 5), (77, 77, 77), (5, 5, 5)),
    "L of a greymap": ("a.pgm", half("L", 77, 5), (77, 77, 77), (5, 5, 5)),
    "LA": ("a.png", half("LA", (77, 255), (9, 0)), (77, 77, 77), (255, 255, 255)),
    "LA half seen": ("a.png", half("LA", (77, 255), (0, 128)), (77, 77, 77), (127, 127, 127)),
    "P": ("a.png", palette(RED), RED, (0, 0, 0)),
    "P of GIF": ("a.gif", palette(RED), RED, (0, 0, 0)),
    "P with transparency": ("a.png", palette(RED, transparent=True), RED, (255, 255, 255)),
    "RGB": ("a.png", half("RGB", RED, (1, 2, 3)), RED, (1, 2, 3)),
    "RGB of BMP": ("a.bmp", half("RGB", RED, (1, 2, 3)), RED, (1, 2, 3)),
    "RGB of TIFF": ("a.tif", half("RGB", RED, (1, 2, 3)), RED, (1, 2, 3)),
    "RGB of PPM": ("a.ppm", half("RGB", RED, (1, 2, 3)), RED, (1, 2, 3)),
    "RGBA": ("a.png", half("RGBA", (*RED, 255), (1, 2, 3, 0)), RED, (255, 255, 255)),
    "I;16": ("a.png", of_array(np.array([[77 * 257] * 2 + [65535] * 2] * 2, np.uint16)), (77,) * 3, (255,) * 3),
    "I;16 of TIFF": ("a.tif", of_array(np.array([[77 * 257] * 2 + [128] * 2] * 2, np.uint16)), (77,) * 3, (0,) * 3),
    "I": ("a.tif", of_array(np.array([[77 * 257] * 2 + [129] * 2] * 2, np.int32)), (77,) * 3, (1,) * 3),
    "F": ("a.tif", of_array(np.array([[77.4] * 2 + [255.0] * 2] * 2, np.float32)), (77,) * 3, (255,) * 3),
    "CMYK": ("a.tif", half("CMYK", (255, 0, 0, 0)), (0, 255, 255), (255, 255, 255)),
}


@pytest.mark.parametrize("mode", MODES)
def test_decode_of_each_mode(mode: str, tmp_path: pathlib.Path) -> None:
    name, image, left, right = MODES[mode]
    found = decode(save(tmp_path / name, image))
    assert (found.shape, found.dtype) == ((2, 4, 3), np.uint8)
    np.testing.assert_array_equal(found, np.array([left, left, right, right] * 2).reshape(2, 4, 3))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_decode_of_each_mode_that_jpeg_writes(mode: str, tmp_path: pathlib.Path) -> None:
    found = decode(save(tmp_path / "a.jpg", Image.new("RGB", (8, 8), (90, 90, 90)).convert(mode), quality=95))
    assert (np.abs(found.astype(int) - 90) <= 2).all()


def test_decode_of_webp(tmp_path: pathlib.Path) -> None:
    found = decode(save(tmp_path / "a.webp", Image.new("RGBA", (8, 8), (*RED, 0)), lossless=True, exact=True))
    assert (found == 255).all()


def test_decode_turns_as_exif_asks(tmp_path: pathlib.Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    found = decode(save(tmp_path / "a.png", half("RGB", RED), exif=exif))
    assert found.shape == (4, 2, 3)
    np.testing.assert_array_equal(found[:2], np.broadcast_to(RED, (2, 2, 3)))  # the left half is on top


def test_decode_brings_the_short_side_to_a_size_and_keeps_the_centre(tmp_path: pathlib.Path) -> None:
    image = Image.new("RGB", (30, 10), "black")
    image.paste((255, 255, 255), (10, 0, 20, 10))  # the middle third
    found = decode(save(tmp_path / "a.png", image), image_size=5)
    assert found.shape == (5, 5, 3)
    assert found.min() > 230  # the filter blurs the edges
    assert decode(tmp_path / "a.png", image_size=20).shape == (20, 20, 3)


def text(path: pathlib.Path) -> None:
    path.write_text("no image at all")


def empty(path: pathlib.Path) -> None:
    path.touch()


def truncated(path: pathlib.Path) -> None:
    content = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(content, "png")
    path.write_bytes(content.getvalue()[:-700])


def animated(path: pathlib.Path) -> None:
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 255)]
    frames[0].save(path, "gif", save_all=True, append_images=frames[1:])


def floats_to_one(path: pathlib.Path) -> None:
    of_array(np.full((2, 2), 0.5, np.float32)).save(path, "tiff")


def large_numbers(path: pathlib.Path) -> None:
    of_array(np.full((2, 2), 70_000, np.int32)).save(path, "tiff")


def postscript(path: pathlib.Path) -> None:
    Image.new("RGB", (4, 4)).save(path, "eps")


def huge(path: pathlib.Path) -> None:
    Image.new("1", (10_000, 10_000)).save(path, "png")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (text, "no format of these"),
        (empty, "no format of these"),
        (truncated, ".*"),
        (animated, "2 frames"),
        (floats_to_one, "floats from 0.5 to 0.5, not from 0 to 255"),
        (large_numbers, "whole numbers from 70000 to 70000, not from 0 to 65535"),
        (postscript, "no format of these"),
        (huge, "10000 x 10000 pixels, more than 89478485"),
    ],
)
def test_decode_of_what_is_no_image_names_the_file(
    write: Callable[[pathlib.Path], None], reason: str, tmp_path: pathlib.Path
) -> None:
    write(tmp_path / "stray.png")
    message = rf"^{tmp_path}/stray\.png must be a readable image \(PNG, .*\), got {reason}\.$"
    with pytest.raises(ValueError, match=message) as caught:
        decode(tmp_path / "stray.png")
    assert "\n" not in str(caught.value)


def test_decode_of_a_jpeg_cut_short_names_the_file(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    save(tmp_path / "a.jpg", Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)))
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"^{tmp_path}/a\.jpg must be a readable image .*, got "):
        decode(tmp_path / "a.jpg")


def test_photo_with_a_second_picture_beside_it_is_the_photo(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "photo.jpg"
    shades = [Image.new("RGB", (8, 8), (shade,) * 3) for shade in (200, 20)]
    shades[0].save(path, "mpo", save_all=True, append_images=shades[1:])
    (found,) = pixels.decode([path], image_size=None)
    assert found.shape == (8, 8, 3)
    assert abs(int(found.mean()) - 200) < 5
