// Draws the attention maps of a Vision Transformer over an image.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/attention_page.h"
#include "apps/common/command_line.h"
#include "apps/common/model_flags.h"
#include "data/drawing/canvas.h"
#include "data/drawing/color_scale.h"
#include "data/drawing/contact_sheet.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "nn/models/attention_maps.h"
#include "tensor/functions.h"
#include "tensor/text.h"
#include "tensor/threads.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

struct Settings {
  std::string model;
  std::vector<std::string> pictures;
  std::string output_dir = ".";
  ModelFileOptions options;
  bool page = false;
  double opacity = 0.7;
  int threads = default_threads();
};

Settings parse_command_line(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Draws where a Vision Transformer looks: how much of its attention the class token gives to each patch (with "
      "average pooling, the patches on average). NAME-attention.png: a row for each block of each picture, with the "
      "picture, the mean of the block's heads, and each head. NAME-rollout.png: a row for each picture, with the mean "
      "of the heads in each block, and attention rollout (Abnar and Zuidema, 2020): how much of the class token, "
      "after the last block, comes from each patch. NAME is the first picture's. In a file all attention has the same "
      "colours, and so has all rollout; the scales are drawn below. One number in a hundred may lie beyond their ends. "
      "--html writes NAME-attention.html, too, a page for a browser: point at a patch, and see where each head of each "
      "block looks from there.",
      "attention");
  command_line::add_model(app, s.model, s.options);
  app.add_option("IMAGE", s.pictures, "picture files")->required();
  app.option_defaults()->always_capture_default();
  app.add_option("--output-dir", s.output_dir, "folder for the two pictures");
  app.add_flag("--html", s.page, "write the page, too");
  app.add_option("--opacity", s.opacity, "opacity of the maps over the image, 0 to 1")
      ->check(command_line::within(0, 1));
  app.add_option("--threads", s.threads, "number of CPU threads")->check(command_line::within(1, 1024));
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  return s;
}

constexpr Index text_scale = 2, usual_side = 224, letters_in_line = 18;

// What is drawn for each map: no larger than it will be shown. A small picture is enlarged by a whole factor, so that
// its pixels stay what they are.
Image tile_of(Image whole) {
  const Image picture = thumbnail(std::move(whole), largest_tile);
  const Index scale = std::max<Index>(1, usual_side / std::max(picture.height, picture.width));
  Image large = blank(picture.height * scale, picture.width * scale);
  paste(large, 0, 0, picture, scale);
  return large;
}

// A long name goes on in the next line.
std::string in_lines(std::string text) {
  for (std::size_t at = letters_in_line; at < text.size(); at += letters_in_line + 1) text.insert(at, "\n");
  return text;
}

Image beside(const Image& left, const Image& right) {
  const Index x = left.width + (left.width > 0 ? 24 : 0);
  Image both = blank(std::max(left.height, right.height), x + right.width);
  paste(both, 0, 0, left);
  paste(both, x, 0, right);
  return both;
}

// A row of a sheet: a picture, and maps (h, w) of shares over it, each drawn in the colours of one of the sheet's
// scales.
struct Map {
  std::size_t scale;
  Tensor shares;
  std::string caption;
};
struct Row {
  Image picture;
  std::string caption;
  std::vector<Map> maps;
};

// From 0 to where no more than one share in a hundred lies beyond, in one colour; what text then says.
Axis axis_for(const std::vector<Row>& rows, std::size_t scale, std::string& text) {
  std::vector<real> shares;
  for (const Row& row : rows)
    for (const Map& map : row.maps)
      if (map.scale == scale)
        for (const real share : map.shares.values()) shares.push_back(share);
  std::sort(shares.begin(), shares.end());
  const Axis axis = axis_of(0, shares[(shares.size() - 1) * 99 / 100], 5);
  if (shares.back() > axis.end)
    text += format(",\none colour from %.3g%% to %.2g%%", 100 * axis.end, 100 * shares.back());
  return axis;
}

// The rows with, for each scale, a legend of this text.
Image draw(const std::vector<Row>& rows, std::vector<std::string> texts, double opacity) {
  std::vector<Axis> axes;
  Image legends = blank(0, 0);
  for (std::size_t scale = 0; scale < texts.size(); ++scale) {
    axes.push_back(axis_for(rows, scale, texts[scale]));
    legends = beside(legends, color_scale(axes[scale], opacity, texts[scale]));
  }
  std::vector<Image> tiles;
  std::vector<std::string> captions;
  for (const Row& row : rows) {
    tiles.push_back(row.picture), captions.push_back(row.caption);
    for (const Map& map : row.maps) {
      tiles.push_back(overlay(row.picture, map.shares, axes[map.scale].end, opacity));
      captions.push_back(map.caption);
    }
  }
  return contact_sheet(tiles, captions, static_cast<Index>(rows[0].maps.size()) + 1, text_scale, legends);
}

std::string number_of(std::size_t number, std::size_t count) { return format("%zu of %zu", number + 1, count); }
std::string counted(std::size_t count, const char* what) {
  return format("%zu %s%s", count, what, count == 1 ? "" : "s");
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

  const std::size_t blocks = model.blks.size(), heads = static_cast<std::size_t>(model.config.num_heads);
  const std::size_t tiles = s.pictures.size() * blocks * (heads + 2);
  check(tiles <= 1000, "attention", s.pictures.size(), " pictures, ", blocks, " blocks and ", heads,
        " attention heads are ", tiles, " pictures in one, which has room for 1000: give fewer pictures");
  if (s.page) check_fits_in_page(s.pictures.size(), model);
  const std::string name = fs::path(s.pictures[0]).stem().string();
  const fs::path heads_file = fs::path(s.output_dir) / (name + "-attention.png"),
                 rollout_file = fs::path(s.output_dir) / (name + "-rollout.png");
  make_folder(s.output_dir);  // before the work
  const fs::path page_file = fs::path(s.output_dir) / (name + "-attention.html");
  for (const fs::path& file : {heads_file, rollout_file}) check_can_write(file);
  if (s.page) check_can_write(page_file);

  constexpr std::size_t attention = 0, rollout = 1;  // the scales
  std::vector<Row> in_heads, in_all;
  std::vector<AttendedPicture> attended;
  std::string answers;
  for (const std::string& file : s.pictures) {
    const Image original = read_image(file, model.config.num_channels, !classifier.preprocess.no_exif);
    const Tensor X = to_tensor(original, classifier.preprocess);  // (1, C, H, W)
    const Tensor probabilities = classifier.probabilities(model(X).value());
    const auto best = static_cast<std::size_t>(argmax(probabilities));
    const double probability = probabilities.values()[best];
    check(std::isfinite(probability), "attention", file, ": the model's numbers for it are not finite");
    answers += file + ": " + classifier.class_names[best] + format(", %.4f\n", probability);

    const Row begin{tile_of(fit(original, classifier.preprocess)),
                    in_lines(classifier.class_names[best]) + format("\n%.0f%%", 100 * probability),
                    {}};
    in_all.push_back(begin);
    const std::vector<Tensor> maps = attention_maps(model, X);  // (1, heads, T, T) of each block
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::string caption = "block " + number_of(block, blocks) + "\n";
      const Map mean_map{attention, over_patches(mean(maps[block], 1)[0], model),
                         caption + "mean of " + counted(heads, "head")};
      in_all.back().maps.push_back(mean_map);
      in_heads.push_back(begin);
      in_heads.back().maps.push_back(mean_map);
      for (std::size_t head = 0; head < heads; ++head)
        in_heads.back().maps.push_back({attention, over_patches(maps[block][0][static_cast<Index>(head)], model),
                                        caption + "head " + number_of(head, heads)});
    }
    const Tensor of_all = attention_rollout(maps);
    in_all.back().maps.push_back({rollout, over_patches(of_all[0], model), "rollout\nof " + counted(blocks, "block")});
    if (s.page)
      attended.push_back(
          {file, classifier.class_names[best] + format(", %.0f%%", 100 * probability), begin.picture, maps, of_all});
  }

  const bool token = model.config.pool == Pool::token;
  const std::string looks = token ? "A patch's share of the attention\nof the class token"
                                  : "A patch's share of the attention\nof the patches, on average",
                    is_made_of = token ? "Rollout: its share of what the class\ntoken is after the last block"
                                       : "Rollout: its share of what the patches\nare at the end, on average";
  write_png(heads_file, draw(in_heads, {looks}, s.opacity));
  write_png(rollout_file, draw(in_all, {looks, is_made_of}, s.opacity));
  if (s.page) write_file(page_file, attention_html(attended, model));
  std::printf("%s%s\n%s\n", answers.c_str(), heads_file.c_str(), rollout_file.c_str());
  if (s.page) std::printf("%s\n", page_file.c_str());
  command_line::check_printed();
  return 0;
} catch (const std::exception& error) {
  return command_line::exit_code("attention", error);
}
