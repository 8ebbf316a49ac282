"""Bobbin's speed and memory beside its peers': the same model, batch and threads, a step of each in turn.

    make bench-peers ARGS="--python PATH ..."     or, after make,     python3 apps/peers/bench_peers.py --python PATH ...

The peers are PyTorch (peer_torch.py), its C++ library LibTorch (peer_libtorch.cpp, compiled here) and JAX with Flax
(peer_jax.py), as the interpreters named with --python have them: several, if you like. Each figure names its precision,
which is that of both: ours in bfloat16 is only compared with theirs in bfloat16, and with ours in float32.

One PyTorch, LibTorch and JAX take about twenty minutes on two cores, and --precision float32 alone half of that. Any
other work on the machine spoils it, but less the ratios than the seconds, for each round measures both; so look at the
ratios, which are medians of the rounds'.

What is done to be fair:
- A peer gets its best setting that we know: each variant is measured, and the smallest ratio is the one to quote.
  In bfloat16 PyTorch has two: autocast, and set_float32_matmul_precision('medium').
- PyTorch gets a glibc malloc that keeps its pages, and huge ones as our tensors have, which spare it up to a twentieth.
  That takes more memory, so memory is measured without it.
- Debian's PyTorch gets the OpenMP build of OpenBLAS, else two thread pools fight.
- With --model resnet18 it is the chapter before's ResNet-18, and PyTorch's variants are the chapter's code, with images
  in channels_last, compiled, and both. With --model swin it is Swin-T on images of 224 x 224, as torchvision has it, and
  compiled. LibTorch and JAX have only the Vision Transformer here.
- Both compute the whole last block, as the chapter does, where a figure is called whole, and its class token only, as
  is our default, where it is called cls. Where it is called as_run each does as it does by default.
"""
import argparse, contextlib, glob, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / os.environ.get('BOBBIN_BUILD', 'build') / 'bench'
MALLOC = {'MALLOC_TOP_PAD_': '1073741824', 'MALLOC_MMAP_THRESHOLD_': '4294967296',
          'MALLOC_TRIM_THRESHOLD_': '4294967296',
          'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1', 'THP_MEM_ALLOC_ENABLE': '1'}
OPENMP_OPENBLAS = glob.glob('/usr/lib/*/openblas-openmp/libopenblas.so.0')
# What a Python has. "generic" is a PyTorch that takes the system's BLAS: Debian's.
PROBE = '''
import sys
from importlib.util import find_spec
print(sys.prefix, sys.executable, sep='\\n')
if find_spec('torch'):
    import torch
    print('torch', torch.__version__, 'generic' if 'BLAS_INFO=generic' in torch.__config__.show() else 'own')
if all(map(find_spec, ('jax', 'flax', 'optax'))):
    import jax
    print('jax', jax.__version__)
'''
# What compiles a program for the LibTorch in a PyTorch, an argument a line.
LIBTORCH_FLAGS = '''
import torch
from torch.utils.cpp_extension import include_paths, library_paths
print(f'-D_GLIBCXX_USE_CXX11_ABI={torch.compiled_with_cxx11_abi():d}')
for path in include_paths():
    print('-isystem', path, sep='\\n')
for path in library_paths():
    print('-L' + path, '-Wl,-rpath,' + path, sep='\\n')
'''
# What is measured of a model: the words of figures, and how each program is told.
MODELS = {'vit': {'whole': ['--whole-last-block'], 'class-token': []}, 'resnet18': {'resnet18': ['--model', 'resnet18']},
          'swin': {'swin': ['--model', 'swin', '--form', 'torchvision', '--num-channels', '3']}}
FIGURES = {'whole': 'whole', 'class-token': 'cls', 'resnet18': 'resnet18', 'swin': 'swin'}
# The precisions, and the words by which PyTorch knows each.
PRECISIONS = {'float32': ['float32'], 'bfloat16': ['autocast', 'medium']}


class Failed(Exception):
    """A program ended before it answered: Failed(program, its last words)."""


class Worker:
    """A program that makes a step for each line it is sent, "train" or "eval", and answers with the step's seconds."""

    def __init__(self, command, environment):
        self.program = command[0]
        self.stderr = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
                                        bufsize=0, env={**os.environ, **environment})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        _, self.process.returncode, usage = os.wait4(self.process.pid, 0)
        self.peak_mb = usage.ru_maxrss / 1024

    def answer(self):
        line = self.process.stdout.readline().decode().strip()
        if not line:
            self.stderr.seek(0)
            raise Failed(self.program, (self.stderr.read().strip() or 'it ended without a word').splitlines()[-1])
        return line

    def step(self, kind):
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either, and that says more
            self.process.stdin.write(kind.encode() + b'\n')
        return float(self.answer())


class Bobbin:
    """Ours; in float32 a peer of ours in bfloat16."""

    def __init__(self, precision):
        self.precision, self.as_written, self.title = precision, False, f'Bobbin in {precision}'

    def start(self, batch_size, what, keep_pages=True):
        return Worker([BENCH, '--lockstep', '--precision', self.precision, '--threads', str(args.threads),
                       '--batch-size', str(batch_size)] + MODELS[args.model][what], {})


class Peer:
    """A variant of a peer; `as_written` if it is the chapter's code, or what stands for it in another library."""

    def __init__(self, precision, command, environment={}, as_written=True):
        self.precision, self.command, self.environment, self.as_written = precision, command, environment, as_written
        self.title = None

    def start(self, batch_size, what, keep_pages=True):
        environment = {k: v for k, v in self.environment.items() if keep_pages or k not in MALLOC}
        worker = Worker(self.command + [str(args.threads), str(batch_size), what],
                        {'OMP_NUM_THREADS': str(args.threads), **environment})
        self.title = worker.answer()
        return worker


def find_peers(pythons):
    peers, seen = [], set()
    for python in pythons:
        lines = []
        with contextlib.suppress(OSError):
            lines = subprocess.run([python, '-c', PROBE], capture_output=True, text=True).stdout.splitlines()
        if len(lines) < 2:
            parser.error(f'{python} is no Python')
        prefix, executable, *found = lines
        if prefix in seen:
            continue
        seen.add(prefix)
        for package, version, *blas in map(str.split, found):
            print(f'# {python} has {package} {version}', flush=True)
            peers += jax_peers(executable) if package == 'jax' else torch_peers(executable, version, blas)
    return [peer for peer in peers if peer.precision in args.precision]


def jax_peers(python):
    return [Peer(precision, [python, ROOT / 'apps/peers/peer_jax.py', precision]) for precision in PRECISIONS
            if args.model == 'vit']


def torch_peers(python, version, blas):
    environment = {**MALLOC, **{'LD_PRELOAD': path for path in OPENMP_OPENBLAS if blas == ['generic']}}
    libtorch = args.model == 'vit' and compile_libtorch(python, version)
    variants = {'vit': ['chapter', 'sdpa', 'compile'], 'swin': ['chapter', 'compile'],
                'resnet18': ['chapter', 'channels_last', 'compile', 'compile,channels_last']}[args.model]
    for precision, words in PRECISIONS.items():
        for word in words:
            # With "medium" the other variants were slower than the chapter's code; PyTorch 1 has no others.
            one = word == 'medium' or version.startswith('1.')
            for variant in variants[:1] if one else variants:
                yield Peer(precision, [python, ROOT / 'apps/peers/peer_torch.py', variant, word], environment,
                           as_written=variant == 'chapter')
        if libtorch:
            yield Peer(precision, [libtorch, words[0]], environment)


def compile_libtorch(python, version):
    """The program, or nothing where this PyTorch does not let it be compiled."""
    source, program = ROOT / 'apps/peers/peer_libtorch.cpp', BENCH.parent / f'peer_libtorch-{version}'
    try:
        flags = subprocess.run([python, '-c', LIBTORCH_FLAGS], capture_output=True, text=True, check=True).stdout
        subprocess.run(['g++', '-std=c++20', '-O3', source, '-o', program, *flags.splitlines(), '-ltorch_cpu', '-lc10'],
                       capture_output=True, text=True, check=True)
        return program
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, 'stderr', '').strip().splitlines() or [str(error)]
        print('# left out: LibTorch:', next((line for line in words if 'error' in line.lower()), words[-1]), flush=True)


ratios = {}  # ratios[figure and precision][peer and version] are those of its variants


def report(figure, peer, above, below):
    figure += f' {bobbin.precision}'
    ratio = statistics.median(a / b for a, b in zip(above, below))
    ratios.setdefault(figure, {}).setdefault(peer.title.split(',')[0], []).append(ratio)
    print(f'{figure:28} {ratio:6.2f} {statistics.median(above):10.4f} {statistics.median(below):10.4f}  {peer.title}',
          flush=True)


def speed(peer, batch_size, kinds, rounds, suffix=''):
    with contextlib.ExitStack() as stack:
        # In this order, so that any two that are compared are neighbours.
        whats = list(MODELS[args.model])
        workers = [stack.enter_context(who.start(batch_size, what)) for what in whats for who in (bobbin, peer)]
        for kind in kinds:
            seconds = []
            for _ in range(2 + rounds):
                seconds.append([])
                for worker in workers:
                    time.sleep(.02)  # OpenMP's threads wait awake for a while, and would disturb whose turn is next
                    seconds[-1].append(worker.step(kind))
            times = list(zip(*seconds[2:]))  # two to warm up: compilers work in the first
            if kind == 'train' and peer.as_written and not suffix and args.model == 'vit':
                report('train_as_run', peer, times[1], times[2])  # theirs whole, ours for the class token
            for i, what in enumerate(whats):
                report(f'{kind}_{FIGURES[what]}{suffix}', peer, times[2 * i + 1], times[2 * i])


def memory(peer):
    def peak(who):
        with who.start(args.batch_size, what, keep_pages=False) as worker:
            for _ in range(3):
                worker.step('train')
        return [worker.peak_mb]

    for what in MODELS[args.model]:
        report('peak_MB_' + FIGURES[what], peer, peak(bobbin), peak(peer))


def first_step(peer):
    def seconds(who):
        begin = time.perf_counter()
        with who.start(8, next(iter(MODELS[args.model]))) as worker:
            worker.step('train')
            return time.perf_counter() - begin

    report('first_step_seconds', peer, *zip(*[(seconds(bobbin), seconds(peer)) for _ in range(args.rounds)]))


def measure(what, peers, *settings):
    """Returns the peers that work."""
    works = []
    for peer in peers:
        try:
            what(peer, *settings)
            works.append(peer)
        except Failed as failure:
            program, words = failure.args
            if program == BENCH:
                sys.exit(f'bench_peers: {BENCH} failed: {words}')
            print(f'# left out: {" ".join(map(str, peer.command))}: {words}', flush=True)
    return works


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f'bench_peers: {message} (--help lists the flags)\n')


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return int(text)


parser = Parser(description='Measures Bobbin beside PyTorch, LibTorch and JAX.')
parser.add_argument('--python', action='append', metavar='PATH', default=[],
                    help="an interpreter that has a peer; may be repeated (default: python3 and /usr/bin/python3)")
parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=list(PRECISIONS), metavar='NAME',
                    help='of: %(choices)s (default: both)')
parser.add_argument('--model', choices=MODELS, default='vit', help='of: %(choices)s (default: %(default)s)')
parser.add_argument('--threads', type=positive, default=len(os.sched_getaffinity(0)), help='default: all')
parser.add_argument('--batch-size', type=positive, default=128, help='default: %(default)s')
parser.add_argument('--rounds', type=positive, default=7, help='of which the median is printed (default: %(default)s)')
args = parser.parse_args()
if not BENCH.exists():
    sys.exit(f'bench_peers: {BENCH} is missing: run make first.')
peers = find_peers(args.python or filter(shutil.which, ['python3', '/usr/bin/python3']))
if not peers:
    sys.exit('bench_peers: no peer found: pip install torch, or jax flax optax, and name that Python with --python PATH.')

def heading(what, *columns):
    print(f'# {what}')
    print(f'{"figure":28}  ratio {columns[0]:>10} {columns[1]:>10}  peer', flush=True)


try:
    print(f'# {args.threads} threads, batch {args.batch_size}, medians of {args.rounds} rounds')
    heading('seconds, theirs over ours in the same precision: above 1 we are faster', 'theirs', 'ours')
    compared = []
    for bobbin in map(Bobbin, args.precision):
        in_float32 = [Bobbin('float32')] if bobbin.precision != 'float32' else []
        works = measure(speed, [peer for peer in peers if peer.precision == bobbin.precision] + in_float32,
                        args.batch_size, ('train', 'eval'), args.rounds)
        if works == in_float32:
            sys.exit('bench_peers: none of the peers works.')
        for batch_size in (1, 8) if args.model == 'vit' else ():  # short steps, so more of them
            measure(speed, works, batch_size, ('train',), 4 * args.rounds, f'_batch_{batch_size}')
        compared.append((bobbin, works, in_float32))
    faster, ratios = ratios, {}

    heading('ours over theirs: below 1 we need less', 'ours', 'theirs')
    for bobbin, works, in_float32 in compared:
        as_written = [peer for peer in works if peer.as_written]
        measure(memory, (as_written if args.model == 'vit' else works) + in_float32)
        measure(first_step, as_written)

    print("# theirs over ours again: a peer's best variant, and the best PyTorch")
    titles = sorted({title for row in faster.values() for title in row})
    print(f'{"figure":28}', *(f'{title:>22}' for title in titles + ['PyTorch']))
    for figure, row in faster.items():
        groups = [row.get(title, []) for title in titles]
        groups.append([ratio for title in row if title.startswith('PyTorch') for ratio in row[title]])
        print(f'{figure:28}', *(f'{min(group):22.2f}' if group else f'{"-":>22}' for group in groups))
except KeyboardInterrupt:
    sys.exit(130)
