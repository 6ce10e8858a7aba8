#!/usr/bin/env python3
"""`prepare images` beside torchvision: fresh random images of every kind and size, read by torchvision's
own loader and resized by its Resize and CenterCrop; no pixel is more than one grey level away."""
import os
import random
import sys
from pathlib import Path

from oracle import run, start

IMAGES = 150


def write_images(numpy, Image, draw):
    """folder/CLASS/N.jpg or .png; sizes, modes and options by chance."""
    for i in range(IMAGES):
        height, width = draw.randint(1, 400), draw.randint(1, 400)
        y, x = numpy.mgrid[:height, :width] / max(height, width)
        planes = [numpy.sin(draw.uniform(0, 40) * x + draw.uniform(0, 40) * y) for _ in range(3)]
        noise = numpy.random.default_rng(draw.randrange(1 << 32)).normal(0, 12, (height, width, 3))
        pixels = (numpy.stack(planes, -1) * 110 + 128 + noise).clip(0, 255).astype("u1")
        image = Image.fromarray(pixels)
        folder = Path("in", f"class {i % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        if draw.random() < 0.3:
            image = draw.choice([image, image.convert("L"), image.quantize(draw.randint(2, 256)),
                                 image.convert("RGBA")])
            image.save(folder / f"{i}.png")
            continue
        image = draw.choice([image, image, image, image.convert("L"), image.convert("CMYK")])
        options = {"quality": draw.randint(10, 100), "progressive": draw.random() < 0.3}
        if image.mode == "RGB":
            options["subsampling"] = draw.randrange(3)
        image.save(folder / f"{i}.jpg", **options)


def main(lockstep):
    import h5py
    import numpy
    from PIL import Image
    from torchvision import datasets, transforms
    seed = int(os.environ.get("LOCKSTEP_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed} (LOCKSTEP_TEST_SEED={seed} repeats it)")
    draw = random.Random(seed)
    write_images(numpy, Image, draw)
    for resize, size in ((256, 224), (64, 64), (32, 20)):
        run(lockstep, "prepare", "images", "in", "--resize", resize, "--size", size, "-o",
            f"{size}.h5")
        fit = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(size)])
        folder = datasets.ImageFolder("in", transform=fit)
        expected = {os.path.relpath(path, "in"): (folder[i][0], label)
                    for i, (path, label) in enumerate(folder.samples)}
        most = 0
        with h5py.File(f"{size}.h5") as file:
            if list(file.attrs["classes"]) != folder.classes:
                sys.exit(f"classes: {list(file.attrs['classes'])}, {folder.classes}")
            train = file["train"]
            for name, pixels, label in zip(train.attrs["files"], train["x"][:], train["y"][:]):
                image, number = expected.pop(name)
                if label != number:
                    sys.exit(f"{name}: class {label}, torchvision says {number}")
                off = numpy.abs(pixels.astype(int) - numpy.asarray(image)).max()
                if off > 1:
                    sys.exit(f"{name} to {size}: {off} grey levels from torchvision's")
                most = max(most, off)
        if expected:
            sys.exit(f"not prepared: {list(expected)}")
        print(f"{IMAGES} images to {resize}, {size} x {size}: at most {most} grey levels off")


if __name__ == "__main__":
    start(__file__, main, "torchvision, PIL, h5py")
