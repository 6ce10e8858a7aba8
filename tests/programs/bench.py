#!/usr/bin/env python3
"""The benchmarks run and write what they print: figures that hang together, and oneDNN's beside ours
where the build found it. How fast anything is, is not tested: machines are shared."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)


@test
def step_writes_what_it_prints():
    x, y = digits()
    write_h5("d.h5", train_x=x, train_y=y)
    write_config("a.toml", run={"name": "bench"}, data={"file": "d.h5"},
                 model={"network": "mlp", "widths": [16]}, training={"epochs": 1, "batch": 50})
    done = succeed("bench", "step", "a.toml", "--steps", 20, "--rounds", 3, "--warm-up", 2, "--profile",
                   "--json", "step.json", ranks=2)
    done.says("samples/s", "step ms", "MiB", "forward.fc1", "update")
    figures = json.loads(Path("step.json").read_text())
    check(figures["ranks"] == 2 and figures["batch"] == 50, f"{figures}")
    times = figures["step_ms"]
    check(0 < times["min"] <= times["median"] <= times["max"] and times["spread"] >= 0, f"{times}")
    rates = [figures["samples_per_second" + end] for end in ("_min", "", "_max")]
    check(0 < rates[0] <= rates[1] <= rates[2] and figures["memory_mib"] > 1, f"{figures}")


@test
def ops_beside_onednn():
    done = succeed("bench", "ops", "linear_forward", "--repetitions", 3, "--json", "ops.json")
    figures = json.loads(Path("ops.json").read_text())
    check(len(figures["cases"]) > 0, f"{figures}")
    built = (Path(sys.argv[1]).resolve().parent / "liblockstep_bench_onednn.so").exists()
    print("  oneDNN is the peer" if built else "  oneDNN was not found by the build: no peer")
    check(("onednn" in done.text.lower()), f"{done}")
    check(any(case.get("peer") for case in figures["cases"]) == built, f"{figures}")


@test
def unknown_operation():
    refuse("bench", "ops", "no_such_operation", words=["no_such_operation"])


main()
