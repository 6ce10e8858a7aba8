#!/usr/bin/env python3
"""launch/gpu-check without a GPU: what it says where there is none, and its stages, report and
resumption on the emulated GPU."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)

BUILD = Path(sys.argv[1]).resolve().parents[1]


def gpu_check(*arguments, code, **changes):
    command = ["/usr/bin/python3", "-B", ROOT / "launch/gpu-check", "--build", BUILD, "--emulated",
               "--quick", *arguments]
    result = Job(list(map(str, command)), env=dict(ENVIRONMENT, **changes)).wait()
    check(result.code == code, f"exit code {code} was expected:\n{result}")
    return result


def report():
    return [json.loads(line) for line in Path("gpu-check.jsonl").read_text().splitlines()]


@test
def no_gpu_is_said():
    gpu_check(code=77, EMULATED_GPUS="").says("SKIPPED, nothing was checked", "no GPU is emulated")
    check(not Path("gpu-check.jsonl").exists(), "a report of nothing was written")


@test
def stages_are_reported_and_not_repeated():
    result = gpu_check("--stage", "1", "8", code=4)
    result.says("the plug-in loads and finds a GPU", "cuDNN's description",
                "compute-sanitizer needs a GPU", "gpu-check.jsonl")
    entries = report()
    check([(e["stage"], e["result"]) for e in entries][0] == (1, "passed"), entries)
    check([e["result"] for e in entries if e["stage"] == 8] == ["skipped"], entries)
    check("GPU 0: emulated GPU" in entries[0]["version"], entries[0])


@test
def a_failure_is_one():
    """A GPU that computes nothing: every stage fails, the code says so."""
    result = gpu_check("--stage", "4", code=1, EMULATED_REFUSAL="product of")
    result.says("FAILED", "no plan for product of")
    check(report()[-1]["result"] == "failed", report())


if __name__ == "__main__":
    main()
