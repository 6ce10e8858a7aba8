#!/usr/bin/env python3
"""`lockstep bench images` beside Pillow: the same JPEG files, decoded, resized and cut out of the
centre, by one and by two threads here, as many processes there, in turns. Needs Pillow and
torchvision (build/oracles).

    build/oracles/bin/python tests/peers/images.py LOCKSTEP [--rounds 5]"""
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

SIZES = {(375, 500): 200, (500, 375): 200, (900, 1200): 60}  # height, width: so many files
FIT = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224)])


def write_images(folder, height, width, count):
    """The spectrum of photographs (amplitude about 1 / frequency), half a byte a pixel."""
    random = np.random.default_rng(1)
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


def compare(lockstep, images, workers, rounds):
    """Images a second of both, a pair a round."""
    paths = sorted(images.rglob("*.jpg"))
    figures = images.with_suffix(".json")
    pairs = []
    with multiprocessing.Pool(workers) as pool:
        for turn in range(rounds + 1):  # the first warms up
            start = time.perf_counter()
            pool.map(fit, paths, chunksize=10)
            theirs = len(paths) / (time.perf_counter() - start)
            subprocess.run([lockstep, "bench", "images", images, "--threads", str(workers),
                            "--rounds", "1", "--json", figures], check=True, capture_output=True)
            if turn > 0:
                pairs.append((json.loads(figures.read_text())["images_per_second"], theirs))
    return pairs


def spread(values, digits):
    median, least, most = (f"{value:.{digits}f}"
                           for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({least}-{most})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lockstep")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("width x height  workers  lockstep/s          Pillow/s            ratio")
    for (height, width), count in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            images = Path(folder, "images")
            write_images(images, height, width, count)
            for workers in (1, 2):
                pairs = compare(options.lockstep, images, workers, options.rounds)
                columns = [*zip(*pairs), [ours / theirs for ours, theirs in pairs]]
                ours, theirs, ratio = (spread(*column) for column in zip(columns, (0, 0, 2)))
                print(f"{f'{width} x {height}':14}  {workers:7}  {ours:18}  {theirs:18}  {ratio}",
                      flush=True)


if __name__ == "__main__":
    main()
