#!/usr/bin/env python3
"""--log: a file of each rank, with time stamps, steps, warnings and errors; and what a run tells at
its end."""
import pty
import re

from lockstep_run import *  # noqa: F403 (the test vocabulary)

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warning|error) rank (\d) .+")


def config(**training):
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:50], test_y=y[:50])
    return write_config("a.toml", run={"name": "log", "shards": 4, "threads": 1},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "mlp", "widths": [8]}, loss={"kind": "cross_entropy"},
                        optimizer={"lr": 0.01}, training={"batch": 50, **training},
                        log={"every_steps": 2})


def lines(path, rank):
    text = Path(path).read_text()
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        check(match and match[2] == str(rank), f"not a line of rank {rank}: {line}")
    return text


@test
def every_rank_has_its_own():
    file = config(epochs=2)
    succeed("train", file, "--out", "a", "--log", "train.log", ranks=3)
    succeed("train", file, "--out", "b")
    same_run("a", "b")
    for rank in range(3):
        text = lines(f"train.rank{rank}.log", rank)
        for words in (f"rank {rank} of 3", "step 2/8 loss", "step 8/8", "epoch 2/2",
                      "checkpoint of step 8", "finished"):
            check(words in text, f"'{words}' is not in\n{text}")
    before = Path("train.rank0.log").read_text()
    succeed("train", file, "--out", "c", "--log", "train.log")
    check(Path("train.rank0.log").read_text().startswith(before), "an earlier log is gone")
    succeed("train", file, "--out", "d", "--log", "r%r-x.txt", ranks=2)
    lines("r1-x.txt", 1)


@test
def errors_are_in_it():
    file = config(epochs=2)
    refuse("train", file, "optimizer.lr=1e30", "optimizer.kind=sgd", "--out", "a", "--log", "e.log",
           ranks=2)
    logs = [lines(f"e.rank{rank}.log", rank) for rank in range(2)]
    check(any(" error " in text for text in logs), f"{logs}")
    refuse("train", file, "data.file=none.h5", "--out", "b", "--log", "f.log")
    check("none.h5" in lines("f.rank0.log", 0), "the error is not in the log")
    refuse("train", file, "--out", "c", "--log", "no/such/e.log", ranks=2,
           words=["--log", "no/such/e.rank"])


@test
def summary_at_the_end():
    result = succeed("train", config(epochs=3), "--out", "run")
    result.says("last epoch: loss", "| validation loss", "best validation loss", "run folder: run",
                "lockstep evaluate run", "lockstep predict run", "lockstep export run")
    best = min(metrics("run", "validation"), key=lambda line: line["loss"])
    result.says(f"best validation loss: {best['loss']:.4f} after step {best['step']}")


@test
def live_line_on_a_terminal():
    """Progress, rate and time left, on one line that is written over."""
    file = config(epochs=400)
    pid, terminal = pty.fork()
    if pid == 0:
        command = command_of(["train", file, "--out", "run"])
        os.execve(command[0], command, ENVIRONMENT)
    text = b""
    try:
        while block := os.read(terminal, 65536):
            text += block
    except OSError:  # the other end is closed
        pass
    _, status = os.waitpid(pid, 0)
    text = text.decode()
    check(status == 0, f"failed:\n{text[-2000:]}")
    check(re.search(r"\r\x1b\[Kepoch \d+/400  step \d+/1600  loss .*samples/s  .* left", text),
          f"no live line:\n{text[:2000]}")
    check(re.search(r"run folder: run", text), f"no summary:\n{text[-2000:]}")


if __name__ == "__main__":
    main()
