#!/usr/bin/env python3
"""Writes precision.safetensors beside this script: a ViT under PyTorch's autocast to bfloat16. README.md says what is in it."""
import torch
from torch.nn import functional as F

import make_golden as golden
from make_golden import SQUARE, f64, grads_of, randint, randn, save, vit, weights_of


def step(model, X, y, prefix):
    """As PyTorch's documentation of autocast has it, which goes by the prefix: the forward pass and the loss inside, the
    backward pass outside."""
    with torch.autocast('cpu', torch.bfloat16, enabled=prefix == 'autocast/'):
        logits = model(X)
        loss = F.cross_entropy(logits, y)
    model.zero_grad()
    loss.backward()
    assert (logits.dtype == torch.bfloat16) == (prefix == 'autocast/')
    return {f'{prefix}logits': logits.double(), f'{prefix}loss': f64(loss), **grads_of(model, prefix)}


def golden_precision(batch=8):
    golden.seed(23)
    config = dict(SQUARE, use_bias=True)
    model = vit(config)
    X, y = randn(batch, 1, 12, 12), randint(10, batch)
    out = {'X': X, 'y': y, **weights_of(model), **step(model, X, y, '')}
    out.update(step(model.float(), X.float(), y, 'autocast/'))
    save('precision.safetensors', out, **dict(config, img_size='12 12', patch_size='4 4', use_bias=1, batch_size=batch))


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    golden_precision()
