// Draws the attention maps of a Vision Transformer over an image.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/model_flags.h"
#include "data/drawing/canvas.h"
#include "data/drawing/contact_sheet.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "nn/models/attention_maps.h"
#include "tensor/functions.h"
#include "tensor/threads.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

struct Settings {
  std::string model, picture, output_dir = ".";
  ModelFileOptions options;
  double opacity = 0.6;
  int threads = default_threads();
};

Settings parse_command_line(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Draws the attention maps of a Vision Transformer over an image. NAME-attention.png: the attention of the class "
      "token (with average pooling, the mean over the patches), one row per block and one column per head. "
      "NAME-rollout.png: attention rollout over all blocks.",
      "attention");
  command_line::add_model(app, s.model, s.options);
  app.option_defaults()->always_capture_default();
  app.add_option("IMAGE", s.picture, "picture file")->required();
  app.add_option("--output-dir", s.output_dir, "folder for the two pictures");
  app.add_option("--opacity", s.opacity, "opacity of the maps over the image, 0 to 1")
      ->check(command_line::within(0, 1));
  app.add_option("--threads", s.threads, "number of CPU threads")->check(command_line::within(1, 1024));
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  return s;
}

// What is drawn for each head: no larger than it will be shown. A small picture is enlarged by a whole factor, so that
// a map on it is smooth and the picture's pixels stay what they are.
Image tile_of(Image whole) {
  const Image picture = thumbnail(std::move(whole), largest_tile);
  const Index scale = std::max<Index>(1, 160 / std::max(picture.height, picture.width));
  Image large = blank(picture.height * scale, picture.width * scale);
  paste(large, 0, 0, picture, scale);
  return large;
}

// A row for each block, a column for each head. maps: (1, heads, T, T) of each block.
Image draw_heads(const Image& picture, const std::vector<Tensor>& maps, const ViT& model, double opacity) {
  std::vector<Image> tiles;
  std::vector<std::string> captions;
  for (std::size_t block = 0; block < maps.size(); ++block)
    for (Index head = 0; head < model.config.num_heads; ++head) {
      tiles.push_back(overlay(picture, over_patches(maps[block][0][head], model), opacity));
      captions.push_back("block " + std::to_string(block) + ", head " + std::to_string(head));
    }
  return contact_sheet(tiles, captions, model.config.num_heads);
}

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  const Settings s = parse_command_line(argc, argv);
  command_line::use_threads(s.threads);
  Classifier classifier = command_line::read_model("attention", s.model, s.options);
  ViT* const vit = classifier.model.as<ViT>();
  check(vit, "attention", s.model, " is a ", classifier.model.config().title(),
        ", which has no attention to draw: needs a Vision Transformer");
  ViT& model = *vit;

  const Index heads = static_cast<Index>(model.blks.size()) * model.config.num_heads;
  check(heads <= 1000, "attention", s.model, " has ", heads, " attention heads; a picture has room for 1000");
  const std::string name = fs::path(s.picture).stem().string();
  const fs::path heads_file = fs::path(s.output_dir) / (name + "-attention.png"),
                 rollout_file = fs::path(s.output_dir) / (name + "-rollout.png");
  make_folder(s.output_dir);  // before the work
  for (const fs::path& file : {heads_file, rollout_file}) check_can_write(file);

  const Image original = read_image(s.picture, model.config.num_channels, !classifier.preprocess.no_exif);
  const Image picture = tile_of(fit(original, classifier.preprocess));
  const Tensor X = to_tensor(original, classifier.preprocess);  // (1, C, H, W)
  const Tensor probabilities = classifier.probabilities(model(X).value());
  const auto best = static_cast<std::size_t>(argmax(probabilities));
  const std::string answer = classifier.class_names[best];
  const std::vector<Tensor> maps = attention_maps(model, X);
  const Tensor rollout = over_patches(attention_rollout(maps)[0], model);

  write_png(heads_file, draw_heads(picture, maps, model, s.opacity));
  write_png(rollout_file, contact_sheet({picture, overlay(picture, rollout, s.opacity)}, {answer, "rollout"}, 2));
  std::printf("%s: %s, %.4f\n%s\n%s\n", s.picture.c_str(), answer.c_str(), double{probabilities.values()[best]},
              heads_file.c_str(), rollout_file.c_str());
  command_line::check_printed();
  return 0;
} catch (const std::exception& error) {
  return command_line::exit_code("attention", error);
}
