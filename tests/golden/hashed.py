"""What the scripts that ask PyTorch share. Numbers that they and tests/models/golden.h make alike, so
that no file stores them; summaries of gradients; the files themselves."""
import json

import numpy as np
import torch

FIRST = 6


def hashed(seed, count):
    """Numbers in [-1, 1), exact in float32: SplitMix64 of (seed, index), upper 24 bits."""
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0


def summary(seed, tensor):
    """Norm, product with a hashed vector, first elements: enough to catch a wrong sum, sign, order or
    scale of a gradient."""
    flat = tensor.detach().numpy().reshape(-1)
    return {
        "shape": list(tensor.shape),
        "norm": float(np.linalg.norm(flat)),
        "projection": float(flat @ hashed(seed, flat.size)),
        "first": [float(value) for value in flat[:FIRST]],
    }


def set_weights(model, variance, is_factor):
    """Matrices and kernels get a variance of `variance` / fan_in; vectors numbers within 1/2 of 1
    where is_factor(name), else within 1/2 of 0. Returns the state's names in their order."""
    state = model.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    for seed, name in enumerate(names):
        shape = tuple(state[name].shape)
        values = hashed(seed, int(np.prod(shape))).reshape(shape)
        if len(shape) > 1:
            scale = np.float32(np.sqrt(3.0 * variance / np.prod(shape[1:])))
            values = (values.astype(np.float32) * scale).astype(np.float64)
        else:
            values = 0.5 * values + (1.0 if is_factor(name) else 0.0)
        state[name].copy_(torch.from_numpy(values))
    return names


def samples(rows, sample):
    """sample: (H, W, C) or (columns,), as lockstep has it; PyTorch gets N, C, H, W."""
    x = torch.from_numpy(hashed(1000, rows * int(np.prod(sample))).reshape((rows, *sample)))
    return x.permute(0, 3, 1, 2).contiguous() if len(sample) == 3 else x


def classes(rows, outputs):
    return [int((value + 1.0) / 2.0 * outputs) for value in hashed(3000, rows)]


def write_cases(script, cases, **versions):
    """To the JSON file that `script` is named after: a line a case."""
    versions["torch"] = torch.__version__
    named = ", ".join(f'"{name}": "{version.split("+")[0]}"' for name, version in versions.items())
    lines = ",\n".join(json.dumps(one) for one in cases)
    with open(script.removeprefix("make_").removesuffix(".py") + ".json", "w",
              encoding="ascii") as file:
        file.write(f'{{"made_by": "{script}", {named}, "cases": [\n{lines}\n]}}\n')
