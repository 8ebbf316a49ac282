#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// Residual networks (He, Zhang, Ren, Sun, 2016: "Deep residual learning for image recognition") with 18 and 34 layers:
/// d2l.ai's, section 8.6, and torchvision's, which is timm's, too.
namespace bobbin {

/// Where two libraries differ, and whose names the parameters have.
///
/// |                                       | d2l                | torchvision, timm                      |
/// |---------------------------------------|--------------------|----------------------------------------|
/// | convolutions                          | with biases        | without: the norm after each has one   |
/// | a shortcut where the size changes     | 1x1 convolution    | 1x1 convolution, batch normalisation   |
/// | initial weights, of variance          | Xavier: 2/(in+out) | convolutions' Kaiming: 2/out           |
/// | names                                 | net.b2.0.conv1     | layer1.0.conv1                         |
enum class ResNetForm { d2l, torchvision };

/// Two 3x3 convolutions, and what came in is added to what comes out:
///
///     x ── conv1 ── bn1 ── relu ── conv2 ── bn2 ── + ── relu
///     └─────────────── [1x1, stride] ──────────────┘
///
/// (B, in, H, W) -> (B, out, H/stride, W/stride), halves rounded up.
struct Residual {
  ResNetForm form;
  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  std::optional<Conv2d> shortcut;  // where x has not the shape of the result
  std::optional<BatchNorm2d> shortcut_norm;

  Residual(Index in, Index out, Index stride, ResNetForm form, Rng& rng)
      : form(form),
        conv1(in, out, 3, rng, {.stride = stride, .padding = 1}, form == ResNetForm::d2l),
        bn1(out),
        conv2(out, out, 3, rng, {.padding = 1}, form == ResNetForm::d2l),
        bn2(out) {
    if (in == out && stride == 1) return;
    shortcut.emplace(in, out, 1, rng, Conv2dOptions{.stride = stride}, form == ResNetForm::d2l);
    if (form == ResNetForm::torchvision) shortcut_norm.emplace(out);
  }

  Var operator()(const Var& X) {
    Var Y = bn2(conv2(bn1(conv1(X), Then::relu, ReadBy::products)));
    Var Z = shortcut ? (*shortcut)(X) : X;
    if (shortcut_norm) Z = (*shortcut_norm)(Z);
    return relu(std::move(Y) + Z);
  }
  void visit(auto&& v) {
    const bool d2l = form == ResNetForm::d2l;
    v("conv1", conv1), v("bn1", bn1), v("conv2", conv2), v("bn2", bn2);
    v(d2l ? "conv3" : "downsample.0", shortcut), v("downsample.1", shortcut_norm);
  }
};

template <int layers>
struct ResNet;

/// Hyperparameters of a ResNet of 18 or 34 layers. The defaults are d2l's.
template <int layers>
struct ResNetConfig {
  static_assert(layers == 18 || layers == 34, "deeper ones have blocks of another kind");
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = ResNet<layers>;
  static constexpr const char* name = layers == 18 ? "resnet18" : "resnet34";
  static constexpr const char* title = layers == 18 ? "ResNet-18" : "ResNet-34";
  static constexpr const char* heads[2] = {"net.last.2.", "fc."};
  static constexpr bool any_size = true;
  /// The blocks of each stage: with two convolutions each, the first and the head, 18 or 34 layers.
  static constexpr int blocks[4] = {layers == 18 ? 2 : 3, layers == 18 ? 2 : 4, layers == 18 ? 2 : 6,
                                    layers == 18 ? 2 : 3};

  ResNetForm form = ResNetForm::d2l;
  Size2 img_size = 96;
  Index width = 64;
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("form", form,
      {.help = "d2l: convolutions with biases, Xavier's initial weights; torchvision: as torchvision and timm have it, "
               "without biases, with normalised shortcuts and Kaiming's initial weights",
       .choices = {"d2l", "torchvision"},
       .fixed = true});
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("width", width,
      {.help = "channels of the first stage; each that follows has twice as many",
       .low = 1,
       .high = 4096,
       .fixed = true});
    f("num_classes", num_classes, {.low = 1, .high = 1 << 20, .flag = ""});
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }
  /// Channels of a stage.
  Index stage_width(int stage) const { return width << stage; }
  double weights() const {
    double count = 49.0 * static_cast<double>(num_channels * width) + 8.0 * static_cast<double>(width * num_classes);
    for (int stage = 0; stage < 4; ++stage) {
      const auto out = static_cast<double>(stage_width(stage)), in = stage == 0 ? out : out / 2;
      count += 9 * out * (in + (2 * blocks[stage] - 1) * out) + (stage == 0 ? 0 : in * out);
    }
    return count;
  }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes):
///
///     7x7 convolution, stride 2 ── norm ── relu ── 3x3 max pooling, stride 2     a quarter of the size, `width`
///     channels stages 1 to 4 of `blocks` residual blocks; 2, 3 and 4 begin with stride 2  half the size, twice the
///     channels each mean over all places ── linear
template <int layers>
struct ResNet {
  ResNetConfig<layers> config;
  Conv2d conv1;
  BatchNorm2d bn1;
  MaxPool2d maxpool{3, 2, 1};
  std::vector<Residual> stages[4];
  AdaptiveAvgPool2d avgpool{1};
  Linear fc;

  ResNet(const ResNetConfig<layers>& c, Rng& rng)
      : config(c),
        conv1(c.num_channels, c.width, 7, rng, {.stride = 2, .padding = 3}, c.form == ResNetForm::d2l),
        bn1(c.width),
        fc(c.stage_width(3), c.num_classes, rng) {
    for (int stage = 0; stage < 4; ++stage)
      for (int i = 0; i < c.blocks[stage]; ++i) {
        const bool narrows = stage > 0 && i == 0;
        stages[stage].emplace_back(c.stage_width(narrows ? stage - 1 : stage), c.stage_width(stage), narrows ? 2 : 1,
                                   c.form, rng);
      }
    for (auto& [name, parameter] : named_parameters(*this))  // biases, and torchvision's head, begin as PyTorch's do
      if (c.form == ResNetForm::torchvision && parameter.rank() == 4)
        kaiming_normal(parameter, rng, Fan::out);
      else if (c.form == ResNetForm::d2l && parameter.rank() > 1)
        xavier_uniform(parameter, rng);
  }

  Var operator()(const Var& X) { return fc(features(X)); }
  /// What the head sees: (B, num_channels, H, W) -> (B, 8·width).
  Var features(const Var& X) {
    check_images(config.title, X, config);
    Var Y = maxpool(bn1(conv1(X), Then::relu));  // (B, width, H/4, W/4)
    for (auto& stage : stages)
      for (Residual& block : stage) Y = block(Y);  // (B, 8·width, H/32, W/32)
    return flatten(avgpool(Y), 1);
  }
  void visit(auto&& v) {
    const bool d2l = config.form == ResNetForm::d2l;
    v(d2l ? "net.0.0" : "conv1", conv1), v(d2l ? "net.0.1" : "bn1", bn1);
    for (int stage = 0; stage < 4; ++stage)
      v(d2l ? "net.b" + std::to_string(stage + 2) : "layer" + std::to_string(stage + 1), stages[stage]);
    v(d2l ? "net.last.2" : "fc", fc);
  }
};

}  // namespace bobbin
