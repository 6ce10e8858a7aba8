#!/usr/bin/env python3
"""predict on rows that no dataset file holds: CSV columns by name through the encoding that travels
with the run, PNG images as the data have them; and each way in which they do not fit."""
import csv
import io
import zlib

from lockstep_run import *  # noqa: F403 (the test vocabulary)


def png(path, pixels, colour):
    """8-bit PNG after its specification; colour: 0 grey, 2 RGB, 6 RGB and opacity."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body +
                struct.pack(">I", zlib.crc32(kind + body)))
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0,
                                                          0)) +
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


@test
def rows_of_another_csv():
    """Columns in another order, the target absent, a missing cell: as prepare encoded them."""
    lines = table((DATA / "titanic.csv").read_text())
    succeed("prepare", "csv", DATA / "titanic.csv", "--target", "survived", "--missing", "mean",
            "--test", "0.2", "-o", "t.h5")
    config = write_config("t.toml", run={"name": "t", "threads": 1}, data={"file": "t.h5"},
                          model={"network": "mlp", "widths": [8]}, loss={"kind": "cross_entropy"},
                          optimizer={"lr": 0.01}, training={"epochs": 2, "batch": 64})
    succeed("train", config, "--out", "run")
    columns = [name for name in lines[0] if name != "survived"]
    with h5py.File("t.h5") as file:
        encoded, names = file["/test/x"][:], [str(n.decode() if isinstance(n, bytes) else n)
                                              for n in file.attrs["columns"]]
    succeed("predict", "run", "-o", "expected.npy")
    Path("t.h5").unlink()  # the run alone is enough from here on

    # A row of the test part, written as a table again: its prediction is the file's.
    numbers = {name: i for i, name in enumerate(names)}
    with open("some.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(reversed(columns)))
        writer.writeheader()
        for row in encoded[:5]:
            cells = {}
            for name in columns:
                if name in numbers:
                    cells[name] = repr(float(row[numbers[name]]))
                else:
                    cells[name] = next(n.split("=", 1)[1] for n, i in numbers.items()
                                       if n.startswith(name + "=") and row[i] == 1)
            writer.writerow(cells)
    for ranks in (0, 2):
        succeed("predict", "run", "--data", "some.csv", "-o", "p.npy", ranks=ranks)
        check(np.array_equal(np.load("p.npy"), np.load("expected.npy")[:5]),
              f"{np.load('p.npy')}\n{np.load('expected.npy')[:5]}")
    shown = table(succeed("predict", "run", "--data", "some.csv").out)
    check([int(line["label"]) for line in shown] == list(np.load("p.npy").argmax(1)), f"{shown}")
    check(set(shown[0]) == {"row", "label", "class", "probability"}, f"{shown}")

    text = Path("some.csv").read_text()
    category = next(c for c in columns if c not in numbers)
    place = list(reversed(columns)).index(category)
    first = text.splitlines()[1].split(",")
    Path("unknown.csv").write_text(text.replace(",".join(first), ",".join(
        first[:place] + ["purple"] + first[place + 1:]), 1))
    refuse("predict", "run", "--data", "unknown.csv", words=["unknown.csv", "line 2", category,
                                                            "purple"])
    Path("fewer.csv").write_text("a,b\n1,2\n")
    refuse("predict", "run", "--data", "fewer.csv", words=["fewer.csv", columns[0], "a, b"])
    refuse("predict", "run", "--data", "some.csv", "fewer.csv", words=["one .csv"])
    refuse("predict", "run", "--data", "none.csv", words=["none.csv"])
    refuse("predict", "run", "--data", "none.csv", "-o", "none/p.csv",  # before anything is read
           words=["none/p.csv", "there is no folder none"])
    Path("empty").mkdir()
    refuse("predict", "run", "--data", "empty", words=["empty", "no .jpg or .png"])


def train_images(x, y, name):
    write_h5(name + ".h5", train_x=x, train_y=y)
    config = write_config(name + ".toml", run={"name": name, "threads": 1},
                          data={"file": name + ".h5"}, model={"network": "mlp", "widths": [8]},
                          loss={"kind": "cross_entropy"}, optimizer={"lr": 0.01},
                          training={"steps": 3, "batch": 50})
    succeed("train", config, "--out", name)
    succeed("predict", name, "--split", "/train", "-o", "expected.npy")
    Path(name + ".h5").unlink()
    return np.load("expected.npy")


@test
def grey_images():
    x, y = digits(60)
    expected = train_images(x, y, "grey")
    Path("folder").mkdir()
    for i in range(3):
        png(f"folder/{i}.png", x[i, ..., 0], 0)
        png(f"rgb{i}.PNG", np.repeat(x[i], 3, 2), 2)  # equal colours are grey
    succeed("predict", "grey", "--data", "folder", "-o", "p.npy", ranks=2)
    check(np.array_equal(np.load("p.npy"), expected[:3]), "a PNG predicts otherwise than its row")
    shown = table(succeed("predict", "grey", "--data", "rgb1.PNG", "folder", "rgb0.PNG").out)
    check([line["file"] for line in shown] ==
          ["rgb1.PNG", *[f"folder/{i}.png" for i in range(3)], "rgb0.PNG"], f"{shown}")
    order = [1, 0, 1, 2, 0]
    check([int(line["label"]) for line in shown] == list(expected[order].argmax(1)), f"{shown}")
    probabilities = [float(line["probability"]) for line in shown]
    check(np.allclose(probabilities, expected[order].max(1), atol=1e-5), f"{shown}")

    png("large.png", np.zeros((9, 12)), 0)
    refuse("predict", "grey", "--data", "large.png", words=["large.png", "12 x 9", "8 x 8"])
    Path("no.png").write_bytes(b"GIF89a")
    refuse("predict", "grey", "--data", "no.png", words=["no.png", "PNG"])
    whole = Path("folder/0.png").read_bytes()
    Path("half.png").write_bytes(whole[:len(whole) // 2])
    refuse("predict", "grey", "--data", "half.png", words=["half.png"])
    refuse("predict", "grey", "--data", "folder", "grey.h5", words=["grey.h5", "not mixed"])
    Path("pixels.csv").write_text("a\n1\n")
    refuse("predict", "grey", "--data", "pixels.csv", words=["pixels.csv", "(8, 8, 1)"])


@test
def weights_without_a_run():
    """A config and a weights file give the logits of the run; pictures alone need no targets."""
    x, y = digits(60)
    write_h5("d.h5", train_x=x, train_y=y)
    write_h5("x.h5", test_x=x[:7])
    config = write_config("c.toml", run={"name": "c", "threads": 1}, data={"file": "d.h5"},
                          model={"network": "cnn", "batch_norm": True},
                          loss={"kind": "cross_entropy"}, training={"steps": 3, "batch": 50})
    succeed("train", config, "--out", "run")
    succeed("export", "run", "w.safetensors")
    succeed("predict", "run", "--split", "/train", "--logits", "-o", "expected.npy")
    given = ("predict", config, "model.weights=w.safetensors", "--logits", "-o", "p.npy", "--data")
    succeed(*given, "d.h5", "--split", "/train")
    check(np.array_equal(np.load("p.npy"), np.load("expected.npy")), "the config predicts otherwise")
    bare = write_config("bare.toml", run={"threads": 1}, data={"file": "d.h5"},
                        model={"network": "cnn", "batch_norm": True, "weights": "w.safetensors"},
                        loss={"kind": "cross_entropy"})  # no batch: nothing is trained
    for ranks in (0, 3):
        succeed("predict", bare, "--split", "/train", "--logits", "-o", "p.npy", ranks=ranks)
        check(np.allclose(np.load("p.npy"), np.load("expected.npy"), atol=1e-5), "without a batch")
    succeed("evaluate", bare, "--split", "/train").says("60 rows")
    refuse(*given, "x.h5", words=["x.h5", "model.outputs"])
    succeed(*given, "x.h5", "model.outputs=10", ranks=2)
    check(np.array_equal(np.load("p.npy"), np.load("expected.npy")[:7]), "7 rows predict otherwise")
    refuse(*given, "x.h5", "model.outputs=7", words=["'fc2.weight' is (10, 128)", "model.outputs = 10"])

    succeed("export", "run", "--onnx", "run.onnx")
    succeed("export", config, "model.weights=w.safetensors", "--onnx", "config.onnx")
    check(Path("run.onnx").read_bytes() == Path("config.onnx").read_bytes(), "two ONNX files")
    refuse("export", "run", words=["FILE.safetensors", "--onnx"])
    refuse("export", "run", "--onnx", "none/run.onnx", words=["none/run.onnx"])

    # A new training takes all but the head from the file, and says so.
    write_h5("e.h5", train_x=x, train_y=y % 3)
    said = succeed("train", config, "data.file=e.h5", "model.weights=w.safetensors", "--out", "new")
    check("head 'fc2': 10 outputs in the file, 3 here: initialised anew" in said.out, said.out)
    whole = Path("w.safetensors").read_bytes()
    for end in (0, 7, 100, len(whole) - 1):
        Path("half.safetensors").write_bytes(whole[:end])
        refuse("train", config, "model.weights=half.safetensors", "--out", "none",
               words=["half.safetensors"])
    check(not Path("none").exists(), "a run folder is left of a training that never began")


@test
def pretrained_classes():
    """Weights of 9 classes: num_classes decides what they give, whatever the data that they see."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x = random.integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    write_h5("nine.h5", train_x=x, train_y=np.arange(12) % 9)
    write_h5("five.h5", train_x=x, train_y=np.arange(12) % 5)
    png("picture.png", x[2], 2)
    network = {"network": "resnet18", "stem": "cifar"}
    normal = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25]}
    config = write_config("train.toml", run={"threads": 1}, data={"file": "nine.h5", **normal},
                          model=network, optimizer={"lr": 0.001},
                          training={"steps": 1, "batch": 12})
    succeed("train", config, "--out", "run")
    succeed("export", "run", "w.safetensors")
    succeed("predict", "run", "--split", "/train", "--logits", "-o", "expected.npy")
    succeed("export", "run", "--onnx", "expected.onnx")
    expected, onnx = np.load("expected.npy"), Path("expected.onnx").read_bytes()
    succeed("predict", "run", "model.convolution=direct", "--split", "/train", "--logits", "-o", "p.npy")
    check(np.allclose(np.load("p.npy"), expected, atol=1e-3), "direct convolutions, other logits")

    weights = {**network, "weights": "w.safetensors"}
    five = write_config("five.toml", run={"threads": 1}, data={"file": "five.h5", **normal},
                        model={**weights, "num_classes": 9})
    succeed("predict", five, "--split", "/train", "--logits", "-o", "p.npy")
    check(np.allclose(np.load("p.npy"), expected, atol=1e-5), "other classes, other logits")
    succeed("predict", five, "--split", "/train").says("probability")
    succeed("evaluate", five, "--split", "/train").says("12 rows")
    succeed("export", five, "--onnx", "five.onnx")
    check(Path("five.onnx").read_bytes() == onnx, "another ONNX file")
    succeed("inspect", five).says("fc", "9")
    refuse("train", five, "training.steps=1", "training.batch=12", "--out", "none",
           words=["model.num_classes = 9", "5 outputs", "leave the key out"])
    without = write_config("without.toml", run={"threads": 1}, data={"file": "five.h5"},
                           model=weights)
    refuse("predict", without, "--split", "/train", words=["9 outputs", "model.num_classes = 9"])

    # Pictures, from a config whose keys describe them, and from one with the training's data.
    keys = write_config("keys.toml", run={"threads": 1}, data=normal,
                        model={**weights, "num_classes": 9, "in_channels": 3, "image_size": 8})
    nine = write_config("nine.toml", run={"threads": 1}, data={"file": "nine.h5", **normal},
                        model=weights)
    for config in (keys, nine):
        for ranks in (0, 2):
            succeed("predict", config, "--data", "picture.png", "--logits", "-o", "p.npy",
                    ranks=ranks)
            check(np.allclose(np.load("p.npy"), expected[2:3], atol=1e-5), f"{config}: the picture")
        succeed("export", config, "--onnx", "one.onnx")
    succeed("export", keys, "--onnx", "keys.onnx")
    check(Path("keys.onnx").stat().st_size > len(onnx) / 2, "no ONNX file")
    plain = write_config("plain.toml", run={"threads": 1},
                         model={**weights, "num_classes": 9, "image_size": 8})
    refuse("predict", plain, "--data", "picture.png", words=["data.mean", "data.normalize"])
    nothing = write_config("nothing.toml", run={"threads": 1}, model=weights)
    refuse("predict", nothing, "--data", "picture.png", words=["data.file", "model.image_size"])
    refuse("export", nothing, "--onnx", "one.onnx", words=["data.file", "model.image_size"])


@test
def normalisation_of_the_data_file():
    """A config takes mean and deviation of its data file for pictures too."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    for i in range(12):
        Path("in", str(i % 3)).mkdir(parents=True, exist_ok=True)
        png(f"in/{i % 3}/{i:02}.png", random.integers(0, 256, (8, 8, 3)), 2)
    succeed("prepare", "images", "in", "--size", "8", "-o", "d.h5")
    network = {"network": "mlp", "widths": [8]}
    succeed("train", write_config("a.toml", run={"threads": 1}, data={"file": "d.h5"}, model=network,
                                  training={"steps": 2, "batch": 12}), "--out", "run")
    config = write_config("b.toml", run={"threads": 1}, data={"file": "d.h5"},
                          model={**network, "weights": "run/weights.safetensors"})
    for given, to in (("run", "a.npy"), (config, "b.npy")):
        succeed("predict", given, "--data", "in/0", "in/1", "--logits", "-o", to)
    check(np.allclose(np.load("a.npy"), np.load("b.npy"), atol=1e-6), "the config predicts otherwise")


@test
def colour_images():
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x = random.integers(0, 256, (60, 4, 6, 3)).astype(np.uint8)
    expected = train_images(x, np.arange(60) % 3, "colour")
    png("rgb.png", x[0], 2)
    png("opaque.png", np.concatenate([x[1], np.full((4, 6, 1), 255)], 2), 6)
    succeed("predict", "colour", "--data", "rgb.png", "opaque.png", "-o", "p.npy")
    check(np.array_equal(np.load("p.npy"), expected[:2]), "a PNG predicts otherwise than its row")


@test
def numbers_without_an_encoding():
    """Data that came from no table: one column a value."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x = random.normal(size=(50, 2)).astype(np.float32)
    write_h5("d.h5", train_x=x, train_y=x[:, :1])
    config = write_config("a.toml", run={"threads": 1}, data={"file": "d.h5"},
                          model={"network": "linear"}, loss={"kind": "mse"},
                          training={"steps": 3, "batch": 25})
    succeed("train", config, "--out", "run")
    succeed("predict", "run", "--split", "/train", "-o", "e.npy")
    text = "u;v\n" + "".join(f"{a!r};{b!r}\n" for a, b in x[:4].astype(float))
    Path("x.csv").write_text(text)
    shown = table(succeed("predict", "run", "--data", "x.csv", "--delimiter", ";").out)
    check(np.allclose([float(line["output0"]) for line in shown], np.load("e.npy")[:4, 0]),
          f"{shown}")
    refuse("predict", "run", "--data", "x.csv", words=["1 columns", "(2)"])


if __name__ == "__main__":
    main()
