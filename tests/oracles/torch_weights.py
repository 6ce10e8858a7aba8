#!/usr/bin/env python3
"""Weights that lockstep trained, loaded by PyTorch: the same network in Python gives the logits that
`lockstep predict --logits` writes, and weights that PyTorch writes start a run of lockstep's."""
import sys
from pathlib import Path

from oracle import run, start


def networks():
    from torch import nn
    mlp = nn.Sequential()
    mlp.add_module("fc1", nn.Linear(64, 32))
    mlp.add_module("act1", nn.Tanh())
    mlp.add_module("fc2", nn.Linear(32, 10))

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16)
            self.conv2, self.bn2 = nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32)
            self.fc1, self.fc2 = nn.Linear(32 * 2 * 2, 128), nn.Linear(128, 10)
            self.pool = nn.MaxPool2d(2)

        def forward(self, x):
            x = self.pool(self.bn1(self.conv1(x)).relu())
            x = self.pool(self.bn2(self.conv2(x)).relu())
            return self.fc2(self.fc1(x.flatten(1)).relu())

    return {"mlp": (mlp, 'widths = [32]\nactivation = "tanh"', lambda x: x.flatten(1)),
            "cnn": (Cnn(), "batch_norm = true", lambda x: x.permute(0, 3, 1, 2))}


def logits_agree(name, network, to_input):
    import h5py
    import numpy
    import torch
    with h5py.File("digits.h5") as file:
        mean, std = float(file.attrs["mean"][0]), float(file.attrs["std"][0])
        x = torch.from_numpy(file["test/x"][:]).double() / 255
    with torch.no_grad():
        expected = network.double().eval()(to_input((x - mean) / std)).numpy()
    error = numpy.abs(numpy.load("logits.npy") - expected).max() / numpy.abs(expected).max()
    print(f"{name}: logits of {len(x)} samples within {error:.1e}, relative")
    if not error < 1e-5:
        sys.exit(f"{name}: PyTorch's logits are others")


def main(lockstep):
    import torch
    from safetensors.torch import load_file, save_file
    torch.manual_seed(torch.seed() % 2**32)
    run(lockstep, "prepare", "digits", "-o", "digits.h5")
    for name, (network, keys, to_input) in networks().items():
        # PyTorch's weights in, trained, and out again.
        start = {key: value for key, value in network.state_dict().items()
                 if not key.endswith("num_batches_tracked")}
        save_file(start, f"{name}-start.safetensors")
        Path(f"{name}.toml").write_text(f"""
data.file = "digits.h5"
training = {{ steps = 30, batch = 64 }}
[model]
network = "{name}"
weights = "{name}-start.safetensors"
{keys}
""")
        run(lockstep, "train", f"{name}.toml", "--out", name)
        run(lockstep, "export", name, f"{name}.safetensors")
        trained = load_file(f"{name}.safetensors")
        if all(torch.equal(trained[key], start[key]) for key in start):
            sys.exit(f"{name}: training changed nothing")
        network.load_state_dict(trained, strict=False)
        run(lockstep, "predict", name, "--logits", "-o", "logits.npy")
        logits_agree(name, network, to_input)


if __name__ == "__main__":
    start(__file__, main)
