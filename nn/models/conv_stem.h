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
/// (B, num_channels, H, W) -> (B, width·2^(n-1), H/2^n, W/2^n) for n stages, halves rounded up.
struct ConvStem {
  /// A convolution and the norm after it, which a ReLU follows.
  struct Layer {
    Conv2d conv;
    BatchNorm2d bn;

    void visit(auto&& v) { v("conv", conv), v("bn", bn); }
  };
  std::vector<Layer> layers;

  /// `convs` convolutions in each of the stages. Throws Error unless that is 1 or more.
  ConvStem(int num_stages, int convs, Index width, Index num_channels, Rng& rng) {
    check(num_stages == 0 || convs >= 1, "ConvStem", "a stage needs a convolution or more, got stem_convs ", convs);
    for (int i = 0; i < num_stages; ++i) {
      const Index in = channels(i, width, num_channels), out = channels(i + 1, width, num_channels);
      for (int j = 0; j < convs; ++j)
        layers.push_back({Conv2d(j == 0 ? in : out, out, 3, rng, {.stride = j == 0 ? 2 : 1, .padding = 1}, false),
                          BatchNorm2d(out)});
    }
  }

  Var operator()(Var X) {
    for (Layer& layer : layers)
      X = layer.bn(layer.conv(X), Then::relu, &layer == &layers.back() ? ReadBy::anyone : ReadBy::products);
    return X;
  }
  void visit(auto&& v) { v("stages", layers); }  // the name that they have in files

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
