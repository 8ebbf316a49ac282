#!/usr/bin/env python3
"""Writes extremes.safetensors beside this script: what PyTorch's operations give for numbers at the limits of a float,
and their gradients. Computed in float64, which none of them leaves on the way, and rounded to float32. README.md says
what is in it."""
import numpy as np
import torch
from torch.nn import functional as F

from make_golden import save

inf, nan = float('inf'), float('nan')
NUMBERS = [0.0, -0.0, 1e-45, -1e-45, 1e-40, 1.2e-38, -1.2e-38, 1e-30, -1e-23, 1e-20, 1e-10, 1e-4, -1e-4, 0.5, -0.75, 1.0,
           -1.0, 5.0, -5.0, 10.0, -10.0, 20.0, -20.0, 20.5, 50.0, -50.0, 88.0, -88.0, 89.0, 100.0, -100.0, -103.0, 1e4,
           -1e4, 1e10, -1e10, 1e20, -1e20, 3e38, -3e38, inf, -inf, nan]
OPERANDS = [0.0, -0.0, 1e-45, -1.2e-38, 1e-30, 1e-23, 1e-22, -1e-20, 1e-10, 1.0, -3.0, 1e10, 1e20, -1e25, 3e38, inf, -inf,
            nan]
POWERS = [0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 2.0, 3.0, -3.0, 1000.0, inf, -inf, nan]
ROWS = [[0, 0, 0], [1, 2, 3], [100, -100, 0], [1e4, -1e4, 9999], [20, 0, 0], [-1e-4, 1e-45, 0], [1e20, -1e20, 1],
        [3e38, 1, -3e38], [-3e38, -inf, 3e38], [-inf, 1, 2], [-inf, -inf, -inf], [nan, 1, 2]]
UNARY = {'exp': torch.exp, 'log': torch.log, 'sqrt': torch.sqrt, 'tanh': torch.tanh, 'relu': torch.relu,
         'sigmoid': torch.sigmoid, 'softplus': F.softplus, 'silu': F.silu, 'gelu': F.gelu,
         'gelu_tanh': lambda x: F.gelu(x, approximate='tanh'), 'erf': torch.erf, 'rsqrt': torch.rsqrt, 'abs': torch.abs,
         'sign': torch.sign, 'clamp': lambda x: x.clamp(-1, 5), 'clamp_high': lambda x: x.clamp(max=5),
         'square': torch.square, 'cube': lambda x: x ** 3, 'pow_-2': lambda x: x ** -2, 'pow_2.5': lambda x: x ** 2.5,
         'pow_0': lambda x: x ** 0}
BINARY = {'add': torch.add, 'sub': torch.sub, 'mul': torch.mul, 'div': torch.div, 'maximum': torch.maximum, 'minimum': torch.minimum, 'where': lambda a, b: torch.where(a > b, a, b)}
BY_ROWS = {'softmax': lambda x: torch.softmax(x, -1), 'log_softmax': lambda x: torch.log_softmax(x, -1),
           'logsumexp': lambda x: torch.logsumexp(x, -1)}


def floats(x):
    """Numbers that are exactly float32, as float64."""
    return torch.tensor(x, dtype=torch.float32).double()


def f32(x):
    with np.errstate(over='ignore'):
        return np.ascontiguousarray(x.detach().numpy().astype(np.float32))


def with_gradients(op, *inputs):
    """The value, and the gradients of its sum, weighted with 1, 2, 1, 2, ..."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    y = op(*inputs)
    weights = 1 + torch.arange(y.numel(), dtype=torch.float64).reshape(y.shape) % 2
    return y, torch.autograd.grad(y, inputs, weights)


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    x, rows = floats(NUMBERS), floats(ROWS)
    a, b = (t.contiguous() for t in torch.meshgrid(floats(OPERANDS), floats(OPERANDS), indexing='ij'))
    out = {'x': x, 'a': a, 'b': b, 'rows': rows}
    for name, op in UNARY.items():
        out[f'{name}/y'], (out[f'{name}/dx'],) = with_gradients(op, x)
    for name, op in BINARY.items():
        out[f'{name}/y'], (out[f'{name}/da'], out[f'{name}/db']) = with_gradients(op, a, b)
    x, p = (t.contiguous() for t in torch.meshgrid(floats(OPERANDS), floats(POWERS), indexing='ij'))
    y, (dx, dp) = with_gradients(torch.pow, x, p)
    out.update({'pow/x': x, 'pow/p': p, 'pow/y': y, 'pow/dx': dx, 'pow/dp': dp})
    for name, op in BY_ROWS.items():
        out[f'{name}/y'], (out[f'{name}/dx'],) = with_gradients(op, rows)
    save('extremes.safetensors', {name: f32(t) for name, t in out.items()})
