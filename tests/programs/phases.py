#!/usr/bin/env python3
"""Training in phases: what is frozen keeps its bytes, what begins to train begins like new, and all of
it has the same bits on any ranks and after a resume before, at and behind a phase's end."""
import csv
import json
import shutil
from pathlib import Path

import numpy as np

from lockstep_run import *  # noqa: F403 (the test vocabulary)

DATA_KEYS = {"validation": "/test", "mean": [0.019], "std": [0.024]}
ROWS = 180  # of batches of 50: four steps an epoch, the last one short
STATISTICS = ("running_mean", "running_var")


def write_data():
    x, y = digits(ROWS + 70)
    write_h5("d.h5", train_x=x[:ROWS], train_y=y[:ROWS], test_x=x[ROWS:], test_y=y[ROWS:])


def write_phases(*phases, name="phases.toml", groups=(), training=(), optimizer=("adam", 0.01)):
    write_data()
    kind, lr = optimizer
    return write_config(
        name, run={"name": "phases", "seed": 5, "shards": 8},
        data={"file": "d.h5", **DATA_KEYS},
        model={"network": "cnn", "batch_norm": True},
        loss={"kind": "cross_entropy", "label_smoothing": 0.1},
        optimizer={"kind": kind, "lr": lr, "groups": list(groups)},
        training={"batch": 50, "phases": list(phases), **dict(training)},
        checkpoint={"every_steps": 1, "keep": 20}, log={"every_steps": 1})


HEAD = {"train": ["head"], "epochs": 1, "lr": 0.02}
TOP = {"train": ["fc1", "conv2.*", "bn2", "fc2.weight"], "steps": 3,
       "schedule": {"kind": "cosine", "final_lr": 0.001, "warmup_steps": 1}}
ALL = {"epochs": 1, "lr": 0.001, "batch_norm": "frozen"}


@test
def the_same_bits_anywhere():
    config = write_phases(HEAD, TOP, ALL, groups=[{"match": "conv?", "lr_scale": 0.1},
                                                  {"match": "*.bias", "weight_decay": 0.5}],
                          training={"clip_norm": 0.5}.items())
    said = succeed("train", config, "run.threads=1", "--out", "reference", ranks=1)
    said.says("phase 1 of 3: trains fc2 (1290 of 31146 parameters), 1 epoch, lr 0.02, constant",
              "phase 2 of 3: trains", "3 steps, lr 0.01, cosine",
              "phase 3 of 3: trains all (31146 of 31146 parameters)", "statistics frozen")
    steps = len(checkpoints("reference"))
    check(steps == 11, f"{steps} steps, not 4 + 3 + 4")
    places = [(2, 2, []), (3, 1, ["run.transport=messages"]), (4, 1, ["run.ranks_per_node=2"])]
    for ranks, threads, keys in places:
        out = f"{ranks}-ranks"
        succeed("train", config, f"run.threads={threads}", *keys, "--out", out, ranks=ranks)
        same_run("reference", out)
    # 4 and 7: exactly at a phase's end.
    for step, ranks in zip((2, 4, 5, 7, 10), (2, 3, 1, 4, 2)):
        out = f"from-{step}"
        shutil.copytree("reference", out)
        Path(out, "weights.safetensors").unlink()
        for name in checkpoints(out)[step:]:
            Path(out, "checkpoints", name).unlink()
        succeed("train", "--resume", out, "run.threads=1", ranks=ranks).says(f"after step {step}")
        same_run("reference", out)
    phases = [line["phase"] for line in metrics("reference", "train")]
    check(phases == [1, 2, 3, 3], f"phases of the epochs' ends: {phases}")


@test
def what_is_frozen_stays():
    """Each phase's end, weight by weight."""
    config = write_phases(HEAD, TOP, ALL)
    names = start_weights().keys()
    ends = []
    for count, steps in ((1, 4), (2, 7), (3, 11)):
        phases = [HEAD, TOP, ALL][:count]
        out = f"until-{steps}"
        succeed("train", write_phases(*phases, name=f"{count}.toml"), "--out", out)
        ends.append(read_safetensors(f"{out}/weights.safetensors"))
    trains = [{"fc2.weight", "fc2.bias"},
              {name for name in names if name.startswith(("fc1.", "conv2.", "bn2."))} |
              {"fc2.weight"},
              {name for name in names if not name.endswith(STATISTICS)}]
    for phase, (before, after) in enumerate(zip([start_weights(), *ends], ends)):
        for name in names:
            changed = not np.array_equal(before[name], after[name])
            check(changed == (name in trains[phase]),
                  f"phase {phase + 1}: {name} {'changed' if changed else 'did not change'}")


def start_weights():
    """The weights before the first step: those of a rate of 0."""
    zero = write_phases({"train": "fc2.bias", "steps": 1, "lr": 0.0}, name="zero.toml")
    if not Path("start").exists():
        succeed("train", zero, "--out", "start")
    return read_safetensors("start/weights.safetensors")


@test
def new_parameters_begin_like_new():
    """Adam's first step moves every element by the rate, in whichever step of the run it comes: with
    moments or a step count of before, it would not."""
    first, rate = {"train": "head", "steps": 5}, 0.001
    for count in (1, 2):
        phases = [first, {"steps": 1, "lr": rate}][:count]
        succeed("train", write_phases(*phases, name=f"{count}.toml"), "--out", f"run{count}")
    before, after = (read_safetensors(f"run{i}/weights.safetensors") for i in (1, 2))
    for name in ("conv1.weight", "fc1.weight", "bn1.weight"):
        moved = np.abs(after[name] - before[name])
        moved = moved[moved > 0.5 * rate]  # elements without a gradient do not move
        check(moved.size > before[name].size // 4, f"{name}: {moved.size} elements moved")
        check(np.all(moved < 1.001 * rate + 1e-6), f"{name} moved by up to {moved.max()}")
    moved = np.abs(after["fc2.weight"] - before["fc2.weight"])
    check(moved.max() < 0.99 * rate or moved.std() > 1e-5,
          "the head's moments did not go on into the second phase")


@test
def rates_by_name():
    write_data()
    still = write_phases({"steps": 3}, groups=[{"match": ["conv*", "bn?"], "lr_scale": 0}])
    succeed("train", still, "--out", "still")
    before, after = start_weights(), read_safetensors("still/weights.safetensors")
    for name in before:
        changed = not np.array_equal(before[name], after[name])
        moves = name.startswith("fc") or name.endswith(STATISTICS)
        check(changed == moves, f"{name} {'changed' if changed else 'did not change'}")
    # Plain gradient descent: one step with half the rate goes half as far.
    ends = []
    for scale in (1.0, 0.5):
        config = write_phases({"steps": 1}, name="one.toml", optimizer=("sgd", 0.25),
                              groups=[{"match": "fc1", "lr_scale": scale}])
        succeed("train", config, "--out", f"scale-{scale}")
        ends.append(read_safetensors(f"scale-{scale}/weights.safetensors"))
    whole, half = (end["fc1.weight"] - before["fc1.weight"] for end in ends)
    check(np.abs(whole).max() > 1e-4 and np.allclose(whole, 2 * half, atol=1e-6), "not half as far")
    check(np.array_equal(ends[0]["conv1.weight"], ends[1]["conv1.weight"]), "conv1 differs")


@test
def early_stopping_ends_a_phase():
    """A rate of 0 gains nothing: each phase ends after its patience, and the best is the first."""
    still = {"epochs": 5, "lr": 0.0}
    config = write_phases({**still, "train": "head"}, {**still, "batch_norm": "frozen"})
    said = succeed("train", config, "training.early_stopping.patience=2", "--out", "run", ranks=2)
    said.says("early stopping", "phase 2 of 2")
    check(len(checkpoints("run")) == 5 * 4, f"{len(checkpoints('run'))} steps, not (3 + 2) epochs")
    shutil.copytree("run", "again")
    for name in checkpoints("again")[12:]:  # the end of the first phase, which patience decided
        Path("again", "checkpoints", name).unlink()
    Path("again", "weights.safetensors").unlink()
    succeed("train", "--resume", "again", ranks=1).says("phase 2 of 2")
    same_run("run", "again")


@test
def averages_of_the_weights():
    """training.ema changes no step of the training itself; what leaves is the average, computed here
    from the weights after every step."""
    decay = 0.75
    phases = [{"train": ["fc1", "fc2"], "steps": 3}, {"train": "fc2", "steps": 1}, {"steps": 2}]
    for name, ema in (("plain", 0.0), ("averaged", decay)):
        config = write_phases(*phases, name=f"{name}.toml", training={"ema": ema}.items())
        succeed("train", config, "--out", name, ranks=2)
    average = start_weights()
    for step in range(1, 7):
        weights, exported = weights_of("plain", step), weights_of("averaged", step)
        if step == 4:  # fc1 is frozen: its average is what it is
            average = {name: weights[name] if name.startswith("fc1") else value
                       for name, value in average.items()}
        for name, value in average.items():
            frozen = step <= 4 and not name.startswith("fc2") and not (
                step <= 3 and name.startswith("fc1"))
            average[name] = (weights[name] if frozen
                             else decay * value + (1 - decay) * weights[name])
            check(np.allclose(average[name], exported[name], rtol=1e-5, atol=1e-6),
                  f"step {step}: the average of {name} is off")
    differ = any(not np.array_equal(weights[name], exported[name]) for name in weights)
    check(differ, "the averages are the weights")
    same_files("averaged", "after-6", "weights.safetensors")
    # Evaluation sees the averages, on any ranks, and a resume goes on with them.
    succeed("evaluate", "averaged", "--split", "/test", "--json", "e.json", ranks=3)
    loss = json.loads(Path("e.json").read_text())["loss"]
    last = metrics("averaged", "validation")[-1]["loss"]
    check(loss == last, f"evaluate says {loss}, the run's last evaluation {last}")
    check(metrics("plain", "validation")[-1]["loss"] != last, "evaluation saw the weights")
    for keys in ([], ["run.transport=messages"]):
        shutil.rmtree("again", ignore_errors=True)
        shutil.copytree("averaged", "again")
        for name in checkpoints("again")[2:]:
            Path("again", "checkpoints", name).unlink()
        succeed("train", "--resume", "again", *keys, ranks=3)
        same_run("averaged", "again")


def weights_of(run_folder, step):
    """What a run that ended after this step would export."""
    copy = Path(f"after-{step}")
    shutil.rmtree(copy, ignore_errors=True)
    (copy / "checkpoints").mkdir(parents=True)
    shutil.copy(Path(run_folder, "config.toml"), copy)
    shutil.copy(Path(run_folder, "checkpoints", f"step-{step:08d}.ckpt"), copy / "checkpoints")
    succeed("export", copy, copy / "weights.safetensors")
    return read_safetensors(copy / "weights.safetensors")


@test
def the_best_checkpoint_stays():
    """Without early stopping too, by the metric that the config names."""
    rising = write_phases({"epochs": 3, "lr": 0.01}, {"epochs": 3, "lr": 0.3})
    for metric in ("loss", "accuracy"):
        keys = [f"checkpoint.best={metric}", "checkpoint.keep=1", "checkpoint.every_steps=0",
                "checkpoint.every_epochs=0"]
        succeed("train", rising, *keys, "--out", metric)
        lines = metrics(metric, "validation")
        best = (min if metric == "loss" else max)(lines, key=lambda line: line[metric])
        check(best["step"] < lines[-1]["step"], "the last epoch is the best: nothing to see")
        expected = [f"step-{step:08d}.ckpt" for step in (best["step"], lines[-1]["step"])]
        check(checkpoints(metric) == expected, f"{checkpoints(metric)}, not {expected}")
        record = json.loads(Path(metric, "run.json").read_text())["best"]
        check(record == {"metric": metric, "value": best[metric], "step": best["step"]},
              f"{record} is not {best}")
        succeed("evaluate", metric, "--best", "--json", "best.json").says(expected[0])
        scores = json.loads(Path("best.json").read_text())
        check(scores[metric] == best[metric], f"{scores} is not of {best}")
        named = f"model.weights={metric}/checkpoints/{expected[0]}"
        for name, taken in (("best", "--best"), ("named", named)):
            succeed("predict", metric, taken, "--logits", "-o", f"{name}.npy")
            succeed("export", metric, f"{name}.safetensors", taken)
        for kind in ("npy", "safetensors"):
            files = [Path(f"{name}.{kind}").read_bytes() for name in ("best", "named")]
            check(files[0] == files[1], f"--best gives other {kind} than its checkpoint")
        Path(metric, "checkpoints", expected[0]).unlink()
        refuse("evaluate", metric, "--best", words=["--best", expected[0], "not there"])
    refuse("evaluate", metric, "--best", named, words=["--best", "model.weights"])
    refuse("evaluate", rising, named, "--best", words=["--best", "run folder"])
    succeed("train", rising, "data.validation=", "--out", "unseen")
    refuse("export", "unseen", "--best", "x.safetensors", words=["unseen", "data.validation"])
    refuse("train", rising, "checkpoint.best=speed", words=["checkpoint.best", "accuracy"])
    refuse("train", rising, "checkpoint.best=accuracy", "training.early_stopping.patience=2",
           words=["checkpoint.best", "early_stopping.metric"])


@test
def runs_are_compared():
    good, poor = {"epochs": 2, "lr": 0.01}, {"epochs": 1, "lr": 0.0}
    for name, phase in (("good", good), ("poor", poor)):
        succeed("train", write_phases(phase, name=f"{name}.toml"), "--out", name)
    said = succeed("compare", "poor", "good", "--json", "c.json", "--csv", "c.csv")
    error = 1 - metrics("good", "validation")[-1]["accuracy"]
    said.says("error rate", "time per epoch", "31146", f"{100 * error:.2f} %")
    marked = [line for line in said.out.splitlines() if line.endswith("* best")]
    check(len(marked) == 1 and marked[0].startswith("good"), f"marked: {marked}")
    table = json.loads(Path("c.json").read_text())
    check(table["best"] == "good" and abs(table["runs"][1]["value"] - error) < 1e-12, f"{table}")
    rows = Path("c.csv").read_text().splitlines()
    check(len(rows) == 3 and rows[0].startswith("run,model,") and rows[2].endswith(",1"), f"{rows}")

    x, y = digits(ROWS)
    write_h5("other.h5", train_x=x[::-1], train_y=y[::-1], test_x=x, test_y=y)
    succeed("train", "good.toml", "data.file=other.h5", "--out", "other")
    succeed("train", "good.toml", "--out", "broken")
    record = json.loads(Path("broken/run.json").read_text())
    record["parts"][-1].update(outcome="interrupted", last_step=3)
    Path("broken/run.json").write_text(json.dumps(record))
    said = succeed("compare", "poor", "other", "broken", "good")
    said.says("other: trained on other data than poor", "broken: not finished (interrupted, 3 steps)")
    refuse("compare", "poor", "nowhere", words=["nowhere", "no such run folder"])
    refuse("compare", ".", words=["not a run folder"])
    Path("broken/run.json").write_text("{}")
    refuse("compare", "poor", "broken", words=["broken/run.json", "not a run's record"])


def run_with(name, accuracies, best=None, metric="accuracy"):
    """A copy of the run `three` with other accuracies; the best checkpoint is that of epoch `best`."""
    shutil.copytree("three", name)
    lines = [json.loads(line) for line in Path(f"{name}/metrics.jsonl").read_text().splitlines()]
    validation = [line for line in lines if line["split"] == "validation"]
    for line, accuracy in zip(validation, accuracies, strict=True):
        line["accuracy"] = accuracy
    Path(f"{name}/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = json.loads(Path(f"{name}/run.json").read_text())
    del record["best"]
    if best is not None:
        line = validation[best - 1]
        record["best"] = {"metric": metric, "value": line[metric], "step": line["step"]}
    Path(f"{name}/run.json").write_text(json.dumps(record))


def marked(*runs):
    said = succeed("compare", *runs, "--json", "c.json", "--csv", "c.csv")
    rows = [line.split()[0] for line in said.out.splitlines() if line.endswith("* best")]
    table = json.loads(Path("c.json").read_text())
    check(table["best"] == (rows[0] if rows else None), f"{table} beside {said.out}")
    with open("c.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    check([row["run"] for row in cells if row["best"] == "1"] == rows, f"{cells} beside {rows}")
    return said, rows, table["runs"], cells


@test
def the_best_checkpoint_decides():
    config = write_phases({"epochs": 3, "lr": 0.01})
    succeed("train", config, "checkpoint.best=accuracy", "--out", "three")
    step = json.loads(Path("three/run.json").read_text())["best"]["step"]
    true = next(line for line in metrics("three", "validation") if line["step"] == step)
    said, rows, table, _ = marked("three")
    said.says("best checkpoint", f"{100 * (1 - true['accuracy']):.2f} % (epoch {true['epoch']})")
    check(rows == [] and table[0]["best"]["metrics"]["loss"] == true["loss"], f"{rows} {table}")

    run_with("rises", [0.5, 0.7, 0.9], best=3)
    run_with("falls", [0.5, 0.95, 0.8], best=2)
    said, rows, table, cells = marked("rises", "falls")
    said.says("20.00 %  ", "5.00 % (epoch 2)  * best", "10.00 % (epoch 3)")
    check(rows == ["falls"], f"marked: {rows}")
    check(abs(table[1]["value"] - 0.2) < 1e-12, f"of the last weights: {table[1]}")
    check(abs(table[1]["best"]["value"] - 0.05) < 1e-12 and table[1]["best"]["epoch"] == 2, f"{table}")
    check(cells[1]["best_epoch"] == "2" and float(cells[1]["best_metric_value"]) == 0.95, f"{cells}")

    # Chosen by the loss: its error is what that checkpoint has, though another epoch's is smaller.
    run_with("by_loss", [0.99, 0.6, 0.7], best=2, metric="loss")
    said, rows, _, cells = marked("by_loss", "rises")
    said.says("40.00 % (epoch 2, loss ")
    check(rows == ["rises"] and cells[0]["best_metric"] == "loss", f"{rows} {cells}")

    run_with("equal", [0.95, 0.5, 0.5], best=1)
    said, rows, *_ = marked("rises", "equal", "falls")
    said.says("falls: as good as equal")
    check(rows == ["equal"], f"of equal ones the first named: {rows}")

    # Without a best checkpoint the last weights count: never kept, or thrown away.
    run_with("without", [0.5, 0.99, 0.93])
    for best_file in Path("falls/checkpoints").glob(f"*{table[1]['best']['step']:08}.ckpt"):
        best_file.unlink()
    said, rows, table, cells = marked("falls", "rises", "without")
    said.says("without: kept no best checkpoint", "falls: kept no best checkpoint")
    check(rows == ["without"] and table[0]["best"] is None, f"{rows} {table}")
    check(cells[2]["best_epoch"] == "" and cells[2]["best_error_rate"] == "", f"{cells}")

    # Over other data nothing is comparable; of the two that are, the better one is marked.
    run_with("elsewhere", [0.9, 0.99, 0.99], best=2)
    record = json.loads(Path("elsewhere/run.json").read_text())
    record["data_checksum"] = "0" * len(record["data_checksum"])
    Path("elsewhere/run.json").write_text(json.dumps(record))
    said, rows, *_ = marked("rises", "elsewhere", "without")
    said.says("elsewhere: trained on other data than rises: not compared", "1.00 % (epoch 2)")
    check(rows == ["without"], f"marked: {rows}")
    check(marked("rises", "elsewhere")[1] == [], "one run alone is no best")


@test
def fine_tuning_on_other_classes():
    """As with pictures of pets: weights trained on ten classes, a new head for five, then all of it;
    two networks beside each other."""
    x, y = digits(ROWS + 70)
    write_h5("pets.h5", train_x=x[:ROWS], train_y=y[:ROWS] // 2, test_x=x[ROWS:],
             test_y=y[ROWS:] // 2)
    errors = {}
    for network, keys in (("cnn", {"batch_norm": True}), ("mlp", {"widths": [64]})):
        phases = [{"train": "head", "epochs": 1, "lr": 0.01}, {"epochs": 2, "lr": 0.002}]
        tune = write_config(f"{network}.toml", data={"file": "pets.h5", **DATA_KEYS},
                            run={"shards": 8, "threads": 1, "name": network},
                            model={"network": network, "weights": "pretrained.safetensors", **keys},
                            loss={"kind": "cross_entropy"}, optimizer={"kind": "adamw"},
                            training={"batch": 50, "ema": 0.5, "phases": phases})
        write_data()
        succeed("train", tune, "data.file=d.h5", "training.phases=[{epochs=3, lr=0.005}]",
                "model.weights=", "--out", f"{network}-pretrained")
        shutil.copy(f"{network}-pretrained/weights.safetensors", "pretrained.safetensors")
        for ranks in (1, 2, 4) if network == "cnn" else (1,):
            said = succeed("train", tune, "--out", f"{network}-{ranks}", ranks=ranks)
            same_run(f"{network}-1", f"{network}-{ranks}")
        said.says("initial weights: pretrained.safetensors", "phase 1 of 2", "phase 2 of 2")
        errors[f"{network}-1"] = 1 - metrics(f"{network}-1", "validation")[-1]["accuracy"]
    check(min(errors.values()) < 0.3, f"nothing was learned: {errors}")
    succeed("compare", *errors, "--json", "c.json")
    best = json.loads(Path("c.json").read_text())["best"]
    check(errors[best] == min(errors.values()), f"{best} is not the best of {errors}")


@test
def mistakes_are_named():
    refuse("train", write_phases({"train": "layr1.*", "epochs": 1}), ranks=2,
           words=["phases.toml", "training.phases[0].train", "no parameter", "'layr1.*'", "conv1"])
    refuse("train", write_phases({"train": "fc2.wight", "epochs": 1}),
           words=["did you mean 'fc2.weight'?"])
    refuse("train", write_phases(HEAD), "training.epochs=2", words=["exclude each other"])
    refuse("train", write_phases(HEAD, groups=[{"match": "cnv1", "lr_scale": 2}]), ranks=2,
           words=["optimizer.groups[0].match", "did you mean 'conv1'?"])
    succeed("train", write_phases(HEAD, ALL), "--out", "run")
    refuse("train", "--resume", "run", "training.phases[1].epochs=2",
           words=["training.phases[1].epochs", "--allow-change"])
    succeed("train", "--resume", "run", "training.phases[1].epochs=2", "--allow-change",
            "training.phases[1].epochs").says("resumed")


if __name__ == "__main__":
    main()
