#include "nn/pretrained/input_channels.h"

#include <numeric>
#include <vector>

#include "tensor/check.h"

namespace bobbin {
namespace {

// (O, from, H, W) -> (O, to, H, W)
Tensor adapted(const Tensor& weight, Index to) {
  const Shape& shape = weight.shape();
  const Index from = shape[1], plane = shape[2] * shape[3], size = from * plane;
  const std::vector<real> old = weight.values();
  std::vector<real> now(static_cast<std::size_t>(shape[0] * to * plane));
  for (Index o = 0; o < shape[0]; ++o)
    for (Index i = 0; i < plane; ++i) {
      const auto at = [&](Index channel) { return old[static_cast<std::size_t>(o * size + channel * plane + i)]; };
      double sum = 0;
      for (Index c = 0; c < from; ++c) sum += double{at(c)};
      for (Index c = 0; c < to; ++c)
        now[static_cast<std::size_t>((o * to + c) * plane + i)] = static_cast<real>(
            to == 1 ? sum : double{at(c % from)} * static_cast<double>(from) / static_cast<double>(to));
    }
  return Tensor(shape.with(1, to), std::move(now));
}

}  // namespace

void adapt_input_conv(NamedTensors& weights, Preprocess& preprocess, Index from, Index to) {
  Tensor* first = nullptr;
  int count = 0;
  for (auto& [name, tensor] : weights)
    if (tensor.shape().rank() == 4 && tensor.shape()[1] == from) first = &tensor, ++count;
  check(count == 1, "adapt_input_conv", "the weights are for images of ", from,
        " channels and cannot be made those for ", to, ": that takes one convolution of ", from,
        " channels, the first layer, and there are ", count);
  *first = adapted(*first, to);
  for (std::vector<real>* numbers : {&preprocess.mean, &preprocess.std})
    if (!numbers->empty())
      numbers->assign(static_cast<std::size_t>(to),
                      std::accumulate(numbers->begin(), numbers->end(), real(0)) / static_cast<real>(numbers->size()));
}

}  // namespace bobbin
