"""Our training step beside PyTorch's on one GPU, in turn: every round each worker makes some steps, and is timed.

    peers.py --bench build/cuda/bench --model d2l|vit-b|resnet18 [--batch-size N] [--autotune]
    peers.py --flags MODEL      prints those that `bench` wants for it

A worker is a process that answers a line on stdin, "train 20" or "eval 20", with the seconds of so many steps: ours is
`bench --lockstep`, PyTorch's this file with --peer. Printed are medians of the rounds, and for each of ours the median of
the rounds' ratios, theirs over ours, to the fastest of PyTorch's in the same arithmetic: above 1 we are faster.

What is done to be fair:
- PyTorch gets its best settings that we know, and all of them are printed: as the model is written, its own fused
  attention, torch.compile with CUDA graphs, kernels chosen by measuring with --autotune (minutes), channels_last for
  convolutions, the fused optimizer.
- float32 is float32: TF32 is off in cuDNN, too, where PyTorch has it on by itself.
- In bfloat16 PyTorch runs under autocast. There activations are bfloat16, too; ours are float32.
- Ours reads the loss in each step, PyTorch's workers do not, as its loops need not.
- Warming up does not count. What compiles does so at once, what chooses by measuring alone.
Where there is no GPU both run on the processor: the figures then say nothing, but that this file works.
"""
import argparse, pathlib, select, shlex, statistics, subprocess, sys, time

MODELS = {
    # ours: flags of bench; batch size; steps of a round; PyTorch's variants
    'd2l': (['--whole-last-block'], 128, 20,
            ['float32', 'float32,sdpa', 'float32,sdpa,compile', 'tf32', 'tf32,sdpa,compile', 'bfloat16,sdpa',
             'bfloat16,sdpa,compile']),
    # timm's vit_base_patch16_224
    'vit-b': (['--whole-last-block', '--img-size', '224', '--patch-size', '16', '--num-hiddens', '768',
               '--mlp-num-hiddens', '3072', '--num-heads', '12', '--num-blks', '12', '--use-bias', '--emb-dropout', '0',
               '--blk-dropout', '0', '--layer-norm-eps', '1e-6', '--num-classes', '1000', '--num-channels', '3'], 64, 4,
              ['float32,sdpa', 'tf32,sdpa', 'tf32,sdpa,compile', 'bfloat16,sdpa', 'bfloat16,sdpa,compile']),
    'resnet18': (['--model', 'resnet18'], 128, 8,
                 ['float32', 'float32,channels_last', 'tf32', 'tf32,channels_last', 'tf32,channels_last,compile',
                  'bfloat16,channels_last', 'bfloat16,channels_last,compile']),
}
WARM_UP = 3  # steps: CUDA graphs are recorded in the second
PATIENCE = 100  # seconds for any answer: the first waits for the compiler


# --- PyTorch's side ---------------------------------------------------------------------------------------

def make_model(name, variant):
    """(model, images of one batch without the first axis)."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'golden'))
    if name == 'vit-b':
        import timm
        return timm.create_model('vit_base_patch16_224'), (3, 224, 224)
    if name == 'resnet18':
        import torchvision
        model = torchvision.models.resnet18(num_classes=10)
        model.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        return model, (1, 96, 96)

    import chapter

    class FusedAttention(nn.Module):
        def __init__(self, dropout):
            super().__init__()
            self.dropout = dropout

        def forward(self, queries, keys, values, valid_lens=None):
            # The chapter gives (batch * heads, tokens, width); the fused kernels want four axes.
            Q, K, V = (X.unflatten(0, (-1, 8)) for X in (queries, keys, values))
            return F.scaled_dot_product_attention(Q, K, V, dropout_p=self.dropout if self.training else 0).flatten(0, 1)

    if 'sdpa' in variant:
        chapter.DotProductAttention = FusedAttention
    return chapter.ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1), (1, 96, 96)


def peer(name, variant, batch_size):
    import torch
    from torch.nn import functional as F
    variant = variant.split(',')
    gpu = torch.cuda.is_available()
    device = 'cuda' if gpu else 'cpu'
    torch.backends.cudnn.allow_tf32 = 'float32' not in variant
    torch.set_float32_matmul_precision('highest' if 'float32' in variant else 'high')
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    model, shape = make_model(name, variant)
    model.to(device)
    X, y = torch.rand(batch_size, *shape, device=device), torch.arange(batch_size, device=device) % 10
    if 'channels_last' in variant:
        model, X = model.to(memory_format=torch.channels_last), X.to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), 0.001, fused=True)

    def compiled(step):
        if 'autotune' in variant:
            return torch.compile(step, mode='max-autotune')
        return torch.compile(step, mode='reduce-overhead') if 'compile' in variant else step

    def autocast():
        return torch.autocast(device, torch.bfloat16, enabled='bfloat16' in variant)

    loss = compiled(lambda X, y: F.cross_entropy(model(X), y))
    logits = compiled(lambda X: model(X))

    def train():
        with autocast():
            value = loss(X, y)
        value.backward()
        sgd.step()
        sgd.zero_grad()

    def evaluate():
        with torch.no_grad(), autocast():
            logits(X)

    def wait():
        if gpu:
            torch.cuda.synchronize()

    print('ready', flush=True)
    for line in sys.stdin:
        kind, steps = line.split()
        model.train(kind == 'train')
        wait()
        begin = time.perf_counter()
        for _ in range(int(steps)):
            torch.compiler.cudagraph_mark_step_begin()
            train() if kind == 'train' else evaluate()
        wait()
        print(f'{time.perf_counter() - begin:.6f}', flush=True)


# --- in turn ----------------------------------------------------------------------------------------------

class Worker:
    """A process that makes steps. One that does not answer is left out from then on, and said so."""

    def __init__(self, title, precision, command, ours=False):
        self.title, self.precision, self.ours, self.alive = title, precision, ours, True
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.seconds = []

    def leave_out(self, why):
        if self.alive:
            print(f'left out: {self.title}: {why}', flush=True)
        self.alive = False
        self.process.kill()

    def ask(self, kind, steps):
        try:
            self.process.stdin.write(f'{kind} {steps}\n'.encode())
        except BrokenPipeError:
            self.leave_out('it has ended')

    def answer(self, patience=PATIENCE):
        if not self.alive:
            return ''
        if not select.select([self.process.stdout], [], [], patience)[0]:
            self.leave_out(f'no answer in {patience:.0f} seconds')
            return ''
        line = self.process.stdout.readline().decode().strip()
        if not line:
            self.leave_out('it has ended')
        return line

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start(args):
    ours, batch_size, _, variants = MODELS[args.model]
    if args.eager:
        variants = [v for v in variants if 'compile' not in v]
    if args.autotune:
        variants = variants + [v.replace('compile', 'autotune') for v in variants if 'compile' in v and 'float32' not in v]
    batch_size = args.batch_size or batch_size
    workers = [Worker(f'ours {p}', p, shlex.split(args.bench) + ['--lockstep', '--precision', p, '-b', str(batch_size)] + ours,
                      ours=True) for p in args.precision]
    for v in variants:
        if v.split(',')[0] in args.precision:
            workers.append(Worker('PyTorch ' + v.replace(',', ' '), v.split(',')[0],
                                  [sys.executable, __file__, '--peer', args.model, v, str(batch_size)]))
    for worker in workers:
        if not worker.ours and worker.answer() != 'ready':
            worker.leave_out('it did not start')
    return workers, batch_size


def warm_up(workers, kind):
    compiling = [w for w in workers if w.alive and w.title.endswith('compile')]
    for worker in compiling:
        worker.ask(kind, WARM_UP)
    for worker in compiling:
        worker.answer()
    for worker in workers:
        if worker.alive and worker not in compiling:
            worker.ask(kind, WARM_UP)
            worker.answer()


def report(workers, kind, batch_size, steps):
    done = [w for w in workers if w.alive and w.seconds]
    for worker in done:
        median = statistics.median(worker.seconds) / steps
        print(f'{kind:6} {worker.title:40} {1e3 * median:9.3f} ms {batch_size / median:9.0f} images/s   '
              f'{1e3 * min(worker.seconds) / steps:.3f} to {1e3 * max(worker.seconds) / steps:.3f}', flush=True)
    for ours in (w for w in done if w.ours):
        theirs = [w for w in done if not w.ours and w.precision == ours.precision]
        if theirs:
            ratios = [(statistics.median(t / o for t, o in zip(w.seconds, ours.seconds)), w.title) for w in theirs]
            print(f'{kind:6} {ours.title:40} {min(ratios)[0]:9.2f} x  of {min(ratios)[1]}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--bench', required=True, help='the program bench, built for the GPU')
    parser.add_argument('--model', choices=MODELS, default='d2l')
    parser.add_argument('--precision', nargs='+', choices=['float32', 'tf32', 'bfloat16'],
                        default=['float32', 'tf32', 'bfloat16'])
    parser.add_argument('--batch-size', type=int, help="default: the model's, " +
                        ', '.join(f'{name} {m[1]}' for name, m in MODELS.items()))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, help="of a round; default: the model's")
    parser.add_argument('--eager', action='store_true', help='leave out what compiles')
    parser.add_argument('--autotune', action='store_true', help='also torch.compile that chooses kernels by measuring')
    args = parser.parse_args()
    workers, batch_size = start(args)
    steps = args.steps or MODELS[args.model][2]
    print(f'{args.model}, batch {batch_size}, {steps} steps of each in turn, medians of {args.rounds} rounds', flush=True)
    for kind in ('train', 'eval'):
        warm_up(workers, kind)
        for worker in workers:
            worker.seconds = []
        for _ in range(args.rounds):
            for worker in workers:
                if worker.alive:
                    worker.ask(kind, steps)
                    if answer := worker.answer():
                        worker.seconds.append(float(answer))
        report(workers, kind, batch_size, steps)
    for worker in workers:
        worker.end()


if sys.argv[1:2] == ['--peer']:
    peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
elif sys.argv[1:2] == ['--flags']:
    print(*MODELS[sys.argv[2]][0])
else:
    main()
