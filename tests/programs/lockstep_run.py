"""What the tests of the whole executable share: running commands under mpirun, each test in a fresh
folder, with one clear text where it fails. A script registers tests with @test and ends with main();
`SCRIPT LOCKSTEP [NAME ...]` runs all of its tests, or those named."""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "launch" / "data"
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   HDF5_USE_FILE_LOCKING="FALSE")
# Seconds of silence after which a command counts as hung. Far more than a machine needs that is
# merely busy, less than run.patience_seconds: what ends within it was not ended by a rank's patience.
HANG = 240
LOCKSTEP = ""  # the executable, set by main()
_tests = []
_jobs = []


class Failure(Exception):
    """A test's expectation that did not come true."""


def test(function):
    _tests.append(function)
    return function


def check(condition, text):
    if not condition:
        raise Failure(text)


class Result:
    """An ended command. `text` is all that it said; `errors` are lockstep's own lines on stderr."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err = command, code, out, err
        self.seconds = seconds

    @property
    def text(self):
        return self.out + self.err

    @property
    def errors(self):
        return [line for line in self.err.splitlines() if line.startswith("lockstep: ")]

    def __str__(self):
        return (f"$ {' '.join(map(str, self.command))}\n(exit code {self.code} after "
                f"{self.seconds:.1f} s)\n{self.out}{self.err}")

    def says(self, *words):
        """Every word is there; the case of letters does not matter."""
        for word in words:
            check(str(word).lower() in self.text.lower(), f"'{word}' is not said by\n{self}")
        return self


def mpirun(ranks):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)]


def command_of(arguments, ranks=0):
    """ranks 0: without mpirun."""
    return (mpirun(ranks) if ranks else []) + [LOCKSTEP, *map(str, arguments)]


class Job:
    """A command that runs beside the test, in a session of its own."""

    def __init__(self, command, **options):
        self.command, self.start = command, time.monotonic()
        options.setdefault("env", ENVIRONMENT)
        self.files = [tempfile.TemporaryFile() for _ in range(2)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.files[0],
                                        stderr=self.files[1], start_new_session=True, **options)
        _jobs.append(self)

    def ranks(self, count):
        """Process ids of the ranks, in their order; waits until all are there."""
        def found():
            check(self.process.poll() is None, f"ended before its ranks were found:\n{self.result()}")
            pids = {}
            for entry in Path("/proc").iterdir():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    if parent != self.process.pid:
                        continue
                    for line in (entry / "environ").read_bytes().split(b"\0"):
                        if line.startswith(b"OMPI_COMM_WORLD_RANK="):
                            pids[int(line.split(b"=")[1])] = int(entry.name)
                except (OSError, ValueError, IndexError):
                    continue  # no process, or one that has just ended
            return [pids[rank] for rank in range(count)] if len(pids) == count else None
        return wait_for(found, f"{count} ranks of {self.command}")

    def wait_for(self, condition, what):
        """Waits for something that this job is to bring about before it ends."""
        def come():
            ended = self.process.poll() is not None  # before the condition: it may end with it
            value = condition()
            check(value or not ended, f"ended before {what}:\n{self.result()}")
            return value
        return wait_for(come, what)

    def wait(self, seconds=HANG):
        """Waits for the end, as long as the command does not fall silent."""
        said, last = 0, time.monotonic()
        while True:
            try:
                self.process.wait(1)
                return self.result()
            except subprocess.TimeoutExpired:
                pass
            size = sum(os.fstat(file.fileno()).st_size for file in self.files)
            if size != said:
                said, last = size, time.monotonic()
            elif time.monotonic() > last + seconds:
                self.kill()
                raise Failure(f"still running, and silent for {seconds} s:\n{self.result()}")

    def result(self):
        # Without moving the file's place, which is where the command writes on.
        texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
                 for file in self.files]
        return Result(self.command, self.process.returncode, *texts, time.monotonic() - self.start)

    def kill(self):
        """mpirun gives every rank a process group of its own: the ranks are killed by their ids."""
        if self.process.poll() is not None:
            return
        children = []
        for entry in Path("/proc").iterdir():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    children.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
        for pid in [self.process.pid, *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def wait_for(condition, what, seconds=HANG):
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        check(not late, f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


def run(*arguments, ranks=0, seconds=HANG, **options):
    """Runs lockstep to its end, whatever that is."""
    return Job(command_of(arguments, ranks), **options).wait(seconds)


def succeed(*arguments, **options):
    result = run(*arguments, **options)
    check(result.code == 0, f"failed:\n{result}")
    check("warning" not in result.err.lower(), f"complained:\n{result}")
    return result


def refuse(*arguments, words=(), **options):
    """Fails with exactly one message of lockstep, which holds all of the words."""
    result = run(*arguments, **options)
    check(result.code != 0, f"should have been refused:\n{result}")
    check(result.code > 0, f"died of a signal:\n{result}")
    check(len(result.errors) == 1, f"not one message but {len(result.errors)}:\n{result}")
    for rubbish in ("terminate called", "what():", "HDF5-DIAG", "core dumped", "Signal:"):
        check(rubbish not in result.text, f"'{rubbish}' in\n{result}")
    return result.says(*words)


def same_files(one, other, *names):
    """cmp: names the first byte that differs."""
    for name in names:
        a, b = Path(one, name).read_bytes(), Path(other, name).read_bytes()
        if a == b:
            continue
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        raise Failure(f"{one}/{name} and {other}/{name} differ at byte {at} ({len(a)} and "
                      f"{len(b)} bytes)")


def checkpoints(run_folder):
    return sorted(path.name for path in Path(run_folder, "checkpoints").glob("*.ckpt"))


def same_run(one, other):
    """Checkpoints, weights and metrics, byte by byte."""
    check(checkpoints(one) == checkpoints(other),
          f"checkpoints: {checkpoints(one)} in {one}, {checkpoints(other)} in {other}")
    same_files(one, other, "metrics.jsonl", *[f"checkpoints/{name}" for name in checkpoints(one)],
               "weights.safetensors")


def metrics(run_folder, split=None):
    lines = [json.loads(line) for line in Path(run_folder, "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if split in (None, line["split"])]


def read_safetensors(path):
    """name -> float32 array: 8 bytes of header length, JSON, values."""
    raw = Path(path).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        check(entry["dtype"] == "F32", f"{name} is {entry['dtype']}")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(raw[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, body = {}, b""
    for name, values in tensors.items():
        values = np.ascontiguousarray(values, "<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(body), len(body) + values.nbytes]}
        body += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_h5(path, **datasets):
    """write_h5("a.h5", train_x=..., train_y=...): underscore for the slash."""
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file["/" + name.replace("_", "/")] = values


def digits(rows=None):
    """The bundled digits: x uint8 (N, 8, 8, 1), y int64."""
    table = np.loadtxt(DATA / "digits.csv", delimiter=",", skiprows=1, dtype=np.int64,
                       max_rows=rows)
    return table[:, 1:].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, 0]


def write_config(path, text="", **tables):
    """write_config("a.toml", optimizer={"kind": "sgd"}, ...) or the text as it stands."""
    for table, keys in tables.items():
        text += f"[{table}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
    Path(path).write_text(text)
    return path


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def processor_isas():
    flags = Path("/proc/cpuinfo").read_text().split()
    return [isa for isa, flag in (("avx512", "avx512f"), ("avx2", "avx2"), ("generic", "flags"))
            if flag in flags]


def seeded_random():
    """LOCKSTEP_TEST_SEED repeats a run."""
    seed = int(os.environ.get("LOCKSTEP_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed} (LOCKSTEP_TEST_SEED={seed} repeats it)")
    return random.Random(seed)


def main():
    global LOCKSTEP
    LOCKSTEP = str(Path(sys.argv[1]).resolve())
    chosen = [function for function in _tests
              if len(sys.argv) == 2 or function.__name__ in sys.argv[2:]]
    names = [function.__name__ for function in _tests]
    unknown = [name for name in sys.argv[2:] if name not in names]
    check(not unknown, f"no such test: {', '.join(unknown)}; there are: {', '.join(names)}")
    failed = []
    for function in chosen:
        folder = tempfile.mkdtemp(prefix=f"lockstep-{function.__name__}-")
        os.chdir(folder)
        start = time.monotonic()
        try:
            function()
        except Exception as error:  # any: the other tests still run
            failed.append(function.__name__)
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            print(f"FAILED {function.__name__}: {text}\n(its files: {folder})", flush=True)
        else:
            print(f"ok {function.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            os.chdir("/")
            shutil.rmtree(folder)
        finally:
            while _jobs:
                _jobs.pop().kill()
    if failed:
        sys.exit(f"{len(failed)} of {len(chosen)} failed: {', '.join(failed)}")
    print(f"{len(chosen)} tests passed")
