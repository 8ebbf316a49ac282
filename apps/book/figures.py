"""Draws the book's pictures that are stepped through, apps/book/figures/*.svg.

    python3 apps/book/figures.py            from the root, after make, whose build/train draws the tape for memory.svg

A picture is what is always there, and frames, of which one is seen at a time: pictures.js shows them in turn, and says
what each has in data-say. Where the file is shown alone it is the frame `alone`.
"""
import os, re, subprocess, tempfile

BLUE, ORANGE, GREEN, PURPLE = '#0b57a4', '#a8410b', '#1e7a3c', '#7a3c9a'
PALE = {BLUE: '#d6e7f8', ORANGE: '#fbe3d2', GREEN: '#d5efdc', PURPLE: '#eadcf3'}


class Picture:
    def __init__(self, name, width, height, alone=0):
        self.name, self.size, self.alone, self.out, self.frames = name, (width, height), alone, [], 0

    def rect(self, x, y, width, height, fill='none', stroke='#555', bold=1):
        self.out.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{stroke}" '
                        f'stroke-width="{bold}"/>')

    def text(self, x, y, words, anchor='start', color='#000', size=13):
        self.out.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}" font-size="{size}">{words}</text>')

    def path(self, d, color='#555', bold=1):
        self.out.append(f'<path d="{d}" fill="none" stroke="{color}" stroke-width="{bold}"/>')

    def arrow(self, x1, x2, y, color='#555'):
        self.path(f'M{x1:g} {y:g}H{x2:g}m-6 -4l6 4l-6 4', color, 1.5)

    def grid(self, x, y, rows, columns, cell, words=None, fill=None):
        """Cells (row, column), with words in them, and colours behind them."""
        for r in range(rows if fill else 0):
            begin = 0
            for c in range(1, columns + 1):  # cells of one colour, side by side, are one rectangle
                if c == columns or fill(r, c) != fill(r, begin):
                    if fill(r, begin):
                        self.rect(x + begin * cell, y + r * cell, (c - begin) * cell, cell, fill(r, begin), 'none')
                    begin = c
        self.path(''.join(f'M{x} {y + r * cell}h{columns * cell}' for r in range(rows + 1)) +
                  ''.join(f'M{x + c * cell} {y}v{rows * cell}' for c in range(columns + 1)), '#999')
        for r in range(rows if words else 0):
            for c in range(columns):
                if words(r, c):
                    self.text(x + (c + .5) * cell, y + (r + .5) * cell + 4, words(r, c), 'middle', size=11)

    def frame(self, say):
        """What is drawn from here to the next frame is seen only in this one."""
        hidden = '' if self.frames == self.alone else ' visibility="hidden"'
        self.out.append('</g>' * (self.frames > 0) + f'<g class="frame" data-say="{say}"{hidden}>')
        self.frames += 1

    def write(self):
        width, height = self.size
        with open(f'apps/book/figures/{self.name}.svg', 'w') as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                       f'font-family="sans-serif">\n<rect width="{width}" height="{height}" fill="#fff"/>\n' +
                       '\n'.join(self.out) + '</g>\n</svg>\n')


def columns():
    """A 3x3 convolution of a 5x5 image, with a padding of 1, as a product of the kernel with the image's columns."""
    p, side, cell, image, matrix = Picture('columns', 720, 430, 7), 5, 21, (20, 40), (200, 225)
    padded = lambda r, c: str((r - 1) * side + c) if 0 < r <= side and 0 < c <= side else '0'
    shown = lambda k, j: padded(j // side + k // 3, j % side + k % 3)
    p.text(image[0], 28, 'image, and zeros around it')
    p.grid(*image, 7, 7, cell, padded, lambda r, c: None if 0 < r <= side and 0 < c <= side else '#eee')
    p.text(250, 28, 'kernel')
    p.grid(250, 40, 3, 3, cell, lambda r, c: 'w' + str(3 * r + c + 1))
    p.text(370, 28, 'result')
    p.grid(370, 40, side, side, cell)
    p.text(matrix[0], matrix[1] - 10, 'columns: (9, 25), one for each pixel of the result')
    for k in range(9):
        for j in range(25):
            p.text(matrix[0] + (j + .5) * 20, matrix[1] + (k + .5) * 16 + 4, shown(k, j), 'middle', size=9)
    p.rect(*matrix, 500, 144, stroke='#999')
    p.text(20, matrix[1] + 52, 'kernel, as a row')
    for k in range(9):
        p.text(20 + (k + .5) * 18, matrix[1] + 76, 'w' + str(k + 1), 'middle', size=9)
    p.rect(20, matrix[1] + 64, 162, 16, stroke='#999')
    p.text(188, matrix[1] + 77, '·', size=18)
    p.text(matrix[0] - 8, matrix[1] + 174, 'result, as a row', 'end')
    p.rect(matrix[0], matrix[1] + 160, 500, 20, stroke='#999')
    for j in range(25):
        r, c = divmod(j, side)
        p.frame(f'Pixel {j + 1} of the result, row {r + 1}, column {c + 1}: its window has nine numbers, which are column {j + 1}; '
                'the kernel times the column is the pixel. For all pixels, and all kernels, that is one matrix product.')
        p.rect(image[0] + c * cell, image[1] + r * cell, 3 * cell, 3 * cell, stroke=BLUE, bold=3)
        p.rect(370 + c * cell, 40 + r * cell, cell, cell, PALE[ORANGE], ORANGE, 3)
        p.rect(matrix[0] + j * 20, matrix[1], 20, 144, stroke=BLUE, bold=3)
        p.rect(matrix[0] + j * 20, matrix[1] + 160, 20, 20, PALE[ORANGE], ORANGE, 3)
    p.write()


def windows():
    """Windows of 4 x 4 tokens on a map of 8 x 8: as they lie, shifted by 2, and what the mask keeps apart."""
    p, cell, left, right, top = Picture('windows', 720, 330, 2), 32, 30, 400, 46
    colors = [BLUE, ORANGE, GREEN, PURPLE]
    part = lambda i: (i >= 2) + (i >= 6)  # of a shifted window, on one side of the map
    def map(x, title, fill, words=None):
        p.text(x, 30, title)
        p.grid(x, top, 8, 8, cell, words, fill)
    def borders(x, at, color='#000'):
        for i in at:
            p.path(f'M{x + i * cell} {top}v{8 * cell}M{x} {top + i * cell}h{8 * cell}', color, 3)
    name = lambda r, c: 'abcdefghi'[3 * part(r) + part(c)]
    quarter = lambda r, c: PALE[colors[2 * (r >= 4) + (c >= 4)]]
    # The window that shows a token once windows are shifted, and the part that token (r, c) of the rolled map is of.
    shifted = lambda r, c: quarter((r - 2) % 8, (c - 2) % 8)
    rolled = lambda r, c: name((r + 2) % 8, (c + 2) % 8)
    p.frame('The first block of a pair: a map of 8 by 8 tokens in four windows. A token attends to the 16 of its window, so the cost '
            'grows with the number of windows, and not with its square.')
    map(left, 'map of tokens', quarter)
    borders(left, (4,))
    p.frame('The second block: windows are shifted by half, so what two of them found meets. Now there are nine, of three sizes, a to i.')
    map(left, 'the same map, windows shifted by 2', shifted, name)
    borders(left, (2, 6))
    p.frame('The map is rolled up and to the left by 2: four windows of one size tile it again, and what was cut off at the top and left '
            'lies at the bottom and right.')
    map(left, 'the same map, windows shifted by 2', shifted, name)
    borders(left, (2, 6))
    p.arrow(300, 385, top + 4 * cell)
    map(right, 'rolled: four windows', quarter, rolled)
    borders(right, (4,))
    p.frame('In the last window lie i, and g, c and a, which came from other edges. The mask adds -100 between tokens of two letters, so '
            'that each attends only to its own.')
    map(left, 'rolled: four windows', quarter, rolled)
    borders(left, (4,))
    order = [rolled(4 + i // 4, 4 + i % 4) for i in range(16)]
    p.text(right, 30, 'mask of the last window: 16 x 16')
    p.grid(right, top, 16, 16, 16, None, lambda a, b: PALE[PURPLE] if order[a] == order[b] else '#ddd')
    p.text(right, top + 16 * 16 + 18, 'coloured: 0; grey: -100')
    p.write()


def broadcast():
    """A column plus a row, and how the gradient is summed back to their shapes."""
    p, cell, top = Picture('broadcast', 720, 180), 34, 60
    a, b, g = [1, 2, 3], [10, 20, 30, 40], [[1, 0, 2, 1], [0, 3, 1, 0], [2, 1, 0, 1]]
    def operands(gradients, of_a='', of_b=''):
        p.text(30, 46, ('gradient of a' if gradients else 'a') + ': (3, 1)')
        p.grid(60, top, 3, 1, cell, lambda r, c: of_a and str(sum(g[r])) if gradients else str(a[r]),
               (lambda r, c: PALE[of_a]) if of_a else None)
        p.text(180, 46, ('gradient of b' if gradients else 'b') + ': (1, 4)')
        p.grid(180, top + cell, 1, 4, cell, lambda r, c: of_b and str(sum(row[c] for row in g)) if gradients else str(b[c]),
               (lambda r, c: PALE[of_b]) if of_b else None)
        p.text(140, top + 57, '+', 'middle', size=18)
    p.frame('Forward: a is (3, 1) and b is (1, 4). Where one has length 1 its numbers are repeated, and the sum is (3, 4).')
    operands(False, BLUE, ORANGE)
    p.arrow(345, 420, top + 51)
    p.text(450, 46, 'a + b: (3, 4)')
    p.grid(450, top, 3, 4, cell, lambda r, c: str(a[r] + b[c]))
    for color, way in ((BLUE, 'Each number of a went into a row of the sum, so its gradient is the sum of that row.'),
                       (ORANGE, 'Each number of b went into a column of the sum, so its gradient is the sum of that column.')):
        p.frame(f'Backward: {way} That is sum_to(gradient, shape).')
        operands(True, color if color == BLUE else '', color if color == ORANGE else '')
        p.arrow(420, 345, top + 51)
        p.out[-1] = p.out[-1].replace('m-6 -4l6 4l-6 4', 'm6 -4l-6 4l6 4')
        p.text(450, 46, 'gradient of a + b: (3, 4)')
        p.grid(450, top, 3, 4, cell, lambda r, c: str(g[r][c]))
        for i in range(3 if color == BLUE else 4):
            p.rect(450 + (0 if color == BLUE else i * cell), top + (i * cell if color == BLUE else 0),
                   4 * cell if color == BLUE else cell, cell if color == BLUE else 3 * cell, stroke=color, bold=3)
    p.write()


def heads():
    """Heads are ranges of columns of queries, keys and values; nothing is transposed or copied."""
    p, cell, top, T, width = Picture('heads', 720, 190), 20, 60, 5, 3
    at = {'queries': 20, 'keys': 180, 'values': 445, 'result': 590}
    for name, x in at.items():
        p.text(x, 46, f'{name}: (T, C)' if name == 'queries' else name)
        p.grid(x, top, T, 2 * width, cell)
    p.text(330, 46, 'weights: (T, T)')
    for head, color in enumerate((BLUE, ORANGE)):
        p.frame(f'Head {head + 1} of 2 has columns {head * width + 1} to {head * width + width} of queries, keys and values. Its weights are '
                f'softmax of queries times keys, over the root of {width}; they add up values, into the same columns of the result.')
        for x in at.values():
            for r in range(T):
                p.rect(x + head * width * cell, top + r * cell, width * cell, cell, PALE[color], '#999')
            p.rect(x + head * width * cell, top, width * cell, T * cell, stroke=color, bold=3)
        p.grid(330, top, T, T, 16, None, lambda r, c: PALE[color])
        p.text(150, top + 54, '·', size=20)
        p.text(310, top + 54, '→', size=16)
        p.text(432, top + 54, '·', size=20)
        p.text(570, top + 54, '→', size=16)
        p.text(330, top + 104, f'of head {head + 1}', color=color)
    p.write()


def buckets():
    """When the gradients of a step are sent; a sketch, not a measurement."""
    p, left, unit, lanes = Picture('buckets', 720, 220, 5), 110, 40, (40, 84, 128, 172)
    layers = ['layer 1', 'layer 2', 'layer 3', 'head']
    spans = [(0, 1.3), (1.3, 2.6), (2.6, 3.9), (3.9, 5)]                    # forward
    times = [(5, 6.2, 3), (6.2, 8.2, 2), (8.2, 10.2, 1), (10.2, 12.2, 0)]  # backward: from, to, layer
    sent = [(8.2, 10), (10.2, 12), (12.2, 13.8)]
    for y, words in zip(lanes, ('forward', 'backward', 'on the wire', 'step')):
        p.text(20, y + 17, words)
    X = lambda t: left + unit * t
    says = [(5, 'Forward: each rank with its own images.'),
            (8.2, 'Backward goes from the head down. Gradients of the head and of layer 3 are finished, and fill a bucket.'),
            (10.2, 'While backward computes layer 2, a thread of its own sums bucket 0 over the ranks.'),
            (12.2, 'While backward computes layer 1, bucket 1 is on its way. What is sent meanwhile costs no waiting.'),
            (13.8, 'The last bucket has nothing left to hide behind: this is what a step waits for.'),
            (15, 'All gradients are sums over all ranks, so clipping and the step are the same on each.')]
    for until, say in says:
        p.frame(say)
        def bar(lane, begin, end, words, color):
            if begin < until:
                p.rect(X(begin), lanes[lane], unit * (end - begin), 26, PALE[color], color, 3 if until <= end + .21 else 1)
                p.text(X((begin + end) / 2), lanes[lane] + 17, words, 'middle', size=11)
        for (begin, end), name in zip(spans, layers):
            bar(0, begin, end, name, BLUE)
        for begin, end, layer in times:
            bar(1, begin, end, layers[layer], ORANGE)
        for i, (begin, end) in enumerate(sent):
            bar(2, begin, end, f'bucket {i}', GREEN)
        bar(3, 13.8, 15, 'step', PURPLE)
    p.text(X(0), 30, 'time →', color='#555')
    p.write()


def memory():
    """What the tape of a small ViT keeps, after each op forward and then backward: as build/train --graph says."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['build/train', *'--preset quick -b 64 --graph'.split(), folder + '/step.dot'], check=True,
                       stdout=subprocess.DEVNULL)
        lines = open(folder + '/step.dot').read().splitlines()
    inside, ops = [], []  # ops: (number, name, bytes)
    for line in lines:
        if line.startswith('subgraph'):
            inside.append(re.search(r'cluster_(.*)"', line)[1])
        elif line == '}' and inside:
            inside.pop()
        elif node := re.match(r'n(\d+) \[label="([^"]*)"\]', line):  # parameters have colours, too
            name, _, *kept = node[2].split('\\n')
            value, unit = kept[0].split()[1:] if kept else (0, 'B')
            ops.append((int(node[1]), '.'.join([*inside[-1:], name]), float(value) * {'B': 1, 'KB': 1e3, 'MB': 1e6}[unit]))
    ops.sort()
    p, left, base, wide, high = Picture('memory', 720, 260, len(ops) - 1), 50, 220, 640 / (2 * len(ops)), 180
    kept = [sum(size for *_, size in ops[:i + 1]) for i in range(len(ops))]
    bars = [(*op[1:], total, BLUE) for op, total in zip(ops, kept)]
    bars += [(*op[1:], total - op[2], ORANGE) for op, total in zip(ops[::-1], kept[::-1])]
    p.text(left, 20, 'MB that the tape keeps')
    for tick in range(int(kept[-1] / 1e6) + 1):
        y = base - high * tick * 1e6 / kept[-1]
        p.path(f'M{left} {y:.1f}H690', '#ddd')
        p.text(left - 8, y + 4, tick, 'end')
    x = lambda i: left + wide * i
    for i, (*_, total, color) in enumerate(bars):
        p.rect(round(x(i), 1), round(base - high * total / kept[-1], 1), round(wide, 1), round(high * total / kept[-1], 1),
               PALE[color], color, .5)
    p.text(x(len(ops) / 2), base + 24, 'forward', 'middle', BLUE)
    p.text(x(len(ops) * 3 / 2), base + 24, 'backward', 'middle', ORANGE)
    for i, (name, size, total, color) in enumerate(bars):
        forward = i < len(ops)
        what = f'{"keeps" if forward else "needs no longer"} {size / 1e3:.0f} KB' if size else 'keeps nothing'
        p.frame(f'{"Forward" if forward else "Backward"}, {i % len(ops) + 1} of {len(ops)}: {name} {what}; '
                f'the tape has {max(total, 0) / 1e6:.2f} MB.')
        p.rect(round(x(i), 1), round(base - high * total / kept[-1], 1), round(wide, 1), round(high * total / kept[-1], 1), color, color)
    p.write()


def vit():
    """d2l's Vision Transformer, from an image to logits, and what is in a block."""
    p = Picture('vit', 720, 275, 5)
    boxes = [('image', '(B, 1, 96, 96)'), ('patches', '(B, 36, 256)'), ('tokens', '(B, 36, 512)'), ('+ class token', '(B, 37, 512)'),
             ('2 blocks', '(B, 37, 512)'), ('head', '(B, 10)')]
    inside = ['LayerNorm', 'attention', '+', 'LayerNorm', 'MLP', '+']
    says = ['An image of 96 by 96 pixels is cut into 36 patches of 16 by 16.',
            'A patch is 256 numbers. One matrix takes each to 512: a convolution whose stride is the size of its kernel.',
            'Now there are 36 tokens, each a row of 512 numbers.',
            'A class token is put in front, the same for all images, and each token gets the embedding of its place added: both are learned.',
            'A block lets tokens look at one another (attention), then works on each by itself (the MLP). Each of both is normalised '
            'before, and added to what came in.',
            'The head looks at the class token alone: LayerNorm, and a linear layer to ten logits.']
    def row(now):
        for i, (name, shape) in enumerate(boxes):
            x = 14 + 117 * i
            p.rect(x, 60, 98, 40, PALE[BLUE] if i <= now else 'none', BLUE if i <= now else '#999', 3 if i == now else 1)
            p.text(x + 49, 85, name, 'middle')
            p.text(x + 49, 120, shape, 'middle', size=11)
            if i:
                p.arrow(x - 19, x, 80)
    p.text(14, 160, 'a block')
    for now, say in enumerate(says):
        p.frame(say)
        row(now)
        color = ORANGE if now == 4 else '#999'
        x = [40, 150, 275, 360, 470, 595]
        p.path('M14 240H700', color)
        for at, name in zip(x, inside):
            if name == '+':
                p.out.append(f'<circle cx="{at}" cy="240" r="13" fill="#fff" stroke="{color}"/>')
                p.text(at, 245, '+', 'middle', size=15)
            else:
                p.rect(at, 222, 92, 36, PALE[ORANGE] if now == 4 else '#fff', color)
                p.text(at + 46, 245, name, 'middle')
        for start, end in ((26, x[2]), (x[2] + 30, x[5])):  # what came in is added
            p.path(f'M{start} 240V190H{end}V227m-4 -6l4 6l4 -6', color)
    p.write()


def folders():
    """The folders, and how many includes lead from each to those it is built on."""
    rooms = {'tensor': (260, 250, 'numbers and kernels'), 'autograd': (40, 170, 'the tape'), 'data': (480, 170, 'files to batches'),
             'nn': (260, 90, 'layers and models'), 'optim': (40, 20, 'training'), 'apps': (480, 20, 'programs')}
    counts = {}
    for room in rooms:  # what is built on what
        for folder, _, files in sorted(os.walk(room)):
            for file in sorted(files):
                if file.endswith(('.h', '.cpp', '.cu')) and not folder.startswith(('apps/lessons', 'apps/examples', 'apps/include')):
                    for other in re.findall(r'#include "(\w+)/', open(os.path.join(folder, file)).read()):
                        if other in rooms and other != room:
                            counts[room, other] = counts.get((room, other), 0) + 1
    p = Picture('folders', 720, 320, 3)
    for now in rooms:
        uses = [f'{other} ({n} times)' for (room, other), n in counts.items() if room == now]
        used = [room for (room, other) in counts if other == now]
        p.frame(f'{now}: {rooms[now][2]}. It includes {", ".join(uses) if uses else "none of the others"}'
                f'{"; included by " + ", ".join(used) if used else ""}.')
        for (room, other), n in counts.items():
            (x1, y1, _), (x2, y2, _) = rooms[room], rooms[other]
            lit = now in (room, other)
            p.path(f'M{x1 + 100} {y1 + 24}L{x2 + 100} {y2 + 24}', BLUE if room == now else ORANGE if lit else '#ccc', 2 if lit else 1)
        for room, (x, y, about) in rooms.items():
            p.rect(x, y, 200, 48, PALE[BLUE] if room == now else '#fff', BLUE if room == now else '#555', 2)
            p.text(x + 100, y + 21, room + '/', 'middle')
            p.text(x + 100, y + 39, about, 'middle', '#555', 12)
    p.write()


if __name__ == '__main__':
    columns(), windows(), broadcast(), heads(), buckets(), vit(), folders(), memory()
