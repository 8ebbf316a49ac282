#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/safetensors.h"
#include "nn/pretrained/model_file.h"

namespace bobbin::test {

/// Writes a model as a training run does.
template <class Model>
void write_classifier(const std::filesystem::path& path, Model& model, const std::vector<std::string>& class_names,
                      const Preprocess& preprocess) {
  write_safetensors(path, state_of(model).tensors(),
                    {{"bobbin", describe_model({model.config, class_names, preprocess})}});
}

}  // namespace bobbin::test
