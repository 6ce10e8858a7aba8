"""Pictures for tests: shapes of several classes, drawn with numpy, and what Pillow makes of a file:
the resize that `prepare images` must agree with."""
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SHAPES = ("circle", "cross", "ring", "square", "triangle")


def inside(shape, x, y):
    """Whether points lie in a shape of radius 1 around 0."""
    radius = np.hypot(x, y)
    if shape == "circle":
        return radius < 1
    if shape == "ring":
        return (radius < 1) & (radius > 0.6)
    if shape == "square":
        return np.maximum(abs(x), abs(y)) < 0.85
    if shape == "triangle":
        return (y < 0.8) & (y > 1.9 * abs(x) - 1)
    return (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1)


def draw(shape, random, height, width):
    """One shape at a random place, in a random colour, on a noisy ground: uint8 (H, W, 3)."""
    ground, colour = random.uniform(0, 110, 3), random.uniform(150, 255, 3)
    radius = random.uniform(0.25, 0.4) * min(height, width)
    turn = random.uniform(-0.3, 0.3)
    y, x = np.mgrid[:height, :width].astype(float)
    x = (x - width / 2 + random.uniform(-0.1, 0.1) * width) / radius
    y = (y - height / 2 + random.uniform(-0.1, 0.1) * height) / radius
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    pixels = np.where(inside(shape, x, y)[..., None], colour, ground)
    return (pixels + random.normal(0, 8, pixels.shape)).clip(0, 255).astype("u1")


def draw_folder(folder, per_class, seed=1, shapes=SHAPES, size=(60, 80)):
    """folder/SHAPE/SHAPE N.jpg; odd ones stand upright, even ones lie."""
    random = np.random.default_rng(seed)
    for shape in shapes:
        Path(folder, shape).mkdir(parents=True)
        for i in range(per_class):
            height, width = size if i % 2 else size[::-1]
            Image.fromarray(draw(shape, random, height, width)).save(
                Path(folder, shape, f"{shape} {i}.jpg"), quality=90)


def resized(path, shorter, size, mode="RGB"):
    """torchvision's Resize(shorter), CenterCrop(size) of what its loader gives, upright."""
    image = ImageOps.exif_transpose(Image.open(path)).convert(mode)
    width, height = image.size
    if width <= height:
        width, height = shorter, int(shorter * height / width)
    else:
        width, height = int(shorter * width / height), shorter
    image = image.resize((width, height), Image.BILINEAR)
    top, left = round((height - size) / 2), round((width - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size))).reshape(size, size, -1)
