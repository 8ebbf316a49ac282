// Writes a model for other libraries.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/model_flags.h"
#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "nn/pretrained/write_foreign.h"
#include "tensor/check.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

// A run is a folder: its model with the best accuracy, or else the last.
fs::path file_of(const fs::path& model) {
  if (!fs::is_directory(model)) return model;
  for (const char* name : {"best.safetensors", "model.safetensors"})
    if (fs::exists(model / name)) return model / name;
  fail("convert", "the folder ", model.string(), " holds neither a best.safetensors nor a model.safetensors");
}

}  // namespace

int main(int argc, char** argv) try {
  std::string model, library, folder;
  ModelFileOptions options{.features = true};
  CLI::App app(
      "Writes a ViT under the names of timm, transformers or torchvision, with the config.json that says the "
      "rest: these libraries load it, and give the same logits.",
      "convert");
  command_line::add_model(app, model, options);
  command_line::choose_from({"timm", "transformers", "torchvision"},
                            app.add_option("--to", library, "the library")->required());
  app.add_option(
         "-o,--output", folder,
         "folder to write: model.safetensors, and what belongs beside it; files of these names must not be there yet")
      ->required();
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });

  const ModelFile file = read_model_file(file_of(model), options);
  command_line::say_what_was_taken("convert", file.taken);
  const VitOrigin to = library == "timm"           ? VitOrigin::timm
                       : library == "transformers" ? VitOrigin::hugging_face
                                                   : VitOrigin::torchvision;
  const ForeignModel converted = for_library(to, file);
  std::vector<std::string> names{"model.safetensors"};
  for (const auto& [name, content] : converted.files) names.push_back(name);
  for (const std::string& name : names)
    check(!fs::exists(fs::path(folder) / name), "convert", "there is already a ", (fs::path(folder) / name).string(),
          ": give -o another folder");
  make_folder(folder);
  write_safetensors(fs::path(folder) / "model.safetensors", converted.tensors);
  for (const auto& [name, content] : converted.files) write_file(fs::path(folder) / name, content);
  std::string python = converted.python;
  if (const auto at = python.find("DIR"); at != std::string::npos) python.replace(at, 3, folder);
  std::printf("%s\n", python.c_str());
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("convert", error);
}
