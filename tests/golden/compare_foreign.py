#!/usr/bin/env python3
"""Compares whole models with the libraries that they come from: python3 tests/golden/compare_foreign.py PICTURE

timm, torchvision and transformers make models with random weights, at small width and at that of vit_tiny, save them,
and look at the picture through their own transforms. A small C++ program, built against the installed library, reads
the same files; their logits and ours should agree to 1e-4. Then the chapter's class loads what Bobbin writes, and the
other way round. Wants the Python packages of make_weights.py; not a part of `make test`, as it takes a minute.
"""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import PIL.Image
import safetensors.torch
import timm
import timm.data
import torch
import torchvision
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import chapter
from make_weights import randomised, resized_state

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)

PROGRAM = r"""
// MODEL PICTURE NUM_HEADS IMG_SIZE PREPARED COPY: prints the logits, and writes the model to COPY. 0: as the file says.
// PREPARED: as torchvision or d2l does it, where the files do not say it.
#include <cstdio>
#include <cstdlib>

#include "data/images/codec.h"
#include "nn/pretrained/model_file.h"

int main(int, char** argv) try {
  bobbin::ModelFileOptions options{.num_heads = std::atoi(argv[3])};
  if (const int size = std::atoi(argv[4])) options.img_size = size;
  if (const std::string prepared = argv[5]; !prepared.empty()) {
    const bool d2l = prepared == "d2l";
    options.interpolation = bobbin::Interpolation::bilinear;
    options.crop_pct = d2l ? 0 : 0.875;
    options.mean = d2l ? std::vector<float>{0} : std::vector<float>{0.485, 0.456, 0.406};
    options.std = d2l ? std::vector<float>{1} : std::vector<float>{0.229, 0.224, 0.225};
  }
  auto [model, class_names, preprocess, scores, taken] = bobbin::read_classifier(argv[1], options);
  std::fprintf(stderr, "%s\n", taken.c_str());
  const bobbin::Image picture = bobbin::read_image(argv[2], model.config().num_channels());
  const bobbin::Tensor logits = model(to_tensor(picture, preprocess)).value();
  for (const float logit : logits.values()) std::printf("%.9g\n", logit);
  const std::string description = bobbin::describe_model({model.config(), class_names, preprocess, scores});
  bobbin::write_safetensors(argv[6], bobbin::state_of(model).tensors(), {{"bobbin", description}},
                            bobbin::state_of(model).whole_numbers());
} catch (const bobbin::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
"""


def build():
    """`make install` into a folder of our own, and the program as any user would build it."""
    make = ['make', '-s', 'install', f'PREFIX={FOLDER}/bobbin', 'AUTO_DEPS=0']
    subprocess.run(make, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    config = next(FOLDER.rglob('bobbin.pc'))
    flags = subprocess.check_output(['pkg-config', '--cflags', '--libs', 'bobbin'], text=True,
                                    env=dict(os.environ, PKG_CONFIG_PATH=str(config.parent))).split()
    (FOLDER / 'logits.cpp').write_text(PROGRAM)
    subprocess.run(['g++', '-std=c++20', str(FOLDER / 'logits.cpp'), '-o', str(FOLDER / 'logits'), *flags], check=True)


def ours(model, picture, num_heads=0, img_size=0, prepared=''):
    command = [FOLDER / 'logits', model, picture, num_heads, img_size, prepared, FOLDER / 'copy.safetensors']
    return torch.tensor([float(x) for x in subprocess.check_output([str(x) for x in command], text=True).split()])


def compare(name, theirs, ours):
    difference = (theirs.flatten() - ours).abs().max().item()
    print(f'{name:58} largest logit {theirs.abs().max():9.5f}   difference {difference:.1e}')
    assert difference < 1e-4 * max(1, theirs.abs().max().item()), name


def save(model, **config):
    """The weights, and a config.json beside them if there is one."""
    path = pathlib.Path(tempfile.mkdtemp(dir=FOLDER)) / 'model.safetensors'
    safetensors.torch.save_file(model.state_dict(), path)
    if config:
        (path.parent / 'config.json').write_text(json.dumps(config))
    return path


SMALL = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=7)


def compare_timm(png):
    picture = PIL.Image.open(png).convert('RGB')
    for name in 'vit_tiny_patch16_224', 'deit_tiny_patch16_224', 'deit_tiny_distilled_patch16_224':
        model = randomised(timm.create_model(name))
        transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
        keys = 'input_size', 'fixed_input_size', 'interpolation', 'crop_pct', 'crop_mode', 'mean', 'std'
        config = dict(architecture=name, num_classes=1000, global_pool='token',
                      pretrained_cfg={key: model.pretrained_cfg[key] for key in keys})
        path = save(model, **config)
        compare('timm ' + name, model(transform(picture)[None]), ours(path, png))
        if name == 'vit_tiny_patch16_224':
            for size in 96, 384:
                other = timm.create_model(name, img_size=size).eval()
                other.load_state_dict(resized_state(model, 1, (size // 16, size // 16)))
                data = timm.data.resolve_data_config({'input_size': (3, size, size)}, model=other)
                theirs = other(timm.data.create_transform(**data)(picture)[None])
                compare(f'timm {name}, images of {size}', theirs, ours(path, png, img_size=size))
    for more in {}, {'global_pool': 'avg'}, {'qkv_bias': False}:
        model = randomised(timm.models.VisionTransformer(**SMALL, **more))
        transform = timm.data.create_transform((3, 32, 32), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation='bicubic',
                                               crop_pct=0.9)
        args = {**SMALL, **more}
        cfg = dict(input_size=[3, 32, 32], mean=[0.5] * 3, std=[0.5] * 3, interpolation='bicubic', crop_pct=0.9)
        path = save(model, architecture='vit_tiny_patch16_224', model_args=args, pretrained_cfg=cfg)
        compare(f'timm, width 32 {more or ""}', model(transform(picture)[None]), ours(path, png))


def compare_torchvision(png):
    picture = PIL.Image.open(png).convert('RGB')
    for image_size, patch, width, depth, heads in (32, 8, 32, 2, 4), (224, 16, 192, 12, 3):
        model = randomised(torchvision.models.VisionTransformer(image_size, patch, depth, heads, width, 4 * width,
                                                                num_classes=1000))
        transform = torchvision.transforms._presets.ImageClassification(
            crop_size=image_size, resize_size=int(image_size / 0.875))  # 256 for 224, as its models have it
        compare(f'torchvision, width {width}', model(transform(picture)[None]), ours(save(model), png, heads, prepared='torchvision'))


def compare_transformers(png):
    picture = PIL.Image.open(png).convert('RGB')
    for size, patch, width, depth, heads in (32, 8, 32, 2, 4), (224, 16, 192, 12, 3):
        config = transformers.ViTConfig(image_size=size, patch_size=patch, hidden_size=width, num_hidden_layers=depth,
                                        num_attention_heads=heads, intermediate_size=4 * width, num_labels=7)
        model = randomised(transformers.ViTForImageClassification(config))
        folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
        model.save_pretrained(folder)
        for processor in transformers.ViTImageProcessorPil, transformers.ViTImageProcessor:
            made = processor(size={'height': size, 'width': size})
            made.save_pretrained(folder)
            pixels = made(picture, return_tensors='pt')['pixel_values']
            compare(f'transformers, width {width}, {processor.__name__}', model(pixels).logits,
                    ours(folder / 'model.safetensors', png))
        larger, square = size * 8 // 7 // 4 * 4, {'height': size, 'width': size}  # 256 for 224, as DeiT has it
        imagenet = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
        for processor in (transformers.ViTImageProcessorPil(size=square, resample=3),
                          transformers.ViTImageProcessorPil(size=square, do_normalize=False),
                          transformers.DeiTImageProcessorPil(size=larger, crop_size=size, **imagenet)):
            processor.save_pretrained(folder)
            compare(f'transformers, width {width}, {type(processor).__name__}, its file',
                    model(processor(picture, return_tensors='pt')['pixel_values']).logits,
                    ours(folder / 'model.safetensors', png))


def with_statistics(model):
    """Running statistics of its own: some batches in training mode."""
    model = randomised(model).train()
    for _ in range(3):
        model(torch.randn(8, 3, 64, 64))
    return model.eval()


def compare_resnets(png):
    picture = PIL.Image.open(png).convert('RGB')
    for name in 'resnet18', 'resnet34':
        model = with_statistics(getattr(torchvision.models, name)())
        transform = torchvision.transforms._presets.ImageClassification(crop_size=224)
        compare(f'torchvision {name}', model(transform(picture)[None]),
                ours(save(model), png, img_size=224, prepared='torchvision'))
        copy = getattr(torchvision.models, name)()
        copy.load_state_dict(safetensors.torch.load_file(FOLDER / 'copy.safetensors'), strict=True)
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), copy.state_dict().values()))
        print('    and back: all weights and statistics the same to the bit')

        model = with_statistics(timm.create_model(name))
        cfg = timm.get_pretrained_cfg(f'{name}.a3_in1k').to_dict()
        keys = 'input_size', 'fixed_input_size', 'interpolation', 'crop_pct', 'crop_mode', 'mean', 'std', 'test_input_size'
        config = dict(architecture=name, num_classes=1000, global_pool='avg',
                      pretrained_cfg={'tag': 'a3_in1k', **{key: cfg[key] for key in keys}})
        transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=cfg))
        compare(f'timm {name}', model(transform(picture)[None]), ours(save(model, **config), png))

        config = transformers.ResNetConfig(depths=[2, 2, 2, 2] if name == 'resnet18' else [3, 4, 6, 3], num_labels=7,
                                           hidden_sizes=[64, 128, 256, 512], layer_type='basic')
        model = with_statistics(transformers.ResNetForImageClassification(config))
        folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
        model.save_pretrained(folder)
        for size in 224, 384:
            processor = transformers.ConvNextImageProcessorPil(size={'shortest_edge': size})
            processor.save_pretrained(folder)
            compare(f'transformers {name}, images of {size}',
                    model(processor(picture, return_tensors='pt')['pixel_values']).logits,
                    ours(folder / 'model.safetensors', png))


def compare_chapter(png):
    """Python to Bobbin, and what Bobbin writes back into the chapter's class."""
    for config in (dict(img_size=96, patch_size=16, num_hiddens=512, mlp_num_hiddens=2048, num_heads=8, num_blks=2),
                   dict(img_size=28, patch_size=7, num_hiddens=64, mlp_num_hiddens=128, num_heads=1, num_blks=3,
                        use_bias=True)):
        make = lambda: chapter.ViT(emb_dropout=0.1, blk_dropout=0.1, **config).eval()
        model, size = randomised(make()), config['img_size']
        transform = torchvision.transforms.Compose([torchvision.transforms.Resize((size, size)),
                                                    torchvision.transforms.ToTensor()])
        pixels = transform(PIL.Image.open(png).convert('L'))[None]
        compare(f'the chapter, width {config["num_hiddens"]}', model(pixels),
                ours(save(model), png, config['num_heads'], size, 'd2l'))
        copy = make()
        copy.load_state_dict(safetensors.torch.load_file(FOLDER / 'copy.safetensors'), strict=True)
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), copy.state_dict().values()))
        assert torch.equal(model(pixels), copy(pixels))
        print('    and back: all weights the same to the bit')


def main():
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    png = FOLDER / 'picture.png'
    PIL.Image.open(sys.argv[1]).convert('RGB').save(png)
    print('picture', PIL.Image.open(png).size)
    build()
    compare_timm(png)
    compare_torchvision(png)
    compare_transformers(png)
    compare_chapter(png)
    compare_resnets(png)


if __name__ == '__main__':
    main()
