"""Training on the GPU: what the CPU learns, PyTorch's curves, captured steps."""
import json
import subprocess

from checking import ROOT, Failed


# Runs of tests/golden/curves.py, whose losses and weights PyTorch's float64 has given.
CURVES = ["mlp_with_momentum", "mlp_with_adam", "mlp_with_adamw", "mlp_with_rmsprop",
          "mlp_with_adagrad", "cnn_with_batch_norm"]
# Runs of two seeds differ by less in all of the configs.
ACCURACY_SLACK = 0.015


def near(check, one, other, tolerance):
    """The first epoch's losses: later ones differ as rounding grows."""
    pairs = list(zip(check.losses(one), check.losses(other)))[:10]
    worst = max(abs(a - b) / abs(a) for a, b in pairs)
    if not worst < tolerance:  # NaN fails, too
        raise Failed(f"losses of {one} and {other} are {worst:.2g} apart: {pairs}")
    return worst


def training(check):
    """The GPU trains what the CPU trains; captured steps are the eager ones."""
    steps(check)
    curves(check)
    accuracy(check)


def steps(check):
    check.need_program()
    config = check.config()
    check.train(config, "cpu", "run.device=cpu", "run.shards=2")
    check.train(config, "gpu", "run.shards=2")
    check.passed(f"float32: losses within {near(check, 'cpu', 'gpu', 1e-3):.1g} of the CPU's")
    check.train(config, "again", "run.shards=2")
    check.same_weights("gpu", "again")
    check.passed("the same bits when run twice")
    precisions = ["float32", "bfloat16"]
    try:
        check.train(config, "bfloat16", "run.shards=2", "run.precision=bfloat16")
        check.passed(f"bfloat16: losses within {near(check, 'cpu', 'bfloat16', 0.1):.1g} of the CPU's")
    except Failed as error:
        if "is not there on GPUs" not in str(error):
            raise
        precisions.remove("bfloat16")
        check.leave_out("bfloat16: this build has none on GPUs")
    if not check.has_key("graph"):
        check.leave_out("graph = eager: this build has no run.graph")
        return
    for precision in precisions:
        for graph in ("true", "false"):
            check.train(config, f"{precision}-{graph}", f"run.graph={graph}", "run.shards=2",
                        f"run.precision={precision}")
        check.same_weights(f"{precision}-true", f"{precision}-false")
        check.passed(f"{precision}: captured steps give the bits of eager ones")


def curves(check):
    """Losses and weights of PyTorch's float64 runs from the same weights, stored with the tests."""
    check.need_program()
    script = ROOT / "tests/programs/golden.py"
    found = subprocess.run(["/usr/bin/python3", "-c", "import numpy, h5py"], capture_output=True)
    if found.returncode != 0:
        check.leave_out("PyTorch's curves: /usr/bin/python3 has no numpy and h5py (Debian: python3-h5py)")
        return
    check.run(["/usr/bin/python3", "-B", script, check.machine.program, *CURVES],
              LOCKSTEP_GOLDEN_DEVICE="cuda")
    check.passed(f"{len(CURVES)} runs have PyTorch's losses and weights, from the same weights")


def accuracy(check):
    """The bundled configs reach on the GPU what they reach on the CPU."""
    check.need_program()
    runs = [("digits", check.machine.work / "digits.h5", 0.9)]
    check.digits()
    if check.machine.emulated:
        check.leave_out("Fashion-MNIST: too long for the emulated GPU")
    else:
        clothes = check.machine.work / "fashion-mnist.h5"
        try:
            if not clothes.exists():
                check.run([check.machine.program, "prepare", "fashion-mnist", "-o", clothes])
            runs += [("fashion-mnist", clothes, 0.8), ("fashion-mnist-cnn", clothes, 0.8)]
        except Failed as error:
            check.leave_out(f"Fashion-MNIST: {str(error).splitlines()[-1]}")
    for name, data, least in runs:
        words = [f"data.file={data}", *(["training.epochs=1"] if check.quick else [])]
        reached = {}
        for device in ("cpu", "cuda"):
            out = f"{name}-{device}"
            check.train(ROOT / f"launch/configs/{name}.toml", out, f"run.device={device}", "run.shards=1",
                        *words)
            lines = (check.work / out / "metrics.jsonl").read_text().splitlines()
            reached[device] = [entry["accuracy"] for entry in map(json.loads, lines)
                               if entry["split"] == "validation"][-1]
        cpu, gpu = reached["cpu"], reached["cuda"]
        if abs(cpu - gpu) > ACCURACY_SLACK or (not check.quick and gpu < least):
            raise Failed(f"{name}: accuracy {gpu:.4f} on the GPU, {cpu:.4f} on the CPU")
        check.passed(f"{name}: accuracy {gpu:.4f} on the GPU, {cpu:.4f} on the CPU")
