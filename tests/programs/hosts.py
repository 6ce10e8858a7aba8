#!/usr/bin/env python3
"""Several hosts on one machine (host_spaces.py): the same bits as on one, what travels between them,
and what happens when one of them dies. Skipped, with the reason, where namespaces are not permitted."""
import re

import lockstep_run
from host_spaces import Hosts, why_not
from lockstep_run import *  # noqa: F403 (the test vocabulary)

STEPS = 40


def write_run(steps=STEPS):
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:60], test_y=y[:60])
    return write_config("a.toml", run={"name": "a", "shards": 8, "threads": 1},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "mlp", "widths": [384, 128], "dropout": 0.2},
                        loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.002},
                        training={"steps": steps, "batch": 50, "clip_norm": 1.0},
                        checkpoint={"every_steps": 13, "every_epochs": 0, "keep": 9},
                        log={"every_steps": 1})


def parameters(run_folder):
    return sum(v.size for v in read_safetensors(f"{run_folder}/weights.safetensors").values())


def train(hosts, ranks, *arguments, **options):
    return hosts.mpirun(ranks, "train", *arguments, executable=lockstep_run.LOCKSTEP, **options)


def done(job):
    result = job.wait()
    check(result.code == 0, f"failed:\n{result}")
    return result


@test
def two_and_three_hosts_give_the_bits_of_one():
    config = write_run()
    succeed("train", config, "--out", "one", ranks=1)
    with Hosts(3) as hosts:
        places = [([2, 2], "slot"), ([1, 1, 1], "slot"),
                  ([3, 2, 1], "node")]  # ranks 0, 3 and 5 on the first host
        for i, (ranks, by) in enumerate(places):
            result = done(train(hosts, ranks, config, "--out", f"many-{i}", by=by))
            result.says(f"{sum(ranks)} ranks on {len(ranks)} nodes, one shared segment a node, "
                        "messages between their first ranks")
            same_run("one", f"many-{i}")


@test
def only_first_ranks_talk():
    """Half of the gradient goes out and half of the new weights comes back, once a host; with
    messages between all ranks every rank of a host sends that much."""
    config = write_run()
    sent = {}
    with Hosts(2) as hosts:
        for transport in ("auto", "messages"):
            before = hosts.sent_bytes("node1")
            # Without evaluations there is no best checkpoint, whose optimizer state would travel too.
            done(train(hosts, [2, 2], config, f"run.transport={transport}", "data.validation=",
                       "checkpoint.every_steps=1000", "--out", transport))
            sent[transport] = hosts.sent_bytes("node1") - before
    once = STEPS * 4 * parameters("auto")
    print("  " + ", ".join(f"{name}: {sent[name] / once:.2f}" for name in sent) +
          " times the bytes of the gradient")
    check(1.0 <= sent["auto"] / once < 1.2, f"{sent} bytes sent, {once} are due")
    check(sent["messages"] / once > 1.9, f"{sent} bytes sent, {2 * once} are due by messages")


@test
def a_killed_host_ends_the_job():
    config = write_run(steps=200000)
    with Hosts(2) as hosts:
        job = train(hosts, [2, 2], config, "--out", "killed")
        job.wait_for(lambda: checkpoints("killed"), "the first checkpoint")
        hosts.kill("node1")
        result = job.wait()
        check(result.code != 0, f"a job without one of its hosts ended well:\n{result}")
        result.says("node1")
        wait_for(lambda: not hosts.processes("node0"), "the end of all on node0")


@test
def an_unplugged_host_is_named():
    """No packet arrives any more, and nobody tells: the wait for the other host's ranks ends. (mpirun
    itself then waits for the host's daemon until TCP gives up.)"""
    config = write_run(steps=200000)
    with Hosts(2) as hosts:
        job = train(hosts, [2, 2], config, "run.patience_seconds=4", "--out", "unplugged")
        job.wait_for(lambda: checkpoints("unplugged"), "the first checkpoint")
        hosts.unplug("node1")
        wait_for(lambda: "start again with --resume" in job.result().err, "a message")
        wait_for(lambda: not hosts.running("node0", lockstep_run.LOCKSTEP), "the ranks' end")
        check(re.search(r"rank [23] has|ranks 2, 3 have", job.result().err), f"{job.result()}")


reason = why_not()
if reason:
    print(f"SKIPPED, all of it: {reason}")
    sys.exit(77)
main()
