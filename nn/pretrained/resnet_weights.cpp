#include "nn/pretrained/resnet_weights.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "nn/pretrained/published.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using Tensors = std::map<std::string, Tensor>;

// The names of the first convolution, of block i of a stage, and of the head.
std::string first(ResNetOrigin origin) {
  constexpr const char* names[] = {"net.0.0", "conv1", "resnet.embedder.embedder.convolution"};
  return names[static_cast<int>(origin)];
}
std::string block(ResNetOrigin origin, int stage, int i) {
  const std::string s = std::to_string(stage), of_stage = std::to_string(i) + ".";
  switch (origin) {
    case ResNetOrigin::d2l:
      return "net.b" + std::to_string(stage + 2) + "." + of_stage;
    case ResNetOrigin::torchvision:
      return "layer" + std::to_string(stage + 1) + "." + of_stage;
    default:
      return "resnet.encoder.stages." + s + ".layers." + of_stage;
  }
}
std::string head(ResNetOrigin origin) {
  constexpr const char* names[] = {"net.last.2", "fc", "classifier.1"};
  return names[static_cast<int>(origin)];
}

std::optional<ResNetOrigin> origin_of(const Tensors& tensors) {
  for (const ResNetOrigin origin : {ResNetOrigin::d2l, ResNetOrigin::torchvision, ResNetOrigin::hugging_face})
    if (const auto one = tensors.lower_bound(block(origin, 0, 0));
        one != tensors.end() && one->first.starts_with(block(origin, 0, 0)))
      return origin;
  return {};
}

// transformers' names of layers, and torchvision's.
std::map<std::string, std::string> names_of_transformers(const std::array<int, 4>& blocks) {
  constexpr auto theirs = ResNetOrigin::hugging_face, ours = ResNetOrigin::torchvision;
  std::map<std::string, std::string> names{
      {first(theirs), first(ours)}, {"resnet.embedder.embedder.normalization", "bn1"}, {head(theirs), head(ours)}};
  for (int stage = 0; stage < 4; ++stage)
    for (int i = 0; i < blocks[static_cast<std::size_t>(stage)]; ++i) {
      const std::string from = block(theirs, stage, i), to = block(ours, stage, i);
      names[from + "layer.0.convolution"] = to + "conv1";
      names[from + "layer.0.normalization"] = to + "bn1";
      names[from + "layer.1.convolution"] = to + "conv2";
      names[from + "layer.1.normalization"] = to + "bn2";
      names[from + "shortcut.convolution"] = to + "downsample.0";
      names[from + "shortcut.normalization"] = to + "downsample.1";
    }
  return names;
}

template <int layers>
AnyConfig config_of(ResNetOrigin origin, const Shape& conv, Index num_classes) {
  ResNetConfig<layers> config;
  config.form = origin == ResNetOrigin::d2l ? ResNetForm::d2l : ResNetForm::torchvision;
  config.width = conv[0];
  config.num_channels = conv[1];
  config.num_classes = num_classes;
  return config;
}

}  // namespace

bool is_resnet_weight(const std::string& name) {
  constexpr std::string_view layers[] = {"net.",    "conv1.",  "bn1.", "layer1.", "layer2.",
                                         "layer3.", "layer4.", "fc.",  "resnet.", "classifier.1."},
                             tensors[] = {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"};
  return std::any_of(std::begin(layers), std::end(layers), [&](auto layer) { return name.starts_with(layer); }) &&
         std::any_of(std::begin(tensors), std::end(tensors), [&](auto end) { return name.ends_with(end); });
}

bool is_resnet(const Tensors& tensors) { return origin_of(tensors).has_value(); }

ResNetWeights resnet_weights(const Tensors& tensors) {
  const std::optional<ResNetOrigin> found = origin_of(tensors);
  check(found.has_value(), "resnet_weights", "these are not weights of a ResNet: among ", tensors.size(),
        " tensors there is no layer1.0.conv1.weight");
  const ResNetOrigin origin = *found;
  const bool hugging_face = origin == ResNetOrigin::hugging_face;
  const auto need = [&](const std::string& name, int rank) {
    const auto tensor = tensors.find(name);
    check(tensor != tensors.end(), "resnet_weights", "there is no ", name, " among the weights of this ResNet");
    const Shape& shape = tensor->second.shape();
    check(shape.rank() == rank && tensor->second.size() > 0, "resnet_weights", name, " should have ", rank,
          " axes, but its shape is ", shape);
    return shape;
  };
  const std::string conv = hugging_face ? "layer.0.convolution.weight" : "conv1.weight";
  std::array<int, 4> blocks{};
  std::string counts;
  for (int stage = 0; stage < 4; ++stage) {
    int& count = blocks[static_cast<std::size_t>(stage)];
    while (tensors.contains(block(origin, stage, count) + conv)) ++count;
    counts += (stage == 0 ? "" : ", ") + std::to_string(count);
  }
  const bool bottlenecks = tensors.contains(block(origin, 0, 0) + "conv3.weight") ||
                           tensors.contains(block(origin, 0, 0) + "layer.2.convolution.weight");
  check(!bottlenecks, "resnet_weights",
        "blocks of three convolutions, as ResNet-50 and deeper ones have them, are not supported");
  const bool is_18 = blocks == std::array{2, 2, 2, 2}, is_34 = blocks == std::array{3, 4, 6, 3};
  check(is_18 || is_34, "resnet_weights", "a ResNet of ", counts,
        " blocks is not supported: ResNet-18 has 2, 2, 2, 2 and ResNet-34 has 3, 4, 6, 3");
  const Shape kernels = need(first(origin) + ".weight", 4);
  const std::string of_head = head(origin) + ".weight";
  const Index classes = tensors.contains(of_head) ? need(of_head, 2)[0] : 0;
  ResNetWeights weights{origin, is_18 ? 18 : 34,
                        is_18 ? config_of<18>(origin, kernels, classes) : config_of<34>(origin, kernels, classes),
                        tensors};
  if (!hugging_face) return weights;
  weights.tensors.clear();
  const std::map<std::string, std::string> names = names_of_transformers(blocks);
  for (const auto& [name, tensor] : tensors) {
    const auto dot = name.rfind('.');
    const auto layer = names.find(name.substr(0, dot));
    const std::string ours = layer == names.end() ? name : layer->second + name.substr(dot);
    check(weights.tensors.emplace(ours, tensor).second, "resnet_weights", "two tensors are the ", Quoted{ours},
          " of the model");
  }
  return weights;
}

// --- Published models -------------------------------------------------------------------------------------

namespace {

// The tags of timm 1.0.31's weights, each for those of `layers`, or 0: for both.
struct Tag {
  const char* name;
  int layers;
  Index size;
  double crop_pct;
  Interpolation interpolation;
  bool half = false;  // mean and deviation are .5, not ImageNet's
};
constexpr Tag tags[] = {
    {"a1_in1k", 0, 224, 0.95, Interpolation::bicubic},
    {"a2_in1k", 0, 224, 0.95, Interpolation::bicubic},
    {"a3_in1k", 0, 160, 0.95, Interpolation::bicubic},
    {"bt_in1k", 34, 224, 0.875, Interpolation::bicubic},
    {"fb_ssl_yfcc100m_ft_in1k", 18, 224, 0.875, Interpolation::bilinear},
    {"fb_swsl_ig1b_ft_in1k", 18, 224, 0.875, Interpolation::bilinear},
    {"gluon_in1k", 0, 224, 0.875, Interpolation::bicubic},
    {"ra4_e3600_r224_in1k", 34, 224, 0.9, Interpolation::bicubic, true},
    {"tv_in1k", 0, 224, 0.875, Interpolation::bilinear},
};

}  // namespace

std::optional<PublishedResNet> published_resnet(const std::string& name) {
  for (const int layers : {18, 34}) {
    const std::string number = std::to_string(layers), builder = "resnet" + number;
    const auto prepared = [](Index size, double crop_pct, Interpolation interpolation, bool half) {
      Preprocess p{size, interpolation, crop_pct, std::vector<real>(3, real(0.5)), std::vector<real>(3, real(0.5))};
      if (half) return p;
      p.mean.assign(std::begin(imagenet_mean), std::end(imagenet_mean));
      p.std.assign(std::begin(imagenet_std), std::end(imagenet_std));
      return p;
    };
    const std::string file = builder + (layers == 18 ? "-f37072fd" : "-b627a593");
    if (name == "ResNet" + number + "_Weights.IMAGENET1K_V1" || name == builder + ".IMAGENET1K_V1" || name == file)
      return PublishedResNet{name, false, layers, prepared(224, 0.875, Interpolation::bilinear, false)};
    if (name.substr(0, name.find('.')) != builder) continue;
    PublishedResNet model{name, true, layers};
    for (const Tag& t : tags)
      if (name == builder + "." + t.name && (t.layers == 0 || t.layers == layers))
        model.preprocess = prepared(t.size, t.crop_pct, t.interpolation, t.half);
    return model;
  }
  return {};
}

}  // namespace bobbin
