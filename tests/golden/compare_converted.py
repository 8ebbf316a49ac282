#!/usr/bin/env python3
"""Loads what build/convert writes into timm, transformers and torchvision, strictly, and compares logits or features on
a picture: python3 tests/golden/compare_converted.py

The models are the small ones of make_towers.py and make_weights.py; each goes into every library that has such a model,
and comes back: read again, build/classify must say the same to the last digit. Not a part of `make test`."""
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

import PIL.Image
import safetensors.torch
import timm
import timm.data
import torch
import torchvision
import transformers

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / 'build'
FLAGS = ['--interpolation', 'bicubic', '--crop-pct', '0', '--mean', '0.5', '--std', '0.25']
TOWERS = ['clip', 'deit3', 'registers', 'gap', 'map', 'dinov2', 'no_norm', 'hf_dinov2', 'hf_siglip', 'hf_clip', 'hf_msn']


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def ours(path, picture, features):
    out = path.parent / 'seen.csv'
    what = ['--features', out] if features else ['--logits', '--format', 'json']
    done = run(BUILD / 'classify', path, picture, *what, *FLAGS)
    assert done.returncode == 0, done.stderr
    if features:
        return torch.tensor([float(x) for x in out.read_text().splitlines()[1].split(',')[1:]])
    return torch.tensor([one['logit'] for one in json.loads(done.stdout)[0]['classes']])


def theirs(library, folder, python, pixels):
    if library == 'timm':
        model = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
        strict = model.load_state_dict(safetensors.torch.load_file(folder / 'model.safetensors'), strict=True)
        return model(pixels), strict
    if library == 'torchvision':  # load_state_dict is strict
        made = dict(torchvision=torchvision, torch=torch, safetensors=safetensors, functools=functools)
        exec(python, made)
        return made['model'].eval()(pixels), None
    kind = getattr(transformers, python.split('.')[1])
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    missing = [key for key in info['missing_keys'] if 'pooler' not in key and 'mask_token' not in key]
    assert not missing and not info['unexpected_keys'] and not info['mismatched_keys'], info
    out = model.eval()(pixels)
    return (out.logits if hasattr(out, 'logits') else out.last_hidden_state[:, 0]), None


def main():
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    work = pathlib.Path(tempfile.mkdtemp())
    noise = torch.randint(256, (3, 21, 29), dtype=torch.uint8)
    PIL.Image.fromarray(noise.permute(1, 2, 0).numpy()).save(work / 'picture.png')
    wrong = 0
    for name in TOWERS:
        source = work / name
        source.mkdir()
        with safetensors.safe_open(HERE / f'tower_{name}.safetensors', 'pt') as file:
            note = json.loads(file.metadata()['golden'])
            tensors = {key: file.get_tensor(key) for key in file.keys() if key != 'X'}
        safetensors.torch.save_file(tensors, source / 'model.safetensors')
        (source / 'config.json').write_text(json.dumps(note['config']))
        features = len(note['out']) != 10
        first = ours(source / 'model.safetensors', work / 'picture.png', features)
        transform = timm.data.create_transform((3, 16, 16), mean=(0.5,) * 3, std=(0.25,) * 3, interpolation='bicubic',
                                               crop_pct=1, crop_mode='squash')
        pixels = transform(PIL.Image.open(work / 'picture.png'))[None]
        for library in 'timm', 'transformers', 'torchvision':
            folder = work / f'{name}-{library}'
            done = run(BUILD / 'convert', source / 'model.safetensors', '--to', library, '-o', folder, *FLAGS)
            if done.returncode:
                print(f'{name:12} {library:13} refused  {done.stderr.strip().split("[convert] ")[-1][:110]}')
                continue
            other, _ = theirs(library, folder, done.stdout.strip(), pixels)
            off = (other.flatten() - first).abs().max().item()
            flags = ['--num-heads', '4', '--img-size', '16'] if library == 'torchvision' else []
            again = run(BUILD / 'convert', folder / 'model.safetensors', '--to', library, '-o', work / f'{name}-{library}-again', *FLAGS, *flags)
            same = again.returncode == 0 and (work / f'{name}-{library}-again/model.safetensors').read_bytes() == (folder / 'model.safetensors').read_bytes()
            ok = off < 1e-5 and same
            wrong += not ok
            print(f'{name:12} {library:13} {"right" if ok else "WRONG"}    off {off:.1e}, and back to the bit: {same} {again.stderr.strip()[-150:] if not same else ""}')
    print('wrong:', wrong)
    sys.exit(wrong > 0)


if __name__ == '__main__':
    main()
