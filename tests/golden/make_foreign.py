#!/usr/bin/env python3
"""Writes `published.txt`, `published_others.txt` and the golden files `foreign_*` beside this script. README.md says what is in them.

They hold what only a config says of weights, each by the library that it is from: timm 1.0.31, torchvision 0.29,
transformers 5.24.
"""
import json
import math
import pathlib
import tempfile

import numpy
import PIL.Image
import safetensors.torch
import timm
import timm.data
import torch
import torchvision
import transformers
from timm.layers import Attention, LayerNorm, Mlp
from timm.models._registry import _model_pretrained_cfgs
from timm.models.vision_transformer import Block, VisionTransformer

from make_weights import golden, randomised, save

HERE = pathlib.Path(__file__).resolve().parent

# The VisionTransformers of timm that the library had first, and all their tags: class token, no LayerScale, no
# registers, one norm before each part of a block and one at the end.
TIMM = '''vit_tiny_patch16_224 vit_tiny_patch16_384 vit_small_patch8_224 vit_small_patch16_224 vit_small_patch16_384
vit_small_patch32_224 vit_small_patch32_384 vit_base_patch8_224 vit_base_patch16_224 vit_base_patch16_224_miil
vit_base_patch16_384 vit_base_patch32_224 vit_base_patch32_384 vit_large_patch14_224 vit_large_patch16_224
vit_large_patch16_384 vit_large_patch32_224 vit_large_patch32_384 vit_huge_patch14_224 vit_giant_patch14_224
vit_gigantic_patch14_224 deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 deit_base_patch16_384
deit_tiny_distilled_patch16_224 deit_small_distilled_patch16_224 deit_base_distilled_patch16_224
deit_base_distilled_patch16_384 eva_large_patch14_196 eva_large_patch14_336 test_vit'''.split()


def other_timms():
    """The others that it has: all whose parts are those of timm's Block, with LayerNorm, a plain MLP and learned
    positions."""
    for name in timm.list_models('*vit*') + timm.list_models('deit3*') + timm.list_models('eva_large*'):
        with torch.device('meta'):
            try:
                model = timm.create_model(name)
            except Exception:
                continue
        if not isinstance(model, VisionTransformer) or name in TIMM or type(model.patch_embed).__name__ != 'PatchEmbed':
            continue
        block = model.blocks[0]
        if type(block) is not Block or type(block.mlp) is not Mlp or type(block.attn) is not Attention:
            continue
        if type(block.norm1) is not LayerNorm or hasattr(block.attn.norm, 'eps') or model.pos_embed is None:
            continue
        yield name


def options(model):
    """What the model has that d2l's has not, as numbers: eps, activation, class token, registers, positions of patches
    alone, a norm before the blocks, LayerScale; which norm the head has: after, before the pooling or none; and whether
    the pooling sees all tokens."""
    block = model.blocks[0]
    act = {'GELU': 0, 'GELUTanh': 1, 'QuickGELU': 2}[type(block.mlp.act).__name__]
    norm = 0 if hasattr(model.fc_norm, 'eps') or model.global_pool == 'token' else 1
    if not hasattr(model.fc_norm, 'eps') and not hasattr(model.norm, 'eps'):
        norm = 2
    return [block.norm1.eps, act, int(model.cls_token is not None), model.num_reg_tokens, int(model.no_embed_class),
            int(hasattr(model.norm_pre, 'eps')), int(hasattr(block.ls1, 'gamma')), norm, int(model.pool_include_prefix)]


def published():
    """A line for each published model: its name, and what it says."""
    lines = []
    for name in TIMM:
        with torch.device('meta'):
            model = timm.create_model(name)
        block, norm = model.blocks[0], model.norm if hasattr(model.norm, 'eps') else model.fc_norm
        assert type(block.mlp.act).__name__ == 'GELU' and norm.eps == block.norm1.eps == 1e-6
        what = [*model.patch_embed.img_size, *model.patch_embed.patch_size, model.embed_dim,
                block.mlp.fc1.out_features, len(model.blocks), block.attn.num_heads, model.global_pool,
                int(hasattr(model, 'dist_token'))]
        lines.append([name, *what])
        for tag, cfg in _model_pretrained_cfgs.items():
            if tag.split('.')[0] == name and '.' in tag and not tag.endswith('.untrained'):
                assert cfg.crop_mode in ('center', 'squash') and cfg.input_size[1:] == model.patch_embed.img_size
                lines.append([tag, *what, cfg.interpolation, math.floor(cfg.input_size[1] / cfg.crop_pct),
                              int(cfg.crop_mode == 'squash'), *cfg.mean, *cfg.std])
    others = []
    for name in other_timms():
        with torch.device('meta'):
            model = timm.create_model(name)
        block = model.blocks[0]
        others.append([name, *model.patch_embed.img_size, *model.patch_embed.patch_size, model.embed_dim,
                       block.mlp.fc1.out_features, len(model.blocks), block.attn.num_heads, model.global_pool,
                       *options(model)])
    (HERE / 'published_others.txt').write_text(''.join(' '.join(map(str, line)) + '\n' for line in others))
    models = torchvision.models
    for builder in 'b_16', 'b_32', 'l_16', 'l_32', 'h_14':
        kind = getattr(models, f'ViT_{builder.upper()}_Weights')
        for weights in kind:
            transform = weights.transforms()
            with torch.device('meta'):
                model = getattr(models, f'vit_{builder}')(image_size=transform.crop_size[0])
            layer = model.encoder.layers[0]
            what = [model.image_size, model.image_size, model.patch_size, model.patch_size, model.hidden_dim,
                    model.mlp_dim, len(model.encoder.layers), layer.num_heads, 'token', 0,
                    transform.interpolation.value, transform.resize_size[0], 0, *transform.mean, *transform.std]
            for name in (f'{kind.__name__}.{weights.name}', f'vit_{builder}.{weights.name}',
                         weights.url.split('/')[-1].removesuffix('.pth')):
                lines.append([name, *what])
    (HERE / 'published.txt').write_text(''.join(' '.join(map(str, line)) + '\n' for line in lines))


def pixels(*shape):
    return torch.randint(256, shape, dtype=torch.uint8)


def picture(X):
    return PIL.Image.fromarray(X.permute(1, 2, 0).numpy())


def timm_wide():
    """36 patches that are 4 x 9, and all that only model_args say; the picture goes through timm's own transform."""
    args = dict(img_size=[32, 72], patch_size=8, embed_dim=16, depth=2, num_heads=4, mlp_ratio=1.5, num_classes=5,
                act_layer='gelu_tanh')
    model = randomised(timm.create_model('vit_tiny_patch16_224', **args))
    cfg = dict(input_size=[3, 32, 72], fixed_input_size=True, interpolation='bicubic', crop_pct=0.9, crop_mode='center',
               mean=[0.25, 0.5, 0.75], std=[0.5, 0.25, 0.75], num_classes=5)
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg))
    X = pixels(3, 61, 83)
    logits = model.double()(transform(picture(X))[None].double())
    config = dict(architecture='vit_tiny_patch16_224', num_classes=5, num_features=16, global_pool='token',
                  model_args=args, pretrained_cfg=cfg)
    save('foreign_timm_wide', {**{key: x.float() for key, x in model.state_dict().items()}, 'X': X.float()},
         golden(logits=logits, config=config))


def transformers_several():
    """Several labels to a picture, GELU by tanh, an eps of 1e-2."""
    config = transformers.ViTConfig(image_size=[16, 24], patch_size=8, num_hidden_layers=1, num_attention_heads=4,
                                    hidden_size=16, intermediate_size=24, hidden_act='gelu_new', layer_norm_eps=1e-2,
                                    problem_type='multi_label_classification', id2label={0: 'a', 1: 'b', 2: 'c'})
    model = randomised(transformers.ViTForImageClassification(config))
    processor = transformers.ViTImageProcessorPil(size={'height': 16, 'width': 24})
    X = pixels(3, 20, 31)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        weights = safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
        read = lambda name: json.loads((pathlib.Path(folder) / name).read_text())
        configs = dict(config=read('config.json'), preprocessor=read('preprocessor_config.json'))
    pipeline = transformers.pipeline('image-classification', model=model.float(), image_processor=processor)
    scores = {one['label']: one['score'] for one in pipeline(picture(X))}
    seen = torch.from_numpy(numpy.asarray(processor(picture(X), return_tensors='np').pixel_values)).double()
    save('foreign_transformers', {**weights, 'X': X.float()},
         golden(logits=model.double()(seen).logits, scores=[scores[label] for label in 'abc'], **configs))


def transformers_crop():
    """A cut that leaves an odd number of pixels: 39 - 24."""
    processor = transformers.DeiTImageProcessorPil(size={'shortest_edge': 29}, crop_size={'height': 24, 'width': 24})
    X = pixels(3, 29, 39)
    seen = torch.from_numpy(numpy.asarray(processor(picture(X), return_tensors='np').pixel_values[0]))
    save('foreign_crop', {'X': X.float(), 'seen': seen}, golden(preprocessor=json.loads(processor.to_json_string())))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    published()
    timm_wide()
    transformers_several()
    transformers_crop()


if __name__ == '__main__':
    main()
