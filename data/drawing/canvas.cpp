#include "data/drawing/canvas.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <vector>

#include "data/drawing/font.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

constexpr Index letter_step = font::letter_width + 1, line_step = font::letter_height + 1;

// Calls at(column, line, letter) for each letter of the text, with '?' for what the font has not.
template <class At>
void for_letters(std::string_view text, const At& at) {
  Index column = 0, line = 0;
  for (const char byte : text) {
    if ((byte & 0xc0) == 0x80) continue;  // the second or a later byte of a letter in UTF-8
    if (byte == '\n')
      column = 0, ++line;
    else
      at(column++, line, byte >= ' ' && byte <= '~' ? byte : '?');
  }
}

// Whether the font has a point there.
bool has_point(char letter, int x, int y) {
  const int at = letter - ' ', band = at / font::letters_in_band, in_band = at % font::letters_in_band;
  return font::points[band * font::letter_height + y][in_band * (font::letter_width + 1) + x] == '#';
}

std::uint8_t mix(std::uint8_t a, std::uint8_t b, double share_of_b) {
  return static_cast<std::uint8_t>(std::lround(a + (b - a) * share_of_b));
}

}  // namespace

Image blank(Index height, Index width, Color color) {
  check(height >= 0 && width >= 0, "blank", "a picture cannot have ", height, " x ", width, " pixels");
  Image image{3, height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(3 * height * width))};
  fill(image, 0, 0, width, height, color);
  return image;
}

void fill(Image& image, Index x, Index y, Index width, Index height, Color color) {
  check(image.channels == 3, "fill", "draws on pictures of 3 channels, got one of ", image.channels);
  const Index left = std::max<Index>(x, 0), right = std::min(x + width, image.width);
  const Index top = std::max<Index>(y, 0), bottom = std::min(y + height, image.height);
  if (left >= right) return;
  const std::uint8_t levels[] = {color.red, color.green, color.blue};
  for (Index c = 0; c < 3; ++c)
    for (Index row = top; row < bottom; ++row)
      std::fill_n(image.bytes.begin() + (c * image.height + row) * image.width + left, right - left, levels[c]);
}

void paste(Image& image, Index x, Index y, const Image& picture, Index scale) {
  const auto level = [&](Index channel, Index row, Index column) {
    const Index plane = picture.channels == 3 ? channel : 0;
    return picture.bytes[static_cast<std::size_t>((plane * picture.height + row) * picture.width + column)];
  };
  for (Index row = 0; row < picture.height; ++row)
    for (Index column = 0; column < picture.width; ++column)
      fill(image, x + scale * column, y + scale * row, scale, scale,
           {level(0, row, column), level(1, row, column), level(2, row, column)});
}

void draw_text(Image& image, Index x, Index y, const std::string& text, Color color, Index scale) {
  for_letters(text, [&](Index column, Index line, char letter) {
    for (int py = 0; py < font::letter_height; ++py)
      for (int px = 0; px < font::letter_width; ++px)
        if (has_point(letter, px, py))
          fill(image, x + scale * (column * letter_step + px), y + scale * (line * line_step + py), scale, scale,
               color);
  });
}

Size2 text_size(const std::string& text, Index scale) {
  Size2 size(line_step, 0);
  for_letters(text, [&](Index column, Index line, char) {
    size.width = std::max(size.width, (column + 1) * letter_step);
    size.height = std::max(size.height, (line + 1) * line_step);
  });
  return {scale * size.height, scale * size.width};
}

Image turned_left(const Image& picture) {
  Image turned{picture.channels, picture.width, picture.height, {}};
  for (Index c = 0; c < picture.channels; ++c)
    for (Index column = picture.width - 1; column >= 0; --column)
      for (Index row = 0; row < picture.height; ++row)
        turned.bytes.push_back(
            picture.bytes[static_cast<std::size_t>((c * picture.height + row) * picture.width + column)]);
  return turned;
}

Color inferno(double number) {
  // Every 15th of matplotlib's 256 colours. Between two of them a straight line is at most 5 levels off.
  constexpr Color colors[] = {{0, 0, 4},      {10, 7, 34},     {30, 12, 69},   {56, 9, 98},   {81, 14, 108},
                              {105, 22, 110}, {128, 31, 108},  {152, 39, 102}, {176, 49, 91}, {198, 61, 77},
                              {217, 77, 61},  {233, 97, 43},   {244, 121, 24}, {250, 148, 7}, {252, 176, 20},
                              {248, 205, 55}, {242, 234, 105}, {252, 255, 164}};
  constexpr auto last = static_cast<double>(std::size(colors) - 1);
  const double at = std::clamp(number, 0.0, 1.0) * last, begin = std::min(std::floor(at), last - 1);
  const Color &a = colors[static_cast<std::size_t>(begin)], &b = colors[static_cast<std::size_t>(begin) + 1];
  const double share = at - begin;
  return {mix(a.red, b.red, share), mix(a.green, b.green, share), mix(a.blue, b.blue, share)};
}

Image overlay(const Image& picture, const Tensor& map, double highest, double opacity) {
  check(map.rank() == 2 && map.size() > 0, "overlay", "the map must have the shape (h, w), got ", map.shape());
  check(std::isfinite(highest) && highest > 0, "overlay", "the highest number must be positive, got ", highest);
  check(opacity >= 0 && opacity <= 1, "overlay", "opacity must be from 0 to 1, got ", opacity);
  const std::vector<real> numbers = map.values();
  check(std::all_of(numbers.begin(), numbers.end(), [](real v) { return std::isfinite(v); }), "overlay",
        "the map holds numbers that are not finite");
  const Index rows = map.shape()[0], columns = map.shape()[1];
  Image result = blank(picture.height, picture.width);
  paste(result, 0, 0, picture);
  const Index area = picture.height * picture.width;
  std::uint8_t *red = result.bytes.data(), *green = red + area, *blue = green + area;
  for (Index y = 0, at = 0; y < picture.height; ++y)
    for (Index x = 0; x < picture.width; ++x, ++at) {
      const Index in_map = y * rows / picture.height * columns + x * columns / picture.width;
      const Color color = inferno(numbers[static_cast<std::size_t>(in_map)] / highest);
      const auto grey = static_cast<std::uint8_t>(std::lround(.299 * red[at] + .587 * green[at] + .114 * blue[at]));
      red[at] = mix(grey, color.red, opacity);
      green[at] = mix(grey, color.green, opacity);
      blue[at] = mix(grey, color.blue, opacity);
    }
  return result;
}

}  // namespace bobbin
