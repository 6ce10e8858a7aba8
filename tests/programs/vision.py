#!/usr/bin/env python3
"""Networks for pictures in whole programs: the layer table against timm's published counts, training
with stochastic depth on any number of ranks, and keys that do not fit the data."""
import re

import numpy as np

from lockstep_run import *  # noqa: F403 (the test vocabulary)

# timm's tables at 224 x 224 and 1000 classes: parameters in millions, multiply-adds in thousand
# millions. Those are counted by fvcore: see Build::Row.
COUNTS = {"resnet18": ("11.69", "1.82"), "resnet34": ("21.80", "3.67"), "resnet50": ("25.56", "4.11"),
          "efficientnet_b0": ("5.29", "0.40"), "convnext_tiny": ("28.59", "4.47")}


def write_pictures(side=8):
    """Four classes of noise with a bright quarter each."""
    rng = np.random.default_rng(5)
    y = np.arange(48) % 4
    x = rng.normal(0, 0.3, size=(48, side, side, 3)).astype("f4")
    half = side // 2
    for row, label in enumerate(y):
        x[row, half * (label // 2):, half * (label % 2):][:half, :half] += 1.5
    write_h5("p.h5", train_x=x, train_y=y)


def config_of(model, **training):
    return write_config("net.toml", run={"seed": 11, "shards": 4}, data={"file": "p.h5"},
                        model=model, optimizer={"kind": "sgd", "lr": 0.02, "momentum": 0.9},
                        training={"batch": 24, **training}, log={"every_steps": 1})


@test
def counts_are_timms():
    for network, (parameters, multiply_adds) in COUNTS.items():
        config = write_config("net.toml", data={"file": "absent.h5"},
                              model={"network": network, "num_classes": 1000, "image_size": 224})
        said = succeed("inspect", config).out
        found = re.search(r"\(([\d.]+) M\).*multiply-adds a sample \(([\d.]+) G\)", said)
        check(found and found.groups() == (parameters, multiply_adds),
              f"{network}: not {parameters} M and {multiply_adds} G but\n{said[-300:]}")
    config = write_config("net.toml", data={"file": "absent.h5"}, model={"network": "resnet18"})
    succeed("inspect", config).says("no layer table", "model.image_size")


@test
def stochastic_depth_on_any_ranks():
    write_pictures()
    config = config_of({"network": "resnet18", "stem": "cifar", "drop_path": 0.3, "drop_rate": 0.1,
                        "image_size": 8, "in_channels": 3, "num_classes": 4}, steps=3)
    isas = processor_isas()
    succeed("train", config, "--out", "reference", f"run.isa={isas[0]}", ranks=1,
            seconds=200)
    losses = [line["loss"] for line in metrics("reference", "batch")]
    check(losses[-1] < losses[0], f"nothing was learned: {losses}")
    for ranks, isa in ((2, isas[-1]), (4, isas[0])):
        succeed("train", config, "--out", f"ranks-{ranks}", f"run.isa={isa}", "run.threads=1",
                ranks=ranks, seconds=200)
        same_run("reference", f"ranks-{ranks}")


@test
def keys_that_do_not_fit_the_data():
    write_pictures()
    for key, value, words in [("num_classes", 10, ["10", "4 outputs"]),
                              ("in_channels", 1, ["1", "(8, 8, 3)"]),
                              ("image_size", 224, ["224", "8 x 8"])]:
        config = config_of({"network": "resnet18", key: value}, steps=1)
        refuse("train", config, words=["net.toml", f"model.{key}", *words])
    refuse("train", config_of({"network": "mlp", "image_size": 8}, steps=1),
           words=["unknown key 'model.image_size'"])


if __name__ == "__main__":
    main()
