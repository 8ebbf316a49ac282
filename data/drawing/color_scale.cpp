#include "data/drawing/color_scale.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/drawing/canvas.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

constexpr Index bar_width = 400, bar_height = 32, tick_height = 6, gap = 6, scale = 2;

// A shade of each colour there is, over black and over white.
Image bar(double opacity) {
  std::vector<real> shades;
  for (Index x = 0; x < bar_width; ++x) shades.push_back(static_cast<real>(x) / real(bar_width - 1));
  Image ground = blank(bar_height, bar_width, black);
  fill(ground, 0, bar_height / 2, bar_width, bar_height / 2, white);
  return overlay(ground, Tensor({1, bar_width}, shades), 1, opacity);
}

}  // namespace

Image color_scale(const Axis& axis, double opacity, const std::string& text) {
  check(axis.begin == 0 && axis.end > 0 && axis.step > 0, "color_scale",
        "an axis from 0 to more is needed, got one from ", axis.begin, " to ", axis.end);
  const auto percent = [](double share) { return format("%.3g%%", 100 * share); };
  const Size2 number = text_size(percent(axis.end), scale), below = text_size(text, scale);
  const Index numbers_at = bar_height + tick_height + gap, text_at = numbers_at + number.height + gap;
  Image picture = blank(text_at + below.height, std::max(bar_width + number.width, below.width));
  paste(picture, 0, 0, bar(opacity));
  for (const double tick : axis.ticks()) {
    const Index x = std::lround(axis.part(tick) * (bar_width - 1));
    fill(picture, x, bar_height, 1, tick_height, black);
    const Index left = x - text_size(percent(tick), scale).width / 2;
    draw_text(picture, std::max<Index>(left, 0), numbers_at, percent(tick), black, scale);
  }
  draw_text(picture, 0, text_at, text, black, scale);
  return picture;
}

}  // namespace bobbin
