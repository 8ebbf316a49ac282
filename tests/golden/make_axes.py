#!/usr/bin/env python3
"""Writes axes.safetensors beside this script: what PyTorch's operations give along any axis, or several, kept or not,
broadcast, of vectors, of nothing, and their gradients. README.md says what is in it."""
import torch
from torch.nn import functional as F

import make_golden as golden
from make_golden import randn, save, vjp

X, N, E, S, I = (2, 3, 4), (3, 5), (0, 3), (), (2, 3, 7, 6)
# name: shapes of the inputs, function. With "ties" in its name the numbers are few, so that many are equal.
CASES = {
    'reshape -1': ([X], lambda x: x.reshape(4, -1)),
    'reshape -1 alone': ([X], lambda x: x.reshape(-1)),
    'reshape -1 of none': ([E], lambda x: x.reshape(-1, 3)),
    'flatten': ([X], lambda x: x.flatten()),
    'flatten a scalar': ([S], lambda x: x.flatten()),
    'flatten 0 1': ([X], lambda x: x.flatten(0, 1)),
    'flatten -2': ([I], lambda x: x.flatten(-2)),
    'flatten 1 -2': ([I], lambda x: x.flatten(1, -2)),
    'unsqueeze -1': ([N], lambda x: x.unsqueeze(-1)),
    'unsqueeze 1': ([N], lambda x: x.unsqueeze(1)),
    'squeeze': ([(1, 3, 1, 2)], lambda x: x.squeeze()),
    'squeeze -2 1': ([(1, 3, 1, 2)], lambda x: x.squeeze((-2, 1))),
    'permute -1 0 -2': ([X], lambda x: x.permute(-1, 0, -2)),
    'transpose -1 -3': ([X], lambda x: x.transpose(-1, -3)),
    'concat -2': ([(2, 1, 4), X], lambda x, y: torch.cat([x, y, x], -2)),
    'concat none': ([(0, 5), N], lambda x, y: torch.cat([x, y, x], 0)),
    'slice past the end': ([N], lambda x: x[:, 2:100]),
    'slice -3 -1': ([N], lambda x: x[:, -3:-1]),
    'slice from before the start': ([N], lambda x: x[:, -100:2]),
    'slice 2 on': ([N], lambda x: x[2:]),
    'slice none': ([N], lambda x: x[:, 4:2]),
    'slice behind the end': ([N], lambda x: x[7:9]),
    'select -1': ([X], lambda x: x.select(-2, -1)),
    'pad by a value': ([N], lambda x: F.pad(x, (1, 2), value=2.5)),
    'pad -1 2': ([N], lambda x: F.pad(x, (-1, 2))),
    'pad -1 -3': ([N], lambda x: F.pad(x, (-1, -3))),
    'pad none': ([E], lambda x: F.pad(x, (1, 1, 2, 1))),
    'sum 0 2': ([X], lambda x: x.sum((0, 2))),
    'sum -1 keepdim': ([X], lambda x: x.sum(-1, keepdim=True)),
    'sum -1 0 keepdim': ([X], lambda x: x.sum((-1, 0), keepdim=True)),
    'sum all keepdim': ([X], lambda x: x.sum((0, 1, 2), keepdim=True)),
    'sum of a scalar': ([S], lambda x: x.sum(-1)),
    'sum over 1': ([(3, 1, 5)], lambda x: x.sum(1)),
    'sum none': ([E], lambda x: x.sum(0)),
    'sum none 1': ([E], lambda x: x.sum(1, keepdim=True)),
    'sum all of none': ([E], lambda x: x.sum()),
    'mean 1 2': ([X], lambda x: x.mean((1, 2))),
    'mean -2 keepdim': ([X], lambda x: x.mean(-2, keepdim=True)),
    'mean 0 -2 of images': ([I], lambda x: x.mean((0, -2), keepdim=True)),
    'var': ([X], lambda x: x.var()),
    'var 1': ([X], lambda x: x.var(1)),
    'var -1 0 correction 0 keepdim': ([X], lambda x: x.var((-1, 0), correction=0, keepdim=True)),
    'var 2 correction 2': ([X], lambda x: x.var(2, correction=2)),
    'max': ([X], lambda x: x.max()),
    'max, ties': ([X], lambda x: x.max()),
    'min, ties': ([X], lambda x: x.min()),
    'max 1, ties': ([X], lambda x: x.max(1).values),
    'max -1 keepdim, ties': ([X], lambda x: x.max(-1, keepdim=True).values),
    'max 0 of images, ties': ([I], lambda x: x.max(0).values),
    'min 0, ties': ([X], lambda x: x.min(0).values),
    'min -2 keepdim': ([X], lambda x: x.min(-2, keepdim=True).values),
    'max of a scalar': ([S], lambda x: x.max(0).values),
    'max none': ([E], lambda x: x.max(1).values),
    'amax 0 2, ties': ([X], lambda x: x.amax((0, 2))),
    'amax -1 keepdim, ties': ([X], lambda x: x.amax(-1, keepdim=True)),
    'amin, ties': ([X], lambda x: x.amin()),
    'amin -3 1 keepdim, ties': ([X], lambda x: x.amin((-3, 1), keepdim=True)),
    'softmax 0': ([X], lambda x: x.softmax(0)),
    'softmax -2': ([X], lambda x: x.softmax(-2)),
    'softmax 1 of images': ([I], lambda x: x.softmax(1)),
    'softmax of a scalar': ([S], lambda x: x.softmax(0)),
    'softmax none': ([E], lambda x: x.softmax(0)),
    'log_softmax 1': ([X], lambda x: x.log_softmax(1)),
    'log_softmax -3': ([X], lambda x: x.log_softmax(-3)),
    'log_softmax of a scalar': ([S], lambda x: x.log_softmax(-1)),
    'logsumexp 1 keepdim': ([X], lambda x: x.logsumexp(1, keepdim=True)),
    'logsumexp 0 -1': ([X], lambda x: x.logsumexp((0, -1))),
    'logsumexp all': ([X], lambda x: x.logsumexp((0, 1, 2))),
    'layer_norm 2 axes': ([(2, 5, 3, 4), (3, 4), (3, 4)], lambda x, w, b: F.layer_norm(x, (3, 4), w, b)),
    'layer_norm all axes': ([X, X, X], lambda x, w, b: F.layer_norm(x, X, w, b)),
    'layer_norm none': ([E, (3,), (3,)], lambda x, w, b: F.layer_norm(x, (3,), w, b)),
    'group_norm none': ([(0, 4, 3), (4,), (4,)], lambda x, w, b: F.group_norm(x, 2, w, b)),
    'batch_norm none': ([(0, 3, 2, 2), (3,), (3,)],
                        lambda x, w, b: F.batch_norm(x, torch.zeros(3), torch.ones(3), w, b, training=True)),
    'matmul vector vector': ([(5,), (5,)], torch.matmul),
    'matmul vector matrix': ([(3,), N], torch.matmul),
    'matmul matrix vector': ([N, (5,)], torch.matmul),
    'matmul vector batch': ([(4,), (2, 3, 4, 5)], torch.matmul),
    'matmul batch vector': ([(2, 3, 4, 5), (5,)], torch.matmul),
    'matmul batch matrix': ([X, (4, 5)], torch.matmul),
    'matmul matrix batch': ([(5, 3), X], torch.matmul),
    'matmul 1 batch': ([(1, 5, 3), X], torch.matmul),
    'matmul batch 1': ([(2, 3, 4), (1, 1, 4, 5)], torch.matmul),
    'matmul broadcast': ([(3, 1, 2, 4), (2, 4, 5)], torch.matmul),
    'matmul broadcast both': ([(3, 1, 1, 2, 4), (1, 2, 1, 4, 5)], torch.matmul),
    'matmul broadcast inside': ([(2, 1, 3, 2, 4), (2, 2, 1, 4, 3)], torch.matmul),
    'matmul none': ([(0, 2, 4), (4, 5)], torch.matmul),
    'matmul none 1': ([(3, 2, 4), (0, 1, 4, 5)], torch.matmul),
    'matmul over none': ([(2, 0), (0, 3)], torch.matmul),
    'linear none': ([(0, 4), (5, 4), (5,)], F.linear),
    'linear over none': ([(2, 0), (5, 0), (5,)], F.linear),
    'conv2d none': ([(0, 3, 5, 4), (2, 3, 3, 3), (2,)], F.conv2d),
    'conv2d one image': ([(3, 5, 4), (2, 3, 3, 3), (2,)], F.conv2d),
    'max_pool2d one image': ([(3, 5, 4)], lambda x: F.max_pool2d(x, 2)),
    'max_pool2d none': ([(0, 3, 5, 4)], lambda x: F.max_pool2d(x, 2)),
    'max_pool2d ceil_mode': ([I], lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    'max_pool2d ceil_mode, ties': ([I], lambda x: F.max_pool2d(x, (2, 3), (3, 2), (0, 1), ceil_mode=True)),
    'avg_pool2d one image': ([(3, 5, 4)], lambda x: F.avg_pool2d(x, 2)),
    'avg_pool2d padding': ([I], lambda x: F.avg_pool2d(x, (3, 2), 2, (1, 0))),
    'avg_pool2d none': ([(0, 3, 5, 4)], lambda x: F.avg_pool2d(x, 2)),
    'adaptive_avg_pool2d one image': ([(3, 5, 4)], lambda x: F.adaptive_avg_pool2d(x, (2, 3))),
    'adaptive_avg_pool2d none': ([(0, 3, 5, 4)], lambda x: F.adaptive_avg_pool2d(x, (2, 3))),
    'attention none': ([(0, 3, 4)] * 3, F.scaled_dot_product_attention),
    'attention without keys': ([(2, 3, 4), (2, 0, 4), (2, 0, 4)], F.scaled_dot_product_attention),
    'add scalars': ([S, S], lambda x, y: x + y),
    'mul a scalar': ([S, (2, 1)], lambda x, y: x * y),
    'div none': ([(0, 1), (1, 3)], lambda x, y: x / (y + 7)),
    'sub broadcast none': ([(3, 0), (1,)], lambda x, y: x - y),
}

if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    golden.seed(41)
    out = {}
    for name, (shapes, f) in CASES.items():
        inputs = [randn(*shape) if shape else randn(1)[0] for shape in shapes]
        if 'ties' in name:
            inputs = [x.round().clamp(-1, 1) for x in inputs]
        shape = f(*inputs).shape
        dY = randn(*shape) if shape else randn(1)[0]
        Y, gradients = vjp(f, inputs, dY)
        out.update({f'{name}/Y': Y, f'{name}/dY': dY})
        for i, (x, dx) in enumerate(zip(inputs, gradients)):
            out.update({f'{name}/x{i}': x, f'{name}/dx{i}': dx})
    save('axes.safetensors', out)
