#!/usr/bin/env python3
"""Writes lenet.safetensors and mlp.safetensors beside this script, in float64. README.md says what is in them."""
import torch
from torch import nn
from torch.nn import functional as F

import make_golden as golden
from make_golden import f64, grads_of, randint, randn, randomised, save, weights_of


class LeNet(nn.Module):
    """d2l.ai, section 7.6, for images of height x width."""
    def __init__(self, height, width, num_channels, num_classes):
        super().__init__()
        area = ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
        self.net = nn.Sequential(
            nn.Conv2d(num_channels, 6, kernel_size=5, padding=2), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.Linear(16 * area, 120), nn.Sigmoid(),
            nn.Linear(120, 84), nn.Sigmoid(),
            nn.Linear(84, num_classes))

    def forward(self, X):
        return self.net(X)


class MLP(nn.Module):
    """d2l.ai, section 5.2, for images of num_inputs numbers."""
    def __init__(self, num_inputs, num_hiddens, num_classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(num_inputs, num_hiddens), nn.ReLU(),
                                 nn.Linear(num_hiddens, num_classes))

    def forward(self, X):
        return self.net(X)


def golden_model(file, s, model, height, width, num_channels=3, num_classes=5, batch=3, **metadata):
    golden.seed(s)
    model = randomised(model)
    X, y = randn(batch, num_channels, height, width), randint(num_classes, batch)
    logits = model(X)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    save(file, {'X': X, 'y': y, 'logits': logits, 'loss': f64(loss), **weights_of(model), **grads_of(model)},
         img_size=f'{height} {width}', num_channels=num_channels, num_classes=num_classes, **metadata)


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    golden_model('lenet.safetensors', 21, LeNet(12, 14, 3, 5), 12, 14)
    golden_model('mlp.safetensors', 22, MLP(3 * 4 * 5, 7, 5), 4, 5, num_hiddens=7)
