#!/usr/bin/env python3
"""Event files for TensorBoard, read by a parser of their format alone: every record's two checksums,
every tag and step, the values of metrics.jsonl; no step twice after a resume. TensorBoard's own reader
is asked in tests/oracles."""
import zlib

from lockstep_run import *  # noqa: F403 (the test vocabulary)


def crc32c(data):
    """Bit by bit from the polynomial, unlike the table of the program."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def fields(data):
    """(number, value) of a message: integers, floats, or bytes."""
    at, found = 0, []

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            value, shift, at = value | (data[at] & 0x7f) << shift, shift + 7, at + 1
            if data[at - 1] < 0x80:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        elif key & 7 == 2:
            length = varint()
            found.append((key >> 3, data[at:at + length]))
            at += length
        else:
            kind = {1: "<d", 5: "<f"}[key & 7]
            found.append((key >> 3, struct.unpack_from(kind, data, at)[0]))
            at += struct.calcsize(kind)
    return found


def events(path):
    """Dictionaries of the fields of each event, every checksum checked."""
    raw, at, found = Path(path).read_bytes(), 0, []
    while at < len(raw):
        length, length_crc = struct.unpack_from("<QI", raw, at)
        data = raw[at + 12:at + 12 + length]
        data_crc, = struct.unpack_from("<I", raw, at + 12 + length)
        check(length_crc == masked(raw[at:at + 8]), f"length's checksum at byte {at}")
        check(data_crc == masked(data), f"data's checksum at byte {at}")
        found.append(dict(fields(data)))
        at += 16 + length
    check(found[0].get(3) == b"brain.Event:2", f"no version first: {found[0]}")
    return found


def values(run):
    """tag -> {step: field number and value}, as a reader joins the files: a session that starts at a
    step drops what came before from there on."""
    result = {}
    for file in sorted(Path(run).glob("events.out.tfevents.*")):
        for event in events(file):
            step = event.get(2, 0)
            if 7 in event:
                check(dict(fields(event[7])) == {1: 1}, f"not a session's start: {event}")
                for steps in result.values():
                    for late in [s for s in steps if s >= step]:
                        del steps[late]
            for _, value in fields(event.get(5, b"")):
                value = dict(fields(value))
                tag = value.pop(1).decode()
                steps = result.setdefault(tag, {})
                # Each part of the run ends once; the last end counts.
                check(step not in steps or tag == "_hparams_/session_end_info",
                      f"step {step} of {tag} twice")
                steps[step] = value
    return result


def prepared(**log):
    x, y = digits(200)
    write_h5("d.h5", train_x=x, train_y=y, test_x=x[:50], test_y=y[:50])
    return write_config("a.toml", run={"name": "tb", "shards": 4, "threads": 1},
                        data={"file": "d.h5", "validation": "/test"},
                        model={"network": "mlp", "widths": [8]}, loss={"kind": "cross_entropy"},
                        optimizer={"lr": 0.01}, training={"epochs": 4, "batch": 50,
                                                          "clip_norm": 1.0},
                        log={"tensorboard": True, **log})


@test
def checksum_of_the_format():
    check(crc32c(b"123456789") == 0xe3069283, "the parser's own CRC-32C")


@test
def scalars_images_histograms_and_parameters():
    config = prepared(every_steps=2, histogram_epochs=2)
    succeed("train", config, "--out", "run", ranks=2)
    succeed("train", config, "--out", "alone")
    found, alone = values("run"), values("alone")
    for split in ("train", "validation", "batch"):
        for line in metrics("run", split):
            for name in ("loss", "accuracy"):
                value = found[f"{split}/{name}"][line["step"]][2]
                check(value == np.float32(line[name]), f"{split}/{name}: {value}, {line}")
    check(set(found["lr"]) == {4, 8, 12, 16}, f"{found['lr']}")
    check(np.isclose(found["lr"][4][2], 0.01), f"{found['lr']}")

    x, _ = digits(8)
    for row in range(8):
        image = dict(fields(found[f"train/row_{row}"][0][4]))
        check((image[1], image[2], image[3]) == (8, 8, 1), f"{image}")
        pixels = png_pixels(image[4])
        expected = x[row, ..., 0] * 255.0 / x.max()
        check(np.abs(pixels - expected).max() <= 0.51,
              f"row {row}:\n{pixels}")

    flip = "data.augment=[{kind='horizontal_flip', p=1.0}]"
    succeed("train", config, flip, "training.epochs=1", "--out", "flipped")
    flipped = values("flipped")
    for row in range(8):
        plain, mirrored = (png_pixels(dict(fields(tags[f"train/row_{row}"][0][4]))[4])
                           for tags in (found, flipped))
        check(np.array_equal(plain[:, ::-1], mirrored), f"row {row} is not as training sees it")

    weights = read_safetensors("run/weights.safetensors")
    for name, values_ in weights.items():
        for kind in ("weights", "gradients"):
            steps = found[f"{kind}/{name}"]
            check(set(steps) == {8, 16}, f"{kind}/{name} at {sorted(steps)}")
            check(steps == alone[f"{kind}/{name}"], f"{kind}/{name} differ on two ranks")
            histogram = dict(fields(steps[16][5]))
            counts = np.frombuffer(histogram[7], "<f8")
            limits = np.frombuffer(histogram[6], "<f8")
            check(counts.sum() == histogram[3] == values_.size, f"{counts} of {name}")
            check(len(limits) == len(counts) and limits[-1] == histogram[2], f"{limits}")
        expected, _ = np.histogram(values_.astype(float), len(counts))
        histogram = dict(fields(found[f"weights/{name}"][16][5]))
        counts = np.frombuffer(histogram[7], "<f8")
        check(np.abs(counts - expected).sum() <= 2, f"{name}: {counts}, numpy {expected}")
        check(np.isclose(histogram[4], values_.astype(float).sum()), f"sum of {name}")
        check(np.isclose(histogram[5], (values_.astype(float) ** 2).sum()), f"squares of {name}")
    norm = np.sqrt(sum(dict(fields(found[f"gradients/{name}"][16][5]))[5] for name in weights))
    check(np.isclose(norm, min(1.0, metrics("run", "batch")[-1]["gradient_norm"]), rtol=1e-4),
          f"the gradients' norm is {norm}")

    def plugin(tag, field):
        metadata = dict(fields(found[tag][0][9]))
        data = dict(fields(metadata[1]))
        check(data[1] == b"hparams", f"{data}")
        return fields(dict(fields(data[2]))[field])
    session = {}
    for number, entry in plugin("_hparams_/session_start_info", 3):
        if number == 1:
            entry = dict(fields(entry))
            session[entry[1].decode()] = fields(entry[2])[0]
    check(session["optimizer.lr"] == (2, 0.01), f"{session}")
    check(session["model.network"] == (3, b"mlp"), f"{session}")
    check(session["training.drop_last"] == (4, 0), f"{session}")
    check((1, 1) in plugin("_hparams_/session_end_info", 4), "the session does not end well")
    tags = [dict(fields(dict(fields(entry))[1]))[2] for number, entry in
            plugin("_hparams_/experiment", 2) if number == 5]
    check(b"validation/accuracy" in tags, f"{tags}")


def png_pixels(raw):
    """Grey pixels of a PNG without interlacing, unfiltered after the specification."""
    height, width = struct.unpack_from(">II", raw, 16)[::-1]
    body, at = b"", 8
    while at < len(raw):
        length, kind = struct.unpack_from(">I4s", raw, at)
        body += raw[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    data = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, -1)
    check(raw[25] == 0 and raw[24] == 8, f"PNG of kind {raw[25]}, {raw[24]} bits")
    rows, above = [], np.zeros(width, int)
    for filter_, *line in data.tolist():
        row = []
        for i, value in enumerate(line):
            left, up, corner = (row[i - 1] if i else 0), int(above[i]), int(above[i - 1]) if i else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda v: abs(guess - v))
            row.append((value + (0, left, up, (left + up) // 2, paeth)[filter_]) % 256)
        rows.append(row)
        above = np.array(row)
    return np.array(rows, np.uint8)


@test
def a_resume_says_nothing_twice():
    config = prepared(every_steps=1)
    succeed("train", config, "--out", "once", "training.epochs=6")
    succeed("train", config, "--out", "run", ranks=2)
    # As if the run had been stopped between its checkpoint of step 12 and the next.
    Path("run/checkpoints/step-00000016.ckpt").unlink()
    succeed("train", "--resume", "run", "training.epochs=6", "--allow-change", "training.epochs")
    check(len(list(Path("run").glob("events.out.tfevents.*"))) == 2, "not two files")
    once, resumed = values("once"), values("run")
    for tag in once:
        if tag.startswith("_hparams_") or tag == "samples_per_second":
            continue
        check(once[tag] == resumed[tag], f"{tag}: {once[tag]}, resumed {resumed[tag]}")


@test
def not_asked_for():
    config = prepared()
    succeed("train", config, "log.tensorboard=false", "--out", "run")
    check(not list(Path("run").glob("events*")), "an event file that nobody asked for")


if __name__ == "__main__":
    main()
