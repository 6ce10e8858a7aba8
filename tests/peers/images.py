#!/usr/bin/env python3
"""`lockstep bench images` beside Pillow: the same JPEG files, decoded, resized and cut out of the centre,
by two threads here and two processes there, in turns. Needs Pillow and torchvision (build/oracles).

    build/oracles/bin/python tests/peers/images.py LOCKSTEP [--rounds 5] [--images 300]"""
import argparse
import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import transforms

WORKERS = 2
FIT = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224)])


def write_images(folder, count):
    """500 x 375, with the spectrum of photographs (amplitude about 1 / frequency), 90 KB each."""
    random = np.random.default_rng(1)
    height, width = 375, 500
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    for i in range(count):
        planes = []
        for _ in range(3):
            waves = random.standard_normal((2, height, width // 2 + 1))
            planes.append(np.fft.irfft2((waves[0] + 1j * waves[1]) / frequency**1.1,
                                        (height, width)))
        grey, red, blue = planes
        pixels = np.stack([grey, grey * 0.8 + red * 0.3, grey * 0.8 + blue * 0.3], -1)
        pixels = (pixels - pixels.mean()) / pixels.std() * 50 + 128
        path = Path(folder, f"class {i % 2}", f"{i}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype("u1")).save(path, quality=88)


def fit(path):
    with Image.open(path) as image:
        return np.asarray(FIT(image.convert("RGB"))).nbytes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lockstep")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=300)
    options = parser.parse_args()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Pool(WORKERS) as pool:
        images = Path(folder, "images")
        write_images(images, options.images)
        paths = sorted(images.rglob("*.jpg"))
        figures = Path(folder, "figures.json")
        for turn in range(options.rounds + 1):  # the first warms up
            start = time.perf_counter()
            pool.map(fit, paths, chunksize=10)
            rate = len(paths) / (time.perf_counter() - start)
            subprocess.run([options.lockstep, "bench", "images", images, "--threads", str(WORKERS),
                            "--rounds", "1", "--json", figures], check=True, capture_output=True)
            if turn > 0:
                theirs.append(rate)
                ours.append(json.loads(figures.read_text())["images_per_second"])
    for name, rates in (("lockstep", ours), ("Pillow", theirs)):
        print(f"{name:9} {statistics.median(rates):8.1f} images/s   "
              f"({min(rates):.1f} to {max(rates):.1f})")
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(f"ratio     {statistics.median(ours) / statistics.median(theirs):8.2f}            "
          f"({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
