#!/usr/bin/env python3
"""Whole runs against other programs' figures: PyTorch's losses and weights (golden/curves.json), and
the first prediction and loss that the course prints for apples and oranges."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)

sys.path.insert(0, str(ROOT / "tests" / "golden"))
import curves  # noqa: E402 (found by the path above)

# launch/gpu-check wants "cuda"; there one rank, as one GPU has.
DEVICE = os.environ.get("LOCKSTEP_GOLDEN_DEVICE", "cpu")


def compare(name):
    case = curves.CASES[name]
    golden = json.loads((ROOT / "tests/golden/curves.json").read_text())[name]
    x, y = curves.data()
    write_h5("d.h5", train_x=x, train_y=y)
    write_safetensors("start.safetensors", curves.initial_weights(case["shapes"]))
    config = write_config(
        "a.toml",
        run={"name": "golden", "seed": curves.SEED, "shards": case["shards"], "device": DEVICE},
        data={"file": "d.h5", "mean": [curves.MEAN], "std": [curves.STD]},
        model={**case["model"], "weights": "start.safetensors"},
        loss=case.get("loss", {"kind": "cross_entropy",
                               "label_smoothing": case.get("label_smoothing", 0.0)}),
        optimizer=case["optimizer"],
        training={"steps": case["steps"], "batch": case["batch"],
                  "clip_norm": case.get("clip_norm", 0.0),
                  "clip_value": case.get("clip_value", 0.0)},
        log={"every_steps": 1})
    succeed("train", config, "--out", "run", ranks=min(2 if DEVICE == "cpu" else 1, case["shards"]))
    losses = np.array([line["loss"] for line in metrics("run", "batch")])
    errors = np.abs(losses / golden["losses"] - 1)
    print(f"  {name}: losses {losses[0]:.4f} to {losses[-1]:.4f}, largest relative error "
          f"{errors.max():.1e} at step {errors.argmax() + 1}")
    check(len(losses) == case["steps"], f"{len(losses)} losses")
    check(errors.max() < curves.LOSS_TOLERANCE, f"PyTorch's losses: {golden['losses']}, ours: {losses}")
    weights = read_safetensors("run/weights.safetensors")
    for seed, (key, expected) in enumerate(golden["weights"].items()):
        found = curves.summary(seed, weights[key])
        for what, value in expected.items():
            error = np.max(np.abs(np.subtract(found[what], value))) / expected["norm"]
            check(error < curves.WEIGHT_TOLERANCE, f"{what} of {key}: {found[what]}, PyTorch: {value}")


@test
def mlp_with_momentum():
    compare("mlp, momentum and decay")


@test
def mlp_with_adam():
    compare("mlp, adam, smoothing and clipping")


@test
def mlp_with_adamw():
    compare("mlp, adamw without decay of biases")


@test
def mlp_with_rmsprop():
    compare("mlp, rmsprop, gelu, clipping by value")


@test
def mlp_with_adagrad():
    compare("mlp, adagrad, elu, hinge, penalties")


@test
def cnn_with_batch_norm():
    compare("cnn, batch norm, nesterov")


@test
def apples_and_oranges():
    """The lecture's weights: its first prediction and loss, within what the config states."""
    succeed("prepare", "csv", DATA / "apples-oranges.csv", "--target", "apples,oranges", "--task",
            "regression", "-o", "ao.h5")
    config = ROOT / "launch/configs/course/apples-oranges.toml"
    keys = ["data.file=ao.h5", "optimizer.lr=0.0", "training.epochs=1", "training.batch=15"]
    succeed("train", config, *keys, "--out", "start", ranks=2)
    loss = metrics("start", "train")[0]["loss"]
    check(abs(loss - 5763.04) < 0.005, f"the initial loss is {loss}, by hand 5763.04")
    check(abs(loss - 5762.46) < 0.6, f"the initial loss is {loss}, the lecture's 5762.46")
    succeed("predict", "start", "--split", "/train", "-o", "p.npy")
    first = np.load("p.npy")[0]
    check(np.allclose(first, (-12.1003, 54.584), atol=1e-3), f"first prediction {first}")
    check(np.allclose(first, (-12.0939, 54.5786), atol=0.007), f"first prediction {first}")
    succeed("train", config, "data.file=ao.h5", "--out", "run", ranks=2)
    losses = [line["loss"] for line in metrics("run", "train")]
    check(losses[-1] < 50 < losses[0], f"losses {losses[0]} to {losses[-1]}")


if __name__ == "__main__":
    main()
