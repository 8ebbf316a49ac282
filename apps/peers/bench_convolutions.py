"""The speed of convolutions beside PyTorch's: rows of a table, each measured in turn with PyTorch.

    python3 apps/peers/bench_convolutions.py [--precision bfloat16] [--rows ...]            after make

It needs a Python that has PyTorch. A row is BATCH,IN,OUT,SIDE,KERNEL,STRIDE,GROUPS, with half the kernel as padding.
PyTorch gets its better memory format, contiguous or channels_last, of each figure, and a glibc malloc that keeps its
pages; with bfloat16 it computes under autocast. "forward" keeps what backward needs; "both" is forward and the gradients
of images and kernels. Times are medians of the rounds, a ratio is the median of the rounds' ratios: above 1 we are
faster. Any other work on the machine spoils it.
"""
import argparse, math, os, pathlib, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / os.environ.get('BOBBIN_BUILD', 'build') / 'bench'
MALLOC = {'MALLOC_TOP_PAD_': '1073741824', 'MALLOC_MMAP_THRESHOLD_': '4294967296',
          'MALLOC_TRIM_THRESHOLD_': '4294967296',
          'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1', 'THP_MEM_ALLOC_ENABLE': '1'}
ROWS = ['32,64,64,56,3,1,1', '32,128,128,28,3,1,1', '32,256,256,14,3,1,1', '32,512,512,7,3,1,1', '32,3,64,224,7,2,1',
        '32,96,96,56,7,1,96', '128,32,64,28,3,1,1']

parser = argparse.ArgumentParser(description="Measures Bobbin's convolutions beside PyTorch's.")
parser.add_argument('--precision', choices=['float32', 'bfloat16'], default='float32')
parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)), help='default: all')
parser.add_argument('--rounds', type=int, default=9, help='default: %(default)s')
parser.add_argument('--rows', nargs='+', default=ROWS, metavar='ROW', help='default: ResNet-18, ConvNeXt, and others')
args = parser.parse_args()
if not BENCH.exists():
    sys.exit(f'bench_convolutions: {BENCH} is missing: run make first.')
if any(os.environ.get(name) != value for name, value in MALLOC.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})
try:
    import torch
except ImportError:
    sys.exit('bench_convolutions: this Python has no PyTorch: pip install torch.')


class Ours:
    def __init__(self, row):
        self.process = subprocess.Popen([BENCH, '--lockstep', '--convolution', row, '--precision', args.precision,
                                         '--threads', str(args.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def seconds(self):
        """Of forward, and of forward and backward."""
        times = []
        for kind in 'eval', 'train':
            self.process.stdin.write(kind + '\n')
            times.append(float(self.process.stdout.readline()))
        return times

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    def __init__(self, row, memory_format):
        batch, into, out, side, kernel, self.stride, self.groups = map(int, row.split(','))
        self.padding = kernel // 2
        self.x = torch.rand(batch, into, side, side).to(memory_format=memory_format).requires_grad_()
        self.W = torch.rand(out, into // self.groups, kernel, kernel).to(memory_format=memory_format).requires_grad_()
        self.dY = None

    def seconds(self):
        self.x.grad = self.W.grad = None
        begin = time.perf_counter()
        with torch.autocast('cpu', torch.bfloat16, enabled=args.precision == 'bfloat16'):
            y = torch.nn.functional.conv2d(self.x, self.W, None, self.stride, self.padding, 1, self.groups)
        forward = time.perf_counter() - begin
        if self.dY is None:
            self.dY = torch.rand_like(y)
        begin = time.perf_counter()
        y.backward(self.dY)
        return [forward, forward + time.perf_counter() - begin]


torch.set_num_threads(args.threads)
print(f'# PyTorch {torch.__version__}, {args.threads} threads, {args.precision}, medians of {args.rounds} rounds, ms')
print(f'{"batch,in,out,side,kernel,stride,groups":40} {"forward":>8} {"theirs":>8} {"ratio":>6} '
      f'{"both":>8} {"theirs":>8} {"ratio":>6}')
ratios = []
for row in args.rows:
    ours, theirs = Ours(row), [Theirs(row, f) for f in (torch.contiguous_format, torch.channels_last)]
    rounds = []
    for _ in range(1 + args.rounds):  # one to warm up
        rounds.append([])
        for who in [ours] + theirs:
            time.sleep(.02)  # OpenMP's threads wait awake for a while, and would disturb whose turn is next
            rounds[-1].append(who.seconds())
    ours.end()
    line = f'{row:40}'
    for kind in 0, 1:
        times = [[who[kind] for who in one] for one in rounds[1:]]
        medians = [statistics.median(column) for column in zip(*times)]
        best = 1 if medians[1] < medians[2] else 2
        ratios.append(statistics.median(one[best] / one[0] for one in times))
        line += f' {medians[0] * 1e3:8.1f} {medians[best] * 1e3:8.1f} {ratios[-1]:6.2f}'
    print(line, flush=True)
print(f'# geometric mean of the ratios: {math.exp(statistics.mean(map(math.log, ratios))):.2f}, '
      f'the smallest: {min(ratios):.2f}')
