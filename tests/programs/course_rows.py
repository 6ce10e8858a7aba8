"""What the tests of launch/configs/course share: each config says in its comment which commands make
its data and train it; the tests run these very commands."""
import shlex

from lockstep_run import *  # noqa: F403 (the test vocabulary)


def commands(config):
    """The `lockstep ...` lines of the config's comment, as (ranks, arguments)."""
    text = (ROOT / "launch/configs/course" / f"{config}.toml").read_text()
    lines, found = text.replace("\\\n#", " ").splitlines(), []
    for line in lines:
        if not line.startswith("#   "):
            continue
        words = shlex.split(line[1:], comments=True)
        ranks = 0
        if words[0] == "mpirun":
            ranks, words = int(words[2]), words[3:]
        check(words[0] == "lockstep", f"{config}.toml: no command of lockstep: {line}")
        found.append((ranks, words[1:]))
    check(found, f"{config}.toml says no commands")
    return found


def follow(config, kinds=("prepare", "train"), seed=None, wanted=None, overrides=(),
           seconds=4 * HANG):
    """Runs the comment's commands of these kinds (those for which `wanted` is true), in a folder
    where the repository's paths hold; a seed is that of the data and of the weights."""
    Path("data").mkdir(exist_ok=True)
    if not Path("launch").exists():
        Path("launch").symlink_to(ROOT / "launch")
    if "train" in kinds:
        shutil.rmtree("runs", ignore_errors=True)
    results = []
    for ranks, words in commands(config):
        if words[0] not in kinds or (wanted and not wanted(words)):
            continue
        more = []
        if words[0] == "prepare":
            more = ["--force"] + ([] if seed is None else ["--seed", seed])
        elif words[0] == "train":
            more = ["run.threads=1", *overrides] + ([] if seed is None else [f"run.seed={seed}"])
        results.append(succeed(*words, *more, ranks=ranks, seconds=seconds))
    check(results, f"{config}.toml has no such commands")
    return results


def evaluation(run_folder, split):
    succeed("evaluate", run_folder, "--split", split, "--json", "e.json")
    return json.loads(Path("e.json").read_text())


def accuracy(run_folder, split="test"):
    return evaluation(run_folder, split)["accuracy"]


def mean_within(values, figure, tolerance, what):
    mean = float(np.mean(values))
    print(f"  {what}: mean {mean:.4f} of {np.round(values, 4).tolist()}, figure {figure}")
    check(abs(mean - figure) <= tolerance, f"{what}: {mean}, figure {figure} within {tolerance}")


def mean_above(values, least, what):
    mean = float(np.mean(values))
    print(f"  {what}: mean {mean:.4f} of {np.round(values, 4).tolist()}, at least {least}")
    check(mean >= least, f"{what}: {mean}, should be at least {least}")


def intermediate(name):
    """What `check step --save step` wrote."""
    return np.load(f"step/{name}.npy")


def near(value, expected, tolerance, what):
    value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    check(value.shape == expected.shape, f"{what} is {value.shape}, not {expected.shape}")
    check(np.abs(value - expected).max() <= tolerance, f"{what}: {value}, expected {expected}")
