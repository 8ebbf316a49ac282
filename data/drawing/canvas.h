#pragma once
#include <cstdint>
#include <string>

#include "data/images/image.h"
#include "tensor/size2.h"
#include "tensor/tensor.h"

/// Drawing on pictures of red, green and blue. x counts pixels from the left, y from the top; what lies outside of a
/// picture is not drawn. Each function throws Error if the picture to draw on has not three channels.
namespace bobbin {

/// A colour; each part from 0 to 255.
struct Color {
  std::uint8_t red = 0, green = 0, blue = 0;
};
/// The two colours of text.
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

/// The colours of a map of numbers, from 0 to 1: matplotlib's inferno, from black over purple, red and orange to light
/// yellow. It grows evenly lighter, also in grey and to eyes that do not tell red from green.
Color inferno(double number);

/// The picture in grey (ITU-R 601's luma) with a map of numbers (h, w) over it, each number over its part of the
/// picture, as a patch lies (of more numbers than pixels, as many as there are pixels). The map is drawn in inferno
/// from 0 to `highest`; what lies beyond, as the nearer of them. It covers the picture by `opacity`, from 0 to 1.
/// Throws Error unless the map has two axes and is finite, and `highest` is positive.
Image overlay(const Image& picture, const Tensor& map, double highest, double opacity);

}  // namespace bobbin
