#!/usr/bin/env python3
"""launch/slurm/train.sbatch on a one-machine Slurm: it trains, saves when it is signalled, queues
itself again, resumes, and ends with the bits of the undisturbed run. Skipped where Slurm's daemons
are not installed. `limit` waits for a real time limit: minutes."""
import lockstep_run
from lockstep_run import *  # noqa: F403 (the test vocabulary)
from slurm_cluster import Cluster, why_not

TEMPLATE = ROOT / "launch" / "slurm" / "train.sbatch"


def write_run(steps):
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y)
    return write_config("a.toml", run={"name": "a", "shards": 8, "threads": 1},
                        data={"file": "d.h5"},
                        model={"network": "mlp", "widths": [384, 384], "dropout": 0.2},
                        loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.002},
                        training={"steps": steps, "batch": 50},
                        checkpoint={"every_steps": 100, "every_epochs": 0, "keep": 3},
                        log={"every_steps": 100})


def submit(cluster, *options):
    """The template as it stands, with the requests of a small machine."""
    return cluster.submit("--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", *options,
                          "--output=job.log", TEMPLATE, "a.toml", "run",
                          LOCKSTEP=lockstep_run.LOCKSTEP, OMPI_MCA_rmaps_base_oversubscribe="1",
                          OMPI_MCA_hwloc_base_binding_policy="none")


def wait_until_over(cluster, job, seconds):
    def over():
        time.sleep(0.3)  # every question is a process
        return cluster.state(job)[0] in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")
    try:
        wait_for(over, f"the end of job {job}", seconds)
    except Failure as failure:
        raise Failure(f"{failure}: {cluster.state(job)}\n{log()}\n{cluster.logs()}") from None
    return cluster.state(job)


def log():
    return Path("job.log").read_text() if Path("job.log").exists() else "(no job.log)"


def expect_a_whole_run(cluster, job, restarts):
    state = wait_until_over(cluster, job, 2 * HANG)
    check(state[0] == "COMPLETED" and restarts(state[1]), f"{state}\n{log()}\n{cluster.logs()}")
    for words in ("queues again and will resume run", "resumed run/checkpoints/step-"):
        check(words in log(), f"'{words}' is not in\n{log()}")
    same_files("undisturbed", "run", "weights.safetensors", "metrics.jsonl")


@test
def signalled_requeued_and_resumed():
    config = write_run(2000)
    succeed("train", config, "--out", "undisturbed", ranks=1)
    with Cluster() as cluster:
        job = submit(cluster)
        wait_for(lambda: checkpoints("run"), "the first checkpoint")
        cluster.ask("scancel", "--batch", "--signal=USR1", job)  # as --signal=B:USR1@120 does
        expect_a_whole_run(cluster, job, lambda restarts: restarts == 1)


def limit():
    """The real thing: a limit of one minute, the signal half a minute before."""
    config = write_run(60000)
    succeed("train", config, "--out", "undisturbed", ranks=2, seconds=4 * HANG)
    with Cluster() as cluster:
        job = submit(cluster, "--time=1", "--signal=B:USR1@20")
        expect_a_whole_run(cluster, job, lambda restarts: restarts >= 1)


reason = why_not()
if reason:
    print(f"SKIPPED, all of it: {reason}")
    sys.exit(77)
if "limit" in sys.argv[2:]:
    test(limit)
main()
