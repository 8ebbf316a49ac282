"""What several machines gain: the time of a training step on ranks, by a model of what their sums cost.

    python3 apps/results/cost_of_ranks.py [measure] [cost-of-ranks]      from the root: reads NAME-*.csv, writes NAME.svg

A sum over N ranks by halves (Rabenseifner) is 2 log2(N) messages one after the other, in which each rank sends
2 (N - 1) / N of its bytes: alpha seconds for each message, and for each byte what the wire takes and beta to copy and add
it. All three numbers are fitted on sums alone, NAME-sums.csv; the steps of NAME-steps.csv, which the model is checked
on, take no part in it. A step is computed as backward() goes: gradients are copied to a bucket of 4 MB, which is sent
when they are finished and the one before has arrived; what is not there when backward() ends is waited for, and copied
back. Where processors send, backward() is slower meanwhile: by as much as products are beside such a sum. On a machine
that others use, too, ranks take unequal time for the same, and all wait for the slowest: NAME-steps.csv has by how
much longer it takes than the mean, measured without sums. What is said of other machines knows nothing of that.

With `measure`, as root, it first makes both files with tests/ranks/hosts.sh, after make and make MPI=1.
"""
import csv, math, os, re, shutil, statistics, subprocess, sys, tempfile

RATES, RANKS, ROUNDS = [1, 10], [2, 4], 3
BUCKET = 1 << 20  # numbers; optim/training/data_parallel.h


# --- measuring --------------------------------------------------------------------------------------
def run(command):
    return subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout


def hosts(ranks, rate, command):
    return run(f'sh tests/ranks/hosts.sh {ranks} {rate}gbit mpirun -q -np {ranks} {command}')


def measure():
    flags = '--preset d2l --val-split .002 --epochs 2 --threads 1'
    folder = tempfile.mkdtemp()

    def rate_of(run):
        with open(f'{folder}/{run}/metrics.csv') as file:
            return float(list(csv.DictReader(file))[-1]['img_per_s'])

    def together(ranks, rate):
        shutil.rmtree(f'{folder}/run', ignore_errors=True)
        hosts(ranks, rate, f'build/mpi/train {flags} --train-share .02 --output-dir {folder}/run')
        return rate_of('run')

    def apart(ranks):  # as many processes that know nothing of one another, each with as many images a step as a rank
        for i in range(ranks):
            shutil.rmtree(f'{folder}/{i}', ignore_errors=True)
        run(' & '.join(f'build/train {flags} --train-share {.02 / ranks} -b {128 // ranks} --output-dir {folder}/{i} > /dev/null'
                       for i in range(ranks)) + ' & wait')
        return sum(rate_of(i) for i in range(ranks))

    sums, steps = {}, {}
    for _ in range(ROUNDS):
        for ranks in RANKS:
            alone = apart(ranks)
            for rate in RATES:
                text = hosts(ranks, rate, 'build/mpi/bench --sums --threads 1 --rounds 3')
                for what, numbers, value in re.findall(r'(\w+?)_(\d+) (\S+) s\n', text):
                    sums.setdefault((rate, ranks, int(numbers)), {}).setdefault(what, []).append(float(value))
                slowest = float(re.search(r'slowest_rank (\S+)', text)[1])
                steps.setdefault((rate, ranks), []).append((together(ranks, rate), alone, slowest))
                print(f'{ranks} ranks, {rate} Gbit/s: {steps[rate, ranks][-1][0]:.1f} images/s, apart {alone:.1f}', flush=True)
    shutil.rmtree(folder)
    median = lambda values: f'{statistics.median(values):.5g}'
    return ([dict(zip(['gbit', 'ranks', 'numbers'], key), **{what: median(values) for what, values in row.items()})
             for key, row in sums.items()],
            [dict(gbit=key[0], ranks=key[1], apart_img_per_s=median(apart for _, apart, _ in rows),
                  of_that=median(together / apart for together, apart, _ in rows),
                  slowest=median(slowest for _, _, slowest in rows), cores=os.cpu_count()) for key, rows in steps.items()])


# --- the model --------------------------------------------------------------------------------------
def messages(ranks):
    return 2 * math.ceil(math.log2(ranks))


def sent(ranks, size):  # bytes by each rank, in both
    return 2 * (ranks - 1) / ranks * size


def solve(A, b):  # least squares, by Gaussian elimination of the normal equations
    n = len(A[0])
    M = [[sum(r[i] * r[j] for r in A) for j in range(n)] + [sum(r[i] * y for r, y in zip(A, b))] for i in range(n)]
    for i in range(n):
        for j in range(n):
            if j != i:
                M[j] = [x - M[j][i] / M[i][i] * y for x, y in zip(M[j], M[i])]
    return [M[i][n] / M[i][i] for i in range(n)]


class Sums:
    def __init__(self, rows, cores):
        A, share = [], lambda r: max(1, r['ranks'] / cores)  # all ranks share these
        for r in rows:
            r['bytes'] = sent(r['ranks'], 4 * r['numbers'])
            # The processors' part is slower where ranks share them. Relative errors: rows are divided by the seconds.
            A.append([x / r['sum_of'] for x in (messages(r['ranks']), 8e-9 * r['bytes'] / r['gbit'],
                                                 r['bytes'] * share(r))])
        self.alpha, self.wire, self.beta = solve(A, [1] * len(A))
        # For each byte that a rank sends, what its products lose beside it; and the copying of a number.
        large = [r for r in rows if r['numbers'] >= 1 << 18]
        self.beside = statistics.median(r['beside'] / r['bytes'] / share(r) for r in large)
        self.copy = statistics.median(r['copy_of'] / r['numbers'] / share(r) for r in large)
        self.errors = [self.seconds(r['ranks'], 4 * r['numbers'], r['gbit'], share(r)) / r['sum_of'] - 1 for r in rows]

    def seconds(self, ranks, size, gbit, share=1):
        return self.alpha * messages(ranks) + sent(ranks, size) * (8e-9 * self.wire / gbit + self.beta * share)


class Vit:
    """Parameters in the order in which backward() finishes them, with the multiply-adds of an image that it makes for
    each until then."""

    def __init__(self, width, blocks, mlp, patch, channels, tokens, classes):
        D, T = width, tokens
        self.parts = [(D * classes + classes + 2 * D, 2 * D * classes)]
        for block in range(blocks):
            t = 1 if block == 0 else T  # of the last block only what the head sees
            self.parts += [(mlp * D + D, 2 * t * mlp * D), (mlp * D + mlp, 2 * t * mlp * D), (2 * D, 0), (D * D, 2 * t * D * D),
                           (D * D, 2 * T * D * D + 4 * t * T * D), (D * D, 2 * T * D * D), (D * D, 2 * t * D * D), (2 * D, 0)]
        self.parts += [((T + 1) * D, 0), (patch ** 2 * channels * D + D, T * patch ** 2 * channels * D)]
        self.parameters = sum(n for n, _ in self.parts)

    def buckets(self):
        """Their numbers, and the share of backward() after which each is ready."""
        all, size, work, total = [], 0, 0, sum(w for _, w in self.parts)
        for n, w in self.parts:
            size, work = size + n, work + w
            if size >= BUCKET:
                all.append((size, work / total))
                size = 0
        return all + [(size, 1)] * (size > 0)


def step(model, compute, sums, ranks, gbit, share=1, bytes_each=4, slowest=1):
    """Seconds of a step that computes for so long by itself, a third of it forward."""
    if ranks == 1:
        return compute
    copy = lambda numbers: sums.copy / 2 * share * numbers  # in or out
    backward, now, done = 2 / 3 * compute, 0, 0  # now: since backward() began; done: of its work
    for size, ready in model.buckets():
        if done < ready * backward:  # nothing is on the wire
            now, done = now + ready * backward - done, ready * backward
        seconds = sums.seconds(ranks, bytes_each * size, gbit, share)
        busy = min(1, sums.beside * share * sent(ranks, bytes_each * size) / seconds)
        now, done = now + copy(size) + seconds, min(backward, done + (1 - busy) * seconds)
    # In the end ranks tell one another which gradients they have, and their losses.
    small = [sums.seconds(ranks, 8 * max(numbers, ranks), gbit, share) for numbers in (len(model.parts), 4)]
    return compute / 3 + now + backward - done + copy(model.parameters) + sum(small) + (slowest - 1) * compute


D2L = Vit(512, 2, 2048, 16, 1, 37, 10)
VIT_B = Vit(768, 12, 3072, 16, 3, 197, 1000)


class Fast:
    """GPUs that send by themselves: a message of 10 microseconds, and nothing for the copying. Assumed, not measured."""
    alpha, wire, beta, beside, copy = 10e-6, 1.05, 0, 0, 0
    seconds = Sums.seconds


# --- the picture ------------------------------------------------------------------------------------
def draw(panels):
    width, height, left, top, wide = 900, 380, 50, 46, 330
    x = lambda panel, ranks: left + panel * 430 + wide * math.log2(ranks) / 10
    y = lambda share: top + (height - top - 56) * (1 - share)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
           '<title>Efficiency of data parallel training against the number of ranks, by the model of cost</title>',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for i, (title, efficiency) in enumerate(panels):
        out.append(f'<text x="{x(i, 1)}" y="18" font-weight="bold">{title}</text>'
                   f'<text x="{x(i, 1)}" y="36">efficiency; dashed: gradients sent in bfloat16</text>')
        for share in 0, .2, .4, .6, .8, 1:
            out.append(f'<path d="M{x(i, 1)} {y(share):.1f}H{x(i, 1024)}" stroke="#ddd"/>'
                       f'<text x="{x(i, 1) - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:g}</text>')
        for ranks in 1, 4, 16, 64, 256, 1024:
            out.append(f'<text x="{x(i, ranks):.1f}" y="{height - 34}" text-anchor="middle">{ranks}</text>')
        out.append(f'<text x="{x(i, 32):.1f}" y="{height - 12}" text-anchor="middle">ranks</text>')
        last = height
        for gbit, colour in (400, '#2471a3'), (100, '#1e8449'), (10, '#c0392b'):
            for size, dash in (4, ''), (2, ' stroke-dasharray="5 4"'):
                line = 'L'.join(f'{x(i, 2 ** k):.1f} {y(efficiency(2 ** k, gbit, size)):.1f}' for k in range(11))
                out.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            at = y(efficiency(1024, gbit, 4))
            last = at if last == height else max(at, last + 15)
            out.append(f'<text x="{x(i, 1024) + 6}" y="{last + 4:.1f}" fill="{colour}">{gbit} Gbit/s</text>')
    return '\n'.join(out + ['</svg>\n'])


# --------------------------------------------------------------------------------------------------
def read(name):
    with open(name) as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def write(name, rows):
    with open(name, 'w') as file:
        out = csv.DictWriter(file, rows[0], lineterminator='\n')
        out.writeheader()
        out.writerows(rows)


if __name__ == '__main__':
    words = sys.argv[1:]
    measuring = words[:1] == ['measure']
    name = (words[measuring:] or ['cost-of-ranks'])[0]
    if measuring:
        for kind, rows in zip(('sums', 'steps'), measure()):
            write(f'{name}-{kind}.csv', rows)
    steps = read(name + '-steps.csv')
    cores = steps[0]['cores']
    sums = Sums(read(name + '-sums.csv'), cores)
    print(f'a message {1e6 * sums.alpha:.0f} us, a byte {sums.wire:.2f} of the wire\'s time and {1e9 * sums.beta:.2f} ns, of '
          f'products beside it {1e9 * sums.beside:.2f} ns, a number to be copied {1e9 * sums.copy:.2f} ns; sums are off by {100 * statistics.median(map(abs, sums.errors)):.0f} % (median), '
          f'{100 * max(map(abs, sums.errors)):.0f} % at most\n\n| ranks | Gbit/s | images/s apart | of these together | predicted | |\n|---|---|---|---|---|---|')
    for row in steps:
        ranks, compute = int(row['ranks']), 128 / row['apart_img_per_s']
        predicted = compute / step(D2L, compute, sums, ranks, row['gbit'], max(1, ranks / cores), slowest=row['slowest'])
        print(f"| {ranks} | {row['gbit']:g} | {row['apart_img_per_s']:.0f} | {row['of_that']:.2f} | {predicted:.2f} | "
              f"{100 * (predicted / row['of_that'] - 1):+.0f} % |")
    compute = 128 / [row['apart_img_per_s'] for row in steps if row['ranks'] == 2][0]
    panels = [(f'd2l\'s ViT, 128 images a rank, {1e3 * compute:.0f} ms on two cores', D2L, compute, sums),
              ('ViT-B/16, 64 images a rank, 27 ms on an H200', VIT_B, 27e-3, Fast())]
    efficiencies = []
    for title, model, compute, of in panels:
        efficiency = lambda ranks, gbit, size, model=model, compute=compute, of=of: compute / step(
            model, compute, of, ranks, gbit, bytes_each=size)
        efficiencies.append((title, efficiency))
        print(f'\n{title}: {model.parameters:,} parameters\n\n| ranks | 10 Gbit/s | 100 Gbit/s | 400 Gbit/s |\n|---|---|---|---|')
        for ranks in 2, 8, 64, 1024:
            cell = lambda gbit: '; '.join(f'{efficiency(ranks, gbit, size):.2f}' for size in (4, 2))
            print(f"| {ranks} | {' | '.join(map(cell, (10, 100, 400)))} |")
    with open(name + '.svg', 'w') as file:
        file.write(draw(efficiencies))
