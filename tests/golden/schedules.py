"""Golden values of the learning-rate schedules: PyTorch's own schedulers, stepped 40 times.

    python tests/golden/schedules.py > tests/golden/schedules.txt      (needs torch)

Ten steps make an epoch. A line: name, then the rate of each step.
"""

import warnings

import torch
from torch.optim import lr_scheduler as schedulers

STEPS, STEPS_PER_EPOCH, BASE = 40, 10, 0.1
warnings.filterwarnings("ignore")


def rates(make, per_epoch=False):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = make(optimizer)
    result = []
    for step in range(STEPS):
        result.append(float(optimizer.param_groups[0]["lr"]))
        if not per_epoch or (step + 1) % STEPS_PER_EPOCH == 0:
            scheduler.step()
    return result


def with_warmup(make, warmup=8):
    """LinearLR from 1/W in W - 1 steps, then the scheduler: (s + 1) / W while s < W."""

    def build(optimizer):
        first = schedulers.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        return schedulers.SequentialLR(optimizer, [first, make(optimizer)], [warmup])

    return build


CASES = {
    "step_epochs": (lambda o: schedulers.StepLR(o, 2, 0.3), True),
    "step_steps": (lambda o: schedulers.StepLR(o, 7, 0.5), False),
    "multi_step_epochs": (lambda o: schedulers.MultiStepLR(o, [1, 3], 0.2), True),
    "multi_step_steps": (lambda o: schedulers.MultiStepLR(o, [5, 5, 33], 0.1), False),
    "exponential": (lambda o: schedulers.ExponentialLR(o, 0.9), True),
    "linear": (lambda o: schedulers.LinearLR(o, 1.0, 0.2, STEPS), False),
    "cosine": (lambda o: schedulers.CosineAnnealingLR(o, STEPS, 0.01), False),
    "cosine_warmup": (with_warmup(lambda o: schedulers.CosineAnnealingLR(o, STEPS - 8, 0.01)), False),
    "one_cycle": (lambda o: schedulers.OneCycleLR(o, BASE, STEPS), False),
    "one_cycle_options": (
        lambda o: schedulers.OneCycleLR(
            o, BASE, STEPS, pct_start=0.4, div_factor=10.0, final_div_factor=100.0
        ),
        False,
    ),
    "one_cycle_no_rise": (lambda o: schedulers.OneCycleLR(o, BASE, STEPS, pct_start=0.0), False),
}

for name, (make, per_epoch) in CASES.items():
    print(name, *(repr(rate) for rate in rates(make, per_epoch)))
