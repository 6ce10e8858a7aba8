"""Writes chunked HDF5 datasets in every form of chunk index and filter with h5py, an independent
writer: make_chunks.py FOLDER. Values are whole numbers that every type holds."""
import ctypes
import itertools
import subprocess
import sys

import h5py
import numpy as np

folder = sys.argv[1]
FILTERS = {
    "plain": {},
    "deflate": dict(compression="gzip", compression_opts=1),
    "shuffle": dict(shuffle=True),
    "sum": dict(fletcher32=True),
    "all": dict(compression="gzip", shuffle=True, fletcher32=True),
}


def values(shape, kind="u1"):
    return ((np.arange(np.prod(shape)).reshape(shape) * 7 + 3) % 101).astype(kind)


def add(file, name, shape, **options):
    file.create_dataset(name, data=values(shape, options.pop("kind", "u1")), **options)


for version in "earliest", "latest":
    with h5py.File(f"{folder}/forms_{version}.h5", "w", libver=version) as file:
        for label, filters in FILTERS.items():
            one, two = (None, 9, 5), (None, None, 5)
            add(file, f"{label}/fixed", (20, 9, 5), chunks=(6, 4, 2), **filters)
            add(file, f"{label}/growing", (20, 9, 5), chunks=(6, 4, 2), maxshape=one, **filters)
            add(file, f"{label}/growing_inside", (20, 9, 5), chunks=(6, 4, 2),
                maxshape=(25, None, 5), **filters)
            add(file, f"{label}/growing_twice", (20, 9, 5), chunks=(6, 4, 2), maxshape=two,
                **filters)
            add(file, f"{label}/bounded", (20, 9, 5), chunks=(6, 4, 2), maxshape=(40, 11, 17),
                **filters)
            add(file, f"{label}/single", (20, 9), chunks=(20, 9), **filters)
            add(file, f"{label}/rows", (20, 9), chunks=(1, 9), **filters)
            add(file, f"{label}/column", (300,), chunks=(7,), **filters)
            add(file, f"{label}/wide", (20, 9, 5), chunks=(3, 9, 5), kind="<f8", **filters)
        for kind, order in itertools.product("i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8".split(), "<>"):
            name = f"types/{kind}{'le' if order == '<' else 'be'}"
            add(file, name, (20, 9), chunks=(6, 4), kind=order + kind, **FILTERS["all"])
        file.create_dataset("types/bool", data=values((20, 9)) > 50, chunks=(6, 4))
        # Many chunks: deep trees, arrays in pages.
        add(file, "many/fixed", (3000, 3), chunks=(1, 3))
        add(file, "many/growing_twice", (3000, 3), chunks=(1, 3), maxshape=(None, None),
            compression="gzip")
        # Mostly unwritten, with and without a fill value.
        for label, filters in FILTERS.items():
            for fill in None, 17:
                data = file.create_dataset(f"holes/{label}_{fill}", (50, 9), ">i2", chunks=(6, 4),
                                           fillvalue=fill, **filters)
                data[13:15], data[40] = 5, 6
        data = file.create_dataset("holes/growing", (200000,), "<i4", chunks=(1,), maxshape=(None,),
                                   fillvalue=9)
        for row in 0, 3, 4, 5, 100, 140000, 199999:
            data[row] = row
        data = file.create_dataset("holes/growing_deflate", (4000,), "<i4", chunks=(1,),
                                   maxshape=(None,), compression="gzip")
        for row in 0, 1, 700, 3999:
            data[row] = row
        file.create_dataset("holes/nothing", (50, 9), "<f4", chunks=(6, 4))
        # Grown, then shrunk again.
        add(file, "resized", (40, 9), chunks=(6, 4), maxshape=(None, None), compression="gzip")
        file["resized"].resize((23, 7))
        # A filter left out of some chunks.
        data = file.create_dataset("masked", (20, 8), "<u2", chunks=(5, 8), **FILTERS["all"])
        data[:] = values((20, 8), "<u2")
        data.id.write_direct_chunk((5, 0), values((5, 8), "<u2").tobytes(), filter_mask=7)
        # Filters left out of chunks that reach over the edge; h5py has no name for that.
        if version == "latest":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((6, 4))
            plist.set_deflate(3)
            library = ctypes.CDLL("libhdf5_serial.so.103")
            assert library.H5Pset_chunk_opts(ctypes.c_int64(plist.id), ctypes.c_uint(2)) >= 0
            for name, most in (b"edges", (20, 9)), (b"edges_growing", (h5py.h5s.UNLIMITED, 9)):
                space = h5py.h5s.create_simple((20, 9), most)
                h5py.h5d.create(file.id, name, h5py.h5t.STD_U8LE, space, plist)
                file[name.decode()][:] = values((20, 9))
        # Chunks that are all there from the start, one after another.
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((6, 4))
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        for name, most in (b"implicit", (20, 9)), (b"implicit_bounded", (31, 21)):
            h5py.h5d.create(file.id, name, h5py.h5t.STD_U8LE,
                            h5py.h5s.create_simple((20, 9), most), plist)
            file[name.decode()][:] = values((20, 9))
        add(file, "library/scaleoffset", (20, 9), chunks=(6, 4), scaleoffset=7)
    with h5py.File(f"{folder}/user_block_{version}.h5", "w", libver=version,
                   userblock_size=1024) as file:
        add(file, "x", (20, 9), chunks=(6, 4), **FILTERS["all"])
        add(file, "growing", (20, 9), chunks=(6, 4), maxshape=(None, 9), **FILTERS["all"])

with h5py.File(f"{folder}/contiguous.h5", "w") as file:
    add(file, "x", (50, 9, 5), kind="<i4")
    add(file, "y", (50,), kind="<f8")
for name, options in (("repacked", []), ("repacked_latest", ["-L"])):
    subprocess.run(["h5repack", *options, "-l", "x:CHUNK=8x9x2", "-l", "y:CHUNK=7", "-f",
                    "x:SHUF", "-f", "x:GZIP=6", "-f", "y:FLET", f"{folder}/contiguous.h5",
                    f"{folder}/{name}.h5"], check=True)

with h5py.File(f"{folder}/sixty_thousand.h5", "w") as file:
    add(file, "x", (60000, 4), chunks=(1, 4), compression="gzip", compression_opts=1)
with h5py.File(f"{folder}/automatic.h5", "w") as file:
    file.create_dataset("x", (600000, 28, 28), "u1", chunks=(3750, 4, 4), compression="gzip")
    add(file, "small", (1000, 8, 8), chunks=(100, 4, 4), compression="gzip")
