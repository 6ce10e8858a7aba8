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


@test
def a_lost_rank_ends_the_job():
    """A rank that stands still, or is gone, in the midst of a step and while rank 0 gathers a
    checkpoint, at a call of NCCL that is given: one message, with rank and step, within the patience
    of who waits on the host, on the device and, as the third rank, for one that waits itself."""
    patience = 4  # seconds; a rank of a busy machine may well stand still for one
    config = small_network(patience_seconds=patience)
    program_with(EMULATED, EMULATED_NCCL)
    env = environment(EMULATED_GPUS="A,B,C")
    # Weights and three states are loaded by a group of messages each; the next one of two ranks,
    # and the third next of three, is what a checkpoint wants of them.
    for ranks, call, sent in ((2, "all-to-all:3", signal.SIGSTOP), (3, "messages:7", signal.SIGSTOP),
                              (2, "messages:5", signal.SIGKILL)):
        out = f"{call}-{sent}"
        job = Job(command_of(["train", config, "--out", out], ranks),
                  env=dict(env, EMULATED_NCCL_SIGNAL=f"1:{call}:{int(sent)}"))
        result = job.wait()
        check(result.code != 0, f"a job without its rank 1 ended well:\n{result}")
        if sent == signal.SIGKILL:  # mpirun may be the first to see it
            continue
        check(len(result.errors) == 1, f"{len(result.errors)} messages:\n{result}")
        result.says("rank 1 has not ", "step ", f"for {patience} s", "--resume")
        check("ranks" not in result.errors[0], f"who waits is blamed, too:\n{result}")


@test
def a_failing_rank_waits_for_nobody():
    """One row makes numbers that float32 cannot hold. Its rank, and those that wait for it, end at
    once, whatever is under way between the GPUs."""
    dice = seeded_random()
    x = np.random.default_rng(dice.randrange(1 << 30)).normal(size=(200, 8)).astype(np.float32)
    x[dice.randrange(200)] = 3e38
    write_h5("inf.h5", train_x=x, train_y=np.arange(200) % 3)
    config = write_config("a.toml", run={"shards": 4, "device": "cuda"},
                          data={"file": "inf.h5", "normalize": False},
                          model={"network": "mlp", "widths": [64]}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "sgd", "lr": 0.01},
                          training={"epochs": 3, "batch": 50})
    program_with(EMULATED, EMULATED_NCCL)
    refuse("train", config, "--out", "failed", ranks=3, env=environment(EMULATED_GPUS="A,B,C"),
           words=("rank ", "step ", "layer 'fc1'", "not finite"))


main()
