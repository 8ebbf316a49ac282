#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// (B, 1, H, W) -> (B, patches, width)
struct Patches {
  Index side;
  Linear project;

  Patches(Index side, Index width, Rng& rng) : side(side), project(side * side, width, rng) {}
  Var operator()(const Var& images) { return project(cut(images)); }
  void visit(auto&& v) { v("project", project); }

  /// A pixel's row is the row of its patch and that within it, and so is its column: four axes, of which the middle
  /// two change places.
  Var cut(const Var& images) const {
    const Index B = images.shape()[0], rows = images.shape()[2] / side, columns = images.shape()[3] / side;
    const Var pixels = reshape(images, {B, rows, side, columns, side});
    return reshape(permute(pixels, {0, 1, 3, 2, 4}), {B, rows * columns, side * side});
  }
};

}  // namespace solution
