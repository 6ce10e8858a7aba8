"""Programs whose GPUs the tests' emulation plays: a copy of the executable with the plug-in that a
test wants beside it."""
import os
import shutil
import sys
from pathlib import Path

import lockstep_run
from lockstep_run import ENVIRONMENT

BUILD = Path(sys.argv[1]).resolve().parents[1]
PLUGIN = "liblockstep_cuda.so"
NCCL = "liblockstep_nccl.so"
EMULATED = BUILD / "tests/emulation/plugin" / PLUGIN
EMULATED_NCCL = EMULATED.with_name(NCCL)


def program_with(plugin=None, nccl=None):
    """Lets run() use a copy of the program, with these files in the plug-ins' places."""
    folder = Path("copy/bin").resolve()
    library = folder.parent / "lib/lockstep"
    for made in (folder, library):
        made.mkdir(parents=True, exist_ok=True)
    program = folder / "lockstep"
    shutil.copy(BUILD / "launch/lockstep", program)
    shutil.copy(BUILD / "kernels/liblockstep_core.so", library)
    for name, file in ((PLUGIN, plugin), (NCCL, nccl)):
        (library / name).unlink(missing_ok=True)
        if file:
            shutil.copy(file, library / name)
    lockstep_run.LOCKSTEP = str(program)


def environment(**changes):
    library = str(Path("copy/lib/lockstep").resolve())
    return dict(ENVIRONMENT, LD_LIBRARY_PATH=f"{library}:{os.environ.get('LD_LIBRARY_PATH', '')}",
                **changes)
