#!/usr/bin/env python3
"""Writes curves.json: losses and final weights of the runs in curves.py, trained by PyTorch in
float64 from the same weights on the same batches. Needs torch and numpy; run it in this folder."""
import json
from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import curves


def network(model):
    if model["network"] == "mlp":
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU,
                      "elu": nn.ELU}[model.get("activation", "relu")]()
        return nn.Sequential(OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(64, 32),
                                         act1=activation, fc2=nn.Linear(32, 10)))
    return nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, 16, 5, padding=2), bn1=nn.BatchNorm2d(16), relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2), conv2=nn.Conv2d(16, 32, 5, padding=2), bn2=nn.BatchNorm2d(32),
        relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), fc1=nn.Linear(128, 128),
        relu3=nn.ReLU(), fc2=nn.Linear(128, 10)))


def make_optimizer(model, keys):
    decay = keys.get("weight_decay", 0)
    groups = [{"params": [p], "weight_decay": decay if p.dim() > 1
               or keys.get("decay_norms_and_biases", True) else 0} for p in model.parameters()]
    if keys["kind"] == "sgd":
        return torch.optim.SGD(groups, lr=keys["lr"], momentum=keys["momentum"],
                               nesterov=keys.get("nesterov", False))
    if keys["kind"] == "rmsprop":
        return torch.optim.RMSprop(groups, lr=keys["lr"], momentum=keys["momentum"],
                                   centered=keys["centered"])
    if keys["kind"] == "adagrad":
        return torch.optim.Adagrad(groups, lr=keys["lr"], lr_decay=keys["lr_decay"],
                                   initial_accumulator_value=keys["initial_accumulator"])
    kind = torch.optim.Adam if keys["kind"] == "adam" else torch.optim.AdamW
    return kind(groups, lr=keys["lr"])


def loss_of(case, output, labels):
    keys = case.get("loss", {})
    if keys.get("kind") == "hinge":
        return keys["scale"] * F.multi_margin_loss(output, labels)
    return F.cross_entropy(output, labels, label_smoothing=case.get("label_smoothing", 0.0))


def add_penalties(model, case):
    keys = case.get("loss", {})
    for parameter in model.parameters():
        if parameter.dim() > 1 or case["optimizer"].get("decay_norms_and_biases", True):
            w = parameter.detach()
            parameter.grad += keys.get("l1", 0.0) * torch.sign(w) + keys.get("l2", 0.0) * w


def clip(model, norm):
    gradients = [parameter.grad for parameter in model.parameters()]
    total = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
    for gradient in gradients:
        gradient *= min(1.0, norm / float(total))


def train(case):
    model = network(case["model"]).double()
    weights = {name: torch.from_numpy(values.astype(np.float64))
               for name, values in curves.initial_weights(case["shapes"]).items()}
    model.load_state_dict(weights, strict=False)
    optimizer = make_optimizer(model, case["optimizer"])
    pixels, labels = curves.data()
    x = torch.from_numpy((pixels / 255.0 - curves.MEAN) / curves.STD).permute(0, 3, 1, 2)
    y = torch.from_numpy(labels)
    losses = []
    for rows in curves.batches(case["batch"], case["steps"]):
        optimizer.zero_grad()
        loss = loss_of(case, model(x[rows]), y[rows])
        loss.backward()
        add_penalties(model, case)
        if "clip_value" in case:
            nn.utils.clip_grad_value_(model.parameters(), case["clip_value"])
        if "clip_norm" in case:
            clip(model, case["clip_norm"])
        optimizer.step()
        losses.append(float(loss.detach()))
    state = model.state_dict()
    return {"losses": losses, "weights": {name: curves.summary(seed, state[name].numpy())
                                          for seed, name in enumerate(case["shapes"])}}


if __name__ == "__main__":
    result = {name: train(case) for name, case in curves.CASES.items()}
    with open("curves.json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
