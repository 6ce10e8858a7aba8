#!/usr/bin/env python3
"""data.augment: the same bits on any ranks and threads, from memory and from the file, after a resume;
evaluation and prediction without it; images of another size than the stored ones; inspect --augment;
bad entries."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)

CROP = {"kind": "random_resized_crop", "size": [10, 9], "scale": [0.4, 1]}
JITTER = {"kind": "colour_jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
TRANSFORMS = [CROP, {"kind": "horizontal_flip"}, {"kind": "rotation", "degrees": 20},
              {"kind": "affine", "translate": 0.1, "shear": 5, "fill": 9}, JITTER,
              {"kind": "random_crop", "padding": 1}, {"kind": "random_erasing"},
              {"kind": "cutout", "size": 3, "p": 0.5}]
MIXES = [{"kind": "mixup", "alpha": 0.4}, {"kind": "cutmix"}]


def write_data(rows=90, weights=False):
    random = np.random.default_rng(3)
    y = random.integers(0, 4, rows)
    x = random.integers(0, 120, (rows, 12, 12, 3)) + 30 * y[:, None, None, None]
    more = {"train_weight": random.random(rows, np.float32)} if weights else {}
    write_h5("d.h5", train_x=x.astype(np.uint8), train_y=y, test_x=x[:40].astype(np.uint8),
             test_y=y[:40], **more)


def write(name, augment, **data):
    return write_config(name, run={"name": "a", "seed": 3, "shards": 4},
                        data={"file": "d.h5", "validation": "/test", "augment": augment, **data},
                        model={"network": "mlp", "widths": [16]},
                        loss={"kind": "cross_entropy", "label_smoothing": 0.1},
                        optimizer={"kind": "adam", "lr": 0.01},
                        training={"epochs": 3, "batch": 20},
                        checkpoint={"every_steps": 4, "keep": 20}, log={"every_steps": 1})


@test
def the_same_bits_anywhere():
    write_data(weights=True)
    config = write("a.toml", TRANSFORMS + MIXES, copies=2)
    succeed("train", config, "--out", "reference", "run.threads=1", ranks=1)
    losses = [line["loss"] for line in metrics("reference", "batch")]
    check(len(losses) == 27, f"{len(losses)} steps; 2 copies of 90 rows are 9 batches of 20")
    for ranks, threads, isa, in_memory in ((1, 2, "generic", "true"), (2, 1, "avx2", "false"),
                                           (4, 1, "generic", "false"), (2, 2, "generic", "true")):
        if isa not in processor_isas():
            continue
        out = f"{ranks}x{threads}-{in_memory}"
        succeed("train", config, "--out", out, f"run.threads={threads}", f"run.isa={isa}",
                f"data.in_memory={in_memory}", ranks=ranks)
        same_run("reference", out)
    # A run stopped in mid-epoch goes on elsewhere.
    for step, ranks, in_memory in ((4, 2, "false"), (20, 4, "true")):
        out = f"from-{step}"
        shutil.copytree("reference", out)
        Path(out, "weights.safetensors").unlink()
        for name in checkpoints(out):
            if int(name[5:13]) > step:
                Path(out, "checkpoints", name).unlink()
        succeed("train", "--resume", out, f"data.in_memory={in_memory}", ranks=ranks)
        same_run("reference", out)
    succeed("train", write("b.toml", TRANSFORMS, copies=2), "--out", "other", "run.threads=1")
    check(Path("other/weights.safetensors").read_bytes()
          != Path("reference/weights.safetensors").read_bytes(), "mixing changes nothing")
    refuse("train", "--resume", "from-4", "data.augment[1].p=0.25",
           words=("data.augment[1].p", "--allow-change"))


@test
def evaluation_sees_the_samples_as_they_are():
    write_data()
    flips = write("a.toml", [{"kind": "horizontal_flip"}, {"kind": "mixup"}])
    succeed("train", flips, "--out", "a")
    plain = write("plain.toml", [])
    succeed("predict", "a", "--logits", "-o", "a.npy")
    succeed("predict", plain, "model.weights=a/weights.safetensors", "--logits", "-o", "plain.npy")
    check(np.array_equal(np.load("a.npy"), np.load("plain.npy")), "predictions are augmented")
    # Of a crop of 10 x 9 pixels the middle of each image: 7/8 of the largest box of that shape.
    crops = write("crops.toml", [CROP])
    succeed("train", crops, "--out", "crops", ranks=2)
    check(read_safetensors("crops/weights.safetensors")["fc1.weight"].shape == (16, 270),
          "the network does not see 10 x 9 x 3 values")
    succeed("predict", "crops", "--logits", "-o", "crops.npy", ranks=2)
    with h5py.File("d.h5") as file:
        write_h5("cut.h5", test_x=file["test/x"][:, 0:11, 1:11], test_y=file["test/y"][:])
    check(np.load("crops.npy").shape == (40, 4), "a row a sample")
    exact = write("exact.toml", [{"kind": "random_crop", "size": [11, 12]}])
    succeed("train", exact, "--out", "exact")
    succeed("predict", "exact", "--logits", "-o", "exact.npy")
    with h5py.File("d.h5") as file:
        write_h5("cut.h5", test_x=file["test/x"][:, 0:11], test_y=file["test/y"][:])
    succeed("predict", plain, "model.weights=exact/weights.safetensors", "--data", "cut.h5",
            "--logits", "-o", "cut.npy")
    check(np.array_equal(np.load("exact.npy"), np.load("cut.npy")), "not the middle of the images")
    succeed("evaluate", "exact").says("accuracy")
    succeed("check", "step", exact, "--rows", "0-3")


@test
def a_sheet_shows_what_training_sees():
    write_data()
    config = write("a.toml", TRANSFORMS + MIXES)
    result = succeed("inspect", "--augment", config, "--images", "sheet.png", "--count", 5)
    result.says("sheet.png: 5 of 90 samples", "epochs 1 to 8")
    check(Path("sheet.png").read_bytes()[:4] == b"\x89PNG", "no PNG")
    refuse("inspect", "--augment", write("plain.toml", []), "--images", "s.png",
           words=("plain.toml", "no [[data.augment]]"))
    # What stands under mixed images is not cut off where they are narrower than it.
    with h5py.File("d.h5", "a") as file:
        file.attrs["lockstep_format"] = 1.0  # of those who name classes
        file.attrs["classes"] = [f"{number} is a number" for number in range(4)]
    succeed("inspect", "--augment", config, "--images", "named.png", "--count", 5)
    width = int.from_bytes(Path("named.png").read_bytes()[16:20], "big")
    least = 6 * (8 * len("0.50 3 is a number") + 2 * len("row 72 3 is a number"))
    check(width > least, f"captions are cut: {width} pixels")
    flipped = "data.augment=[{kind='horizontal_flip', p=1.0}]"
    for either in ("a.toml", "plain.toml"):
        succeed("inspect", "--augment", either, flipped, "--images", f"{either}.png", "--count", 5)
    check(Path("a.toml.png").read_bytes() == Path("plain.toml.png").read_bytes(),
          "overridden, both configs flip alone")
    refuse("inspect", "d.h5", flipped, words=("d.h5", "data.augment", "override"))
    refuse("inspect", "--augment", "d.h5", "--images", "s.png", words=("d.h5", "config"))
    succeed("bench", "loader", config, "--rounds", "1").says("data.augment:", "us a sample")


@test
def bad_entries():
    write_data()

    def refused(entry, *words):
        path = write("bad.toml", [entry] if isinstance(entry, dict) else entry)
        line = 1 + Path(path).read_text().split("augment")[0].count("\n")
        refuse("train", path, "--out", "none", words=(f"bad.toml:{line}", "data.augment[", *words))

    refused({"p": 0.5}, "kind is missing", "random_crop")
    refused({"kind": "horizontal_flop"}, "did you mean 'horizontal_flip'")
    refused({"kind": "normalise"}, "data.normalize")
    refused({"kind": "horizontal_flip", "q": 1}, "unknown key", "q")
    refused({"kind": "horizontal_flip", "p": 1.5}, "p must be a number from 0 to 1")
    refused({"kind": "random_crop"}, "does nothing")
    refused({"kind": "random_crop", "size": 40}, "does not fit into 12 x 12")
    refused({"kind": "random_crop", "padding": 2, "fill": 0.5}, "whole numbers from 0 to 255")
    refused({"kind": "random_resized_crop", "scale": [1, 0.5]}, "scale", "[least, most]")
    refused({"kind": "random_resized_crop", "size": 0}, "size must be")
    refused({"kind": "rotation"}, "degrees is missing")
    refused({"kind": "colour_jitter", "hue": 0.7}, "hue", "0.5")
    refused({"kind": "mixup", "alpha": 0}, "alpha")
    refused([{"kind": "mixup"}, {"kind": "horizontal_flip"}], "come last")
    refused([{"kind": "cutmix"}, {"kind": "cutmix"}], "listed twice")
    mixup = write("mix.toml", [{"kind": "mixup"}])
    refuse("train", mixup, 'loss={ kind = "binary_cross_entropy" }', words=("binary_cross_entropy",))
    refuse("train", write("copies.toml", [], copies=2), words=("data.copies", "[[data.augment]]"))
    write_h5("d.h5", train_x=np.zeros((9, 5), np.float32), train_y=np.arange(9) % 3,
             test_x=np.zeros((9, 5), np.float32), test_y=np.arange(9) % 3)
    refused({"kind": "horizontal_flip"}, "takes images (height, width, channels)", "(5)")
    succeed("train", write("vectors.toml", [{"kind": "mixup"}]), "--out", "vectors")


if __name__ == "__main__":
    main()
