#pragma once
#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// The multilayer perceptron of d2l.ai, section 5.2, with one hidden layer: a baseline for the larger models.
namespace bobbin {

/// Hyperparameters of an MLP: see fields().
struct MLPConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct MLP;
  static constexpr const char *name = "mlp", *title = "MLP";
  static constexpr const char* heads[] = {"net.3."};

  Size2 img_size = 28;
  Index num_hiddens = 256;
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("num_hiddens", num_hiddens, {.help = "hidden units", .low = 1, .high = 65536, .fixed = true});
    f("num_classes", num_classes, {.low = 1, .high = 1 << 20, .flag = ""});
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }
  /// Pixels and channels of an image.
  Index num_inputs() const { return num_channels * img_size.height * img_size.width; }
  double weights() const { return static_cast<double>(num_hiddens) * static_cast<double>(num_inputs() + num_classes); }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes).
struct MLP {
  MLPConfig config;
  Sequential<Flatten, Linear, ReLU, Linear> net;

  MLP(const MLPConfig& c, Rng& rng)
      : config(c),
        net{Flatten(), Linear(c.num_inputs(), c.num_hiddens, rng), ReLU(), Linear(c.num_hiddens, c.num_classes, rng)} {}

  /// Images (B, num_channels, H, W) -> logits (B, num_classes).
  Var operator()(const Var& X) {
    check_images("MLP", X, config);
    return net(X);
  }
  void visit(auto&& v) { v("net", net); }
};

}  // namespace bobbin
