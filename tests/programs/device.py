#!/usr/bin/env python3
"""On what a run computes: which libraries the executable needs, and what it says and does where the
CUDA plug-in, the driver or a GPU is missing or wrong. Every test has a copy of the program in a
folder of its own, beside which it puts the plug-in that it wants."""
import re

import lockstep_run
from emulated_gpu import (BUILD, EMULATED, EMULATED_NCCL, PLUGIN, environment,
                          program_with)
from lockstep_run import *  # noqa: F403 (the test vocabulary)


def small_run(**run):
    succeed("prepare", "digits", "-o", "d.h5")
    return write_config("a.toml", run={"shards": 2, "threads": 1, **run}, data={"file": "d.h5"},
                        model={"network": "linear"}, loss={"kind": "cross_entropy"},
                        training={"epochs": 1, "batch": 100})


def needed(file):
    text = subprocess.run(["readelf", "-d", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)


@test
def executable_needs_no_cuda():
    libraries = needed(lockstep_run.LOCKSTEP)
    check("liblockstep_core.so" in libraries, f"the core is not among {libraries}")
    core = needed(BUILD / "kernels/liblockstep_core.so")
    for library in libraries + core:
        check(not re.search(r"cuda|cudnn|cublas|nccl|nvidia", library), f"needs {library}")
    plugin = BUILD / "launch" / PLUGIN
    if plugin.exists():
        check("liblockstep_core.so" in needed(plugin), "the plug-in has a core of its own")
        check(not [name for name in needed(plugin) if "mpi" in name], "the plug-in calls MPI")


@test
def auto_steps_down_with_one_line():
    """Whatever the machine has, one line says what is used; without a GPU it gives the reason, and
    trains what the CPU trains."""
    config = small_run(device="auto")
    result = succeed("train", config, "--out", "one")
    lines = [line for line in result.out.splitlines() if line.startswith("device: ")]
    check(len(lines) == 1, f"{len(lines)} lines about the device:\n{result}")
    if lines[0].startswith("device: GPU"):
        return
    check(re.match(r"device: CPU \(.*\), no GPU: .", lines[0]), lines[0])
    succeed("train", config, "--out", "two", ranks=2).says(", no GPU: ")
    succeed("train", config, "run.device=cpu", "--out", "cpu").says("device: CPU")
    same_run("one", "two")
    same_run("one", "cpu")


@test
def plugins_of_all_kinds():
    """Each is named; "auto" goes on, "cuda" does not, and one rank alone speaks."""
    config = small_run()
    Path("damaged").write_text("no library at all\n" * 20)
    fakes = BUILD / "tests"
    cases = [(None, ["CUDA plug-in"]),
             ("damaged", [PLUGIN, "could not be loaded"]),
             (fakes / "libfake_gpu_plugin_old.so", ["another build", "0.0.1-000000000000"]),
             (fakes / "libfake_gpu_plugin_empty.so", ["undefined symbol"]),
             (fakes / "libfake_gpu_plugin.so", ["the fake driver finds no GPU"])]
    for number, (plugin, words) in enumerate(cases):
        if plugin and not Path(plugin).exists():
            raise Failure(f"{plugin} was not built")
        program_with(plugin)
        env = environment()
        succeed("train", config, "run.device=auto", "--out", f"a{number}", env=env).says(
            "device: CPU", ", no GPU: ", *words)
        for ranks in (0, 2):
            refuse("train", config, "run.device=cuda", "--out", f"c{number}", ranks=ranks, env=env,
                   words=['run.device = "cuda"', '"auto"', *words])
        succeed("--version", "--verbose", env=env).says("lockstep ", *words)


@test
def drivers_of_all_kinds():
    """The plug-in itself, where this build has one: without a driver, and with a driver too old (a
    fake of which the CUDA runtime asks nothing but its version)."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    plugin = BUILD / "launch" / PLUGIN
    if not plugin.exists():
        print("this build has no CUDA plug-in: nothing to test")
        return
    result = succeed("--version", "--verbose").says("CUDA plug-in: ", "CUDA runtime: ", "cuDNN: ",
                                                    "cuBLASLt: ", "NVIDIA driver: ")
    config = small_run(device="auto")
    if "GPUs: none" in result.out:
        result.says("NVIDIA driver")
    Path("driver").mkdir()
    Path("driver.c").write_text(FAKE_DRIVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o",
                    "driver/libcuda.so.1", "driver.c"], check=True)
    env = dict(ENVIRONMENT, LD_LIBRARY_PATH=str(Path("driver").resolve()))
    succeed("train", config, "--out", "old", env=env).says("device: CPU", "driver is too old",
                                                           "CUDA 11.4")
    refuse("train", config, "run.device=cuda", "--out", "x", ranks=2, env=env,
           words=["driver is too old", "CUDA 11.4"])


@test
def ranks_and_gpus():
    """With GPUs that the tests' emulation plays: what is listed, and how many ranks may have one."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    config = small_run(device="cuda")
    program_with(EMULATED)
    listed = succeed("--version", "--verbose", env=environment(EMULATED_GPUS="A,B,C")).out
    for line in ("GPU 0: emulated GPU, A, sm_90, 1 GiB, at 0000:01:00.0", "GPU 2: emulated GPU, C",
                 "\n    0  -  x  x\n    1  x  -  x\n"):
        check(line in listed, f"{line!r} is not in\n{listed}")
    refuse("train", config, "--out", "a", env=environment(EMULATED_GPUS=""),
           words=["no GPU is emulated", "run.device"])
    refuse("train", config, "--out", "a", ranks=3, env=environment(EMULATED_GPUS="A,B"),
           words=["3 ranks see 2 GPUs", "run.share_gpu = true"])
    succeed("train", config, "run.device=auto", "--out", "a", ranks=2,
            env=environment(EMULATED_GPUS="A")).says("device: CPU", "2 ranks see 1 GPU;")


def on_emulated_gpus(config, tolerance, transports=(), resumed_on=3):
    """Training on GPUs whose memory the host cannot touch: the same bits on 1, 2 and 3 ranks, by
    any way between them, resumed on another number of them; the CPU's weights and outputs within a
    tolerance. Returns the environment."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    succeed("train", config, "run.device=cpu", "--out", "cpu")
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B,C")
    succeed("train", config, "--out", "one", env=env).says("device: GPU (emulated GPU, sm_90")
    for number, (ranks, keys) in enumerate([(2, []), (3, []), *transports]):
        succeed("train", config, *keys, "--out", f"many{number}", ranks=ranks,
                env=env).says("device: GPU")
        same_run("one", f"many{number}")
    first = checkpoints("one")[0]
    shutil.copytree("one", "resumed")
    Path("resumed/weights.safetensors").unlink()
    for name in checkpoints("one")[1:]:
        Path("resumed/checkpoints", name).unlink()
    succeed("train", "--resume", "resumed", ranks=resumed_on, env=env).says(
        f"resumed resumed/checkpoints/{first}")
    same_run("one", "resumed")
    outputs = {}
    for run, place in (("cpu", ["run.device=cpu"]), ("one", [])):
        outputs[run] = read_safetensors(f"{run}/weights.safetensors")
        for ranks in (1, 2):
            succeed("predict", run, *place, "-o", f"{run}{ranks}.npy", ranks=ranks, env=env)
        check(Path(f"{run}1.npy").read_bytes() == Path(f"{run}2.npy").read_bytes(),
              "the outputs depend on the ranks")
        outputs[run]["its outputs"] = np.load(f"{run}1.npy")
    for name, values in outputs["cpu"].items():
        error = np.abs(values - outputs["one"][name]).max()
        check(error < tolerance, f"{name} differs from the CPU's by {error}")
    return env


@test
def emulated_training():
    """Digits, with everything that an optimizer may keep: moments, averages, a clipped norm."""
    x, y = digits(200)
    write_h5("d.h5", train_x=x[:150], train_y=y[:150], test_x=x[150:], test_y=y[150:])
    config = write_config(
        "a.toml", run={"shards": 4, "seed": 5, "device": "cuda"},
        data={"file": "d.h5", "validation": "/test"},
        model={"network": "mlp", "widths": [90], "dropout": 0.2}, loss={"kind": "cross_entropy"},
        optimizer={"kind": "adam", "lr": 0.01, "weight_decay": 0.01},
        training={"epochs": 2, "batch": 50, "clip_norm": 0.5, "ema": 0.9},
        checkpoint={"every_steps": 2, "keep": 9},
        log={"every_steps": 1, "parameters": ["fc2.bias"]})
    env = on_emulated_gpus(config, 1e-4, transports=[
        (2, ["run.transport=messages"]), (3, ["run.ranks_per_node=2"])])
    shown = [succeed("evaluate", "one", ranks=ranks, env=env).out for ranks in (1, 3)]
    check(shown[0].splitlines()[-1] == shown[1].splitlines()[-1], f"{shown}")


@test
def emulated_residual_network():
    """Convolutions, batch norm and a residual branch, in phases."""
    x, y = digits(60)
    write_h5("d.h5", train_x=x[:48], train_y=y[:48], test_x=x[48:], test_y=y[48:])
    block = "[{ kind = 'conv2d', channels = 8, padding = 1 }, { kind = 'batch_norm' }, " \
            "{ kind = 'relu' }, { kind = 'conv2d', channels = 8, padding = 1 }, " \
            "{ kind = 'batch_norm' }]"
    config = write_config(
        "a.toml", text="[model]\nlayers = ["
        "{ kind = 'conv2d', channels = 8, padding = 1 }, { kind = 'batch_norm' }, "
        "{ kind = 'relu' }, { kind = 'residual', layers = " + block + " }, { kind = 'relu' }, "
        "{ kind = 'max_pool' }, { kind = 'flatten' }, { kind = 'linear', name = 'fc' }]\n",
        run={"shards": 4, "seed": 3, "device": "cuda"},
        data={"file": "d.h5", "validation": "/test"}, loss={"kind": "cross_entropy"},
        optimizer={"kind": "sgd", "lr": 0.05, "momentum": 0.9},
        training={"epochs": 2, "batch": 24}, checkpoint={"every_steps": 1, "keep": 9})
    on_emulated_gpus(config, 2e-2, resumed_on=2)  # some maxima fall on the other side of a tie


@test
def plans_of_libraries():
    """All made before the first step, kept in the checkpoint and taken again; ranks that choose
    otherwise, other libraries, and a plan that cannot be made are named."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    small_run()
    config = write_config("few.toml", run={"shards": 2, "device": "cuda"}, data={"file": "d.h5"},
                          model={"network": "linear"}, loss={"kind": "cross_entropy"},
                          training={"epochs": 1, "batch": 600})
    program_with(EMULATED)
    program = lockstep_run.LOCKSTEP
    env = environment(EMULATED_GPUS="A,B")
    succeed("train", config, "--out", "one", ranks=2, env=env)
    plans = Path("one/plans.txt").read_text()
    check("\tengine 0\n" in plans and plans.startswith("emulated GPU, sm_90, loops 1\n"), plans)
    start = json.loads(Path("one/run.json").read_text())["parts"][0]
    check(len(start["plans"]) == 16 and start["gpu"] in plans, start)
    succeed("inspect", f"one/checkpoints/{checkpoints('one')[-1]}", env=env).says(
        f"{len(plans.splitlines()) - 1} plans, digest {start['plans']}")

    check(plans.count("product of (300, 64) and (64, 10)") == 1, f"forward was planned once: {plans}")

    # A resumed run takes the choices of its checkpoint, whatever the libraries would choose now.
    more = ["one", "--allow-change", "training.epochs"]
    succeed("train", config, "training.epochs=2", "--resume", *more, ranks=2,
            env=dict(env, EMULATED_ENGINE="7"))
    check(Path("one/plans.txt").read_text() == plans, "plans were made anew")
    again = json.loads(Path("one/run.json").read_text())["parts"][1]
    check(again["plans"] == start["plans"], again)
    other = dict(env, EMULATED_LIBRARIES="2", EMULATED_ENGINE="8")
    refuse("train", config, "training.epochs=3", "--resume", *more, env=other,
           words=["gpu: emulated GPU, sm_90, loops 1 then", "loops 2 now", "--allow-change gpu",
                  "plans differ", ": engine 0 then, engine 08 now"])
    check(Path("one/plans.txt").read_text() == plans, "a run that was refused left its plans")
    succeed("train", config, "training.epochs=3", "--resume", *more, "--allow-change", "gpu",
            env=other).says("are made anew")
    changed = Path("one/plans.txt").read_text()
    check(changed == plans.replace("loops 1", "loops 2").replace("engine 0", "engine 08"), changed)
    last = json.loads(Path("one/run.json").read_text())["parts"][-1]
    check(last["plans"] != start["plans"], last)
    succeed("train", config, "training.epochs=4", "--resume", *more, env=other)

    # Asked before the first step, and before there is a folder.
    for refusal, words in (("product of (300, 64)", ["training of a shard of 300 rows"]),
                           ("product of (180, 64)", ["evaluation of a shard of 180 rows"])):
        refuse("train", config, "data.validation=/test", "--out", "x",
               env=dict(env, EMULATED_REFUSAL=refusal),
               words=["before the first step", f"no plan for {refusal}", "float32",
                      'run.precision = "float32"', "run.shards = 2", *words])
        check(not Path("x").exists(), "a folder was made")

    for variable, words in (("EMULATED_ENGINE", ["ranks disagree about a plan", 'rank 0 took "engine 0"',
                                                 'rank 1 "engine 05"', " of 2 x (9, 11, 5)"]),
                            ("EMULATED_LIBRARIES", ["ranks disagree about the GPU and its libraries",
                                                    "rank 0", "rank 1"])):
        Path("rank.sh").write_text(
            f'[ "$OMPI_COMM_WORLD_RANK" = 1 ] && export {variable}=5\nexec {program} "$@"\n')
        lockstep_run.LOCKSTEP = "rank.sh"
        Path("rank.sh").write_text("#!/bin/sh\n" + Path("rank.sh").read_text())
        Path("rank.sh").chmod(0o755)
        lockstep_run.LOCKSTEP = str(Path("rank.sh").resolve())
        refuse("train", config, "--out", f"x{variable}", ranks=2, env=env, words=words)


@test
def faults_of_an_emulated_gpu():
    """A kernel that fails for good, no memory at the start, ids that the network does not know: one
    message, and the checkpoints that stand are sound. A lack of memory in the midst harms none."""
    x, y = digits(60)
    write_h5("d.h5", train_x=x[:48], train_y=y[:48], test_x=x[48:], test_y=y[48:])
    config = write_config("a.toml", run={"shards": 2, "device": "cuda"},
                          data={"file": "d.h5", "validation": "/test"},
                          model={"network": "linear"}, loss={"kind": "cross_entropy"},
                          optimizer={"kind": "adam", "lr": 0.01},
                          training={"epochs": 4, "batch": 24},
                          checkpoint={"every_steps": 1, "keep": 99})
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B")
    succeed("train", config, "--out", "whole", env=env)
    succeed("check", "step", config, "--rows", "0-1", env=env).says("fc.weight gradient")
    for ranks in (1, 2):
        out = f"broken{ranks}"
        refuse("train", config, "--out", out, ranks=ranks, env=dict(env, EMULATED_FAULT="kernel 200"),
               words=["step ", "an illegal memory access"])
        kept = checkpoints(out)
        check(0 < len(kept) < 8, f"{len(kept)} checkpoints before the fault")
        same_files("whole", out, *[f"checkpoints/{name}" for name in kept])
        succeed("train", "--resume", out, ranks=3 - ranks, env=env)
        same_run("whole", out)
    refuse("train", config, "--out", "x", ranks=2, env=dict(env, EMULATED_FAULT="memory 0"),
           words=["out of memory"])
    # What a training needs is there before its first piece of work but the probe's.
    succeed("train", config, "--out", "y", env=dict(env, EMULATED_FAULT="memory 30"))
    same_run("whole", "y")

    ids = np.arange(80 * 12, dtype=np.int64).reshape(80, 12) % 10
    ids[61, 7] = 10
    write_h5("ids.h5", train_x=ids, train_y=ids[:, 0] % 2, test_x=ids[:20], test_y=ids[:20, 0] % 2)
    for ranks in (1, 2):
        refuse("train", ROOT / "launch/configs/sequence-lstm.toml", "data.file=ids.h5",
               "run.device=cuda", ranks=ranks, env=env,
               words=["sample 61", "id 10", "position 7", "0 to 9"])


@test
def memory_of_a_gpu():
    """All of a training's memory is there before its first step, in one piece of the GPU's, and a
    longer run asks for no more; where it is too little, the message tells what takes it and what to
    try, and that works."""
    config = small_network(epochs=1)
    linear = write_config("linear.toml", run={"shards": 2, "device": "cuda"},
                          data={"file": "d.h5", "validation": "/test"},
                          model={"network": "linear"}, loss={"kind": "cross_entropy"},
                          training={"batch": 400, "epochs": 1})
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B,C")

    def counts(name, *arguments, ranks=1, config=config):
        file = Path(f"{name}.counts").resolve()
        succeed("train", config, *arguments, "--out", name, ranks=ranks,
                env=dict(env, EMULATED_COUNTS=str(file)))
        return sorted(file.read_text().splitlines())

    own = set()  # pieces of the GPU's that a process had
    for ranks in (1, 2):
        # The last batch is smaller than others, and so is that of the evaluation after each epoch.
        short = counts(f"short{ranks}", "training.steps=1", ranks=ranks)
        long = counts(f"long{ranks}", "training.epochs=2", ranks=ranks)
        check(len(short) == ranks and short == long, f"{short} in one step, {long} in two epochs")
        plain = counts(f"plain{ranks}", "training.steps=1", ranks=ranks, config=linear)
        own |= {line.split(",")[0] for line in short + plain}
    check(Path("short1/plans.txt").read_text() == Path("long1/plans.txt").read_text(), "new plans")
    program_with(EMULATED, EMULATED_NCCL)
    others = counts("linked", "training.steps=1", ranks=2)
    others += counts("lanes", "training.steps=1", "run.replicas=2")
    own |= {line.split(",")[0] for line in others}
    check(len(own) == 1, f"{own}: as many pieces as a network has tensors")

    table = succeed("inspect", config, env=env).out
    for row in ("weights", "gradients", "optimizer state", "activations", "activation gradients",
                "workspace, stream 0", "samples and targets", "inputs and losses", "in all"):
        check(re.search(rf"\n  {row} +[0-9.]+ [KM]?i?B", table), f"no {row!r} in\n{table}")
    needed = succeed("train", config, "training.steps=1", "--out", "one", env=env).out
    amount = float(re.search(r"memory: ([0-9.]+) KiB of the GPU's", needed)[1])
    little = dict(env, EMULATED_MEMORY=str(int(amount * 0.7 * 1024)))
    message = refuse("train", config, "--out", "x", env=little,
                     words=["out of memory: the GPU does not hold this training", "The plan:",
                            "\n  activations ", "\n  weights ", "\n  in all ",
                            '\n  run.precision = "bfloat16"']).err
    check(not Path("x").exists(), "a folder was made")
    for key in ("training.batch", "run.shards"):
        value = re.search(rf"\n  {key} = (\d+)", message)[1]
        succeed("train", config, "training.steps=1", f"{key}={value}", "--out", f"x{key}", env=little)


def small_network(**training):
    """With dropout, batch norm, clipping; the batch of an epoch's end is smaller."""
    lockstep_run.LOCKSTEP = str(BUILD / "launch/lockstep")
    succeed("prepare", "digits", "-o", "d.h5")
    return write_config("a.toml", SMALL_NETWORK, run={"shards": 2, "device": "cuda"},
                        data={"file": "d.h5", "validation": "/test"},
                        loss={"kind": "cross_entropy"}, optimizer={"kind": "adam"},
                        training={"batch": 400, "clip_norm": 0.5, **training})


@test
def emulated_streams_in_any_order():
    """Streams that run as late as the host's waits allow, in a random order that respects nothing
    but recorded waits, give the bits of streams that run at once: no copy starts too early, and no
    memory that one still reads is used again."""
    config = small_network(steps=5)
    program_with(EMULATED)
    succeed("train", config, "--out", "once", env=environment())
    for seed, ranks in ((1, 1), (2, 1), (3, 1), (4, 2)):
        succeed("train", config, "--out", f"s{seed}", ranks=ranks,
                env=environment(EMULATED_GPUS="A,B", EMULATION_STREAMS="interleaved",
                                EMULATION_SEED=str(seed)))
        same_run("once", f"s{seed}")


@test
def steps_allocate_no_memory_of_the_gpu():
    """What a step takes is there before the first: longer runs ask for no more pieces."""
    config = small_network()
    program_with(EMULATED)
    env = environment(EMULATION_COUNT_ALLOCATIONS="1", EMULATED_GPUS="A,B")
    for ranks in (1, 2):
        counts = []
        for steps in (1, 4):  # the fourth is the smaller one
            result = succeed("train", config, f"training.steps={steps}", ranks=ranks, env=env)
            counts.append(sorted(re.findall(r"allocations: (\d+)", result.text)))
        check(len(counts[0]) == ranks and counts[0] == counts[1],
              f"{counts[0]} allocations in 1 step, {counts[1]} in 4")


@test
def numbers_that_are_not_finite_on_the_gpu():
    """The messages are those of a CPU, whether the host learns of them at once or later."""
    config = small_network(steps=20)
    told = refuse("train", config, "optimizer.lr=1e38", "run.device=cpu", "--out", "cpu").errors
    check("step 2: " in told[0], told[0])
    program_with(EMULATED)
    for ranks in (1, 2):
        refuse("train", config, "optimizer.lr=1e38", "--out", f"gpu{ranks}", ranks=ranks,
               env=environment(EMULATED_GPUS="A,B"), words=["step 2: ", "finite"])


SMALL_NETWORK = "".join(f"[[model.layers]]\n{layer}\n" for layer in (
    'kind = "conv2d"\nchannels = 4', 'kind = "batch_norm"', 'kind = "relu"', 'kind = "flatten"',
    'kind = "dropout"', 'kind = "linear"'))
FAKE_DRIVER = """
int cuDriverGetVersion(int* version) { *version = 11040; return 0; }
int cuInit(unsigned flags) { return flags == 0 ? 0 : 1; }
"""


if __name__ == "__main__":
    main()
