"""How the cost of an image grows with its side: a Vision Transformer, whose tokens all look at each other, and a Swin
Transformer, whose tokens look at a window.

    python3 apps/results/cost_by_side.py [cost-by-side]            after make, from the root: writes NAME.csv and NAME.svg

Each side is evaluated by both in turn, an image at a time; a time is the median of the rounds. Beside it stands the
count of multiply-adds. An exponent is the slope of a line through the logarithms of the last four sides.
"""
import math, os, statistics, subprocess, sys

SIDES, ROUNDS = [32, 64, 96, 128, 192, 256, 384, 512], 5
VIT = dict(patch=8, width=192, heads=3, blocks=12)  # DeiT's smallest, with patches of 8
SWIN = dict(patch=4, width=96, depths=[2, 2, 6, 2], window=7)  # Swin-T


def vit_cost(side):
    tokens, D = (side // VIT['patch']) ** 2 + 1, VIT['width']
    return VIT['blocks'] * (12 * D * D * tokens + 2 * D * tokens ** 2) + 3 * VIT['patch'] ** 2 * D * (tokens - 1)


def swin_cost(side):
    map, D, cost = side // SWIN['patch'], SWIN['width'], 3 * SWIN['patch'] ** 2 * SWIN['width'] * (side // SWIN['patch']) ** 2
    for stage, depth in enumerate(SWIN['depths']):
        if stage > 0:
            map, D = (map + 1) // 2, 2 * D
            cost += map ** 2 * 2 * D * D
        window = min(map, SWIN['window'])
        padded = (math.ceil(map / window) * window) ** 2  # the tokens of all windows
        cost += depth * (padded * (4 * D * D + 2 * D * window ** 2) + map ** 2 * 8 * D * D)
    return cost


class Bench:
    def __init__(self, side, *flags):
        self.process = subprocess.Popen(
            [os.environ.get('BOBBIN_BUILD', 'build') + '/bench', '--lockstep', '-b', '1', '--img-size', str(side),
             '--num-channels', '3', *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def seconds(self):
        self.process.stdin.write('eval\n')
        return float(self.process.stdout.readline())


def slope(sides, values):
    x, y = [math.log(s) for s in sides], [math.log(v) for v in values]
    mx, my = statistics.mean(x), statistics.mean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def measure():
    rows = []
    for side in SIDES:
        vit = Bench(side, '--model', 'vit', '--patch-size', str(VIT['patch']), '--num-hiddens', str(VIT['width']),
                    '--mlp-num-hiddens', str(4 * VIT['width']), '--num-heads', str(VIT['heads']), '--num-blks',
                    str(VIT['blocks']), '--whole-last-block')
        swin = Bench(side, '--model', 'swin')
        times = [(vit.seconds(), swin.seconds()) for _ in range(ROUNDS + 1)][1:]  # the first asks the system for memory
        for bench in vit, swin:
            bench.process.stdin.close()
            bench.process.wait()
        rows.append([side, *(1e3 * statistics.median(t) for t in zip(*times)), vit_cost(side) / 1e6, swin_cost(side) / 1e6])
        print('side {:4d}: ViT {:8.1f} ms, Swin {:7.1f} ms; {:8.0f} and {:7.0f} million multiply-adds'.format(*rows[-1]))
    return rows


def draw(rows, exponents):
    width, height, left, top = 640, 400, 70, 20
    x = lambda side: left + (width - left - 150) * math.log(side / 32) / math.log(16)
    low, high = (10 ** math.floor(math.log10(min(r[i] for r in rows for i in (1, 2)))),
                 10 ** math.ceil(math.log10(max(r[i] for r in rows for i in (1, 2)))))
    y = lambda ms: top + (height - top - 50) * (1 - math.log(ms / low) / math.log(high / low))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
           '<title>Time of an evaluation of one image against its side: ViT and Swin Transformer</title>',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    ms = low
    while ms <= high:
        out.append(f'<path d="M{left} {y(ms):.1f}H{x(512):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(ms) + 4:.1f}" text-anchor="end">{ms:g}</text>')
        ms *= 10
    for side in SIDES:
        out.append(f'<text x="{x(side):.1f}" y="{height - 28}" text-anchor="middle">{side}</text>')
    out.append(f'<text x="{(left + x(512)) / 2:.1f}" y="{height - 8}" text-anchor="middle">side of the image in pixels</text>'
               f'<text x="{left}" y="{top - 6}">milliseconds; dashed: as the multiply-adds grow, from the last side back</text>')
    for i, name, colour in (1, 'ViT', '#c0392b'), (2, 'Swin', '#2471a3'):
        line = lambda points: 'M' + 'L'.join(f'{a:.1f} {min(b, y(low)):.1f}' for a, b in points)
        last = rows[-1]
        out.append(f'<path d="{line([(x(r[0]), y(r[i])) for r in rows])}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<path d="{line([(x(r[0]), y(last[i] * r[i + 2] / last[i + 2])) for r in rows])}" fill="none" '
                   f'stroke="{colour}" stroke-dasharray="4 4"/>')
        out.append(f'<text x="{x(512) + 8:.1f}" y="{y(last[i]) + 4:.1f}" fill="{colour}">{name}: side^{exponents[i]:.2f}</text>')
    return '\n'.join(out + ['</svg>\n'])


if __name__ == '__main__':
    name = sys.argv[1] if len(sys.argv) > 1 else 'cost-by-side'
    rows = measure()
    exponents = [slope([r[0] for r in rows[-4:]], [r[i] for r in rows[-4:]]) for i in range(5)]
    print('exponents: ViT {1:.2f}, Swin {2:.2f}; of the multiply-adds {3:.2f}, {4:.2f}'.format(*exponents))
    with open(name + '.csv', 'w') as file:
        file.write('side,vit_ms,swin_ms,vit_million_macs,swin_million_macs\n')
        file.writelines(','.join(f'{v:.6g}' for v in row) + '\n' for row in rows)
    with open(name + '.svg', 'w') as file:
        file.write(draw(rows, exponents))
