#!/usr/bin/env python3
"""Writes convnet.safetensors, the layers of convolutional networks other than convolution, in float64, and
batch_norm_state.safetensors beside this script. README.md says what is in them."""
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import make_golden as golden
from make_golden import randn, save, vjp


def batch_norm(out):
    """Three batches in training, one of other images in evaluation; momentum and eps are not the defaults in one."""
    for case, shape, options in (('usual', (4, 5, 3, 7), {}), ('odd', (3, 6, 5, 2), {'eps': 0.1, 'momentum': 0.3}),
                                 ('flat', (7, 4, 1, 1), {})):
        layer = nn.BatchNorm2d(shape[1], **options).double()
        with torch.no_grad():
            layer.weight.copy_(randn(shape[1], mean=1, scale=0.5))
            layer.bias.copy_(randn(shape[1]))
            layer.running_mean.copy_(randn(shape[1]))
            layer.running_var.copy_(randn(shape[1]).abs() + 0.5)
        out.update({f'batch_norm/{case}/{name}': t.clone() for name, t in layer.state_dict().items() if t.dim()})
        for step in range(4):
            layer.train(step < 3)
            X, dY = randn(*shape, mean=2, scale=3), randn(*shape)
            X.requires_grad_()
            layer.zero_grad()
            Y = layer(X)
            Y.backward(dY)
            at = f'batch_norm/{case}/{step}/'
            out.update({at + 'X': X, at + 'dY': dY, at + 'Y': Y, at + 'dX': X.grad, at + 'dW': layer.weight.grad.clone(),
                        at + 'db': layer.bias.grad.clone(), at + 'running_mean': layer.running_mean.clone(),
                        at + 'running_var': layer.running_var.clone()})
            X.grad = X.grad.clone()
        assert layer.num_batches_tracked == 3


def state_dict():
    """As a file of weights has it: with num_batches_tracked, an int64, which the others' bytes do not leave aligned."""
    layer = nn.BatchNorm2d(3)
    for _ in range(5):
        layer(randn(2, 3, 2, 2).float())
    with torch.no_grad():
        layer.weight.copy_(randn(3))
        layer.bias.copy_(randn(3))
    save_file(layer.state_dict(), golden.HERE / 'batch_norm_state.safetensors', {'format': 'pt'})


def group_norm(out):
    for case, shape, groups in (('usual', (3, 6, 5, 7), 3), ('one', (2, 4, 3, 3), 1), ('each', (2, 5, 4, 3), 5),
                                ('flat', (4, 6), 2)):
        X, W, b, dY = randn(*shape, mean=2, scale=3), randn(shape[1], mean=1), randn(shape[1]), randn(*shape)
        Y, grads = vjp(lambda X, W, b: F.group_norm(X, groups, W, b), [X, W, b], dY)
        at = f'group_norm/{case}/'
        out.update({at + 'X': X, at + 'W': W, at + 'b': b, at + 'dY': dY, at + 'Y': Y,
                    **{at + name: g for name, g in zip(('dX', 'dW', 'db'), grads)}})


def pad(out):
    """By rows first, then by columns: PyTorch does both at once."""
    X = randn(2, 3, 5, 4)
    out['pad/X'] = X
    for mode in ('constant', 'reflect'):
        for case, (left, right, top, bottom) in (('even', (1, 1, 2, 2)), ('odd', (3, 0, 1, 4)), ('none', (0, 0, 0, 0))):
            dY = randn(2, 3, 5 + top + bottom, 4 + left + right)
            Y, (dX,) = vjp(lambda X: F.pad(X, (left, right, top, bottom), mode=mode), [X], dY)
            at = f'pad/{mode}/{case}/'
            out.update({at + 'Y': Y, at + 'dY': dY, at + 'dX': dX, at + 'by': torch.tensor([left, right, top, bottom])})


def max_pool(out):
    nan, inf = float('nan'), float('inf')
    images = randn(2, 3, 9, 7)
    ties = torch.relu(randn(2, 2, 8, 9)).round()  # many are 0, many are equal
    odd = randn(1, 2, 6, 6)
    odd[0, 0, :3, :3] = -inf
    odd[0, 1, 1, 1] = inf
    for case, X, kernel, stride, padding in (('2/2', images, 2, 2, 0), ('3/2 pad 1', images, 3, 2, 1),
                                             ('ties', ties, 3, 2, 1), ('all', ties, (8, 9), 1, 0),
                                             ('overlap', images, (3, 2), (1, 3), (1, 0)),
                                             ('wide', images, (5, 4), (2, 1), (2, 2)), ('inf', odd, 2, 1, 1)):
        Y = F.max_pool2d(X, kernel, stride, padding)
        dY = randn(*Y.shape)
        Y, (dX,) = vjp(lambda X: F.max_pool2d(X, kernel, stride, padding), [X], dY)
        at = f'max_pool2d/{case}/'
        out.update({at + 'X': X, at + 'Y': Y, at + 'dY': dY, at + 'dX': dX,
                    at + 'geometry': torch.tensor([(x, x) if isinstance(x, int) else x for x in (kernel, stride, padding)])})


def adaptive_avg_pool(out):
    X = randn(2, 3, 7, 10)
    for case, size in (('1 x 1', (1, 1)), ('3 x 4', (3, 4)), ('7 x 10', (7, 10)), ('9 x 3', (9, 3)), ('2 x 13', (2, 13))):
        dY = randn(2, 3, *size)
        Y, (dX,) = vjp(lambda X: F.adaptive_avg_pool2d(X, size), [X], dY)
        at = f'adaptive_avg_pool2d/{case}/'
        out.update({at + 'Y': Y, at + 'dY': dY, at + 'dX': dX})
    out['adaptive_avg_pool2d/X'] = X


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    golden.seed(31)
    out = {}
    batch_norm(out)
    max_pool(out)
    adaptive_avg_pool(out)
    group_norm(out)
    pad(out)
    state_dict()
    save('convnet.safetensors', out)
