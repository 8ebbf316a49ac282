// What timm, torchvision and transformers write, as a model's file.
#pragma once
#include <filesystem>

#include "nn/pretrained/model_file.h"

namespace bobbin {

/// Converts weights, unwrapped, that vit_weights(), resnet_weights() or swin_weights() recognises to a model file of
/// ours; `note` says where they were in their file, if anything is to be said. What they do not say is never guessed:
/// it comes from options, the config.json beside the file at `path` (timm's or transformers'), transformers'
/// preprocessor_config.json, or a published model's name; README.md here lists what decides what. `taken` of the result
/// says what was taken, and from where. Classes without names are "0", "1", ... Throws Error, which lists all that is
/// missing and the ways to say it; where vit_weights() does; and where the files contradict the weights, or have a key
/// or a value that may change the answer and is not supported.
ModelFile read_foreign(const NamedTensors& tensors, const std::filesystem::path& path, const ModelFileOptions& options,
                       const std::string& note = "");
/// The parts of it that read a ResNet's, and a Swin Transformer's.
ModelFile read_foreign_resnet(const NamedTensors& tensors, const std::filesystem::path& path,
                              const ModelFileOptions& options, const std::string& note);
ModelFile read_foreign_swin(const NamedTensors& tensors, const std::filesystem::path& path,
                            const ModelFileOptions& options, const std::string& note);

/// Throws Error unless the weights have a head, or are to get a new one.
void check_head(Index num_classes, const ModelFileOptions& options, const std::string& note);

}  // namespace bobbin
