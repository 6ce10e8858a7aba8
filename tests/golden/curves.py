"""The training runs behind curves.json: data, initial weights, order of samples and keys. Read by
make_curves.py (PyTorch) and by ../programs/golden.py (lockstep); needs numpy alone."""
from pathlib import Path

import numpy as np

ROWS = 150
SEED = 11
MEAN, STD = 0.019, 0.024  # of the digits' pixels over 255
DIGITS = Path(__file__).resolve().parents[2] / "launch" / "data" / "digits.csv"

MLP = {"fc1.weight": (32, 64), "fc1.bias": (32,), "fc2.weight": (10, 32), "fc2.bias": (10,)}
CNN = {"conv1.weight": (16, 1, 5, 5), "conv1.bias": (16,), "bn1.weight": (16,), "bn1.bias": (16,),
       "bn1.running_mean": (16,), "bn1.running_var": (16,),
       "conv2.weight": (32, 16, 5, 5), "conv2.bias": (32,), "bn2.weight": (32,), "bn2.bias": (32,),
       "bn2.running_mean": (32,), "bn2.running_var": (32,),
       "fc1.weight": (128, 128), "fc1.bias": (128,), "fc2.weight": (10, 128), "fc2.bias": (10,)}

# Losses and weights of a run in float32 stay this close to PyTorch's in float64 (relative, weights
# to their norm). Adam divides by the gradient's own size, which turns the rounding of gradients
# near zero into steps.
LOSS_TOLERANCE = 1e-5
WEIGHT_TOLERANCE = 1e-4

CASES = {
    "mlp, momentum and decay": {
        "shapes": MLP, "shards": 8, "batch": 64, "steps": 30,
        "model": {"network": "mlp", "widths": [32]},
        "optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.001}},
    "mlp, adam, smoothing and clipping": {
        "shapes": MLP, "shards": 4, "batch": 40, "steps": 30,
        "model": {"network": "mlp", "widths": [32], "activation": "tanh"},
        "optimizer": {"kind": "adam", "lr": 0.005}, "label_smoothing": 0.1, "clip_norm": 0.5},
    "mlp, adamw without decay of biases": {
        "shapes": MLP, "shards": 2, "batch": 64, "steps": 30,
        "model": {"network": "mlp", "widths": [32]},
        "optimizer": {"kind": "adamw", "lr": 0.005, "weight_decay": 0.1,
                      "decay_norms_and_biases": False}},
    "mlp, rmsprop, gelu, clipping by value": {
        "shapes": MLP, "shards": 8, "batch": 64, "steps": 20,
        "model": {"network": "mlp", "widths": [32], "activation": "gelu"},
        "optimizer": {"kind": "rmsprop", "lr": 0.002, "momentum": 0.5, "centered": True},
        "clip_value": 0.01},
    "mlp, adagrad, elu, hinge, penalties": {
        "shapes": MLP, "shards": 4, "batch": 40, "steps": 20,
        "model": {"network": "mlp", "widths": [32], "activation": "elu"},
        "optimizer": {"kind": "adagrad", "lr": 0.02, "lr_decay": 0.01, "initial_accumulator": 0.1,
                      "decay_norms_and_biases": False},
        "loss": {"kind": "hinge", "scale": 0.5, "l1": 0.001, "l2": 0.02}},
    "cnn, batch norm, nesterov": {
        "shapes": CNN, "shards": 1, "batch": 64, "steps": 20,
        "model": {"network": "cnn", "batch_norm": True},
        "optimizer": {"kind": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": True}},
}


def data():
    """Pixels uint8 (rows, 8, 8, 1), labels int64."""
    table = np.loadtxt(DIGITS, delimiter=",", skiprows=1, dtype=np.int64, max_rows=ROWS)
    return table[:, 1:].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, 0]


def hashed(seed, count):
    """Numbers in [-1, 1), exact in float32: SplitMix64 of (seed, index), upper 24 bits."""
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0


def initial_weights(shapes):
    """float32; matrices of variance 1 / fan_in, vectors small, scales and variances near 1."""
    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        values = hashed(seed, int(np.prod(shape))).reshape(shape)
        if len(shape) > 1:
            values *= np.sqrt(3.0 / np.prod(shape[1:]))
        else:
            one = name.endswith("running_var") or name.startswith("bn") and name.endswith("weight")
            values = 0.1 * values + (1.0 if one else 0.0)
        weights[name] = values.astype(np.float32)
    return weights


def philox4x32(counter, key):
    """Philox 4x32-10 of Salmon and others (SC'11)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(product1 >> 32) ^ c[1] ^ k[0], product1 & 0xFFFFFFFF,
             (product0 >> 32) ^ c[3] ^ k[1], product0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def epoch_order(seed, epoch, rows):
    """The documented order of samples: Fisher and Yates with Philox, purpose 2."""
    order = list(range(rows))
    for i in range(rows - 1, 0, -1):
        words = philox4x32((0, i, epoch, 2 << 28), (seed, 0))
        j = ((words[1] << 32 | words[0]) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def batches(batch, steps):
    """Rows of every step; the last batch of an epoch is short."""
    taken, epoch = 0, 0
    while True:
        order = epoch_order(SEED, epoch, ROWS)
        for begin in range(0, ROWS, batch):
            if taken == steps:
                return
            yield order[begin:begin + batch]
            taken += 1
        epoch += 1


def summary(seed, values):
    """Enough to catch a wrong sum, sign, order or scale."""
    flat = np.asarray(values, np.float64).reshape(-1)
    return {"norm": float(np.linalg.norm(flat)), "projection": float(flat @ hashed(seed, flat.size)),
            "first": [float(value) for value in flat[:4]]}
