"""Bobbin's speed and memory beside its peers': the same model, batch and threads, a step of each in turn.

    make bench-peers ARGS="--python PATH ..."     or, after make,     python3 apps/peers/bench_peers.py --python PATH ...

The peers are PyTorch (peer_torch.py) and JAX with Flax (peer_jax.py), as the interpreters named with --python have them:
several, if you like. With two PyTorches and JAX it takes twelve minutes on two cores. Any other work on the machine spoils it, but less the
ratios than the seconds, for each round measures both; so look at the ratios, which are medians of the rounds'.

What is done to be fair:
- A peer gets its best setting that we know: each variant is measured, and the smallest ratio is the one to quote.
- PyTorch gets a glibc malloc that keeps its pages. That takes more memory, so memory is measured without it.
- Debian's PyTorch gets the OpenMP build of OpenBLAS, else two thread pools fight.
- Both compute the whole last block, as the chapter does, where a figure is called whole, and its class token only, as
  is our default, where it is called cls. Where it is called as_run each does as it does by default.
"""
import argparse, contextlib, glob, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
BENCH = HERE.parent / os.environ.get('BOBBIN_BUILD', 'build') / 'bench'
MALLOC = {'MALLOC_TOP_PAD_': '1073741824', 'MALLOC_MMAP_THRESHOLD_': '4294967296',
          'MALLOC_TRIM_THRESHOLD_': '4294967296'}
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
    def start(self, batch_size, whole):
        return Worker([BENCH, '--lockstep', '--threads', str(args.threads), '--batch-size', str(batch_size)] +
                      ['--whole-last-block'] * whole, {})


class Peer:
    """A variant of a peer; `as_written` if it is the chapter's code."""

    def __init__(self, command, environment={}, as_written=True):
        self.command, self.environment, self.as_written, self.title = command, environment, as_written, None

    def start(self, batch_size, whole, keep_pages=True):
        environment = {k: v for k, v in self.environment.items() if keep_pages or k not in MALLOC}
        worker = Worker(self.command + [str(args.threads), str(batch_size), 'whole' if whole else 'class-token'],
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
            print(f'# {python} has {package} {version}')
            if package == 'jax':
                peers.append(Peer([executable, str(HERE / 'peer_jax.py')]))
                continue
            preload = {'LD_PRELOAD': path for path in OPENMP_OPENBLAS if blas == ['generic']}
            for variant in ['chapter'] if version.startswith('1.') else ['chapter', 'sdpa', 'compile']:
                peers.append(Peer([executable, str(HERE / 'peer_torch.py'), variant], {**MALLOC, **preload},
                                  as_written=variant == 'chapter'))
    return peers


ratios = {}  # ratios[figure][peer and version] are those of its variants


def report(figure, peer, above, below):
    ratio = statistics.median(a / b for a, b in zip(above, below))
    ratios.setdefault(figure, {}).setdefault(peer.title.split(',')[0], []).append(ratio)
    print(f'{figure:25} {ratio:6.2f} {statistics.median(above):10.4f} {statistics.median(below):10.4f}  {peer.title}',
          flush=True)


def speed(peer, batch_size, kinds, rounds, suffix=''):
    with contextlib.ExitStack() as stack:
        # In this order, so that any two that are compared are neighbours.
        workers = [stack.enter_context(who.start(batch_size, whole)) for whole in (True, False) for who in (bobbin, peer)]
        for kind in kinds:
            seconds = []
            for _ in range(2 + rounds):
                seconds.append([])
                for worker in workers:
                    time.sleep(.02)  # OpenMP's threads wait awake for a while, and would disturb whose turn is next
                    seconds[-1].append(worker.step(kind))
            ours_whole, theirs_whole, ours, theirs = zip(*seconds[2:])  # two to warm up: compilers work in the first
            if kind == 'train' and peer.as_written and not suffix:
                report('train_as_run', peer, theirs_whole, ours)
            report(f'{kind}_whole{suffix}', peer, theirs_whole, ours_whole)
            report(f'{kind}_cls{suffix}', peer, theirs, ours)


def memory(peer):
    def peak(start, **settings):
        with start(args.batch_size, whole, **settings) as worker:
            for _ in range(3):
                worker.step('train')
        return [worker.peak_mb]

    for whole in True, False:
        report('peak_MB_' + ('whole' if whole else 'cls'), peer, peak(bobbin.start),
               peak(peer.start, keep_pages=False))


def first_step(peer):
    def seconds(who):
        begin = time.perf_counter()
        with who.start(8, True) as worker:
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
            print(f'# left out: {" ".join(peer.command)}: {words}', flush=True)
    if not works:
        sys.exit('bench_peers: none of the peers works.')
    return works


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f'bench_peers: {message} (--help lists the flags)\n')


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return int(text)


parser = Parser(description='Measures Bobbin beside PyTorch and JAX.')
parser.add_argument('--python', action='append', metavar='PATH', default=[],
                    help="an interpreter that has a peer; may be repeated (default: python3 and /usr/bin/python3)")
parser.add_argument('--threads', type=positive, default=len(os.sched_getaffinity(0)), help='default: all')
parser.add_argument('--batch-size', type=positive, default=128, help='default: %(default)s')
parser.add_argument('--rounds', type=positive, default=7, help='of which the median is printed (default: %(default)s)')
args = parser.parse_args()
if not BENCH.exists():
    sys.exit(f'bench_peers: {BENCH} is missing: run make first.')
bobbin = Bobbin()
peers = find_peers(args.python or filter(shutil.which, ['python3', '/usr/bin/python3']))
if not peers:
    sys.exit('bench_peers: no peer found: pip install torch, or jax flax optax, and name that Python with --python PATH.')

try:
    print(f'# {args.threads} threads, batch {args.batch_size}, medians of {args.rounds} rounds')
    print(f'# seconds, theirs over ours: above 1 we are faster\n{"figure":25}  ratio     theirs       ours  peer', flush=True)
    peers = measure(speed, peers, args.batch_size, ('train', 'eval'), args.rounds)
    for batch_size in 1, 8:  # short steps, so more of them
        measure(speed, peers, batch_size, ('train',), 4 * args.rounds, f'_batch_{batch_size}')
    faster, ratios = ratios, {}

    print(f'# ours over theirs: below 1 we need less\n{"figure":25}  ratio       ours     theirs  peer', flush=True)
    as_written = [peer for peer in peers if peer.as_written]
    measure(memory, as_written)
    measure(first_step, as_written)

    print("# theirs over ours again: a peer's best variant, and the best PyTorch")
    titles = sorted({title for row in faster.values() for title in row})
    print(f'{"figure":25}', *(f'{title:>22}' for title in titles + ['PyTorch']))
    for figure, row in faster.items():
        groups = [row.get(title, []) for title in titles]
        groups.append([ratio for title in row if title.startswith('PyTorch') for ratio in row[title]])
        print(f'{figure:25}', *(f'{min(group):22.2f}' if group else f'{"-":>22}' for group in groups))
except KeyboardInterrupt:
    sys.exit(130)
