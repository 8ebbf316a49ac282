"""What three ranks do when something goes wrong: each kind of it so many times, at any moment.

    sh tests/ranks/hosts.sh 3 10gbit python3 tests/ranks/faults.py [times] [kind ...]     from the root, after make and make MPI=1

Each time all ranks must end by themselves, with a code other than 0 and a sentence, soon after the timeout; the newest
checkpoint must be whole; and with --resume the run must go on as if nothing had happened. Prints a table.
"""
import collections, contextlib, csv, math, os, random, re, shutil, signal, subprocess, sys, tempfile, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as hosts.sh ends it: what is in `finally` is done
RANKS, TIMEOUT, PATIENCE = 3, 8, 30  # seconds: --comm-timeout, and how much longer the end may take
KINDS = {
    'kill': 'a rank is killed (SIGKILL)',
    'stop': 'a rank is stopped (SIGSTOP)',
    'link': 'the link of a rank\'s host is cut',
    'program': 'a rank is another program',
    'flags': 'a rank has other flags',
    'data': 'a rank has other data',
    'nan': 'a rank computes a NaN',
}
# Put before OpenBLAS on one rank, whose products have a NaN from some moment on.
NAN = '''#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb,
                 float beta, float* c, int ldc) {
  static void (*real)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  if (!real) real = dlsym(RTLD_NEXT, "cblas_sgemm");
  real(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  static double first;
  const double seconds = now.tv_sec + 1e-9 * now.tv_nsec;
  if (first == 0) first = seconds;
  if (seconds - first >= atof(getenv("NAN_AFTER"))) c[0] = NAN;
}
'''
folder = tempfile.mkdtemp()
# The MLP is so wide, and a batch has so few rows, that OpenBLAS multiplies its matrices, and not
# tensor/cpu/small_products.cpp.
FLAGS = (f'--data-dir {folder}/data --img-size 16 --patch-size 4 --num-hiddens 32 --mlp-num-hiddens 2112 --num-heads 2 --num-blks 2 '
         f'--emb-dropout .1 --blk-dropout .1 --hflip .5 --batch-size 24 --threads 1 --epochs 100000 --save-every 3 --val-split .1')


def write_data(name, seed):  # as CIFAR-10
    os.makedirs(f'{folder}/{name}')
    noise = random.Random(seed)
    for file in [f'data_batch_{i}.bin' for i in range(1, 6)] + ['test_batch.bin']:
        with open(f'{folder}/{name}/{file}', 'wb') as out:
            for i in range(24):
                out.write(bytes([i % 10]) + noise.randbytes(3072))


def start(words, of_rank={}):
    """mpirun, whose ranks say where they are; some of them are started with other words."""
    parts = ['mpirun']
    for rank in range(RANKS):
        if os.path.exists(f'{folder}/rank{rank}'):
            os.remove(f'{folder}/rank{rank}')
        parts += [':'] * (rank > 0) + ['-np', '1', 'sh', '-c',
                  f'echo $$ > {folder}/rank{rank}; exec {of_rank.get(rank, words)}']
    return subprocess.Popen(parts, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, 'OMP_WAIT_POLICY': 'passive'})


def train(words, of_rank={}):
    process = start('build/mpi/train ' + words, of_rank)
    return process.communicate(timeout=300)[0], process.returncode


def losses(run):
    with open(f'{folder}/{run}/losses.csv') as file:
        return [float(row[1]) for row in list(csv.reader(file))[1:]]


def ranks_left():
    """Processes of ours in the hosts, but those that have closed all and wait for a launcher (tensor/comm/mpi.cpp)."""
    left = []
    for n in range(1, RANKS + 1):
        ids = subprocess.run(['ip', 'netns', 'pids', f'{os.environ["HOSTS"]}-{n}'], stdout=subprocess.PIPE, text=True).stdout
        for id in map(int, ids.split()):
            try:
                if b'build/mpi/' in cmdline(id).split(b'\0')[0] and len(os.listdir(f'/proc/{id}/fd')) > 1:
                    left.append(id)
            except OSError:
                pass
    return left


def cmdline(id):
    try:
        with open(f'/proc/{id}/cmdline', 'rb') as file:
            return file.read()
    except OSError:
        return b''


def link(rank, state):
    subprocess.run(['ip', '-n', f'{os.environ["HOSTS"]}-{rank + 1}', 'link', 'set', 'eth0', state], check=True)


def one(kind, whole):
    """What was said first, whether there was a checkpoint, and how long it took to end; a sentence if something is wrong."""
    shutil.rmtree(f'{folder}/run', ignore_errors=True)
    rank, moment = random.randrange(RANKS), random.uniform(0, 2.5)
    first = f'build/mpi/train {FLAGS} --output-dir {folder}/run --comm-timeout {TIMEOUT}'
    of_rank = {}
    if kind in ('program', 'flags', 'data'):  # of a run that goes on
        shutil.copytree(f'{folder}/begun', f'{folder}/run')
        first = f'build/mpi/train --resume {folder}/run --comm-timeout {TIMEOUT}'
        of_rank[rank] = {'program': 'build/mpi/test_ranks', 'flags': first + ' --max-steps 1000',
                         # Mounted over the others', for this rank alone.
                         'data': f'unshare -m sh -c "mount --bind {folder}/other {folder}/data && exec {first}"'}[kind]
    elif kind == 'nan':
        of_rank[rank] = f'env LD_PRELOAD={folder}/nan.so NAN_AFTER={moment} {first}'
    process = start(first, of_rank)
    begin = time.time()
    if kind in ('kill', 'stop', 'link'):
        ids = []
        while len(ids) < RANKS and time.time() < begin + 60:  # until all have begun; before that only mpirun can say anything
            time.sleep(.02)
            ids = [open(path).read() for r in range(RANKS) if os.path.exists(path := f'{folder}/rank{r}')]
            ids = [int(id) for id in ids if id.strip()]
        time.sleep(moment)
        begin = time.time()
        if kind == 'link':
            link(rank, 'down')
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(ids[rank], signal.SIGKILL if kind == 'kill' else signal.SIGSTOP)
    try:
        output = process.communicate(timeout=TIMEOUT + PATIENCE)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + '\n(mpirun had to be killed)'
        return dict(wrong='a hang: ' + output)
    finally:
        seconds = time.time() - begin
        for _ in range(50):  # mpirun may be gone a moment before its ranks
            if not (left := ranks_left()):
                break
            time.sleep(.1)
        if kind == 'link':
            link(rank, 'up')
        for id in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(id, signal.SIGKILL)
    said = [l for l in output.splitlines() if re.match(r'(train: |rank \d|not every|mpirun noticed)', l)]
    found = dict(seconds=seconds, said=said[0] if said else '', sentences=len(said), steps=-1, output=output)
    if process.returncode == 0:
        return dict(found, wrong='it ended with code 0')
    if not said:
        return dict(found, wrong='no sentence')
    if left:
        return dict(found, wrong=f'{len(left)} processes are left')
    if not [f for f in os.listdir(f'{folder}/run') if f.startswith('checkpoint-')] if os.path.isdir(f'{folder}/run') else True:
        return found  # before the first
    steps = max(int(re.search(r'\d+', f)[0]) for f in os.listdir(f'{folder}/run') if f.startswith('checkpoint-'))
    found['steps'] = steps
    end = steps + 5
    output, code = train(f'--resume {folder}/run --max-steps {end}')
    if code != 0:
        return dict(found, wrong='--resume: ' + output)
    now = losses('run')
    if len(now) != end or max(abs(a - b) for a, b in zip(now, whole)) > 1e-5:
        return dict(found, wrong=f'it went on otherwise: {now[-3:]}')
    return found


if __name__ == '__main__':
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    try:
        write_data('data', 1)
        write_data('other', 2)
        with open(f'{folder}/nan.c', 'w') as file:
            file.write(NAN)
        subprocess.run(['cc', '-shared', '-fPIC', '-o', f'{folder}/nan.so', f'{folder}/nan.c', '-ldl'], check=True)
        for name, steps in ('whole', 300), ('begun', 9):
            output, code = train(f'{FLAGS} --output-dir {folder}/{name} --max-steps {steps}')
            if code != 0:
                sys.exit(output)
        whole = losses('whole')
        print('| | times | hangs | lost checkpoints | other faults | seconds to the end, longest | with a checkpoint |\n'
              '|---|---|---|---|---|---|---|', flush=True)
        bad = 0
        for kind in sys.argv[2:] or KINDS:
            results = []
            while len(results) < times:
                results.append(result := one(kind, whole))
                if 'wrong' in result:
                    print(f"{kind}: {result['wrong']}\n{result.get('output', '')}", file=sys.stderr, flush=True)
            wrong = [r['wrong'] for r in results if 'wrong' in r]
            hangs = sum(w.startswith('a hang') for w in wrong)
            lost = sum(w.startswith(('--resume', 'it went on')) for w in wrong)
            bad += len(wrong)
            print(f"| {KINDS[kind]} | {times} | {hangs} | {lost} | {len(wrong) - hangs - lost} | "
                  f"{max(r.get('seconds', math.inf) for r in results):.1f} | {sum(r.get('steps', -1) >= 0 for r in results)} |", flush=True)
            for said, count in collections.Counter(re.sub(r'\d+', 'N', r.get('said', '')) for r in results).most_common(4):
                print(f'  {count}: {said}', file=sys.stderr)
        sys.exit(bad > 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
