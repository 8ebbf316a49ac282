#include "apps/common/model_pictures.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/drawing/canvas.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

constexpr Color between{128, 128, 128};

}  // namespace

std::optional<Image> position_similarity(AnyModel& model) {
  ViT* const vit = model.as<ViT>();
  if (!vit || !vit->pos_embedding.defined()) return {};
  const auto [rows, cols] = vit->config.grid();
  if (std::max(rows, cols) > 32) return {};
  const Tensor all = vit->pos_embedding.value();  // (1, T, C), the patches last
  const Index T = all.shape()[1], patches = rows * cols;
  const Tensor P = slice(all, 1, T - patches, T)[0];
  const std::vector<real> dot = matmul(P, transpose(P, 0, 1)).values();  // (patches, patches)
  const auto at = [&](Index i, Index j) { return double{dot[static_cast<std::size_t>(i * patches + j)]}; };

  const Index side = std::max(rows, cols) <= 8 ? 4 : 1;  // of a number, in pixels: the gap of one is then narrow
  Image picture = blank(rows * (rows * side + 1) - 1, cols * (cols * side + 1) - 1, between);
  for (Index i = 0; i < patches; ++i)
    for (Index j = 0; j < patches; ++j) {
      const double cosine = at(i, j) / std::max(std::sqrt(at(i, i) * at(j, j)), 1e-30);
      fill(picture, i % cols * (cols * side + 1) + j % cols * side, i / cols * (rows * side + 1) + j / cols * side,
           side, side, inferno(std::clamp((cosine + 1) / 2, 0.0, 1.0)));
    }
  return picture;
}

std::optional<Image> first_filters(AnyModel& model) {
  for (const auto& [name, parameter] : named_parameters(model)) {
    const Tensor W = parameter.value();
    const Shape shape = W.shape();
    if (shape.rank() != 4 || (shape[1] != 1 && shape[1] != 3)) continue;  // (filters, channels, height, width)
    const Index count = shape[0], channels = shape[1], height = shape[2], width = shape[3];
    if (std::min(height, width) < 3 || std::max(height, width) > 32) continue;

    const auto filter_size = static_cast<std::size_t>(channels * height * width);
    const std::vector<real> weights = W.values();
    const auto begin_of = [&](std::size_t f) { return weights.begin() + static_cast<std::ptrdiff_t>(f * filter_size); };
    std::vector<std::pair<double, std::size_t>> by_norm;  // minus the norm, and the filter
    for (std::size_t f = 0; f < static_cast<std::size_t>(count); ++f) {
      double sum = 0;
      std::for_each(begin_of(f), begin_of(f) + static_cast<std::ptrdiff_t>(filter_size),
                    [&](real w) { sum += double{w} * double{w}; });
      by_norm.emplace_back(-sum, f);
    }
    std::sort(by_norm.begin(), by_norm.end());
    const Index shown = std::min<Index>(count, 64), columns = std::min<Index>(shown, 16),
                rows = (shown + columns - 1) / columns;
    Image picture = blank(rows * (height + 1) - 1, columns * (width + 1) - 1);
    for (Index i = 0; i < shown; ++i) {
      Image filter{channels, height, width, {}};
      const auto first = begin_of(by_norm[static_cast<std::size_t>(i)].second);
      real largest = 0;
      for (auto w = first; w != first + static_cast<std::ptrdiff_t>(filter_size); ++w)
        largest = std::max(largest, std::abs(*w));
      for (auto w = first; w != first + static_cast<std::ptrdiff_t>(filter_size); ++w)
        filter.bytes.push_back(
            static_cast<std::uint8_t>(std::lround(127.5 + 127.5 * (largest > 0 ? *w / largest : 0))));
      paste(picture, i % columns * (width + 1), i / columns * (height + 1), filter);
    }
    return picture;
  }
  return {};
}

}  // namespace bobbin
