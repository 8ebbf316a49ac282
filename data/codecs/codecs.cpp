#include "data/codecs/codecs.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace bobbin {

void fill_rest(Palette& palette, std::size_t count) {
  bool greys = true;
  const auto grey = [](std::size_t i) {
    const auto level = static_cast<std::uint8_t>(i);
    return Palette::value_type{level, level, level};
  };
  for (std::size_t i = 0; i < count; ++i) greys &= palette[i] == grey(i);
  for (std::size_t i = count; i < palette.size(); ++i) palette[i] = greys ? grey(i) : Palette::value_type{};
}

Pixels look_up(const Palette& palette, const Pixels& numbers) {
  Pixels colors(numbers.size, 3);
  auto* out = colors.bytes.data();
  for (const std::uint8_t number : numbers.bytes) out = std::copy_n(palette[number].data(), 3, out);
  return colors;
}

void unpack_bits(const std::uint8_t* line, int bits, Index width, std::uint8_t* numbers) {
  const int in_a_byte = 8 / bits, highest = (1 << bits) - 1;
  for (Index x = 0; x < width; ++x)
    numbers[x] = static_cast<std::uint8_t>(line[x / in_a_byte] >> (8 - bits - x % in_a_byte * bits) & highest);
}

// Each ink c covers c / 255 of what light is left by the black one, rounded to the nearest.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb) {
  const int light = 255 - cmyk[3];
  for (int i = 0; i < 3; ++i) {
    const int product = cmyk[i] * light + 128;
    rgb[i] = static_cast<std::uint8_t>(light - ((product >> 8) + product) / 256);
  }
}

namespace {

// Pixel (y, x) of the result is at y * step_y + x * step_x of `from`. Few columns at a time, so that where these are
// lines of `from`, what is read of them is still in the cache for the pixels beside.
template <std::ptrdiff_t channels>
void turn(const std::uint8_t* from, std::ptrdiff_t step_y, std::ptrdiff_t step_x, Pixels& result) {
  const auto [height, width] = result.size;
  for (Index begin = 0; begin < width; begin += 64)
    for (Index y = 0; y < height; ++y) {
      const std::uint8_t* in = from + y * step_y + begin * step_x;
      std::uint8_t* out = result.line(y) + begin * channels;
      for (Index left = std::min<Index>(64, width - begin); left > 0; --left, in += step_x)
        for (std::ptrdiff_t c = 0; c < channels; ++c) *out++ = in[c];
    }
}

}  // namespace

Pixels upright(Pixels pixels, int orientation) {
  if (orientation < 2 || orientation > 8) return pixels;
  const bool turned = orientation >= 5;  // lines become columns
  // Whether the first line, and the first pixel of a line, lie at the far end of the picture as it was seen.
  const bool bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Pixels result(turned ? Size2(pixels.size.width, pixels.size.height) : pixels.size, pixels.channels);
  std::ptrdiff_t step_y = pixels.line(1) - pixels.line(0), step_x = pixels.channels;
  if (turned) std::swap(step_y, step_x);
  const std::uint8_t* from = pixels.bytes.data();
  if (bottom) from += (result.size.height - 1) * std::exchange(step_y, -step_y);
  if (right) from += (result.size.width - 1) * std::exchange(step_x, -step_x);
  pixels.channels == 1 ? turn<1>(from, step_y, step_x, result) : turn<3>(from, step_y, step_x, result);
  return result;
}

}  // namespace bobbin
