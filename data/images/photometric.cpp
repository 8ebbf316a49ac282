#include "data/images/photometric.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

// Pillow rounds after each multiplication and each addition; two in one step would be another last bit.
#ifdef __clang__
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif

namespace bobbin {
namespace {

using Byte = std::uint8_t;

// Each byte through a table: f(byte, histogram) for each value that a channel may have.
template <class F>
Image by_channel(Image image, const F& f) {
  const Index plane = image.height * image.width;
  for (auto begin = image.bytes.begin(); begin != image.bytes.end(); begin += plane) {
    std::array<Index, 256> histogram{};
    for (auto byte = begin; byte != begin + plane; ++byte) ++histogram[*byte];
    const auto table = f(histogram);
    for (auto byte = begin; byte != begin + plane; ++byte) *byte = table[*byte];
  }
  return image;
}

template <class F>
Image by_byte(Image image, const F& f) {
  std::array<Byte, 256> table;
  for (std::size_t i = 0; i < 256; ++i) table[i] = f(static_cast<int>(i));
  for (Byte& byte : image.bytes) byte = table[byte];
  return image;
}

// Image.blend: from + share (to - from), cut off.
Byte blend(int from, int to, float share) {
  const float number = static_cast<float>(from) + share * static_cast<float>(to - from);
  return static_cast<Byte>(std::clamp(number, 0.0F, 255.0F));
}

// The picture, of red, green and blue, in grey: convert('L').
std::vector<Byte> grey(const Image& image) {
  if (image.channels != 3) return image.bytes;
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  std::vector<Byte> result(plane);
  const Byte *r = image.bytes.data(), *g = r + plane, *b = g + plane;
  for (std::size_t i = 0; i < plane; ++i)
    result[i] = static_cast<Byte>((r[i] * 19595 + g[i] * 38470 + b[i] * 7471 + 0x8000) >> 16);
  return result;
}

// (x, y) of the result is what lies at (a x + b y + c, d x + e y + f), nearest, in numbers of 16 bits behind the point.
Image affine(const Image& image, const std::array<double, 6>& matrix) {
  const auto [a, b, c, d, e, f] = matrix;
  const auto fixed = [](double x) { return static_cast<Index>(std::floor(x * 65536 + 0.5)); };
  const Index right_x = fixed(a), right_y = fixed(d), down_x = fixed(b), down_y = fixed(e);
  Index line_x = fixed(c + a * 0.5 + b * 0.5), line_y = fixed(f + d * 0.5 + e * 0.5);
  Image result{image.channels, image.height, image.width, std::vector<Byte>(image.bytes.size())};
  const Index plane = image.height * image.width;
  for (Index y = 0; y < image.height; ++y, line_x += down_x, line_y += down_y) {
    Index at_x = line_x, at_y = line_y;
    for (Index x = 0; x < image.width; ++x, at_x += right_x, at_y += right_y) {
      const Index from_x = at_x >> 16, from_y = at_y >> 16;
      if (from_x < 0 || from_x >= image.width || from_y < 0 || from_y >= image.height) continue;
      for (Index channel = 0; channel < image.channels; ++channel)
        result.bytes[static_cast<std::size_t>(channel * plane + y * image.width + x)] =
            image.bytes[static_cast<std::size_t>(channel * plane + from_y * image.width + from_x)];
    }
  }
  return result;
}

// Hue, saturation and value of a colour, as Python's colorsys has them, in bytes.
std::array<Byte, 3> to_hsv(int r, int g, int b) {
  const int most = std::max({r, g, b}), least = std::min({r, g, b});
  if (most == least) return {0, 0, static_cast<Byte>(most)};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const auto below = [=](int channel) { return static_cast<float>(most - channel) / range; };
  const float rc = below(r), gc = below(g), bc = below(b);
  auto h = static_cast<float>(r == most ? bc - gc : g == most ? 2.0 + rc - bc : 4.0 + gc - rc);
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  return {static_cast<Byte>(h * 255.0), static_cast<Byte>(s * 255.0), static_cast<Byte>(most)};
}

std::array<Byte, 3> from_hsv(Byte h, Byte s, Byte v) {
  if (s == 0) return {v, v, v};
  const int sixth = static_cast<int>(std::floor(h * 6.0 / 255.0));
  const auto f = static_cast<float>(h * 6.0 / 255.0 - sixth), share = static_cast<float>(s / 255.0);
  const auto scaled = [=](double by) { return static_cast<Byte>(std::clamp(std::round(v * by), 0.0, 255.0)); };
  const float product = share * f;
  const Byte p = scaled(1.0 - share), q = scaled(1.0 - product), t = scaled(1.0 - share * (1.0 - f));
  switch (sixth % 6) {
    case 0:
      return {v, t, p};
    case 1:
      return {q, v, p};
    case 2:
      return {p, v, t};
    case 3:
      return {p, q, v};
    case 4:
      return {t, p, v};
    default:
      return {v, p, q};
  }
}

}  // namespace

Image brightness(Image image, float factor) {
  return by_byte(std::move(image), [=](int i) { return blend(0, i, factor); });
}

Image contrast(Image image, float factor) {
  const std::vector<Byte> bytes = grey(image);
  const double sum = std::accumulate(bytes.begin(), bytes.end(), 0.0);
  const int mean = static_cast<int>(sum / static_cast<double>(bytes.size()) + 0.5);
  return by_byte(std::move(image), [=](int i) { return blend(mean, i, factor); });
}

Image saturation(Image image, float factor) {
  if (image.channels != 3) return image;
  const std::vector<Byte> without = grey(image);
  for (std::size_t i = 0; i < image.bytes.size(); ++i)
    image.bytes[i] = blend(without[i % without.size()], image.bytes[i], factor);
  return image;
}

Image sharpness(Image image, float factor) {
  const Image before = image;  // smooth is (the 8 around + 5 itself) / 13, rounded; at the border the picture itself
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = 1; y + 1 < image.height; ++y)
      for (Index x = 1; x + 1 < image.width; ++x) {
        const auto at = static_cast<std::size_t>((c * image.height + y) * image.width + x);
        const auto row = static_cast<std::size_t>(image.width);
        const Byte* b = before.bytes.data() + at;
        const Byte *up = b - row, *down = b + row;
        const int sum = up[-1] + up[0] + up[1] + b[-1] + 5 * b[0] + b[1] + down[-1] + down[0] + down[1];
        image.bytes[at] = blend((2 * sum + 13) / 26, b[0], factor);
      }
  return image;
}

Image hue(Image image, double rounds) {
  if (image.channels != 3) return image;
  const auto turn = static_cast<Byte>(static_cast<int>(rounds * 255));
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  Byte *r = image.bytes.data(), *g = r + plane, *b = g + plane;
  for (std::size_t i = 0; i < plane; ++i) {
    const auto [h, s, v] = to_hsv(r[i], g[i], b[i]);
    const auto color = from_hsv(static_cast<Byte>(h + turn), s, v);
    r[i] = color[0], g[i] = color[1], b[i] = color[2];
  }
  return image;
}

Image invert(Image image) {
  return by_byte(std::move(image), [](int i) { return static_cast<Byte>(255 - i); });
}

Image posterize(Image image, int bits) {
  return by_byte(std::move(image), [=](int i) { return static_cast<Byte>(i & ~((1 << (8 - bits)) - 1)); });
}

Image solarize(Image image, double threshold) {
  return by_byte(std::move(image), [=](int i) { return static_cast<Byte>(i < threshold ? i : 255 - i); });
}

Image solarize_add(Image image, int add) {
  return by_byte(std::move(image), [=](int i) { return static_cast<Byte>(i < 128 ? std::min(255, i + add) : i); });
}

Image autocontrast(Image image) {
  return by_channel(std::move(image), [](const std::array<Index, 256>& histogram) {
    std::array<Byte, 256> table;
    std::iota(table.begin(), table.end(), Byte{0});
    int low = 0, high = 255;
    while (low < 255 && histogram[static_cast<std::size_t>(low)] == 0) ++low;
    while (high > 0 && histogram[static_cast<std::size_t>(high)] == 0) --high;
    if (high <= low) return table;
    const double scale = 255.0 / (high - low), offset = -low * scale;
    for (int i = low; i <= high; ++i)
      table[static_cast<std::size_t>(i)] = static_cast<Byte>(std::clamp(i * scale + offset, 0.0, 255.0));
    return table;
  });
}

Image equalize(Image image) {
  return by_channel(std::move(image), [](const std::array<Index, 256>& histogram) {
    std::array<Byte, 256> table;
    std::iota(table.begin(), table.end(), Byte{0});
    const auto last = std::find_if(histogram.rbegin(), histogram.rend(), [](Index n) { return n > 0; });
    const Index step = (std::accumulate(histogram.begin(), histogram.end(), Index{0}) - *last) / 255;
    if (step == 0) return table;
    Index below = step / 2;
    for (std::size_t i = 0; i < 256; ++i) {
      table[i] = static_cast<Byte>(std::min<Index>(below / step, 255));
      below += histogram[i];
    }
    return table;
  });
}

Image shear_x(const Image& image, double tangent) { return affine(image, {1, tangent, 0, 0, 1, 0}); }

Image shear_y(const Image& image, double tangent) { return affine(image, {1, 0, 0, tangent, 1, 0}); }

Image translate(const Image& image, Index right, Index down) {
  return affine(image, {1, 0, -static_cast<double>(right), 0, 1, -static_cast<double>(down)});
}

Image rotate(const Image& image, double degrees) {
  return affine(image, rotation({image.height, image.width}, degrees));
}

std::array<double, 6> rotation(Size2 size, double degrees) {
  const double angle = -degrees * std::numbers::pi / 180;
  const auto rounded = [](double x) { return std::round(x * 1e15) / 1e15; };
  const double cosine = rounded(std::cos(angle)), sine = rounded(std::sin(angle));
  const double x = static_cast<double>(size.width) / 2, y = static_cast<double>(size.height) / 2;
  return {cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y};
}

Image affine(const Image& image, const std::array<double, 6>& matrix, Interpolation filter,
             const std::vector<std::uint8_t>& fill) {
  const auto [a, b, c, d, e, f] = matrix;
  const Index height = image.height, width = image.width;
  const bool bicubic = filter == Interpolation::bicubic;
  // Between four numbers in a line, at a distance t from the second to the third.
  const auto between = [=](double v1, double v2, double v3, double v4, double t) {
    if (!bicubic) return v2 + (v3 - v2) * t;
    return v2 + t * (-v1 + v3 + t * (2 * (v1 - v2) + v3 - v4 + t * (-v1 + v2 - v3 + v4)));
  };
  Image result{image.channels, height, width, std::vector<Byte>(image.bytes.size())};
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x) {
      const double right = static_cast<double>(x) + 0.5, down = static_cast<double>(y) + 0.5;
      const double at_x = a * right + b * down + c, at_y = d * right + e * down + f;
      const bool inside =
          at_x >= 0 && at_x < static_cast<double>(width) && at_y >= 0 && at_y < static_cast<double>(height);
      const auto from_x = static_cast<Index>(std::floor(at_x - 0.5)),
                 from_y = static_cast<Index>(std::floor(at_y - 0.5));
      const double dx = at_x - 0.5 - static_cast<double>(from_x), dy = at_y - 0.5 - static_cast<double>(from_y);
      for (Index channel = 0; channel < image.channels; ++channel) {
        Byte& out = result.bytes[static_cast<std::size_t>((channel * height + y) * width + x)];
        out = fill[static_cast<std::size_t>(channel)];
        if (!inside) continue;
        const auto line = [&](Index row) {
          const Byte* in = image.bytes.data() + (channel * height + std::clamp<Index>(row, 0, height - 1)) * width;
          const auto pixel = [&](Index column) -> double { return in[std::clamp<Index>(column, 0, width - 1)]; };
          return between(pixel(from_x - 1), pixel(from_x), pixel(from_x + 1), pixel(from_x + 2), dx);
        };
        const double value = between(line(from_y - 1), line(from_y), line(from_y + 1), line(from_y + 2), dy);
        out = static_cast<Byte>(std::clamp(value, 0.0, 255.0));
      }
    }
  return result;
}

}  // namespace bobbin
