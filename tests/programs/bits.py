#!/usr/bin/env python3
"""The same bits anywhere: checkpoints, weights and metrics are compared byte by byte over ranks,
threads, transports, instruction sets and resumes. Each value of each axis appears in the list of
PLACES, with different neighbours; the full product would only repeat them."""
import shutil
from pathlib import Path

import numpy as np

from lockstep_run import *  # noqa: F403 (the test vocabulary)

SHARDS = 8
BATCH = 50   # no multiple of the shards
ROWS = 180   # the last batch of an epoch holds 30

PLACES = [  # ranks, threads, transport ("nodes-2": every two ranks as if on a node of their own), isa
    (1, 2, "auto", "avx2"),
    (2, 1, "auto", "generic"),
    (2, 2, "messages", "avx512"),
    (2, 2, "nodes-1", "avx2"),
    (3, 1, "auto", "avx2"),
    (3, 1, "nodes-2", "avx512"),
    (3, 2, "messages", "generic"),
    (4, 1, "messages", "avx2"),
    (4, 2, "auto", "avx512"),
    (4, 2, "nodes-2", "generic"),
    (4, 1, "nodes-1", "avx2"),
    (8, 1, "auto", "generic"),
    (8, 1, "nodes-3", "avx2"),
    (8, 1, "messages", "avx512"),
]


def place_keys(threads, transport, isa):
    ranks_per_node = 0
    if transport.startswith("nodes-"):
        transport, ranks_per_node = "auto", int(transport[6:])
    return [f"run.threads={threads}", f"run.transport={transport}", f"run.isa={isa}",
            f"run.ranks_per_node={ranks_per_node}"]


HOW = {"auto": "one shared segment", "messages": "messages (as configured)",
       "nodes": "one shared segment a node, messages between their first ranks"}


def write_data():
    x, y = digits(ROWS + 70)
    write_h5("d.h5", train_x=x[:ROWS], train_y=y[:ROWS], test_x=x[ROWS:], test_y=y[ROWS:])


def write_mlp():
    write_data()
    return write_config("mlp.toml", run={"name": "mlp", "seed": 7, "shards": SHARDS},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "mlp", "widths": [40, 24], "dropout": 0.3},
                        loss={"kind": "cross_entropy", "label_smoothing": 0.1},
                        optimizer={"kind": "adam", "lr": 0.01, "weight_decay": 0.01},
                        schedule={"kind": "cosine", "warmup_steps": 3},
                        training={"epochs": 4, "batch": BATCH, "clip_norm": 0.5},
                        checkpoint={"every_steps": 3, "keep": 20}, log={"every_steps": 1})


def write_cnn():
    write_data()
    return write_config("cnn.toml", run={"name": "cnn", "seed": 3, "shards": SHARDS},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "cnn", "batch_norm": True, "dropout": 0.25},
                        loss={"kind": "cross_entropy"},
                        optimizer={"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
                        training={"epochs": 2, "batch": BATCH},
                        checkpoint={"every_steps": 3, "keep": 20}, log={"every_steps": 1})


def compare_places(config):
    isas = processor_isas()
    succeed("train", config, "--out", "reference", *place_keys(1, "auto", isas[0]), ranks=1)
    losses = [line["loss"] for line in metrics("reference", "batch")]
    check(losses[-1] < losses[0], f"nothing was learned: {losses}")
    for ranks, threads, transport, isa in PLACES:
        if isa not in isas:
            print(f"  skipped: this processor has no {isa}")
            continue
        out = f"{ranks}x{threads}-{transport}-{isa}"
        result = succeed("train", config, "--out", out, *place_keys(threads, transport, isa),
                         ranks=ranks)
        result.says(isa)
        if ranks > 1:
            result.says(HOW[transport.split("-")[0]])
        same_run("reference", out)


def compare_resumes(config, steps):
    """A run folder is copied as it stood after `step`, and goes on somewhere else."""
    isas = processor_isas()
    succeed("train", config, "--out", "reference", *place_keys(2, "auto", isas[0]), ranks=1)
    places = [(3, 1, "auto", isas[-1]), (2, 2, "messages", isas[0]), (1, 1, "auto", isas[-1]),
              (8, 1, "nodes-4", isas[0])]
    for step, (ranks, threads, transport, isa) in zip(steps, places):
        out = f"from-{step}"
        shutil.copytree("reference", out)
        Path(out, "weights.safetensors").unlink()
        for name in checkpoints(out):
            if int(name[5:13]) > step:
                Path(out, "checkpoints", name).unlink()
        result = succeed("train", "--resume", out, *place_keys(threads, transport, isa),
                         ranks=ranks)
        result.says(f"resumed {out}/checkpoints/step-{step:08d}.ckpt")
        same_run("reference", out)


@test
def mlp_with_dropout_anywhere():
    compare_places(write_mlp())


@test
def cnn_with_batch_norm_anywhere():
    compare_places(write_cnn())


@test
def mlp_resumed_in_mid_epoch():
    compare_resumes(write_mlp(), [3, 6, 9, 15])


@test
def cnn_resumed_in_mid_epoch():
    compare_resumes(write_cnn(), [3, 6])


@test
def evaluation_anywhere():
    config = write_mlp()
    succeed("train", config, "--out", "reference", ranks=1)
    texts = set()
    for ranks, threads, transport, isa in [(1, 1, "auto", "generic"), (3, 1, "messages", "generic"),
                                           (4, 2, "auto", processor_isas()[0])]:
        keys = place_keys(threads, transport, isa)
        succeed("evaluate", "reference", *keys, "--json", f"{ranks}.json", ranks=ranks)
        succeed("predict", "reference", *keys, "--logits", "-o", f"{ranks}.npy", ranks=ranks)
        texts.add((Path(f"{ranks}.json").read_text(), Path(f"{ranks}.npy").read_bytes()))
    check(len(texts) == 1, f"{len(texts)} different evaluations or predictions")


@test
def fewer_workers_where_memory_is_short():
    """What the memory holds decides how many shards run at a time, and nothing else."""
    x, y = digits()
    write_h5("d.h5", train_x=x, train_y=y)
    convolution = {"kind": "conv2d", "channels": 32, "padding": 1}
    layers = [convolution, {"kind": "relu"}, convolution, {"kind": "flatten"}, {"kind": "linear"}]
    config = write_config("wide.toml", run={"name": "wide", "shards": 16, "threads": 4},
                          data={"file": "d.h5"}, model={"layers": layers},
                          loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.001},
                          training={"steps": 3, "batch": 1600})
    succeed("train", config, "--out", "reference", ranks=1)
    for mib in (10, 6):
        short = succeed("train", config, f"run.memory_mib={mib}", "--out", f"short-{mib}", ranks=1)
        short.says("of 4 worker threads run", "the results are the same")
        same_run("reference", f"short-{mib}")
    refused = refuse("train", config, "run.memory_mib=3", "--out", "none", ranks=1,
                     words=["a shard of 100 rows needs", "run.shards = "])
    shards = int(refused.err.split("run.shards = ")[1].split(",")[0])
    succeed("train", config, "run.memory_mib=3", f"run.shards={shards}", "--out", "small", ranks=1)
    refuse("train", config, "run.memory_mib=3", f"run.shards={shards // 2}", ranks=1,
           words=[f"run.shards = {shards}"])
    refuse("train", config, "run.memory_mib=1", ranks=1, words=["Not even shards of one row"])


@test
def other_seed_other_bits():
    """The comparisons above can fail: a different seed gives different files."""
    config = write_mlp()
    for seed in (7, 8):
        succeed("train", config, f"run.seed={seed}", "--out", f"seed-{seed}")
    one, other = (read_safetensors(f"seed-{seed}/weights.safetensors") for seed in (7, 8))
    check(not np.array_equal(one["fc1.weight"], other["fc1.weight"]), "the seed changes nothing")


if __name__ == "__main__":
    main()
