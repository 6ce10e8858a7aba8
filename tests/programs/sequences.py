#!/usr/bin/env python3
"""Sequences of token ids through the executable: the example configs learn their task, the bits are
the same anywhere, and data that do not fit are refused with their place."""
import numpy as np

from lockstep_run import *  # noqa: F403 (the test vocabulary)

CONFIGS = ROOT / "launch" / "configs"
PLACES = [(2, 1, "auto", "generic"), (4, 1, "messages", "avx2")]


def marks(random, rows):
    """12 ids, 1 and 2 once each among 3 to 9; class 1 where 2 comes first."""
    x = random.integers(3, 10, (rows, 12))
    places = np.array([random.choice(12, 2, replace=False) for _ in range(rows)])
    x[np.arange(rows), places[:, 0]] = 1
    x[np.arange(rows), places[:, 1]] = 2
    return x, (places[:, 1] < places[:, 0]).astype(np.int64)


def write_marks(rows=1200, test_rows=200):
    random = np.random.default_rng(5)
    x, y = marks(random, rows + test_rows)
    write_h5("marks.h5", train_x=x[:rows], train_y=y[:rows], test_x=x[rows:], test_y=y[rows:])


def train(name, *keys, ranks=1, out="run"):
    return succeed("train", CONFIGS / f"sequence-{name}.toml", "data.file=marks.h5", *keys, "--out",
                   out, ranks=ranks)


@test
def examples_learn_their_task():
    write_marks()
    for name in ("lstm", "attention"):
        train(name, out=name)
        accuracy = metrics(name, "validation")[-1]["accuracy"]
        check(accuracy > 0.95, f"{name}: {accuracy} of the test part is right")


def same_bits(name):
    write_marks(180, 40)
    short = ["training.epochs=2", "training.batch=50", "run.shards=4", "checkpoint.every_steps=3"]
    isas = processor_isas()
    train(name, *short, f"run.isa={isas[0]}", out="reference")
    losses = [line["loss"] for line in metrics("reference", "batch")]
    check(len(set(losses)) == len(losses), f"nothing changes: {losses}")
    for ranks, threads, transport, isa in PLACES:
        if isa not in isas:
            print(f"  skipped: this processor has no {isa}")
            continue
        out = f"{ranks}x{threads}-{isa}"
        train(name, *short, f"run.threads={threads}", f"run.transport={transport}",
              f"run.isa={isa}", ranks=ranks, out=out)
        same_run("reference", out)


@test
def lstm_has_the_same_bits_anywhere():
    same_bits("lstm")


@test
def attention_has_the_same_bits_anywhere():
    same_bits("attention")


@test
def ids_outside_the_table_are_named():
    x, y = marks(np.random.default_rng(5), 80)
    x[61, 7] = 10
    write_h5("marks.h5", train_x=x, train_y=y, test_x=x[:20], test_y=y[:20])
    refuse("train", CONFIGS / "sequence-lstm.toml", "data.file=marks.h5",
           words=["sample 61", "id 10", "position 7", "0 to 9"])


@test
def numbers_are_no_ids():
    x, y = marks(np.random.default_rng(5), 80)
    write_h5("marks.h5", train_x=x.astype(np.float32), train_y=y, test_x=x[:20], test_y=y[:20])
    refuse("train", CONFIGS / "sequence-lstm.toml", "data.file=marks.h5",
           words=["takes ids", "float32"])


@test
def integers_are_numbers_where_no_embedding_reads_them():
    write_marks(180, 40)
    config = write_config("mlp.toml", data={"file": "marks.h5"},
                          model={"network": "mlp", "widths": [8]}, training={"steps": 3, "batch": 60})
    succeed("train", config, "--out", "run")


if __name__ == "__main__":
    main()
