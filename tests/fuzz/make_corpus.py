#!/usr/bin/python3
"""Writes the seeds of tests/fuzz/corpus: small sound files of each format, from which the fuzzers
start, and under found-* what fuzzing found."""
import gzip
import io
import json
import struct
import tempfile
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def seed(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def safetensors():
    def file(header, values):
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + values
    pair = {"__metadata__": {"format": "pt"},
            "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
            "b": {"dtype": "BF16", "shape": [3], "data_offsets": [8, 14]}}
    seed("safetensors", "pair", file(pair, bytes(14)))
    kinds = {"u": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]},
             "i": {"dtype": "I64", "shape": [0, 4], "data_offsets": [1, 1]},
             "d": {"dtype": "F64", "shape": [1], "data_offsets": [1, 9]}}
    seed("safetensors", "kinds", file(kinds, bytes(9)))
    half = {"h": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}}
    seed("safetensors", "half", file(half, struct.pack("<4e", 1, -0.5, float("inf"), 6e-8)))
    seed("safetensors", "empty", file({}, b""))
    seed("safetensors", "nested", file({"a": [[[[{"b": [[[[]]]]}]]]]}, b""))


def idx():
    images = struct.pack(">IIII", 0x803, 2, 2, 2) + bytes(range(8))
    labels = struct.pack(">II", 0x801, 3) + b"\0\1\2"
    seed("idx", "images", images)
    seed("idx", "labels", labels)
    seed("idx", "images-gzip", gzip.compress(images, mtime=0))
    seed("idx", "truncated", labels[:-1])


def images():
    """Behind the byte that chooses how they are decoded."""
    y, x = np.mgrid[:21, :30]
    picture = Image.fromarray(np.stack([x * 8, y * 12, x * y], -1).astype("u1"))
    turned = picture.getexif()
    turned[0x0112] = 6
    for name, how, image, kind, options in (
            ("jpeg", 1, picture, "JPEG", dict(subsampling=2)),
            ("jpeg-progressive", 1, picture, "JPEG", dict(progressive=True, subsampling=1)),
            ("jpeg-grey", 0, picture.convert("L"), "JPEG", {}),
            ("jpeg-cmyk", 1, picture.convert("CMYK"), "JPEG", {}),
            ("jpeg-turned", 3, picture.resize((48, 40)), "JPEG", dict(exif=turned)),
            ("png", 1, picture, "PNG", {}),
            ("png-palette", 1, picture.quantize(7), "PNG", dict(transparency=1)),
            ("png-opacity", 0, picture.convert("RGBA"), "PNG", dict(exif=turned)),
            ("png-bits", 0, picture.convert("1"), "PNG", {})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        seed("images", name, bytes([how]) + buffer.getvalue())
    seed("images", "gif", b"\1GIF89a" + bytes(20))


def csv():
    seed("csv", "plain", b"\0x,y\n1,2\n-3.5,+4e2\n")
    seed("csv", "quoted", b"\0\xef\xbb\xbf\"a\",\"b \"\"c\"\"\"\r\n1, \"two\nlines\" \r\n\r\nNA,?\r\n")
    seed("csv", "semicolons", b"\5a;b\n1;\n;nan\n")
    seed("csv", "tabs", b"\6 a\t\"b\"\t\n")
    seed("csv", "blanks", b"\3a b\n1 \"2\"\n")


def npy():
    def file(descr, shape, data, fortran=False, version=1):
        header = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        length = struct.pack("<H" if version == 1 else "<I", len(header))
        return b"\x93NUMPY" + bytes([version, 0]) + length + header + data
    seed("npy", "float32", file("<f4", (2, 3), bytes(24)))
    seed("npy", "fortran", file(">i2", (3, 2, 2), bytes(range(24)), fortran=True, version=2))
    seed("npy", "bytes", file("|u1", (4,), b"\1\2\3\4", version=3))
    seed("npy", "half", file("<f2", (2, 1), b"\0\x3c\1\0"))
    seed("npy", "bool", file("|b1", (), b"\1"))
    seed("npy", "wide", file("<u8", (1,), b"\xff" * 8))
    seed("npy", "empty", file("<f8", (0, 5), b""))
    seed("npy", "found-fortran-scalar", file("<f4", (), bytes(4), fortran=True))
    seed("npy", "found-huge-empty", file("|u1", (0, 1 << 40, 1 << 40), b""))


def toml():
    for path in sorted((ROOT / "launch" / "configs").rglob("*.toml")):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        seed("toml", path.stem, ("\n" + "\n".join(lines) + "\n").encode())
    seed("toml", "override", b"optimizer.kind=sgd\n[optimizer]\nkind = 'adam'\nbeta1 = 0.5\n")
    seed("toml", "model", b"run.seed=3\n[model]\nnetwork = 'mlp'\nwidths = [1, 2]\n"
         b"[model.inner]\na.b = 'c'\n[model.initial]\nfc1.bias = [[0.5], [1e-3]]\n")
    seed("toml", "values", b"model.x={a = [1, 2.5], b = true}\n[run]\nseed = 0x10\nname = \"\"\"a\nb\"\"\"\n")


def checkpoint():
    """Its checksums are zero: the target puts in those that the frames call for."""
    def padded(data):
        return data + bytes(-len(data) % 8)
    def tensor(name, kind, shape, values):
        frame = struct.pack("<IBBH", len(name), kind, len(shape), 0)
        frame += b"".join(struct.pack("<q", size) for size in shape) + name
        return padded(frame) + bytes(8) + padded(values) + bytes(8)
    def file(state, *tensors):
        body = padded(state) + bytes(8) + b"".join(tensors) + bytes(8)
        return b"LOCKSTEP" + struct.pack("<IIQQQ", 1, len(tensors), 40 + len(body), len(state), 0) + body
    seed("checkpoint", "state", file(b'{"step": 3}'))
    seed("checkpoint", "tensors", file(b"{}", tensor(b"weights/fc.bias", 1, [3], bytes(12)),
                                       tensor(b"m", 4, [], bytes(8)), tensor(b"e", 5, [0, 2], b"")))


def chunks():
    """Small files by h5py, one for each form of chunk index, behind the grid that the target reads."""
    def file(name, version, shape, chunk, most=None, **options):
        with tempfile.NamedTemporaryFile() as scratch:
            with h5py.File(scratch.name, "w", libver=version) as hdf5:
                data = hdf5.create_dataset("x", data=np.zeros(shape, "u1"), chunks=chunk,
                                           maxshape=most, **options)
                header = h5py.h5o.get_info(data.id).addr
            prologue = struct.pack("<BBBI", len(shape) - 1, bool(options), 1, header)
            for axis in range(3):
                inside = axis < len(shape)
                limit = most[axis] if most and inside else shape[axis] if inside else 0
                prologue += struct.pack("<HBH", shape[axis] if inside else 0,
                                        255 if limit is None else limit - shape[axis] if inside else 0,
                                        chunk[axis] if inside else 1)
            seed("chunks", name, prologue + Path(scratch.name).read_bytes())
    file("btree1", "earliest", (9, 4), (2, 3))
    file("btree1-packed", "earliest", (9, 4), (2, 3), (None, 4), compression="gzip")
    file("btree2", "latest", (5, 4), (2, 3), (None, None))
    file("fixed", "latest", (9, 4), (2, 3), (12, 4), shuffle=True)
    file("extensible", "latest", (40,), (3,), (None,), fletcher32=True)
    file("single", "latest", (4, 2), (4, 2))


def found():
    """The smallest input of each mistake that fuzzing found."""
    seed("toml", "found-table-without-name", b"\n[/\n")
    seed("toml", "found-greek-letter", "run.name=\u0399mer\n[run]\nname = \u00fc\n".encode())


def main():
    safetensors()
    idx()
    images()
    csv()
    npy()
    chunks()
    toml()
    checkpoint()
    found()


if __name__ == "__main__":
    main()
