#!/usr/bin/env python3
"""The rows of the course whose figures take seconds (launch/configs/course); course_slow.py has the
others."""
from course_rows import *  # noqa: F403


@test
def row_1_and_gate():
    follow("and-gate", ("prepare", "predict"))
    succeed("predict", "launch/configs/course/and-gate.toml", "--split", "train", "-o", "and.npy")
    near(np.load("and.npy").ravel(), [0, 0, 0, 1], 1e-4, "the gate's outputs")
    for seed in range(1, 6):
        follow("and-gate-from-scratch", seed=seed)
        check(accuracy("runs/and", "train") == 1, f"seed {seed} has not learnt AND")


@test
def row_2_one_neuron():
    follow("one-neuron", ("prepare", "predict"))
    value = Path("one-neuron.csv").read_text().split(",")[-1]
    near(float(value), 2.3, 1e-6, "the neuron's output")


@test
def row_4_quadratic():
    """Ends where least squares do; every epoch tells the parameters and their gradients."""
    fits = []
    for seed in range(1, 6):
        result = follow("quadratic", seed=seed)[-1]
        check("| a 1." in result.out and "(gradient" in result.out,
              f"no parameters in the epochs' lines:\n{result!s:.2000}")
        with h5py.File("data/quadratic.h5") as file:
            x, y = (file[f"train/{name}"][:].astype(np.float64).ravel() for name in "xy")
        lines = metrics("runs/quadratic", "train")
        check(len(lines) == 2000, f"{len(lines)} epochs")
        fit = [lines[-1]["parameters"][name] for name in "abc"]
        near(fit, np.polyfit(x, y, 2), 1e-3, f"the fit of seed {seed}")
        fits.append(fit)
        # The first step by hand: gradients at (1.5, 1.5, 1.5), then the update.
        error = 2 * (1.5 * x * x + 1.5 * x + 1.5 - y) / len(x)
        gradient = [error @ (x * x), error @ x, error.sum()]
        near([lines[0]["gradients"][name] for name in "abc"], gradient, 2e-5, "first gradients")
        near([lines[0]["parameters"][name] for name in "abc"], 1.5 - 0.01 * np.array(gradient),
             1e-6, "parameters after the first epoch")
    for name, values, figure in zip("abc", np.transpose(fits), (3, 2, 1)):
        mean_within(values, figure, 0.03, name)
    # The same bits on more ranks, the parameters' lines too.
    follow("quadratic", ("prepare",), seed=1)
    for ranks in (1, 3):
        succeed("train", "launch/configs/course/quadratic.toml", "training.epochs=3",
                "--out", f"ranks{ranks}", ranks=ranks)
    same_files("ranks1", "ranks3", "metrics.jsonl")
    refuse("train", "launch/configs/course/quadratic.toml", 'log.parameters=["d"]', "--out", "d",
           words=("log.parameters", "no parameter 'd'", "a, b, c"))


@test
def large_parameters_are_not_logged():
    follow("convolution-stack", ("prepare",))
    refuse("train", "launch/configs/course/convolution-stack.toml", "--out", "large",
           'log.parameters=["conv.weight"]', words=("conv.weight", "432 elements", "at most 64"))


@test
def row_5_apples_and_oranges():
    follow("apples-oranges", ("prepare",))
    succeed("check", "step", "launch/configs/course/apples-oranges.toml", "--rows", "0-14",
            "--save", "step").says("finite differences", "agree")
    x = intermediate("input").astype(np.float64)
    weight = np.array([[0.1031, -0.1294, -0.2577], [0.2918, 0.2565, 0.3788]])
    output = x @ weight.T + [0.1243, -0.1913]
    near(intermediate("output.fc"), output, 1e-4, "predictions")
    near(output[0], [-12.1003, 54.584], 1e-3, "the first prediction")


@test
def check_step_shows_what_penalties_and_clipping_make_of_gradients():
    follow("sigmoid-by-hand", ("prepare",))
    names = [f"{layer}.{part}" for layer in ("hidden", "out") for part in ("weight", "bias")]
    for norm, value, biases in (0.05, 0, True), (0, 0.02, True), (100, 0, False), (0, 0, True):
        succeed("check", "step", "launch/configs/course/sigmoid-by-hand.toml", "loss.l1=0.01",
                "loss.l2=0.1", f"training.clip_norm={norm}", f"training.clip_value={value}",
                f"optimizer.decay_norms_and_biases={str(biases).lower()}", "--save", "step").says(
                    "finite differences", "with penalties", *["clipped to"] * (norm + value > 0))
        weights = {name: intermediate(f"parameter.{name}") for name in names}
        gradients = {name: intermediate(f"parameter-gradient.{name}") for name in names}
        for name, w in weights.items():
            if biases or name.endswith("weight"):
                gradients[name] = gradients[name] + 0.01 * np.sign(w) + 0.1 * w
        length = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values()))
        for name, gradient in gradients.items():
            if norm:
                gradient = gradient * min(1, norm / (length + 1e-6))
            if value:
                gradient = np.clip(gradient, -value, value)
            near(intermediate(f"parameter-gradient-applied.{name}"), gradient, 1e-7, name)
            near(intermediate(f"parameter-after.{name}"), weights[name] - 0.9 * gradient, 1e-6,
                 f"{name} after the update")


@test
def row_6_sigmoid_by_hand():
    """The chain rule in double precision, and the textbook's three digits."""
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    follow("sigmoid-by-hand", ("prepare",))
    follow("sigmoid-by-hand", ("check",))[0].says("finite differences", "agree")
    succeed("check", "step", "launch/configs/course/sigmoid-by-hand.toml", "--save", "step")
    x, target, rate = np.array([1.0, 0, 1]), 1.0, 0.9
    w1, b1 = np.array([[0.2, 0.4, -0.5], [-0.3, 0.1, 0.2]]), np.array([-0.4, 0.2])
    w2, b2 = np.array([-0.3, -0.2]), 0.1
    hidden = sigmoid(w1 @ x + b1)
    out = sigmoid(w2 @ hidden + b2)
    delta_o = (out - target) * out * (1 - out)
    delta_h = delta_o * w2 * hidden * (1 - hidden)
    for name, value in {
        "output.hidden": [w1 @ x + b1], "output.hidden_sigmoid": [hidden],
        "output.out": [[w2 @ hidden + b2]], "output.out_sigmoid": [[out]],
        "gradient.out_sigmoid": [[out - target]], "gradient.out": [[delta_o]],
        "gradient.hidden_sigmoid": [delta_o * w2], "gradient.hidden": [delta_h],
        "input-gradient": [delta_h @ w1],
        "parameter-gradient.out.weight": [delta_o * hidden],
        "parameter-gradient.out.bias": [delta_o],
        "parameter-gradient.hidden.weight": np.outer(delta_h, x),
        "parameter-gradient.hidden.bias": delta_h,
        "parameter-after.out.weight": [w2 - rate * delta_o * hidden],
        "parameter-after.out.bias": [b2 - rate * delta_o],
        "parameter-after.hidden.weight": w1 - rate * np.outer(delta_h, x),
        "parameter-after.hidden.bias": b1 - rate * delta_h,
    }.items():
        near(intermediate(name), value, 1e-6, name)
    for name, digits_of_the_book in {
        "output.hidden_sigmoid": [[0.332, 0.525]], "output.out_sigmoid": [[0.474]],
        "gradient.hidden": [[0.0087, 0.0065]], "gradient.out": [[-0.1311]],
        "parameter-after.out.weight": [[-0.261, -0.138]], "parameter-after.out.bias": [0.218],
        "parameter-after.hidden.weight": [[0.192, 0.4, -0.508], [-0.306, 0.1, 0.194]],
        "parameter-after.hidden.bias": [-0.408, 0.194],
    }.items():
        near(intermediate(name), digits_of_the_book, 6e-4, name)


@test
def row_7_computation_graph():
    follow("computation-graph", ("prepare",))
    follow("computation-graph", ("check",))[0].says("output of f", "-12", "agree")
    succeed("check", "step", "launch/configs/course/computation-graph.toml", "--save", "step")
    near(intermediate("output.factors"), [[3, -4]], 0, "x + y, z")
    near(intermediate("output.f"), [[-12]], 0, "f")
    near(intermediate("input-gradient"), [[-4, -4, 3]], 1e-6, "df/dx, df/dy, df/dz")
    for rows, words in (("3", ("no row 3", "1, counted from 0")), ("0-", ("--rows 0-", "0,3,7-9")),
                        ("a", ("'a' is no row",)), ("5-2", ("5-2",)),
                        ("9223372036854775807", ("no row 9223372036854775807",))):
        refuse("check", "step", "launch/configs/course/computation-graph.toml", "--rows", rows,
               words=words)


@test
def row_8_two_moons():
    scores = {"train": [], "test": []}
    for seed in range(1, 6):
        follow("two-moons", seed=seed)
        for split, values in scores.items():
            values.append(accuracy("runs/two-moons", split))
    mean_within(scores["train"], 0.979, 0.015, "training accuracy")
    mean_within(scores["test"], 0.950, 0.025, "test accuracy")


@test
def row_9_logistic_regression():
    scores = {"train": [], "test": []}
    for seed in range(1, 6):
        follow("logistic-regression", seed=seed)
        for split, values in scores.items():
            values.append(accuracy("runs/logistic", split))
    mean_within(scores["train"], 0.990, 0.01, "training accuracy")
    mean_within(scores["test"], 0.995, 0.02, "test accuracy")


@test
def row_11_convolution_stack():
    """Shapes, and values equal to a naive loop."""
    follow("convolution-stack", ("prepare", "check"))
    x = intermediate("input").astype(np.float64)[0]
    weight = intermediate("parameter.conv.weight").astype(np.float64)  # (16, 3, 3, 3)
    bias = intermediate("parameter.conv.bias").astype(np.float64)
    convolved = np.zeros((30, 30, 16))
    for row in range(30):
        for column in range(30):
            window = x[row:row + 3, column:column + 3].transpose(2, 0, 1)
            convolved[row, column] = (weight * window).sum((1, 2, 3)) + bias
    near(intermediate("output.conv"), convolved[None], 1e-5, "the convolution")
    positive = np.maximum(convolved, 0)
    near(intermediate("output.relu"), positive[None], 1e-5, "ReLU")
    pooled = positive.reshape(15, 2, 15, 2, 16).max((1, 3))
    near(intermediate("output.pool"), pooled[None], 1e-5, "the pool")
    follow("convolution-stack", ("train",))


@test
def row_15_galton():
    follow("galton")
    with h5py.File("data/galton.h5") as file:
        x, y = (file[f"train/{name}"][:].astype(np.float64) for name in "xy")
    a = np.c_[x, np.ones(len(x))]
    error = a @ np.linalg.lstsq(a, y, rcond=None)[0] - y
    near(evaluation("runs/galton", "train")["rmse"], np.sqrt(np.mean(error ** 2)), 1e-4, "RMSE")


@test
def row_23_augmented_training_set():
    """One stream of augmented samples on any number of ranks, from memory and from the file."""
    follow("augmented-digits", ("prepare", "inspect", "train"))
    config = "launch/configs/course/augmented-digits.toml"
    for ranks, in_memory in ((1, "true"), (2, "false"), (4, "true")):
        succeed("train", config, "--out", f"runs/{ranks}", "run.threads=1", "training.epochs=1",
                f"data.in_memory={in_memory}", ranks=ranks)
        same_run("runs/1", f"runs/{ranks}")
    mean_above([accuracy("runs/augmented")], 0.9, "accuracy of augmented training")


if __name__ == "__main__":
    main()
