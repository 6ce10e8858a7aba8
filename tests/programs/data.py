#!/usr/bin/env python3
"""The tools for data as a user meets them: synthetic kinds that train, NumPy arrays, repacking,
the contact sheet, the linter and its exit codes."""
from lockstep_run import *  # noqa: F403 (the test vocabulary)


@test
def synthetic_data_train():
    """Two moons are learnt by a network; bit patterns by a line in one representation alone."""
    succeed("prepare", "synthetic", "moons", "--test", "0.3", "-o", "moons.h5").says("lower")
    config = write_config("moons.toml", run={"name": "m", "shards": 2, "threads": 1},
                          data={"file": "moons.h5", "validation": "/test"},
                          model={"network": "mlp", "widths": [10, 10]},
                          loss={"kind": "cross_entropy"}, optimizer={"kind": "adam", "lr": 0.02},
                          training={"epochs": 60, "batch": 35})
    succeed("train", config, "--out", "moons")
    accuracy = metrics("moons", "validation")[-1]["accuracy"]
    check(accuracy > 0.85, f"two moons: {accuracy}")

    reached = {}
    for representation in ("bits", "changes"):
        succeed("prepare", "synthetic", "bit-patterns", "--representation", representation,
                "--rows", "2000", "--test", "0.25", "-o", f"{representation}.h5")
        config = write_config("line.toml", run={"name": "l", "shards": 2, "threads": 1},
                              data={"file": f"{representation}.h5", "validation": "/test"},
                              model={"network": "linear"}, loss={"kind": "cross_entropy"},
                              optimizer={"kind": "adam", "lr": 0.02},
                              training={"epochs": 10, "batch": 100})
        succeed("train", config, "--out", representation)
        reached[representation] = metrics(representation, "validation")[-1]["accuracy"]
    check(reached["bits"] < 0.62 and reached["changes"] > 0.97, f"{reached}")


@test
def arrays_and_other_files_become_datasets():
    random = np.random.default_rng(5)
    x, y = random.integers(0, 256, (60, 6, 5), "u1"), random.integers(0, 3, 60)
    np.save("x.npy", np.asfortranarray(x))
    np.save("y.npy", y.astype(">i4"))
    succeed("prepare", "npy", "x.npy", "y.npy", "-o", "a.h5").says("npy: x.npy, y.npy")
    np.save("hot.npy", np.eye(3)[y])
    succeed("prepare", "npy", "x.npy", "hot.npy", "-o", "hot.h5")
    with h5py.File("a.h5") as a, h5py.File("hot.h5") as hot:
        check(np.array_equal(a["train/y"], hot["train/y"]), "float one-hot rows are other labels")
    for wrong in [0.5, 0, 0], [1, 1, 0], [0, 0, 0], [np.nan, 1, 0]:
        np.save("no.npy", np.vstack([np.eye(3)[y[:-1]], wrong]))
        refuse("prepare", "npy", "x.npy", "no.npy", "-o", "no.h5",
               words=("no.npy: row 59 of float64 does not hold a single 1", "--task regression"))
    with h5py.File("foreign.h5", "w") as file:
        file.create_dataset("pictures", data=x, chunks=(30, 2, 2), compression=5)
        file["kinds"] = y
    succeed("prepare", "repack", "foreign.h5", "--x", "/pictures", "--y", "/kinds", "-o", "b.h5",
            "--max-memory", "4K")
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b:
        check(np.array_equal(a["train/x"][..., 0], x), "values of x.npy changed")
        check(a.attrs["checksum"] == b.attrs["checksum"], "one data set, two checksums")
    refuse("prepare", "repack", "a.h5", "-o", "b.h5", words=("b.h5", "--force"))
    refuse("prepare", "repack", "a.h5", "-o", "c.h5", "--max-memory", "400",
           words=("--max-memory 400", "bytes are needed"))
    refuse("prepare", "npy", "x.npy", "x.npy", "-o", "c.h5", words=("x.npy", "3 axes"))


def peak_mib(*arguments):
    """The most memory that the command held."""
    watch = ("import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", watch, *command_of(arguments)], text=True,
                          capture_output=True, env=ENVIRONMENT)
    check(done.returncode == 0, done.stdout + done.stderr)
    return int(done.stdout.split()[-1]) / 1024


@test
def unpacked_chunks_are_kept_within_the_memory():
    """Chunks of a megabyte, 64 of them: all could be kept, were they not to share --max-memory."""
    with h5py.File("chunked.h5", "w") as file:
        file.create_dataset("train/x", (64 * 256, 4096), "u1", chunks=(256, 4096), compression=1)
        file["train/y"] = np.arange(64 * 256) % 2
        file["train/x"][::4096] = 1
    repack = ["prepare", "repack", "chunked.h5", "-o"]
    little = peak_mib(*repack, "plain.h5", "--max-memory", "4M")
    plain = peak_mib("prepare", "repack", "plain.h5", "-o", "again.h5", "--max-memory", "4M")
    check(little < plain + 16, f"{little} MiB with chunks to unpack, {plain} without")
    with h5py.File("chunked.h5") as a, h5py.File("plain.h5") as b:
        check(np.array_equal(a["train/x"][:], b["train/x"][:]), "rows changed")
    refuse("prepare", "repack", "chunked.h5", "-o", "c.h5", "--max-memory", "1M",
           words=("chunked.h5", "--max-memory 1", "chunks that hold a row"))


@test
def chunks_of_a_row_count_in_the_memory_of_a_rank():
    """One chunk of 40 MiB: what training needs of it is known before the first step."""
    x = np.zeros((2048, 5120), np.float32)
    x[::7] = 1
    y = np.arange(2048) % 2
    write_h5("plain.h5", train_x=x, train_y=y)
    with h5py.File("chunked.h5", "w") as file:
        file.create_dataset("train/x", data=x, chunks=x.shape, compression=1)
        file["train/y"] = y
    write_config("a.toml", run={"name": "a", "memory_mib": 44, "threads": 1},
                 data={"file": "plain.h5", "in_memory": False},
                 model={"network": "linear"}, loss={"kind": "cross_entropy"},
                 training={"steps": 1, "batch": 8})
    succeed("train", "a.toml", "--out", "plain")
    refuse("train", "a.toml", "data.file=chunked.h5", "--out", "none", 
           words=("44.0 MiB allowed", "the data take 40.0 MiB"))
    succeed("train", "a.toml", "data.file=chunked.h5", "run.memory_mib=64", "--out", "chunked")
    plain, chunked = (Path(run, "weights.safetensors").read_bytes() for run in ("plain", "chunked"))
    check(plain == chunked, "other weights from chunks")


@test
def looking_at_data():
    succeed("prepare", "digits", "-o", "digits.h5")
    succeed("inspect", "digits.h5", "--images", "sheet.png", "--count", "4").says(
        "##", "stand in /train too", "sheet.png: 40 of 1438 images, 10 of 10 classes")
    check(Path("sheet.png").read_bytes().startswith(b"\x89PNG"), "no PNG")
    succeed("check", "data", "digits.h5").says("digits.h5: 0 errors, 0 warnings")
    config = write_config("digits.toml", data={"file": "digits.h5"},
                          model={"network": "linear"}, training={"epochs": 1, "batch": 50})
    succeed("check", "data", config).says("0 errors")
    succeed("check", "data", config, "--help").says("CONFIG.toml")
    with h5py.File("digits.h5", "a") as file:
        file["train/y"][17] = 12
    result = run("check", "data", "digits.h5")
    check(result.code == 1, f"an error, and exit code {result.code}:\n{result}")
    result.says("error: /train/y: row 17 holds the label 12", "digits.h5: 1 errors")

    for part in 1, 2:
        succeed("prepare", "synthetic", "blobs", "--rows", "300", "--seed", str(part),
                "-o", f"part-{part}.h5")
    several = write_config("several.toml", data={"file": "part-*.h5"},
                           model={"network": "linear"}, training={"epochs": 1, "batch": 50})
    succeed("check", "data", several).says("several.toml: 0 errors")
    with h5py.File("part-2.h5", "a") as file:
        file["train/x"][5, 1] = np.nan
    for what in [several], ["part-1.h5", "part-2.h5"], ["part-*.h5"]:
        result = run("check", "data", *what)
        check(result.code == 1, f"an error, and exit code {result.code}:\n{result}")
        result.says("error: part-2.h5: /train/x: NaN in row 5, column", "1 errors")


if __name__ == "__main__":
    main()
