// Exercise 8: an image as a sentence of patches. `make lesson-8` checks it.
#pragma once
#include <bobbin.h>

namespace exercise {
using namespace bobbin;

/// Images (B, 1, H, W), which squares of `side` pixels tile -> (B, patches, width): the patches row by row, the pixels
/// of each row by row, and all of them through one Linear.
struct Patches {
  Index side;
  Linear project;

  Patches(Index side, Index width, Rng& rng) : side(side), project(side * side, width, rng) {}
  Var operator()(const Var& images) { return project(cut(images)); }
  void visit(auto&& v) { v("project", project); }

  /// -> (B, patches, side·side)
  Var cut(const Var& images) const {
    const Index B = images.shape()[0], rows = images.shape()[2] / side, columns = images.shape()[3] / side;
    // Yours: a reshape alone cuts the lines of pixels one after the other; permute() moves axes.
    return reshape(images, {B, rows * columns, side * side});
  }
};

}  // namespace exercise
