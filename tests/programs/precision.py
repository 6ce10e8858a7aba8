#!/usr/bin/env python3
"""run.precision = "bfloat16" in whole programs: the same bits over ranks, threads, transports and a
resume, float32's accuracy on digits, and the refusals."""
import shutil
from pathlib import Path

import numpy as np

from lockstep_run import *  # noqa: F403 (the test vocabulary)

BFLOAT16 = 'run.precision="bfloat16"'
ROWS = 1200


def has_bfloat16():
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text().split()


def write_cnn(rows=ROWS, **training):
    x, y = digits(rows + 400)
    write_h5("d.h5", train_x=x[:rows], train_y=y[:rows], test_x=x[rows:], test_y=y[rows:])
    return write_config("cnn.toml", run={"name": "cnn", "seed": 3, "shards": 4},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "cnn", "batch_norm": True},
                        optimizer={"kind": "sgd", "lr": 0.02, "momentum": 0.9},
                        training={"batch": 50, **training}, log={"every_steps": 1},
                        checkpoint={"every_steps": 3, "keep": 20})


@test
def the_same_bits_anywhere():
    if not has_bfloat16():
        print("  skipped: this processor has no avx512_bf16")
        return
    config = write_cnn(rows=180, epochs=2)
    succeed("train", config, BFLOAT16, "--out", "reference", "run.threads=2",
            ranks=1).says("bfloat16 by")
    for ranks, threads, transport in ((2, 2, "auto"), (3, 1, "messages"), (4, 1, "auto")):
        out = f"{ranks}x{threads}"
        succeed("train", config, BFLOAT16, "--out", out, f"run.threads={threads}",
                f"run.transport={transport}", ranks=ranks)
        same_run("reference", out)
    shutil.copytree("reference", "resumed")
    Path("resumed", "weights.safetensors").unlink()
    for name in checkpoints("resumed"):
        if int(name[5:13]) > 3:
            Path("resumed", "checkpoints", name).unlink()
    refuse("train", "--resume", "resumed", 'run.precision="float32"',
           words=["run.precision", "float32", "bfloat16"])
    succeed("train", "--resume", "resumed", "run.threads=1", ranks=2).says("step-00000003.ckpt")
    same_run("reference", "resumed")


@test
def learns_as_float32_does():
    if not has_bfloat16():
        print("  skipped: this processor has no avx512_bf16")
        return
    config = write_cnn(epochs=8)
    accuracies, weights = [], []
    for precision in ("float32", "bfloat16"):
        succeed("train", config, f'run.precision="{precision}"', "--out", precision)
        accuracies.append(metrics(precision, "validation")[-1]["accuracy"])
        weights.append(read_safetensors(f"{precision}/weights.safetensors")["fc1.weight"])
    check(min(accuracies) > 0.93, f"accuracies {accuracies}")
    check(abs(accuracies[0] - accuracies[1]) < 0.015, f"accuracies {accuracies}")
    check(not np.array_equal(*weights), "bfloat16 gives float32's bits: nothing was rounded")


@test
def refused_without_the_instructions():
    config = write_cnn(rows=100, steps=1)
    for isa in processor_isas():
        if isa == "avx512" and has_bfloat16():
            continue
        refuse("train", config, BFLOAT16, f"run.isa={isa}", "--out", "none",
               words=['run.precision = "bfloat16"', "avx512_bf16", 'run.precision = "float32"'])
        check(not Path("none").exists(), "a run folder was made")
    refuse("train", config, 'run.precision="half"', words=["run.precision", '"bfloat16"', "half"])


if __name__ == "__main__":
    main()
