#pragma once
#include <cstdint>
#include <string>

#include "data/images/image.h"
#include "tensor/size2.h"
#include "tensor/tensor.h"

/// Drawing on pictures of red, green and blue. x counts pixels from the left, y from the top; what lies outside of a
/// picture is not drawn. Each function throws Error if the picture to draw on has not three channels.
namespace bobbin {

struct Color {
  std::uint8_t red = 0, green = 0, blue = 0;
};
inline constexpr Color black{}, white{255, 255, 255};

/// A picture of one colour.
Image blank(Index height, Index width, Color color = white);

/// Fills the rectangle whose upper left corner is at (x, y).
void fill(Image& image, Index x, Index y, Index width, Index height, Color color);

/// Lays a picture, grey or in colours, on another, its upper left corner at (x, y), each of its pixels as scale x
/// scale.
void paste(Image& image, Index x, Index y, const Image& picture, Index scale = 1);

/// Draws text in a font of 5 x 9 points, each scale x scale pixels large. '\n' begins a new line; a letter that is not
/// printable ASCII becomes a question mark.
void draw_text(Image& image, Index x, Index y, const std::string& text, Color color = black, Index scale = 1);

/// The size of the text that draw_text() draws.
Size2 text_size(const std::string& text, Index scale = 1);

/// The picture turned to the left by 90 degrees: text in it runs upwards.
Image turned_left(const Image& picture);

/// The colours of a map of numbers, from 0 to 1: matplotlib's viridis, from dark blue over green to yellow.
Color viridis(double number);

/// The picture, grey or in colours, with a map of numbers (h, w) over it, smoothly enlarged to the picture's size. The
/// map is drawn in viridis from its lowest to its highest number and covers the picture by `opacity`, from 0 to 1.
/// Throws Error unless the map has two axes and is finite.
Image overlay(const Image& picture, const Tensor& map, double opacity = 0.5);

}  // namespace bobbin
