#pragma once
#include <vector>

#include "nn/layers.h"

namespace bobbin {

/// Convolutions in front of the patches, which learn faster than large patches do (Xiao et al., 2021: "Early
/// convolutions help transformers see better"). Each halves the image and doubles the channels:
///
///     3x3 convolution, stride 2 ── norm ── relu
///
/// (B, num_channels, H, W) -> (B, width·2^(n-1), H/2^n, W/2^n) for n of them, halves rounded up.
struct ConvStem {
  struct Stage {
    Conv2d conv;
    BatchNorm2d bn;

    void visit(auto&& v) { v("conv", conv), v("bn", bn); }
  };
  std::vector<Stage> stages;

  ConvStem(int num_stages, Index width, Index num_channels, Rng& rng) {
    for (int i = 0; i < num_stages; ++i) {
      const Index in = channels(i, width, num_channels), out = channels(i + 1, width, num_channels);
      stages.push_back({Conv2d(in, out, 3, rng, {.stride = 2, .padding = 1}, false), BatchNorm2d(out)});
    }
  }

  Var operator()(Var X) {
    for (Stage& stage : stages)
      X = stage.bn(stage.conv(X), Then::relu, &stage == &stages.back() ? ReadBy::anyone : ReadBy::products);
    return X;
  }
  void visit(auto&& v) { v("stages", stages); }

  /// What `num_stages` make of the channels, and of a side of the image.
  static Index channels(int num_stages, Index width, Index num_channels) {
    return num_stages == 0 ? num_channels : width << (num_stages - 1);
  }
  static Size2 size(int num_stages, Size2 img) {
    for (int i = 0; i < num_stages; ++i) img = {(img.height + 1) / 2, (img.width + 1) / 2};
    return img;
  }
};

}  // namespace bobbin
