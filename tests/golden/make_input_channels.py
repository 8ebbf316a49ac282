#!/usr/bin/env python3
"""Writes input_channels.safetensors beside this script: weights of a first convolution, and what timm makes of them for
images of other numbers of channels. README.md says what is in it."""
import torch
from timm.models._manipulate import adapt_input_conv

from make_golden import save


def main():
    torch.manual_seed(2)
    weight = torch.randn(4, 3, 2, 3)
    save('input_channels.safetensors', {
        'weight': weight,
        **{f'to {n}': adapt_input_conv(n, weight) for n in (1, 2, 4)}
    })


if __name__ == '__main__':
    main()
