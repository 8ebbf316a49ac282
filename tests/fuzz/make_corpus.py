#!/usr/bin/env python3
"""Writes the small valid files that fuzzing begins with: tests/fuzz/corpus/TARGET/seed-*, the same bytes each time.

Other files there are inputs on which a reader failed once; they stay as they are.
"""
import gzip
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden"


def write(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content)


def safetensors(tensors, metadata):
    """tensors: name -> (dtype, shape, bytes)"""
    header, numbers = {"__metadata__": metadata}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(numbers), len(numbers) + len(content)]}
        numbers += content
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def f32(shape, value=0.5):
    count = 1
    for size in shape:
        count *= size
    return "F32", shape, struct.pack(f"<{count}f", *[value] * count)


def golden_bytes(name):
    """The U8 tensors of a golden file."""
    content = (GOLDEN / f"{name}.safetensors").read_bytes()
    length, = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8:8 + length]), content[8 + length:]
    return {name: numbers[slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}


def idx(*sizes):
    count = 1
    for size in sizes:
        count *= size
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(range(count))


def checkpoint():
    epoch = {"step": 2, "train_loss": 0.5, "val_loss": "inf", "val_acc": 0.25, "lr": 0.1, "img_per_s": 9.5, "seconds": 3}
    training = {
        "optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False},
        "streams": {"": [12345, 7], "blks.0.dropout": [18446744073709551615, 0]},
        "progress": {"epochs": [epoch], "in_epoch": True, "first_step": 2, "images": 8, "loss_sum": "nan", "lr": 0.1,
                     "seconds": 1.5},
    }
    return safetensors({"parameters.w": f32([2, 2]), "velocities.w": f32([2, 2]), "losses": f32([3])},
                       {"format": "pt", "note.config": "{}", "training": json.dumps(training)})


def main():
    for sizes in [(5,), (2, 3, 4), (1, 2, 2, 3)]:
        write("idx", "x".join(map(str, sizes)), idx(*sizes))
    write("idx", "gzip", gzip.compress(idx(2, 3, 4), mtime=0))

    for name in "python_f32", "python_types":
        write("safetensors", name, (GOLDEN / f"{name}.safetensors").read_bytes())
    write("safetensors", "empty", safetensors({}, {}))
    write("checkpoint", "run", checkpoint())

    pictures = golden_bytes("pictures")
    for kind in ("jpeg 4:2:0", "jpeg progressive", "jpeg grey", "png 1 bit", "png grey", "png palette transparent"):
        write("picture", kind.replace(" ", "-").replace(":", ""), pictures[f"{kind}/file"])

    lines = (HERE.parents[1] / "apps/results/d2l-seed0.csv").read_text().splitlines(keepends=True)
    write("metrics", "epochs", "".join(lines[:4]).encode())


if __name__ == "__main__":
    main()
