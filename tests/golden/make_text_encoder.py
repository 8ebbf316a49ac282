#!/usr/bin/env python3
"""Writes text_encoder.safetensors beside this script, in float64. README.md says what is in it."""
import torch
from torch.nn import functional as F

import make_golden as golden
from chapter import TransformerEncoder
from make_golden import f64, grads_of, randint, randn, randomised, save, under, weights_of


def main():
    torch.set_default_dtype(torch.float64)  # the places, too
    golden.seed(61)
    vocab, batch, words, steps = 11, 3, 7, 20
    model = randomised(TransformerEncoder(vocab, 12, 20, 3, 2, 0.5, True))
    out = {'P': model.pos_encoding.P[:, ::37], **weights_of(model)}
    X, target = randint(vocab, steps, batch, words), randn(batch, words, 12)
    lens = 1 + randint(words, steps, batch)
    two_d = 1 + randint(words, batch, words)
    lens[0] = torch.tensor([4, 9, 1])  # more than there are, and one
    two_d[0, 0], two_d[2, 3] = 0, 12
    out.update({'X': X, 'target': target, 'lens': lens, '1d/valid_lens': lens[0], '2d/valid_lens': two_d})
    for kind, valid_lens in ('none', None), ('1d', lens[0]), ('2d', two_d):
        model.zero_grad()
        Y = model(X[0], valid_lens)
        loss = F.mse_loss(Y, target)
        loss.backward()
        out.update(under(kind, Y=Y, loss=f64(loss), **grads_of(model)))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for tokens, valid_lens in zip(X, lens):
        loss = F.mse_loss(model(tokens, valid_lens), target)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    save('text_encoder.safetensors', {**out, 'steps/loss': f64(losses)}, vocab_size=vocab, num_hiddens=12,
         ffn_num_hiddens=20, num_heads=3, num_blks=2, use_bias=1)


if __name__ == '__main__':
    print('PyTorch', torch.__version__)
    torch.set_num_threads(1)
    main()
