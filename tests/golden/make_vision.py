#!/usr/bin/env python3
"""Writes vision.json: what timm's networks for pictures compute, in float64.

Needs timm, torch and numpy; run it in this folder. Weights and inputs are not stored but made by
`hashed` in hashed.py and in tests/models/golden.h alike.
"""
import timm
import torch
from torch import nn
from torch.nn import functional as F

from hashed import classes, samples, set_weights, summary, write_cases

STEPS, ROWS, CLASSES = 3, 3, 7
SAMPLED = 6  # every so many parameters, the gradient is kept


def is_factor(name):
    return name.endswith(("running_var", "weight", "gamma"))


def case(network, side, channels=3, stem="imagenet", rate=1e-4):
    keys = {}
    model = timm.create_model(network, num_classes=CLASSES, in_chans=channels)
    if stem == "cifar":
        keys["stem"] = stem
        model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    model = model.double()
    names = set_weights(model, 2.0, is_factor)
    shapes = [[name, list(model.state_dict()[name].shape)] for name in names]
    x, y = samples(ROWS, (side, side, channels)), torch.tensor(classes(ROWS, CLASSES))
    model.eval()
    evaluation = model(x).flatten().tolist()

    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses, gradients = [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        losses.append(float(loss.detach()))
        if step == 0:
            named = list(model.named_parameters())
            kept = sorted({*range(0, len(named), SAMPLED), len(named) - 2, len(named) - 1})
            gradients = {named[i][0]: summary(2000 + i, named[i][1].grad) for i in kept}
        optimizer.step()
    statistics = {name: summary(5000 + i, buffer) for i, (name, buffer) in
                  enumerate((name, buffer) for name, buffer in model.named_buffers()
                            if not name.endswith("num_batches_tracked"))}
    title = f"{network} at {side}" + (", 3x3 stem" if stem == "cifar" else "")
    print(f"{title}: losses {losses}")
    return {
        "title": title, "network": network, "keys": keys, "sample": [side, side, channels],
        "rows": ROWS, "outputs": CLASSES, "shapes": shapes, "evaluation_logits": evaluation,
        "classes": y.tolist(), "rate": rate, "losses": losses, "gradients": gradients,
        "statistics": statistics,
    }


def rounded(value):
    """Nine digits are more than float32 holds."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return value


def make_cases():
    yield case("resnet18", 64)
    yield case("resnet18", 24, stem="cifar")
    yield case("resnet34", 64, channels=1)
    yield case("resnet50", 64, rate=1e-5)  # so deep that larger steps magnify rounding errors
    yield case("efficientnet_b0", 64)
    yield case("convnext_tiny", 64)


if __name__ == "__main__":
    write_cases("make_vision.py", map(rounded, make_cases()), timm=timm.__version__)
