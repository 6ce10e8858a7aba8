"""What lockstep's start costs: its whole run of a single step beside an MPI program that does
nothing, in turns, on one rank without mpirun and on two ranks with it."""

import pathlib
import subprocess
import tempfile
import time

from contenders import CONFIG, HERE, mpi_environment, mpirun, run_child, summary


def seconds(command):
    start = time.perf_counter()
    run_child(command, mpi_environment())
    return time.perf_counter() - start


def measure(lockstep, data, runs):
    """{ranks: {program: summary of seconds}}; the first run of each only warms the file cache."""
    with tempfile.TemporaryDirectory() as folder:
        empty = pathlib.Path(folder) / "empty_mpi"
        subprocess.run(["mpicc", "-O2", str(HERE / "empty_mpi.c"), "-o", str(empty)], check=True)
        # data.validation is empty: an evaluation would count as start-up.
        common = [str(CONFIG["mlp"]), f"data.file={data}", "data.validation=", "run.threads=1"]
        programs = {
            "empty MPI program": lambda _: [str(empty)],
            "bench step, 1 step":
                lambda _: [str(lockstep), "bench", "step", *common, "--steps", "1",
                           "--warm-up", "0", "--rounds", "1"],
            "train, 1 step, checkpoint, weights":
                lambda run: [str(lockstep), "train", *common, "training.steps=1",
                             "--out", f"{folder}/run-{run}"],
        }
        result = {}
        for ranks in (1, 2):
            times = {name: [] for name in programs}
            for number in range(runs + 1):
                for name, command in programs.items():
                    times[name].append(seconds(mpirun(ranks) + command(f"{ranks}-{number}")))
            key = f"{ranks} rank{'s' * (ranks > 1)}"
            result[key] = {name: summary(values[1:]) for name, values in times.items()}
        return result
