#!/usr/bin/env python3
"""Writes sequences.json: what PyTorch computes for layers of sequences, in float64: outputs, and the
gradients of the outputs' product with hashed numbers.

Needs torch and numpy; run it in this folder. Weights and inputs are made by `hashed` in hashed.py and
in tests/models/golden.h alike, every weight within 1/2 of zero.
"""
import numpy as np
import torch
from torch import nn

from hashed import hashed, summary, write_cases


class Last(nn.Module):
    """The state behind the last token, or those of all tokens."""

    def __init__(self, layer, sequence):
        super().__init__()
        self.layer, self.sequence = layer, sequence

    def forward(self, x):
        states, ends = self.layer(x)
        if self.sequence:
            return states
        ends = ends[0] if isinstance(ends, tuple) else ends  # (layers · directions, N, hidden)
        return torch.cat(list(ends[-(1 + self.layer.bidirectional):]), 1)


class SelfAttention(nn.Module):
    def __init__(self, layer, causal, padding=None):
        super().__init__()
        self.layer, self.causal, self.padding = layer, causal, padding

    def forward(self, x):
        tokens = x.shape[1]
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if self.causal else None
        padded = None
        if self.padding is not None:  # ids as tests/models/rig.h has them
            ids = (torch.arange(len(x))[:, None] + torch.arange(tokens)) % 3
            padded = ids == self.padding
        return self.layer(x, x, x, need_weights=False, attn_mask=later, key_padding_mask=padded)[0]


def tensor(seed, *shape):
    return torch.from_numpy(hashed(seed, int(np.prod(shape))).reshape(shape))


def case(title, keys, module, sample, rows, ids=0):
    """keys: what the test builds the layer from. ids: rows of an embedding's table, or 0."""
    module = module.double()
    names = list(module.layer.state_dict())
    for seed, name in enumerate(names):
        value = module.layer.state_dict()[name]
        value.copy_(0.5 * tensor(seed, *value.shape))
    x = tensor(1000, rows, *sample)
    if ids:
        x = ((x + 1) / 2 * ids).long()
    else:
        x.requires_grad_(True)
    y = module(x)
    (y * tensor(1001, *y.shape)).sum().backward()
    gradients = {name: summary(2000 + seed, parameter.grad)
                 for seed, (name, parameter) in enumerate(module.layer.named_parameters())}
    result = {"title": title, **keys, "sample": list(sample), "rows": rows, "ids": ids,
              "names": names, "output": [round(v, 12) for v in y.flatten().tolist()], "gradients": gradients}
    if not ids:
        result["input_gradient"] = [round(v, 12) for v in x.grad.flatten().tolist()]
    return result


def recurrent(kind, layer, layers, sequence, **options):
    return ({"layer": kind, "layers": layers, "sequence": sequence, "hidden": 5,
             "bidirectional": options.get("bidirectional", False)},
            Last(layer(4, 5, num_layers=layers, batch_first=True, **options), sequence))


class Plain(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


def make_cases():
    for title, (keys, module) in {
            "LSTM of two layers, last state": recurrent("lstm", nn.LSTM, 2, False),
            "LSTM, all states": recurrent("lstm", nn.LSTM, 1, True),
            "GRU of two layers, last state": recurrent("gru", nn.GRU, 2, False),
            "GRU, all states": recurrent("gru", nn.GRU, 1, True),
            "LSTM of two layers both ways": recurrent("lstm", nn.LSTM, 2, True, bidirectional=True),
            "GRU both ways, last states": recurrent("gru", nn.GRU, 2, False, bidirectional=True),
            "RNN of tanh, two layers": recurrent("rnn_tanh", nn.RNN, 2, True),
            "RNN of ReLU, last state": recurrent("rnn_relu", nn.RNN, 1, False,
                                                 nonlinearity="relu")}.items():
        yield case(title, keys, module, (6, 4), 3)
    for causal in (False, True):
        yield case(f"attention of 2 heads{', causal' if causal else ''}",
                   {"layer": "attention", "heads": 2, "causal": causal},
                   SelfAttention(nn.MultiheadAttention(6, 2, batch_first=True), causal), (5, 6), 3)
    for causal, rows, padding in (False, 3, 0), (True, 2, 2):  # no token sees padding alone
        yield case(f"attention past padding{', causal' if causal else ''}",
                   {"layer": "attention", "heads": 2, "causal": causal, "padding": padding},
                   SelfAttention(nn.MultiheadAttention(6, 2, batch_first=True), causal, padding),
                   (5, 6), rows)
    yield case("embedding", {"layer": "embedding", "width": 3}, Plain(nn.Embedding(7, 3)), (5,), 4,
               ids=7)
    yield case("linear over tokens", {"layer": "linear", "out": 3}, Plain(nn.Linear(4, 3)), (5, 4), 2)


if __name__ == "__main__":
    write_cases("make_sequences.py", make_cases())
