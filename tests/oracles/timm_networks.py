#!/usr/bin/env python3
"""The networks for pictures against timm itself, on random weights and pictures, with direct
convolutions: a state dict of timm's starts lockstep and gives timm's logits; weights that lockstep
trained load in timm, strictly, and give lockstep's logits."""
import sys
from pathlib import Path

from oracle import run, start

SIDE, CLASSES, TOLERANCE = 64, 7, 1e-4
NETWORKS = ["resnet18", "resnet34", "resnet50", "efficientnet_b0", "convnext_tiny"]


def make_data():
    """Pictures as floats, so that no normalisation comes between."""
    import h5py
    import numpy
    rng = numpy.random.default_rng()
    with h5py.File("pictures.h5", "w") as file:
        for split, rows in (("train", 32), ("test", 9)):
            file[f"{split}/x"] = rng.normal(size=(rows, SIDE, SIDE, 3)).astype("f4")
            file[f"{split}/y"] = numpy.arange(rows) % CLASSES


def random_model(network, keys):
    """timm's initial weights, and numbers of their own for all that begins as zeros or ones."""
    import timm
    import torch
    from torch import nn
    model = timm.create_model(network, num_classes=CLASSES)
    if "cifar" in keys:
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.ndim == 1 and name.endswith(("weight", "gamma", "running_var")):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1:
                value.uniform_(-0.5, 0.5)
    return model


def compare(title, model):
    import h5py
    import numpy
    import torch
    with h5py.File("pictures.h5") as file:
        x = torch.from_numpy(file["test/x"][:]).double().permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = model.double().eval()(x).numpy()
    error = numpy.abs(numpy.load("logits.npy") - wanted).max() / numpy.abs(wanted).max()
    print(f"{title}: logits within {error:.1e}, relative", flush=True)
    if not error < TOLERANCE:
        sys.exit(f"{title}: timm's logits are others")


def check(lockstep, network, keys=""):
    import torch
    from safetensors.torch import load_file, save_file
    title = f"{network} {keys}".strip()
    model = random_model(network, keys)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, "start.safetensors")
    Path("net.toml").write_text(f"""
[data]
file = "pictures.h5"
[model]
network = "{network}"
weights = "start.safetensors"
convolution = "direct"
image_size = {SIDE}
num_classes = {CLASSES}
{keys}
[training]
steps = 2
batch = 16
[optimizer]
lr = 0.001
""")
    run(lockstep, "predict", "net.toml", "--logits", "-o", "logits.npy")
    compare(f"{title}, from timm", model)

    folder = Path("run-" + title.replace(" ", "-").replace(chr(34), ""))
    run(lockstep, "train", "net.toml", "--out", folder)
    run(lockstep, "export", folder, "trained.safetensors")
    trained = load_file("trained.safetensors")
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    if list(trained) != names and sorted(trained) != sorted(names):
        sys.exit(f"{title}: the exported names are others")
    if any(torch.equal(trained[name], state[name]) for name in names):
        sys.exit(f"{title}: training left a tensor as it was")
    back = random_model(network, keys)
    back.load_state_dict(trained, strict=True)
    run(lockstep, "predict", folder, "--logits", "-o", "logits.npy")
    compare(f"{title}, to timm", back)


def main(lockstep):
    import torch
    torch.manual_seed(torch.seed() % 2**32)
    torch.set_num_threads(1)
    make_data()
    for network in NETWORKS:
        check(lockstep, network)
    check(lockstep, "resnet18", 'stem = "cifar"')


if __name__ == "__main__":
    start(__file__, main, "torch, timm, safetensors, h5py")
