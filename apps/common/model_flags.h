#pragma once
#include <string>

#include "nn/pretrained/model_file.h"
#include "tensor/functions.h"

namespace CLI {
class App;
}

namespace bobbin::command_line {

/// Adds MODEL, and the flags for what the model's file may not say: to all programs that use a trained model.
void add_model(CLI::App& app, std::string& path, ModelFileOptions& options);

/// Says on stderr what was taken that the weights of another library do not say, if they are.
void say_what_was_taken(const char* program, const std::string& taken);
/// read_classifier(), and the same.
Classifier read_model(const char* program, const std::string& path, const ModelFileOptions& options);
/// What several ranks must have in common to be asked together, for share_model(); "" for a single one.
std::string same_on_all_ranks(const Classifier& classifier, Precision precision);

}  // namespace bobbin::command_line
