#!/usr/bin/env python3
"""Whether any weights are answered silently wrong: python3 tests/golden/survey_foreign.py [PART ...]

timm's VisionTransformers, each by its name but with few blocks, and variants of them, of torchvision's and of
transformers' make logits for a picture, through their own transforms; classify sees the same file, with its config.json,
without it, under its own name and with --weights. It must be right (to 1e-4) or refuse in one sentence. The last lines
count; the exit code is 1 if one is wrong. PART is names (timm's, each with its own config.json: the table in
nn/pretrained/README.md; with the word whole beside it at their own width), timms, timm_variants, torchvisions, transformerss, towers or wrapped; all of them take an hour
on two cores, much of it torchvision's ViT-L and ViT-H, which cannot be made with fewer blocks.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings
from functools import partial

import numpy
import PIL.Image
import safetensors.torch
import timm
import timm.data
import torch
import torchvision
import transformers
from timm.models.vision_transformer import VisionTransformer

from make_weights import randomised

CLASSIFY = pathlib.Path(__file__).resolve().parents[2] / 'build/classify'
FOLDER = pathlib.Path(tempfile.mkdtemp())
counts = {}


def judge(kind, name, model, theirs, state, *flags, file='model', features=False, **beside):
    """`beside`: the content of config and preprocessor_config. theirs: the logits or features, None if they make none."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
    safetensors.torch.save_file({k: x.contiguous() for k, x in state.items()}, folder / f'{file}.safetensors')
    for key, content in beside.items():
        (folder / f'{key}.json').write_text(json.dumps(content))
    what = ['--features', folder / 'features.safetensors'] if features else ['--logits', '--format', 'json']
    command = [CLASSIFY, folder / f'{file}.safetensors', FOLDER / 'picture.png', *what, *flags]
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if run.returncode == 0 and features:
        ours = safetensors.torch.load_file(folder / 'features.safetensors')['features'].flatten()
    shutil.rmtree(folder)
    if run.returncode != 0:
        ok = run.returncode == 1 and run.stderr.count('\n') == 1
        what = 'refused' if ok else 'NO SENTENCE'
        detail = run.stderr.strip().split('classify: ')[-1].split('safetensors: ')[-1][:200]
    else:
        if not features:
            ours = torch.tensor([one['logit'] for one in json.loads(run.stdout)[0]['classes']])
        off = (ours - theirs.flatten()).abs().max().item() / max(1, theirs.abs().max().item()) \
            if theirs is not None and theirs.numel() == ours.numel() else float('inf')
        what = 'right' if off < 1e-4 else 'WRONG'
        detail = f'off {off:.1e}'
    counts.setdefault(kind, {}).setdefault(what, []).append(name)
    print(f'{kind:34} {name:48} {what:8} {detail}', flush=True)


def timm_logits(model, picture, cfg):
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg))
    return model(transform(picture)[None])


def vision_transformers(narrow=False, **args):
    """timm's, each with few blocks, and if narrow with few numbers to a token: its name, it, what its config.json says of
    pictures, and its model_args. Those that cannot be made are said."""
    keys = 'input_size', 'fixed_input_size', 'interpolation', 'crop_pct', 'crop_mode', 'mean', 'std'
    for name in timm.list_models():
        entry = timm.models._registry.model_entrypoint(name)
        if entry.__module__.split('.')[-1] not in ('vision_transformer', 'deit', 'vision_transformer_hybrid', 'vitamin'):
            continue
        try:
            with torch.device('meta'):
                whole = timm.create_model(name)
            if not isinstance(whole, VisionTransformer):
                continue
            torch.manual_seed(0)
            chosen = dict(depth=1, **args)
            if narrow and hasattr(whole.blocks[0], 'attn') and type(whole.patch_embed).__name__ == 'PatchEmbed':
                chosen.update(depth=2, embed_dim=16 * whole.blocks[0].attn.num_heads, mlp_ratio=2)
            model = randomised(timm.create_model(name, **chosen))
            cfg = model.pretrained_cfg if isinstance(model.pretrained_cfg, dict) else model.pretrained_cfg.to_dict()
            yield name, model, {key: cfg[key] for key in keys if key in cfg}, {k: x for k, x in chosen.items() if k not in args}
        except Exception as error:
            print(f'{name}: not made, {str(error)[:80]}', flush=True)


def names(picture):
    """All of timm's with their own heads, or none: what the table of README.md counts."""
    for name, model, cfg, args in vision_transformers(narrow='whole' not in sys.argv[1:]):
        theirs = timm_logits(model, picture, cfg)
        config = dict(architecture=name, num_classes=model.num_classes, num_features=model.num_features,
                      global_pool=model.global_pool, model_args=args, pretrained_cfg=cfg)
        judge('timm, its own config.json', name, model, theirs, model.state_dict(), features=model.num_classes == 0,
              config=config)


def timms(picture):
    flags = ['--num-heads', '12', '--interpolation', 'bicubic', '--crop-pct', '0.9', '--mean', '0.5', '--std', '0.5']
    for name, model, cfg, args in vision_transformers(narrow=True, num_classes=3):
        theirs, state = timm_logits(model, picture, cfg), model.state_dict()
        config = dict(architecture=name, num_classes=3, num_features=model.num_features, model_args=args,
                      pretrained_cfg=cfg)
        judge('timm, config.json', name, model, theirs, state, config=config)
        judge('timm, nothing', name, model, theirs, state)
        judge('timm, heads and pictures', name, model, theirs, state, *flags)
        judge('timm, its name with a tag', name, model, theirs, state, file=f'{name}.augreg_in21k')
        judge('timm, another architecture', name, model, theirs, state,
              config={**config, 'architecture': 'vit_base_patch16_224', 'model_args': dict(depth=args['depth'])})
        del model, state


def timm_variants(picture):
    """One argument at a time, with and without the config that says it. Heads of 32, where 64 is usual."""
    base = dict(img_size=32, patch_size=8, embed_dim=128, depth=2, num_heads=4, num_classes=5)
    cfg = dict(input_size=[3, 32, 32], fixed_input_size=True, interpolation='bicubic', crop_pct=0.9,
               crop_mode='center', mean=[0.5] * 3, std=[0.5] * 3)
    prepared = ['--interpolation', 'bicubic', '--crop-pct', '0.9', '--mean', '0.5', '--std', '0.5']
    everything = ['--num-heads', '4', '--global-pool', 'token', '--layer-norm-eps', '1e-6', '--act', 'gelu',
                  '--img-size', '32', *prepared]
    variants = [{}, dict(num_heads=1), dict(num_heads=2), dict(global_pool='avg'), dict(global_pool='avg', fc_norm=False),
                dict(global_pool='max'), dict(global_pool='avgmax'), dict(global_pool='map'), dict(fc_norm=True),
                dict(act_layer='gelu_tanh'), dict(act_layer='quick_gelu'), dict(act_layer='silu'),
                dict(act_layer='relu'), dict(norm_layer='rmsnorm'), dict(qkv_bias=False), dict(proj_bias=False),
                dict(qk_norm=True), dict(init_values=1e-1), dict(class_token=False, global_pool='avg'),
                dict(no_embed_class=True), dict(reg_tokens=2), dict(pre_norm=True), dict(final_norm=False),
                dict(pos_embed='none'), dict(pool_include_prefix=True, global_pool='avg'), dict(dynamic_img_size=True),
                dict(img_size=[16, 64]), dict(img_size=[64, 16]), dict(patch_size=4, img_size=16), dict(mlp_ratio=3),
                dict(drop_path_rate=0.3), dict(scale_attn_norm=True), dict(scale_mlp_norm=True),
                dict(in_chans=1), dict(reg_tokens=2, no_embed_class=True), dict(reg_tokens=2, global_pool='avg'),
                dict(reg_tokens=2, global_pool='avg', fc_norm=False), dict(class_token=False, global_pool='map'),
                dict(class_token=False, reg_tokens=1, global_pool='map', pool_include_prefix=True),
                dict(reg_tokens=1, global_pool='map', qkv_bias=False, proj_bias=False),
                dict(reg_tokens=1, global_pool='avg', pool_include_prefix=True), dict(global_pool='prr'),
                dict(final_norm=False, global_pool='avg'), dict(pre_norm=True, init_values=1e-2, act_layer='quick_gelu'),
                dict(class_token=False, global_pool='avg', no_embed_class=True), dict(init_values=0),
                dict(class_token=False, reg_tokens=4, global_pool='avg', no_embed_class=True, img_size=[16, 64]),
                dict(class_token=False, global_pool='max'), dict(class_token=False, global_pool='avgmax', fc_norm=False),
                dict(dynamic_img_size=True, no_embed_class=True, reg_tokens=3), dict(fc_norm=True, final_norm=False)]
    for more in variants:
        torch.manual_seed(0)
        args = {**base, **more}
        try:
            model = randomised(timm.create_model('vit_tiny_patch16_224', **args))
            size = args['img_size'] if isinstance(args['img_size'], list) else [args['img_size']] * 2
            own = {**cfg, 'input_size': [args.get('in_chans', 3), *size]}
            theirs = timm_logits(model, picture, own) if args.get('in_chans', 3) == 3 else None
        except Exception as error:
            print('not made:', more, str(error)[:80])
            continue
        config = dict(architecture='vit_tiny_patch16_224', num_classes=5, num_features=128, model_args=args,
                      pretrained_cfg=own)
        judge('timm variants, config.json', str(more), model, theirs, model.state_dict(), config=config)
        judge('timm variants, nothing', str(more), model, theirs, model.state_dict())
        judge('timm variants, no model_args', str(more), model, theirs, model.state_dict(),
              config={k: v for k, v in config.items() if k != 'model_args'})
        judge('timm variants, pictures by flags', str(more), model, theirs, model.state_dict(), *prepared)
    model = randomised(timm.create_model('vit_tiny_patch16_224', **base))
    for change in (dict(crop_pct=None), dict(crop_mode='squash'), dict(crop_mode='border'), dict(interpolation='bilinear'),
                   dict(interpolation='lanczos'), dict(interpolation='nearest'), dict(mean=None), dict(crop_pct=1.0),
                   dict(interpolation=None), dict(std=[1, 1, 1]), dict(crop_mode='squash', crop_pct=1.0)):
        own = {key: x for key, x in {**cfg, **change}.items() if x is not None}
        config = dict(architecture='vit_tiny_patch16_224', num_classes=5, num_features=128, model_args=base, pretrained_cfg=own)
        judge('timm pictures, config.json', str(change), model, timm_logits(model, picture, own), model.state_dict(),
              config=config)
    config = dict(architecture='vit_tiny_patch16_224', num_classes=5, num_features=128, model_args=base, pretrained_cfg=cfg)
    for dtype in torch.float16, torch.bfloat16, torch.float64:
        rounded = {key: x.to(dtype) for key, x in model.state_dict().items()}
        model.load_state_dict({key: x.float() for key, x in rounded.items()})
        judge('timm types, config.json', str(dtype), model, timm_logits(model, picture, cfg), rounded, config=config)
    for lie in (dict(no_embed_class=True), dict(reg_tokens=1), dict(class_token=False, global_pool='avg'), dict(pre_norm=True),
                dict(init_values=1e-5), dict(global_pool='map'), dict(final_norm=False), dict(fc_norm=True)):
        judge('timm lies, config.json', str(lie), model, None, model.state_dict(),
              config={**config, 'model_args': {**base, **lie}})
    small = randomised(VisionTransformer(**base, norm_layer=partial(torch.nn.LayerNorm, eps=1e-2)))
    judge('timm variants, nothing', 'eps 1e-2', small, timm_logits(small, picture, cfg), small.state_dict(), *prepared)
    judge('timm variants, all by flags', 'the usual', model, timm_logits(model, picture, cfg), model.state_dict(), *everything)


def torchvisions(picture):
    models = torchvision.models
    for builder in 'b_16', 'b_32', 'l_16', 'l_32', 'h_14':
        for weights in getattr(models, f'ViT_{builder.upper()}_Weights'):
            transform = weights.transforms()
            torch.manual_seed(0)
            model = randomised(getattr(models, f'vit_{builder}')(image_size=transform.crop_size[0]))
            theirs, state = model(transform(picture)[None]), model.state_dict()
            name = f'ViT_{builder.upper()}_Weights.{weights.name}'
            judge('torchvision, nothing', name, model, theirs, state)
            judge('torchvision, --weights', name, model, theirs, state, '--weights', name)
            judge('torchvision, the wrong --weights', name, model, theirs, state, '--weights',
                  'ViT_L_32_Weights.IMAGENET1K_V1') if builder != 'l_32' else None
            judge('torchvision, its file', name, model, theirs, state, file=weights.url.split('/')[-1].removesuffix('.pth'))
            del model, state
    for heads, more in (1, {}), (2, {}), (4, {}), (4, dict(num_classes=10)), (4, dict(representation_size=8)):
        model = randomised(models.VisionTransformer(32, 8, 2, heads, 128, 256, **{'num_classes': 1000, **more}))
        transform = torchvision.transforms._presets.ImageClassification(crop_size=32, resize_size=36)
        judge('torchvision variants, nothing', f'{heads} heads {more}', model, model(transform(picture)[None]), model.state_dict())


def transformerss(picture):
    base = dict(image_size=32, patch_size=8, hidden_size=128, num_hidden_layers=2, num_attention_heads=4,
                intermediate_size=64, num_labels=5)
    processors = {'ViT': transformers.ViTImageProcessorPil(size={'height': 32, 'width': 32})}
    variants = [{}, dict(num_attention_heads=2), dict(num_attention_heads=1), dict(hidden_act='gelu_new'),
                dict(hidden_act='quick_gelu'), dict(hidden_act='relu'), dict(hidden_act='gelu_pytorch_tanh'),
                dict(hidden_act='gelu_fast'), dict(hidden_act='gelu_10'), dict(layer_norm_eps=1e-2), dict(qkv_bias=False),
                dict(image_size=[16, 64]), dict(image_size=[64, 16]), dict(problem_type='multi_label_classification'),
                dict(problem_type='regression'), dict(num_labels=1), dict(num_channels=1)]
    for more in variants:
        torch.manual_seed(0)
        model = randomised(transformers.ViTForImageClassification(transformers.ViTConfig(**{**base, **more})))
        size = more.get('image_size', [32, 32])
        processor = transformers.ViTImageProcessorPil(size={'height': size[0], 'width': size[1]})
        pixels = processor(picture, return_tensors='pt')['pixel_values']
        theirs = None if 'num_channels' in more else model(pixels).logits
        state = written(model)
        config, preprocessor = model.config.to_diff_dict(), json.loads(processor.to_json_string())
        kind = 'transformers variants'
        judge(f'{kind}, config', str(more), model, theirs, state, config=config, preprocessor_config=preprocessor)
        judge(f'{kind}, nothing', str(more), model, theirs, state)
        judge(f'{kind}, config only', str(more), model, theirs, state, config=config)
        judge(f'{kind}, no config', str(more), model, theirs, state, preprocessor_config=preprocessor)
    model = randomised(transformers.ViTForImageClassification(transformers.ViTConfig(**base)))
    square, larger = {'height': 32, 'width': 32}, {'height': 36, 'width': 36}
    V, D = transformers.ViTImageProcessorPil, transformers.DeiTImageProcessorPil
    for processor in (V(size=square, resample=3), V(size=square, resample=1), V(size=square, do_normalize=False),
                      V(size=square, do_rescale=False), V(size=square, do_resize=False), D(size=larger, crop_size=square),
                      D(size={'shortest_edge': 37}, crop_size=square), D(size={'shortest_edge': 33}, crop_size=square),
                      D(size=square, crop_size=square, do_center_crop=False), V(size=larger, do_center_crop=True, crop_size=square),
                      V(size=larger, crop_size=square), V(size=square, rescale_factor=1 / 127.5),
                      V(size=square, image_mean=[0.1, 0.2, 0.3]), V(size={'shortest_edge': 32}),
                      transformers.CLIPImageProcessorPil(size={'shortest_edge': 32}, crop_size=square)):
        try:
            theirs = model(processor(picture, return_tensors='pt')['pixel_values'].float()).logits
        except Exception:
            theirs = None
        judge('transformers processors', f'{type(processor).__name__} {processor.size} {processor.resample}', model, theirs,
              written(model), config=model.config.to_diff_dict(), preprocessor_config=json.loads(processor.to_json_string()))


def wrapped(picture):
    """What wrappers and training programs make of a file, and transformers' DeiT."""
    processor = transformers.DeiTImageProcessorPil(size={'height': 36, 'width': 36}, crop_size={'height': 32, 'width': 32})
    pixels = processor(picture, return_tensors='pt')['pixel_values']
    base = dict(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=96, num_labels=5)
    for name in ('ViTForImageClassification', 'ViTModel', 'ViTForMaskedImageModeling', 'ViTMAEForPreTraining',
                 'DeiTForImageClassification', 'DeiTForImageClassificationWithTeacher', 'DeiTModel',
                 'Dinov2ForImageClassification', 'Dinov2WithRegistersForImageClassification', 'BeitForImageClassification',
                 'IJepaForImageClassification'):
        kind = getattr(transformers, name)
        model = randomised(kind(kind.config_class(**base, **({'encoder_stride': 8} if 'Masked' in name else {}))))
        theirs = getattr(model(pixels), 'logits', None)
        files = dict(config={'model_type': model.config.model_type, **model.config.to_diff_dict()},
                     preprocessor_config=json.loads(processor.to_json_string()))
        state = written(model)
        copy = lambda prefix: {prefix + key: x.clone() for key, x in state.items()}
        judge('wrapped, as it is', name, model, theirs, state, **files)
        for prefix in 'module.', '_orig_mod.', 'model.', 'net.module.':
            judge('wrapped, a prefix', f'{prefix}{name}', model, theirs, copy(prefix), **files)
        more = {'model.mask': torch.ones(3, dtype=torch.bool), 'n': torch.tensor(3), 'model.pooler.bias': torch.ones(0)}
        judge('wrapped, more tensors', name, model, theirs, {**copy('model.'), **more}, **files)
        judge('wrapped, two models', name, model, None, {**copy('model.'), **copy('ema.')}, **files)


def towers(picture):
    """transformers' models that see pictures: what features are given of each, and what the classifiers say."""
    base = dict(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                intermediate_size=96)
    text = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, vocab_size=99)
    square, T = {'height': 32, 'width': 32}, transformers
    token, mean = lambda out: out.last_hidden_state[:, 0], lambda out: out.last_hidden_state.mean(1)
    vit = T.ViTImageProcessorPil(size=square)
    clip = T.CLIPImageProcessorPil(size={'shortest_edge': 36}, crop_size=square)
    siglip = T.SiglipImageProcessorPil(size=square)
    bit = T.BitImageProcessorPil(size={'shortest_edge': 36}, crop_size=square)
    logits, pooler = None, lambda out: out.pooler_output
    models = [('ViTModel', vit, token, {}), ('DeiTModel', vit, lambda out: out.last_hidden_state[:, :2].mean(1), {}),
              ('DeiTForImageClassification', vit, logits, {}),
              ('DeiTForImageClassificationWithTeacher', vit, logits, {}), ('ViTMSNModel', vit, token, {}),
              ('ViTMSNForImageClassification', vit, logits, {}), ('ViTMAEModel', vit, token, dict(mask_ratio=0.0)),
              ('ViTMAEForPreTraining', vit, token, dict(mask_ratio=0.0)), ('Dinov2Model', bit, pooler, {}),
              ('Dinov2Model', bit, pooler, dict(use_swiglu_ffn=True)),
              ('Dinov2ForImageClassification', bit, logits, {}), ('Dinov2WithRegistersModel', bit, pooler, {}),
              ('Dinov2WithRegistersModel', bit, pooler, dict(num_register_tokens=1)),
              ('Dinov2WithRegistersForImageClassification', bit, logits, {}), ('SiglipVisionModel', siglip, pooler, {}),
              ('SiglipVisionModel', siglip, mean, dict(vision_use_head=False)),
              ('SiglipForImageClassification', siglip, logits, {}), ('SiglipModel', siglip, pooler, {}),
              ('Siglip2VisionModel', siglip, lambda out: None, {}), ('CLIPVisionModel', clip, pooler, {}),
              ('CLIPVisionModel', clip, pooler, dict(hidden_act='gelu')),
              ('CLIPVisionModelWithProjection', clip, pooler, {}), ('CLIPModel', clip, pooler, {}),
              ('CLIPForImageClassification', clip, logits, {}), ('IJepaModel', vit, mean, {}),
              ('IJepaForImageClassification', vit, logits, {}), ('BeitModel', vit, pooler, {}),
              ('Data2VecVisionModel', vit, pooler, {}), ('YolosModel', vit, token, {}), ('ViTHybridModel', vit, token, {}),
              ('AltCLIPVisionModel', clip, pooler, {}), ('ChineseCLIPVisionModel', clip, pooler, {}),
              ('BlipVisionModel', clip, pooler, {}), ('DPTModel', vit, token, {}), ('DINOv3ViTModel', vit, token, {}),
              ('VideoMAEModel', vit, lambda out: None, {}), ('Aimv2VisionModel', vit, pooler, {}),
              ('InternVLVisionModel', vit, token, {}), ('Siglip2ForImageClassification', siglip, lambda out: None, {})]
    for name, processor, pooled, more in models:
        try:
            torch.manual_seed(0)
            kind = getattr(transformers, name)
            args = {**base, **more}
            if name.startswith('Dinov2'):
                args.update(mlp_ratio=2, intermediate_size=128)
            if kind.config_class.__name__ in ('CLIPConfig', 'SiglipConfig', 'Siglip2Config'):
                config = kind.config_class(vision_config=args, text_config=text)
            else:
                config = kind.config_class(**args)
            model = randomised(kind(config))
            pixels = processor(picture, return_tensors='pt')['pixel_values']
            with tempfile.TemporaryDirectory() as folder:
                model.save_pretrained(folder)
                state = safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
                written_config = json.loads((pathlib.Path(folder) / 'config.json').read_text())
            try:
                part = {'CLIPModel': 'vision_model', 'SiglipModel': 'vision_model', 'ViTMAEForPreTraining': 'vit',
                        'CLIPVisionModelWithProjection': 'vision_model'}.get(name)
                out = (getattr(model, part) if part else model)(pixels)
                theirs = out.logits if pooled is None else pooled(out)
            except Exception as error:
                print(name, 'does not see one picture:', str(error)[:80])
                theirs = None
        except Exception as error:
            print(f'{name}: not made, {str(error)[:80]}', flush=True)
            continue
        files = dict(config=written_config, preprocessor_config=json.loads(processor.to_json_string()))
        label, features = f'{name} {more or ""}', pooled is not None
        judge('towers, its files', label, model, theirs, state, features=features, **files)
        judge('towers, no files', label, model, theirs, state, features=features)
        judge('towers, under model.', label, model, theirs, {f'model.{key}': x for key, x in state.items()},
              features=features, **files)
        for other in 'vit', 'dinov2', 'clip_vision_model', 'siglip_vision_model':
            if other != written_config.get('model_type'):
                judge('towers, of another model_type', f'{label} {other}', model, theirs, state, features=features,
                      **{**files, 'config': {**written_config, 'model_type': other}})


def written(model):
    """The weights under the names that save_pretrained gives them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')


def main():
    warnings.filterwarnings('ignore')
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    low = torch.randint(256, (3, 7, 11), dtype=torch.uint8)
    smooth = torchvision.transforms.functional.resize(low, [301, 413], antialias=True)
    picture = PIL.Image.fromarray(smooth.permute(1, 2, 0).numpy())
    picture.save(FOLDER / 'picture.png')
    for survey in names, towers, timm_variants, transformerss, wrapped, timms, torchvisions:
        if not sys.argv[1:] or survey.__name__ in sys.argv[1:]:
            survey(picture)
    shutil.rmtree(FOLDER)
    print()
    for kind, found in counts.items():
        print(f'{kind:34}', ', '.join(f'{len(names)} {what}' for what, names in sorted(found.items())))
    wrong = [name for found in counts.values() for what, names in found.items() if what.isupper() for name in names]
    print('silently wrong:', wrong or 'none')
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
