#include "data/codecs/codecs.h"

#include <algorithm>

namespace bobbin {

void say_the_rest(Palette& palette, std::size_t count) {
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

}  // namespace bobbin
