#!/usr/bin/env python3
"""Writes exif.safetensors beside this script: small pictures with notes of how they were held, right and wrong ones, and
what Pillow's ImageOps.exif_transpose makes of them. README.md says what is in it."""
import io
import struct
import warnings
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps

from make_golden import save

H, W = 3, 5
picture = PIL.Image.fromarray(np.random.default_rng(9).integers(256, size=(H, W, 3), dtype=np.uint8))
SHORT = 3


def entry(value, kind=SHORT, count=1, tag=274, order='<'):
    """An entry of a directory, whose value, of at most 4 bytes, is a number or bytes."""
    if not isinstance(value, bytes):
        value = struct.pack(order + {1: 'B', 3: 'H', 4: 'L', 6: 'b', 8: 'h', 9: 'l', 11: 'f', 13: 'L'}[kind], value)
    return struct.pack(order + 'HHL', tag, kind, count) + value.ljust(4, b'\0')


def exif(*entries, order='<', begin=None, at=8, count=None, tail=b'\0\0\0\0'):
    begin = begin or {'<': b'II*\0', '>': b'MM\0*'}[order]
    count = len(entries) if count is None else count
    return begin + struct.pack(order + 'L', at) + struct.pack(order + 'H', count) + b''.join(entries) + tail


def outside(kind, value, order='<'):
    """The value stands behind the directory."""
    return exif(entry(struct.pack(order + 'L', 26), kind, order=order), order=order, tail=b'\0\0\0\0' + value)


def xmp(value):
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % value


def pillow(kind, image=picture, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(*segments):
    plain = pillow('JPEG', quality=90, subsampling=0)
    return plain[:2] + b''.join(b'\xff\xe1' + struct.pack('>H', len(s) + 2) + s for s in segments) + plain[2:]


def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png(before=b'', after=b''):
    plain = pillow('PNG')
    return plain[:33] + before + plain[33:-12] + after + plain[-12:]


def exif_png(data):
    return png(chunk(b'eXIf', data))


def profile(data):
    return b'\nexif\n%8d\n%s\n' % (len(data), data.hex().encode())


def files():
    name = b'Exif\0\0'
    for o in range(1, 9):
        order = '<>'[o % 2]
        yield f'jpeg {o}', jpeg(name + exif(entry(o, order=order), order=order))
        yield f'png {o}', exif_png(exif(entry(o, order='>'), order='>'))
        yield f'webp {o}', pillow('WEBP', lossless=True, exif=name + exif(entry(o)))
        yield f'tiff {o}', pillow('TIFF', tiffinfo={274: o})
    for kind in 1, 2, 4, 11:
        yield f'tiff of type {kind}', pillow('TIFF', tiffinfo={274: 1}).replace(entry(1), entry(b'\6' if kind == 2 else 6, kind))
    yield 'tiff xmp', pillow('TIFF', tiffinfo={700: xmp(6)})
    yield 'tiff xmp and 1', pillow('TIFF', tiffinfo={700: xmp(6), 274: 1})
    six = exif(entry(6))

    # Of JPEG: parts, XMP, what stands before, and damage.
    yield 'jpeg in two parts', jpeg(name + six[:15], name + six[15:])
    yield 'jpeg with two', jpeg(name + exif(entry(8)), name + six)
    yield 'jpeg behind others', jpeg(b'Exif', b'http://', name + six)
    yield 'jpeg twice the name', jpeg(name + name + six)
    yield 'jpeg xmp', jpeg(b'http://ns.adobe.com/xap/1.0/\0' + xmp(5))
    yield 'jpeg xmp and exif', jpeg(b'http://ns.adobe.com/xap/1.0/\0' + xmp(5), name + exif(entry(3)))
    yield 'jpeg xmp and exif without', jpeg(b'http://ns.adobe.com/xap/1.0/\0' + xmp(5), name + exif(entry(9, tag=271)))
    yield 'jpeg xmp and empty exif', jpeg(b'http://ns.adobe.com/xap/1.0/\0' + xmp(5), name)
    yield 'jpeg of no order', jpeg(name + exif(entry(6), begin=b'XX*\0'))
    yield 'jpeg cut', jpeg(name + six[:6])

    # Values and types: PNG is the shortest.
    for value in 0, 9, 255, 65535:
        yield f'value {value}', exif_png(exif(entry(value)))
    for kind in 1, 4, 6, 8, 9, 11, 13:
        yield f'type {kind}', exif_png(exif(entry(6, kind)))
        yield f'type {kind}, big endian', exif_png(exif(entry(6, kind, order='>'), order='>'))
    for kind in 2, 7, 0, 14, 15, 17, 255:
        yield f'type {kind}', exif_png(exif(entry(b'6\0\0\0', kind)))
    yield 'type 8, negative', exif_png(exif(entry(-6, 8)))
    yield 'type 11, 6.5', exif_png(exif(entry(6.5, 11)))
    for order in '<>':
        yield f'type 5 {order}', exif_png(outside(5, struct.pack(order + 'LL', 12, 2), order))
        yield f'type 10 {order}', exif_png(outside(10, struct.pack(order + 'll', -24, -3), order))
        yield f'type 12 {order}', exif_png(outside(12, struct.pack(order + 'd', 8), order))
        yield f'type 16 {order}', exif_png(outside(16, struct.pack(order + 'Q', 7), order))
    yield 'type 5, by 0', exif_png(outside(5, struct.pack('<LL', 6, 0)))
    yield 'type 5, a half', exif_png(outside(5, struct.pack('<LL', 13, 2)))
    yield 'type 16, large', exif_png(outside(16, struct.pack('<Q', (1 << 32) + 6)))
    yield 'two values', exif_png(exif(entry(struct.pack('<HH', 6, 3), count=2)))
    yield 'three values', exif_png(
        exif(entry(struct.pack('<L', 26), count=3), tail=b'\0\0\0\0' + struct.pack('<HHH', 8, 3, 1)))
    yield 'no values', exif_png(exif(entry(6, count=0)))
    yield 'no values, then one', exif_png(exif(entry(6, count=0), entry(3)))
    yield 'twice', exif_png(exif(entry(6), entry(3)))
    yield 'text, then a number', exif_png(exif(entry(b'6', 2), entry(3)))

    # Damage.
    for begin in b'II\0*', b'MM*\0', b'MM\0+', b'II+\0', b'IIII', b'MM\0\0':
        yield f'begins {begin.hex()}', exif_png(exif(entry(6, order='<>'[begin[0] == 77]), order='<>'[begin[0] == 77], begin=begin))
    yield 'empty', exif_png(b'')
    yield 'only a name', exif_png(name)
    for size in 1, 3, 7, 8, 9, 10, 21, 22, 25:
        yield f'cut {size}', exif_png(six[:size])
    for at in 0, 7, 9, 22, 26, 1000, 0xffffffff:
        yield f'directory at {at}', exif_png(exif(entry(6), at=at))
    yield 'directory further behind', exif_png(struct.pack('<4sLL', b'II*\0', 12, 0) + exif(entry(6))[8:])
    yield 'more entries than there are', exif_png(exif(entry(6), count=65535))
    yield 'fewer entries than there are', exif_png(exif(entry(1, tag=256), entry(6), count=1))
    far, large = struct.pack('<L', 1000), struct.pack('<L', 8)
    yield 'one far outside before', exif_png(exif(entry(far, 4, 2, tag=256), entry(6)))
    yield 'one too large before', exif_png(exif(entry(large, 4, 1000, tag=256), entry(6)))
    yield 'one of 2^35 bytes', exif_png(exif(entry(large, 12, 0xffffffff)))
    yield 'one too large, one outside', exif_png(
        exif(entry(large, 4, 1000, tag=256), entry(struct.pack('<L', 38), 12), tail=b'\0\0\0\0' + struct.pack('<d', 6)))
    yield 'outside, past the end', exif_png(outside(12, struct.pack('<d', 6))[:-1])

    # PNG: where it stands, and as text.
    yield 'png behind the pixels', png(after=chunk(b'eXIf', six))
    yield 'png grey', pillow('PNG', picture.convert('L'), exif=name + exif(entry(8)))
    yield 'png with two', png(chunk(b'eXIf', six), chunk(b'eXIf', exif(entry(8))))
    for kind, text in (b'tEXt', b'%s\0%s'), (b'iTXt', b'%s\0\0\0en\0%s'):
        key, middle = b'Raw profile type exif', b'' if kind == b'tEXt' else b'x\0'
        yield f'png {kind.decode()}', png(chunk(kind, text % (key, middle + profile(name + six))))
        yield f'png {kind.decode()} and eXIf', png(chunk(b'eXIf', exif(entry(8))) + chunk(kind, text % (key, middle + profile(six))))
    yield 'png zTXt', png(chunk(b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(profile(name + six))))
    yield 'png zTXt damaged', png(chunk(b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(profile(name + six))[3:]))
    yield 'png zTXt of 3 MB', png(chunk(b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(bytes(3 << 20))))
    yield 'png text cut', png(chunk(b'zTXt', b'Raw profile type exif') + chunk(b'iTXt', b'XML:com.adobe.xmp\0'))
    yield 'png not in digits', png(chunk(b'tEXt', b'Raw profile type exif\0\nexif\n  2\n4x4\n'))
    yield 'png xmp', png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0' + xmp(7)))
    yield 'png xmp packed', png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\1\0\0\0' + zlib.compress(xmp(7))))
    yield 'png xmp element', png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation> <tiff:Orientation>4</tiff:Orientation>'))
    yield 'png xmp 9', png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0' + xmp(9)))
    yield 'png xmp and exif 1', png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0' + xmp(7)) + chunk(b'eXIf', exif(entry(1))))
    yield 'webp xmp', pillow('WEBP', lossless=True, xmp=xmp(4))
    yield 'webp without a name', pillow('WEBP', lossless=True, exif=six)


def turned(name, file):
    try:
        return PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(file)))
    except (SyntaxError, ValueError, struct.error):  # damage over which Pillow stops, and we do not
        return PIL.Image.open(io.BytesIO(file)) if name.startswith('jpeg') else picture


def main():
    warnings.simplefilter('ignore')
    out, names = {}, []
    planes = lambda image: np.ascontiguousarray(np.asarray(image.convert('RGB')).transpose(2, 0, 1))
    for name, file in files():
        names.append(name)
        out[f'{name}/file'] = np.frombuffer(file, np.uint8)
        out[f'{name}/turned'] = planes(turned(name, file))
        if name in ('jpeg 6', 'png 6', 'webp 6'):
            out[f'{name}/plain'] = planes(PIL.Image.open(io.BytesIO(file)))
    save('exif.safetensors', out, kinds='\n'.join(names))


if __name__ == '__main__':
    main()
