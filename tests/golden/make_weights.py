#!/usr/bin/env python3
"""Writes the golden files of foreign weights beside this script. README.md says what is in them.

Each is written by the library whose format or model it is. As in make_golden.py, results are computed in float64 from
weights and inputs that are exactly float32.
"""
import json
import math
import pathlib
import tempfile

import numpy
import safetensors.torch
import timm
import torch
import torchvision
import transformers
from timm.layers import resample_abs_pos_embed
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent


def save(name, tensors, metadata=None):
    """At most one note: safetensors writes several in an order that differs each time."""
    path = HERE / f'{name}.safetensors'
    safetensors.torch.save_file({key: x.contiguous() for key, x in tensors.items()}, path, metadata)
    path.chmod(0o644)
    print(f'{path.name:32} {path.stat().st_size:7} bytes, {len(tensors)} tensors')


def written_by_safetensors():
    """Every type that we read, with the numbers that convert badly; and a file to be met to the byte."""
    half = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 2.0 ** -14, 2.0 ** -24, -3 * 2.0 ** -24, 1023 * 2.0 ** -24,
                         torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    single = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7
    tensors = {'F32': single, 'F64': single.double() / 3, 'F16': half.half(), 'BF16': half.bfloat16(), 'F16 as F64': half,
               'BF16 as F64': half.to(torch.bfloat16).double(), 'scalar': torch.tensor(-1.5),
               'a "name", \\ and\nüñ 名 😀': torch.ones(1, 1, 1, 1, 1, 2)}
    save('python_types', tensors, {'note': 'a "note"\n'})
    save('python_f32', {'head.bias': torch.tensor([0.5, -1.0]), 'a': single.clone(), 'Z': torch.tensor(3.0)},
         {'format': 'pt'})

# ---- Models ------------------------------------------------------------------------------------------------------

SIZE, PATCH, WIDTH, HIDDEN, HEADS, BLOCKS, CLASSES = 24, 8, 16, 24, 2, 2, 5
OTHER_SIZE = (40, 16)


def randomised(model):
    """Draws every parameter anew: nothing stays 0 or 1, where a bug could hide."""
    for name, p in model.named_parameters():
        scale = p[0].numel() ** -0.5 if p.dim() == 2 or p.dim() == 4 else 0.25 if p.dim() == 1 else 1
        p.data = torch.randn(p.shape) * scale + (1 if p.dim() == 1 and name.endswith('weight') else 0)
    return model.eval()


def golden(**items):
    """The note in which a file of weights has what the model computes."""
    return {'golden': json.dumps({key: x.flatten().tolist() if torch.is_tensor(x) else x for key, x in items.items()})}


def resized(positions, tokens, to):
    """timm's resample_abs_pos_embed, in the precision of its argument."""
    side = math.isqrt(positions.shape[1] - tokens)
    grid = positions[:, tokens:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=to, mode='bicubic', antialias=True)
    result = torch.cat([positions[:, :tokens], grid.flatten(2).transpose(1, 2)], 1)
    timms = resample_abs_pos_embed(positions.float(), to, num_prefix_tokens=tokens)
    assert torch.allclose(result.float(), timms, atol=1e-5)
    return result


def resized_state(model, tokens, to):
    """timm's state_dict for another grid of patches."""
    return {**model.state_dict(), 'pos_embed': resized(model.pos_embed, tokens, to)}


def timm_vit(X, X_other, name, **options):
    options = dict(patch_size=PATCH, embed_dim=WIDTH, mlp_ratio=HIDDEN / WIDTH, num_heads=HEADS, depth=BLOCKS,
                   num_classes=CLASSES, **options)
    distilled = 'distilled' in name
    make = timm.models.deit.VisionTransformerDistilled if distilled else timm.models.VisionTransformer
    model = randomised(make(img_size=SIZE, **options))
    weights = {key: x.clone() for key, x in model.state_dict().items()}
    logits = model.double()(X)
    other = make(img_size=OTHER_SIZE, **options).double().eval()
    grid = OTHER_SIZE[0] // PATCH, OTHER_SIZE[1] // PATCH
    other.load_state_dict(resized_state(model, 2 if distilled else 1, grid))
    save(f'weights_{name}', weights, golden(logits=logits, logits_other_size=other(X_other)))


def torchvision_vit(X):
    model = torchvision.models.VisionTransformer(image_size=SIZE, patch_size=PATCH, num_layers=BLOCKS, num_heads=HEADS,
                                                 hidden_dim=WIDTH, mlp_dim=HIDDEN, num_classes=CLASSES)
    weights = {key: x.clone() for key, x in randomised(model).state_dict().items()}
    save('weights_torchvision', weights, golden(logits=model.double()(X)))


def transformers_vit(X):
    config = transformers.ViTConfig(image_size=SIZE, patch_size=PATCH, num_hidden_layers=BLOCKS,
                                    num_attention_heads=HEADS, hidden_size=WIDTH, intermediate_size=HIDDEN,
                                    num_labels=CLASSES, layer_norm_eps=1e-12)
    model = randomised(transformers.ViTForImageClassification(config))
    with tempfile.TemporaryDirectory() as folder:  # save_pretrained gives the weights other names than state_dict
        model.save_pretrained(folder)
        weights = safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
    logits = model.double()(X).logits
    save('weights_transformers', weights, golden(logits=logits, names_in_memory=list(model.state_dict())))


def transformers_deit(X):
    """DeiT with a teacher, and beside its two heads the one of DeiTForImageClassification, which has the same body."""
    config = transformers.DeiTConfig(image_size=SIZE, patch_size=PATCH, num_hidden_layers=BLOCKS,
                                     num_attention_heads=HEADS, hidden_size=WIDTH, intermediate_size=HIDDEN,
                                     num_labels=CLASSES)
    teacher = randomised(transformers.DeiTForImageClassificationWithTeacher(config))
    alone = randomised(transformers.DeiTForImageClassification(config))
    alone.deit.load_state_dict(teacher.deit.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        weights = {}
        for model in alone, teacher:
            model.save_pretrained(folder)
            weights |= safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
        saved = json.loads((pathlib.Path(folder) / 'config.json').read_text())
    save('weights_deit', weights, golden(logits=teacher.double()(X).logits, logits_alone=alone.double()(X).logits,
                                         config=saved))


def transformers_processors():
    """A wide picture as transformers' processors prepare it; the note has the preprocessor_config.json of each."""
    imagenet = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    processors = {'vit': transformers.ViTImageProcessorPil(size=SIZE),
                  'deit': transformers.DeiTImageProcessorPil(size=28, crop_size=SIZE, **imagenet),
                  'shortest_edge': transformers.DeiTImageProcessorPil(size={'shortest_edge': 28}, crop_size=SIZE),
                  'plain': transformers.ViTImageProcessorPil(size=SIZE, resample=3, do_normalize=False)}
    X = torch.randint(256, (3, 29, 39), dtype=torch.uint8)
    pixels = lambda processor: torch.from_numpy(numpy.asarray(processor(X.numpy(), return_tensors='np').pixel_values[0]))
    save('preprocess_transformers', {'X': X, **{name: pixels(p) for name, p in processors.items()}},
         golden(**{name: json.loads(p.to_json_string()) for name, p in processors.items()}))


def main():
    print('PyTorch', torch.__version__, 'torchvision', torchvision.__version__, 'timm', timm.__version__,
          'transformers', transformers.__version__, 'safetensors', safetensors.__version__)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    written_by_safetensors()
    X, X_other, positions = torch.randn(1, 3, SIZE, SIZE), torch.randn(1, 3, *OTHER_SIZE), torch.randn(1, 2 + 9, 2)
    save('weights_inputs', {'X': X, 'X_other_size': X_other, 'positions': positions,
                            **{f'positions/{h}x{w}': resized(positions.double(), 2, (h, w)).float()
                               for h, w in ((2, 2), (3, 4), (7, 3), (1, 5), (3, 1))}})
    X, X_other = X.double(), X_other.double()
    timm_vit(X, X_other, 'timm')
    timm_vit(X, X_other, 'timm_distilled')
    timm_vit(X, X_other, 'timm_avg', global_pool='avg')
    timm_vit(X, X_other, 'timm_no_qkv_bias', qkv_bias=False)
    torchvision_vit(X)
    transformers_vit(X)
    transformers_processors()
    transformers_deit(X)


if __name__ == '__main__':
    main()
