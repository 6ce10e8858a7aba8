#!/usr/bin/env python3
"""Networks that `lockstep export --onnx` wrote, run by onnxruntime on the values of the data file:
the outputs of `lockstep predict --logits`; and what the models say of themselves."""
import sys
from pathlib import Path

from oracle import run, start

SEED = 20

# Network and its keys, samples (bytes if (H, W, C), else float32), classes or None (values).
ZOO = {
    "linear": ("", (5,), None),
    "logistic": ("", (5,), 4),
    "mlp": ('widths = [7, 6]\nactivation = "silu"\ndropout = 0.2', (6, 7, 3), 4),
    "lenet": ('activation = "tanh"', (28, 28, 1), 10),
    "cnn": ("batch_norm = true\ndropout = 0.5", (12, 9, 3), 5),
    "quadratic": ("", (1,), None),
}

# Every kind of layer that has an ONNX form and is in no network above.
LISTED = {
    "pools": ((13, 11, 3), """
{ kind = "conv2d", channels = 8, kernel = 3, stride = 2, padding = 1, dilation = 1 },
{ kind = "leaky_relu", slope = 0.2 },
{ kind = "avg_pool", kernel = 3, stride = 1, padding = 1 },
{ kind = "max_pool", kernel = 3, stride = 1, padding = 1 },
{ kind = "adaptive_avg_pool", output = [4, 3] },
{ kind = "adaptive_max_pool", output = 2 },
{ kind = "layer_norm" }, { kind = "maxout", pieces = 2 }, { kind = "gelu", approximate = "tanh" },
{ kind = "flatten" }, { kind = "linear" }, { kind = "log_softmax" }"""),
    "branches": ((8, 8, 2), """
{ kind = "conv2d", channels = 6, kernel = 3, padding = 1, groups = 2 },
{ kind = "batch_norm" }, { kind = "gelu" },
{ kind = "residual", layers = [ { kind = "conv2d", channels = 6, kernel = 3, padding = 1 },
  { kind = "elu" } ] },
{ kind = "parallel", join = "concat", branches = [
  [ { kind = "conv2d", channels = 3, kernel = 1 } ], [] ] },
{ kind = "parallel", join = "add", branches = [ [ { kind = "silu" } ], [ { kind = "sigmoid" } ] ] },
{ kind = "global_avg_pool" }, { kind = "linear", features = 6 }, { kind = "layer_norm" },
{ kind = "softmax" }, { kind = "linear" }"""),
    "grey": ((9, 9), """
{ kind = "add_channel" }, { kind = "conv2d", channels = 4 }, { kind = "relu" },
{ kind = "conv2d", channels = 4, groups = 4, stride = 2 }, { kind = "dropout" },
{ kind = "flatten" }, { kind = "tanh" }, { kind = "linear" }"""),
    "rows": ((5, 4), """
{ kind = "linear", features = 6 }, { kind = "batch_norm" }, { kind = "maxout", pieces = 3 },
{ kind = "quadratic" }, { kind = "layer_norm" },
{ kind = "parallel", branches = [[{ kind = "product" }], [{ kind = "softmax" }]] },
{ kind = "flatten" }, { kind = "linear" }"""),
}

# Sequences: of ids below IDS (0 stands for padding), or of columns.
IDS = 9
SEQUENCES = {
    "tokens": ((6,), f"""
{{ kind = "embedding", ids = {IDS}, width = 8, padding = 0 }}, {{ kind = "sinusoidal_positions" }},
{{ kind = "residual", layers = [
  {{ kind = "layer_norm" }}, {{ kind = "attention", heads = 2, causal = true, padding = 0 }} ] }},
{{ kind = "attention", heads = 4, padding = 0, bias = false }},
{{ kind = "mean_tokens", padding = 0 }}, {{ kind = "linear" }}"""),
    "read": ((7,), f"""
{{ kind = "embedding", ids = {IDS}, width = 5 }}, {{ kind = "learned_positions" }},
{{ kind = "lstm", hidden = 6, layers = 2, bidirectional = true, dropout = 0.3 }},
{{ kind = "linear" }}"""),
    "gated": ((5, 3), """
{ kind = "gru", hidden = 4, output = "sequence" },
{ kind = "gru", hidden = 5, layers = 2, bidirectional = true, output = "sequence" },
{ kind = "attention", heads = 1, causal = true }, { kind = "linear", features = 3 },
{ kind = "lstm", hidden = 4, bias = false }, { kind = "linear" }"""),
    "plain": ((4, 2), """
{ kind = "rnn", hidden = 5, bidirectional = true, output = "sequence", activation = "relu" },
{ kind = "rnn", hidden = 3, output = "sequence" }, { kind = "attention", heads = 3 },
{ kind = "mean_tokens" }, { kind = "linear" }"""),
}


def data(name, sample, classes, rows=70, ids=False):
    import h5py
    import numpy
    random = numpy.random.default_rng(SEED)
    with h5py.File(name, "w") as file:
        x = (random.integers(0, IDS, (rows, *sample)) if ids else
             random.integers(0, 256, (rows, *sample)).astype("u1") if len(sample) == 3 else
             random.normal(3, 2, (rows, *sample)).astype("f4"))
        if ids:
            x[0], x[1, 2:] = 0, 0  # padding alone, and behind what is there
        file["train/x"] = x
        file["train/y"] = (numpy.arange(rows) % classes if classes else
                           random.normal(size=(rows, 1)).astype("f4"))
        if len(sample) == 3:
            file.attrs["lockstep_format"] = 1.0  # of those who write mean and std
            file.attrs["mean"] = random.uniform(0.3, 0.6, sample[2])
            file.attrs["std"] = random.uniform(0.2, 0.4, sample[2])
    return x


def agree(name, x):
    import numpy
    import onnx
    import onnxruntime
    onnx.checker.check_model(f"{name}.onnx", full_check=True)
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    x = x if x.dtype == "i8" else x.astype("f4")
    x = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
    port, = session.get_inputs()
    if [port.shape[0], *port.shape[1:]] != ["N", *x.shape[1:]]:
        sys.exit(f"{name}: the model's input is {port.shape}")
    found, = session.run(None, {"input": x})
    alone, = session.run(None, {"input": x[:1]})  # another number of rows
    expected = numpy.load(f"{name}.npy")
    error = numpy.abs(found - expected).max() / numpy.abs(expected).max()
    print(f"{name}: {len(x)} rows within {error:.1e}, relative")
    if found.shape != expected.shape or not error < 1e-4 or not numpy.allclose(alone, found[:1],
                                                                               atol=1e-4):
        sys.exit(f"{name}: onnxruntime's outputs are others")
    return session


def one(lockstep, name, network, sample, classes):
    x = data(f"{name}.h5", sample, classes, ids='"embedding"' in network)
    loss = "cross_entropy" if classes else "mse"
    Path(f"{name}.toml").write_text(f"""
data.file = "{name}.h5"
loss.kind = "{loss}"
training = {{ steps = 4, batch = 32 }}
run.threads = 1
[model]
{network}
""")
    run(lockstep, "train", f"{name}.toml", "--out", name)
    run(lockstep, "predict", name, "--split", "/train", "--logits", "-o", f"{name}.npy")
    Path(f"{name}.h5").unlink()  # the run alone is enough
    run(lockstep, "export", name, "--onnx", f"{name}.onnx")
    session = agree(name, x)
    if session.get_outputs()[0].name != ("logits" if classes else "output"):
        sys.exit(f"{name}: its output is called {session.get_outputs()[0].name}")


def pictures(lockstep, network, keys=""):
    """A network for pictures on timm's weights, of a config without a run."""
    from safetensors.torch import save_file
    from timm_networks import CLASSES, SIDE, random_model
    title = network + "-cifar" * ("cifar" in keys)
    x = data(f"{title}.h5", (SIDE, SIDE, 3), CLASSES, rows=9)
    save_file({name: value.contiguous() for name, value in
               random_model(network, keys).state_dict().items()}, f"{title}.safetensors")
    Path(f"{title}.toml").write_text(f"""
data.file = "{title}.h5"
training.batch = 5
run.threads = 1
[model]
network = "{network}"
weights = "{title}.safetensors"
drop_rate = 0.2
drop_path = 0.1
{keys}
""")
    run(lockstep, "predict", f"{title}.toml", "--split", "/train", "--logits", "-o", f"{title}.npy")
    run(lockstep, "export", f"{title}.toml", "--onnx", f"{title}.onnx")
    agree(title, x)


def main(lockstep):
    from timm_networks import NETWORKS
    for network in NETWORKS:
        pictures(lockstep, network)
    pictures(lockstep, "resnet18", 'stem = "cifar"')
    for name, (keys, sample, classes) in ZOO.items():
        one(lockstep, name, f'network = "{name}"\n{keys}', sample, classes)
    for name, (sample, layers) in {**LISTED, **SEQUENCES}.items():
        one(lockstep, name, f'network = "layers"\nlayers = [{layers}]', sample, 4)


if __name__ == "__main__":
    start(__file__, main, "h5py, numpy, onnx, onnxruntime, timm, safetensors")
