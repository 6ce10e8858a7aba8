#!/usr/bin/env python3
"""run.replicas on emulated GPUs: shards that run at a time, each on a stream of its own, give the
bits of shards that run one after another, on any ranks, over the host and over NCCL's twin, whether
streams run at once or in a random order that respects nothing but recorded waits. With
LOCKSTEP_ALL_REPLICAS all networks run in both types."""
import os
import re
import tempfile
from pathlib import Path

import lockstep_run
from emulated_gpu import BUILD, EMULATED, EMULATED_NCCL, environment, program_with
from lockstep_run import *  # noqa: F403 (the test vocabulary)

MLP = {"network": "mlp", "widths": [70], "dropout": 0.2}
CONV = {"kind": "conv2d", "kernel": 3, "padding": 1, "channels": 8}
CNN = {"layers": [dict(CONV, name="c0"), {"kind": "relu"}, {"kind": "max_pool"}, {"kind": "flatten"},
                  {"kind": "linear", "name": "fc"}]}
RESIDUAL = {"layers": [
    dict(CONV, name="c0", bias=False), {"kind": "batch_norm", "name": "n0"}, {"kind": "relu"},
    {"kind": "residual", "layers": [
        dict(CONV, name="c1", bias=False), {"kind": "batch_norm", "name": "n1"}, {"kind": "relu"},
        dict(CONV, name="c2"), {"kind": "batch_norm", "name": "n2"}]},
    {"kind": "relu"}, {"kind": "global_avg_pool"}, {"kind": "linear", "name": "fc"}]}
EVERY = bool(os.environ.get("LOCKSTEP_ALL_REPLICAS"))


def config_of(model, **run):
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    x, y = digits(34)
    write_h5("d.h5", train_x=x[:24], train_y=y[:24], test_x=x[24:], test_y=y[24:])
    return write_config(
        "a.toml", run={"shards": 8, "seed": 5, "device": "cuda", **run},
        data={"file": "d.h5", "validation": "/test"}, model=model, loss={"kind": "cross_entropy"},
        optimizer={"kind": "adam", "lr": 0.01},
        # Without clipping, a rank that is alone adds its leaves up where it updates.
        training={"epochs": 2, "batch": 12, "ema": 0.9, "clip_norm": 0.5 if model == MLP else 0},
        checkpoint={"every_steps": 2, "keep": 9})


def same_bits(model, precision, cases):
    """cases: (replicas, ranks, seed of the streams' order or 0, whether NCCL may be used)."""
    config = config_of(model, precision=precision)
    program_with(EMULATED, EMULATED_NCCL)
    env = environment(EMULATED_GPUS="A,B,C")
    succeed("train", config, "--out", "one", env=env)
    for replicas, ranks, seed, nccl in cases:
        order = {"EMULATION_STREAMS": "interleaved", "EMULATION_SEED": str(seed)} if seed else {}
        way = [] if nccl else ["run.transport=messages"]
        run = f"{replicas}-{ranks}-{seed}-{nccl}"
        at_a_time = min(replicas, -(-8 // ranks))  # a rank may have no more
        result = succeed("train", config, f"run.replicas={replicas}", *way, "--out", run, ranks=ranks,
                         env=dict(env, **order)).says(f"{at_a_time} shards at a time")
        if ranks > 1:
            result.says("NCCL 2." if nccl else "exchange over the host")
        same_run("one", run)


CASES = [(2, 1, 1, False), (4, 1, 2, False), (2, 2, 3, False), (4, 2, 4, True), (2, 3, 5, True)]


@test
def perceptron_in_float32():
    same_bits(MLP, "float32", CASES)


@test
def residual_network_in_bfloat16():
    same_bits(RESIDUAL, "bfloat16", CASES[1:4])


@test
def all_networks_in_both_types():
    if not EVERY:
        print("needs LOCKSTEP_ALL_REPLICAS: left out")
        return
    random = seeded_random()
    cases = [(replicas, ranks, random.randrange(1, 1 << 30), nccl) for replicas in (2, 3, 4)
             for ranks, nccl in ((1, False), (2, False), (2, True), (3, False), (3, True))]
    for model in (MLP, CNN, RESIDUAL):
        for precision in ("float32", "bfloat16"):
            folder = Path(tempfile.mkdtemp(dir="."))
            os.chdir(folder)
            same_bits(model, precision, cases)
            os.chdir("..")


@test
def replicas_that_cannot_be():
    """More than a rank has shards: all of them run. On a CPU there are threads instead."""
    config = config_of(MLP)
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B")
    succeed("train", config, "run.replicas=99", "--out", "many", ranks=2, env=env).says(
        "run.replicas = 99: a rank has 4 of the 8 shards, so 4 run at a time",
        "1 thread a rank, 4 shards at a time")
    succeed("train", config, "run.replicas=2", "run.device=cpu", "--out", "cpu",
            env=env).says(
        "run.replicas = 2 is for GPUs: on the CPU, run.threads")
    refuse("train", config, "run.replicas=0", "--out", "x", env=env, words=["run.replicas", "1"])
    refuse("train", config, "run.replicas=-2", "--out", "x", env=env, words=["run.replicas", "-2"])


@test
def faults_with_replicas():
    """What goes wrong on any of the streams is told as with one, and no memory is asked for in a
    step."""
    config = config_of(MLP, replicas=2)
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B", EMULATION_COUNT_ALLOCATIONS="1")
    for ranks in (1, 2):
        refuse("train", config, "optimizer.lr=1e38", "training.epochs=9", "--out", f"n{ranks}",
               ranks=ranks, env=env, words=["step 2: ", "finite"])
        refuse("train", config, "--out", f"k{ranks}", ranks=ranks,
               env=dict(env, EMULATED_FAULT="kernel 200"), words=["step ", "an illegal memory access"])
        counts = [sorted(re.findall(r"allocations: (\d+)", succeed(
            "train", config, f"training.steps={steps}", ranks=ranks,
            env=env).text)) for steps in (1, 4)]
        check(len(counts[0]) == ranks and counts[0] == counts[1], f"allocations: {counts}")
    ids = np.arange(80 * 12, dtype=np.int64).reshape(80, 12) % 10
    ids[61, 7] = 10
    write_h5("ids.h5", train_x=ids, train_y=ids[:, 0] % 2, test_x=ids[:20], test_y=ids[:20, 0] % 2)
    for ranks in (1, 2):
        refuse("train", ROOT / "launch/configs/sequence-lstm.toml", "data.file=ids.h5", "run.shards=4",
               "run.device=cuda", "run.replicas=2", ranks=ranks, env=env,
               words=["sample 61", "id 10", "position 7", "0 to 9"])


if __name__ == "__main__":
    main()
