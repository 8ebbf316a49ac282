#!/usr/bin/env python3
"""Writes the golden files `tower_*` beside this script: small models of timm and transformers, each with a part that
d2l's ViT has not, their config.json, images, and what the library makes of these. README.md says what is in them."""
import json
import pathlib
import tempfile

import safetensors.torch
import timm
import torch
import transformers

from make_weights import golden, randomised, save

SMALL = dict(img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=4, mlp_ratio=1.5)
TIMM = {
    'clip': dict(pre_norm=True, act_layer='quick_gelu', num_classes=5),
    'deit3': dict(init_values=1e-5, no_embed_class=True, num_classes=5),
    'registers': dict(init_values=1e-5, no_embed_class=True, class_token=False, reg_tokens=2, global_pool='avg',
                      qkv_bias=False, num_classes=5),
    'gap': dict(class_token=False, global_pool='avg', fc_norm=False, act_layer='gelu_tanh', num_classes=0),
    'map': dict(class_token=False, reg_tokens=1, global_pool='map', pool_include_prefix=True, num_classes=5),
    'dinov2': dict(init_values=1e-5, no_embed_class=True, reg_tokens=2, num_classes=0),
    'no_norm': dict(final_norm=False, proj_bias=False, num_classes=0),
}
BASE = dict(image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=4)
TRANSFORMERS = {
    'hf_dinov2': ('Dinov2WithRegistersForImageClassification', dict(mlp_ratio=2, num_register_tokens=2, num_labels=5)),
    'hf_siglip': ('SiglipVisionModel', dict(intermediate_size=24)),
    'hf_clip': ('CLIPVisionModel', dict(intermediate_size=24)),
    'hf_msn': ('ViTMSNForImageClassification', dict(intermediate_size=24, num_labels=5)),
}


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    transformers.logging.disable_progress_bar()
    X = torch.randn(2, 3, 16, 16)
    for name, more in TIMM.items():
        args = {**SMALL, **more}
        model = randomised(timm.create_model('vit_tiny_patch16_224', **args))
        config = dict(architecture='vit_tiny_patch16_224', num_classes=args['num_classes'], model_args=args)
        weights = {key: x.clone() for key, x in model.state_dict().items()}
        model = model.double()
        features = model.forward_head(model.forward_features(X.double()), pre_logits=True)
        save(f'tower_{name}', {**weights, 'X': X}, golden(config=config, out=model(X.double()), features=features))
    for name, (kind, more) in TRANSFORMERS.items():
        kind = getattr(transformers, kind)
        model = randomised(kind(kind.config_class(**BASE, **more)))
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            weights = safetensors.torch.load_file(pathlib.Path(folder) / 'model.safetensors')
            config = json.loads((pathlib.Path(folder) / 'config.json').read_text())
        out = model.double()(X.double())
        out = out.logits if 'Classification' in type(model).__name__ else out.pooler_output
        save(f'tower_{name}', {**weights, 'X': X}, golden(config=config, out=out))


if __name__ == '__main__':
    main()
