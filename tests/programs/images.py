#!/usr/bin/env python3
"""`prepare images` and `prepare cifar10` as a user meets them: pixels beside Pillow's, parts and
classes, every kind of file, every kind of damage, and a network that learns from what they wrote."""
import csv
import gzip
import struct
import zlib

from lockstep_run import *  # noqa: F403 (the test vocabulary)
from pictures import SHAPES, draw, draw_folder, resized
from PIL import Image


def rows(path, part="train"):
    """name -> (pixels, class) of a prepared file."""
    with h5py.File(path) as file:
        classes = list(file.attrs["classes"])
        group = file[part]
        return {name: (x, classes[y])
                for name, x, y in zip(group.attrs["files"], group["x"][:], group["y"][:])}


def agree(pixels, expected, what):
    off = np.abs(pixels.astype(int) - expected).max()
    check(off <= 1, f"{what}: {off} grey levels from Pillow's")


@test
def pixels_are_pillows():
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    for i in range(60):
        height, width = (int(size) for size in random.integers(1, 140, 2))
        image = Image.fromarray(draw(SHAPES[i % 5], random, height, width))
        image = image.convert(str(random.choice(["RGB", "L", "CMYK"])))
        folder = Path("in", SHAPES[i % 5])
        folder.mkdir(parents=True, exist_ok=True)
        image.getexif()[0x0112] = int(random.integers(1, 9))
        options = dict(quality=int(random.integers(30, 100)), progressive=bool(random.integers(2)),
                       exif=image.getexif())
        if image.mode == "RGB":
            options["subsampling"] = int(random.integers(3))
        image.save(folder / f"{i}.jpg", **options)
    for shorter, size, channels in ((32, 32, 3), (61, 40, 3), (28, 28, 1)):
        succeed("prepare", "images", "in", "--resize", shorter, "--size", size, "--channels",
                channels, "-o", "a.h5", "--force")
        found = rows("a.h5")
        check(len(found) == 60, f"{len(found)} images of 60")
        for name, (pixels, label) in found.items():
            check(name.startswith(label + "/"), f"{name} is called a {label}")
            agree(pixels, resized(Path("in", name), shorter, size, "RGB" if channels == 3 else "L"),
                  name)


def png(path, pixels, colour_type, depth, interlaced=False, extra=b""):
    """PNG by hand, for what Pillow does not write: `pixels` (H, W, C) of 1, 8 or 16 bits."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))
    def lines(part):
        if part.size == 0:
            return b""
        values = np.packbits(part[..., 0], axis=1) if depth == 1 else \
            part.astype(">u2" if depth == 16 else "u1")
        return b"".join(b"\0" + line.tobytes() for line in values)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    data = b"".join(lines(pixels[y::dy, x::dx]) for y, x, dy, dx in passes)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour_type, 0, 0,
                         int(interlaced))
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
                           chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


@test
def every_kind_of_png():
    random = np.random.default_rng(3)
    Path("in/a").mkdir(parents=True)
    Path("in/b").mkdir(parents=True)
    colours = draw("cross", random, 33, 47)
    grey = colours[..., :1]
    opacity = random.integers(0, 256, grey.shape, "u1")
    Image.fromarray(colours).save("in/a/rgb.png")
    Image.fromarray(np.concatenate([colours, opacity], -1)).save("in/a/rgba.png")
    Image.fromarray(np.concatenate([grey, opacity], -1), "LA").save("in/a/la.png")
    Image.fromarray(colours).quantize(16).save("in/a/palette.png")
    Image.fromarray(colours).quantize(200).save("in/a/transparent.png", transparency=3)
    Image.fromarray(grey[..., 0] > 128).save("in/a/bits.png")
    png("in/b/interlaced.png", colours, 2, 8, interlaced=True)
    png("in/b/interlaced-bits.png", grey > 128, 0, 1, interlaced=True)
    png("in/b/deep.png", colours.astype(int) * 257, 2, 16)
    png("in/b/deep-grey.png", grey.astype(int) * 257, 0, 16)
    succeed("prepare", "images", "in", "--size", "24", "-o", "a.h5")
    found = rows("a.h5")
    for name, (pixels, _) in found.items():
        if name == "b/deep-grey.png":  # Pillow makes white of it
            Image.fromarray(grey[..., 0]).save("grey.png")
            agree(pixels, resized("grey.png", 24, 24), name)
        else:
            agree(pixels, resized(Path("in", name), 24, 24), name)
    check(len(found) == 10, f"{list(found)}")


@test
def parts_and_classes():
    draw_folder("in", 20)
    Path("in/.hidden").mkdir()
    Path("in/circle/.DS_Store").write_bytes(b"x")
    Path("in/circle/notes.txt").write_text("no image")
    Path("in/readme.txt").write_text("no image")
    for name in ("a.h5", "b.h5"):
        succeed("prepare", "images", "in", "--size", "16", "--validation", "0.1", "--test", "0.2",
                "--threads", "3" if name == "b.h5" else "1", "-o", name).says(
                    "left out 1 file outside", "readme.txt", "1 .txt")
    check(Path("a.h5").read_bytes() == Path("b.h5").read_bytes(), "threads change the file")
    names = set()
    with h5py.File("a.h5") as file:
        check(list(file.attrs["classes"]) == sorted(SHAPES), "classes")
        for part, count in (("train", 14), ("validation", 2), ("test", 4)):
            labels = np.bincount(file[part]["y"][:], minlength=5)
            check((labels == count).all(), f"{part}: {labels}")
            names |= set(file[part].attrs["files"])
    check(len(names) == 100, f"{len(names)} names")
    succeed("prepare", "repack", "a.h5", "--shuffle", "-o", "shuffled.h5")
    before, after = rows("a.h5", "test"), rows("shuffled.h5", "test")
    check(all((pixels == after[name][0]).all() for name, (pixels, _) in before.items()),
          "repack gives rows other names")
    succeed("inspect", "a.h5", "--images", "sheet.png").says("circle", "triangle")

    Path("flat").mkdir()
    for path in Path("in").glob("*/*.jpg"):
        shape, number = path.stem.split()
        Path("flat", f"great_{shape}_{number}.jpg").write_bytes(path.read_bytes())
    result = succeed("prepare", "images", "flat", "--label-regex", r"^(.+)_\d+\.jpg$", "--size",
                     "16", "-o", "c.h5")
    check(set(label for _, label in rows("c.h5").values()) == {f"great_{s}" for s in SHAPES},
          f"{result}")
    Path("labels.csv").write_text("name,label\n" + "".join(
        f"{path.stem},{i % 2}\n" for i, path in enumerate(sorted(Path("flat").iterdir()))))
    succeed("prepare", "images", "flat", "--labels", "labels.csv", "--size", "16", "-o", "d.h5")
    check(rows("d.h5")["great_circle_0.jpg"][1] == "0", "the table's labels")

    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        draw_folder(f"given/{part}", count, seed=count)
    succeed("prepare", "images", "given", "--size", "16", "-o", "e.h5")
    with h5py.File("e.h5") as file:
        check([len(file[part]["y"]) for part in ("train", "validation", "test")] == [30, 10, 15],
              "the parts of the folder")
    refuse("prepare", "images", "given", "--test", "0.5", "-o", "f.h5", words=("test part", "--test"))


@test
def damaged_and_odd_folders():
    draw_folder("in", 4)
    whole = Path("in/ring/ring 1.jpg").read_bytes()
    Path("in/ring/ring 1.jpg").write_bytes(whole[:len(whole) // 2])
    Path("in/ring/empty.jpg").write_bytes(b"")
    Path("in/cross/gif.jpg").write_bytes(b"GIF89a" + bytes(20))
    Path("in/cross/zip.png").write_bytes(b"PK\3\4" + bytes(20))
    Path("in/cross/gone.jpg").symlink_to("nowhere")
    png("in/square/bomb.png", np.zeros((1, 1, 3)), 2, 8)
    bomb = Path("in/square/bomb.png")
    header = struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0)
    data = bomb.read_bytes()
    bomb.write_bytes(data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:])
    frame = whole.index(b"\xff\xc0") + 5
    Path("in/square/bomb.jpg").write_bytes(
        whole[:frame] + struct.pack(">HH", 50000, 50000) + whole[frame + 4:])
    # What is well and only looks odd: a JPEG called PNG, spaces, other alphabets.
    Path("in/circle/really a jpeg.png").write_bytes(whole)
    Path("in/circle/größe 猫.jpg").write_bytes(whole)
    refuse("prepare", "images", "in", "--size", "16", "-o", "a.h5", words=(
        "ring 1.jpg", "empty.jpg", "file is empty", "GIF", "ZIP", "gone.jpg", "bomb.png",
        "50000 x 50000", "bomb.jpg", "7 of 28", "--max-broken 7"))
    check(not Path("a.h5").exists(), "a file in spite of the error")
    refuse("prepare", "images", "in", "--size", "16", "-o", "a.h5", "--max-broken", "6",
           words=("--max-broken",))
    succeed("prepare", "images", "in", "--size", "16", "-o", "a.h5", "--max-broken", "7").says(
        "left out 7 of 28")
    check("circle/größe 猫.jpg" in rows("a.h5"), "a name was lost")
    check(len(rows("a.h5")) == 21, "rows")

    Path("in/void").mkdir()
    refuse("prepare", "images", "in", "-o", "b.h5", words=("void", "empty"))
    Path("in/void").rmdir()
    Path("in/ring/loop").symlink_to("..")
    refuse("prepare", "images", "in", "-o", "b.h5", words=("loop", "link back"))
    Path("in/ring/loop").unlink()
    draw_folder("single", 3, shapes=("ring",))
    refuse("prepare", "images", "single", "-o", "b.h5", words=("one class alone", "ring"))
    refuse("prepare", "images", "single/ring", "-o", "b.h5", words=("no sub-folders", "--labels"))
    refuse("prepare", "images", "absent", "-o", "b.h5", words=("absent", "no such folder"))
    refuse("prepare", "images", __file__, "-o", "b.h5", words=("images.py", "it is a file"))
    for regex, word in (("(", "--label-regex '('"), ("ring", "group"), ("(zebra)", "matches")):
        refuse("prepare", "images", "single", "--label-regex", regex, "-o", "b.h5", words=(word,))
    Path("l.csv").write_text("name,label\nring 0.jpg,a\nring 7.jpg,b\n")
    refuse("prepare", "images", "single", "--labels", "l.csv", "-o", "b.h5",
           words=("l.csv, line 3", "ring 7.jpg"))
    for first in ("ring 0.jpg", "ring 0"):  # a table without a header line
        Path("l.csv").write_text(f"{first},a\nring 1.jpg,b\nring 2.jpg,a\n")
        refuse("prepare", "images", "single", "--labels", "l.csv", "-o", "b.h5",
               words=("l.csv, line 1", f"'{first}' is an image", "name,label"))
    refuse("prepare", "images", "in", "--size", "64", "--resize", "32", "-o", "b.h5",
           words=("--size 64", "--resize 32"))
    refuse("prepare", "images", "in", "--size", "16", "-o", "b.h5", "--max-broken", "9",
           "--max-memory", "9K", words=("--max-memory",))


@test
def thousands_of_classes():
    pixels = np.zeros((4, 4, 3), "u1")
    Path("in").mkdir()
    for i in range(3000):
        Path("in", f"class {i:04}").mkdir()
        png(f"in/class {i:04}/a.png", pixels + i % 256, 2, 8)
    succeed("prepare", "images", "in", "--size", "4", "-o", "a.h5").says("3000 classes")
    with h5py.File("a.h5") as file:
        check(len(file.attrs["classes"]) == 3000 and file.attrs["classes"][7] == "class 0007", "names")
        check((file["train/y"][:] == np.arange(3000)).all(), "labels")
    succeed("prepare", "images", "in", "--size", "4", "--validation", "0.5", "--test", "0.1", "-o",
            "b.h5").says("1800 of 3000 classes have no row in /train (class 0000, class 0001,")


@test
def cifar10():
    random = np.random.default_rng(2)
    folder = Path("here/cifar-10-batches-bin")
    folder.mkdir(parents=True)
    names = [f"kind {i}" for i in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    records = random.integers(0, 256, (6, 20, 3073), "u1")
    records[..., 0] %= 10
    for i, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        (folder / name).write_bytes(records[i].tobytes())
    succeed("prepare", "cifar10", "here", "-o", "a.h5").says("10 classes", "kind 3")
    with h5py.File("a.h5") as file:
        for part, of in (("train", records[:5]), ("test", records[5:])):
            of = of.reshape(-1, 3073)
            images = of[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            check((file[part]["x"][:] == images).all(), f"pixels of {part}")
            check((file[part]["y"][:] == of[:, 0]).all(), f"labels of {part}")
    (folder / "test_batch.bin").write_bytes(records[5].tobytes()[:-1])
    refuse("prepare", "cifar10", "here", "-o", "b.h5", words=("test_batch.bin", "3073"))
    for given in (folder, f"{folder}/"):
        refuse("prepare", "cifar10", given, "-o", "b.h5", words=(f"{folder}/test_batch.bin",))
    Path("c.tar.gz").write_bytes(gzip.compress(b"tar"))
    refuse("prepare", "cifar10", "c.tar.gz", "-o", "b.h5", words=("tar -xzf",))
    refuse("prepare", "cifar10", ".", "-o", "b.h5", words=("data_batch_1.bin",))


def fashion_as_png(folder, per_class):
    """The first of each class of Fashion-MNIST's test images."""
    source = Path("/usr/share/datasets/fashion-mnist")
    def read(name):
        packed = source / (name + ".gz")
        return gzip.decompress(packed.read_bytes()) if packed.exists() else (source / name).read_bytes()
    if not list(source.glob("t10k-labels*")):
        return False
    labels = np.frombuffer(read("t10k-labels-idx1-ubyte"), "u1", offset=8)
    images = np.frombuffer(read("t10k-images-idx3-ubyte"), "u1", offset=16).reshape(-1, 28, 28, 1)
    for label in range(10):
        Path(folder, str(label)).mkdir(parents=True)
        for row in np.flatnonzero(labels == label)[:per_class]:
            png(Path(folder, str(label), f"{row}.png"), images[row], 0, 8)
    return True


@test
def networks_learn_from_them():
    """The same bits on 1 and 2 ranks; shapes are told apart."""
    draw_folder("shapes", 60)
    succeed("prepare", "images", "shapes", "--size", "24", "--test", "0.25", "-o", "shapes.h5")
    config = write_config("shapes.toml", run={"name": "s", "shards": 2, "threads": 1},
                          data={"file": "shapes.h5", "validation": "/test"},
                          model={"network": "cnn"}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "adam", "lr": 0.002},
                          training={"epochs": 8, "batch": 25})
    succeed("train", config, "--out", "one", ranks=1)
    succeed("train", config, "--out", "two", ranks=2)
    same_run("one", "two")
    accuracy = metrics("one", "validation")[-1]["accuracy"]
    check(accuracy > 0.6, f"shapes: {accuracy}")
    # Names of rows, and photos of any size made into samples as the training's were.
    succeed("predict", "one", "-o", "test.csv")
    succeed("predict", "one", "--data", *sorted(Path("shapes").iterdir()), "-o", "all.csv")
    def table(path):
        with open(path, newline="") as file:
            return {row["file"]: row for row in csv.DictReader(file)}
    test_rows, all_rows = table("test.csv"), table("all.csv")
    for name, row in test_rows.items():
        check(all_rows["shapes/" + name]["class"] == row["class"], f"{name}: {row}")
    check(len(test_rows) == 75, f"{len(test_rows)} predictions")

    # Fine-tuned on other classes in two phases: first the head, made anew, then everything.
    draw_folder("others", 12, seed=2, shapes=("circle", "square", "triangle"), size=(50, 50))
    succeed("prepare", "images", "others", "--size", "24", "--validation", "0.25", "-o", "o.h5")
    tuned = write_config("tuned.toml", """
[run]
name = "tuned"
shards = 4
threads = 1
[data]
file = "o.h5"
validation = "/validation"
[model]
network = "cnn"
weights = "one/weights.safetensors"
[optimizer]
kind = "adam"
[training]
batch = 9
[[training.phases]]
train = ["head"]
epochs = 1
lr = 0.01
[[training.phases]]
epochs = 1
lr = 0.001
""")
    for ranks in (1, 2, 4):
        succeed("train", tuned, "--out", f"tuned{ranks}", ranks=ranks, seconds=120)
        same_run("tuned1", f"tuned{ranks}")
    succeed("compare", "tuned1", "tuned4").says("cnn", "error rate")
    if fashion_as_png("fashion", 12):
        succeed("prepare", "images", "fashion", "--size", "28", "--channels", "1", "-o", "f.h5")
        with h5py.File("f.h5") as file:
            check(file["train/x"].shape == (120, 28, 28, 1), f"{file['train/x'].shape}")


if __name__ == "__main__":
    main()
