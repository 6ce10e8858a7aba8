#!/usr/bin/env python3
"""Disks that are full or broken, at every call that changes a file; shared memory that is too small;
data that can only be read; file systems without locks. io_fault.c, preloaded, plays the disk. Nothing
that stood there before is lost, nothing half written shows under its name, one message names the file
and the reason. A seeded few of the calls are tried; LOCKSTEP_EVERY_FAULT=1 tries all (slow)."""
import errno

import lockstep_run
from lockstep_run import *  # noqa: F403 (the test vocabulary)

EVERY = os.environ.get("LOCKSTEP_EVERY_FAULT") == "1"
REASONS = {errno.ENOSPC: "disk is full", errno.EIO: "input/output error"}


def shim():
    path = Path(lockstep_run.LOCKSTEP).parents[1] / "tests" / "programs" / "libio_fault.so"
    check(path.exists(), f"{path} is not built")
    return str(path)


def environment(folder=None, at=0, error=0, stays=False, log=None, flock=0):
    """The variables that io_fault.c reads."""
    values = dict(ENVIRONMENT, LD_PRELOAD=shim())
    if folder:
        values.update(IO_FAULT_FOLDER=str(Path(folder).resolve()), IO_FAULT_AT=str(at),
                      IO_FAULT_ERROR=str(error))
    if stays:
        values["IO_FAULT_STAYS"] = "1"
    if log:
        values["IO_FAULT_LOG"] = str(Path(log).resolve())
    if flock:
        values["IO_FAULT_FLOCK"] = str(flock)
        del values["HDF5_USE_FILE_LOCKING"]
    return values


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def calls_of(folder, *arguments):
    """The calls that change files below the folder in a run that succeeds."""
    succeed(*arguments, env=environment(folder, log="calls.log"))
    calls = Path("calls.log").read_text().splitlines()
    Path("calls.log").unlink()
    return calls


def faults(dice, calls, some):
    """(which call, errno, whether it stays): all of them, or some with the first and the last."""
    every = [(at, error, error == errno.ENOSPC) for at in range(1, len(calls) + 1)
             for error in REASONS]
    return every if EVERY else [every[0], every[-1], *dice.sample(every[1:-1], some - 2)]


def failed_well(result, folder, what):
    """One message of a file of the folder, with the reason and what to do."""
    check(0 < result.code < 128, f"{what}: exit code {result.code}:\n{result}")
    check(len(result.errors) == 1, f"{what}: {len(result.errors)} messages:\n{result}")
    for rubbish in ("terminate called", "HDF5-DIAG", "core dumped", "Signal:"):
        check(rubbish not in result.text, f"{what}: '{rubbish}' in\n{result}")
    message = result.errors[0]
    check(any(name in message for name in (str(folder) + "/", str(folder) + ":")),
          f"{what}: names no file of {folder}:\n{result}")
    partial = [str(path) for path in Path(folder).rglob("*.partial*")]
    check(not partial, f"{what}: left {partial}")


@test
def every_write_of_a_dataset():
    dice = seeded_random()
    Path("a.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i},{i % 3}\n" for i in range(300)))
    command = ["prepare", "csv", "a.csv", "--target", "y", "--test", "0.1", "-o", "data/a.h5",
               "--force"]
    Path("data").mkdir()
    calls = calls_of("data", *command)
    new = contents("data")
    check(len(calls) > 10, f"only {calls}")
    for at, error, stays in faults(dice, calls, 12):
        what = f"{os.strerror(error)} at call '{calls[at - 1]}'"
        Path("data/a.h5").write_bytes(b"what stood there before")
        old = contents("data")
        result = run(*command, env=environment("data", at, error, stays))
        if result.code == 0:
            check(contents("data") == new, f"{what}: a success, but other bytes")
            continue
        failed_well(result, "data", what)
        result.says(REASONS[error])
        # The folder's fsync is the one call after which the new name stands already.
        check(contents("data") in (old, new), f"{what}: the old file is lost:\n{result}")
    print(f"  {len(calls)} calls")


def write_run():
    x, y = digits(100)
    write_h5("d.h5", train_x=x, train_y=y)
    return write_config("a.toml", run={"name": "a", "shards": 4, "threads": 1},
                        data={"file": "d.h5", "validation": "/train"},
                        model={"network": "mlp", "widths": [16]},
                        loss={"kind": "cross_entropy"}, training={"epochs": 3, "batch": 50},
                        checkpoint={"every_steps": 1, "keep": 2}, log={"every_steps": 1})


def resumes(config, undisturbed, out, what):
    """The run goes on, or starts anew where it had not begun, to the bits of the undisturbed one."""
    if Path(out, "config.toml").exists():
        succeed("train", "--resume", out)
    else:
        succeed("train", config, "--out", out)
    # An older checkpoint may stay where the newest was whole, but not yet known to be on the disk.
    try:
        same_files(undisturbed, out, "metrics.jsonl", "weights.safetensors",
                   *[f"checkpoints/{name}" for name in checkpoints(undisturbed)])
    except Failure as failure:
        raise Failure(f"{what}: {failure}") from None


@test
def every_write_of_a_run():
    dice = seeded_random()
    config = write_run()
    calls = calls_of("undisturbed", "train", config, "--out", "undisturbed")
    whole = contents("undisturbed")
    check(len(calls) > 40, f"only {calls}")
    for number, (at, error, stays) in enumerate(faults(dice, calls, 8)):
        what = f"{os.strerror(error)} at call '{calls[at - 1]}'"
        out = f"run{number}"
        result = run("train", config, "--out", out, env=environment(out, at, error, stays))
        if Path(out).exists():
            for name, data in contents(out).items():
                complete = (name in ("config.toml", "run.json") or name.endswith(".jsonl")
                            or data == whole.get(name, data))
                check(complete, f"{what}: {name} is not that of the undisturbed run")
        if result.code != 0:
            failed_well(result, out, what)
            result.says(REASONS[error])
        resumes(config, "undisturbed", out, what)
        shutil.rmtree(out)
    print(f"  {len(calls)} calls")


@test
def a_full_disk_ends_a_job_of_ranks():
    dice = seeded_random()
    config = write_run()
    calls = calls_of("undisturbed", "train", config, "--out", "undisturbed")
    after_start = next(i for i, call in enumerate(calls, 1) if "ckpt" in call)
    at = dice.randrange(after_start, len(calls) - 4)
    result = Job(command_of(["train", config, "--out", "run"], 2),
                 env=environment("run", at, errno.ENOSPC, True)).wait()
    failed_well(result, "run", f"a full disk at call {at} of {len(calls)}, '{calls[at - 1]}'")
    result.says("disk is full", "make room")
    resumes(config, "undisturbed", "run", calls[at - 1])


def mounted(mounts, command):
    """The command with mounts of its own; None, with a loud line, where that is not permitted."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("  SKIPPED: mounting needs root and CAP_SYS_ADMIN", flush=True)
        return None
    return ["unshare", "-m", "sh", "-c", f"{mounts} && exec \"$@\"", "sh", *map(str, command)]


@test
def shared_memory_that_is_too_small_or_locked():
    config = write_run()
    succeed("train", config, "--out", "undisturbed", ranks=2)
    for number, options in enumerate(("size=16k", "ro")):
        out = f"run{number}"
        command = mounted(f"mount -t tmpfs -o {options} none /dev/shm",
                          command_of(["train", config, "--out", out], 2))
        if command is None:
            return
        result = Job(command).wait()
        check(result.code == 0, f"/dev/shm with {options}:\n{result}")
        same_run("undisturbed", out)


@test
def data_that_can_only_be_read():
    config = write_run()
    Path("data").mkdir()
    shutil.move("d.h5", "data/d.h5")
    succeed("train", config, "data.file=data/d.h5", "--out", "undisturbed")
    locked = "mount --bind data data && mount -o remount,ro,bind data"
    def within(*arguments):
        command = mounted(locked, command_of(arguments))
        return command and Job(command, env={k: v for k, v in ENVIRONMENT.items()
                                             if k != "HDF5_USE_FILE_LOCKING"}).wait()
    result = within("train", config, "data.file=data/d.h5", "--out", "run")
    if result is None:
        return
    check(result.code == 0, f"data on a read-only file system:\n{result}")
    same_run("undisturbed", "run")
    for command in (["evaluate", "run", "data.test=/train"], ["inspect", "data/d.h5"]):
        result = within(*command)
        check(result.code == 0, f"data on a read-only file system:\n{result}")
    Path("a.csv").write_text("a,y\n1,0\n2,1\n")
    for arguments in (["prepare", "csv", "a.csv", "--target", "y", "-o", "data/a.h5"],
                      ["train", config, "data.file=data/d.h5", "--out", "data/run"]):
        result = within(*arguments)
        check(len(result.errors) == 1 and result.code == 1, f"no proper refusal:\n{result}")
        result.says("data/", "read-only")


@test
def file_systems_without_locks():
    config = write_run()
    Path("a.csv").write_text("a,y\n1,0\n2,1\n")
    prepare = ["prepare", "csv", "a.csv", "--target", "y", "-o", "a.h5"]
    for error in (errno.ENOLCK, errno.ENOSYS):
        values = environment(flock=error)
        succeed("inspect", "d.h5", env=values)
        succeed("train", config, "--out", f"run{error}", env=values)
        succeed(*prepare, "--force", env=dict(values, HDF5_USE_FILE_LOCKING="FALSE"))
        if error == errno.ENOLCK:  # the library itself writes where locks are not implemented
            refuse(*prepare, "--force", words=("a.h5", "HDF5_USE_FILE_LOCKING=FALSE"), env=values)


if __name__ == "__main__":
    main()
