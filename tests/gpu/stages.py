"""The stages of launch/gpu-check. A stage is a function of a Check: it runs programs, says what it
sees, and raises Failed or Skipped."""
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from checking import NCCL_ON_ONE_GPU, ROOT, SMALL_MLP, Failed, Skipped
from faults import faults
from training import training


def device(check):
    """Load, versions, the GPU's description."""
    if check.machine.why_no_program:
        check.leave_out(f"lockstep does not start here: {check.machine.why_no_program}")
    else:
        version = check.run([check.machine.program, "--version", "--verbose"])
        check.facts["version"] = version
        for line in version.splitlines():
            check.say(line)
        if "GPU 0: " not in version:
            raise Failed("the program sees no GPU")
    describe = check.machine.build / "tests/cuda/describe_gpu"
    if check.machine.emulated or not describe.exists():
        check.leave_out("cuDNN's description of the GPU: it needs a GPU and a build with the plug-in")
    else:
        file = check.machine.work / "device.json"
        file.write_text(check.run([describe]))
        json.loads(file.read_text())
        check.say(f"cuDNN's description of the GPU is in {file}")
    check.passed("the plug-in loads and finds a GPU")


def cases(check, which, what):
    most = ["--most-elements", "3000" if check.machine.emulated else "100000"] if check.quick else []
    for data_type in ("float32", "bfloat16"):
        command = [check.machine.cases, "--plugin", check.machine.plugin, "--type", data_type, *most]
        if not check.run([*command, "--list", *which]).strip():
            check.leave_out(f"{what}, {data_type}: the list has no such cases; training has them")
            continue
        output = check.run([*command, *which])
        check.passed(f"{what}, {data_type}: {output.splitlines()[-1]}")


def kernels(check):
    cases(check, ["--not", "conv", "linear"], "kernels of our own")


def libraries(check):
    cases(check, ["--only", "conv", "linear"], "cuDNN and cuBLASLt")
    legacy = check.machine.build / "tests/gpu/legacy_conv"
    if check.machine.emulated or not legacy.exists():
        check.leave_out("cuDNN's legacy functions: they need a GPU and a build with the plug-in")
        return
    output = check.run([legacy, "--plugin", check.machine.plugin])
    check.passed(f"cuDNN's legacy functions: {output.splitlines()[-1]}")


def replicas(check):
    check.need_program()
    if not check.has_key("replicas"):
        raise Skipped("this build has no run.replicas")
    config = check.config(run__shards=4)
    for count in (1, 2, 4):
        check.train(config, f"r{count}", f"run.replicas={count}")
        check.same_weights("r1", f"r{count}")
    check.passed("1, 2 and 4 replicas on one GPU give the same bits")


def ranks(check):
    check.need_program()
    check.need_mpirun()
    config = check.config(run__shards=4)
    check.train(config, "one")
    for count in (2, 3):
        output = check.run([*check.ranks_on_one_gpu(count), "train", config, "run.share_gpu=true",
                            "--out", f"on{count}"], **NCCL_ON_ONE_GPU)
        check.same_weights("one", f"on{count}")
        check.same_checkpoints("one", f"on{count}")
        way = next((line for line in output.splitlines() if line.startswith("device: ")), "")
        if check.machine.has_nccl and " between GPUs" not in way:
            raise Failed(f"{count} ranks do not exchange by NCCL: {way}")
        check.passed(f"{count} ranks give the bits of one ({way})")
    if not check.machine.has_nccl:
        check.leave_out("NCCL: this build has no plug-in of it, ranks exchanged over the host")


def sanitizer(check):
    if check.machine.emulated:
        raise Skipped("compute-sanitizer needs a GPU")
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if not tool:
        raise Skipped("compute-sanitizer is not there (it comes with the CUDA toolkit)")
    for kind in ("memcheck",) if check.quick else ("memcheck", "racecheck"):
        output = check.run([tool, "--tool", kind, "--error-exitcode", "9", check.machine.cases,
                            "--plugin", check.machine.plugin, "--type", "float32",
                            "--most-elements", "300" if check.quick else "2000", "--not", "conv",
                            "linear"])
        check.passed(f"{kind}: {output.splitlines()[-1].strip()}")


def benchmarks(check):
    check.need_program()
    output = check.work / "ops.json"
    quick = ["--sample-ms", "2", "--repetitions", "3"] if check.quick else []
    # An emulated product takes its time, and is checked elsewhere.
    which = ["add"] if check.machine.emulated else []
    size = ["--mib", "1"] if check.machine.emulated else ["--mib", "64"] if check.quick else []
    for line in check.run([check.machine.program, "bench", "ops", *which, "--device", "cuda", "--json",
                           output, *quick, *size]).splitlines():
        check.say(line)
    check.facts["ops"] = json.loads(output.read_text())
    check.passed("single operations were timed")
    overlap = check.work / "overlap.json"
    for line in check.run([check.machine.program, "bench", "overlap", check.config(run__shards=2), "--json",
                           overlap]).splitlines():
        check.say(line)
    check.facts["overlap"] = json.loads(overlap.read_text())
    check.passed("buckets of gradients were timed within a pass")
    if check.machine.emulated:
        raise Skipped("speed beside PyTorch needs a GPU")
    if not check.machine.python:
        raise Skipped("no Python with torch that sees the GPU: name one with --python")
    peers, data = check.work / "peers.json", check.work / "pictures-28.h5"
    check.run([check.machine.program, "prepare", "synthetic", "images", "--rows", "20000", "--shape",
               "28,28,1", "--classes", "10", "-o", data])
    models = ["resnet50-gpu"] if check.quick else ["mlp-gpu", "cnn-gpu", "resnet50-gpu"]
    command = [check.machine.python, ROOT / "tests/peers/compare.py", "--device", "cuda",
               "--lockstep", check.machine.program, "--data", data, "--python", check.machine.python,
               "--precision", "bfloat16", "--no-startup", "--models", *models, "--json", peers]
    for line in check.run(command + ["--quick"] * check.quick).splitlines():
        check.say(line)
    check.facts["peers"] = json.loads(peers.read_text())
    check.passed("training was timed beside PyTorch")


def soak(check):
    """Many steps: the memory of the GPU and of the process does not grow."""
    check.need_program()
    steps = 40 if check.machine.emulated else 1000 if check.quick else 10000
    config = check.config("soak", SMALL_MLP, training__epochs=None, training__steps=steps,
                          log__every_steps=0, run__shards=1)
    command = [check.machine.program, "train", config, "--out", "soak"]
    job = subprocess.Popen(list(map(str, command)), cwd=check.work, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           env=check.machine.environment)
    samples = []
    while job.poll() is None:
        if time.monotonic() > check.end:
            job.kill()
            job.wait()
            raise Failed(f"{steps} steps take longer than the stage's time")
        samples.append((memory_of_process(job.pid), memory_of_gpu(check, job.pid)))
        time.sleep(0.25)
    if job.returncode != 0:
        raise Failed(f"exit code {job.returncode}: {job.stderr.read()}")
    samples = [pair for pair in samples if pair[0] > 0]
    later = samples[len(samples) // 2:]
    if len(later) < 2:
        check.passed(f"{steps} steps, over too soon to watch the memory")
        return
    for name, place, slack in (("the process", 0, 16), ("the GPU", 1, 2)):
        growth = later[-1][place] - later[0][place]
        if growth > slack:
            raise Failed(f"memory of {name} grew by {growth:.0f} MiB in the second half of {steps} "
                         f"steps: {[round(pair[place]) for pair in later]}")
    check.passed(f"{steps} steps: {later[-1][0]:.0f} MiB of the process, {later[-1][1]:.0f} MiB of "
                 "the GPU, no growth in the second half")


def memory_of_process(pid):  # MiB; 0: it has ended
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20
    except (OSError, IndexError):
        return 0


def memory_of_gpu(check, pid):
    """MiB in use on the GPU, by whoever; 0 without nvidia-smi."""
    if check.machine.emulated or not shutil.which("nvidia-smi"):
        return 0
    output = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                            capture_output=True, text=True, timeout=30).stdout.split()
    return float(output[0]) if output and output[0].isdigit() else 0


@dataclass(frozen=True)
class Stage:
    title: str
    run: Callable
    seconds: int  # that it may take


STAGES = {
    1: Stage("loading, versions, the GPU's description", device, 60),
    2: Stage("kernels against references", kernels, 120),
    3: Stage("cuDNN and cuBLASLt against references", libraries, 120),
    4: Stage("training: the CPU's and PyTorch's curves", training, 150),
    5: Stage("replicas", replicas, 60),
    6: Stage("ranks: 1 = 2 = 3", ranks, 90),
    7: Stage("resume and faults", faults, 120),
    8: Stage("compute-sanitizer", sanitizer, 120),
    9: Stage("benchmarks", benchmarks, 240),
    10: Stage("soak", soak, 120),
}
