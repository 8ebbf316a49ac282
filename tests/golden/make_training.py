#!/usr/bin/env python3
"""Writes training.safetensors beside this script, in float64. README.md says what is in it."""
import timm
import torch
from torch.nn import functional as F
from timm.layers import drop_path
from timm.layers.drop import calculate_drop_path_rates
from timm.models.vision_transformer import Block
from timm.utils import ModelEmaV3
from vit_pytorch.simple_vit import posemb_sincos_2d

import make_golden as golden
from make_golden import f64, randint, randn, save, under


def ema():
    """12 steps of a model with a buffer: the average after some of them, by two decays."""
    golden.seed(21)
    steps = 12
    weights, means = randn(steps, 3, 5), randn(steps, 5)
    out = under('ema', weight=weights, mean=means)
    for name, decay in {'short': 0.6, 'long': 0.999}.items():
        model = torch.nn.Module()
        model.weight = torch.nn.Parameter(randn(3, 5))
        model.register_buffer('mean', randn(5))
        average = ModelEmaV3(model, decay=decay, use_warmup=True)
        decays = []
        for i in range(steps):
            with torch.no_grad():
                model.weight.copy_(weights[i])
                model.mean.copy_(means[i])
            average.update(model, step=i + 1)
            decays.append(average.get_decay(i + 1))
            if i + 1 in (1, 2, 3, steps):
                out |= under(f'ema/{name}/{i + 1}', weight=average.module.weight.detach().clone(),
                             mean=average.module.mean.clone())
        out[f'ema/{name}/decay'] = f64(decays)
    return out


def class_weights():
    """The cross entropy with a weight for each class, with and without smoothing."""
    golden.seed(22)
    logits, labels, weight = randn(7, 4, scale=2), randint(4, 7), randn(4).abs() + 0.1
    out = under('class_weights', logits=logits, labels=labels, weight=weight)
    for name, smoothing in {'plain': 0.0, 'smoothed': 0.1}.items():
        x = logits.clone().requires_grad_()
        loss = F.cross_entropy(x, labels, weight=weight, label_smoothing=smoothing)
        loss.backward()
        out |= under(f'class_weights/{name}', loss=f64(loss), grad=x.grad)
    return out


def block():
    """A block with LayerScale, and a drop path that evaluation leaves out: names as ours."""
    golden.seed(23)
    D, H = 12, 24
    timms = Block(D, 3, mlp_ratio=2, qkv_bias=False, init_values=0.1, drop_path=0.3).double().eval()
    with torch.no_grad():
        for name, p in timms.named_parameters():
            scale = p[0].numel() ** -0.5 if p.dim() > 1 else 0.25
            p.copy_(randn(*p.shape, mean=1 if name.startswith('norm') and name.endswith('weight') else 0, scale=scale))
        timms.attn.proj.bias.zero_()
    X, dY = randn(2, 5, D).requires_grad_(), randn(2, 5, D)
    Y = timms(X)
    Y.backward(dY)
    def named(of):
        q, k, v = of(timms.attn.qkv.weight).chunk(3)
        names = {'attention.W_q.weight': q, 'attention.W_k.weight': k, 'attention.W_v.weight': v,
                 'attention.W_o.weight': of(timms.attn.proj.weight), 'ls1.gamma': of(timms.ls1.gamma),
                 'ls2.gamma': of(timms.ls2.gamma)}
        for ours, theirs in {'ln1': timms.norm1, 'ln2': timms.norm2, 'mlp.dense1': timms.mlp.fc1,
                             'mlp.dense2': timms.mlp.fc2}.items():
            names |= {f'{ours}.weight': of(theirs.weight), f'{ours}.bias': of(theirs.bias)}
        return names
    out = under('block', X=X, Y=Y, dY=dY, dX=X.grad)
    out |= {f'block/weights/{n}': p.detach().clone() for n, p in named(lambda p: p).items()}
    out |= {f'block/grads/{n}': g.clone() for n, g in named(lambda p: p.grad).items()}
    return out


def drop_paths():
    """Which numbers a drop path makes of ones, and the rates of 5 blocks."""
    torch.manual_seed(0)
    kept = drop_path(torch.ones(50, 1, dtype=torch.float64), 0.2, training=True)
    return {'drop_path/values': torch.unique(kept), 'drop_path/rates': f64(calculate_drop_path_rates(0.2, 5))}


def positions():
    """Fixed positions of a grid of 3 x 5."""
    return {'positions': posemb_sincos_2d(3, 5, 12, dtype=torch.float64)}


if __name__ == '__main__':
    print('PyTorch', torch.__version__, 'timm', timm.__version__)
    torch.set_num_threads(1)
    save('training.safetensors', ema() | class_weights() | block() | drop_paths() | positions())
