"""What the oracle tests share: they run under the interpreter that `launch/test --oracles`
makes, or say that they were skipped and end with 77, which ctest counts as skipped.

    SCRIPT LOCKSTEP PYTHON"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77


def relaunch(script, modules):
    """Runs the script again under the oracles' interpreter, where that has the modules."""
    lockstep, python = sys.argv[1:3]
    found = subprocess.run([python, "-c", "import " + modules],
                           capture_output=True) if os.path.exists(python) else None
    if found is None or found.returncode != 0:
        print(f"skipped: {python} without {modules}; launch/test --oracles makes it")
        sys.exit(SKIPPED)
    sys.exit(subprocess.run([python, "-B", script, lockstep]).returncode)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def start(script, main, modules="torch, safetensors, h5py"):
    """main(lockstep) in a fresh folder, under the right interpreter."""
    if len(sys.argv) == 3:
        relaunch(script, modules)
    executable = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main(executable)
