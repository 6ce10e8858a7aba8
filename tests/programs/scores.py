#!/usr/bin/env python3
"""What evaluate prints and writes, against scikit-learn's definitions as loops in numpy over what
predict writes; the same figures on any number of ranks."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)


def ratio(part, whole):
    return part / whole if whole else 0.0


def area(scores, positive):
    """roc_auc_score: pairs in the right order, ties one half; None without both kinds."""
    above, below = scores[positive], scores[~positive]
    if len(above) == 0 or len(below) == 0:
        return None
    pairs = sum(int((below < score).sum()) * 2 + int((below == score).sum()) for score in above)
    return pairs / (2 * len(above) * len(below))


def expected(probabilities, predicted, labels, names):
    """precision_recall_fscore_support with zero_division=0, confusion_matrix, roc_auc_score."""
    two = probabilities.shape[1] == 1
    classes = 2 if two else probabilities.shape[1]
    confusion = np.zeros((classes, classes), int)
    for label, prediction in zip(labels, predicted):
        confusion[label, prediction] += 1
    table = []
    for c in range(classes):
        right, rows, said = confusion[c, c], confusion[c].sum(), confusion[:, c].sum()
        column = probabilities[:, 0] * (1 if c else -1) if two else probabilities[:, c]
        table.append({"class": names[c], "rows": rows, "predicted": said,
                      "precision": ratio(right, said), "recall": ratio(right, rows),
                      "f1": ratio(2 * right, rows + said), "roc_auc": area(column, labels == c)})
    there = [row for row in table if row["rows"] + row["predicted"]]
    areas = [row["roc_auc"] for row in table if row["roc_auc"] is not None]
    figures = {f"macro_{name}": np.mean([row[name] for row in there])
               for name in ("precision", "recall", "f1")}
    figures["roc_auc"] = table[1]["roc_auc"] if classes == 2 else np.mean(areas)
    return figures, table, confusion


def agrees(run, names, labels):
    """evaluate's JSON on 1 and 3 ranks, and the loops."""
    result = succeed("evaluate", run, "--json", "e.json")
    succeed("evaluate", run, "--json", "e3.json", ranks=3)
    check(Path("e.json").read_bytes() == Path("e3.json").read_bytes(), "3 ranks give other figures")
    succeed("predict", run, "-o", "p.npy")
    succeed("predict", run, "--logits", "-o", "l.npy")
    json_, logits = json.loads(Path("e.json").read_text()), np.load("l.npy")
    predicted = (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(1)
    figures, table, confusion = expected(np.load("p.npy"), predicted, labels, names)
    for name, value in figures.items():
        check(abs(json_[name] - value) < 1e-12, f"{name}: {json_[name]}, the loop says {value}")
    for ours, theirs in zip(json_["classes"], table):
        for key, value in theirs.items():
            same = ours[key] == value or abs(ours[key] - value) < 1e-12
            check(same, f"{key} of class {theirs['class']}: {ours[key]}, the loop says {value}")
    check(json_["confusion"] == confusion.ravel().tolist(), "confusion")
    off = confusion - np.diag(np.diag(confusion))
    if off.any():
        worst = json_["most_confused"][0]
        check(worst["rows"] == off.max(), f"{worst}, but {off.max()} rows are confused most")
        check(off[names.index(worst["class"]), names.index(worst["taken_for"])] == off.max(),
              f"another pair: {worst}")
        result.says(f"{worst['class']} taken for {worst['taken_for']}: {worst['rows']} of")
    return result.says("precision", "recall", "ROC AUC", "confusion")


def config(name, file, network, loss="cross_entropy", **training):
    return write_config(name, run={"name": "a", "shards": 4, "threads": 1}, data={"file": file},
                        model=network, loss={"kind": loss},
                        optimizer={"kind": "adam", "lr": 0.01}, training=training)


@test
def digits_of_ten_classes():
    succeed("prepare", "digits", "-o", "d.h5")
    succeed("train", config("a.toml", "d.h5", {"network": "mlp", "widths": [16]}, steps=25,
                            batch=64), "--out", "run")
    with h5py.File("d.h5") as file:
        labels = file["test/y"][:]
    agrees("run", [str(c) for c in range(10)], labels)
    # The picture of what the last linear layer gets: the same on any ranks.
    for ranks in 1, 3:
        succeed("evaluate", "run", "--embedding", f"{ranks}.png", ranks=ranks).says(
            f"{ranks}.png: the 16 outputs of layer '", "two principal axes")
    check(Path("1.png").read_bytes().startswith(b"\x89PNG"), "no PNG")
    refuse("evaluate", "run", "--boundary", "b.png", words=("rows of two numbers", "(8, 8, 1)"))
    check(Path("1.png").read_bytes() == Path("3.png").read_bytes(), "3 ranks give other pictures")


@test
def two_classes_and_ties():
    """One logit and two; columns of few values make many ties."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x = random.integers(0, 3, (300, 2)).astype(np.float32)
    y = (x.sum(1) + random.normal(0, 1, 300) > 2).astype(np.int64)
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:100], test_y=y[:100])
    for loss in ("binary_cross_entropy", "cross_entropy"):
        succeed("train", config(f"{loss}.toml", "d.h5", {"network": "logistic"}, loss, steps=40,
                                batch=60), "--out", loss)
        agrees(loss, ["0", "1"], y[:100])
        refuse("evaluate", loss, "--embedding", "e.png", words=("'fc'", "no hidden layer"))
        for ranks in 1, 3:
            succeed("evaluate", loss, "--boundary", f"{ranks}.png", ranks=ranks).says(
                f"{ranks}.png: 100 rows, before the class that each place is taken for")
        check(Path("1.png").read_bytes() == Path("3.png").read_bytes(), "3 ranks give another map")


@test
def classes_that_are_missing():
    """Of 30 classes 12 have rows: no area without rows, no mean over what does not occur."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x, y = random.normal(size=(200, 5)).astype(np.float32), random.integers(0, 30, 200)
    y[:30] = np.arange(30)
    keep = y[:120] % 5 < 2
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:120][keep], test_y=y[:120][keep])
    succeed("train", config("a.toml", "d.h5", {"network": "logistic"}, steps=5, batch=50), "--out",
            "run")
    agrees("run", [str(c) for c in range(30)], y[:120][keep]).says(
        "10 classes of the lowest F1, of 30", "confusion matrix of 30 x 30 classes")


@test
def values():
    """r2_score, the mean over the columns; a constant column counts 0."""
    random = np.random.default_rng(seeded_random().randrange(1 << 32))
    x = random.normal(size=(200, 3)).astype(np.float32)
    y = np.stack([x @ [1, 2, 3] + 5, x[:, 0] - random.normal(size=200), np.full(200, 7)], 1)
    y = y.astype(np.float32)
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:90], test_y=y[:90])
    succeed("train", config("a.toml", "d.h5", {"network": "linear"}, "mse", steps=30, batch=50),
            "--out", "run")
    succeed("evaluate", "run", "--json", "e.json").says("R2", "rmse", "mae")
    succeed("evaluate", "run", "--json", "e3.json", ranks=3)
    check(Path("e.json").read_bytes() == Path("e3.json").read_bytes(), "3 ranks give other figures")
    succeed("predict", "run", "-o", "p.npy")
    truth, prediction = y[:90].astype(float), np.load("p.npy").astype(float)
    errors = ((truth - prediction) ** 2).sum(0)
    columns = 1 - errors[:2] / ((truth - truth.mean(0)) ** 2).sum(0)[:2]
    figures = json.loads(Path("e.json").read_text())
    refuse("evaluate", "run", "--embedding", "e.png", words=("the targets are values",))
    refuse("evaluate", "run", "--boundary", "e.png", words=("the targets are values",))
    check(abs(figures["r2"] - columns.sum() / 3) < 1e-9, f"{figures}, the loop {columns}")
    check(abs(figures["rmse"] - np.sqrt(errors.sum() / 270)) < 1e-6, f"{figures}")
    check(abs(figures["mae"] - np.abs(truth - prediction).mean()) < 1e-6, f"{figures}")


if __name__ == "__main__":
    main()
