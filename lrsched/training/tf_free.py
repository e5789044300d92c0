"""TFDS prepares its image sets with a handful of TensorFlow functions; here they are replaced.

Preparing goes: download, unpack, read the raw files, encode each image, shuffle, write. In TFDS 4.9.10 four of these
steps reach for TensorFlow, a dependency of several hundred megabytes that TFDS does not declare, and need little of it:

- unpacking and the builders' readers open files with tf.io.gfile.GFile, which for a local file is `open`;
- unpacking calls tf.compat.as_text, which for a file name is `os.fsdecode`;
- an image given as an array is encoded by tf.image.encode_png; Pillow writes the same pixels;
- a split of more than 1 GB (SVHN's `extra`) is shuffled in up to 1000 temporary files that gfile opens; with the limit
  raised it is shuffled in memory, into the same order.

The rest, reading included, is free of TensorFlow.

A fifth step is made repeatable: protobuf writes the fields of an example in an order that changes from process to
process, unless it is asked for a fixed one.
"""

import contextlib
import io
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

SHUFFLE_IN_MEMORY_BYTES = 1 << 40


@contextlib.contextmanager
def tf_free(name: str) -> Iterator[None]:
    """Inside the `with`, TFDS's builder of `name` downloads and prepares array_record files without TensorFlow.

    What is replaced belongs to TFDS's inside. A piece that another version of TFDS no longer has is left alone; what
    that version wants of TensorFlow elsewhere fails with TFDS's own message.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import example_serializer, shuffle
    from tensorflow_datasets.core.download import extractor
    from tensorflow_datasets.core.features import image_feature

    stand_in = types.SimpleNamespace(
        io=types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open)),
        compat=types.SimpleNamespace(as_text=os.fsdecode),
    )
    reader = sys.modules[tfds.builder_cls(name).__module__]
    replacements = [
        (getattr(image_feature, "_ImageEncoder", None), "_encode_image", _encode_png),
        (getattr(example_serializer, "ExampleSerializer", None), "serialize_example", _serialize_example),
        (shuffle, "MAX_MEM_BUFFER_SIZE", SHUFFLE_IN_MEMORY_BYTES),
        *((module, "tf", stand_in) for module in (extractor, reader)),
    ]
    replacements = [each for each in replacements if hasattr(each[0], each[1])]
    originals = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in replacements]
    try:
        for owner, attribute, new in replacements:
            setattr(owner, attribute, new)
        yield
    finally:
        for owner, attribute, old in originals:
            setattr(owner, attribute, old)


def _encode_png(encoder: object, image: np.ndarray) -> bytes:
    """The image as a PNG file; a method of TFDS's image encoder, which knows the shape that the data set declares."""
    from PIL import Image

    shape = getattr(encoder, "shape", image.shape)
    if image.dtype != np.uint8 or image.shape != shape:
        raise ValueError(f"image must be uint8 of shape {shape}, got {image.dtype} of shape {image.shape}.")
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "png")
    return buffer.getvalue()


def _serialize_example(serializer: Any, example: Any) -> bytes:
    """The example in protobuf's wire format, its fields in a fixed order; a method of TFDS's serializer."""
    content: bytes = serializer.get_tf_example(example).SerializeToString(deterministic=True)
    return content
