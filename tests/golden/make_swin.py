#!/usr/bin/env python3
"""Writes swin.safetensors beside this script. README.md says what is in it."""
import numpy as np
import timm
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer as Timm
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
