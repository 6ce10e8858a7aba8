#!/usr/bin/env python3
"""Event files of a run, and of the same run stopped and resumed, read by TensorBoard's own reader."""
import json
import sys
from pathlib import Path

from oracle import run, start

CONFIG = """
run.name = "board"
data = { file = "digits.h5", validation = "/test" }
model = { network = "mlp", widths = [16] }
training = { epochs = 4, batch = 64 }
log = { tensorboard = true, histogram_epochs = 1, every_steps = 5 }
"""


def read(folder):
    from tensorboard.backend.event_processing import event_accumulator
    reader = event_accumulator.EventAccumulator(folder, size_guidance={
        kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE})
    return reader.Reload()


def scalars(reader):
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)]
            for tag in reader.Tags()["scalars"] if tag != "samples_per_second"}


def main(lockstep):
    from tensorboard.plugins.hparams import plugin_data_pb2
    run(lockstep, "prepare", "digits", "-o", "digits.h5")
    Path("a.toml").write_text(CONFIG)
    run(lockstep, "train", "a.toml", "--out", "once")
    run(lockstep, "train", "a.toml", "training.epochs=3", "--out", "twice")
    sorted(Path("twice/checkpoints").glob("*.ckpt"))[-1].unlink()
    run(lockstep, "train", "--resume", "twice", "training.epochs=4", "--allow-change",
        "training.epochs")
    once, twice = read("once"), read("twice")
    print(f"tags: {sorted(once.Tags()['scalars'])}")
    if scalars(once) != scalars(twice):
        sys.exit(f"a resumed run reads otherwise:\n{scalars(once)}\n{scalars(twice)}")

    import struct
    lines = [json.loads(line) for line in Path("once/metrics.jsonl").read_text().splitlines()]
    for split in ("train", "validation", "batch"):
        for name in ("loss", "accuracy"):
            expected = [(line["step"], struct.unpack("f", struct.pack("f", line[name]))[0])
                        for line in lines if line["split"] == split]
            if scalars(once)[f"{split}/{name}"] != expected:
                sys.exit(f"{split}/{name}: {scalars(once)[f'{split}/{name}']}, not {expected}")
    for reader in (once, twice):
        images = reader.Tags()["images"]
        if len(images) != 8 or any(len(reader.Images(tag)) != 1 for tag in images):
            sys.exit(f"images: {images}")
        image = reader.Images(images[0])[0]
        if (image.width, image.height) != (8, 8):
            sys.exit(f"an image of {image.width} x {image.height}")
        histograms = reader.Tags()["histograms"]
        if set(histograms) != {f"{kind}/{name}.{part}" for kind in ("weights", "gradients")
                               for name in ("fc1", "fc2") for part in ("weight", "bias")}:
            sys.exit(f"histograms: {histograms}")
        for tag in histograms:
            events = reader.Histograms(tag)
            if len(events) != 4 or any(sum(event.histogram_value.bucket) !=
                                       event.histogram_value.num for event in events):
                sys.exit(f"{tag}: {events}")
        content = reader.PluginTagToContent("hparams")
        session = plugin_data_pb2.HParamsPluginData.FromString(
            content["_hparams_/session_start_info"]).session_start_info
        if session.hparams["model.network"].string_value != "mlp":
            sys.exit(f"hyper-parameters: {session}")
        end = plugin_data_pb2.HParamsPluginData.FromString(
            content["_hparams_/session_end_info"]).session_end_info
        if end.status != 1:
            sys.exit(f"the session's end: {end}")
    print("TensorBoard reads scalars, images, histograms and hyper-parameters")


if __name__ == "__main__":
    start(__file__, main, "tensorboard")
