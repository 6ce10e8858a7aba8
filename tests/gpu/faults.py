"""Resume, and what ends a run: a kernel that traps, a rank that is killed, a GPU that is not there."""
import os
import signal
import subprocess
import time
from pathlib import Path

from checking import NCCL_ON_ONE_GPU, Failed


def faults(check):
    """Resume; a kernel that traps; a killed peer; what cannot be had is refused in one line."""
    check.need_program()
    config = check.config(run__shards=2, training__epochs=4)
    check.train(config, "whole")
    check.train(config, "parts", "training.epochs=2")
    check.run([check.machine.program, "train", config, "--resume", "parts", "--allow-change",
               "training.epochs"])
    check.same_weights("whole", "parts")
    check.passed("a resumed run gives the bits of an undisturbed one")

    hidden = {"EMULATED_GPUS": ""} if check.machine.emulated else {"CUDA_VISIBLE_DEVICES": ""}
    output = check.train(config, "none", code=None, **hidden)
    if 'run.device = "cuda"' not in output:
        raise Failed(f"without a GPU it says:\n{output}")
    check.passed("a hidden GPU is refused by name")
    trapping_kernel(check)
    if not check.machine.mpirun:
        check.leave_out("a killed peer: there is no mpirun")
        return
    killed_peer(check)


def trapping_kernel(check):
    """A kernel traps in the midst of training: one message, intact checkpoints, and the run goes on
    from the last of them to its end."""
    config = check.config("trap", run__shards=2, checkpoint__every_steps=2, checkpoint__keep=99)
    check.train(config, "sound")
    trap = check.machine.build / "tests/gpu/libtrap.so"
    if check.machine.emulated:
        fault = {"EMULATED_FAULT": "kernel 1500"}
    elif trap.exists():
        fault = {"LD_PRELOAD": str(trap), "LOCKSTEP_TRAP_AT": "1500"}
    else:
        check.leave_out("a trapping kernel: this build has no tests/gpu/libtrap.so")
        return
    output = check.train(config, "trapped", "run.graph=false" if check.has_key("graph") else
                         "run.device=cuda", code=None, **fault)
    errors = [line for line in output.splitlines() if line.startswith("lockstep: ")]
    if len(errors) != 1 or "step " not in errors[0] or "CUDA error" not in errors[0]:
        raise Failed(f"not one message that names the step and CUDA's error:\n{output}")
    kept = sorted((check.work / "trapped/checkpoints").glob("*.ckpt"))
    if not kept:
        raise Failed(f"no checkpoint before the fault:\n{output}")
    for file in kept:
        if file.read_bytes() != (check.work / "sound/checkpoints" / file.name).read_bytes():
            raise Failed(f"{file} is not that of an undisturbed run")
    check.run([check.machine.program, "train", "--resume", "trapped"])
    check.same_weights("sound", "trapped")
    check.passed(f"a trapping kernel ends the run ({errors[0].removeprefix('lockstep: ')}); resumed "
                 f"from {kept[-1].name}, it gives the bits of an undisturbed one")


def killed_peer(check):
    """Rank 1 dies in the midst of training: the job ends with one message, its checkpoint holds."""
    config = check.config("long", run__shards=2, training__epochs=2000, checkpoint__every_steps=20)
    command = [*check.ranks_on_one_gpu(2), "train", config, "run.share_gpu=true", "--out", "killed"]
    log = check.work / "killed.log"
    with open(log, "wb") as output:
        job = subprocess.Popen(list(map(str, command)), cwd=check.work, stdin=subprocess.DEVNULL,
                               stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                               env=dict(check.machine.environment, **NCCL_ON_ONE_GPU))
    try:
        folder = check.work / "killed/checkpoints"
        while not list(folder.glob("*.ckpt")):
            if job.poll() is not None or time.monotonic() > check.end:
                raise Failed(f"no checkpoint was written:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        os.kill(rank_process(job.pid, 1), signal.SIGKILL)
        code = job.wait(timeout=max(1, min(60, check.end - time.monotonic())))
    except subprocess.TimeoutExpired:
        raise Failed("the job hangs when a rank was killed") from None
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
    if code == 0:
        raise Failed("the job ends with code 0 though a rank was killed")
    for file in folder.glob("*.ckpt"):
        check.run([check.machine.program, "inspect", file])
    check.passed(f"a killed rank ends the job (exit code {code}); its checkpoint is intact")


def rank_process(mpirun, rank):
    """The process id of a rank, among mpirun's children."""
    wanted = f"OMPI_COMM_WORLD_RANK={rank}".encode()
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == mpirun and wanted in (entry / "environ").read_bytes().split(b"\0"):
                return int(entry.name)
        except (OSError, ValueError, IndexError):
            continue  # no process, or one that has just ended
    raise Failed(f"rank {rank} of the job was not found")
