#!/usr/bin/env python3
"""What cmake --install and cpack make: the installed program finds its data, a project outside the
tree builds a program with a layer and a network of its own, the Debian package holds what it should.

    SCRIPT LOCKSTEP BUILD_FOLDER [TEST ...]"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "programs"))
import lockstep_run  # noqa: E402
from lockstep_run import *  # noqa: E402,F403 (the test vocabulary)

BUILD = Path(sys.argv.pop(2)).resolve()
PREFIX = Path("prefix")


def tool(*command, seconds=4 * HANG, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=seconds, env=ENVIRONMENT, **options)
    check(done.returncode == 0, f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def install():
    """Installs the build and lets run() use the installed program."""
    tool("cmake", "--install", BUILD, "--prefix", PREFIX.resolve())
    lockstep_run.LOCKSTEP = str((PREFIX / "bin/lockstep").resolve())


@test
def installed_program():
    install()
    for name in ("bin/lockstep", "lib/lockstep/liblockstep_core.so", "share/lockstep/configs/digits.toml",
                 "share/lockstep/data/titanic.csv",
                 "share/bash-completion/completions/lockstep",
                 "include/lockstep/models/layers/linear.h"):
        check((PREFIX / name).exists(), f"{name} is not installed")
    page = PREFIX / "share/doc/lockstep/README.md"
    named = set(re.findall(r"\blaunch/(?:configs|data|slurm|hostfile|fine-tune)[\w./-]*\b", page.read_text()))
    check({"launch/hostfile", "launch/slurm/train.sbatch", "launch/fine-tune.md"} <= named, f"{named}")
    for name in named:
        check((page.parent / name).exists(), f"README.md names {name}, which is not installed")
    check(list(PREFIX.glob("**/cmake/lockstep/lockstep-config.cmake")), "no CMake package")
    check(list(PREFIX.glob("**/liblockstep_launch.a")), "no libraries")
    folder = str((PREFIX / "share/lockstep/data/digits.csv").resolve())
    succeed("prepare", "digits", "--help").says(folder)
    succeed("prepare", "digits", "-o", "d.h5")
    succeed("train", PREFIX / "share/lockstep/configs/digits.toml", "data.file=d.h5",
            "training.epochs=2", "--out", "run", ranks=2)
    succeed("evaluate", "run").says("accuracy")


@test
def completion():
    """What bash offers, asked as bash asks."""
    install()
    script = PREFIX / "share/bash-completion/completions/lockstep"
    check(script.read_text() == succeed("completion", "bash").out, "the installed script is another")
    Path("table.csv").write_text("")

    def offered(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        text = tool("bash", "-c", f"compopt() {{ :; }}; source {script}; COMP_WORDS=({quoted}); "
                    f"COMP_CWORD={len(words) - 1}; _lockstep; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        return text.split()
    check("train" in offered("lockstep", "tr"), f"{offered('lockstep', 'tr')}")
    check(set(offered("lockstep", "prepare", "")) >= {"csv", "digits", "idx"}, "kinds of prepare")
    check(offered("lockstep", "prepare", "csv", "--tar") == ["--target"], "options of a kind")
    check(offered("lockstep", "train", "a.toml", "optimizer.bet")
          == ["optimizer.beta1=", "optimizer.beta2="], "keys")
    check("--resume" in offered("lockstep", "train", "--"), "options of train")
    check(offered("lockstep", "prepare", "csv", "tab") == ["table.csv"], "files")
    check(offered("lockstep", "train", "a.toml", "data.file", "=", "tab") == ["table.csv"],
          "files behind a key")


@test
def program_of_ones_own():
    """The example against the installed package: its network trains, alike on any ranks."""
    install()
    example = Path(__file__).resolve().parent / "example"
    lines = [line for line in (example / "main.cc").read_text().splitlines() if line.strip()]
    check(len(lines) < 60, f"the example has grown to {len(lines)} lines")
    tool("cmake", "-G", "Ninja", "-S", example, "-B", "build",
         f"-DCMAKE_PREFIX_PATH={PREFIX.resolve()}")
    tool("cmake", "--build", "build")
    succeed("prepare", "digits", "-o", "d.h5")
    lockstep_run.LOCKSTEP = str(Path("build/gained").resolve())
    config = write_config("a.toml", run={"shards": 4, "threads": 1}, data={"file": "d.h5"},
                          model={"network": "gained"}, loss={"kind": "cross_entropy"},
                          optimizer={"lr": 0.01}, training={"epochs": 5, "batch": 64})
    succeed("inspect", config).says("gain", "fc")
    succeed("train", config, "--out", "one")
    succeed("train", config, "--out", "three", ranks=3)
    same_run("one", "three")
    weights = read_safetensors("one/weights.safetensors")["gain.gain"]
    check(weights.shape == (64,) and np.abs(weights - 1).max() > 0.01, f"gains {weights}")
    succeed("evaluate", "one", "--json", "e.json")
    check(json.loads(Path("e.json").read_text())["accuracy"] > 0.8, "learned little")
    succeed("train", "--help").says("a gain a feature")
    refuse("train", config, "model.network=gaind", "--out", "x", words=["did you mean 'gained'"])


@test
def debian_package():
    """Its contents and control fields."""
    version = succeed("--version").out.split()[1]
    tool("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", Path("out").resolve())
    packages = list(Path("out").glob("*.deb"))
    check(len(packages) == 1, f"{packages}")

    def control(field):
        return tool("dpkg-deb", "--field", packages[0], field).strip()
    check(control("Package") == "lockstep", control("Package"))
    check(control("Version").startswith(version), control("Version"))
    for part in ("openmpi-bin", "libopenmpi3", "libhdf5", "libc6", "libstdc++6", "libpng16-16"):
        check(part in control("Depends"), f"{part} is not in Depends: {control('Depends')}")
    check("dnnl" not in control("Depends"), f"depends on the peer: {control('Depends')}")
    names = tool("dpkg-deb", "--contents", packages[0])
    for name in ("./usr/bin/lockstep\n", "./usr/share/lockstep/data/digits.csv\n",
                 "./usr/share/lockstep/configs/digits.toml\n", "/lockstep-config.cmake\n",
                 "./usr/share/doc/lockstep/copyright\n",
                 "./usr/share/doc/lockstep/launch -> ../../lockstep\n",
                 "./usr/share/lockstep/slurm/train.sbatch\n", "./usr/share/lockstep/hostfile\n",
                 "./usr/share/bash-completion/completions/lockstep\n",
                 "./usr/include/lockstep/launch/lockstep_main.h\n", "/liblockstep_launch.a\n"):
        check(name in names, f"{name.strip()} is not in the package:\n{names}")
    tool("dpkg-deb", "--extract", packages[0], "root")
    lockstep_run.LOCKSTEP = str(Path("root/usr/bin/lockstep").resolve())
    succeed("prepare", "digits", "--help").says(str(Path("root/usr/share/lockstep").resolve()))


if __name__ == "__main__":
    main()
