"""lockstep beside PyTorch on this machine: training speed, scaling, start-up and memory.

    python3 tests/peers/compare.py --python build/oracles/bin/python --json peers.json

All contenders take turns, round after round, so that whatever else the machine does falls on all
of them; a figure is the median of its rounds, with the smallest and the largest beside it.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import startup
from contenders import Lockstep, Torch, config_of, contenders, pictures, summary
from tasks import SMALL, TASKS

PAUSE_SECONDS = 0.2  # lets the threads of the last program fall asleep


def measure(entries, rounds):
    """Rates of each contender, by name: one a round."""
    rates = {entry.name: [] for entry in entries}
    try:
        for entry in entries:
            way = entry.start()
            print(f"  ready: {entry.name}{': ' * bool(way)}{way}", file=sys.stderr)
        for number in range(rounds):
            for entry in entries:
                time.sleep(PAUSE_SECONDS)
                rates[entry.name].append(entry.round())
            print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    finally:
        for entry in entries:
            entry.stop()
    return rates


def ratio(over, under, factor=1.0):
    """Of the medians; min and max are of the rounds' own ratios."""
    rounds = [a / (factor * b) for a, b in zip(over, under)]
    median = statistics.median(over) / (factor * statistics.median(under))
    return {"ratio": median, "min": min(rounds), "max": max(rounds)}


def best(entries, rates, wanted):
    """Name of the contender with the highest median among those that `wanted` accepts."""
    names = [entry.name for entry in entries if wanted(entry)]
    return max(names, key=lambda name: statistics.median(rates[name]))


def ratios(entries, rates):
    """Ours over each kind of peer, and two workers over twice one."""
    ours = best(entries, rates, lambda entry: isinstance(entry, Lockstep))
    peers = {
        "best single process": lambda e: isinstance(e, Torch) and e.ranks == 1,
        "best single process, malloc keeps pages":
            lambda e: isinstance(e, Torch) and e.ranks == 1 and e.keep_pages,
        "DDP on 2 ranks": lambda e: isinstance(e, Torch) and e.ranks == 2,
    }
    found = {}
    for kind, wanted in peers.items():
        if not any(wanted(entry) for entry in entries):
            continue
        peer = best(entries, rates, wanted)
        found[kind] = {"ours": ours, "peer": peer, **ratio(rates[ours], rates[peer])}

    by_shape = {(e.ranks, e.threads): rates[e.name] for e in entries if isinstance(e, Lockstep)}
    if (1, 1) not in by_shape:
        return found
    for shape, text in (((2, 1), "2 ranks x 1 thread"), ((1, 2), "1 rank x 2 threads")):
        found[f"{text} over twice one thread"] = ratio(by_shape[shape], by_shape[1, 1], factor=2)
    return found


def gpu_ratios(entries, rates):
    """Each of ours over each of PyTorch's, and more shards over one."""
    ours = [entry.name for entry in entries if isinstance(entry, Lockstep)]
    peers = [entry.name for entry in entries if isinstance(entry, Torch)]
    found = {f"{name} / {peer}": ratio(rates[name], rates[peer]) for name in ours for peer in peers}
    for name in ours[1:]:
        found[f"{name} / {ours[0]}"] = ratio(rates[name], rates[ours[0]])
    return found


def compare_model(model, arguments, rounds, effort, folder):
    print(f"{model}: starting and warming the contenders", file=sys.stderr)
    task = TASKS[model]
    data = pictures(arguments.lockstep, task, folder) if task.pictures else arguments.data
    entries = contenders(model, config_of(model, folder, data), arguments, data, effort)
    rates = measure(entries, rounds)
    result = {
        "samples_per_second": {name: summary(values) for name, values in rates.items()},
        "ratios": (gpu_ratios if arguments.device == "cuda" else ratios)(entries, rates),
        "memory_mib": {e.name: e.peak_mib for e in entries if isinstance(e, Lockstep)},
    }

    print(f"\n{model}: samples/s, {rounds} alternating rounds\n"
          f"  {'':<64}{'median':>10}{'min':>10}{'max':>10}")
    for name, values in rates.items():
        digits = 0 if max(values) >= 1000 else 1
        print(f"  {name:<64}{statistics.median(values):>10.{digits}f}{min(values):>10.{digits}f}"
              f"{max(values):>10.{digits}f}")
    for name, found in result["ratios"].items():
        against_peer = "peer" in found
        head = f"lockstep / PyTorch, {name}" if against_peer else name
        print(f"  {head:<64}{found['ratio']:>10.2f}{found['min']:>10.2f}{found['max']:>10.2f}")
        if against_peer:
            print(f"    {found['ours']} / {found['peer']}")
    for name, mib in result["memory_mib"].items():
        print(f"  {name + ', peak memory of its largest process':<64}{mib:>10.1f} MiB")
    return result


def compare_startup(arguments, runs):
    print("start-up: running", file=sys.stderr)
    result = startup.measure(arguments.lockstep, arguments.data, runs)
    print(f"\nstart-up: seconds of the whole program, {runs} alternating runs\n"
          f"  {'':<64}{'median':>10}{'min':>10}{'max':>10}{'beyond':>10}")
    for ranks, programs in result.items():
        empty = programs["empty MPI program"]["median"]
        for name, times in programs.items():
            print(f"  {f'{ranks}: {name}':<64}{times['median']:>10.3f}{times['min']:>10.3f}"
                  f"{times['max']:>10.3f}{times['median'] - empty:>10.3f}")
    return result


def parse_arguments():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", type=pathlib.Path, default=root / "build/launch/lockstep",
                        help="the executable (default %(default)s)")
    parser.add_argument("--python", type=pathlib.Path, default=root / "build/oracles/bin/python",
                        help="a Python with torch and h5py (default %(default)s, "
                             "which launch/test --oracles makes)")
    parser.add_argument("--data", type=pathlib.Path, default=root / "data/fashion-mnist.h5",
                        help="what `lockstep prepare fashion-mnist` wrote (default %(default)s)")
    parser.add_argument("--models", nargs="*", choices=TASKS, default=SMALL, metavar="MODEL",
                        help=f"of {', '.join(TASKS)} (default {' '.join(SMALL)}; none: start-up "
                             "only)")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu",
                        help="cuda: one GPU each; take models named ...-gpu")
    parser.add_argument("--inference", action="store_true",
                        help="outputs of the network in evaluation mode instead of training")
    parser.add_argument("--no-startup", action="store_true", help="leave start-up out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true",
                        help="two rounds of a tenth of the steps: shows that all runs, no figures")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    small = not arguments.no_startup or any(not TASKS[m].pictures for m in arguments.models)
    for name in ("lockstep", "python") + ("data",) * small:
        path = getattr(arguments, name)
        if not path.exists():
            parser.error(f"{path} does not exist: give --{name}")
        setattr(arguments, name, path.absolute())  # not resolved: a venv's python is a link
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def main():
    arguments = parse_arguments()
    rounds, effort, runs = (2, 0.1, 3) if arguments.quick else (arguments.rounds, 1.0, 11)
    with tempfile.TemporaryDirectory() as folder:
        result = {model: compare_model(model, arguments, rounds, effort, folder)
                  for model in arguments.models}
    if not arguments.no_startup:
        result["startup_seconds"] = compare_startup(arguments, runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
