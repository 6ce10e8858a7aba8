"""What the stages of launch/gpu-check share: the machine with the programs of one build, and a stage
under way, which runs programs within its time and notes what it sees. Python's own library alone:
the machine may have no more."""
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "liblockstep_cuda.so"
NCCL = "liblockstep_nccl.so"
# Several NCCL ranks on one GPU: each has to take itself for a host of its own.
NCCL_ON_ONE_GPU = {"NCCL_NET": "Socket", "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1",
                   "NCCL_NVLS_ENABLE": "0", "NCCL_SOCKET_IFNAME": "lo"}
SMALL_NETWORK = """
[[model.layers]]
kind = "conv2d"
channels = 16
kernel = 3
padding = 1
[[model.layers]]
kind = "batch_norm"
[[model.layers]]
kind = "relu"
[[model.layers]]
kind = "conv2d"
channels = 32
kernel = 3
padding = 1
[[model.layers]]
kind = "batch_norm"
[[model.layers]]
kind = "relu"
[[model.layers]]
kind = "max_pool"
kernel = 2
[[model.layers]]
kind = "flatten"
[[model.layers]]
kind = "linear"
"""
SMALL_MLP = '[model]\nnetwork = "mlp"\n'


class Failed(Exception):
    """What was checked is not as it should be."""


class Skipped(Exception):
    """The machine, or this build, lacks what the check needs."""


class Machine:
    """The programs of one build, and what this machine has."""

    def __init__(self, build, report, emulated, python):
        self.build, self.emulated = build, emulated
        self.work = report.with_name(report.stem + ".work")
        self.work.mkdir(parents=True, exist_ok=True)
        self.program, self.plugin = build / "launch/lockstep", build / "launch" / PLUGIN
        self.cases = build / "tests/gpu/gpu_cases"
        self.environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
                                OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", HDF5_USE_FILE_LOCKING="FALSE")
        if emulated:
            self.plugin = build / "tests/emulation/plugin" / PLUGIN
        self.has_nccl = self.plugin.with_name(NCCL).exists()
        for file in (self.cases, self.plugin):
            if not file.exists():
                raise Failed(f"{file} is not there: build with the tests and -DLOCKSTEP_CUDA=ON "
                             "first, or name another folder with --build")
        if emulated:
            self.use_emulation()
        self.find_gpus()
        self.why_no_program = self.reason_not_to_start([self.program, "--version"])
        self.mpirun = shutil.which("mpirun")
        self.python = self.find_torch(python)

    def use_emulation(self):
        """A copy of the program with the emulated plug-in in the plug-in's place."""
        folder, library = self.work / "program/bin", self.work / "program/lib/lockstep"
        folder.mkdir(parents=True, exist_ok=True)
        library.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.program, folder)
        for file in (self.build / "kernels/liblockstep_core.so", self.plugin,
                     self.plugin.with_name(NCCL)):
            if file.exists():
                shutil.copy(file, library)
        self.program = folder / "lockstep"
        self.environment.update(
            EMULATED_GPUS=os.environ.get("EMULATED_GPUS", "A"),
            LD_LIBRARY_PATH=f"{library}:{os.environ.get('LD_LIBRARY_PATH', '')}")

    def find_gpus(self):
        """By gpu_cases, which needs no MPI; what nvidia-smi says of them where there is one."""
        result = subprocess.run([self.cases, "--plugin", self.plugin, "--only", "fill"],
                                env=self.environment, capture_output=True, text=True, timeout=120)
        self.gpus, self.about, self.why_no_gpu = [], [], ""
        if result.returncode == 77:
            self.why_no_gpu = result.stdout.strip().removeprefix("SKIPPED: no GPU: ")
            return
        if result.returncode != 0:
            raise Failed(f"{self.cases} fails at once: {result.stdout}{result.stderr}")
        self.about = [result.stdout.splitlines()[0].rsplit(";", 1)[0]]
        self.gpus = [self.about[0]]
        if not self.emulated and shutil.which("nvidia-smi"):
            listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True,
                                    timeout=60).stdout.splitlines()
            self.about += listed
            self.gpus += listed

    def reason_not_to_start(self, command):
        try:
            result = subprocess.run(command, env=self.environment, capture_output=True, text=True,
                                    timeout=60)
        except OSError as error:
            return str(error)
        return "" if result.returncode == 0 else (result.stderr.strip() or "it fails")

    def find_torch(self, python):
        oracle = ROOT / "build/oracles/bin/python"
        for candidate in [python] if python else [oracle, shutil.which("python3")]:
            if candidate and not self.reason_not_to_start(
                    [candidate, "-c", "import torch; assert torch.cuda.is_available()"]):
                return str(candidate)
        return ""


class Check:
    """One stage under way: runs commands in a folder of its own, within the stage's time."""

    def __init__(self, machine, work, quick, end):
        self.machine, self.work, self.quick, self.end = machine, work, quick, end
        self.said, self.skips, self.facts, self.done = [], [], {}, 0

    def say(self, line):
        self.said.append(line)
        print(f"   {line}", flush=True)

    def leave_out(self, reason):
        """A part of the stage that cannot be had here."""
        self.skips.append(reason)
        self.say(f"LEFT OUT: {reason}")

    def passed(self, line):
        self.done += 1
        self.say(line)

    def run(self, command, code=0, **environment):
        """The output of a command that is to end with this code; code None: with any but 0."""
        text = " ".join(map(str, command))
        try:
            result = subprocess.run([str(word) for word in command], cwd=self.work, text=True,
                                    env=dict(self.machine.environment, **environment),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=max(1, self.end - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode(errors="replace")
            raise Failed(f"the stage's time ran out in: {text}\n{output[-2000:]}") from None
        if result.returncode == 0 if code is None else result.returncode != code:
            raise Failed(f"exit code {result.returncode} from: {text}\n{result.stdout[-3000:]}")
        return result.stdout

    def need_program(self):
        if self.machine.why_no_program:
            raise Skipped(f"lockstep does not start here: {self.machine.why_no_program}")

    def need_mpirun(self):
        if not self.machine.mpirun:
            raise Skipped("there is no mpirun: ranks cannot be started (Debian: openmpi-bin)")

    def has_key(self, key):
        """Whether this build knows run.KEY."""
        return re.search(rf"^  {key} ", self.run([self.machine.program, "train", "--help"]),
                         re.MULTILINE) is not None

    def digits(self):
        file = self.machine.work / "digits.h5"
        if not file.exists():
            self.run([self.machine.program, "prepare", "digits", "--test", "0.2", "-o", file])
        return file

    def config(self, name="net", model=None, **keys):
        """A network with convolutions and batch norm on the bundled digits; keys as `run__device`."""
        text = f'[data]\nfile = "{self.digits()}"\n' + (model or SMALL_NETWORK)
        text += '[loss]\nkind = "cross_entropy"\n'
        tables = {"optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.9},
                  "training": {"epochs": 2, "batch": 128}, "run": {"device": "cuda", "seed": 3},
                  "log": {"every_steps": 1}}
        for key, value in keys.items():
            table, _, field = key.partition("__")
            tables.setdefault(table, {})[field] = value
        for table, fields in tables.items():
            lines = [f"{k} = {json.dumps(v)}\n" for k, v in fields.items() if v is not None]
            text += f"[{table}]\n" + "".join(lines)
        path = self.work / f"{name}.toml"
        path.write_text(text)
        return path

    def train(self, config, out, *words, ranks=1, code=0, **environment):
        start = [] if ranks == 1 else [self.machine.mpirun, "--oversubscribe", "--bind-to", "none",
                                       "-np", ranks]
        return self.run([*start, self.machine.program, "train", config, "--out", out, *words],
                        code, **environment)

    def ranks_on_one_gpu(self, count):
        """What starts lockstep so; with NCCL_ON_ONE_GPU around it, ranks exchange by NCCL."""
        as_hosts = self.work / "as-hosts"
        as_hosts.write_text("#!/bin/sh\nexport NCCL_HOSTID=host$OMPI_COMM_WORLD_RANK\n"
                            f'exec "{self.machine.program}" "$@"\n')
        as_hosts.chmod(0o755)
        return [self.machine.mpirun, "--oversubscribe", "--bind-to", "none", "-np", count, as_hosts]

    def losses(self, run):
        lines = (self.work / run / "metrics.jsonl").read_text().splitlines()
        return [entry["loss"] for entry in map(json.loads, lines) if entry["split"] == "train"]

    def same_weights(self, one, other):
        files = [self.work / run / "weights.safetensors" for run in (one, other)]
        if files[0].read_bytes() != files[1].read_bytes():
            raise Failed(f"{files[0]} and {files[1]} differ")

    def same_checkpoints(self, one, other):
        files = [sorted((self.work / run / "checkpoints").glob("*.ckpt")) for run in (one, other)]
        if [file.name for file in files[0]] != [file.name for file in files[1]]:
            raise Failed(f"{one} and {other} have other checkpoints: {files}")
        for mine, theirs in zip(*files):
            if mine.read_bytes() != theirs.read_bytes():
                raise Failed(f"{mine} and {theirs} differ")
