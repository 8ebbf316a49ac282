#!/usr/bin/env python3
"""Writes swin.safetensors and published_swins.txt beside this script. README.md says what is in them."""
import math
import pathlib

import numpy as np
import timm
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer as Timm, default_cfgs
from torch.nn import functional as F
from torchvision.models.swin_transformer import SwinTransformer as Torchvision

from make_golden import save
from make_resnet import by_formula, formula

BATCH, CLASSES = 3, 5
# Image, window, blocks and heads of each stage, of patches of 2 x 2.
CASES = {
    'tiled': ((16, 16), (4, 4), (2,), (2,)),  # 8 x 8 tokens
    'odd': ((22, 19), (4, 3), (2, 2), (2, 4)),  # 11 x 9 tokens, the last column of pixels being left out, then 6 x 5
    'small': ((6, 22), (7, 7), (2,), (2,)),  # 3 x 11 tokens: less than a window one way and more the other
}


def models(size, window, depths, heads):
    common = dict(embed_dim=8, depths=depths, num_heads=heads, mlp_ratio=2.5, num_classes=CLASSES)
    yield 'timm', Timm(img_size=size, patch_size=2, window_size=window, drop_path_rate=0, **common)
    yield 'torchvision', Torchvision(patch_size=[2, 2], window_size=list(window), stochastic_depth_prob=0, **common)


def training(out, at, model, size):
    """Logits, loss and gradients of the first of 20 steps, and the losses of all; another batch in each."""
    model = by_formula(model).double().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for step in range(20):
        n = BATCH * 3 * size[0] * size[1]
        X = torch.from_numpy(formula(2 ** 31 + step * n, n)).view(BATCH, 3, *size).double()
        y = (torch.arange(BATCH) * (step + 1)) % CLASSES
        optimizer.zero_grad()
        logits = model(X)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        if step == 0:
            out[f'{at}/logits'] = logits.detach()
            out.update({f'{at}/grads/{name}': p.grad.clone() for name, p in model.named_parameters()})
        optimizer.step()
        losses.append(loss.item())
    out[f'{at}/losses'] = np.array(losses)


def shape(model):
    """Channels, and of each stage the blocks, the heads and the window's side."""
    stages = model.layers if hasattr(model, 'layers') else model.features[1::2]
    blocks = [list(getattr(stage, 'blocks', stage)) for stage in stages]
    numbers = lambda of: ','.join(str(of(stage)) for stage in blocks)
    return [blocks[0][0].norm1.normalized_shape[0], numbers(len), numbers(lambda stage: stage[0].attn.num_heads),
            numbers(lambda stage: stage[0].attn.window_size[0])]


def names():
    """A line for each published model: its name, channels, blocks, heads and windows; size, filter, size before the
    cut, mean and deviation."""
    lines = []
    with torch.device('meta'):
        for architecture, cfgs in default_cfgs.items():
            model = shape(timm.create_model(architecture))
            for tag, cfg in cfgs.cfgs.items():
                assert cfg.crop_mode == 'center'
                size = cfg.input_size[1]
                lines.append([f'{architecture}.{tag}', *model, size, cfg.interpolation, math.floor(size / cfg.crop_pct),
                              *cfg.mean, *cfg.std])
        for letter in 't', 's', 'b':
            builder, kind = f'swin_{letter}', getattr(torchvision.models, f'Swin_{letter.upper()}_Weights')
            model = shape(getattr(torchvision.models, builder)())
            for weights in kind:
                t = weights.transforms()
                for name in (f'{kind.__name__}.{weights.name}', f'{builder}.{weights.name}',
                             weights.url.split('/')[-1].removesuffix('.pth')):
                    lines.append([name, *model, *t.crop_size, t.interpolation.value, *t.resize_size, *t.mean, *t.std])
    text = ''.join(' '.join(map(str, line)) + '\n' for line in lines)
    pathlib.Path(__file__).with_name('published_swins.txt').write_text(text)


if __name__ == '__main__':
    print('PyTorch', torch.__version__, 'torchvision', torchvision.__version__, 'timm', timm.__version__)
    torch.set_num_threads(1)
    torch.manual_seed(51)
    out = {}
    for case, settings in CASES.items():
        for library, model in models(*settings):
            with torch.no_grad():
                model = model.double()
            training(out, f'{library}/{case}', model, settings[0])
    save('swin.safetensors', out)
    names()
