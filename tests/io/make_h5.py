"""Writes HDF5 files in many forms with h5py, an independent writer, for the dataset tests.

make_h5.py FOLDER. Every file of the list `same` holds the same contents, made from i, j alone, so
that the test knows each value without reading a second file:
  images  x[n, h, w, c] = (37 n + 11 h + 5 w + 3 c) % 251      (50, 4, 5, 3)
  tables  x[n, j]       = n - 3 j                              (50, 6)
  labels  y[n]          = (7 n) % 10
"""
import sys
import h5py
import numpy as np

folder = sys.argv[1]
ROWS = 50
n = np.arange(ROWS)
images = ((37 * n[:, None, None, None] + 11 * np.arange(4)[:, None, None]
           + 5 * np.arange(5)[:, None] + 3 * np.arange(3)) % 251).astype("uint8")
tables = (n[:, None] - 3 * np.arange(6)).astype("float64")
labels = (7 * n) % 10


def write(name, x, y, group="train", weight=None, file_options=None, **x_options):
    with h5py.File(f"{folder}/{name}.h5", "w", **(file_options or {})) as file:
        file.create_dataset(f"{group}/x", data=x, **x_options)
        if y is not None:
            file.create_dataset(f"{group}/y", data=y)
        if weight is not None:
            file.create_dataset(f"{group}/weight", data=weight)


# The same images, stored in every way.
write("images_contiguous", images, labels.astype("int64"))
write("images_chunked", images, labels.astype("int8"), chunks=(7, 2, 5, 3))
write("images_gzip", images, labels.astype("uint8"), chunks=(16, 4, 5, 3), compression="gzip",
      shuffle=True)
write("images_userblock", images, labels.astype("<u2"), file_options={"userblock_size": 1024})
write("images_latest", images, labels.astype(">u8"), file_options={"libver": "latest"})
with h5py.File(f"{folder}/images_nchw.h5", "w") as file:
    file["pictures/pixels"] = np.transpose(images, (0, 3, 1, 2))
    file["targets"] = labels.astype(">i2").reshape(ROWS, 1)
with h5py.File(f"{folder}/images_compact.h5", "w") as file:
    space = h5py.h5s.create_simple((2,))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    group = file.create_group("train")
    y = h5py.h5d.create(group.id, b"y", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((ROWS,)), plist)
    y.write(h5py.h5s.ALL, h5py.h5s.ALL, labels.astype("int32"))
    group.create_dataset("x", data=images)
layout = h5py.VirtualLayout(shape=images.shape, dtype="uint8")
layout[:] = h5py.VirtualSource(f"{folder}/images_contiguous.h5", "train/x", shape=images.shape)
with h5py.File(f"{folder}/images_virtual.h5", "w", libver="latest") as file:
    file.create_virtual_dataset("train/x", layout)
    file["train/y"] = h5py.SoftLink("/labels")
    file["labels"] = labels.astype(">i4")
write("images_one_hot", images, np.eye(10, dtype="uint8")[labels])
write("images_one_hot_i32", images, np.eye(10, dtype=">i4")[labels])

# The same tables in every type that holds their values.
for name, kind in [("f4le", "<f4"), ("f4be", ">f4"), ("f8le", "<f8"), ("f8be", ">f8"),
                   ("f2le", "<f2"), ("i2be", ">i2"), ("i1", "i1")]:
    write(f"table_{name}", tables.astype(kind), labels, weight=(n % 4).astype("float64"))
write("table_u2", (1000 * n[:, None] + np.arange(6)).astype(">u2"), labels)
for name, kind in [("i4be", ">i4"), ("u4", "<u4"), ("i8le", "<i8"), ("u8be", ">u8")]:
    write(f"tokens_{name}", (30000 * n[:, None] + np.arange(6)).astype(kind), None)
write("grey", images[..., 0], labels)                              # uint8 (N, H, W)
write("series", images[..., 0].astype("float32"), labels)          # float32 (N, H, W)
write("column", tables[:, 0], tables[:, 1:2])                      # (N) and (N, 1) of floats
write("values", tables, np.stack([0.5 * n, -n.astype("float64")], 1).astype(">f8"))
write("multi_label", tables, np.stack([n % 2, n % 3 == 0, n % 5 == 0], 1).astype("int8"))
write("booleans", tables > 0, labels)
with h5py.File(f"{folder}/regression.h5", "w") as file:
    file["train/x"], file["train/y"] = tables, labels
    file.attrs["lockstep_format"] = 1
    file.attrs["task"] = "regression"
    file.attrs["classes"] = np.array(["no", "yes"], dtype=h5py.string_dtype())
    file.attrs["mean"] = np.array([1.5, 2.5], dtype=">f4")
    file.attrs["std"] = [1, 2]
    file.attrs["source"] = np.bytes_("fixed text")
    file.attrs["checksum"] = "00112233445566ff"

# What must be refused.
write("bad_lengths", tables, labels[:-1])
write("bad_negative", tables, np.where(n == 23, -2, labels))
write("bad_nan", np.where((n[:, None] == 31) & (np.arange(6) == 4), np.nan, tables), labels)
write("bad_overflow", np.where((n[:, None] == 3) & (np.arange(6) == 0), 1e300, tables), labels)
picture = images.astype("float32")
picture[12, 1, 2, 0] = np.nan
write("bad_nan_image", picture, labels)
target = np.stack([n, n], 1).astype("float32")
target[44, 1] = np.nan
write("bad_nan_target", tables, target)
write("bad_weight", tables, labels, weight=np.where(n == 9, -1.0, 1.0))
write("bad_weight_shape", tables, labels, weight=np.ones((ROWS, 2)))
write("bad_empty", tables[:0], labels[:0])
write("bad_text", np.array([b"one", b"two"]), labels[:2])
write("bad_rank_y", tables, np.zeros((ROWS, 2, 2)))
write("bad_rank_x", np.zeros((2, 1, 1, 1, 1, 1, 1)), labels[:2])
one_hot = np.eye(10, dtype="uint8")[np.resize(labels, 2000)]
one_hot[1500, :] = 0
write("bad_one_hot", np.resize(tables, (2000, 6)), one_hot)
with h5py.File(f"{folder}/bad_scalar.h5", "w") as file:
    file["train/x"] = 3.0
with h5py.File(f"{folder}/bad_class.h5", "w") as file:
    file["train/x"], file["train/y"] = tables, labels
    file.attrs["lockstep_format"] = 1
    file.attrs["task"] = "classification"
    file.attrs["classes"] = [f"class {i}" for i in range(7)]
with h5py.File(f"{folder}/bad_format.h5", "w") as file:
    file["train/x"], file["train/y"] = tables, labels
    file.attrs["lockstep_format"] = 99
with open(f"{folder}/images_contiguous.h5", "rb") as file:
    whole = file.read()
with open(f"{folder}/bad_truncated.h5", "wb") as file:
    file.write(whole[:len(whole) - 1000])
with open(f"{folder}/bad_not_hdf5.h5", "w") as file:
    file.write("a,b,label\n1,2,0\n")
open(f"{folder}/bad_nothing.h5", "w").close()
