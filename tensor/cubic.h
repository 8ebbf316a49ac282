#pragma once

namespace bobbin {

/// The bicubic filter: the weight of a pixel at distance x >= 0 from the one that is wanted, in widths of a pixel.
/// Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 15, with a = -1/2, as Pillow
/// and torch's antialiased interpolate have it.
inline double cubic(double x) {
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

}  // namespace bobbin
