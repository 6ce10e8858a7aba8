"""Numbers that PyTorch's scripts and tests/models/golden.h make alike, so that no file stores them."""
import numpy as np

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
