#!/usr/bin/env python3
"""Writes adamw.safetensors and schedules.safetensors beside this script, in float64. README.md says what is in them."""
import timm
import torch
from timm.scheduler import CosineLRScheduler
from torch.optim.lr_scheduler import OneCycleLR

import make_golden as golden
from make_golden import f64, randn, save, under


def golden_adamw():
    """20 steps on gradients that are drawn; those of `late` begin in step 3. Only what has two axes or more decays."""
    steps, late = 20, 2
    golden.seed(11)
    shapes = {'matrix.weight': (7, 5), 'filter.weight': (3, 1, 2, 5), 'late.weight': (1, 9), 'matrix.bias': (13,)}
    start = {name: randn(*shape) for name, shape in shapes.items()}
    # The bias has gradients so small that eps counts.
    grads = {name: randn(steps, *shape, scale=1e-5 if name.endswith('bias') else 1) for name, shape in shapes.items()}
    lrs = [round(0.02 + 0.01 * (i % 3) - 0.0005 * i, 6) for i in range(steps)]
    runs = {'default': {}, 'decay': dict(betas=(0.85, 0.98), eps=1e-6, weight_decay=0.3)}
    out = {f'start/{name}': p for name, p in start.items()} | {f'grads/{name}': g for name, g in grads.items()}
    for run, config in runs.items():
        parameters = {name: p.clone().requires_grad_() for name, p in start.items()}
        decays = [p for p in parameters.values() if p.dim() > 1]
        rest = [p for p in parameters.values() if p.dim() <= 1]
        adamw = torch.optim.AdamW([dict(params=decays), dict(params=rest, weight_decay=0)], **config)
        for i in range(steps):
            for name, p in parameters.items():
                p.grad = None if name == 'late.weight' and i < late else grads[name][i].clone()
            for group in adamw.param_groups:
                group['lr'] = lrs[i]
            adamw.step()
            if i + 1 in (1, late + 1, steps):
                out.update(under(f'{run}/{i + 1}', **{name: p.detach().clone() for name, p in parameters.items()}))
        for name, p in parameters.items():
            out.update(under(run, **{f'{key}.{name}': adamw.state[p][key].clone() for key in ('exp_avg', 'exp_avg_sq')}))
    save('adamw.safetensors', out | {'lr': f64(lrs)}, first_late=late,
         decay=' '.join(f'{key}={value}' for key, value in
                        dict(beta1=0.85, beta2=0.98, eps=1e-6, weight_decay=0.3).items()))


def golden_schedules():
    """The learning rate of each of 20 steps, 5 an epoch."""
    steps, warmup = 20, 5

    def optimizer(lr):
        return torch.optim.AdamW([torch.zeros(1)], lr=lr)

    def cosine(**config):
        adamw = optimizer(0.3)
        schedule = CosineLRScheduler(adamw, lr_min=0.01, warmup_lr_init=1e-4, t_in_epochs=False, **config)
        lrs = []
        for t in range(steps + 1):  # one more: after the end
            schedule.step_update(t)
            lrs.append(adamw.param_groups[0]['lr'])
        return f64(lrs)

    adamw = optimizer(0.3)
    schedule = OneCycleLR(adamw, max_lr=0.06, total_steps=steps)
    lrs, momenta = [], []
    for _ in range(steps):
        lrs.append(adamw.param_groups[0]['lr'])
        momenta.append(adamw.param_groups[0]['betas'][0])
        adamw.step()
        schedule.step() if len(lrs) < steps else None
    save('schedules.safetensors',
         {'cosine': cosine(t_initial=steps), 'cosine_warmup': cosine(t_initial=steps, warmup_t=warmup),
          'cosine_prefix': cosine(t_initial=steps - warmup, warmup_t=warmup, warmup_prefix=True),
          'onecycle': f64(lrs), 'onecycle/momentum': f64(momenta)}, steps_per_epoch=5, steps=steps)


if __name__ == '__main__':
    print('PyTorch', torch.__version__, 'timm', timm.__version__)
    torch.set_num_threads(1)
    golden_adamw()
    golden_schedules()
