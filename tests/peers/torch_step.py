"""PyTorch's side of the comparison: the same networks trained on the same rows (or, with
--inference, asked for their outputs), timed.

One process, or one rank of several: under torchrun, or wherever RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT are set, the gradients meet through DistributedDataParallel on gloo and every rank takes
its part of each batch. Prints JSON, one object a line.

    python torch_step.py --data fashion-mnist.h5 --model cnn --threads 2 --mode compile
    python torch_step.py --data pictures.h5 --model resnet50-gpu --device cuda --precision bfloat16
    torchrun --nproc-per-node 2 torch_step.py --data fashion-mnist.h5 --model mlp --ddp

Networks for pictures (resnet18-224 and their like) are timm's.
"""

import argparse
import json
import os
import statistics
import sys
import time

import h5py
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from tasks import CLASSES, LR, MEAN, MOMENTUM, STD, TASKS

DEVICE = "cpu"  # or "cuda", set by main()


def ways(task):
    """What PyTorch leaves to its user and what costs or saves time: each is tried, the fastest is
    timed. Memory format of weights and activations, or else rows normalised once and kept as
    float32 against bytes normalised batch by batch (pictures always are: they would not fit). On a
    GPU the rows lie in its memory, and channels last is what its tensor cores want."""
    if DEVICE == "cuda":
        return ["channels last"] if task.memory_formats else ["rows normalised once"]
    if task.memory_formats:
        return ["channels first", "channels last"]
    return ["rows normalised once", "rows normalised per batch"]


def network(task):
    if task.pictures:
        import timm
        return timm.create_model(task.network, num_classes=CLASSES)
    if task.network == "mlp":
        return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


class Rows:
    """The training part, in memory, and the order of its rows: a fresh permutation an epoch."""

    def __init__(self, path, task):
        with h5py.File(path, "r") as file:
            self.x = torch.from_numpy(file["train/x"][:]).to(DEVICE)  # (N, H, W, C) uint8
            self.y = torch.from_numpy(file["train/y"][:]).long().to(DEVICE)
            self.mean, self.std = (MEAN, STD) if task.pictures else (
                float(file.attrs["mean"][0]), float(file.attrs["std"][0]))

    def normalised(self, x):
        return (x.float() / 255 - self.mean) / self.std

    def indices(self, batch, rank, ranks):
        """This rank's part of one batch after another; whole batches only, so that nothing
        is compiled twice."""
        generator = torch.Generator().manual_seed(1)  # the same on every rank
        first, last = batch * rank // ranks, batch * (rank + 1) // ranks
        while True:
            order = torch.randperm(len(self.y), generator=generator).to(DEVICE)
            for start in range(0, len(order) - batch + 1, batch):
                yield order[start + first : start + last]


class Training:
    """One network, trained one way: step() is what is timed."""

    def __init__(self, arguments, rows, way):
        torch.manual_seed(1)
        task = TASKS[arguments.model]
        net = network(task).to(DEVICE)
        if way == "channels last":
            net = net.to(memory_format=torch.channels_last)
        ranks, rank = (dist.get_world_size(), dist.get_rank()) if arguments.ddp else (1, 0)
        if arguments.ddp:
            net = nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
        self.optimizer = (
            torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, fused=True) if task.pictures
            else torch.optim.Adam(net.parameters(), lr=0.001, fused=True))
        self.batch = task.batch
        self.indices = rows.indices(self.batch, rank, ranks)

        per_batch = task.pictures or way == "rows normalised per batch"
        self.x = rows.x if per_batch else rows.normalised(rows.x)
        # Pictures lie with channels last in the file; both are views of the same bytes.
        self.x = self.x.reshape(-1, 784) if task.network == "mlp" else self.x.permute(0, 3, 1, 2)
        self.y = rows.y
        memory_format = (torch.channels_last if way == "channels last" else torch.contiguous_format)
        bfloat16 = arguments.precision == "bfloat16"

        def loss(x, y):
            if per_batch:
                x = rows.normalised(x)
            if task.memory_formats:
                x = x.contiguous(memory_format=memory_format)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat16):
                return net(x) if arguments.inference else F.cross_entropy(net(x), y)

        compiled = {"compile": "default", "reduce-overhead": "reduce-overhead"}.get(arguments.mode)
        self.loss = torch.compile(loss, dynamic=False, mode=compiled) if compiled else loss
        self.inference = arguments.inference
        net.train(not self.inference)

    def step(self):
        index = next(self.indices)
        if self.inference:
            with torch.inference_mode():
                return self.loss(self.x[index], self.y[index])
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.x[index], self.y[index])
        loss.backward()
        self.optimizer.step()
        return loss

    def rate(self, steps):
        """Samples of the whole batch, over all ranks, a second."""
        if dist.is_initialized():
            dist.barrier()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            loss = self.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        if not torch.isfinite(loss).all():
            sys.exit("torch_step.py: the loss is not finite: these steps are no training")
        return self.batch * steps / seconds


def fastest(arguments, rows):
    """Tries every way for a round and returns the fastest, warm, with its name."""
    choices = ways(TASKS[arguments.model])
    rates, trainings = [], []
    for way in choices:
        training = Training(arguments, rows, way)
        training.rate(arguments.warm_up)
        rates.append(training.rate(max(1, arguments.steps // 4)))
        trainings.append(training)
    rates = torch.tensor(rates, dtype=torch.float64)
    if arguments.ddp:
        dist.broadcast(rates, src=0)  # one choice for all ranks
    best = int(rates.argmax())
    return trainings[best], choices[best]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="HDF5 file that lockstep prepare wrote")
    parser.add_argument("--model", choices=TASKS, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=["eager", "compile", "reduce-overhead"], default="eager")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--inference", action="store_true", help="forward alone, in eval mode")
    parser.add_argument("--ddp", action="store_true", help="one of several ranks, over gloo")
    parser.add_argument("--steps", type=int, default=300, help="steps a round")
    parser.add_argument("--warm-up", type=int, default=50, help="steps before each way's trial")
    parser.add_argument("--rounds", type=int, default=5, help="their median is printed")
    parser.add_argument("--on-request", action="store_true",
                        help="a round for every line on standard input, and a JSON line for each")
    parser.add_argument("--keep-denormals", action="store_true",
                        help="do not set flush-to-zero (lockstep always does)")
    arguments = parser.parse_args()

    global DEVICE
    DEVICE = arguments.device
    if DEVICE == "cuda":
        torch.backends.cudnn.benchmark = True
        # What lockstep's float32 is: no tf32.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(not arguments.keep_denormals)
    if arguments.ddp:
        dist.init_process_group("gloo")
    prints = not arguments.ddp or dist.get_rank() == 0
    training, way = fastest(arguments, Rows(arguments.data, TASKS[arguments.model]))

    def report(rates):
        if prints:
            print(json.dumps({
                "samples_per_second": statistics.median(rates), "way": way,
                "torch": torch.__version__,
                "malloc_keeps_pages": "mmap_threshold" in os.environ.get("GLIBC_TUNABLES", ""),
            }), flush=True)

    if arguments.on_request:
        if prints:
            print(json.dumps({"ready": way}), flush=True)
        for _ in sys.stdin:
            report([training.rate(arguments.steps)])
    else:
        report([training.rate(arguments.steps) for _ in range(arguments.rounds)])
    if arguments.ddp:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
