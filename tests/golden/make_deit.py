#!/usr/bin/env python3
"""Writes deit.safetensors beside this script, in float64. README.md says what is in it."""
import json
import pathlib
import tempfile

import safetensors
import safetensors.torch
import timm
import torch
import transformers
from timm.task.token_distillation import TokenDistillationTask
from torch import nn
from torch.nn import functional as F

from make_golden import HERE, f64, grads_of, save, under
from make_resnet import formula
from make_weights import BLOCKS, CLASSES, HEADS, HIDDEN, PATCH, SIZE, WIDTH

BATCH = 4


def read(name):
    with safetensors.safe_open(HERE / f'{name}.safetensors', 'pt') as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()


def student():
    """timm's distilled ViT with the weights of weights_timm_distilled.safetensors, whose heads give a pair in training."""
    model = timm.models.deit.VisionTransformerDistilled(
        img_size=SIZE, patch_size=PATCH, embed_dim=WIDTH, mlp_ratio=HIDDEN / WIDTH, num_heads=HEADS, depth=BLOCKS,
        num_classes=CLASSES)
    model.load_state_dict(read('weights_timm_distilled')[0])
    model.pretrained_cfg = dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model.set_distilled_training(True)
    return model.double().train()


def transformers_student():
    weights, metadata = read('weights_deit')
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        safetensors.torch.save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
        (folder / 'config.json').write_text(json.dumps(json.loads(metadata['golden'])['config']))
        return transformers.DeiTForImageClassificationWithTeacher.from_pretrained(folder).double().eval()


def batch(step):
    """Images, labels and a teacher's logits, by a formula that tests/golden/by_formula.h has, too."""
    n, m = BATCH * 3 * SIZE * SIZE, BATCH * CLASSES
    numbers = lambda begin, *shape: torch.from_numpy(formula(begin, torch.Size(shape).numel())).view(shape).double()
    return (numbers(2 ** 31 + step * n, BATCH, 3, SIZE, SIZE), torch.arange(BATCH) * (step + 1) % CLASSES,
            numbers(2 ** 30 + step * m, BATCH, CLASSES) * 4)


class DeiTLoss(nn.Module):
    """DistillationLoss of facebookresearch/deit, after losses.py there, of a teacher's logits in place of the teacher."""
    def __init__(self, distillation_type, alpha, tau):
        super().__init__()
        self.type, self.alpha, self.tau = distillation_type, alpha, tau

    def forward(self, outputs, teacher, labels):
        cls, dist = outputs
        if self.type == 'soft':
            distance = F.kl_div(F.log_softmax(dist / self.tau, dim=1), F.log_softmax(teacher / self.tau, dim=1),
                                reduction='sum', log_target=True) * (self.tau * self.tau) / dist.numel()
        else:
            distance = F.cross_entropy(dist, teacher.argmax(dim=1))
        return F.cross_entropy(cls, labels) * (1 - self.alpha) + distance * self.alpha


class Said(nn.Module):
    """A teacher for timm, who says what is put into its mouth."""
    def forward(self, X):
        return self.logits


def timm_loss(model, distillation_type, alpha, tau):
    """TokenDistillationTask's own computation."""
    teacher = Said()
    teacher.pretrained_cfg = model.pretrained_cfg
    task = TokenDistillationTask(model, teacher, criterion=nn.CrossEntropyLoss(), distill_type=distillation_type,
                                 task_loss_weight=1 - alpha, temperature=tau, device=torch.device('cpu'), verbose=False)

    def loss(X, logits, y):
        teacher.logits = logits
        return task(X, y)['loss']
    return loss


RUNS = {'soft': dict(type='soft', alpha=0.7, tau=3.0, scale='deit'), 'soft_timm': dict(type='soft', alpha=0.5, tau=2.0, scale='timm'),
        'hard': dict(type='hard', alpha=0.5, tau=1.0, scale='deit')}


def run(out, name, type, alpha, tau, scale):
    """One step, and 20 of SGD."""
    model = student()
    of_timm = timm_loss(model, type, alpha, tau)
    of_deit = DeiTLoss(type, alpha, tau)
    loss_of = of_timm if scale == 'timm' else lambda X, logits, y: of_deit(model(X), logits, y)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for step in range(20):
        X, y, logits = batch(step)
        loss = loss_of(X, logits, y)
        if type == 'hard':
            assert torch.equal(loss, of_timm(X, logits, y))
        sgd.zero_grad()
        loss.backward()
        if step == 0:
            out.update(under(name, **grads_of(model)))
        sgd.step()
        losses.append(loss.item())
    out[f'{name}/loss'] = f64(losses)


if __name__ == '__main__':
    print('PyTorch', torch.__version__, 'timm', timm.__version__, 'transformers', transformers.__version__)
    torch.set_num_threads(1)
    X = read('weights_inputs')[0]['X'].double()
    with torch.no_grad():
        pair = transformers_student()(X)
        cls, dist = student()(X)
    out = {'timm/cls': cls, 'timm/dist': dist, 'transformers/cls': pair.cls_logits, 'transformers/dist': pair.distillation_logits}
    for name, options in RUNS.items():
        run(out, name, **options)
    save('deit.safetensors', out, **{name: f'{o["alpha"]:g} {o["tau"]:g}' for name, o in RUNS.items()})
