#!/usr/bin/env python3
"""Writes the golden files beside this script. README.md says what is in them.

All numbers are computed in float64 from weights and inputs that are exactly float32; only the results are rounded.
"""
import gzip
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL.Image
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from chapter import MultiHeadAttention, PatchEmbedding, ViT, ViTBlock, masked_softmax

HERE = pathlib.Path(__file__).resolve().parent
FASHION_MNIST = '/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz'

# ---- Writing -----------------------------------------------------------------------------------------------------

def save(name, tensors, **metadata):
    """A safetensors file: u64 header size | JSON header, padded with spaces | data. Entries are sorted by name."""
    codes = {'float32': 'F32', 'float64': 'F64', 'int32': 'I32', 'uint8': 'U8'}
    header = {'__metadata__': {key: str(value) for key, value in metadata.items()}}
    data = b''
    for key in sorted(tensors):
        array = to_numpy(tensors[key])
        begin, data = len(data), data + array.tobytes()
        header[key] = {'dtype': codes[array.dtype.name], 'shape': array.shape, 'data_offsets': [begin, len(data)]}
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack('<Q', len(text)) + text + data)
    print(f'{name:28} {8 + len(text) + len(data):7} bytes, {len(tensors)} tensors')


def to_numpy(x):
    """float64 becomes F32, integers I32, bytes U8. A NumPy float64 (see f64) stays F64."""
    if isinstance(x, np.ndarray):
        return x
    x = x.detach().contiguous().numpy()
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.int64:
        return x.astype(np.int32)
    if x.size and np.abs(x).max() < 1e-12:  # zero but for rounding, such as the gradient of W_k.bias
        x = np.zeros_like(x)
    return x.astype(np.float32)


def f64(x):
    """Losses and norms keep all their digits."""
    return np.array(x.item() if torch.is_tensor(x) else x, dtype=np.float64)

# ---- Random numbers ----------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)


def seed(s):
    """Each file has its own seed, so that a change in one leaves the others as they are."""
    global rng
    rng = np.random.default_rng(s)


def randn(*shape, mean=0.0, scale=1.0):
    """Normal numbers that are exactly float32, as float64."""
    return torch.from_numpy((mean + scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64))


def randint(high, *shape):
    return torch.from_numpy(rng.integers(high, size=shape))


def randomised(model):
    """Draws every parameter anew: nothing stays 0 or 1, where a bug could hide."""
    model = model.double().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(('cls_token', 'pos_embedding')):
                p.copy_(randn(*p.shape))
            elif p.dim() > 1:
                p.copy_(randn(*p.shape, scale=p[0].numel() ** -0.5))
            elif name.endswith(('ln1.weight', 'ln2.weight', 'head.0.weight')):
                p.copy_(randn(*p.shape, mean=1, scale=0.25))
            else:
                p.copy_(randn(*p.shape, scale=0.25))
    return model

# ---- Helpers -----------------------------------------------------------------------------------------------------

def weights_of(model):
    return {f'weights/{name}': p.detach().clone() for name, p in model.named_parameters()}


def grads_of(model, prefix=''):
    """Copies: the next backward writes into the same p.grad."""
    return {f'{prefix}grads/{name}': p.grad.clone() for name, p in model.named_parameters()}


def vjp(f, inputs, dY):
    """Y = f(*inputs), and the gradient of <Y, dY> for each input."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    Y = f(*inputs)
    return Y, torch.autograd.grad(Y, inputs, dY)


def under(prefix, **tensors):
    return {f'{prefix}/{name}': x for name, x in tensors.items()}

# ---- Whole models ------------------------------------------------------------------------------------------------

SQUARE = dict(img_size=12, patch_size=4, num_hiddens=24, mlp_num_hiddens=48, num_heads=4, num_blks=2,
              use_bias=False, num_classes=10, num_channels=1, pool='token')


def vit(config):
    return randomised(ViT(emb_dropout=0, blk_dropout=0, **config))


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def golden_vit(file, s, batch, config):
    seed(s)
    model = vit(config)
    (img_h, img_w), (patch_h, patch_w) = pair(config['img_size']), pair(config['patch_size'])
    X = randn(batch, config['num_channels'], img_h, img_w)
    y = randint(config['num_classes'], batch)
    logits = model(X)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    smoothed = F.cross_entropy(logits, y, label_smoothing=0.1)
    metadata = dict(config, img_size=f'{img_h} {img_w}', patch_size=f'{patch_h} {patch_w}', batch_size=batch,
                    use_bias=int(config['use_bias']))
    save(file, {'X': X, 'y': y, 'logits': logits, 'loss': f64(loss), 'loss_smoothed': f64(smoothed),
                **weights_of(model), **grads_of(model)}, **metadata)


def golden_sgd():
    """20 steps of SGD from the weights in vit_square.safetensors."""
    steps, batch = 20, 8
    seed(1)
    model = vit(SQUARE)  # the same seed and the same first draws as vit_square
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    seed(2)
    X, y = randn(steps, batch, 1, 12, 12), randint(10, steps, batch)
    runs = {'plain': dict(lr=0.1), 'momentum': dict(lr=0.05, momentum=0.9),
            'nesterov': dict(lr=0.05, momentum=0.9, nesterov=True), 'weight_decay': dict(lr=0.1, weight_decay=0.05),
            'all': dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
            'clip': dict(lr=0.1, max_norm=0.5),  # clips in every step
            'clip_some': dict(lr=0.1, max_norm=2.5)}  # only in some
    out = {'X': X, 'y': y}
    for run, config in runs.items():
        config = dict(config)
        max_norm = config.pop('max_norm', None)
        model.load_state_dict(start)
        sgd = torch.optim.SGD(model.parameters(), **config)
        losses, norms = [], []
        for i in range(steps):
            loss = F.cross_entropy(model(X[i]), y[i])
            sgd.zero_grad()
            loss.backward()
            if max_norm is not None:
                norms.append(nn.utils.clip_grad_norm_(model.parameters(), max_norm).item())
            sgd.step()
            losses.append(loss.item())
        out[f'{run}/loss'] = f64(losses)
        if max_norm is not None:
            out[f'{run}/total_norm'] = f64(norms)
        if run == 'all':
            out.update({f'{run}/{name}': p for name, p in weights_of(model).items()})
    text = {run: ' '.join(f'{key}={float(value):g}' for key, value in config.items()) for run, config in runs.items()}
    save('sgd.safetensors', out, steps=steps, batch_size=batch, weights='vit_square.safetensors', **text)


def write_names():
    model = ViT(96, 16, 512, 2048, 8, 2, 0.1, 0.1)
    assert sum(p.numel() for p in model.parameters()) == 6_457_866
    lines = [' '.join([name, *map(str, p.shape)]) + '\n' for name, p in model.named_parameters()]
    (HERE / 'vit_names.txt').write_text(''.join(lines))

# ---- Blocks ------------------------------------------------------------------------------------------------------

def golden_block(file, use_bias):
    """The chapter's shape check, with numbers. One file for each use_bias; the keys differ only in the biases."""
    seed(3)
    batch, steps = 2, 100
    block = randomised(ViTBlock(24, 24, 48, 8, 0.5, use_bias))
    seed(4)
    X, dY = randn(batch, steps, 24), randn(batch, steps, 24)
    two_d = 1 + randint(steps, batch, steps)
    two_d[0, 0], two_d[0, 1], two_d[1, 99] = 0, 150, 1
    out = {'X': X, 'dY': dY, **weights_of(block)}
    for case, valid_lens in {'none': None, '1d': torch.tensor([37, 150]), '2d': two_d}.items():
        block.zero_grad()
        Xg = X.clone().requires_grad_()
        Y = block(Xg, valid_lens)
        Y.backward(dY)
        out.update(under(case, Y=Y, dX=Xg.grad))
        out.update(grads_of(block, f'{case}/'))
        if valid_lens is not None:
            out[f'{case}/valid_lens'] = valid_lens
    save(file, out, num_hiddens=24, norm_shape=24, mlp_num_hiddens=48, num_heads=8, dropout=0.5, mode='eval',
         use_bias=int(use_bias))


def formula(salt, *shape):
    """Numbers in [-0.5, 0.5) that any language can make again, bit by bit."""
    i = np.arange(np.prod(shape), dtype=np.uint64)
    bits = (i * np.uint64(2654435761) + np.uint64(salt * 1013904223)) % np.uint64(2 ** 32) >> np.uint64(8)
    return torch.from_numpy(bits.astype(np.float64) * 2.0 ** -24 - 0.5).reshape(shape)


def golden_patch_embedding():
    stride = 97
    emb = PatchEmbedding(96, 16, 512, 3).double()
    with torch.no_grad():
        emb.conv.weight.copy_(formula(1, 512, 3, 16, 16) / 16)
        emb.conv.bias.copy_(formula(2, 512))
    X, dY = formula(3, 4, 3, 96, 96).requires_grad_(), formula(4, 4, 36, 512)
    Y = emb(X)
    assert Y.shape == (4, 36, 512)
    Y.backward(dY)
    every = lambda x: x.reshape(-1)[::stride]
    save('patch_embedding.safetensors',
         {'Y': every(Y), 'dW': every(emb.conv.weight.grad), 'dX': every(X.grad), 'db': emb.conv.bias.grad},
         img_size='96 96', patch_size='16 16', num_hiddens=512, num_channels=3, batch_size=4, stride=stride,
         formula='float32(((i * 2654435761 + salt * 1013904223) mod 2^32 >> 8) * 2^-24 - 0.5)',
         salts='weight 1 (then times 1/16), bias 2, X 3, dY 4')

# ---- Layers ------------------------------------------------------------------------------------------------------

CONVS = {  # X shape, W shape, bias?, then stride, padding, dilation, groups
    'patch': ((2, 3, 6, 8), (5, 3, 3, 4), True, (3, 4), (0, 0), (1, 1), 1),
    'plain': ((1, 2, 5, 7), (3, 2, 3, 3), False, (1, 1), (0, 0), (1, 1), 1),
    'one_by_one': ((2, 3, 5, 3), (7, 3, 1, 1), True, (1, 1), (0, 0), (1, 1), 1),
    'rect': ((2, 3, 8, 9), (5, 3, 3, 5), True, (2, 3), (1, 2), (1, 1), 1),  # stride leaves a rest in both axes
    'dilation': ((1, 3, 9, 7), (2, 3, 3, 2), False, (1, 2), (2, 1), (2, 3), 1),
    'groups': ((2, 6, 5, 7), (9, 2, 3, 3), True, (2, 1), (1, 0), (1, 1), 3),
    'depthwise': ((2, 5, 7, 5), (5, 1, 3, 3), True, (1, 1), (1, 1), (1, 1), 5),
    'depthwise_x2': ((1, 3, 6, 7), (6, 1, 2, 3), False, (1, 2), (1, 1), (2, 1), 3),
}


def conv2d_cases():
    out = {}
    for case, (x_shape, w_shape, bias, stride, padding, dilation, groups) in CONVS.items():
        inputs = [randn(*x_shape), randn(*w_shape)] + ([randn(w_shape[0])] if bias else [])
        conv = lambda X, W, b=None: F.conv2d(X, W, b, stride, padding, dilation, groups)
        dY = randn(*conv(*inputs).shape)
        Y, grads = vjp(conv, inputs, dY)
        geometry = torch.tensor([*stride, *padding, *dilation, groups])
        out.update(under(f'conv2d/{case}', geometry=geometry, dY=dY, Y=Y, **dict(zip(('X', 'W', 'b'), inputs)),
                         **dict(zip(('dX', 'dW', 'db'), grads))))
    return out


def layer_norm_cases():
    """In the case `small` the rows have a variance near eps, so a wrong eps shows."""
    out = {}
    for case, scale in {'usual': 1.0, 'small': 2.0 ** -8}.items():
        X, W, b, dY = randn(3, 5, 7) * scale, randn(7), randn(7), randn(3, 5, 7)
        Y, (dX, dW, db) = vjp(lambda X, W, b: F.layer_norm(X, (7,), W, b, eps=1e-5), (X, W, b), dY)
        out.update(under(f'layer_norm/{case}', X=X, W=W, b=b, dY=dY, Y=Y, dX=dX, dW=dW, db=db))
    return out


def gelu_cases():
    X = torch.arange(-640, 641, dtype=torch.float64) / 64  # exact in float32
    out = {'gelu/X': X}
    for case, approximate in {'erf': 'none', 'tanh': 'tanh'}.items():
        Y, (derivative,) = vjp(lambda X: F.gelu(X, approximate=approximate), (X,), torch.ones_like(X))
        out.update(under(f'gelu/{case}', Y=Y, derivative=derivative))
    return out


def softmax_cases():
    """One row of X lies near 1000: exp without the shift by the maximum overflows there."""
    X, dY = randn(3, 5, 7) * 2, randn(3, 5, 7)
    X[1, 2] = (X[1, 2] + 1000).float().double()
    Y, (dX,) = vjp(lambda X: F.softmax(X, -1), (X,), dY)
    out = under('softmax', X=X, dY=dY, Y=Y, dX=dX)
    out.update(under('masked_softmax', X=X, dY=dY))
    lens = {'1d': torch.tensor([2, 0, 9]), '2d': torch.tensor([[1, 7, 0, 3, 5], [2, 2, 6, 8, 1], [4, 0, 7, 1, 3]])}
    for case, valid_lens in lens.items():
        Y, (dX,) = vjp(lambda X: masked_softmax(X, valid_lens), (X,), dY)
        out.update(under(f'masked_softmax/{case}', valid_lens=valid_lens, Y=Y, dX=dX))
    return out


def cross_entropy_cases():
    logits, y = randn(5, 7) * 2, randint(7, 5)
    out = under('cross_entropy', logits=logits, y=y)
    for case, smoothing in {'plain': 0.0, 'smoothed': 0.1}.items():
        loss, (grad,) = vjp(lambda Z: F.cross_entropy(Z, y, label_smoothing=smoothing), (logits,), None)
        out.update(under(f'cross_entropy/{case}', loss=f64(loss), dlogits=grad))
    return out


def attention_cases():
    """3 queries, 5 keys; queries, keys and values all differ."""
    mha = randomised(MultiHeadAttention(15, 3, 0.5, bias=True))
    inputs = dict(queries=randn(2, 3, 15), keys=randn(2, 5, 15), values=randn(2, 5, 15))
    dY = randn(2, 3, 15)
    out = under('attention', dY=dY, **inputs)
    out.update({f'attention/{name}': p for name, p in weights_of(mha).items()})
    lens = {'none': None, '1d': torch.tensor([3, 7]), '2d': torch.tensor([[1, 5, 0], [4, 2, 9]])}
    for case, valid_lens in lens.items():
        mha.zero_grad()
        leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
        Y = mha(**leaves, valid_lens=valid_lens)
        Y.backward(dY)
        out[f'attention/{case}/Y'] = Y
        out.update({f'attention/{case}/d{name}': x.grad for name, x in leaves.items()})
        out.update(grads_of(mha, f'attention/{case}/'))
        if valid_lens is not None:
            out[f'attention/{case}/valid_lens'] = valid_lens
    return out


def golden_layers():
    seed(7)
    save('layers.safetensors', {**conv2d_cases(), **layer_norm_cases(), **gelu_cases(), **softmax_cases(),
                                **cross_entropy_cases(), **attention_cases()},
         geometry='stride_h stride_w pad_h pad_w dil_h dil_w groups', layer_norm_eps=1e-5, label_smoothing=0.1,
         attention='num_hiddens 15, num_heads 3, use_bias 1')

# ---- Images ------------------------------------------------------------------------------------------------------

def golden_resize():
    """torchvision's Resize on PIL images: bilinear, antialiased. Sizes are height x width."""
    seed(8)
    with gzip.open(FASHION_MNIST) as f:
        gray = np.frombuffer(f.read(16 + 4 * 28 * 28)[16:], np.uint8).reshape(4, 28, 28)
    rgb = rng.integers(256, size=(1, 13, 19, 3), dtype=np.uint8)

    def resized(images, *size):
        resize = torchvision.transforms.Resize(size)
        return np.stack([np.asarray(resize(PIL.Image.fromarray(image))) for image in images])

    planar = lambda image: np.ascontiguousarray(image[0].transpose(2, 0, 1))
    out = {'gray/X': gray, 'rgb/X': planar(rgb)}
    for h, w in (96, 96), (20, 20), (31, 17), (28, 28):
        out[f'gray/{h}x{w}'] = resized(gray, h, w)
    for h, w in (32, 24), (7, 5):
        out[f'rgb/{h}x{w}'] = planar(resized(rgb, h, w))
    save('resize.safetensors', out, filter='bilinear, antialiased, PIL', names='height x width',
         gray='Fashion-MNIST test images 0 to 3', rgb='random bytes')


def golden_preprocess():
    """torchvision's Resize, CenterCrop, ToTensor and Normalize on PIL images, as timm uses them for evaluation."""
    seed(9)
    rgb = rng.integers(256, size=(41, 57, 3), dtype=np.uint8)
    rgb[10:30, 12:40] = 255, 0, 90  # an edge at which bicubic overshoots
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    T, modes = torchvision.transforms, {'bilinear': 2, 'bicubic': 3}
    planar = lambda image: np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    pictures = {'wide': PIL.Image.fromarray(rgb), 'tall': PIL.Image.fromarray(rgb.transpose(1, 0, 2))}
    out = {f'{shape}/X': planar(picture) for shape, picture in pictures.items()}
    for shape, mode, h, w in ('wide', 'bicubic', 41, 90), ('tall', 'bicubic', 17, 11), ('wide', 'bicubic', 64, 64):
        out[f'{shape}/{mode}/{h}x{w}'] = planar(pictures[shape].resize((w, h), modes[mode]))
    for shape, mode, size, crop_pct in (('wide', 'bicubic', 24, .9), ('tall', 'bicubic', 48, .875),
                                        ('tall', 'bilinear', 25, .9), ('wide', 'bilinear', 20, 1)):
        image = T.Resize(int(size / crop_pct), T.InterpolationMode(mode))(pictures[shape])
        image = T.CenterCrop(size)(image)
        out[f'{shape}/{mode}/{size}/{crop_pct}'] = planar(image)
    out['numbers'] = T.Normalize(mean, std)(T.ToTensor()(image))
    save('preprocess.safetensors', out, names='shape/filter/height x width, or shape/filter/size/crop_pct',
         numbers='the last, ToTensor and Normalize', mean=mean, std=std)


def png16(pixels):
    """A PNG of 16 bits a channel, which Pillow does not write: (H, W) or (H, W, 3)."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    (h, w), color = pixels.shape[:2], 0 if pixels.ndim == 2 else 2
    lines = b''.join(b'\0' + line.astype('>u2').tobytes() for line in pixels)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 16, color, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(lines)) + chunk(b'IEND', b''))


def golden_pictures():
    """Small JPEG and PNG files of each kind, and what Pillow reads from them as RGB and as grey, (C, H, W)."""
    seed(10)
    y, x = np.mgrid[0:19, 0:37]
    smooth = np.stack([128 + 100 * np.sin(x / 5), 128 + 100 * np.cos(y / 4), 60 + 3 * x + 2 * y], -1)
    rgb = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    alpha = rng.integers(256, size=rgb.shape[:2] + (1,), dtype=np.uint8)
    color, grey = PIL.Image.fromarray(rgb), PIL.Image.fromarray(rgb).convert('L')
    files = {}

    def add(name, image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        files[name] = file.getvalue()

    add('jpeg 4:2:0', color, 'JPEG', quality=90)
    add('jpeg 4:4:4', color, 'JPEG', quality=90, subsampling=0)
    add('jpeg progressive', color, 'JPEG', quality=80, progressive=True)
    add('jpeg grey', grey, 'JPEG', quality=90)
    add('jpeg cmyk', color.convert('CMYK'), 'JPEG', quality=95, subsampling=0)
    add('png rgb', color, 'PNG')
    add('png grey', grey, 'PNG')
    add('png rgba', PIL.Image.fromarray(np.concatenate([rgb, alpha], -1)), 'PNG')
    add('png grey alpha', PIL.Image.fromarray(np.concatenate([np.asarray(grey)[:, :, None], alpha], -1)), 'PNG')
    add('png palette', color.quantize(16), 'PNG')
    add('png palette transparent', color.quantize(16), 'PNG', transparency=3)
    add('png 1 bit', grey.convert('1'), 'PNG')
    out = {}
    for name, file in files.items():
        image = PIL.Image.open(io.BytesIO(file))
        out[f'{name}/file'] = np.frombuffer(file, np.uint8)
        out[f'{name}/rgb'] = np.ascontiguousarray(np.asarray(image.convert('RGB')).transpose(2, 0, 1))
        out[f'{name}/grey'] = np.asarray(image.convert('RGB').convert('L'))[None]
    deep = rng.integers(65536, size=rgb.shape)
    out['png 16 bits/file'] = np.frombuffer(png16(deep), np.uint8)
    out['png 16 bits/rgb'] = np.ascontiguousarray((deep >> 8).astype(np.uint8).transpose(2, 0, 1))
    out['png 16 bits grey/file'] = np.frombuffer(png16(deep[:, :, 0]), np.uint8)
    out['png 16 bits grey/grey'] = (deep[:, :, 0] >> 8).astype(np.uint8)[None]
    save('pictures.safetensors', out)


def main():
    print('PyTorch', torch.__version__, 'torchvision', torchvision.__version__, 'Pillow', PIL.__version__)
    torch.set_num_threads(1)
    golden_vit('vit_square.safetensors', 1, 3, SQUARE)
    golden_vit('vit_rect_bias.safetensors', 5, 2, dict(
        img_size=(12, 8), patch_size=(4, 2), num_hiddens=16, mlp_num_hiddens=40, num_heads=2, num_blks=3,
        use_bias=True, num_classes=5, num_channels=3, pool='token'))
    golden_vit('vit_avg.safetensors', 6, 2, dict(
        img_size=(6, 9), patch_size=3, num_hiddens=10, mlp_num_hiddens=14, num_heads=2, num_blks=2,
        use_bias=False, num_classes=3, num_channels=2, pool='avg'))
    golden_block('block.safetensors', use_bias=False)
    golden_block('block_bias.safetensors', use_bias=True)
    golden_patch_embedding()
    golden_layers()
    golden_sgd()
    golden_resize()
    golden_preprocess()
    golden_pictures()
    write_names()


if __name__ == '__main__':
    main()
