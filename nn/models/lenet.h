#pragma once
#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// LeNet-5 as d2l.ai builds it, section 7.6 (after LeCun, Bottou, Bengio, Haffner, 1998: "Gradient-based learning
/// applied to document recognition"): sigmoids and average pooling, and no Gaussian connections at the end.
namespace bobbin {

/// Hyperparameters of a LeNet: see fields().
struct LeNetConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct LeNet;
  static constexpr const char *name = "lenet", *title = "LeNet";
  static constexpr const char* heads[] = {"net.11."};

  Size2 img_size = 28;
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 12, .high = 4096, .fixed = true});
    f("num_classes", num_classes, {.low = 1, .high = 1 << 20, .flag = ""});
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }
  /// Height and width of the last feature map: after two convolutions, the first padded, and two poolings.
  Size2 map_size() const { return {(img_size.height / 2 - 4) / 2, (img_size.width / 2 - 4) / 2}; }
  double weights() const {
    const double map = static_cast<double>(map_size().height) * static_cast<double>(map_size().width);
    return 6 * 25 * static_cast<double>(num_channels) + 16 * 6 * 25 + 16 * map * 120 + 120 * 84 +
           84 * static_cast<double>(num_classes);
  }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes).
struct LeNet {
  LeNetConfig config;
  /// All layers, in order.
  Sequential<Conv2d, Sigmoid, AvgPool2d,  //
             Conv2d, Sigmoid, AvgPool2d,  //
             Flatten, Linear, Sigmoid, Linear, Sigmoid, Linear>
      net;

  /// Throws Error for images too small to be pooled twice.
  LeNet(const LeNetConfig& c, Rng& rng)
      : config(c),
        net{Conv2d(c.num_channels, 6, 5, rng, {.padding = 2}),
            Sigmoid(),
            AvgPool2d(2, 2),  // (B, 6, H/2, W/2)
            Conv2d(6, 16, 5, rng),
            Sigmoid(),
            AvgPool2d(2, 2),  // (B, 16, H/4 - 2, W/4 - 2)
            Flatten(),
            Linear(16 * area(c), 120, rng),
            Sigmoid(),
            Linear(120, 84, rng),
            Sigmoid(),
            Linear(84, c.num_classes, rng)} {
    for (auto& [name, parameter] : named_parameters(*this))
      if (parameter.rank() > 1) xavier_uniform(parameter, rng);  // the weights; biases begin as PyTorch's do
  }

  /// Images (B, num_channels, H, W) -> logits (B, num_classes).
  Var operator()(const Var& X) {
    check_images("LeNet", X, config);
    return net(X);
  }
  void visit(auto&& v) { v("net", net); }

 private:
  static Index area(const LeNetConfig& c) {
    const auto [height, width] = c.map_size();
    check(height >= 1 && width >= 1, "LeNet", "images of ", c.img_size.height, " x ", c.img_size.width,
          " are too small: it needs 12 x 12 or more");
    return height * width;
  }
};

}  // namespace bobbin
