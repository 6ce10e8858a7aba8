#!/usr/bin/env python3
"""A new user's tour: from a table to predictions, foreign files, weights of rows, early stopping,
help on every level; and what happens where shared memory or main memory is too small."""
import csv

from lockstep_run import *  # noqa: F403 (the test vocabulary)


def run_keys(name="a"):
    return {"name": name, "shards": 4, "threads": 1}


@test
def classification_from_csv():
    """prepare, inspect, train, evaluate, predict, export agree with each other."""
    result = succeed("prepare", "csv", DATA / "titanic.csv", "--target", "survived", "--missing",
                     "mean", "--test", "0.2", "--seed", "3", "-o", "titanic.h5")
    result.says("/train", "/test", "classes", "checksum")
    check(result.out.endswith(succeed("inspect", "titanic.h5").out),
          f"prepare ends with another summary than inspect shows:\n{result}")
    with h5py.File("titanic.h5") as file:
        labels, rows = file["/test/y"][:], len(file["/train/y"]) + len(file["/test/y"])
        classes = [str(name.decode() if isinstance(name, bytes) else name)
                   for name in file.attrs["classes"]]
        shares = [np.mean(file[f"/{split}/y"][:] == 1) for split in ("train", "test")]
        check(np.isfinite(file["/train/x"][:]).all(), "missing ages stayed missing")
    check(rows == 1309, f"{rows} rows instead of 1309")
    check(abs(shares[0] - shares[1]) < 0.01, f"the split is not stratified: {shares}")

    config = write_config("titanic.toml", run=run_keys(), data={"file": "titanic.h5",
                          "validation": "/test"}, model={"network": "mlp", "widths": [16]},
                          loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.01},
                          training={"epochs": 15, "batch": 64})
    succeed("inspect", config).says("fc1", "parameters", "multiply-adds")
    result = succeed("train", config, "--out", "run", ranks=2).says("run folder: run")
    check("\x1b" not in result.out, f"escapes outside a terminal:\n{result!s:.2000}")
    lines = [line for line in result.out.splitlines() if line.startswith("epoch ")]
    check(len(lines) == 15, f"{len(lines)} lines for 15 epochs:\n{result}")
    succeed("evaluate", "run", "--json", "e.json").says("accuracy", "confusion")
    evaluation = json.loads(Path("e.json").read_text())
    check(evaluation["accuracy"] > 0.75, f"learned little: {evaluation}")
    check(evaluation["accuracy"] == metrics("run", "validation")[-1]["accuracy"],
          "evaluate and train measure different accuracies")

    succeed("predict", "run", "-o", "p.csv")
    succeed("predict", "run", "-o", "p.npy", ranks=3)
    succeed("predict", "run", "--data", "titanic.h5", "--split", "test", "-o", "p.h5")
    succeed("predict", "run", "--logits", "-o", "l.npy")
    table = list(csv.DictReader(open("p.csv", newline="")))
    probabilities, logits = np.load("p.npy"), np.load("l.npy")
    with h5py.File("p.h5") as file:
        check(np.array_equal(file["predictions"][:], probabilities), ".npy and .h5 differ")
    check([int(line["label"]) for line in table] == list(probabilities.argmax(1)),
          ".csv and .npy name different labels")
    check(all(line["class"] == classes[int(line["label"])] for line in table), "class names")
    check(np.allclose([float(line["probability"]) for line in table], probabilities.max(1),
                      atol=1e-5), ".csv and .npy hold different probabilities")
    softmax = np.exp(logits - logits.max(1, keepdims=True))
    check(np.allclose(softmax / softmax.sum(1, keepdims=True), probabilities, atol=1e-6),
          "probabilities are not the softmax of the logits")
    accuracy = np.mean(probabilities.argmax(1) == labels)
    check(abs(accuracy - evaluation["accuracy"]) < 1e-12, f"{accuracy} by hand, {evaluation}")

    succeed("export", "run", "out.safetensors")
    weights = read_safetensors("out.safetensors")
    with h5py.File("titanic.h5") as file:
        x = (file["/test/x"][:] - file.attrs["mean"]) / file.attrs["std"]
    hidden = np.maximum(x @ weights["fc1.weight"].T + weights["fc1.bias"], 0)
    by_hand = hidden @ weights["fc2.weight"].T + weights["fc2.bias"]
    check(np.allclose(by_hand, logits, atol=1e-4), "numpy computes other logits from the weights")
    config = write_config("start.toml", Path("titanic.toml").read_text().replace(
        'network = "mlp"', 'network = "mlp"\nweights = "out.safetensors"'))
    succeed("predict", config, "--logits", "-o", "again.npy")
    check(np.array_equal(np.load("again.npy"), logits), "exported weights predict otherwise")

    for thing in ("run", "run/checkpoints/" + checkpoints("run")[-1], "out.safetensors"):
        succeed("inspect", thing).says("fc1")


@test
def regression_from_csv():
    """Galton's heights: gradient descent ends at the least-squares solution."""
    succeed("prepare", "csv", DATA / "galton_families.csv", "--target", "child", "--task",
            "regression", "-o", "galton.h5").says("regression", "934")
    config = write_config("galton.toml", run=run_keys(), data={"file": "galton.h5"},
                          model={"network": "linear"}, loss={"kind": "mse"},
                          optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.9},
                          training={"epochs": 200, "batch": 934})
    succeed("train", config, "--out", "run", ranks=2)
    succeed("evaluate", "run", "--split", "/train", "--json", "e.json")
    rmse = json.loads(Path("e.json").read_text())["rmse"]
    check(abs(rmse - 2.16005) < 2e-4, f"RMSE {rmse}, least squares give 2.16005")
    succeed("predict", "run", "--split", "/train", "-o", "p.csv")
    with h5py.File("galton.h5") as file:
        truth = file["/train/y"][:].ravel()
    values = [float(line["output0"]) for line in csv.DictReader(open("p.csv", newline=""))]
    check(abs(np.sqrt(np.mean((values - truth) ** 2)) - rmse) < 1e-4, "predictions of another RMSE")


@test
def bundled_digits():
    succeed("prepare", "digits", "-o", "digits.h5", "--test", "0.2")
    config = ROOT / "launch/configs/digits.toml"
    succeed("train", config, "data.file=digits.h5", "training.epochs=10", "--out", "run", ranks=2)
    accuracy = metrics("run", "validation")[-1]["accuracy"]
    check(accuracy > 0.95, f"accuracy {accuracy}")
    first = Path("digits.h5").read_bytes()
    succeed("prepare", "digits", "-o", "digits.h5", "--test", "0.2", "--force")
    check(Path("digits.h5").read_bytes() == first, "the same command wrote another file")


@test
def foreign_files():
    """What other programs write trains to the same weights as the plain file."""
    x, y = digits(160)
    x = np.repeat(x.astype(np.float32) / 16, 2, axis=3)
    x[..., 1] *= 0.5
    config = write_config("a.toml", run=run_keys(), data={"file": "plain.h5"},
                          model={"network": "cnn"}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "sgd", "lr": 0.1},
                          training={"epochs": 2, "batch": 40})
    write_h5("plain.h5", train_x=x, train_y=y)
    succeed("train", config, "--out", "plain")
    with h5py.File("foreign.h5", "w") as file:
        file.create_dataset("data/pictures", data=x.transpose(0, 3, 1, 2).astype(">f8"),
                            chunks=(7, 2, 8, 8), compression="gzip", shuffle=True)
        file["data/kinds"] = np.eye(10, dtype=np.uint16)[y]
    keys = ["data.file=foreign.h5", "data.train=/data", "data.x=pictures", "data.y=/data/kinds",
            "data.axes=nchw"]
    for name, more, ranks in (("foreign", [], 2), ("read-ahead", ["data.in_memory=false"], 2)):
        result = succeed("train", config, *keys, *more, "--out", name, ranks=ranks)
        same_files("plain", name, "weights.safetensors", "metrics.jsonl")
    result.says("chunked", "deflate")
    write_h5("column.h5", train_x=x.astype(">f4"), train_y=y.astype("u1")[:, None])
    succeed("train", config, "data.file=column.h5", "data.in_memory=false", "--out", "column")
    same_files("plain", "column", "weights.safetensors", "metrics.jsonl")


@test
def weights_of_rows():
    """Weights 0 and 1 train like the file without the rows of weight 0 (full batches)."""
    x, y = digits(120)
    weight = np.arange(120) % 3 != 0
    write_h5("all.h5", train_x=x, train_y=y, train_weight=weight.astype(np.float64))
    write_h5("some.h5", train_x=x[weight], train_y=y[weight])
    losses = []
    for file, batch in (("all.h5", 120), ("some.h5", int(weight.sum()))):
        config = write_config("a.toml", run=run_keys(), data={"file": file},
                              model={"network": "mlp", "widths": [16]},
                              loss={"kind": "cross_entropy"}, optimizer={"kind": "sgd", "lr": 0.01},
                              training={"steps": 10, "batch": batch})
        succeed("train", config, "--out", file + "-run", ranks=2)
        losses.append([line["loss"] for line in metrics(file + "-run", "train")])
    check(np.allclose(*losses, rtol=1e-5), f"losses {losses}")


@test
def early_stopping():
    """Ends by patience, with the weights of the best evaluation."""
    x, y = digits(260)
    write_h5("d.h5", train_x=x[:60], train_y=y[:60], test_x=x[60:], test_y=y[60:])
    config = write_config("a.toml", run=run_keys(),
                          data={"file": "d.h5", "validation": "/test"},
                          model={"network": "mlp", "widths": [64]}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "adam", "lr": 0.05},
                          training={"epochs": 300, "batch": 20})
    with open(config, "a") as file:
        file.write('[training.early_stopping]\npatience = 4\nmetric = "loss"\n')
    result = succeed("train", config, "--out", "run", ranks=2).says("early stopping", "the best")
    losses = [line["loss"] for line in metrics("run", "validation")]
    best = int(np.argmin(losses))
    check(len(losses) == best + 1 + 4, f"the best of {losses} is number {best}, patience is 4")
    succeed("evaluate", "run", "--json", "e.json")
    check(json.loads(Path("e.json").read_text())["loss"] == losses[best],
          f"not the best weights:\n{result}")
    check(f"step-{3 * (best + 1):08d}.ckpt" in checkpoints("run"), f"{checkpoints('run')}")


@test
def too_little_shared_memory():
    """Segments that cannot be had: messages instead, said so, and the same bits."""
    x, y = digits(100)
    write_h5("d.h5", train_x=x, train_y=y)
    config = write_config("a.toml", run=run_keys(), data={"file": "d.h5"},
                          model={"network": "mlp", "widths": [300]}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "sgd", "lr": 0.1},
                          training={"epochs": 2, "batch": 20})
    succeed("train", config, "--out", "segment", ranks=2).says("one shared segment")

    # A segment is a file: the ranks may write none as large as that of the gradients. Open MPI's own
    # segments between processes are larger too; the messages then go through sockets.
    command = command_of(["train", config, "--out", "messages"], 2)
    at = command.index(command_of([])[0])
    command[at:at] = ["sh", "-c", "ulimit -f 320; exec \"$@\"", "sh"]  # blocks of 512 bytes
    command[1:1] = ["--mca", "btl", "self,tcp"]
    result = Job(command).wait()
    check(result.code == 0, f"failed:\n{result}")
    result.says("no shared segment")
    same_run("segment", "messages")


@test
def help_everywhere():
    result = succeed("--version")
    check(len(result.out.splitlines()) <= 6, f"too long a version:\n{result}")
    for words in ([], ["train"], ["evaluate"], ["predict"], ["inspect"], ["export"], ["prepare"],
                  ["prepare", "csv"], ["prepare", "digits"], ["prepare", "idx"],
                  ["prepare", "fashion-mnist"], ["prepare", "npy"], ["prepare", "repack"],
                  ["prepare", "synthetic"], ["prepare", "synthetic", "moons"], ["check"],
                  ["check", "data"], ["bench"], ["bench", "step"], ["bench", "ops"]):
        result = succeed(*words, "--help")
        result.says("lockstep " + (" ".join(words[:1]) or "prepare"))
    succeed("train", "--help").says("[optimizer]", "[training.early_stopping]", "shards", "default")


@test
def benchmarks():
    x, y = digits(100)
    write_h5("d.h5", train_x=x, train_y=y)
    config = write_config("a.toml", run=run_keys(), data={"file": "d.h5"},
                          model={"network": "mlp", "widths": [32]}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "adam", "lr": 0.001},
                          training={"epochs": 1, "batch": 50})
    succeed("bench", "step", config, "--json", "b.json", ranks=2).says("samples/s")
    figures = json.loads(Path("b.json").read_text())
    check(figures["samples_per_second"] > 0, f"{figures}")
    for word in ("median", "min", "max"):
        check(figures["step_ms"][word] > 0, f"{figures}")


if __name__ == "__main__":
    main()
