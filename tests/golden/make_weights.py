#!/usr/bin/env python3
"""Writes the golden files of foreign weights beside this script. README.md says what is in them.

Each is written by the library whose format or model it is.
"""
import pathlib

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

HERE = pathlib.Path(__file__).resolve().parent


def written_by_safetensors():
    """Every type that we read, with the numbers that convert badly. The files are little enough to compare whole."""
    half = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 2.0 ** -14, 2.0 ** -24, -3 * 2.0 ** -24, 1023 * 2.0 ** -24,
                         torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    single = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7
    tensors = {'F32': single, 'F64': single.double() / 3, 'F16': half.to(torch.float16), 'BF16': half.to(torch.bfloat16),
               'F16 as F64': half, 'BF16 as F64': half.to(torch.bfloat16).double(), 'scalar': torch.tensor(-1.5),
               'a "name", \\ and\nüñ 名 😀': torch.ones(1, 1, 1, 1, 1, 2)}
    safetensors.torch.save_file(tensors, HERE / 'python_types.safetensors', {'note': 'a "note"\n'})
    safetensors.torch.save_file({'head.bias': torch.tensor([0.5, -1.0]), 'a': single.clone(), 'Z': torch.tensor(3.0)},
                                HERE / 'python_f32.safetensors', {'format': 'pt'})


def main():
    torch.manual_seed(0)
    np.random.seed(0)
    written_by_safetensors()


if __name__ == '__main__':
    main()
