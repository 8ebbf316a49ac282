"""PyTorch's speed beside ours: the same model, batch and threads, a step each in turn, and the median of the ratios.

    make && python3 apps/bench_torch.py [--threads 2] [--batch-size 128] [--rounds 9]

PyTorch runs the chapter's code (tests/golden/chapter.py), with glibc's malloc told to keep its pages, which is
its best setting that we know. Both compute of the last block only the class token, unless --whole-last-block. Debian's PyTorch must be given the OpenMP build of OpenBLAS, else two thread pools fight:

    LD_PRELOAD=/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0 /usr/bin/python3 apps/bench_torch.py
"""
import argparse, os, pathlib, statistics, subprocess, sys, time

parser = argparse.ArgumentParser()
parser.add_argument('--threads', type=int, default=os.cpu_count())
parser.add_argument('--batch-size', type=int, default=128)
parser.add_argument('--rounds', type=int, default=9)
parser.add_argument('--whole-last-block', action='store_true', help='both compute all of the last block')
args = parser.parse_args()

MALLOC = {'MALLOC_TOP_PAD_': '1073741824', 'MALLOC_MMAP_THRESHOLD_': '4294967296', 'MALLOC_TRIM_THRESHOLD_': '4294967296'}
if 'MALLOC_TOP_PAD_' not in os.environ:  # malloc reads them when a program starts
    os.environ.update(MALLOC, OMP_NUM_THREADS=str(args.threads))
    os.execv(sys.executable, [sys.executable] + sys.argv)

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / 'tests' / 'golden'))
import torch
import chapter

torch.set_num_threads(args.threads)
torch.manual_seed(0)
model = chapter.ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1, last_block_cls_only=not args.whole_last_block)
optimizer = torch.optim.SGD(model.parameters(), 0.001)
X = torch.rand(args.batch_size, 1, 96, 96)
y = torch.arange(args.batch_size) % 10


def torch_step(kind):
    begin = time.perf_counter()
    if kind == 'train':
        model.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X), y).backward()
        optimizer.step()
    else:
        model.eval()
        with torch.no_grad():
            model(X)
    return time.perf_counter() - begin


without_malloc = {k: v for k, v in os.environ.items() if k not in MALLOC and k != 'LD_PRELOAD'}
ours = subprocess.Popen([root / 'build' / 'bench', '--lockstep', '--threads', str(args.threads), '--batch-size',
                         str(args.batch_size)] + ['--whole-last-block'] * args.whole_last_block,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=without_malloc)


def our_step(kind):
    print(kind, file=ours.stdin, flush=True)
    return float(ours.stdout.readline())


print(f'PyTorch {torch.__version__}, {args.threads} threads, batch {args.batch_size}, '
      f'{"whole last block" if args.whole_last_block else "class token only"}, medians of {args.rounds} rounds')
for kind in 'train', 'eval':
    for _ in range(2):  # warm up
        torch_step(kind), our_step(kind)
    rounds = [(torch_step(kind), our_step(kind)) for _ in range(args.rounds)]
    theirs, mine = (statistics.median(times) for times in zip(*rounds))
    ratio = statistics.median(t / m for t, m in rounds)
    print(f'{kind}: PyTorch {args.batch_size / theirs:.1f} images/s, Bobbin {args.batch_size / mine:.1f} images/s, '
          f'PyTorch\'s time over ours {ratio:.2f}')
