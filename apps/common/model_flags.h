#pragma once
#include <string>

#include "nn/pretrained/model_file.h"

namespace CLI {
class App;
}

namespace bobbin::command_line {

/// Adds MODEL, and the flags for what the model's file may not say: to all programs that use a trained model.
void add_model(CLI::App& app, std::string& path, ModelFileOptions& options);

}  // namespace bobbin::command_line
