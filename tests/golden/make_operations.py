#!/usr/bin/env python3
"""Writes operations.json: what PyTorch computes in float64 for layers, losses and optimizers, with their
inputs. Needs torch and numpy; run it in this folder.

    make_operations.py [OUTPUT [SEED]]

Read by tests/models/operations_test.cc. Images are (N, H, W, C) in the file. Inputs are float32 numbers."""
import json
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROWS = 2


class ChannelsLast(nn.Module):
    """A module of PyTorch's (N, C, H, W) on images (N, H, W, C)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Maxout(nn.Module):
    def __init__(self, pieces):
        super().__init__()
        self.pieces = pieces

    def forward(self, x):
        return x.unflatten(-1, (self.pieces, -1)).amax(-2)


# kind and keys of [[model.layers]], PyTorch's module, shape of a sample
LAYERS = [
    ("relu", {}, nn.ReLU(), (19,)),
    ("sigmoid", {}, nn.Sigmoid(), (19,)),
    ("tanh", {}, nn.Tanh(), (19,)),
    ("leaky_relu", {}, nn.LeakyReLU(0.1), (19,)),
    ("leaky_relu", {"slope": 0.25}, nn.LeakyReLU(0.25), (19,)),
    ("elu", {}, nn.ELU(), (19,)),
    ("elu", {"alpha": 0.5}, nn.ELU(0.5), (19,)),
    ("gelu", {}, nn.GELU(), (19,)),
    ("gelu", {"approximate": "tanh"}, nn.GELU("tanh"), (19,)),
    ("silu", {}, nn.SiLU(), (19,)),
    ("maxout", {"pieces": 3}, Maxout(3), (21,)),
    ("softmax", {}, nn.Softmax(-1), (11,)),
    ("log_softmax", {}, nn.LogSoftmax(-1), (11,)),
    ("layer_norm", {}, nn.LayerNorm(18), (18,)),
    ("layer_norm", {"eps": 0.1}, nn.LayerNorm(5, eps=0.1), (2, 3, 5)),
    ("adaptive_avg_pool", {"output": [3, 2]}, ChannelsLast(nn.AdaptiveAvgPool2d((3, 2))), (5, 7, 3)),
    ("adaptive_avg_pool", {"output": [4, 5]}, ChannelsLast(nn.AdaptiveAvgPool2d((4, 5))), (3, 2, 2)),
    ("adaptive_max_pool", {"output": [3, 2]}, ChannelsLast(nn.AdaptiveMaxPool2d((3, 2))), (5, 7, 3)),
]


def binary_hinge(x, target):
    return torch.clamp(1 - (2 * target - 1).unsqueeze(1) * x, min=0).squeeze(1)


def mean_of(loss):
    return lambda x, t: loss(x, t, reduction="none").mean(1)


# keys of [loss], loss a row, outputs, classes (0: values)
LOSSES = [
    ({"kind": "mse"}, mean_of(F.mse_loss), 4, 0),
    ({"kind": "mse", "scale": 0.5}, lambda x, t: 0.5 * F.mse_loss(x, t, reduction="none").mean(1), 4, 0),
    ({"kind": "l1"}, mean_of(F.l1_loss), 4, 0),
    ({"kind": "huber"}, mean_of(F.huber_loss), 4, 0),
    ({"kind": "huber", "delta": 0.3},
     lambda x, t: F.huber_loss(x, t, delta=0.3, reduction="none").mean(1), 4, 0),
    ({"kind": "hinge"}, lambda x, t: F.multi_margin_loss(x, t, reduction="none"), 5, 5),
    ({"kind": "hinge"}, binary_hinge, 1, 2),
    ({"kind": "cross_entropy"}, lambda x, t: F.cross_entropy(x, t, reduction="none"), 5, 5),
]

# keys of [optimizer], PyTorch's optimizer, its names of the states
OPTIMIZERS = [
    ({"kind": "rmsprop", "lr": 0.01}, torch.optim.RMSprop, {}, ["square_avg"]),
    ({"kind": "rmsprop", "lr": 0.01, "alpha": 0.9, "momentum": 0.8, "centered": True,
      "weight_decay": 0.1, "eps": 1e-4}, torch.optim.RMSprop, {},
     ["square_avg", "momentum_buffer", "grad_avg"]),
    ({"kind": "rmsprop", "lr": 0.01, "centered": True}, torch.optim.RMSprop, {},
     ["square_avg", "grad_avg"]),
    ({"kind": "adagrad", "lr": 0.1, "eps": 1e-10}, torch.optim.Adagrad, {}, ["sum"]),
    ({"kind": "adagrad", "lr": 0.1, "lr_decay": 0.2, "initial_accumulator": 0.3, "weight_decay": 0.1,
      "eps": 1e-6}, torch.optim.Adagrad, {"initial_accumulator": "initial_accumulator_value"}, ["sum"]),
]
STEPS, ELEMENTS = 5, 37


def toml(value):
    return json.dumps(value)  # strings, numbers, booleans and lists are written alike


def table(name, keys):
    return f"{name}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())


def numbers(random, shape):
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32).astype(np.float64))


def values(tensor):
    """Nine digits, which are enough for a float32 number to come back as it was."""
    return [float(f"{value:.9g}") for value in tensor.detach().reshape(-1)]


def layer(random, kind, keys, module, sample):
    module = module.double()
    weights = dict(module.named_parameters())
    for weight in weights.values():
        weight.data = numbers(random, tuple(weight.shape))
    x = numbers(random, (ROWS, *sample)).requires_grad_()
    y = module(x)
    dy = numbers(random, tuple(y.shape))
    y.backward(dy)
    return {"toml": table("[[model.layers]]", {"kind": kind, **keys}), "sample": list(sample),
            "rows": ROWS, "x": values(x), "dy": values(dy), "y": values(y), "dx": values(x.grad),
            "weights": {name: values(weight) for name, weight in weights.items()},
            "gradients": {name: values(weight.grad) for name, weight in weights.items()}}


def loss(random, keys, of_rows, outputs, classes):
    rows = 7
    x = numbers(random, (rows, outputs)).requires_grad_()
    if classes:
        target = torch.from_numpy(random.integers(0, classes, rows))
    else:
        target = numbers(random, (rows, outputs))
    weight = numbers(random, rows).abs()
    total = (weight * of_rows(x, target)).sum()
    total.backward()
    return {"toml": table("[loss]", keys), "rows": rows, "outputs": outputs, "x": values(x),
            "target": target.tolist() if classes else values(target), "classes": classes,
            "weight": values(weight), "loss": float(total.detach()), "dx": values(x.grad)}


def optimizer(random, keys, kind, names, states):
    parameter = nn.Parameter(numbers(random, ELEMENTS))
    start = values(parameter)
    options = {names.get(key, key): value for key, value in keys.items() if key != "kind"}
    made = kind([parameter], **options)
    gradients = []
    for _ in range(STEPS):
        parameter.grad = numbers(random, ELEMENTS)
        gradients.append(values(parameter.grad))
        made.step()
    state = made.state[parameter]
    return {"toml": table("[optimizer]", keys), "start": start, "gradients": gradients,
            "end": values(parameter), "states": {name: values(state[name]) for name in states}}


def main(path="operations.json", seed=5):
    random = np.random.default_rng(int(seed))
    result = {"seed": int(seed), "layers": [layer(random, *one) for one in LAYERS],
              "losses": [loss(random, *one) for one in LOSSES],
              "optimizers": [optimizer(random, *one) for one in OPTIMIZERS]}
    with open(path, "w") as file:
        json.dump(result, file)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
