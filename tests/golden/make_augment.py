#!/usr/bin/env python3
"""Writes augment.json: what torchvision makes of a small image with given parameters, and which boxes
its random crops draw over many tries. Needs torch and torchvision; run it in this folder.

    make_augment.py [OUTPUT]

Read by tests/io/augment_golden_test.cc. Images are (H, W, C) in the file, uint8."""
import json
import sys

import numpy as np
import torch
from torchvision import transforms
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

HEIGHT, WIDTH, CHANNELS = 13, 17, 3
BILINEAR = InterpolationMode.BILINEAR


def pattern(channels=CHANNELS):
    """A wave of another length in every channel: smooth enough to be resampled, far from grey."""
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(channels), indexing="ij")
    image = (37 * y * (c + 1) + 23 * x + 11 * x * y + 61 * c) % 256
    return torch.from_numpy(image.astype(np.uint8)).permute(2, 0, 1)


def entry(name, image, tolerance, **keys):
    return {"name": name, "shape": list(image.permute(1, 2, 0).shape), "tolerance": tolerance, **keys,
            "pixels": image.permute(1, 2, 0).flatten().tolist()}


def cases():
    image, grey = pattern(), pattern(1)
    yield entry("input", image, 0)
    yield entry("hflip", F.hflip(image), 0)
    yield entry("vflip", F.vflip(image), 0)
    padded = F.pad(image, [4], fill=7)
    for top, left in ((0, 0), (3, 6), (8, 8)):
        yield entry("crop", F.crop(padded, top, left, HEIGHT, WIDTH), 0,
                    arguments=[top - 4, left - 4, 7])
    for box, size in (((2, 3, 7, 9), (11, 8)), ((0, 0, 13, 17), (5, 6)), ((4, 4, 1, 2), (6, 6)),
                      ((3, 1, 8, 8), (8, 8))):
        yield entry("resize", F.resized_crop(image, *box, list(size), BILINEAR, antialias=False), 1,
                    arguments=list(box))
    for degrees in (0, 30, -77.5, 90, 180):
        yield entry("rotate", F.rotate(image, degrees, BILINEAR), 1, arguments=[degrees])
    for degrees, shift, scale, shear in ((0, (3, -2), 1, (0, 0)), (25, (0, 0), 1.3, (0, 0)),
                                         (-40, (1, 2), 0.7, (15, 0)), (10, (-2, 1), 1.1, (-20, 9))):
        yield entry("affine", F.affine(image, degrees, list(shift), scale, list(shear), BILINEAR), 1,
                    arguments=[degrees, *shift, scale, *shear])
    for factor in (0, 0.4, 1, 1.7):
        yield entry("brightness", F.adjust_brightness(image, factor), 0, arguments=[factor])
        yield entry("contrast", F.adjust_contrast(image, factor), 1, arguments=[factor])
        yield entry("saturation", F.adjust_saturation(image, factor), 1, arguments=[factor])
    yield entry("contrast", F.adjust_contrast(grey, 0.6), 1, arguments=[0.6])
    for turn in (-0.5, -0.2, 0, 0.1, 0.37):
        yield entry("hue", F.adjust_hue(image, turn), 1, arguments=[turn])


def moments(draws):
    draws = np.asarray(draws, np.float64)
    return {"mean": draws.mean(0).tolist(), "std": draws.std(0).tolist()}


def boxes():
    """Means and deviations of (top, left, height, width) over many draws."""
    torch.manual_seed(5)
    count = 40000
    image = torch.zeros(3, 60, 80)
    crop = transforms.RandomResizedCrop.get_params
    yield {"name": "random_resized_crop", "size": [60, 80],
           **moments([crop(image, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(count)])}
    # Boxes of these ratios hardly fit: most tries end with the middle of the image.
    yield {"name": "random_resized_crop_narrow", "size": [60, 80],
           **moments([crop(image, (0.9, 1), (0.1, 0.2)) for _ in range(count // 10)])}
    erase = transforms.RandomErasing.get_params
    yield {"name": "random_erasing", "size": [60, 80],
           **moments([erase(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(count)])}


if __name__ == "__main__":
    with open(sys.argv[1] if len(sys.argv) > 1 else "augment.json", "w") as out:
        def lines(items):
            return ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
        out.write('{"images": [\n' + lines(cases()) + '\n],\n"boxes": [\n' + lines(boxes()) + "\n]}\n")
