#pragma once
#include <vector>

#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// A small convolutional network, wide, shallow and pooled early, which learns in few epochs: the shape of K. Jordan's
/// ("94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024), with ReLU and without its frozen first layer. What a ViT
/// of the same budget is compared with.
namespace bobbin {

/// Hyperparameters of a ConvNet: see fields().
struct ConvNetConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct ConvNet;
  static constexpr const char *name = "convnet", *title = "ConvNet";
  static constexpr const char* heads[] = {"head."};

  Size2 img_size = 28;
  Index width = 32;
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 8, .high = 4096, .fixed = true});
    f("width", width,
      {.help = "channels of the first block; the others have four times as many",
       .low = 1,
       .high = 4096,
       .fixed = true});
    f("num_classes", num_classes, {.low = 1, .high = 1 << 20, .flag = ""});
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }
  /// Of the last feature map: an eighth.
  Size2 map_size() const { return {img_size.height / 8, img_size.width / 8}; }
  double weights() const {
    const auto w = static_cast<double>(width);
    return 9 * (w * static_cast<double>(num_channels) + w * w + 4 * w * w + 3 * 16 * w * w) +
           4 * w * static_cast<double>(num_classes);
  }
};

/// (B, in, H, W) -> (B, out, H/2, W/2):
///
///     3x3 convolution ── 2x2 max pooling ── norm ── relu ── 3x3 convolution ── norm ── relu
struct ConvBlock {
  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;

  ConvBlock(Index in, Index out, Rng& rng)
      : conv1(in, out, 3, rng, {.padding = 1}, false),
        bn1(out),
        conv2(out, out, 3, rng, {.padding = 1}, false),
        bn2(out) {}

  Var operator()(const Var& X, ReadBy readers = ReadBy::anyone) {
    const Var Y = bn1(max_pool2d(conv1(X), 2, 2), Then::relu, ReadBy::products);
    return bn2(conv2(Y), Then::relu, readers);
  }
  void visit(auto&& v) { v("conv1", conv1), v("bn1", bn1), v("conv2", conv2), v("bn2", bn2); }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes): three blocks, the largest number of each channel, linear.
struct ConvNet {
  ConvNetConfig config;
  std::vector<ConvBlock> blocks;
  Linear head;

  ConvNet(const ConvNetConfig& c, Rng& rng) : config(c), head(4 * c.width, c.num_classes, rng) {
    Index in = c.num_channels;
    for (const Index out : {c.width, 4 * c.width, 4 * c.width}) {
      blocks.emplace_back(in, out, rng);
      in = out;
    }
  }

  Var operator()(const Var& images) {
    check_images("ConvNet", images, config);
    Var X = images;
    for (ConvBlock& block : blocks) X = block(X, &block == &blocks.back() ? ReadBy::anyone : ReadBy::products);
    return head(flatten(max_pool2d(X, config.map_size(), config.map_size()), 1));
  }
  void visit(auto&& v) { v("blocks", blocks), v("head", head); }
};

}  // namespace bobbin
