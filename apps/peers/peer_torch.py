"""PyTorch's side of bench_peers.py: a step of the chapter's Vision Transformer or ResNet-18, or of torchvision's Swin-T,
for each line on stdin.

A line is "train" or "eval"; the answer is the step's seconds. The first line on stdout names the peer. Bobbin's
`bench --lockstep` speaks the same, without the name.

    peer_torch.py VARIANT float32|autocast|medium THREADS BATCH_SIZE whole|class-token|resnet18|swin

VARIANT is chapter (its code as written), sdpa (the same with PyTorch's own attention), channels_last (with images and
kernels in this order) or compile (the chapter's code through torch.compile), or compile,channels_last. Products are in bfloat16 with autocast, which keeps their results in bfloat16, too, and with
medium, set_float32_matmul_precision's word, which does not.
"""
import pathlib, sys, time

import torch
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/golden'))
import chapter, resnet


class FusedAttention(nn.Module):
    """Stands in for chapter.DotProductAttention, where there are no masks."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout

    def forward(self, queries, keys, values, valid_lens=None):
        # PyTorch's fast kernel wants four axes, (batch, heads, tokens, width); which of the first two is long is all one.
        Q, K, V = (X.unsqueeze(0) for X in (queries, keys, values))
        return F.scaled_dot_product_attention(Q, K, V, dropout_p=self.dropout if self.training else 0).squeeze(0)


def make_steps(variant, precision, batch_size, what):
    """Two functions without arguments, "train" and "eval"; the model is theirs."""
    variant = variant.split(',')
    if 'sdpa' in variant:
        chapter.DotProductAttention = FusedAttention
    torch.manual_seed(0)
    side, channels = 96, 1
    if what == 'resnet18':
        model = resnet.ResNet()
    elif what == 'swin':
        from torchvision.models.swin_transformer import SwinTransformer
        model = SwinTransformer([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], stochastic_depth_prob=0, num_classes=10)
        side, channels = 224, 3
    else:
        model = chapter.ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1, last_block_cls_only=what == 'class-token')
    optimizer = torch.optim.SGD(model.parameters(), 0.001)
    X, y = torch.rand(batch_size, channels, side, side), torch.arange(batch_size) % 10
    if 'channels_last' in variant:
        model, X = model.to(memory_format=torch.channels_last), X.to(memory_format=torch.channels_last)

    def compiled(step):  # the compiler's own random numbers are slower than PyTorch's
        return torch.compile(step, options={'fallback_random': True}) if 'compile' in variant else step

    def autocast():
        return torch.autocast('cpu', torch.bfloat16, enabled=precision == 'autocast')

    loss = compiled(lambda X, y: F.cross_entropy(model(X), y))
    logits = compiled(lambda X: model(X))

    def train():
        model.train()
        optimizer.zero_grad()
        with autocast():
            value = loss(X, y)
        value.backward()
        optimizer.step()

    def evaluate():
        model.eval()
        with torch.no_grad(), autocast():
            return logits(X)

    return {'train': train, 'eval': evaluate}


if __name__ == '__main__':
    variant, precision, threads, batch_size, what = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if precision == 'medium':
        torch.set_float32_matmul_precision('medium')
    steps = make_steps(variant, precision, int(batch_size), what)
    titles = {'chapter': "the chapter's code", 'sdpa': 'its own attention', 'compile': 'torch.compile'}
    title = ' '.join(titles.get(word, word) for word in variant.split(','))
    print(f'PyTorch {torch.__version__}, {title}' + f', {precision}' * (precision != 'float32'), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        steps[line.strip()]()
        print(f'{time.perf_counter() - begin:.6f}', flush=True)
