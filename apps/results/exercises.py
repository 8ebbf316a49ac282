"""The chapter's exercises as measurements: what in a Vision Transformer matters, what the size of a patch does, and
what convolutions are worth with little data. Each is some sweeps, on images held out of the training set.

    python3 apps/results/exercises.py [parts] [patches] [shares]   after make, from the root

The runs lie in runs/exercises, and go on where they were stopped. When those of an experiment are there, its table is
printed, and apps/results/NAME.csv and NAME.svg are written (of parts the table alone).
"""
import csv, math, subprocess, sys

MINUTE, CONVNET = '--preset minute --val-split .0834', '--preset convnet --width 16 --lr 5e-3 --val-split .0834'
SEEDS = '--seed 0..2'

# A row is (what it is called, flags). A sweep of several values has several rows.
PARTS = [(f'{MINUTE} {SEEDS}', ['as it is: mean over patches, sines and cosines, stem, 2 blocks']),
         (f'{MINUTE} {SEEDS} --global-pool token,seq', ['class token', 'sequence pooling']),
         (f'{MINUTE} {SEEDS} --pos-embed learned,none', ['positions learned', 'no positions']),
         (f'{MINUTE} {SEEDS} --stem-stages 0 --patch-size 7', ['no stem: patches of 7 x 7']),
         (f'{MINUTE} {SEEDS} --num-blks 1,4', ['1 block', '4 blocks'])]

PATCH = f'{MINUTE} --stem-stages 0 --patch-padding same --epochs 3 --warmup-epochs .3'
PATCHES = [(f'{PATCH} --patch-size 16,8,7,4 {SEEDS}', [16, 8, 7, 4]), (f'{PATCH} --patch-size 2 --seed 0', [2])]

# The epochs, and images a step, that make a minute on two cores with AVX2.
MODELS = {'ViT of patches': f'{MINUTE} --stem-stages 0 --patch-size 7', 'ViT behind a stem': MINUTE, 'ConvNet': CONVNET}
EPOCHS = {.01: (32, 111, 60, 65), .1: (64, 31, 29, 19), 1: (128, 4, 3, 2)}
IMAGES = 55000  # to train on


def shares():
    for share, (batch, *epochs) in EPOCHS.items():
        for (model, flags), n in zip(MODELS.items(), epochs):
            warm_up = '' if model == 'ConvNet' else f' --warmup-epochs {n / 10:g}'
            yield (f'{flags} --crop-padding 2 --train-share {share} -b {batch} --epochs {n}{warm_up} {SEEDS}',
                   [f'{model}, {share * IMAGES:.0f} images'])


def sweep(name, number, flags):
    """Does what is left of the runs. The rows of the sweep's table, each {measure: (mean, lowest, highest)}."""
    folder = f'runs/exercises/{name}-{number}'
    subprocess.run(['build/sweep', *flags.split(), '--output-dir', folder], check=True)
    rows = {}
    with open(folder + '/results.csv') as file:
        for row in csv.DictReader(file):
            rows.setdefault(row['setting'], {})[row['measure']] = [float(row[k]) for k in ('mean', 'lowest', 'highest')]
    return rows.values()


def measure(name, experiment):
    """Of each row (its name, accuracy, lowest, highest, seconds); writes and prints them."""
    rows = []
    for number, (flags, names) in enumerate(experiment):
        for row, measures in zip(names, sweep(name, number, flags), strict=True):
            rows.append((row, *measures['val_acc'], measures['seconds'][0]))
    with open(f'apps/results/{name}.csv', 'w') as file:
        file.write('row,val_acc,lowest,highest,seconds\n')
        file.writelines('"{}",{:.4f},{:.4f},{:.4f},{:.1f}\n'.format(*row) for row in rows)
    for row in rows:
        print('| {} | {:.3f} ({:.3f} to {:.3f}) | {:.0f} |'.format(*row))
    return rows


def draw(name, title, across, ticks, lines):
    """Accuracy over what grows, on a logarithmic axis. Of each line (its name, [(x, accuracy, lowest, highest, label)])."""
    width, height, left, right, top, bottom = 640, 380, 56, 150, 30, 50
    points = [point for _, line in lines for point in line]
    first, last = math.log(ticks[0]), math.log(ticks[-1])
    lowest, highest = min(p[2] for p in points), max(p[3] for p in points)
    grid = 20 if highest - lowest > .05 else 100  # lines from 0 to 1
    low, high = math.floor(lowest * grid) / grid, math.ceil(highest * grid) / grid
    x = lambda value: left + (width - left - right) * (math.log(value) - first) / (last - first)
    y = lambda accuracy: top + (height - top - bottom) * (high - accuracy) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
           f'<title>{title}</title><rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="16">accuracy on 5,000 images held out</text>',
           f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">{across}</text>']
    for step in range(round((high - low) * grid) + 1):
        at = low + step / grid
        out.append(f'<path d="M{left} {y(at):.1f}H{width - right}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{at:.2f}</text>')
    for tick in ticks:
        out.append(f'<text x="{x(tick):.1f}" y="{height - 30}" text-anchor="middle">{tick:,}</text>')
    for (line, row), colour in zip(lines, ('#c0392b', '#2471a3', '#1e8449')):
        path = 'L'.join(f'{x(p[0]):.1f} {y(p[1]):.1f}' for p in row)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for at, accuracy, lowest, highest, label in row:
            out.append(f'<path d="M{x(at):.1f} {y(lowest):.1f}V{y(highest):.1f}" stroke="{colour}" stroke-width="5" opacity=".4"/>'
                       f'<circle cx="{x(at):.1f}" cy="{y(accuracy):.1f}" r="4" fill="{colour}"/>'
                       f'<text x="{x(at) + 8:.1f}" y="{y(accuracy) - 6:.1f}" fill="{colour}">{label}</text>')
        out.append(f'<text x="{x(row[-1][0]) + 10:.1f}" y="{y(row[-1][1]) + 4:.1f}" fill="{colour}">{line}</text>')
    with open(f'apps/results/{name}.svg', 'w') as file:
        file.write('\n'.join(out + ['</svg>\n']))


if __name__ == '__main__':
    names = sys.argv[1:] or ['parts', 'patches', 'shares']
    if 'parts' in names:
        measure('parts', PARTS)
    if 'patches' in names:
        rows = measure('patches', PATCHES)
        draw('patches', 'Accuracy against the time of training, for patches of 16 to 2 pixels', 'seconds of three epochs',
             [10, 30, 100, 300, 1000], [('', [(seconds, *row, f'{size} x {size}') for size, *row, seconds in rows])])
    if 'shares' in names:
        rows = measure('shares', list(shares()))
        lines = [(model, [(share * IMAGES, *rows[3 * i + m][1:4], '') for i, share in enumerate(EPOCHS)])
                 for m, model in enumerate(MODELS)]
        draw('shares', 'Accuracy after a minute of training, against the number of images: ViTs and a ConvNet',
             'images to train on', [550, 5500, 55000], lines)
