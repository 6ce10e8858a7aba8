#!/usr/bin/env python3
"""Layers, losses and optimizers beside PyTorch's on fresh random inputs: golden/make_operations.py makes
the file that the tests of tests/models/operations_test.cc read instead of the stored one.

    SCRIPT MODELS_TEST PYTHON

PYTHON is the interpreter of the environment that `launch/test --oracles` makes. Without it the test
says so and ends with 77, which ctest counts as skipped."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77


def main(models_test, python):
    found = subprocess.run([python, "-c", "import torch, numpy"],
                           capture_output=True) if os.path.exists(python) else None
    if found is None or found.returncode != 0:
        print(f"skipped: no PyTorch at {python}; launch/test --oracles makes it")
        sys.exit(SKIPPED)
    script = Path(__file__).resolve().parents[1] / "golden" / "make_operations.py"
    seed = int.from_bytes(os.urandom(3), "little")
    print(f"seed {seed}; the same values: {python} {script} operations.json {seed}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operations.json"
        subprocess.run([python, "-B", script, path, str(seed)], check=True)
        done = subprocess.run([models_test, "--gtest_filter=Operations.*"],
                              env={**os.environ, "LOCKSTEP_OPERATIONS": str(path)},
                              capture_output=True, text=True)
    print(done.stdout)
    if done.returncode != 0 or "[  PASSED  ] 3 tests" not in done.stdout:
        sys.exit("PyTorch computes something else")


if __name__ == "__main__":
    main(*sys.argv[1:3])
