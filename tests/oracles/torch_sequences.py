#!/usr/bin/env python3
"""Networks over token ids, of recurrent layers and of attention with and without padding, beside the same in PyTorch: from the same
weights, on the same batches, both have the same losses and end with the same weights and logits."""
import json
import sys
from pathlib import Path

from oracle import run, start

ROWS, TOKENS, IDS, CLASSES, STEPS = 60, 9, 11, 3, 15
TOLERANCE = 2e-5  # of float32 against float64, relative to the largest


def networks():
    import torch
    from torch import nn

    class Lstm(nn.Module):
        layers = """
{ kind = "embedding", name = "tokens", ids = 11, width = 6, padding = 0 },
{ kind = "lstm", name = "lstm", hidden = 8, layers = 2 },
{ kind = "linear", name = "fc" }"""

        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(IDS, 6, padding_idx=0)
            self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True)
            self.fc = nn.Linear(8, CLASSES)

        def forward(self, ids):
            return self.fc(self.lstm(self.tokens(ids))[0][:, -1])

    class Gru(nn.Module):
        layers = """
{ kind = "embedding", name = "tokens", ids = 11, width = 6 },
{ kind = "gru", name = "gru", hidden = 5, output = "sequence" },
{ kind = "rnn", name = "rnn", hidden = 4, activation = "relu", output = "sequence" },
{ kind = "linear", name = "each", features = 4 },
{ kind = "tanh" },
{ kind = "mean_tokens" },
{ kind = "linear", name = "fc" }"""

        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(IDS, 6)
            self.gru = nn.GRU(6, 5, batch_first=True)
            self.rnn = nn.RNN(5, 4, nonlinearity="relu", batch_first=True)
            self.each, self.fc = nn.Linear(4, 4), nn.Linear(4, CLASSES)

        def forward(self, ids):
            states = self.rnn(self.gru(self.tokens(ids))[0])[0]
            return self.fc(self.each(states).tanh().mean(1))

    class Main(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
            return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.main = Main()

        def forward(self, x):
            return x + self.main(x)

    class Attention(nn.Module):
        layers = """
{ kind = "embedding", name = "tokens", ids = 11, width = 8 },
{ kind = "learned_positions", name = "positions" },
{ kind = "residual", name = "block", layers = [
    { kind = "attention", name = "attention", heads = 2, causal = true }] },
{ kind = "mean_tokens" },
{ kind = "linear", name = "fc" }"""

        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(IDS, 8), nn.Embedding(TOKENS, 8)
            self.block, self.fc = Block(), nn.Linear(8, CLASSES)

        def forward(self, ids):
            x = self.tokens(ids) + self.positions(torch.arange(TOKENS))
            return self.fc(self.block(x).mean(1))

    class Padded(nn.Module):
        layers = """
{ kind = "embedding", name = "tokens", ids = 11, width = 8, padding = 0 },
{ kind = "attention", name = "attention", heads = 2, padding = 0 },
{ kind = "mean_tokens", padding = 0 },
{ kind = "linear", name = "fc" }"""

        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(IDS, 8, padding_idx=0)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.fc = nn.Linear(8, CLASSES)

        def forward(self, ids):
            x, counted = self.tokens(ids), (ids != 0).unsqueeze(2)
            y = self.attention(x, x, x, key_padding_mask=ids == 0, need_weights=False)[0]
            return self.fc((y * counted).sum(1) / counted.sum(1))

    return {"lstm": Lstm(), "gru": Gru(), "attention": Attention(), "padded": Padded()}


def losses_of(network, ids, classes):
    """Trains in float64 on the whole data at once, so that no order of samples matters."""
    import torch
    from torch.nn import functional as F
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(ids), classes)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def check_close(what, found, wanted):
    import numpy
    found, wanted = numpy.asarray(found, float), numpy.asarray(wanted, float)
    error = numpy.abs(found - wanted).max() / numpy.abs(wanted).max()
    print(f"{what}: within {error:.1e}, relative")
    if not error < TOLERANCE:
        sys.exit(f"{what}: PyTorch has other numbers:\n{found}\n{wanted}")


def main(lockstep):
    import h5py
    import numpy
    import torch
    from safetensors.torch import load_file, save_file
    seed = torch.seed() % 2**32
    print(f"seed {seed}")
    torch.manual_seed(seed)
    ids, classes = torch.randint(0, IDS, (ROWS, TOKENS)), torch.randint(0, CLASSES, (ROWS,))
    with h5py.File("ids.h5", "w") as file:
        file["train/x"], file["train/y"] = ids.numpy(), classes.numpy()
        file["test/x"], file["test/y"] = ids.numpy(), classes.numpy()
    for name, network in networks().items():
        save_file(network.state_dict(), f"{name}-start.safetensors")
        Path(f"{name}.toml").write_text(f"""
data.file = "ids.h5"
training = {{ steps = {STEPS}, batch = {ROWS} }}
optimizer = {{ kind = "sgd", lr = 0.3, momentum = 0.9 }}
log.every_steps = 1
[model]
weights = "{name}-start.safetensors"
layers = [{network.layers}
]
""")
        run(lockstep, "train", f"{name}.toml", "--out", name)
        run(lockstep, "export", name, f"{name}.safetensors")
        run(lockstep, "predict", name, "--logits", "-o", f"{name}.npy")
        network.double()
        lines = [json.loads(line) for line in Path(name, "metrics.jsonl").read_text().splitlines()]
        check_close(f"{name}: losses", [line["loss"] for line in lines if line["split"] == "batch"],
                    losses_of(network, ids, classes))
        trained = {key: value.double() for key, value in load_file(f"{name}.safetensors").items()}
        network.load_state_dict(trained)  # names and shapes are PyTorch's
        with torch.no_grad():
            check_close(f"{name}: logits", numpy.load(f"{name}.npy"), network(ids).numpy())


if __name__ == "__main__":
    start(__file__, main)
