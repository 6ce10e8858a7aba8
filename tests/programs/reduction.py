#!/usr/bin/env python3
"""reduction = "fast": near the tree's result on any number of ranks, said so in the output, ended when
a rank hangs; and gradients as bfloat16."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)


def write_run(epochs=3):
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y)
    return write_config("a.toml", run={"name": "a", "shards": 8, "threads": 1, "seed": 5},
                        data={"file": "d.h5"},
                        model={"network": "mlp", "widths": [96, 48], "dropout": 0.2},
                        loss={"kind": "cross_entropy"},
                        optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.9},
                        training={"epochs": epochs, "batch": 50, "clip_norm": 1.0},
                        checkpoint={"every_steps": 5, "every_epochs": 0, "keep": 3},
                        log={"every_steps": 1})


def distance(one, other):
    """The largest difference of two weights, as a share of the largest change that training made."""
    a, b = (read_safetensors(f"{run_folder}/weights.safetensors") for run_folder in (one, other))
    most = max(np.abs(values).max() for values in a.values())
    return max(np.abs(a[name] - b[name]).max() for name in a) / most


@test
def fast_is_near_the_tree():
    config = write_run()
    succeed("train", config, "--out", "tree", ranks=2)
    for ranks, threads in [(1, 2), (2, 1), (3, 2), (4, 1)]:
        out = f"fast-{ranks}x{threads}"
        result = succeed("train", config, "run.reduction=fast", f"run.threads={threads}", "--out", out,
                         ranks=ranks)
        if ranks > 1:
            result.says('MPI_Allreduce a bucket (reduction = "fast")')
        off = distance("tree", out)
        check(off < 1e-4, f"{out} is {off} away from the tree")
        print(f"  {out}: {off:.1e}")
    succeed("train", config, "run.seed=6", "--out", "other", ranks=1)
    check(distance("tree", "other") > 0.1, "the comparison cannot fail")


@test
def gradients_as_bfloat16():
    config = write_run()
    succeed("train", config, "--out", "tree", ranks=2)
    for ranks, threads in [(2, 1), (3, 2)]:
        out = f"bfloat16-{ranks}"
        result = succeed("train", config, "run.reduction=fast", "run.exchange_type=bfloat16",
                         f"run.threads={threads}", "--out", out, ranks=ranks)
        result.says("gradients as bfloat16, sums in float32")
        off = distance("tree", out)
        check(1e-7 < off < 2e-2, f"{out} is {off} away from the tree")
        print(f"  {out}: {off:.1e}")
    refuse("train", config, "run.exchange_type=bfloat16",
           words=["run.exchange_type", 'run.reduction', "fast"])


@test
def fast_resumes():
    """On the same number of ranks MPI adds in the same order: the bits of the undisturbed run."""
    config = write_run()
    fast = "run.reduction=fast"
    succeed("train", config, fast, "--out", "whole", ranks=2)
    shutil.copytree("whole", "half")
    Path("half/weights.safetensors").unlink()
    for name in checkpoints("half")[1:]:
        Path("half/checkpoints", name).unlink()
    succeed("train", "--resume", "half", ranks=2).says("resumed half/checkpoints/step-")
    same_files("whole", "half", "weights.safetensors", "metrics.jsonl")
    refuse("train", "--resume", "half", "run.reduction=tree", ranks=2, words=["run.reduction"])


@test
def a_stopped_rank_ends_the_job():
    dice = seeded_random()
    config = write_run(epochs=100000)
    job = Job(command_of(["train", config, "run.reduction=fast", "run.patience_seconds=4", "--out",
                          "stopped"], 3))
    job.wait_for(lambda: checkpoints("stopped"), "the first checkpoint")
    time.sleep(dice.random() * 0.2)  # anywhere in a step, inside MPI's sum too
    os.kill(job.ranks(3)[1], signal.SIGSTOP)
    result = job.wait()
    check(result.code != 0, f"a job with a stopped rank ended well:\n{result}")
    result.says("--resume")


main()
