#!/usr/bin/env python3
"""Writes images.json: small image files of every kind and what torchvision makes of them. Needs
torchvision and Pillow; run it in this folder.

    make_images.py [OUTPUT]

Read by tests/io/images_test.cc. Bytes are in base64; pixels are (size, size, 3) uint8 after
Resize(shorter), CenterCrop(size) of the upright image in RGB."""
import base64
import io
import json
import sys

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms


def picture(height, width, seed):
    """Smooth colours with an edge and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(random.uniform(2, 9) * x + random.uniform(2, 9) * y + random.uniform(0, 6))
             for _ in range(3)]
    pixels = np.stack(waves, -1) * 100 + 128 + 40 * (x > 0.5)[..., None]
    return Image.fromarray((pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype("u1"))


def cases():
    for i, (mode, options) in enumerate([
            ("RGB", dict(subsampling=2, quality=85)), ("RGB", dict(subsampling=1, quality=60)),
            ("RGB", dict(subsampling=0, quality=95)), ("RGB", dict(progressive=True)),
            ("L", dict(quality=80)), ("CMYK", dict(quality=80))]):
        yield f"jpeg {mode} {options}", picture(45 + i, 71 - i, i).convert(mode), "JPEG", options
    for orientation in range(1, 9):
        image = picture(40, 27, 10)
        image.getexif()[0x0112] = orientation
        yield f"jpeg, orientation {orientation}", image, "JPEG", dict(exif=image.getexif())
    for i, options in enumerate([dict(subsampling=2), dict(subsampling=1), dict(progressive=True)]):
        yield f"tall jpeg {options}", picture(190 + i, 37, 30 + i), "JPEG", options
    image = picture(38, 52, 20)
    opacity = Image.fromarray((np.mgrid[:38, :52][1] * 4).astype("u1"))
    yield "png RGB", image, "PNG", {}
    yield "png grey", image.convert("L"), "PNG", {}
    yield "png palette", image.quantize(40), "PNG", {}
    yield "png palette of 4", image.quantize(4), "PNG", {}
    yield "png palette, one colour transparent", image.quantize(40), "PNG", dict(transparency=1)
    yield "png 1 bit", image.convert("1"), "PNG", {}
    yield "png RGBA", Image.merge("RGBA", [*image.split(), opacity]), "PNG", {}
    yield "png grey and opacity", Image.merge("LA", [image.convert("L"), opacity]), "PNG", {}


def encode(data):
    return base64.b64encode(data).decode()


def main():
    written = []
    for i, (name, image, kind, options) in enumerate(cases()):
        shorter, size = ((20, 20), (31, 24), (64, 40))[i % 3]
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        read = ImageOps.exif_transpose(Image.open(buffer)).convert("RGB")
        fit = transforms.Compose([transforms.Resize(shorter), transforms.CenterCrop(size)])
        written.append({"name": name, "file": encode(buffer.getvalue()), "shorter": shorter,
                        "size": size, "pixels": encode(np.asarray(fit(read)).tobytes())})
    output = sys.argv[1] if len(sys.argv) > 1 else "images.json"
    with open(output, "w") as file:
        json.dump(written, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main()
