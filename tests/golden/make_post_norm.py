#!/usr/bin/env python3
"""Writes post_norm.safetensors beside this script, in float64. README.md says what is in it."""
import torch
from torch.nn import functional as F

import make_golden as golden
from chapter import TransformerEncoderBlock, ViT, ViTBlock
from make_golden import f64, grads_of, randint, randn, randomised, save, under, vjp, weights_of


def block(out):
    """d2l's TransformerEncoderBlock, for all tokens and for as many as there are words in each sentence."""
    golden.seed(51)
    model = randomised(TransformerEncoderBlock(12, 20, 3, 0.5, True))
    X, dY = randn(3, 5, 12), randn(3, 5, 12)
    out.update(under('block', X=X, dY=dY, **weights_of(model)))
    for kind, lens in ('none', None), ('lens', torch.tensor([2, 5, 3])):
        model.zero_grad()
        Y, (dX,) = vjp(lambda X: model(X, lens), [X], dY)
        (model(X, lens) * dY).sum().backward()
        out.update(under(f'block/{kind}', Y=Y, dX=dX, **grads_of(model)))
    out['block/lens/valid_lens'] = torch.tensor([2, 5, 3])


class PostNormBlock(ViTBlock):
    """The chapter's block, which normalises where TransformerEncoderBlock does."""
    def forward(self, X, valid_lens=None):
        X = self.ln1(X + self.attention(X, X, X, valid_lens))
        return self.ln2(X + self.mlp(X))


def vit(out):
    """The chapter's ViT of such blocks: one step, and 20 of SGD from the same weights."""
    golden.seed(52)
    model = ViT(12, 4, 12, 20, 3, 2, 0, 0)
    for i in range(2):
        model.blks[i] = PostNormBlock(12, 12, 20, 3, 0)
    model = randomised(model)
    X, y = randn(20, 4, 1, 12, 12), randint(10, 20, 4)
    out.update(under('vit', X=X, y=y, **weights_of(model)))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for step in range(20):
        logits = model(X[step])
        loss = F.cross_entropy(logits, y[step])
        sgd.zero_grad()
        loss.backward()
        if step == 0:
            out.update(under('vit', logits=logits, **grads_of(model)))
        sgd.step()
        losses.append(loss.item())
    out['vit/loss'] = f64(losses)


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    out = {}
    block(out)
    vit(out)
    save('post_norm.safetensors', out)
