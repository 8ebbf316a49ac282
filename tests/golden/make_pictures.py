#!/usr/bin/env python3
"""Writes picture_files.safetensors beside this script: small picture files of the kinds that Pillow writes and of many
that it does not, and what it reads from them. README.md says what is in it."""
import io
import struct
import zlib

import numpy as np
import PIL.Image

from make_golden import save

rng = np.random.default_rng(12)
H, W = 11, 14
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([128 + 100 * np.sin(x / 3), 128 + 100 * np.cos(y / 2), 60 + 9 * x + 5 * y, 200 - 8 * x], -1)
four = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
color = PIL.Image.fromarray(four[:, :, :3])
grey, clear = color.convert('L'), PIL.Image.fromarray(four, 'RGBA')
files = {}


def pillow(name, image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    files[name] = file.getvalue()
    return files[name]


def noise(count, most=255):
    return bytes(rng.integers(most + 1, size=count, dtype=np.uint8))


def patched(file, at, content):
    return file[:at] + content + file[at + len(content):]


def jpegs():
    for name, sampling in ('4:2:2', 1), ('4:2:0', 2):
        pillow(f'jpeg {name}', color, 'JPEG', quality=85, subsampling=sampling)
    pillow('jpeg rgb', color, 'JPEG', quality=85, keep_rgb=True)
    pillow('jpeg progressive grey', grey, 'JPEG', quality=85, progressive=True)
    plain = pillow('jpeg 4:4:4', color, 'JPEG', quality=85, subsampling=0)
    sizes = plain.index(b'\xff\xc0') + 11  # of the first channel
    files['jpeg 4:4:0'] = patched(pillow('jpeg 4:2:2 low', color, 'JPEG', quality=20, subsampling=1), sizes, b'\x12')
    files['jpeg 4:1:1'] = patched(files['jpeg 4:2:0'], sizes, b'\x41')
    inks = pillow('jpeg cmyk', PIL.Image.fromarray(four, 'CMYK'), 'JPEG', quality=85)
    files['jpeg ycck'] = patched(inks, inks.index(b'Adobe') + 11, b'\x02')
    files['jpeg with a tail'] = plain + noise(100)
    files['jpeg filled up'] = plain[:2] + b'\xff\xff\xff' + plain[2:]

    restarts = pillow('jpeg restarts', color, 'JPEG', quality=85, subsampling=0, restart_marker_blocks=1)
    first, second = restarts.index(b'\xff\xd0'), restarts.index(b'\xff\xd1')
    files['jpeg restarts swapped'] = patched(patched(restarts, first, b'\xff\xd1'), second, b'\xff\xd0')
    files['jpeg restart left out'] = restarts[:first] + restarts[first + 2:]
    files['jpeg restart twice'] = restarts[:first] + b'\xff\xd0' + restarts[first:]
    files['jpeg damaged'] = patched(plain, len(plain) - 60, noise(8, 254))


def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png(color_type, bits, interlaced=False, palette=b'', before=b''):
    """A PNG of random numbers."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    lines = b''
    for left, top, across, down in passes if interlaced else [(0, 0, 1, 1)]:
        width, height = len(range(left, W, across)), len(range(top, H, down))
        for line in range(height if width else 0):
            lines += bytes([line % 5]) + noise((width * channels * bits + 7) // 8)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', W, H, bits, color_type, 0, 0, interlaced)) +
            (chunk(b'PLTE', palette) if palette else b'') + before + chunk(b'IDAT', zlib.compress(lines)) +
            chunk(b'IEND', b''))


def pngs():
    for color_type, bits in (0, 2), (0, 4), (0, 8), (2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16):
        files[f'png {color_type} {bits}'] = png(color_type, bits)
        files[f'png {color_type} {bits} interlaced'] = png(color_type, bits, True)
    for bits, colors in (1, 1), (2, 3), (4, 5), (8, 4), (8, 256):
        files[f'png {colors} colours of {1 << bits}'] = png(3, bits, palette=noise(3 * colors))
    files['png colours interlaced'] = png(3, 4, True, palette=noise(3 * 11), before=chunk(b'tRNS', noise(5)))
    files['png with notes'] = png(2, 8, before=chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(100000))) +
                                  chunk(b'gAMA', struct.pack('>I', 20000)) + chunk(b'tRNS', bytes(6))) + noise(50)


def gif(numbers, palette=None, local=None, screen=(W, H), at=(0, 0), size=(W, H), clear=None, interlaced=False):
    """A GIF whose codes are never longer than a pixel: the table is cleared too often."""
    bits = 4  # of a palette
    colors = lambda palette: palette + bytes((3 << bits) - len(palette))
    file = b'GIF89a' + struct.pack('<HHBBB', *screen, 0x80 | (bits - 1) if palette else 0, 2, 0)
    file += colors(palette) if palette else b''
    file += b'!\xfe\x05hello\0' + (b'!\xf9\x04\x01\0\0' + bytes([clear, 0]) if clear is not None else b'')
    file += b',' + struct.pack('<HHHHB', *at, *size, (0x80 | (bits - 1) if local else 0) | (64 if interlaced else 0))
    file += colors(local) if local else b''
    codes = [code for i, number in enumerate(numbers) for code in ([256, number] if i % 200 == 0 else [number])] + [257]
    value = sum(code << 9 * i for i, code in enumerate(codes))
    packed = value.to_bytes((9 * len(codes) + 7) // 8, 'little')
    blocks = [packed[i:i + 255] for i in range(0, len(packed), 255)]
    return file + b'\x08' + b''.join(bytes([len(block)]) + block for block in blocks) + b'\0;'


def gifs():
    pillow('gif', color, 'GIF')
    pillow('gif grey', grey, 'GIF', interlace=0)
    pillow('gif of two', color.quantize(7), 'GIF', save_all=True, append_images=[color.transpose(0).quantize(9)])
    palette = noise(3 * 16)
    files['gif past its colours'] = gif(noise(W * H, 40), palette)
    files['gif without colours'] = gif(noise(W * H))
    files['gif with two palettes, interlaced'] = gif(noise(W * H, 15), palette, noise(3 * 16), interlaced=True)
    files['gif, part of the screen'] = gif(noise(20, 15), palette, at=(3, 2), size=(5, 4))
    files['gif, part of the screen, clear'] = gif(noise(20, 15), palette, at=(3, 2), size=(5, 4), clear=9)
    files['gif beyond the screen'] = gif(noise(20, 15), palette, at=(11, 9), size=(5, 4))


def bmp(bits, rows, palette=b'', count=0, packing=0, masks=b'', header=40, top_first=False):
    described = struct.pack('<IHHHH', 12, W, H, 1, bits) if header == 12 else struct.pack(
        '<IiiHHIIiiII', header, W, -H if top_first else H, 1, bits, packing, len(rows), 0, 0, count, 0)
    described += (masks if header > 40 else b'').ljust(max(header - 40, 0), b'\0')
    described += masks if header == 40 else b''
    begin = 14 + len(described) + len(palette)
    return b'BM' + struct.pack('<IHHI', begin + len(rows), 0, 0, begin) + described + palette + rows


def bmps():
    def rows(bits):
        return noise((W * bits + 31) // 32 * 4 * H)

    def masks(*masks):
        return struct.pack(f'<{len(masks)}I', *masks)

    pillow('bmp', color, 'BMP')
    pillow('bmp 1 bit', grey.convert('1'), 'BMP')
    pillow('bmp grey', grey, 'BMP')
    for bits, colors in (1, 2), (4, 5), (4, 16), (8, 3), (8, 256):
        files[f'bmp {colors} colours of {1 << bits}'] = bmp(bits, rows(bits), noise(4 * colors), colors)
    files['bmp of os/2'] = bmp(4, rows(4), noise(3 * 16), header=12)
    files['bmp top first'] = bmp(24, rows(24), top_first=True)
    files['bmp 16'] = bmp(16, rows(16))
    files['bmp 16, 5:6:5'] = bmp(16, rows(16), packing=3, masks=masks(0xf800, 0x7e0, 0x1f))
    files['bmp 32'] = bmp(32, rows(32))
    files['bmp 32, rgba'] = bmp(32, rows(32), packing=3, header=124, masks=masks(0xff, 0xff00, 0xff0000, 0xff000000))
    run8 = b''.join(bytes([0, 5]) + noise(5) + b'\0' + bytes([4]) + noise(1) + b'\0\2\2\0' + bytes([9]) + noise(1) + b'\0\0'
                    for _ in range(H))
    files['bmp in runs of 8 bits'] = bmp(8, run8 + b'\0\1', noise(4 * 200), 200, packing=1)
    run4 = b''.join(bytes([0, 5]) + noise(3) + b'\0' + bytes([7]) + noise(1) + b'\0\0' for _ in range(H))
    files['bmp in runs of 4 bits'] = bmp(4, run4 + b'\0\1', noise(4 * 16), 16, packing=2)


def pnms():
    def text(count, most):
        return b' '.join(b'%d' % number for number in rng.integers(most + 1, size=count))

    for name, most, channels in ('P2', 255, 1), ('P2', 100, 1), ('P3', 7, 3), ('P3', 65535, 3):
        files[f'ppm {name} {most}'] = b'%s\n# %d\n%d %d\n%d\n' % (name.encode(), most, W, H, most) + text(W * H * channels, most)
    files['ppm P1'] = b'P1 %d %d\n' % (W, H) + text(W * H, 1).replace(b' ', b'') + b'\n'
    files['ppm P4'] = b'P4\n%d %d\n' % (W, H) + noise((W + 7) // 8 * H)
    for name, most, channels in ('P5', 255, 1), ('P5', 9, 1), ('P6', 255, 3), ('P6', 200, 3), ('P6', 1000, 3):
        size = W * H * channels * (1 if most < 256 else 2)
        files[f'ppm {name} {most}'] = b'%s %d\t%d %d\n' % (name.encode(), W, H, most) + noise(size)


def webps():
    pillow('webp', color, 'WEBP', quality=70)
    pillow('webp clear', clear, 'WEBP', quality=70)
    pillow('webp lossless', clear, 'WEBP', lossless=True)
    pillow('webp of two', color, 'WEBP', save_all=True, append_images=[color.transpose(0)], lossless=True)


def tiffs():
    pillow('tiff', color, 'TIFF')
    pillow('tiff turned', color, 'TIFF', compression='tiff_lzw', tiffinfo={274: 6, 278: 3})
    for orientation in 2, 3, 4, 5, 7, 8:
        pillow(f'tiff orientation {orientation}', color, 'TIFF', compression='packbits', tiffinfo={274: orientation})
    pillow('tiff predicted', color, 'TIFF', compression='tiff_adobe_deflate', tiffinfo={317: 2})
    pillow('tiff clear', clear, 'TIFF', compression='tiff_lzw')
    pillow('tiff grey', grey, 'TIFF')
    pillow('tiff white is 0', grey, 'TIFF', tiffinfo={262: 0})
    pillow('tiff 1 bit', grey.convert('1'), 'TIFF', compression='group4')
    pillow('tiff colours', color.quantize(9), 'TIFF', compression='tiff_lzw')
    pillow('tiff cmyk', PIL.Image.fromarray(four, 'CMYK'), 'TIFF', compression='tiff_lzw')
    pillow('tiff jpeg', color.convert('YCbCr'), 'TIFF', compression='jpeg')


def main():
    for write in jpegs, pngs, gifs, bmps, pnms, webps, tiffs:
        write()
    out = {}
    for name, file in files.items():
        read = lambda mode: np.asarray(PIL.Image.open(io.BytesIO(file)).convert(mode))
        out[f'{name}/file'] = np.frombuffer(file, np.uint8)
        out[f'{name}/rgb'] = np.ascontiguousarray(read('RGB').transpose(2, 0, 1))
        out[f'{name}/grey'] = read('L')[None]
    save('picture_files.safetensors', out, kinds='\n'.join(files))


if __name__ == '__main__':
    main()
