#pragma once
#include <vector>

#include "nn/layers.h"

namespace bobbin {

/// Convolutions in front of the patches, which learn faster than large patches do (Xiao et al., 2021: "Early
/// convolutions help transformers see better"). Each stage halves the image and doubles the channels, by the first of
/// its convolutions; others may follow:
///
///     3x3 convolution, stride 2 ── norm ── relu ── 3x3 convolution ── norm ── relu ── ...
///
/// Or that one computes all places, and of four neighbours the largest goes on, as in a compact Transformer's tokenizer
/// (Hassani et al., 2021: "Escaping the big data paradigm with compact transformers"):
///
///     3x3 convolution ── 2x2 max pooling ── norm ── relu ── 3x3 convolution ── norm ── relu ── ...
///
/// (B, num_channels, H, W) -> (B, width·2^(n-1), H/2^n, W/2^n) for n stages, halves rounded up with strides, and
/// down with pooling.
struct ConvStem {
  /// A convolution, max pooling if it is the first of a stage that halves so, and the norm, which a ReLU follows.
  struct Layer {
    Conv2d conv;
    BatchNorm2d bn;
    bool max_pool;

    void visit(auto&& v) { v("conv", conv), v("bn", bn); }
  };
  std::vector<Layer> layers;

  /// `convs` convolutions in each of the stages, which halve by max pooling or by strides. Throws Error unless `convs`
  /// is 1 or more.
  ConvStem(int num_stages, int convs, bool max_pool, Index width, Index num_channels, Rng& rng) {
    check(num_stages == 0 || convs >= 1, "ConvStem", "a stage needs a convolution or more, got stem_convs ", convs);
    for (int i = 0; i < num_stages; ++i) {
      const Index in = channels(i, width, num_channels), out = channels(i + 1, width, num_channels);
      for (int j = 0; j < convs; ++j) {
        const bool halves = j == 0;
        const Index stride = halves && !max_pool ? 2 : 1;
        layers.push_back({Conv2d(halves ? in : out, out, 3, rng, {.stride = stride, .padding = 1}, false),
                          BatchNorm2d(out), halves && max_pool});
      }
    }
  }

  Var operator()(Var X) {
    for (Layer& layer : layers) {
      X = layer.conv(X);
      if (layer.max_pool) X = max_pool2d(X, 2);
      X = layer.bn(X, Then::relu, &layer == &layers.back() ? ReadBy::anyone : ReadBy::products);
    }
    return X;
  }
  void visit(auto&& v) { v("stages", layers); }  // the name that they have in files

  /// What `num_stages` make of the channels, and of a side of the image.
  static Index channels(int num_stages, Index width, Index num_channels) {
    return num_stages == 0 ? num_channels : width << (num_stages - 1);
  }
  /// Throws Error where nothing is left.
  static Size2 size(int num_stages, bool max_pool, Size2 img) {
    const Index round_up = max_pool ? 0 : 1;
    Size2 map = img;
    for (int i = 0; i < num_stages; ++i) map = {(map.height + round_up) / 2, (map.width + round_up) / 2};
    check(!max_pool || (map.height >= 1 && map.width >= 1), "ConvStem", num_stages,
          " stages with pooling leave nothing ", "of an image of ", img.height, " x ", img.width,
          ": take fewer stem_stages, or a larger img_size");
    return map;
  }
};

}  // namespace bobbin
