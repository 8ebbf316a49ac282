#include "apps/common/model_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "data/files/json.h"
#include "tensor/comm.h"

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
          if (separator == 'x' && numbers.back() != std::floor(numbers.back()))
            throw CLI::ValidationError(flag, "is in whole pixels, got " + word);
        }
        if (word.ends_with(separator)) throw CLI::ValidationError(flag, "lacks a number at the end of " + word);
        if (numbers.size() > most)
          throw CLI::ValidationError(flag, "takes at most " + std::to_string(most) + " numbers, got " + word);
        take(numbers);
      },
      help);
}

// An enumeration, by the names of its values in their order.
template <class T>
void add_choice(CLI::App& app, const char* flag, const std::vector<std::string>& names, std::optional<T>& to,
                const std::string& help) {
  const auto take = [names, &to](const std::string& name) {
    to = static_cast<T>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  choose_from(names, app.add_option_function<std::string>(flag, take, help));
}

}  // namespace

void add_model(CLI::App& app, std::string& path, ModelFileOptions& options) {
  app.add_option("MODEL", path,
                 "safetensors file: model.safetensors or best.safetensors of a run, or weights of a ViT, "
                 "DINOv2, CLIP, SigLIP, Swin Transformer or ResNet from timm, torchvision or Hugging Face")
      ->required();
  app.option_defaults()->group("Where the model's file does not say it, or to override it");
  app.add_option("--weights", options.weights,
                 "name of the published model that MODEL is, which says it all: timm's with its tag, "
                 "vit_base_patch16_224.augreg_in21k_ft_in1k, or torchvision's, ViT_B_16_Weights.IMAGENET1K_V1 or "
                 "ResNet18_Weights.IMAGENET1K_V1");
  app.add_option("--num-heads", options.num_heads, "attention heads of a ViT")->check(within(1, 65536));
  add_word(
      app, "--img-size", 'x', 2, 1, 4096,
      [&](const auto& n) { options.img_size = Size2(static_cast<Index>(n.front()), static_cast<Index>(n.back())); },
      "image size: N, or HEIGHTxWIDTH; of a ViT another than it was trained on resizes its position embeddings");
  add_choice(app, "--global-pool", {"token", "avg"}, options.pool,
             "input of a ViT's head: the class token, or the mean of the patch tokens");
  app.add_option_function<double>(
         "--layer-norm-eps", [&](double eps) { options.layer_norm_eps = static_cast<real>(eps); }, "eps of LayerNorm")
      ->check(within(1e-20, 1));
  add_choice(app, "--act", {"gelu", "gelu_tanh", "quick_gelu"}, options.activation,
             "activation of a ViT's MLPs: GELU by erf, its approximation by tanh, or CLIP's by a sigmoid");
  add_choice(app, "--interpolation", {"bilinear", "bicubic"}, options.interpolation,
             "interpolation when images are resized");
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
  app.add_flag("--no-exif", options.no_exif,
               "leave images as their pixels lie in the file; otherwise they are turned as their EXIF orientation says "
               "(TIFF always is), unless the model was trained with --no-exif");
  app.option_defaults()->group("Options");
}

void say_what_was_taken(const char* program, const std::string& taken) {
  if (!taken.empty() && comm::rank() == 0) std::fprintf(stderr, "%s: %s\n", program, taken.c_str());
}

Classifier read_model(const char* program, const std::string& path, const ModelFileOptions& options) {
  Classifier classifier = read_classifier(path, options);
  say_what_was_taken(program, classifier.taken);
  return classifier;
}

std::string same_on_all_ranks(const Classifier& classifier, Precision precision) {
  if (comm::size() == 1) return "";
  std::string lines = "the precision of products " + std::to_string(static_cast<int>(precision)) + "\n";
  const std::string model = describe_model({classifier.model.config(), classifier.class_names, classifier.preprocess});
  const nlohmann::json values = nlohmann::json::parse(model).flatten();
  for (const auto& [place, value] : values.items())
    lines += "the model's " + place.substr(1) + " " + to_text(value) + "\n";
  return lines;
}

}  // namespace bobbin::command_line
