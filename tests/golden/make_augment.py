#!/usr/bin/env python3
"""Writes augment.safetensors beside this script: what torchvision, timm and Pillow make of pictures, with our random
words in place of theirs. README.md says what is in it."""
import json
import math
import types
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
import timm.data.auto_augment
import timm.data.mixup
import timm.loss
import torchvision.transforms as T

from make_golden import save

F = T.functional

MASK = 2**32 - 1
FLIP_AND_SHIFT, ERASING, NOISE, MIXING, POLICY, JITTER, CROP = range(7)  # WordsFor
KEY, NUMBER = 3, 5  # the draw


class Words:
    """data/images/random_words.h"""

    def __init__(self, i, use):
        self.block, self.words = use << 56 | i, []

    def word(self):
        if not self.words:
            c = [self.block & MASK, self.block >> 32, NUMBER & MASK, NUMBER >> 32]
            k0, k1 = KEY & MASK, KEY >> 32
            for _ in range(10):
                p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [p1 >> 32 ^ c[1] ^ k0, p1 & MASK, p0 >> 32 ^ c[3] ^ k1, p0 & MASK]
                k0, k1 = k0 + 0x9E3779B9 & MASK, k1 + 0xBB67AE85 & MASK
            self.words, self.block = c, self.block + 2**32
        return self.words.pop(0)

    def uniform(self, low=0., high=1.):
        return low + (high - low) * (self.word() * 2.**-32)

    def below(self, n):
        return self.word() * n >> 32

    def normal(self):
        radius = math.sqrt(-2 * math.log((self.word() + 1) * 2.**-32))
        return radius * math.cos(2 * math.pi * self.uniform())


class OurNumbers:
    """torch's random functions give the words of picture i."""

    def __init__(self, i, use, noise=NOISE):
        self.words, self.noise = Words(i, use), Words(i, noise)

    def __enter__(self):
        self.kept = torch.rand, torch.randint, torch.randperm, torch.Tensor.uniform_, torch.Tensor.normal_
        torch.rand = lambda n: torch.tensor([self.words.uniform()] * n, dtype=torch.float64)
        torch.randint = self.randint
        torch.randperm = self.randperm
        torch.Tensor.uniform_ = lambda t, low, high: t.fill_(self.words.uniform(low, high))
        torch.Tensor.normal_ = lambda t: t.copy_(torch.tensor([self.noise.normal() for _ in range(t.numel())]).view_as(t))
        return self.words

    def __exit__(self, *_):
        torch.rand, torch.randint, torch.randperm, torch.Tensor.uniform_, torch.Tensor.normal_ = self.kept

    def randint(self, low, high=None, size=None, dtype=None):
        if size is None:  # randint(high, size)
            low, high = 0, low
        return torch.tensor([low + self.words.below(high - low)])

    def randperm(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.words.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return torch.tensor(order)


rng = np.random.default_rng(7)
H, W = 17, 22
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([110 + 90 * np.sin(x / 3), 120 + 80 * np.cos(y / 2), 20 + 6 * x + 4 * y], -1)
color = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
rgb = PIL.Image.fromarray(color)
grey = rgb.convert('L')
tensors, meta = {}, {}


def planes(image):
    a = np.asarray(image)
    return np.ascontiguousarray(a.transpose(2, 0, 1) if a.ndim == 3 else a[None])


def crops():
    for padding in 3, 40:
        seen = []
        for i in range(4):
            with OurNumbers(i, FLIP_AND_SHIFT) as words:
                words.word()  # the flip's
                seen.append(planes(T.RandomCrop((H, W), padding, padding_mode='reflect')(rgb)))
        tensors[f'reflect/{padding}'] = np.stack(seen)


def erased():
    picture = T.functional.normalize(T.functional.to_tensor(rgb), [.5, .4, .3], [.2, .3, .4])
    tensors['normalized'] = picture.numpy()
    for mode, value in ('constant', 0), ('pixel', 'random'):
        seen = []
        for i in range(4):
            with OurNumbers(i, ERASING):
                seen.append(T.RandomErasing(.7, value=value)(picture).numpy())
        tensors[f'erase/{mode}'] = np.stack(seen)


def beta(words, a):
    u, cosine = 1 - words.uniform(), math.cos(2 * math.pi * words.uniform())
    t2 = (u**(-1 / a) - 1) * cosine * cosine
    return (1 + math.copysign(1 / math.sqrt(1 + 1 / t2), cosine)) / 2


class Numbers:
    """The same for timm, which takes numpy's."""

    def __init__(self, words):
        self.words, self.taken = words, {name: getattr(np.random, name) for name in ('rand', 'beta', 'randint')}

    def __enter__(self):
        np.random.rand = self.words.uniform
        np.random.beta = lambda a, b: beta(self.words, a)
        np.random.randint = lambda low, high, size=None: low + self.words.below(high - low)

    def __exit__(self, *_):
        for name, function in self.taken.items():
            setattr(np.random, name, function)


def mixed():
    """Batches of 4 pictures of 5 x 6; the loss of the logits."""
    pictures, labels = tensors['mix/X'], torch.tensor([2, 0, 1, 2])
    logits = torch.from_numpy(rng.normal(size=(4, 3)))
    tensors['mix/logits'] = logits
    for name, args in (('mixup', dict(mixup_alpha=.3)), ('cutmix', dict(mixup_alpha=0., cutmix_alpha=1.)),
                       ('both', dict(mixup_alpha=.2, cutmix_alpha=2., prob=.8, switch_prob=.4))):
        seen, targets, losses = [], [], []
        for i in range(8):
            for smoothing in .1, 0.:
                mix = timm.data.mixup.Mixup(num_classes=3, label_smoothing=smoothing, **args)
                with Numbers(Words(i, MIXING)):
                    X, q = mix(torch.from_numpy(pictures).clone(), labels)
                if smoothing:
                    losses.append(timm.loss.SoftTargetCrossEntropy()(logits, q).item())
            seen.append(X.numpy())
            targets.append(q.numpy())
        tensors[f'mix/{name}/X'], tensors[f'mix/{name}/targets'] = np.stack(seen), np.stack(targets)
        tensors[f'mix/{name}/loss'] = np.array(losses)


def noise(height, width, channels):
    """tests/data/files.h"""
    state, numbers = 1, []
    for _ in range(height * width * channels):
        state = (state * 1664525 + 1013904223) & MASK
        numbers.append(state >> 24)
    a = np.array(numbers, np.uint8).reshape(channels, height, width)
    return PIL.Image.fromarray(a[0] if channels == 1 else np.ascontiguousarray(a.transpose(1, 2, 0)))


# Pictures of colours near one another, of all colours, square, tiny, and even.
pictures = {'rgb': rgb, 'grey': grey, 'noise': noise(48, 80, 3), 'square': noise(32, 32, 1), 'tiny': noise(2, 3, 3),
            'one': noise(1, 1, 3), 'even': PIL.Image.new('RGB', (6, 5), (9, 0, 255)),
            'narrow': grey.point(lambda i: 100 + i // 8)}


def crc(images):
    return zlib.crc32(b''.join(planes(image).tobytes() for image in images))


def operations():
    factors = [0., .1, .3, .73, 1., 1.27, 1.9, 3.5]
    sheared = [-.99, -.3, -.09, 0., .012, .3, .7]
    shear = lambda p, x, y: F.affine(p, 0., [0, 0], 1., [math.degrees(math.atan(x)), math.degrees(math.atan(y))],
                                     center=[0, 0])
    of = {
        'brightness': [lambda p, f=f: F.adjust_brightness(p, f) for f in factors],
        'contrast': [lambda p, f=f: F.adjust_contrast(p, f) for f in factors],
        'saturation': [lambda p, f=f: F.adjust_saturation(p, f) for f in factors],
        'sharpness': [lambda p, f=f: F.adjust_sharpness(p, f) for f in factors],
        'hue': [lambda p, f=f: F.adjust_hue(p, f) for f in (-.5, -.21, -.001, 0., .1, .33, .5)],
        'invert': [F.invert],
        'posterize': [lambda p, b=b: F.posterize(p, b) for b in range(1, 9)],
        'solarize': [lambda p, t=t: F.solarize(p, t) for t in (0., 76.5, 128., 178.5, 255.)],
        'autocontrast': [F.autocontrast],
        'equalize': [F.equalize],
        'shear_x': [lambda p, s=s: shear(p, s, 0.) for s in sheared],
        'shear_y': [lambda p, s=s: shear(p, 0., s) for s in sheared],
        'translate': [lambda p, x=x, y=y: F.affine(p, 0., [x, y], 1., [0., 0.]) for x, y in ((0, 0), (3, 0), (-5, 2), (0, 99))],
        'rotate': [lambda p, d=d: F.rotate(p, d) for d in (-135., -90., -13.5, 0., 9., 30., 90., 121.5)],
    }
    meta['operations'] = json.dumps({name: {key: crc(f(p) for f in fs) for key, p in pictures.items()}
                                     for name, fs in of.items()})


def policies():
    seen = {}
    for key, p in pictures.items():
        for name, policy in (('rand_augment 9', T.RandAugment()), ('rand_augment 30', T.RandAugment(3, 30)),
                             ('rand_augment 4', T.RandAugment(2, 4)), ('trivial_augment_wide', T.TrivialAugmentWide())):
            images = []
            for i in range(400):
                with OurNumbers(i, POLICY):
                    images.append(policy(p))
            seen.setdefault(name, {})[key] = crc(images)
    meta['policies'] = json.dumps(seen)


def timm_policy():
    """rand-m9-mstd0.5-inc1 and a weaker one, filled with the bytes 124, 116, 104. Without bits there is nothing left."""
    posterize = PIL.ImageOps.posterize
    PIL.ImageOps.posterize = lambda image, bits: posterize(image, bits) if bits else image.point(lambda i: 0)
    random, choice, seen = timm.data.auto_augment.random, np.random.choice, {}
    for key, p in pictures.items():
        for config, interpolation in (('rand-m9-mstd0.5-inc1', 3), ('rand-m4-n3-mstd0.5-inc1', 2)):
            fill = (124, 116, 104) if p.mode == 'RGB' else 124
            policy = timm.data.auto_augment.rand_augment_transform(config, {'img_mean': fill, 'interpolation': interpolation})
            images = []
            for i in range(400):
                words = Words(i, POLICY)
                np.random.choice = lambda ops, n, replace, p: [ops[words.below(len(ops))] for _ in range(n)]
                timm.data.auto_augment.random = types.SimpleNamespace(
                    random=words.uniform, gauss=lambda mean, deviation: mean + deviation * words.normal())
                images.append(policy(p))
            seen.setdefault(config, {})[key] = crc(images)
    PIL.ImageOps.posterize, timm.data.auto_augment.random, np.random.choice = posterize, random, choice
    meta['timm_policies'] = json.dumps(seen)


def photographs():
    jitter, seen = T.ColorJitter(.4, .3, 1.5, .1), {}
    for key, p in pictures.items():
        images = []
        for i in range(50):
            with OurNumbers(i, JITTER):
                images.append(jitter(p))
        seen[key] = crc(images)
    meta['color_jitter'] = json.dumps(seen)
    boxes = []
    for width, height in (22, 17), (500, 375), (3, 100), (100, 3), (1, 1):
        for i in range(20):
            with OurNumbers(i, CROP):
                boxes.append(T.RandomResizedCrop.get_params(PIL.Image.new('L', (width, height)), (.08, 1.), (3 / 4, 4 / 3)))
    tensors['resized_crop'] = torch.tensor(boxes)


tensors['mix/X'] = rng.normal(size=(4, 2, 5, 6)).astype(np.float32)
tensors['rgb'], tensors['grey'] = planes(rgb), planes(grey)
crops()
erased()
mixed()
operations()
policies()
timm_policy()
photographs()
save('augment.safetensors', tensors, **meta)
