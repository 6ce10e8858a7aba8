#!/usr/bin/env python3
"""Nothing saved is lost: ranks are killed, stopped, asked to stop, or fail, at random steps. Jobs end
soon with one message, leave nothing behind, and resume to the bits of the undisturbed run."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)

PATIENCE = 4  # seconds; a rank of a busy machine may well stand still for one
KILLS = int(os.environ.get("LOCKSTEP_KILLS", 3))  # of killed_ranks
KILLS_OF_A_RUN = 4  # at most, before it may come to its end


def write_run(epochs=250):
    """About a second of training: 1,000 steps, with a checkpoint every 25."""
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y)
    return write_config("a.toml", run={"name": "a", "shards": 8, "threads": 1},
                        data={"file": "d.h5"},
                        model={"network": "mlp", "widths": [384, 384], "dropout": 0.2},
                        loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.002},
                        training={"epochs": epochs, "batch": 50},
                        checkpoint={"every_steps": 25, "every_epochs": 0, "keep": 3},
                        log={"every_steps": 5})


def steps_done(run_folder):
    try:
        return json.loads(Path(run_folder, "metrics.jsonl").read_text().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def start_until(step, *arguments, out, ranks):
    """Starts training and returns once `step` steps were taken."""
    job = Job(command_of(["train", *arguments], ranks))
    job.wait_for(lambda: steps_done(out) >= step, f"step {step} of {out}")
    return job


def signalled(number, step, *arguments, out, ranks, victim):
    """Starts training and signals one rank once `step` steps were taken; the job's result, or None
    where the run came to its end first: on a busy machine this script may look too late."""
    job = start_until(step, *arguments, out=out, ranks=ranks)
    try:
        os.kill(job.ranks(ranks)[victim], number)
    except (Failure, ProcessLookupError):
        check(job.wait().code == 0, f"ended by itself:\n{job.result()}")
    job.start = time.monotonic()  # its seconds count from the signal
    result = job.wait()
    if result.code != 0:
        return result
    check(Path(out, "weights.safetensors").exists(), f"ended well, but not at its end:\n{result}")
    return None


def shared_memory():
    """Names that the ranks of lockstep could have left; those of others, Open MPI among them, come
    and go as they please."""
    return {path.name for path in Path("/dev/shm").glob("*lockstep*")}


@test
def killed_ranks():
    dice = seeded_random()
    config = write_run()
    succeed("train", config, "--out", "undisturbed", ranks=2)
    names = shared_memory()
    left = KILLS
    while left > 0:
        left -= kill_and_resume(dice, config, min(left, KILLS_OF_A_RUN))
        check(shared_memory() <= names, f"left in /dev/shm: {shared_memory() - names}")
        shutil.rmtree("killed")


def kill_and_resume(dice, config, kills):
    """One run with so many kills, fewer where it ends first, then to its end, which is the
    undisturbed one's. Returns how many there were."""
    took = []
    arguments = [config, "--out", "killed"]
    for _ in range(kills):
        ranks = dice.choice([2, 3, 4])
        victim = dice.randrange(ranks)
        step = steps_done("killed") + dice.randrange(10, 200)
        result = signalled(signal.SIGKILL, step, *arguments, out="killed", ranks=ranks, victim=victim)
        if result is None:
            break
        took.append(f"rank {victim} of {ranks} after step {step}: {result.seconds:.1f} s")
        arguments = ["--resume", "killed"]
        if Path("killed/weights.safetensors").exists():
            check(steps_done("killed") == 1000, f"weights of half a run:\n{result}")
            break
    print("  " + "; ".join(took), flush=True)
    if arguments[0] == "--resume":
        succeed("train", "--resume", "killed", ranks=3)
    same_run("undisturbed", "killed")
    check(not list(Path("killed").rglob("*.partial*")), "temporary files stay behind")
    return len(took)


@test
def killed_before_the_first_checkpoint():
    """What a batch system requeues need not know how far the run had come."""
    config = write_run()
    late = "checkpoint.every_steps=900"
    succeed("train", config, late, "--out", "undisturbed", ranks=1)
    while not signalled(signal.SIGKILL, 10, config, late, "--out", "killed", out="killed", ranks=2,
                        victim=0) or checkpoints("killed"):
        shutil.rmtree("killed")  # the kill came too late
    refuse("evaluate", "killed", words=("killed: neither weights", "nothing has been trained"))
    succeed("train", "--resume", "killed", ranks=3).says("no checkpoint was written yet")
    same_run("undisturbed", "killed")


@test
def asked_to_stop():
    dice = seeded_random()
    config = write_run()
    succeed("train", config, "--out", "undisturbed", ranks=1)
    while not stop_and_resume(dice, config):
        shutil.rmtree("stopped")


def stop_and_resume(dice, config):
    """Whether the run was stopped thrice before it came to its end."""
    arguments = [config, "--out", "stopped"]
    for number, ranks in ((signal.SIGUSR1, 2), (signal.SIGTERM, 3), (signal.SIGUSR1, 1)):
        step = steps_done("stopped") + dice.randrange(10, 120)
        result = signalled(number, step, *arguments, out="stopped", ranks=ranks,
                           victim=dice.randrange(ranks))
        if result is None:
            return False
        check(result.code == 75, f"exit code {result.code} is not 75:\n{result}")
        result.says("the checkpoint is written", "lockstep train --resume stopped")
        check(not result.errors, f"an error of a stop that was asked for:\n{result}")
        stopped_at = int(result.out.split("stopped after step ")[1].split()[0])
        check(checkpoints("stopped")[-1] == f"step-{stopped_at:08d}.ckpt",
              f"stopped after {stopped_at}, but has {checkpoints('stopped')}")
        arguments = ["--resume", "stopped"]
    succeed("train", "--resume", "stopped", ranks=2)
    same_files("undisturbed", "stopped", "metrics.jsonl", "weights.safetensors",
               "checkpoints/step-00001000.ckpt")
    return True


def terminate_mpirun(config, seconds):
    """mpirun waits, passes SIGTERM on, waits again, and kills. It reads no output meanwhile, so what
    the ranks say then is lost. What run.json says of this part."""
    command = command_of(["train", config, "training.batch=2", "--out", "stopped"], 2)
    command[1:1] = ["--mca", "odls_base_sigkill_timeout", str(seconds)]
    job = Job(command)
    job.wait_for(lambda: steps_done("stopped") >= 50, "step 50")
    job.process.send_signal(signal.SIGTERM)
    result = job.wait()
    check(result.code != 0, f"an interrupted job ended well:\n{result}")
    return json.loads(Path("stopped/run.json").read_text())["parts"][-1]


@test
def terminated_mpirun():
    """Given the time, the ranks save: two seconds are ample but for a busy machine."""
    config = write_run()
    for seconds in (2, 10, 50):
        shutil.rmtree("stopped", ignore_errors=True)
        part = terminate_mpirun(config, seconds)
        if part["outcome"] == "interrupted":
            break
    check(part["outcome"] == "interrupted", f"the outcome is '{part['outcome']}'")
    check(checkpoints("stopped")[-1] == f"step-{part['last_step']:08d}.ckpt",
          f"stopped after step {part['last_step']}, but has {checkpoints('stopped')}")


@test
def killed_mpirun():
    """Ranks whose mpirun is gone save what they have and end, instead of computing on unseen."""
    config = write_run()
    job = start_until(50, config, "training.batch=2", "--out", "orphaned", out="orphaned", ranks=2)
    pids = job.ranks(2)
    job.process.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the ranks' end")
    check(len(checkpoints("orphaned")) > 0, "nothing was saved")
    part = json.loads(Path("orphaned/run.json").read_text())["parts"][-1]
    check(part["outcome"] == "interrupted", f"the outcome is '{part['outcome']}'")
    check(checkpoints("orphaned")[-1] == f"step-{part['last_step']:08d}.ckpt",
          f"stopped after step {part['last_step']}, but has {checkpoints('orphaned')}")


def stopped_rank(transport):
    config = write_run(epochs=5000)
    job = start_until(60, config, f"run.patience_seconds={PATIENCE}", f"run.transport={transport}",
                      "--out", "hung", out="hung", ranks=3)
    pid = job.ranks(3)[1]
    os.kill(pid, signal.SIGSTOP)
    result = job.wait()
    check(result.code != 0, f"a job with a stopped rank ended well:\n{result}")
    check(len(result.errors) == 1, f"{len(result.errors)} messages:\n{result}")
    result.says("rank 1 has not", f"for {PATIENCE} s", "--resume")
    check(checkpoints("hung"), "no checkpoint was kept")


@test
def stopped_rank_of_a_segment():
    stopped_rank("auto")


@test
def stopped_rank_of_messages():
    stopped_rank("messages")


def failing_rank(transport):
    """One row, read by one rank, makes numbers that float32 cannot hold."""
    dice = seeded_random()
    x = np.random.default_rng(dice.randrange(1 << 30)).normal(size=(200, 8)).astype(np.float32)
    x[dice.randrange(200)] = 3e38
    write_h5("inf.h5", train_x=x, train_y=np.arange(200) % 3)
    config = write_config("a.toml", run={"name": "a", "shards": 8},
                          data={"file": "inf.h5", "normalize": False},
                          model={"network": "mlp", "widths": [64]}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "sgd", "lr": 0.01},
                          training={"epochs": 3, "batch": 50})
    result = refuse("train", config, f"run.transport={transport}", "--out", "failed", ranks=4,
                    words=("rank ", "step ", "layer 'fc1'", "not finite"))
    record = json.loads(Path("failed/run.json").read_text())["parts"][-1]
    check(record["outcome"].startswith("failed"), f"run.json says {record['outcome']}")


@test
def failing_rank_of_a_segment():
    failing_rank("auto")


@test
def failing_rank_of_messages():
    failing_rank("messages")


if __name__ == "__main__":
    main()
