#!/usr/bin/env python3
"""Writes models.json: what PyTorch computes for networks of the zoo, in float64.

Needs torch and numpy; run it in this folder. Weights and inputs are not stored but made by `hashed`
in hashed.py and in tests/models/golden.h alike.
"""
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from hashed import classes, hashed, samples, set_weights, summary, write_cases


def is_factor(name):
    return name.endswith("running_var") or name.startswith("bn") and name.endswith("weight")


def case(title, network, keys, model, sample, rows, outputs, loss, target):
    model = model.double()
    names = set_weights(model, 1.0, is_factor)
    x = samples(rows, sample)
    model.train()
    logits = model(x)
    total = loss(logits)
    total.backward()
    gradients = {name: summary(2000 + seed, parameter.grad)
                 for seed, (name, parameter) in enumerate(model.named_parameters())}
    statistics = {name: buffer.tolist() for name, buffer in model.named_buffers()
                  if not name.endswith("num_batches_tracked")}
    model.eval()
    return {
        "title": title, "network": network, "keys": keys, "sample": list(sample), "rows": rows,
        "outputs": outputs, "names": names, **target, "logits": logits.flatten().tolist(),
        "loss": float(total.detach()), "gradients": gradients, "statistics": statistics,
        "evaluation_logits": model(x).flatten().tolist(),
    }


def lenet(channels, side, outputs):
    flat = 16 * (((side // 2) - 4) // 2) ** 2
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(channels, 6, 5, padding=2), act1=nn.Tanh(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5), act2=nn.Tanh(), pool2=nn.MaxPool2d(2), flatten=nn.Flatten(),
        fc1=nn.Linear(flat, 120), act3=nn.Tanh(), fc2=nn.Linear(120, 84), act4=nn.Tanh(),
        fc3=nn.Linear(84, outputs)))


def cnn(channels, side, outputs):
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(channels, 16, 5, padding=2), bn1=nn.BatchNorm2d(16), relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 32, 5, padding=2), bn2=nn.BatchNorm2d(32), relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2), flatten=nn.Flatten(),
        fc1=nn.Linear(32 * (side // 4) ** 2, 128), relu3=nn.ReLU(), fc2=nn.Linear(128, outputs)))


def mlp(inputs, outputs):
    return nn.Sequential(OrderedDict(
        flatten=nn.Flatten(), fc1=nn.Linear(inputs, 7), act1=nn.Sigmoid(), fc2=nn.Linear(7, 5),
        act2=nn.Sigmoid(), fc3=nn.Linear(5, outputs)))


def make_cases():
    y = classes(9, 3)
    weights = [0.5, 2.0, 1.25]
    yield case("mlp on images, class weights", "mlp", {"widths": [7, 5], "activation": "sigmoid"},
               mlp(4 * 3 * 2, 3), (4, 3, 2), 9, 3,
               lambda logits: F.cross_entropy(
                   logits, torch.tensor(y), reduction="sum",
                   weight=torch.tensor(weights, dtype=torch.float64)),
               {"loss_kind": "cross_entropy", "classes": y, "class_weights": weights})
    y2 = classes(5, 4)
    yield case("lenet, label smoothing", "lenet", {"activation": "tanh"}, lenet(2, 20, 4),
               (20, 20, 2), 5, 4,
               lambda logits: F.cross_entropy(logits, torch.tensor(y2), reduction="sum",
                                              label_smoothing=0.125),
               {"loss_kind": "cross_entropy", "classes": y2, "label_smoothing": 0.125})
    y3 = classes(6, 5)
    yield case("cnn with batch norm", "cnn", {"batch_norm": True}, cnn(3, 12, 5), (12, 12, 3), 6, 5,
               lambda logits: F.cross_entropy(logits, torch.tensor(y3), reduction="sum"),
               {"loss_kind": "cross_entropy", "classes": y3})
    y4 = classes(8, 2)
    yield case("logistic", "logistic", {}, nn.Sequential(OrderedDict(fc=nn.Linear(4, 1))), (4,), 8,
               1,
               lambda logits: F.binary_cross_entropy_with_logits(
                   logits[:, 0], torch.tensor(y4, dtype=torch.float64), reduction="sum"),
               {"loss_kind": "binary_cross_entropy", "classes": y4})
    values = hashed(4000, 7 * 2)
    yield case("linear", "linear", {"bias": False},
               nn.Sequential(OrderedDict(fc=nn.Linear(3, 2, bias=False))), (3,), 7, 2,
               lambda prediction: F.mse_loss(
                   prediction, torch.from_numpy(values.reshape(7, 2)), reduction="sum") / 2,
               {"loss_kind": "mse", "values": values.tolist()})


if __name__ == "__main__":
    write_cases("make_models.py", make_cases())
