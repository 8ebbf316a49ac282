"""The chapter's residual network in PyTorch (d2l.ai, section 8.6), self-contained: no d2l import, no lazy layers.

Names are the chapter's own, so state_dict keys are too.
"""
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    def __init__(self, input_channels, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.Conv2d(input_channels, num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1)
        if use_1x1conv:
            self.conv3 = nn.Conv2d(input_channels, num_channels, kernel_size=1, stride=strides)
        else:
            self.conv3 = None
        self.bn1 = nn.BatchNorm2d(num_channels)
        self.bn2 = nn.BatchNorm2d(num_channels)

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        Y += X
        return F.relu(Y)


class ResNet(nn.Module):
    def __init__(self, arch=((2, 64), (2, 128), (2, 256), (2, 512)), num_classes=10, num_channels=1):
        super().__init__()
        width = arch[0][1]
        self.net = nn.Sequential(nn.Sequential(
            nn.Conv2d(num_channels, width, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1)))
        for i, (num_residuals, channels) in enumerate(arch):
            self.net.add_module(f'b{i + 2}', self.block(num_residuals, width, channels, first_block=i == 0))
            width = channels
        self.net.add_module('last', nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
                                                  nn.Linear(width, num_classes)))
        self.apply(init_cnn)

    def block(self, num_residuals, input_channels, num_channels, first_block=False):
        blk = []
        for i in range(num_residuals):
            if i == 0 and not first_block:
                blk.append(Residual(input_channels, num_channels, use_1x1conv=True, strides=2))
            else:
                blk.append(Residual(num_channels, num_channels))
        return nn.Sequential(*blk)

    def forward(self, X):
        return self.net(X)


def init_cnn(module):
    if type(module) == nn.Linear or type(module) == nn.Conv2d:
        nn.init.xavier_uniform_(module.weight)
