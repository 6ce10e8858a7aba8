#!/usr/bin/env python3
"""Bad input: one clear message, exit code non-zero, nothing lost. The words asked for are those that
somebody needs to find the mistake: the file, the dataset, the row, the key, what to do."""
import gzip

from lockstep_run import *  # noqa: F403 (the test vocabulary)


def data(rows=64, name="d.h5", **changes):
    """A small classification file; changes replace datasets, None leaves one out."""
    generator = np.random.default_rng(5)
    datasets = {"train_x": generator.normal(size=(rows, 6)).astype(np.float32),
                "train_y": np.arange(rows) % 3}
    datasets.update(changes)
    write_h5(name, **{key: values for key, values in datasets.items() if values is not None})
    return datasets


def config(name="a.toml", file="d.h5", text="", **changes):
    tables = {"run": {"name": "a"}, "data": {"file": file},
              "model": {"network": "mlp", "widths": [8]}, "loss": {"kind": "cross_entropy"},
              "optimizer": {"kind": "sgd", "lr": 0.1}, "training": {"epochs": 2, "batch": 16}}
    for table, keys in changes.items():
        tables[table] = {**tables.get(table, {}), **keys}
    return write_config(name, text, **tables)


def refuse_training(*words, ranks=0, keys=()):
    """One message, and no run folder is made."""
    result = refuse("train", "a.toml", *keys, "--out", "run", ranks=ranks, words=words)
    check(not Path("run").exists(), f"a refused run left a folder:\n{result}")
    return result


@test
def files_that_are_none():
    config()
    refuse_training("d.h5", "no such file")
    Path("d.h5").write_text("rubbish\n" * 100)
    refuse_training("d.h5", "HDF5")
    data()
    whole = Path("d.h5").read_bytes()
    Path("d.h5").write_bytes(whole[:len(whole) * 2 // 3])
    refuse_training("d.h5", "truncated")
    check(len(Path("d.h5").read_bytes()) == len(whole) * 2 // 3, "the data file was touched")
    Path("d.h5").unlink()
    Path("d.h5").mkdir()
    refuse_training("d.h5")
    data(name="e.h5")
    refuse_training("nowhere.toml", keys=("data.file=nowhere.toml",), ranks=2)


@test
def datasets_of_a_wrong_form():
    config()
    generator = np.random.default_rng(1)
    data(train_x=None, train_images=np.zeros((64, 6), np.float32))
    refuse_training("d.h5", "'/train/x'", "/train/images", "/train/y")
    data(train_y=np.zeros(63, np.int64))
    refuse_training("'/train/y'", "63", "64")
    data(train_x=np.array([b"text"] * 64))
    refuse_training("'/train/x'", "text")
    data(train_x=generator.normal(size=(64, 2, 2, 2, 2, 2, 2)))
    refuse_training("'/train/x'", "axes")
    data(train_y=np.zeros((64, 2, 2), np.int64))
    refuse_training("'/train/y'", "(64, 2, 2)")
    data(train_x=np.zeros((0, 6), np.float32), train_y=np.zeros(0, np.int64))
    refuse_training("'/train/x'", "no rows")
    data(train_weight=-np.ones(64, np.float32))
    refuse_training("'/train/weight'", "row 0", "negative")
    data()
    refuse_training("'/validation/x'", "/train/x", keys=("data.validation=/validation",))
    data(train_y=None)
    refuse_training("d.h5", "'/train/y'", "data.y")


@test
def values_that_cannot_be():
    config()
    labels = np.arange(64) % 3
    labels[41] = -2
    data(train_y=labels)
    refuse_training("'/train/y'", "row 41", "-2")
    one_hot = np.eye(3, dtype=np.int64)[np.arange(2000) % 3]
    one_hot[1717] = 1  # behind the rows by which one-hot labels are recognised
    data(rows=2000, train_y=one_hot)
    refuse_training("'/train/y'", "row 1717", "single 1")
    x = np.random.default_rng(2).normal(size=(64, 6)).astype(np.float32)
    x[23, 4] = np.nan
    data(train_x=x)
    refuse_training("'/train/x'", "row 23", "column 4", "NaN")
    refuse_training("'/train/x'", "row 23", "column 4", "NaN", keys=("data.in_memory=false",),
                    ranks=2)
    x[23, 4] = np.inf
    data(train_x=x)
    refuse_training("row 23", "column 4", "infinity", ranks=2)
    images = np.zeros((64, 4, 4, 1), np.float32)
    images[9, 2, 3, 0] = np.nan
    data(train_x=images)
    refuse_training("row 9", "(2, 3, 0)", "NaN")


@test
def targets_that_the_loss_cannot_take():
    config(loss={"kind": "binary_cross_entropy"})
    heights = np.full((64, 1), 0.5)
    heights[37] = 65.2
    data(train_y=heights)
    refuse_training("d.h5", "'/train/y'", "row 37", "65.2", "0 to 1", '"mse"')
    refuse_training("'/train/y'", "row 37", keys=("data.in_memory=false",), ranks=2)
    config(loss={"kind": "cross_entropy"})
    soft = np.full((64, 3), 1 / 3)
    soft[50, 2] = 1
    data(train_y=soft)
    refuse_training("d.h5", "'/train/y'", "row 50", "add up to 1.66667", '"binary_cross_entropy"')
    config(loss={"kind": "hinge"})
    refuse_training("hinge", "class labels", "values")
    config(loss={"kind": "cross_entropy"}, data={"validation": "/validation"})
    data(train_y=np.full((64, 3), 1 / 3), validation_x=np.zeros((8, 6), np.float32),
         validation_y=np.full((8, 3), 1.0))
    refuse_training("'/validation/y'", "row 0", "add up to 3")


@test
def label_beyond_the_classes():
    table = "a,b,target\n" + "".join(f"{i},{i * i % 7},{'xyz'[i % 3]}\n" for i in range(60))
    Path("t.csv").write_text(table)
    succeed("prepare", "csv", "t.csv", "--target", "target", "-o", "d.h5")
    with h5py.File("d.h5", "r+") as file:
        file["/train/y"][12] = 3
    config()
    refuse_training("'/train/y'", "row 12", "label 3", "3 classes")


@test
def outputs_fewer_than_classes():
    """A rare class would else end the run at whatever step meets it."""
    labels = np.arange(64) % 2
    labels[61] = 2
    data(train_y=labels, validation_x=np.zeros((8, 6), np.float32), validation_y=np.arange(8) % 2)
    layers = [{"kind": "linear", "features": 4}, {"kind": "relu"}, {"kind": "linear", "features": 2}]
    for loss in ("cross_entropy", "hinge"):
        write_config("a.toml", run={"name": "a"}, data={"file": "d.h5"}, model={"layers": layers},
                     loss={"kind": loss}, training={"epochs": 1, "batch": 16})
        refuse_training("model.layers[2].features", "2 outputs", "3 classes", "d.h5", "a.toml:",
                        ranks=2)
        refuse("inspect", "a.toml", words=("model.layers[2].features", "2 outputs", "3 classes"))
    config(loss={"kind": "cross_entropy"})
    refuse_training("model.outputs=2", "2 outputs", "3 classes", keys=("model.outputs=2",))
    config(loss={"kind": "binary_cross_entropy"})
    refuse_training("2 classes", "3", "cross_entropy", keys=("model.outputs=1",))
    config()
    note = "the network has 5, the data have 3 classes"
    succeed("inspect", "a.toml", "model.outputs=5").says(note)
    succeed("train", "a.toml", "model.outputs=5", "--out", "run").says(note)
    succeed("evaluate", "run", "--split", "/validation")
    labels[:] = np.arange(64) % 6
    data(train_y=labels)
    refuse("evaluate", "run", "--split", "/train", words=("5 outputs", "6 classes", "d.h5 /train"))
    check("outputs: the network" not in str(succeed("train", "a.toml", "--out", "other")),
          "a network that fits is spoken of")


@test
def csv_files():
    def refused(text, *words, options=()):
        Path("t.csv").write_text(text)
        refuse("prepare", "csv", "t.csv", "--target", "y", *options, "-o", "d.h5",
               words=("t.csv", *words))
        check(not list(Path(".").glob("d.h5*")), "a refused table left a file")

    good = "a,b,y\n1,2,p\n3,4,q\n5,6,p\n7,8,q\n"
    refused(good + "9,10\n", "line 6", "2 cells", "3")
    refused(good + "9,ten,p\n", "line 6", "'b'", "ten")
    refused(good + "9,,p\n", "line 6", "'b'", "--missing")
    refused(good.replace("y", "z"), "'y'", "a, b, z")
    refused("a,b,y\n", "no rows")
    refused("a,a,y\n1,2,p\n", "two columns", "'a'")
    refused(good + '"9,10,p\n', "line 6", "quote")
    refused(good, "'y'", "line 2", "p", options=("--task", "regression"))
    refuse("prepare", "csv", "absent.csv", "--target", "y", "-o", "d.h5",
           words=("absent.csv", "no such file"))


@test
def idx_files():
    def idx(axes, values, magic=0x0800):
        return struct.pack(f">{1 + axes}I", magic + axes, *values.shape) + values.tobytes()

    images = idx(3, np.zeros((4, 5, 5), np.uint8))
    labels = idx(1, np.arange(4, dtype=np.uint8))

    def refused(images, labels, *words):
        Path("images").write_bytes(images)
        Path("labels").write_bytes(labels)
        refuse("prepare", "idx", "images", "labels", "-o", "d.h5", words=words)
        check(not list(Path(".").glob("d.h5*")), "a refused file left another")

    refused(labels, images, "images", "magic")
    refused(images[:-1], labels, "images", "99", "100")
    refused(images + b"x", labels, "images", "100")
    refused(images, idx(1, np.arange(3, dtype=np.uint8)), "labels", "3", "4")
    refused(gzip.compress(images)[:-9], labels, "images", "gzip")
    refused(struct.pack(">4I", 0x803, 1 << 31, 1 << 31, 1 << 31), labels, "images", "header")
    Path("images").write_bytes(images)
    Path("labels").write_bytes(labels)
    succeed("prepare", "idx", "images", "labels", "-o", "d.h5")
    before = Path("d.h5").read_bytes()
    refuse("prepare", "idx", "images", "labels", "-o", "d.h5", words=("d.h5", "--force"))
    check(Path("d.h5").read_bytes() == before, "an existing file was touched")


@test
def configs():
    data()

    def refused(*words, **changes):
        config(**changes)
        refuse_training("a.toml:", *words)

    config(text="[run\n")
    refuse_training("a.toml:1")
    refused("'optimizer.lrr'", "'optimizer.lr'", optimizer={"lrr": 1})
    refused("'optimiser'", "optimizer", text="[optimiser]\nlr = 0.1\n")
    refused("'model.width'", "'model.widths'", model={"width": [4]})
    refused("'training.batch'", "integer", '"many"', training={"batch": "many"})
    refused("'training.batch'", "at least 1", "-4", training={"batch": -4})
    refused("'training.batch'", "at least 1", "0", training={"batch": 0})
    refused("'optimizer.lr'", "finite", "nan", optimizer={"lr": float("nan")})
    refused("'optimizer.lr'", "at least 0", optimizer={"lr": -0.1})
    refused("'optimizer.momentum'", "below 1", optimizer={"momentum": 1.5})
    refused("'optimizer.beta1'", '"sgd"', optimizer={"beta1": 0.8})
    refused("'run.shards'", "power of two", "6", run={"shards": 6})
    refused("'run.device'", '"cpu"', "tpu", run={"device": "tpu"})
    refused("'run.isa'", '"avx2"', run={"isa": "sse"})
    refused("'optimizer.kind'", '"adam"', optimizer={"kind": "adm"})
    refused("'loss.kind'", '"mse"', loss={"kind": "l2"})
    refused("exclude each other", training={"epochs": 2, "steps": 5})
    refused("'training.early_stopping", training={"early_stopping.patience": 0})
    refused("model.dropout", "1.5", model={"dropout": 1.5})
    refused("model.activation", "relu", model={"activation": "swish"})
    config(model={"network": "mlpp"})
    refuse_training("'mlpp'", "'mlp'", "cnn")
    config(run={"device": "cuda"})
    refuse_training("run.device", "cuda")
    config()
    refuse_training("optimizer.lr=fast", keys=("optimizer.lr=fast",))
    refuse_training("training.bach=3", "'training.batch'", keys=("training.bach=3",))
    refuse_training("'training'", "key=value", keys=("training",))
    refuse("train", "absent.toml", words=("absent.toml", "no such file"))
    config(loss={"kind": "mse"})
    refuse_training("mse")
    config(model={"network": "cnn"})
    refuse_training("cnn", "image")
    config(training={"batch": 100, "drop_last": True})
    refuse_training("drop_last", "64", "100")


@test
def run_folders():
    data()
    config()
    Path("file").write_text("precious")
    refuse("train", "a.toml", "--out", "file/run", words=("file/run", "--out"))
    refuse("train", "a.toml", "--out", "file", words=("file",))
    check(Path("file").read_text() == "precious", "a file was touched")
    refuse("train", "a.toml", "--out", "/proc/run", ranks=2, words=("/proc/run", "--out"))
    succeed("train", "a.toml", "--out", "run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    refuse("train", "a.toml", "--out", "run", words=("run", "--resume"))
    check(before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()},
          "an existing run was touched")
    refuse("train", "--resume", "nowhere", words=("nowhere",))
    refuse("evaluate", "nowhere", words=("nowhere",))
    refuse("predict", "run", "--split", "/train", "-o", "out.txt", words=("out.txt", ".csv"))
    refuse("predict", "run", "--split", "/train", "-o", "file/out.csv", words=("file/out.csv",))
    refuse("inspect", "nowhere.h5", words=("nowhere.h5", "no such file"))
    refuse("export", "run", "file/weights.safetensors", words=("file/weights.safetensors",))


def damage(path, at=0.6):
    raw = bytearray(Path(path).read_bytes())
    raw[int(len(raw) * at)] ^= 4
    Path(path).write_bytes(raw)


@test
def damaged_checkpoints():
    data()
    config(checkpoint={"every_steps": 2, "keep": 9})
    succeed("train", "a.toml", "--out", "run")
    undisturbed = Path("run/weights.safetensors").read_bytes()
    names = checkpoints("run")
    check(len(names) == 4, f"4 checkpoints are expected: {names}")
    damage(f"run/checkpoints/{names[3]}")
    cut = Path(f"run/checkpoints/{names[2]}")
    cut.write_bytes(cut.read_bytes()[:-20])
    refuse("inspect", f"run/checkpoints/{names[3]}", words=(names[3], "checksum"))
    result = run("train", "--resume", "run", ranks=2)
    check(result.code == 0, f"no older checkpoint was taken:\n{result}")
    result.says("damaged", names[3], names[2], f"resumed run/checkpoints/{names[1]} after step 4")
    check(Path("run/weights.safetensors").read_bytes() == undisturbed, "other weights than before")
    for name in checkpoints("run"):
        damage(f"run/checkpoints/{name}", at=0.3)
    refuse("train", "--resume", "run", ranks=2, words=("no checkpoint to resume from", *names))
    damage("run/weights.safetensors", at=0.01)
    refuse("evaluate", "run", "--split", "/train", words=("weights.safetensors",))


@test
def resumed_as_another_run():
    data()
    config(training={"epochs": 1})
    succeed("train", "a.toml", "--out", "run")

    def refused(*words, keys=(), **changes):
        config("b.toml", **{"training": {"epochs": 1}, **changes})
        before = Path("run/metrics.jsonl").read_bytes(), Path("run/config.toml").read_bytes()
        refuse("train", "b.toml", "--resume", "run", *keys, words=words)
        check(before == (Path("run/metrics.jsonl").read_bytes(),
                         Path("run/config.toml").read_bytes()), "the run was touched")

    refused("model.widths", "[8]", "[9]", model={"widths": [9]})
    refused("optimizer.lr", "0.1", "0.2", "--allow-change optimizer.lr", optimizer={"lr": 0.2})
    refused("run.seed", "--allow-change", run={"seed": 3})
    refused("run.shards", keys=("run.shards=4",))
    refused("optimizer.kind", "sgd", "adam", optimizer={"kind": "adam"})
    data(train_y=(np.arange(64) + 1) % 3)
    refused("data", "--allow-change data")
    data()
    config("b.toml", training={"epochs": 2}, optimizer={"lr": 0.2})
    refuse("train", "b.toml", "--resume", "run", "--allow-change", "optimizer.lr",
           words=("training.epochs", "1", "2"))
    succeed("train", "b.toml", "--resume", "run", "--allow-change", "optimizer.lr",
            "--allow-change", "training.epochs").says("after step 4")
    check(metrics("run")[-1]["step"] == 8, "the resumed run did not go on to step 8")


@test
def too_many_ranks():
    data()
    config()
    refuse_training("run.shards", "2", "3", keys=("run.shards=2",), ranks=3)


@test
def ranks_that_disagree():
    data()
    config()

    def refused(change, *words):
        command = command_of(["train", "a.toml", "run.transport=messages", "--out", "run"], 1)
        command += [":", "-np", "1",
                    *command_of(["train", *change, "--out", "run"])]
        result = Job(command).wait()
        check(result.code != 0, f"ranks that disagree were not refused:\n{result}")
        check(len(result.errors) == 1, f"{len(result.errors)} messages:\n{result}")
        result.says(*words)
        check(not Path("run").exists(), f"a refused run left a folder:\n{result}")

    messages = "run.transport=messages"
    refused(["a.toml", messages, "optimizer.lr=0.2"], "rank 1", "lr = 0.1", "lr = 0.2")
    refused(["a.toml", messages, "run.shards=4"], "rank 1", "shards")
    refused(["a.toml", messages, "model.widths=[9]"], "rank 1")
    refused(["a.toml"], "run.transport", "rank 1")
    data(name="e.h5", train_y=(np.arange(64) + 1) % 3)
    refused(["a.toml", messages, "data.file=e.h5"], "rank 1", "the data's contents")
    refused(["absent.toml"], "absent.toml", "no such file")


@test
def losses_that_are_not_finite():
    data()
    config(optimizer={"lr": 100.0}, checkpoint={"every_steps": 3, "keep": 3},
           training={"epochs": 50})
    result = refuse("train", "a.toml", "--out", "run", ranks=2, words=("step ", "not finite"))
    step = int(result.errors[0].split("step ")[1].split(":")[0])
    names = checkpoints("run")
    # One that was still being gathered when the other rank failed may be missing.
    saved = [f"step-{done:08d}.ckpt" for done in range(3, step, 3)]
    check(names and names[-1] in saved[-2:], f"{names} after step {step}")
    succeed("inspect", f"run/checkpoints/{names[-1]}").says("checkpoint after step")
    data(train_x=np.full((64, 40), 3e38, np.float32))
    config(data={"normalize": False}, model={"widths": [256, 8]})
    for ranks in (1, 2):
        refuse("train", "a.toml", "--out", f"inf-{ranks}", ranks=ranks,
               words=("step 1:", "layer 'fc1'", "sample"))


@test
def command_lines():
    for arguments in ([], ["trian"], ["train"], ["prepare"], ["prepare", "csv"], ["predict", "run"],
                      ["prepare", "digits", "-o", "d.h5", "--test", "lots"]):
        result = run(*arguments)
        check(result.code not in (0, 75) and result.code > 0, f"was accepted:\n{result}")
        check(result.err.strip(), f"says nothing:\n{result}")
        check(len(result.text.splitlines()) < 40, f"too long to find the mistake in:\n{result}")


if __name__ == "__main__":
    main()
