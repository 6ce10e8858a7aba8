#!/usr/bin/env python3
"""The rows of the course whose figures take longer (launch/configs/course)."""
import resource

from course_rows import *  # noqa: F403

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def processor_seconds():
    """Of all commands so far: other than the clock's, those that others take do not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@test
def row_3_titanic():
    def score(run_folder):
        succeed("predict", run_folder, "--split", "train", "-o", "p.npy")
        with h5py.File("data/titanic-spreadsheet.h5") as file:
            survived = file["train/y"][:].ravel() > 0.5
        return np.mean((np.load("p.npy").ravel() > 0.5) == survived)

    before, after = [], []
    for seed in range(1, 6):
        follow("titanic", seed=seed)
        weights = read_safetensors("runs/titanic/weights.safetensors")
        count = sum(values.size for values in weights.values())
        check(count == 32, f"{count} parameters instead of 24 + 8")
        after.append(score("runs/titanic"))
        losses = [line["loss"] for line in metrics("runs/titanic", "train")]
        check(losses[-1] < 0.75 * losses[0], f"seed {seed}: the loss fell to {losses[-1]} only")
        succeed("train", "launch/configs/course/titanic.toml", "optimizer.lr=0",
                "training.epochs=1", f"run.seed={seed}", "--out", f"runs/start{seed}")
        before.append(score(f"runs/start{seed}"))
    print(f"  random weights: {np.round(before, 3).tolist()}")
    mean_within(after, 0.78, 0.025, "accuracy")
    check(np.mean(after) > np.mean(before) + 0.05, f"{before} at the start")


@test
def row_10_bit_patterns():
    linear = {"bits": [], "changes": []}
    network = []
    for seed in range(1, 6):
        follow("bit-patterns-linear", seed=seed)
        for representation, scores in linear.items():
            scores.append(accuracy(f"runs/{representation}-linear"))
        follow("bit-patterns-network", seed=seed)
        network.append(accuracy("runs/bits-network"))
    mean_within(linear["bits"], 0.5, 0.05, "linear on bits")
    mean_above(linear["changes"], 0.98, "linear on changes")
    mean_above(network, 0.97, "one hidden layer on bits")


@test
def row_12_fashion_mnist():
    if not FASHION_MNIST.exists():
        print("  NOT TESTED: Debian's dataset-fashion-mnist is not installed")
        return
    start = processor_seconds()
    follow("fashion-mnist")
    took = (processor_seconds() - start) / 2  # two ranks, one thread each, on cores of their own
    check(took < 300, f"{took:.0f} s, longer than the lecture's 5 minutes")
    succeed("evaluate", "runs/fashion-mnist", "--json", "e.json", "--embedding", "e.png").says(
        "confusion", "e.png: the 128 outputs of layer")
    check(Path("e.png").read_bytes().startswith(b"\x89PNG"), "no picture of the embedding")
    check(list(Path("runs/fashion-mnist").glob("events.out.tfevents.*")), "no TensorBoard events")
    figures = json.loads(Path("e.json").read_text())
    print(f"  accuracy {figures['accuracy']}")
    check(0.86 <= figures["accuracy"] <= 0.885, f"accuracy {figures['accuracy']}")
    confusion = np.array(figures["confusion"]).reshape(10, 10)
    mixed = confusion + confusion.T
    pairs = sorted(((mixed[a, b], {a, b}) for a in range(10) for b in range(a)), key=lambda p: -p[0])
    print(f"  mixed up most: {[(int(count), sorted(pair)) for count, pair in pairs[:3]]}")
    for pair in ({0, 6}, {2, 4}):  # T-shirt and shirt, pullover and coat
        check(pair in [found for _, found in pairs[:3]], f"{pair} is not among {pairs[:3]}")


@test
def row_13_digits():
    """On the bundled digits: MNIST itself is not everywhere."""
    scores = {"mlp": [], "cnn": []}
    for seed in range(1, 4):
        follow("mnist-mlp", ("prepare",), seed=seed, wanted=lambda words: words[1] == "digits")
        for network, values in scores.items():
            follow(f"mnist-{network}", ("train",), seed=seed)
            values.append(accuracy(f"runs/mnist-{network}"))
    mean_above(scores["mlp"], 0.96, "MLP")
    mean_above(scores["cnn"], 0.975, "CNN")
    # Overfitting is visible where nothing keeps the network from it.
    succeed("train", "launch/configs/course/mnist-mlp.toml", "model.dropout=0",
            "optimizer.weight_decay=0", "optimizer.lr=0.01",
            "training.early_stopping.patience=1000", "training.early_stopping.restore_best=false",
            "training.epochs=100", "--out", "over", seconds=4 * HANG)
    losses = {split: [line["loss"] for line in metrics("over", split)]
              for split in ("train", "validation")}
    print(f"  overfitting: training loss {losses['train'][-1]:.5f}, validation from "
          f"{min(losses['validation']):.4f} to {losses['validation'][-1]:.4f}")
    check(losses["validation"][-1] > 1.1 * min(losses["validation"]) and
          losses["train"][-1] < min(losses["validation"]), "no overfitting to be seen")


@test
def row_13_mnist():
    folder = os.environ.get("MNIST_FOLDER", "/usr/share/datasets/mnist")
    if not Path(folder).is_dir():
        print(f"  NOT TESTED: no MNIST in {folder}; MNIST_FOLDER names the folder of its four files")
        return
    Path("mnist").symlink_to(folder)
    follow("mnist-mlp", ("prepare",), wanted=lambda words: words[1] == "idx")
    for network, least in ("mlp", 0.975), ("cnn", 0.99):
        follow(f"mnist-{network}", ("train",), seconds=3600)
        value = accuracy(f"runs/mnist-{network}")
        print(f"  {network}: {value}")
        check(value >= least, f"{network}: {value} on MNIST")


@test
def row_14_spirals():
    scores = {name: [] for name in ("spirals", "linear", "too-large", "l2")}
    slow = []
    for seed in range(1, 6):
        follow("spirals", seed=seed)
        for name, values in scores.items():
            values.append(accuracy(f"runs/{name}"))
        succeed("train", "launch/configs/course/spirals.toml", "optimizer.lr=0.0002",
                f"run.seed={seed}", "--out", "runs/too-small")
        slow.append(accuracy("runs/too-small"))
    mean_within(scores["linear"], 0.5, 0.07, "linear")
    mean_above(scores["spirals"], 0.95, "one hidden layer")
    for name, values in (("too large", scores["too-large"]), ("L2 0.1", scores["l2"]),
                         ("too small", slow)):
        print(f"  {name}: mean {np.mean(values):.3f}")
        check(np.mean(values) < 0.85, f"{name} should spoil it: {values}")

def drawn_shapes(count, kinds, seed):
    """(N, 32, 32, 3) uint8 and labels: a bright disc, square, cross or ring somewhere on noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:32, 0:32]
    x = random.integers(0, 90, (count, 32, 32, 3), dtype=np.uint8)
    y = random.integers(0, len(kinds), count)
    for image, label in zip(x, y):
        down, right = rows - random.integers(11, 21), columns - random.integers(11, 21)
        distance = np.hypot(down, right)
        shape = {"disc": distance < 8, "ring": (distance < 9) & (distance > 5),
                 "square": np.maximum(abs(down), abs(right)) < 8,
                 "cross": (np.minimum(abs(down), abs(right)) < 3) & (distance < 10)}[kinds[label]]
        image[shape] = random.integers(150, 255, 3)
    return x, y


@test
def row_16_pets():
    Path("launch").symlink_to(ROOT / "launch")
    for name, kinds in (("first", ["disc", "square"]), ("pets", ["disc", "ring", "square", "cross"])):
        x, y = drawn_shapes(64, kinds, 1)
        vx, vy = drawn_shapes(32, kinds, 2)
        write_h5(f"{name}.h5", train_x=x, train_y=y, validation_x=vx, validation_y=vy)
    small = ["training.batch=16", "run.shards=4", "run.threads=1", "checkpoint.keep=1",
             "checkpoint.every_epochs=0", "data.augment[0].size=32"]  # as stored
    parameters = {"resnet34": 21.3, "efficientnet": 4.0, "convnext": 27.8}
    for name, millions in parameters.items():
        config = f"launch/configs/course/pets-{name}.toml"
        succeed("train", config, *small, "data.file=first.h5", "model.weights=",
                "training.phases=[{epochs=1, lr=0.001}]", "--out", f"{name}-first", seconds=400)
        shutil.move(f"{name}-first/weights.safetensors", "pretrained.safetensors")
        shutil.rmtree(f"{name}-first")
        for ranks in (1, 2, 4):
            said = succeed("train", config, *small, "data.file=pets.h5",
                           "model.weights=pretrained.safetensors", "training.phases[1].epochs=1",
                           "--out", f"{name}-{ranks}", ranks=ranks, seconds=400)
            if ranks > 1:
                same_run(f"{name}-1", f"{name}-{ranks}")
                shutil.rmtree(f"{name}-{ranks}")
        said.says("initialised anew", "phase 1 of 2: trains", "phase 2 of 2: trains all")
        count = json.loads(Path(f"{name}-1/run.json").read_text())["parameters"]
        check(abs(count / 1e6 - millions) < 0.2, f"{name}: {count} parameters")
    said = succeed("compare", *[f"{name}-1" for name in parameters])
    said.says("error rate", *[f"{name}-1" for name in parameters])


if __name__ == "__main__":
    main()
