// What timm, torchvision and transformers write, as a model's file.
#pragma once
#include <filesystem>

#include "nn/pretrained/model_file.h"

namespace bobbin {

/// Converts weights that vit_weights() recognises to a model file of ours. What they do not say comes from the
/// config.json beside the file at `path`, if it is timm's or transformers', and how pictures are prepared from what
/// timm has there and transformers in preprocessor_config.json. Without these it is a guess, what is usual there:
///
/// | origin                   | says it in               | else a guess: resized by | mean, deviation (3 channels) |
/// |--------------------------|--------------------------|--------------------------|------------------------------|
/// | timm                     | config.json              | bicubic, crop_pct 0.9    | 0.5, 0.5                     |
/// | timm, DeiT (distilled)   | config.json              | bicubic, crop_pct 0.9    | ImageNet's                   |
/// | torchvision              | nowhere                  | bilinear, crop_pct 0.875 | ImageNet's                   |
/// | transformers             | preprocessor_config.json | bilinear, squashed       | 0.5, 0.5                     |
/// | d2l                      | nowhere                  | bilinear, squashed       | none                         |
///
/// A DeiT that is not distilled cannot be told from a ViT without these files. Where transformers would cut half a
/// pixel more off one side than off the other, the cut may be at torchvision's place, a pixel from transformers'.
/// Classes without names are "0", "1", ... Throws Error where vit_weights() does, and unless those files are JSON that
/// fits the weights.
ModelFile read_foreign(NamedTensors tensors, const std::filesystem::path& path, const ModelFileOptions& options);

}  // namespace bobbin
