#!/usr/bin/env python3
"""Writes the small valid files that fuzzing begins with: tests/fuzz/corpus/TARGET/seed-*, the same bytes each time.

Other files there are inputs on which a reader failed once; they stay as they are.
"""
import gzip
import json
import math
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden"
SPLIT = b"\n----\n"  # stands between two files in one input; targets.h has the same


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
    count = math.prod(shape)
    return "F32", shape, struct.pack(f"<{count}f", *[value] * count)


def golden_bytes(name):
    """The U8 tensors of a golden file."""
    content = (GOLDEN / f"{name}.safetensors").read_bytes()
    length, = struct.unpack("<Q", content[:8])
    header, numbers = json.loads(content[8:8 + length]), content[8 + length:]
    return {name: numbers[slice(*entry["data_offsets"])] for name, entry in header.items() if name != "__metadata__"}


def idx(*sizes):
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(range(math.prod(sizes)))


def checkpoint(first_format=False):
    epoch = {"step": 2, "train_loss": 0.5, "val_loss": "inf", "val_acc": 0.25, "lr": 0.1, "img_per_s": 9.5, "seconds": 3}
    sgd = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False}
    training = {
        "batch_size": 8,
        "optimizer": sgd if first_format else "adamw",
        "streams": {"": [12345, 7], "blks.0.dropout" + ("" if first_format else ".rng"): [18446744073709551615, 0]},
        "progress": {"epochs": [epoch], "in_epoch": True, "first_step": 2, "images": 8, "loss_sum": "nan", "lr": 0.1,
                     "seconds": 1.5},
    }
    kept = {"velocities.w": f32([2, 2])} if first_format else {
        "buffers.seen": f32([3]), "optimizer.exp_avg.w": f32([2, 2]), "optimizer.step.w": f32([])}
    return safetensors({"parameters.w": f32([2, 2]), **kept, "losses": f32([3])},
                       {"format": "pt", "note.config": "{}", "training": json.dumps(training)})


def vit(names, metadata):
    """The weights of the smallest Vision Transformer: width 2, one block, one patch of 2 x 2, two classes."""
    square, row, three = [2, 2], [2], [6]
    shapes = {
        "cls": {"": [1, 1, 2]}, "positions": {"": [1, 2, 2]}, "patches": {".weight": [2, 1, 2, 2], ".bias": row},
        "qkv": {".weight": [6, 2], ".bias": three}, "qkv_": {"weight": [6, 2], "bias": three},
        "mlp1": {".weight": [3, 2], ".bias": [3]}, "mlp2": {".weight": [2, 3], ".bias": row},
    }
    tensors = {}
    for part, name in names.items():
        matrix = {".weight": row if "norm" in part else square, ".bias": row}
        for ending, shape in shapes.get(part, matrix).items():
            tensors[name + ending] = ("BF16", shape, b"\x80\x3f" * math.prod(shape))
    return safetensors(tensors, metadata)


def resnet():
    """The weights of ResNet-18 in torchvision's form, of width 1 and for two classes."""
    shapes = {}

    def convolution(conv, norm, shape):
        shapes[conv + ".weight"] = shape
        for part in "weight", "bias", "running_mean", "running_var":
            shapes[f"{norm}.{part}"] = shape[:1]

    convolution("conv1", "bn1", [1, 1, 7, 7])
    for stage in range(4):
        for block in range(2):
            out, at = 2**stage, f"layer{stage + 1}.{block}."
            into = out // 2 if stage and not block else out
            convolution(at + "conv1", at + "bn1", [out, into, 3, 3])
            convolution(at + "conv2", at + "bn2", [out, out, 3, 3])
            if into != out:
                convolution(at + "downsample.0", at + "downsample.1", [out, into, 1, 1])
    shapes["fc.weight"], shapes["fc.bias"] = [2, 8], [2]
    return safetensors({name: ("BF16", shape, b"\x80\x3f" * math.prod(shape)) for name, shape in shapes.items()}, {})


def swin(form):
    """The weights of a Swin Transformer of two stages of a block each, of width 1 and then 2, in windows of 2 x 2."""
    names = {"timm": ("patch_embed.proj", "patch_embed.norm", "layers.{}.blocks.0.", "layers.1.downsample.", "mlp.fc1",
                      "mlp.fc2", "head.fc"),
             "torchvision": ("features.0.0", "features.0.2", "features.{}.0.", "features.2.", "mlp.0", "mlp.3", "head")}
    patches, norm, block, merging, mlp1, mlp2, head = names[form]
    shapes = {}

    def layer(name, shape, bias=True):
        shapes[name + ".weight"] = shape
        if bias:
            shapes[name + ".bias"] = shape[:1]

    layer(patches, [1, 1, 1, 1])
    layer(norm, [1])
    for stage, width in enumerate([1, 2]):
        at = block.format(2 * stage + 1 if form == "torchvision" else stage)
        if stage:
            layer(merging + "norm", [4])
            layer(merging + "reduction", [2, 4], bias=False)
        layer(at + "norm1", [width])
        window = 1 if stage and form == "timm" else 2  # timm's is no larger than the map, of images of 2 x 2
        shapes[at + "attn.relative_position_bias_table"] = [(2 * window - 1) ** 2, 1]
        layer(at + "attn.qkv", [3 * width, width])
        layer(at + "attn.proj", [width, width])
        layer(at + "norm2", [width])
        layer(at + mlp1, [3 * width, width])
        layer(at + mlp2, [width, 3 * width])
    layer("norm", [2])
    layer(head, [2, 2])
    return safetensors({name: ("BF16", shape, b"\x80\x3f" * math.prod(shape)) for name, shape in shapes.items()}, {})


def models():
    """Name -> weights, and the config.json and preprocessor_config.json beside them."""
    d2l = {"cls": "cls_token", "positions": "pos_embedding", "patches": "patch_embedding.conv", "norm1": "blks.0.ln1",
           "q": "blks.0.attention.W_q", "k": "blks.0.attention.W_k", "v": "blks.0.attention.W_v",
           "o": "blks.0.attention.W_o", "norm2": "blks.0.ln2", "mlp1": "blks.0.mlp.dense1", "mlp2": "blks.0.mlp.dense2",
           "norm": "head.0", "head": "head.1"}
    description = {
        "config": {"img_size": [2, 2], "patch_size": [2, 2], "num_hiddens": 2, "mlp_num_hiddens": 3, "num_heads": 1,
                   "num_blks": 1, "emb_dropout": 0.1, "blk_dropout": 0.1, "use_bias": True, "num_classes": 2,
                   "num_channels": 1, "pool": "token", "layer_norm_eps": 1e-5, "distilled": False},
        "class_names": ["cat", "dog"],
        "preprocess": {"interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5], "std": [0.5]},
    }
    timm = {"cls": "cls_token", "positions": "pos_embed", "patches": "patch_embed.proj", "norm1": "blocks.0.norm1",
            "qkv": "blocks.0.attn.qkv", "o": "blocks.0.attn.proj", "norm2": "blocks.0.norm2",
            "mlp1": "blocks.0.mlp.fc1", "mlp2": "blocks.0.mlp.fc2", "norm": "norm", "head": "head"}
    timm_config = {"architecture": "vit_tiny_patch16_224", "global_pool": "token", "label_names": ["cat", "dog"],
                   "model_args": {"img_size": 2, "patch_size": 2, "embed_dim": 2, "depth": 1, "mlp_ratio": 1.5},
                   "pretrained_cfg": {"interpolation": "bicubic", "crop_pct": 0.9, "mean": [0.5], "std": [0.5]}}
    layer = "encoder.layers.encoder_layer_0."
    torchvision = {"cls": "class_token", "positions": "encoder.pos_embedding", "patches": "conv_proj",
                   "norm1": layer + "ln_1", "qkv_": layer + "self_attention.in_proj_",
                   "o": layer + "self_attention.out_proj", "norm2": layer + "ln_2", "mlp1": layer + "mlp.0",
                   "mlp2": layer + "mlp.3", "norm": "encoder.ln", "head": "heads.head"}
    layer = "vit.encoder.layer.0."
    transformers = {"cls": "vit.embeddings.cls_token", "positions": "vit.embeddings.position_embeddings",
                    "patches": "vit.embeddings.patch_embeddings.projection", "norm1": layer + "layernorm_before",
                    "q": layer + "attention.attention.query", "k": layer + "attention.attention.key",
                    "v": layer + "attention.attention.value", "o": layer + "attention.output.dense",
                    "norm2": layer + "layernorm_after", "mlp1": layer + "intermediate.dense",
                    "mlp2": layer + "output.dense", "norm": "vit.layernorm", "head": "classifier"}
    transformers_config = {"hidden_act": "gelu", "num_attention_heads": 1, "image_size": 2, "layer_norm_eps": 1e-12,
                           "id2label": {"0": "cat", "1": "dog"}}
    preprocessor_config = {"do_resize": True, "resample": 3, "size": {"height": 3, "width": 3}, "do_center_crop": True,
                           "crop_size": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
                           "image_mean": [0.5], "image_std": [0.5]}
    swin_config = {"global_pool": "avg", "label_names": ["cat", "dog"], "model_args": {"img_size": 2},
                   "pretrained_cfg": timm_config["pretrained_cfg"]}
    return {"resnet": (resnet(),),
            "swin": (swin("torchvision"),),
            "swin-timm": (swin("timm"), swin_config),
            "ours": (vit(d2l, {"bobbin": json.dumps(description)}),),
            "timm": (vit(timm, {}), timm_config),
            "torchvision": (vit(torchvision, {}),),
            "transformers": (vit(transformers, {}), transformers_config, preprocessor_config)}


def cifar10():
    """An image, and the names of the classes: all files of the data set in one, as the target wants it."""
    names = b"".join(b"class %d\n" % i for i in range(10))
    return names + SPLIT + bytes([3]) + bytes(3072)


def main():
    for sizes in [(5,), (2, 3, 4), (1, 2, 2, 3)]:
        write("idx", "x".join(map(str, sizes)), idx(*sizes))
    write("idx", "gzip", gzip.compress(idx(2, 3, 4), mtime=0))

    for name in "python_f32", "python_types", "batch_norm_state":
        write("safetensors", name, (GOLDEN / f"{name}.safetensors").read_bytes())
    write("safetensors", "empty", safetensors({}, {}))
    write("checkpoint", "run", checkpoint())
    write("checkpoint", "first-format", checkpoint(first_format=True))

    for name, (weights, *configs) in models().items():
        write("model", name, SPLIT.join([weights, *(json.dumps(config).encode() for config in configs)]))

    pictures = golden_bytes("pictures")
    for kind in ("jpeg 4:2:0", "jpeg progressive", "jpeg grey", "png 1 bit", "png grey", "png palette transparent"):
        write("picture", kind.replace(" ", "-").replace(":", ""), pictures[f"{kind}/file"])
    files = golden_bytes("picture_files")
    for kind in ("gif, part of the screen, clear", "gif with two palettes, interlaced", "bmp 3 colours of 256", "bmp 16, 5:6:5",
                 "bmp in runs of 8 bits", "bmp in runs of 4 bits", "ppm P1", "ppm P3 7", "ppm P4", "ppm P6 1000",
                 "jpeg restarts", "jpeg ycck", "png 4 16 interlaced", "webp", "webp clear", "webp lossless", "webp of two",
                 "tiff turned", "tiff predicted", "tiff 1 bit", "tiff colours", "tiff cmyk", "tiff jpeg"):
        format = kind.split()[0]
        write(format if format in ("webp", "tiff") else "picture", kind.replace(" ", "-").replace(":", "").replace(",", ""),
              files[f"{kind}/file"])

    write("cifar10", "image", cifar10())
    picture = SPLIT + pictures["png 1 bit/file"]
    write("image_folder", "classes", "".join(f"{c}/{i}.png\n" for c in ("cat", "dog") for i in range(10)).encode() + picture)
    write("image_folder", "divided", b"train/a/1.png\ntrain/b/x/2.PNG\nval/a/3.jpg\nnotes.txt\n.hidden/4.png" + picture)

    lines = (HERE.parents[1] / "apps/results/d2l-seed0.csv").read_text().splitlines(keepends=True)
    write("metrics", "epochs", "".join(lines[:4]).encode())


if __name__ == "__main__":
    main()
