"""A recording of a terminal as a picture: what a command printed, when it did.

    python3 apps/results/record.py FILE.svg COMMAND...

needs python3-pyte, which knows what a terminal makes of what is printed. The picture takes as long as the command did,
and a moment more, and begins anew; where people want no motion it is the last screen. Two screens a second are kept.
"""
import html, os, pty, select, shlex, struct, sys, termios, time
from fcntl import ioctl

import pyte

COLUMNS, ROWS, LINGER = 96, 24, 4  # seconds that the last screen stays
SIZE, LEADING, MARGIN = 14, 20, 14


def record(command):
    """[(seconds since it began, the lines of the screen)], and how long it took."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f'$ {shlex.join(command)}\r\n'.encode())
    begin, frames, open_ = time.monotonic(), [], True
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', ROWS, COLUMNS, 0, 0))
    while open_:
        if select.select([terminal], [], [], .05)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:  # it has ended
                open_ = False
        now, lines = time.monotonic() - begin, [line.rstrip() for line in screen.display]
        if not frames or (lines != frames[-1][1] and (now - frames[-1][0] >= .5 or not open_)):
            frames.append((now, lines))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit('\n'.join(frames[-1][1]).strip())
    return frames, time.monotonic() - begin


def draw(frames, seconds):
    seconds += LINGER
    rows = max(row for _, lines in frames for row in range(ROWS) if lines[row]) + 1
    width, height = int(COLUMNS * SIZE * .602) + 2 * MARGIN, rows * LEADING + 2 * MARGIN
    styles, texts = [], []
    for row in range(rows):
        begin = 0
        for i, (_, lines) in enumerate(frames):  # one text for each stretch of time in which the row is the same
            last = i + 1 == len(frames)
            if not last and frames[i + 1][1][row] == lines[row]:
                continue
            end = seconds if last else frames[i + 1][0]
            if lines[row]:
                name, at = f'f{len(texts)}', lambda t: f'{100 * t / seconds:.2f}%'
                if begin > 0 or not last:
                    steps = ('0%{visibility:hidden}' if begin > 0 else '') + at(begin) + '{visibility:visible}' + (
                        '' if last else at(end) + '{visibility:hidden}')
                    styles.append(f'@keyframes {name}{{{steps}}}'
                                  f'.{name}{{animation:{name} {seconds:.1f}s step-end infinite}}')
                hidden = '' if last else ' visibility="hidden"'
                texts.append(f'<text class="{name}" x="{MARGIN}" y="{MARGIN + SIZE + LEADING * row}"{hidden}>'
                             f'{html.escape(lines[row], False)}</text>')
            begin = end
    said = '\n'.join(line for line in frames[-1][1] if line)
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d" '
        f'font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="{SIZE}" fill="#e6e6e6">',
        f'<title id="t">A terminal</title><desc id="d">{html.escape(said, False)}</desc>',
        '<style>text{white-space:pre}@media (prefers-reduced-motion:no-preference){' + '\n'.join(styles) + '}</style>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#1d2026"/>', *texts, '</svg>', ''])


if __name__ == '__main__':
    if len(sys.argv) < 3 or not sys.argv[1].endswith('.svg'):
        sys.exit(__doc__.strip())
    picture = draw(*record(sys.argv[2:]))
    with open(sys.argv[1], 'w') as file:
        file.write(picture)
