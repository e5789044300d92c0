"""The digest of a data set."""

import numpy as np

from lrsched.training.splits import Split, digest


def test_digest_changes_with_any_pixel_label_or_place():
    images, labels = np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 1], np.int32)
    pixel, label = images.copy(), labels.copy()
    pixel[1, 1, 1, 0], label[0] = 1, 2
    split = Split(images, labels)
    variants = [[split, None, split], [split, split, None], [Split(pixel, labels), None, split]]
    variants += [[Split(images, label), None, split], [Split(images.reshape(2, 4, 1, 1), labels), None, split]]
    assert len({digest(variant) for variant in variants}) == len(variants)
    assert digest(variants[0]) == digest([Split(images.copy(), labels.copy()), None, split])
