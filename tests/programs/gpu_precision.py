#!/usr/bin/env python3
"""run.precision = "bfloat16" and "tf32" in whole programs on emulated GPUs: activations in bfloat16,
everything that lasts in float32; the same bits on any ranks and after a resume, close to what the CPU
computes in float32."""
import re
import shutil
from pathlib import Path

import h5py
import numpy as np

import lockstep_run
from emulated_gpu import BUILD, EMULATED, environment, program_with
from lockstep_run import *  # noqa: F403 (the test vocabulary)

CONV = {"kind": "conv2d", "kernel": 3, "padding": 1, "channels": 8}
HEAD = [{"kind": "global_avg_pool"}, {"kind": "linear", "name": "fc"}]


def named(*layers):
    """The layers with names where they need one, as l0, l1, ..."""
    return [dict(layer, name=layer.get("name", f"l{i}")) for i, layer in enumerate(layers)]


RESIDUAL = named(
    dict(CONV, bias=False), {"kind": "batch_norm"}, {"kind": "relu"},
    {"kind": "residual", "layers": named(CONV, {"kind": "batch_norm"}, {"kind": "relu"}, CONV)},
    {"kind": "max_pool"},
    {"kind": "residual", "layers": named(dict(CONV, channels=12, stride=2), {"kind": "batch_norm"}),
     "shortcut": named(dict(CONV, channels=12, stride=2, kernel=1, padding=0))},
    {"kind": "relu"}) + HEAD
CONVNEXT = named(
    dict(CONV, kernel=2, stride=2, padding=0), {"kind": "layer_norm"},
    {"kind": "residual", "layers": named(
        {"kind": "layer_scale", "channels": 8, "start": 0.5, "layers": named(
            dict(CONV, groups=8), {"kind": "layer_norm"},
            dict(CONV, channels=16, kernel=1, padding=0),
            {"kind": "gelu"}, dict(CONV, kernel=1, padding=0))},
        {"kind": "drop_path", "p": 0.1})},
    {"kind": "squeeze_excitation", "reduced": 4}) + HEAD
TOKENS = named(
    {"kind": "embedding", "ids": 10, "width": 8}, {"kind": "learned_positions"},
    {"kind": "residual", "layers": named({"kind": "attention", "heads": 2})},
    {"kind": "lstm", "hidden": 8, "output": "sequence"},
    {"kind": "gru", "hidden": 8, "output": "sequence"},
    {"kind": "dropout", "p": 0.1}, {"kind": "mean_tokens"}, {"kind": "linear", "name": "fc"})


def write_digits(rows):
    x, y = digits(rows + 20)
    write_h5("d.h5", train_x=x[:rows], train_y=y[:rows], test_x=x[rows:], test_y=y[rows:])


def write_marks(rows):
    random = np.random.default_rng(5)
    x = random.integers(0, 10, (rows + 20, 6))
    y = (x.sum(axis=1) > 27).astype(np.int64)
    write_h5("d.h5", train_x=x[:rows], train_y=y[:rows], test_x=x[rows:], test_y=y[rows:])


def config_of(model, **training):
    return write_config("net.toml", run={"seed": 3, "shards": 4, "threads": 1, "device": "cuda"},
                        data={"file": "d.h5", "validation": "/test"}, model=model,
                        optimizer={"kind": "sgd", "lr": 0.05, "momentum": 0.9},
                        training={"batch": 20, **training}, log={"every_steps": 1},
                        checkpoint={"every_steps": 1, "keep": 20})


def both(config, precision, ranks=(2,), name="gpu"):
    """Trains in float32 on the CPU and in this precision on emulated GPUs: bits and losses agree."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    succeed("train", config, "run.device=cpu", "--out", f"{name}-cpu")
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B,C")
    key = f'run.precision="{precision}"'
    succeed("train", config, key, "--out", name, env=env).says("device: GPU", precision)
    for count in ranks:
        succeed("train", config, key, "--out", f"{name}-{count}", ranks=count, env=env)
        same_run(name, f"{name}-{count}")
    cpu, gpu = ([line["loss"] for line in metrics(run)] for run in (f"{name}-cpu", name))
    check(np.allclose(cpu, gpu, rtol=0.03, atol=0.01), f"losses {cpu}\non the CPU, {gpu}")
    check(cpu != gpu or precision != "bfloat16", "bfloat16 gives float32's losses")
    return env


@test
def digits_train_in_bfloat16():
    """A perceptron; a resume, evaluation and prediction too."""
    write_digits(60)
    env = both(config_of({"network": "mlp", "widths": [16]}, epochs=2), "bfloat16", ranks=(3,))
    shutil.copytree("gpu", "resumed")
    Path("resumed", "weights.safetensors").unlink()
    for name in checkpoints("resumed"):
        if int(name[5:13]) > 2:
            Path("resumed", "checkpoints", name).unlink()
    refuse("train", "--resume", "resumed", 'run.precision="float32"', env=env,
           words=["run.precision", "float32", "bfloat16"])
    succeed("train", "--resume", "resumed", ranks=2, env=env).says("step-00000002.ckpt")
    same_run("gpu", "resumed")
    said = succeed("evaluate", "gpu", env=env).says("accuracy").out
    check(f"{metrics('gpu', 'validation')[-1]['accuracy']:.4f}"[:5] in said, said)
    succeed("predict", "gpu", "-o", "p.h5", env=env)
    with h5py.File("p.h5") as file:
        outputs = file["predictions"][:]
    check(np.allclose(outputs.sum(axis=1), 1, atol=1e-5), "probabilities were rounded to bfloat16")


@test
def pictures_train_in_bfloat16():
    write_digits(20)
    for name, layers in (("residual", RESIDUAL), ("convnext", CONVNEXT)):
        both(config_of({"layers": layers}, epochs=2), "bfloat16", name=name)


@test
def sequences_train_in_bfloat16():
    write_marks(20)
    both(config_of({"layers": TOKENS}, epochs=2), "bfloat16")


@test
def tf32_is_asked_for():
    write_digits(20)
    both(config_of({"network": "linear"}, epochs=1), "tf32", ranks=())


@test
def activations_take_half_the_memory():
    write_digits(20)
    config = config_of({"layers": RESIDUAL}, epochs=1)
    program_with(EMULATED)
    sizes = []
    for precision in ("float32", "bfloat16"):
        said = succeed("inspect", config, f'run.precision="{precision}"', "training.batch=2000",
                       env=environment()).out
        sizes.append(float(re.search(r"([\d.]+) MiB of activations", said)[1]))
    # Masks of ReLU and the places of pooling are bytes in both.
    check(0.5 < sizes[1] / sizes[0] < 0.56, f"activations take {sizes} MiB")


@test
def what_is_not_finite_is_named():
    write_digits(20)
    config = config_of({"network": "mlp", "widths": [16]}, epochs=9)
    program_with(EMULATED)
    refuse("train", config, 'run.precision="bfloat16"', "optimizer.lr=1e30", "--out", "a", ranks=2,
           env=environment(EMULATED_GPUS="A,B"), words=["the first that is not finite", "optimizer.lr"])
    refuse("check", "step", config, 'run.precision="bfloat16"', env=environment(),
           words=["finite differences", 'run.precision = "float32"'])


@test
def old_gpus_are_refused():
    write_digits(20)
    config = config_of({"network": "linear"}, epochs=1)
    program_with(EMULATED)
    env = environment(EMULATED_SM="75")
    for precision in ("bfloat16", "tf32"):
        refuse("train", config, f'run.precision="{precision}"', "--out", "a", env=env,
               words=["sm_75", "too old", "sm_80", precision])


if __name__ == "__main__":
    main()
