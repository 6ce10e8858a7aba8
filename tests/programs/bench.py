#!/usr/bin/env python3
"""The benchmarks run and write what they print: figures that hang together, and oneDNN's beside ours
where the build found it. How fast anything is, is not tested: machines are shared."""
import xml.dom.minidom

from emulated_gpu import EMULATED, environment, program_with
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
def predictions_a_second():
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y)
    write_config("a.toml", run={"name": "bench"}, data={"file": "d.h5"}, model={"network": "mlp"},
                 training={"epochs": 1, "batch": 50})
    for ranks in (1, 2):
        done = succeed("bench", "predict", "a.toml", "--rounds", 3, "--json", "predict.json", ranks=ranks)
        done.says("3 rounds of 200 rows", "samples/s  median")
        result = json.loads(Path("predict.json").read_text())
        check(result["ranks"] == ranks and result["rows"] == 200, f"{result}")
        check(0 < result["samples_per_second_min"] <= result["samples_per_second"], f"{result}")
    refuse("bench", "predict", "a.toml", "--split", "/nothing", words=["/nothing"])


@test
def ops_beside_onednn():
    done = succeed("bench", "ops", "linear_forward", "--repetitions", 3, "--json", "ops.json")
    figures = json.loads(Path("ops.json").read_text())
    check(len(figures["cases"]) > 0, f"{figures}")
    built = (Path(sys.argv[1]).resolve().parent / "liblockstep_bench_onednn.so").exists()
    print("  oneDNN is the peer" if built else "  oneDNN was not found by the build: no peer")
    check(("onednn" in done.text.lower()), f"{done}")
    check(any(case.get("peer") for case in figures["cases"]) == built, f"{figures}")
    # What lies in a cache is compared with the cache; timing on a busy machine leaves a wide margin.
    succeed("bench", "ops", "scale 200000", "--no-peer", "--json", "memory.json").says("% of")
    for case in json.loads(Path("memory.json").read_text())["cases"]:
        check(case["unit"] == "GB/s" and 0 < case["share_of_limit"] < 2, f"{case}")


@test
def allreduce_beside_mpi():
    for ranks, options in [(2, []), (3, ["--ranks-per-node", 2, "--threads", 2])]:
        done = succeed("bench", "allreduce", "--min", 4, "--max", 400000, "--factor", 100, "--rounds", 3,
                       "--json", "a.json", *options, ranks=ranks)
        done.says("busbw", "MPI_Allreduce", "wrong")
        figures = json.loads(Path("a.json").read_text())
        check([case["bytes"] for case in figures["cases"]] == [4, 400, 40000], f"{figures}")
        for case in figures["cases"]:
            for side in (case["lockstep"], case["mpi"]):
                check(side["wrong"] == 0 and side["us_min"] <= side["us"] <= side["us_max"], f"{case}")
                check(abs(side["algbw"] - case["bytes"] / side["us"] / 1e3) < 1e-9, f"{case}")
                check(abs(side["busbw"] - side["algbw"] * 2 * (ranks - 1) / ranks) < 1e-9, f"{case}")
    refuse("bench", "allreduce", words=["one rank has nothing to exchange"])


@test
def scaling_measures_fits_and_draws():
    x, y = digits()
    write_h5("d.h5", train_x=x, train_y=y)
    write_config("a.toml", run={"name": "bench"}, data={"file": "d.h5"},
                 model={"network": "mlp", "widths": [64]}, training={"epochs": 1, "batch": 64})
    done = succeed("bench", "scaling", "a.toml", "--ranks", "2,4", "--project", 16, "--steps", 5,
                   "--warm-up", 1, "--rounds", 1, "--mpirun", "mpirun --oversubscribe --bind-to none")
    done.says("strong", "weak", "alpha", "projections are marked")
    figures = json.loads(Path("scaling.json").read_text())
    points = figures["points"]
    kinds = [(p["scaling"], p["ranks"]) for p in points if p["kind"] == "measured"]
    check(sorted(kinds) == sorted((s, n) for s in ("weak", "strong") for n in (1, 2, 4)), f"{kinds}")
    check({p["ranks"] for p in points if p["kind"] == "projected"} == {8, 16}, f"{points}")
    one = {p["scaling"]: p for p in points if p["ranks"] == 1}
    for p in points:
        share = p["samples_per_second"] / (p["ranks"] * one[p["scaling"]]["samples_per_second"])
        check(abs(p["efficiency"] - share) < 1e-6, f"{p}")
        check(p["batch"] == 64 * (p["ranks"] if p["scaling"] == "weak" else 1), f"{p}")

    # The model, from its formula: least squares, no term below 0.
    rows, times = [], []
    for p in points:
        if p["kind"] == "measured" and p["ranks"] > 1:
            n, base = p["ranks"], one[p["scaling"]]["step_ms"]
            rows.append([2 * (n - 1), 2 * (n - 1) / n])
            times.append(p["step_ms"] - (base if p["scaling"] == "weak" else base / n))
    model = figures["model"]
    beta = figures["gradient_bytes"] / model["gigabytes_per_second"] / 1e6 \
        if model["gigabytes_per_second"] else 0
    rest = np.array(rows) @ [model["alpha_us"] / 1e3, beta] - times
    check(abs(np.sqrt(np.mean(rest ** 2)) - model["residual_ms"]) < 1e-6, f"{model}, {rest}")
    best = np.linalg.lstsq(np.array(rows), np.array(times), rcond=None)[0]
    if min(best) >= 0:
        check(np.allclose(best, [model["alpha_us"] / 1e3, beta], rtol=1e-4), f"{best}, {model}")

    table = Path("scaling.csv").read_text().splitlines()
    check(len(table) == len(points) + 1 and table[0].startswith("scaling,ranks"), f"{table}")
    picture = xml.dom.minidom.parse("scaling.svg")
    texts = [node.firstChild.data for node in picture.getElementsByTagName("text")]
    check("projection, not measured" in texts, f"{texts}")
    check(len(picture.getElementsByTagName("circle")) == 2 * len(points), "a point is missing")
    check(done.text.count("efficiency") == 1, f"the header is printed twice:\n{done}")
    refuse("bench", "scaling", "a.toml", "--mpirun", "no_such_launcher", words=["is it installed?"])

    alone = succeed("bench", "scaling", "a.toml", "--ranks", "1", "--steps", 2, "--warm-up", 0,
                    "--rounds", 1, "--out", "alone")
    alone.says("no fit and no projection: they need two rank counts")
    check("alpha" not in alone.text, f"{alone}")
    check(json.loads(Path("alone.json").read_text())["model"] is None, "a model of one point")


@test
def unknown_operation():
    refuse("bench", "ops", "no_such_operation", words=["no_such_operation"])


@test
def figures_of_a_gpu():
    """Last, with a program of its own. On the emulated one, whose speed says nothing: operations in both types beside a copy; when
    buckets are ready within a pass, and the projection from it."""
    x, y = digits(64)
    write_h5("d.h5", train_x=x, train_y=y)
    config = write_config("a.toml", run={"device": "cuda", "shards": 2, "threads": 1},
                          data={"file": "d.h5"}, model={"network": "mlp", "widths": [1500, 1500]},
                          training={"epochs": 1, "batch": 8})
    program_with(EMULATED)
    env = environment(EMULATED_GPUS="A,B")
    succeed("bench", "ops", "_forward 1x1 1024->256", "--device", "cuda", "--mib", 1, "--sample-ms", 1,
            "--repetitions", 3, "--json", "ops.json", env=env).says("a device copy of 1 MiB", "GPU's clock")
    figures = json.loads(Path("ops.json").read_text())
    names = [entry["operation"].split()[-1] for entry in figures["operations"]]
    check(names == ["float32", "bfloat16"] and figures["copy_gbytes"] > 0, f"{figures}")
    check(all(entry["seconds"] > 0 for entry in figures["operations"]), f"{figures}")

    succeed("bench", "overlap", config, "--rounds", 2, "--json", "overlap.json", env=env).says(
        "ready ms", "a projection, not a measurement")
    figures = json.loads(Path("overlap.json").read_text())
    buckets, end = figures["buckets"], figures["pass_ms"]
    count = 64 * 1500 + 1500 + 1500 * 1500 + 1500 + 1500 * 10 + 10
    check(len(buckets) == 2 and 0 <= sum(b["bytes"] for b in buckets) - 4 * count < 32768, f"{buckets}")
    check(0 < buckets[0]["ready_ms"] < buckets[1]["ready_ms"] <= end, f"{buckets}, {end}")
    for entry in figures["projection"]:
        share = (entry["gpus"] - 1) / entry["gpus"]
        need = behind = left = 0
        for bucket in reversed(buckets):
            bytes_, seconds = bucket["bytes"] * share, (end - bucket["ready_ms"]) * 1e-3
            if bucket["ready_ms"] < buckets[-1]["ready_ms"] - 1e-3 * end:
                behind += bytes_
                need = max(need, behind / seconds)
            else:
                left += bytes_
        check(np.isclose(entry["bus_bandwidth"], need), f"{entry}, expected {need}")
        check(np.isclose(entry["gradient_bytes_left"], left), f"{entry}, expected {left}")
    refuse("bench", "overlap", config, ranks=2, env=env, words=["one rank", "alone"])
    refuse("bench", "overlap", config, "run.device=cpu", env=env, words=["GPUs", "CPU"])


main()
