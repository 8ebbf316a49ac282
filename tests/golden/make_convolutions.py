#!/usr/bin/env python3
"""Writes convolutions.safetensors beside this script, in float64: those for which the processor has ways of its own."""
import torch

import make_golden as golden

golden.CONVS = {  # X shape, W shape, bias?, then stride, padding, dilation, groups
    'winograd': ((2, 16, 7, 5), (17, 16, 3, 3), True, (1, 1), (1, 1), (1, 1), 1),  # a row and a column of tiles left over
    'winograd_groups': ((1, 32, 4, 6), (34, 16, 3, 3), False, (1, 1), (0, 2), (1, 1), 2),
    'wide_depthwise': ((2, 17, 6, 5), (34, 1, 3, 2), True, (2, 1), (1, 2), (1, 2), 17),
}

if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    golden.seed(31)
    golden.save('convolutions.safetensors', golden.conv2d_cases())
