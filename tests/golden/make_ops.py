#!/usr/bin/env python3
"""Writes ops.safetensors beside this script: what PyTorch gives for the operations, losses and layers of the table
below, and their gradients. README.md says what is in it."""
import torch
from torch.nn import functional as F

from make_extremes import with_gradients
from make_golden import randn, save, seed

NONE = -100
OPTIONS = {f'{weight}{ignore}{smoothing}{reduction}': dict(
    weight=weight, ignore_index=2 if ignore else NONE, label_smoothing=0.2 if smoothing else 0.0, reduction=reduction)
           for weight in ('weighted ', '') for ignore in ('ignoring ', '') for smoothing in ('smoothed ', '')
           for reduction in ('mean', 'sum', 'none')}


def exact(x):
    """Rounded to numbers that are float32."""
    return x.float().double()


def options(name, weight):
    return {**OPTIONS[name], 'weight': weight.to(torch.float64) if OPTIONS[name]['weight'] else None}


def cases(c):
    """name -> (function, inputs that get a gradient)"""
    x, y, logits, table, positive = c['x'], c['y'], c['logits'], c['table'], c['positive']
    labels, index, mask = c['labels'].long(), c['index'].long(), c['mask'] != 0
    for p in (0, 1, 2, 3, 0.5, -0.5, -1, -2, 2.7, 1.5):
        yield f'pow {p}', (lambda x, p=p: torch.pow(x, p)), [positive if p < 0 or p == 0.5 else c['from_zero']]
    yield 'pow', torch.pow, [c['bases'], c['powers']]
    yield 'pow of a number', (lambda p: torch.pow(3, p)), [x]
    yield 'maximum', torch.maximum, [x, y]
    yield 'minimum', torch.minimum, [x, c['row']]
    yield 'clamp', (lambda x: torch.clamp(x, -0.5, 0.5)), [x]
    yield 'clamp low', (lambda x: torch.clamp(x, min=-0.5)), [x]
    yield 'clamp high', (lambda x: torch.clamp(x, max=0.5)), [x]
    yield 'clamp crossed', (lambda x: torch.clamp(x, 0.5, -0.5)), [x]
    for op in (torch.abs, torch.sign, torch.erf, torch.square):
        yield op.__name__, op, [x]
    yield 'rsqrt', torch.rsqrt, [positive]
    yield 'where', (lambda x, y: torch.where(mask, x, y)), [x, c['row']]
    yield 'where row', (lambda x, y: torch.where(c['row'] > 0, x, y)), [x, y]
    yield 'masked_fill', (lambda x: x.masked_fill(mask, -3.0)), [x]
    yield 'stack', (lambda x, y: torch.stack([x, y, x], 1)), [x, y]
    yield 'split', (lambda x: torch.cat([part * (i + 1) for i, part in enumerate(x.split(2, -1))], -1)), [x]
    yield 'chunk', (lambda x: torch.cat([part * (i + 1) for i, part in enumerate(x.chunk(3, -1))], -1)), [x]
    yield 'index_select', (lambda t: t.index_select(1, index)), [table]
    yield 'embedding', (lambda t: F.embedding(index, t, padding_idx=3)), [table]
    yield 'rms_norm', (lambda x, w: F.rms_norm(x, (5,), w, 1e-3)), [x, c['row']]
    for reduction in ('mean', 'sum', 'none'):
        for name, loss in {'mse_loss': F.mse_loss, 'l1_loss': F.l1_loss,
                           'huber_loss': lambda x, y, reduction: F.huber_loss(x, y, reduction, 0.6),
                           'smooth_l1_loss': lambda x, y, reduction: F.smooth_l1_loss(x, y, reduction=reduction, beta=0.6),
                           }.items():
            yield f'{name} {reduction}', (lambda x, y, f=loss, r=reduction: f(x, y, reduction=r)), [x, y]
        yield f'bce {reduction}', (lambda x, r=reduction: F.binary_cross_entropy_with_logits(
            x, c['shares'], reduction=r)), [x * 8]
        yield f'bce weighted {reduction}', (lambda x, r=reduction: F.binary_cross_entropy_with_logits(
            x, c['shares'], c['weight'], reduction=r, pos_weight=c['pos_weight'])), [x * 8]
    for name, o in OPTIONS.items():
        yield f'cross_entropy {name}', (lambda x, n=name: F.cross_entropy(x, labels, **options(n, c['weight']))), [logits]
        if not o['label_smoothing']:
            yield f'nll_loss {name}', (lambda x, n=name: F.nll_loss(x, labels, **{
                k: v for k, v in options(n, c['weight']).items() if k != 'label_smoothing'})), [logits]
        if o['ignore_index'] == NONE:
            yield f'cross_entropy soft {name}', (lambda x, n=name: F.cross_entropy(
                x, c['targets'], **options(n, c['weight']))), [logits]
    heads = lambda t: t.reshape(2, t.shape[1], 3, 2).transpose(1, 2)
    yield 'causal', (lambda q, k, v: F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True)
                     .transpose(1, 2).reshape(2, 4, 6)), [c['q'], c['k'], c['v']]


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    seed(5)
    x = randn(3, 5)
    x[0, 0], x[0, 1], x[0, 2], x[1, 1] = 0.5, -0.5, 0.0, 0.25
    y = randn(3, 5)
    y[1, 1], y[0, 2], y[2, 3] = 0.25, 0.0, x[2, 3]
    row = randn(5)
    row[1], row[3] = 0.25, x[2, 3]
    c = {'x': x, 'y': y, 'row': row, 'positive': exact(randn(3, 5).abs() + 0.25),
         'from_zero': torch.tensor([0, 0.5, 1, 2, 3], dtype=torch.float64).repeat(3, 1), 'logits': randn(6, 5) * 4, 'table': randn(7, 6),
         'bases': torch.tensor([[0, 0, 0, 0, 2.5], [2, 2, 3, 1, 0.5]], dtype=torch.float64),
         'powers': torch.tensor([0, 1, 2, 1.5, 3], dtype=torch.float64),
         'labels': torch.tensor([4, 2, 0, 1, 2, 3], dtype=torch.int32),
         'index': torch.tensor([3, 0, 3, 5, 1, 3], dtype=torch.int32),
         'mask': torch.tensor([[1], [0], [1]], dtype=torch.float64) * (randn(3, 5) > 0),
         'weight': torch.tensor([0.5, 2, 1, 0, 3], dtype=torch.float64),
         'pos_weight': torch.tensor([1, 2, 0.5, 3, 0.25], dtype=torch.float64),
         'shares': torch.tensor([0, 1, 0.25, 1, 0], dtype=torch.float64).repeat(3, 1),
         'targets': (randn(6, 5).abs() * 2).round() / 4, 'q': randn(2, 4, 6), 'k': randn(2, 4, 6), 'v': randn(2, 4, 6)}
    out = {name: c[name] for name in ('row', 'labels', 'index', 'mask', 'weight', 'pos_weight', 'shares', 'targets')}
    for name, f, inputs in cases(c):
        out[f'{name}/Y'], gradients = with_gradients(f, *inputs)
        out.update({f'{name}/d{i}': g for i, g in enumerate(gradients)})
        out.update({f'{name}/{i}': x for i, x in enumerate(inputs)})
    save('ops.safetensors', out)
