#include "apps/common/model_flags.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

#include "apps/common/command_line.h"

namespace bobbin::command_line {
namespace {

// Numbers in one word, "96x64" or "0.5,0.5,0.5": several words would take the pictures that follow for numbers, too.
void add_word(CLI::App& app, const std::string& flag, char separator, std::size_t most, double low, double high,
              const std::function<void(const std::vector<double>&)>& take, const std::string& help) {
  app.add_option_function<std::string>(
      flag,
      [=](const std::string& word) {
        std::vector<double> numbers;
        for (std::string part : CLI::detail::split(word, separator)) {
          const std::string wrong = within(low, high)(part);
          if (!wrong.empty()) throw CLI::ValidationError(flag, wrong);
          numbers.push_back(std::stod(part));
        }
        if (numbers.size() > most)
          throw CLI::ValidationError(flag, "takes at most " + std::to_string(most) + " numbers, got " + word);
        take(numbers);
      },
      help);
}

}  // namespace

void add_model(CLI::App& app, std::string& path, ModelFileOptions& options) {
  app.add_option("MODEL", path,
                 "safetensors file: model.safetensors or best.safetensors of a run, or weights of a ViT from timm, "
                 "torchvision or Hugging Face")
      ->required();
  app.option_defaults()->group("Where the model's file does not say it, or to override it");
  app.add_option("--num-heads", options.num_heads, "attention heads of a ViT")->check(within(1, 65536));
  add_word(
      app, "--img-size", 'x', 2, 1, 4096,
      [&](const auto& n) { options.img_size = Size2(static_cast<Index>(n.front()), static_cast<Index>(n.back())); },
      "image size of a ViT, other than it was trained on: N, or HEIGHTxWIDTH");
  choose_from({"bilinear", "bicubic"}, app.add_option_function<std::string>(
                                           "--interpolation",
                                           [&](const std::string& name) {
                                             options.interpolation =
                                                 name == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
                                           },
                                           "interpolation when images are resized"));
  app.add_option_function<double>(
         "--crop-pct", [&](double share) { options.crop_pct = share; },
         "share of an image's shorter side that the center crop keeps, 0.1 to 1; 0: squash, do not crop")
      ->check(within(0, 1));
  const auto numbers_of = [](std::optional<std::vector<real>>& to) {
    return [&to](const std::vector<double>& n) { to.emplace(n.begin(), n.end()); };
  };
  add_word(app, "--mean", ',', 3, -1e6, 1e6, numbers_of(options.mean),
           "mean to subtract from pixel values in 0 to 1: R,G,B, or one number");
  add_word(app, "--std", ',', 3, 1e-6, 1e6, numbers_of(options.std),
           "standard deviation to divide by: R,G,B, or one number");
  app.option_defaults()->group("Options");
}

}  // namespace bobbin::command_line
