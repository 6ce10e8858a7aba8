"""The programs that compare.py times: lockstep, started anew for every round, and PyTorch, whose
process stays, warm, and waits on its standard input between rounds. Standard library only: a
child's peak memory counts from its parent's size, so the parent has to stay small."""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile

from tasks import CLASSES, LR, MEAN, MOMENTUM, STD, TASKS

HERE = pathlib.Path(__file__).resolve().parent
CONFIGS = HERE.parent.parent / "launch" / "configs"
CONFIG = {"mlp": CONFIGS / "fashion-mnist.toml", "cnn": CONFIGS / "fashion-mnist-cnn.toml"}
GPU_SHARDS = (1, 4)  # of lockstep's batch on a GPU

# malloc keeps freed pages instead of handing them back to the kernel after every step.
KEEP_PAGES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592"


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "rounds": values}


def mpirun(ranks):
    return ["mpirun", "-np", str(ranks)] if ranks > 1 else []


def mpi_environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def run_child(command, environment=None):
    """Runs to the end; returns the peak MiB of the largest process among it and its children."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise SystemExit(f"compare.py: exit code {child.returncode} from\n  "
                             f"{' '.join(map(str, command))}\n{text}")
    return usage.ru_maxrss / 1024


PICTURES_CONFIG = """\
[data]
file = "{data}"
mean = [{mean}, {mean}, {mean}]
std = [{std}, {std}, {std}]
[model]
network = "{network}"
[optimizer]
kind = "sgd"
lr = {lr}
momentum = {momentum}
[training]
steps = 1
batch = {batch}
"""


def config_of(model, folder, data):
    """The small networks' configs are the project's own, those for pictures are written here."""
    task = TASKS[model]
    if not task.pictures:
        return CONFIG[task.network]
    config = pathlib.Path(folder) / f"{model}.toml"
    config.write_text(PICTURES_CONFIG.format(data=data, network=task.network, batch=task.batch,
                                             mean=MEAN, std=STD, lr=LR, momentum=MOMENTUM))
    return config


def pictures(lockstep, task, folder):
    """A file of random pictures, made at the first call for a size."""
    path = pathlib.Path(folder) / f"pictures-{task.image}.h5"
    if not path.exists():
        run_child([str(lockstep), "prepare", "synthetic", "images", "--rows", "512", "--shape",
                   f"{task.image},{task.image},3", "--classes", str(CLASSES), "-o", str(path)])
    return path


def flags(arguments):
    """What torch_step.py takes over from compare.py."""
    return (["--precision", arguments.precision, "--device", arguments.device]
            + ["--inference"] * arguments.inference)


class Lockstep:
    """`lockstep bench step`, or `bench predict`, on ranks x threads."""

    def __init__(self, arguments, config, data, model, ranks, threads, effort, shards=0):
        self.name = (f"lockstep {ranks} rank{'s' * (ranks > 1)} x "
                     f"{threads} thread{'s' * (threads > 1)}")
        if shards:
            self.name = f"lockstep on the GPU, {shards} shard{'s' * (shards > 1)}"
        self.ranks, self.threads = ranks, threads
        self.peak_mib = 0.0
        steps = max(1, int(TASKS[model].lockstep_steps * effort))
        what = ["predict"] if arguments.inference else [
            "step", "--steps", str(steps), "--warm-up", str(max(1, steps // 5))]
        self.command = mpirun(ranks) + [
            str(arguments.lockstep), "bench", *what, str(config), f"data.file={data}",
            f"run.threads={threads}", "--rounds", "1"]
        self.command.append(f"run.device={arguments.device}")
        if shards:
            self.command += [f"run.shards={shards}", f"training.batch={TASKS[model].batch}"]
        if arguments.precision != "float32":
            self.command.append(f"run.precision={arguments.precision}")

    def start(self):
        return ""

    def round(self):
        with tempfile.TemporaryDirectory() as folder:
            result = pathlib.Path(folder) / "step.json"
            peak = run_child(self.command + ["--json", str(result)], mpi_environment())
            self.peak_mib = max(self.peak_mib, peak)
            return json.loads(result.read_text())["samples_per_second"]

    def stop(self):
        pass


class Torch:
    """torch_step.py in one process, or in several that share the batch through gloo."""

    def __init__(self, arguments, data, model, threads, mode, keep_pages, effort, ranks=1):
        self.ranks, self.threads, self.mode, self.keep_pages = ranks, threads, mode, keep_pages
        shape = f"DDP {ranks} ranks x {threads}" if ranks > 1 else str(threads)
        if arguments.device == "cuda":
            shape = "on the GPU, host"
        self.name = (f"PyTorch {shape} thread{'s' * (threads > 1)}, {mode}"
                     f"{', malloc keeps pages' * keep_pages}")
        steps = max(1, int(TASKS[model].torch_steps * effort) // ranks)  # DDP is the slowest
        steps *= 3 if arguments.inference else 1
        self.command = [
            str(arguments.python), str(HERE / "torch_step.py"),
            "--data", str(data), "--model", model,
            "--threads", str(threads), "--mode", mode, "--steps", str(steps),
            "--warm-up", str(max(2, steps // 10)), "--on-request",
            *flags(arguments)] + ["--ddp"] * (ranks > 1)
        self.processes = []

    def environment(self, rank, port):
        """What torchrun would set, and the malloc's wishes."""
        environment = dict(os.environ, OMP_NUM_THREADS=str(self.threads),
                           TORCHINDUCTOR_COMPILE_THREADS="1")  # no idle pool beside the timing
        environment.pop("GLIBC_TUNABLES", None)
        if self.keep_pages:
            environment["GLIBC_TUNABLES"] = KEEP_PAGES
        if self.ranks > 1:
            environment.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(self.ranks),
                               MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        return environment

    def start(self):
        """Returns the way of training that torch_step.py found the fastest."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = [
            subprocess.Popen(self.command, env=self.environment(rank, port), text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for rank in range(self.ranks)]
        return self.answer()["ready"]

    def round(self):
        for process in self.processes:
            process.stdin.write("round\n")
            process.stdin.flush()
        return self.answer()["samples_per_second"]

    def answer(self):
        line = self.processes[0].stdout.readline()
        if not line:
            raise SystemExit(f"compare.py: {self.name} ended early; its message stands above\n  "
                             f"{' '.join(self.command)}")
        return json.loads(line)

    def stop(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:  # a rank whose partner died waits for half an hour
                process.kill()
                process.wait()


def contenders(model, config, arguments, data, effort):
    """Everything that trains `model` in one comparison, in the order of its rounds."""
    if arguments.device == "cuda":
        return on_gpu(model, config, arguments, data, effort)
    # A step of the networks for pictures takes seconds: one worker each is left out there.
    alone = [] if TASKS[model].pictures else [1]

    def lockstep(ranks, threads):
        return Lockstep(arguments, config, data, model, ranks, threads, effort)

    def torch(threads, mode, keep_pages, ranks=1):
        return Torch(arguments, data, model, threads, mode, keep_pages, effort, ranks)

    modes = ["eager"] if arguments.no_compile else ["eager", "compile"]
    entries = [lockstep(1, threads) for threads in [*alone, 2]] + [lockstep(2, 1)]
    for threads in [*alone, 2]:
        entries.append(torch(threads, "eager", False))
        entries += [torch(threads, mode, True) for mode in modes]
    if not arguments.inference:
        entries += [torch(1, mode, True, ranks=2) for mode in modes]
    return entries


def on_gpu(model, config, arguments, data, effort):
    """One GPU each: lockstep by shards, PyTorch eager and compiled; small networks with graphs."""
    compiled = "compile" if TASKS[model].pictures else "reduce-overhead"
    modes = ["eager"] if arguments.no_compile else ["eager", compiled]
    entries = [Lockstep(arguments, config, data, model, 1, 1, effort, shards)
               for shards in GPU_SHARDS]
    return entries + [Torch(arguments, data, model, 1, mode, False, effort) for mode in modes]
