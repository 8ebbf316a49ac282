#pragma once
#include <string>

#include "apps/command_line.h"
#include "optim/model_file.h"

/// What the command lines of the programs that use a trained model share.
namespace bobbin::command_line {

// MODEL, and what its file may not say.
inline void add_model(CLI::App& app, std::string& path, ModelFileOptions& options) {
  app.add_option("MODEL", path,
                 "a safetensors file: a run's model.safetensors or best.safetensors, or weights of a ViT from timm, "
                 "torchvision or Hugging Face")
      ->required();
  app.option_defaults()->group("What the file of a model may not say");
  app.add_option("--num-heads", options.num_heads, "attention heads")->check(within(1, 65536));
  app.add_option_function<std::vector<Index>>(
         "--img-size", [&](const std::vector<Index>& n) { options.img_size = Size2(n.front(), n.back()); },
         "other images than the model was trained on: N, or height and width")
      ->expected(1, 2)
      ->check(within(1, 4096));
  app.add_option_function<std::string>(
         "--interpolation",
         [&](const std::string& name) {
           options.interpolation = name == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
         },
         "how pictures are resized: bilinear or bicubic")
      ->check(CLI::IsMember({"bilinear", "bicubic"}));
  app.add_option_function<double>(
         "--crop-pct", [&](double share) { options.crop_pct = share; },
         "the share of a picture's shorter side that is kept; 0: the picture is squashed")
      ->check(within(0, 1));
  const auto add_channels = [&](const char* flag, std::optional<std::vector<real>>& numbers, const char* help) {
    app.add_option_function<std::vector<real>>(
           flag, [&](const std::vector<real>& given) { numbers = given; }, help)
        ->expected(1, 3)
        ->check(within(-1e6, 1e6));
  };
  add_channels("--mean", options.mean, "what is taken from each channel, whose numbers go from 0 to 1");
  add_channels("--std", options.std, "what each channel is then divided by");
  app.option_defaults()->group("Options");
}

}  // namespace bobbin::command_line
