"""What the tests against PyTorch share: they run under the interpreter that `launch/test --oracles`
makes, or say that they were skipped and end with 77, which ctest counts as skipped.

    SCRIPT LOCKSTEP PYTHON"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77


def relaunch(script):
    """Runs the script again under the oracles' interpreter."""
    lockstep, python = sys.argv[1:3]
    found = subprocess.run([python, "-c", "import torch, safetensors, h5py"],
                           capture_output=True) if os.path.exists(python) else None
    if found is None or found.returncode != 0:
        print(f"skipped: no PyTorch with safetensors and h5py at {python}; launch/test --oracles makes it")
        sys.exit(SKIPPED)
    sys.exit(subprocess.run([python, "-B", script, lockstep]).returncode)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def start(script, main):
    """main(lockstep) in a fresh folder, under the right interpreter."""
    if len(sys.argv) == 3:
        relaunch(script)
    executable = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main(executable)
