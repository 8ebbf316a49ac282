#!/usr/bin/env python3
"""Writes resnet.safetensors, foreign_resnet.safetensors and published_resnets.txt beside this script. README.md says what is in them.

Weights of whole networks would be files of megabytes: they come from a formula, which tests/golden/by_formula.h has, too.
"""
import json
import math
import pathlib
import tempfile

import numpy as np
import safetensors.torch
import timm
import timm.data
import torch
import torchvision
import transformers
from timm.models._registry import _model_pretrained_cfgs
from torch.nn import functional as F

import make_weights
from make_foreign import picture, pixels
from make_golden import f64, save
from resnet import ResNet


def formula(begin, count):
    """Numbers of at most 24 bits from -1 to 1: those that a hash function makes of begin, begin + 1, ..."""
    x = np.arange(begin, begin + count, dtype=np.uint64).astype(np.uint32)
    for shift, factor in (16, 0x7feb352d), (15, 0x846ca68b):
        x = (x ^ x >> np.uint32(shift)) * np.uint32(factor)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(2 ** 23) - np.float32(1)


def by_formula(model):
    """All weights and statistics, in the order of their names; none stays 0 or 1."""
    begin, state = 0, model.state_dict()
    for name in sorted(state):
        tensor = state[name]
        if tensor.dim() == 0 or not tensor.is_floating_point():
            continue
        x = formula(begin, tensor.numel())
        begin += tensor.numel()
        if tensor.dim() > 1:
            area = tensor[0, 0].numel()
            x *= np.float32(math.sqrt(6 / (area * (tensor.shape[0] + tensor.shape[1]))))
        elif name.endswith('running_var') or name.endswith('weight'):
            x = np.float32(1) + np.float32(0.5) * x
        else:
            x *= np.float32(0.25)
        tensor.copy_(torch.from_numpy(x).view(tensor.shape))
    return model


BATCH, SIZE, CLASSES = 8, 40, 10


def chapter_training(out):
    """20 steps of SGD on the chapter's network, an eighth as wide; another batch in each."""
    model = by_formula(ResNet(((2, 8), (2, 16), (2, 32), (2, 64)))).double().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for step in range(20):
        n = BATCH * SIZE * SIZE
        X = torch.from_numpy(formula(2 ** 31 + step * n, n)).view(BATCH, 1, SIZE, SIZE).double()
        y = (torch.arange(BATCH) * (step + 1)) % CLASSES
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    out['d2l/loss'] = np.array(losses)
    for name, tensor in model.state_dict().items():
        if 'running' in name:
            out[f'd2l/{name}'] = tensor
        elif tensor.dim():
            out[f'd2l/norm/{name}'] = f64(tensor.norm())
        else:
            assert tensor == 20
    with torch.no_grad():
        out['d2l/logits'] = model.eval()(X)


def published(out):
    """Logits of torchvision's ResNet-18 and timm's ResNet-34, whole, for an image that is not square."""
    X = torch.from_numpy(formula(2 ** 31, 3 * 40 * 56)).view(1, 3, 40, 56).double()
    with torch.no_grad():
        for name, model in ('torchvision/resnet18', torchvision.models.resnet18()), ('timm/resnet34', timm.create_model('resnet34')):
            out[name] = by_formula(model).double().eval()(X)


def narrow():
    """transformers' ResNet of 18 layers, a sixteenth as wide, and a picture through its own processor."""
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 8, 16, 32], depths=[2, 2, 2, 2],
                                       layer_type='basic', id2label={0: 'a', 1: 'b', 2: 'c'})
    model = transformers.ResNetForImageClassification(config)
    with torch.no_grad():
        make_weights.randomised(model.train())
        for _ in range(5):
            model.train()(torch.randn(16, 3, 32, 32))  # statistics of their own
        model.eval()
    processor = transformers.ConvNextImageProcessorPil(size={'shortest_edge': 48}, crop_pct=0.8)
    X = pixels(3, 41, 53)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        weights = safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
        read = lambda name: json.loads((pathlib.Path(folder) / name).read_text())
        configs = dict(config=read('config.json'), preprocessor=read('preprocessor_config.json'))
    seen = torch.from_numpy(np.asarray(processor(picture(X), return_tensors='np').pixel_values)).double()
    with torch.no_grad():
        logits = model.double()(seen).logits
    make_weights.save('foreign_resnet', {**weights, 'X': X.float()}, make_weights.golden(logits=logits, **configs))


def names():
    """A line for each published model: its name, layers, size, filter, size before the cut, mean and deviation."""
    lines = []
    for layers in 18, 34:
        builder, kind = f'resnet{layers}', getattr(torchvision.models, f'ResNet{layers}_Weights')
        for tag, cfg in _model_pretrained_cfgs.items():
            if tag.split('.')[0] == builder and '.' in tag and not tag.endswith('.untrained'):
                assert cfg.crop_mode == 'center'
                size = cfg.input_size[1]
                lines.append([tag, layers, size, cfg.interpolation, math.floor(size / cfg.crop_pct), *cfg.mean, *cfg.std])
        for weights in kind:
            t = weights.transforms()
            for name in (f'{kind.__name__}.{weights.name}', f'{builder}.{weights.name}',
                         weights.url.split('/')[-1].removesuffix('.pth')):
                lines.append([name, layers, *t.crop_size, t.interpolation.value, *t.resize_size, *t.mean, *t.std])
    (make_weights.HERE / 'published_resnets.txt').write_text(''.join(' '.join(map(str, line)) + '\n' for line in lines))


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    torch.manual_seed(41)
    out = {}
    chapter_training(out)
    published(out)
    save('resnet.safetensors', out)
    narrow()
    names()
