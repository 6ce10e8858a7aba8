#!/usr/bin/env python3
"""Ranks with an emulated GPU each that exchange by NCCL's twin: bits, what is said where NCCL cannot
be had, and what ends a job when it breaks."""
from emulated_gpu import BUILD, EMULATED, EMULATED_NCCL, environment, program_with
from lockstep_run import *  # noqa: F403 (the test vocabulary)


def small_network(**run):
    """A config whose bits tell whether sums, slices, clipping or moments went wrong."""
    x, y = digits(150)
    write_h5("d.h5", train_x=x, train_y=y)
    return write_config(
        "a.toml", run={"shards": 4, "seed": 5, "device": "cuda", **run}, data={"file": "d.h5"},
        model={"network": "mlp", "widths": [90], "dropout": 0.2}, loss={"kind": "cross_entropy"},
        optimizer={"kind": "adam", "lr": 0.01}, training={"epochs": 2, "batch": 50, "clip_norm": 0.5,
                                                          "ema": 0.9},
        checkpoint={"every_steps": 2, "keep": 9})


@test
def exchange_by_nccl():
    """From GPU to GPU, with NCCL's twin: the bits of one rank and of the exchange over the host,
    whether streams run at once or interleaved, and of a run that is resumed on other ranks."""
    config = small_network()
    program_with(EMULATED, EMULATED_NCCL)
    env = environment(EMULATED_GPUS="A,B,C")
    succeed("--version", "--verbose", env=env).says("NCCL plug-in: ", "NCCL: 2.28.9")
    succeed("train", config, "--out", "one", env=env).says("device: GPU")
    for ranks in (2, 3):
        for streams in ("at_once", "interleaved"):
            run = f"{streams}{ranks}"
            succeed("train", config, "--out", run, ranks=ranks,
                    env=dict(env, EMULATION_STREAMS=streams)).says("NCCL 2.28.9 between GPUs")
            same_run("one", run)
    succeed("train", config, "run.transport=messages", "--out", "host", ranks=2, env=env).says(
        "exchange over the host (as configured)")
    same_run("one", "host")
    shutil.copytree("one", "resumed")
    Path("resumed/weights.safetensors").unlink()
    for name in checkpoints("one")[1:]:
        Path("resumed/checkpoints", name).unlink()
    succeed("train", "--resume", "resumed", ranks=3, env=env).says("NCCL 2.28.9")
    same_run("one", "resumed")


@test
def sums_in_no_order_of_ours():
    """run.reduction = "fast": near the tree's result, as near as the type allows in which gradients
    travel."""
    config = small_network()
    program_with(EMULATED, EMULATED_NCCL)
    env = environment(EMULATED_GPUS="A,B,C", EMULATION_STREAMS="interleaved")
    succeed("train", config, "--out", "tree", env=env)
    for travels, least, most in (("float32", 0, 1e-4), ("bfloat16", 1e-6, 0.05)):
        for ranks in (2, 3):
            run = f"{travels}{ranks}"
            succeed("train", config, "run.reduction=fast", f"run.exchange_type={travels}", "--out", run,
                    ranks=ranks, env=env).says("NCCL 2.28.9 between GPUs")
            one, other = (read_safetensors(f"{name}/weights.safetensors") for name in ("tree", run))
            off = max(np.abs(values - other[name]).max() for name, values in one.items())
            check(least <= off < most, f"{run} differs from the tree's by {off}")
            print(f"  {run}: {off:.1e}")


@test
def steps_down_from_nccl():
    """Without NCCL, with more ranks than GPUs, with versions that differ: each is said."""
    config = small_network(device="auto")
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B")
    two = dict(ranks=2, env=env)
    succeed("train", config, "--out", "a", **two).says(
        "device: GPU", "exchange over the host, no NCCL: ", "NCCL plug-in")
    program_with(EMULATED, BUILD / "tests/libfake_gpu_plugin.so")
    succeed("train", config, "--out", "c", **two).says("exchange over the host, no NCCL: ",
                                                       "undefined symbol: lockstep_nccl_plugin")
    program_with(EMULATED, EMULATED_NCCL)
    succeed("train", config, "run.share_gpu=true", "--out", "d", ranks=2,
            env=environment(EMULATED_GPUS="A")).says("no NCCL: more ranks than GPUs")
    refuse("train", config, "--out", "e", ranks=2,
           env=dict(env, EMULATED_NCCL_VERSION="22809,22903"),
           words=["rank 0 has NCCL 2.28.9", "rank 1 has NCCL 2.29.3"])


@test
def nccl_breaks():
    """An error inside NCCL ends the job with one message that names rank, step and bucket."""
    config = small_network()
    program_with(EMULATED, EMULATED_NCCL)
    env = environment(EMULATED_GPUS="A,B")
    refuse("train", config, "--out", "a", ranks=2,
           env=dict(env, EMULATED_NCCL_FAIL="1:7:ncclInternalError: a wire broke"),
           words=["rank 1: step ", "bucket 0: ", "a wire broke", "--resume"])


main()
