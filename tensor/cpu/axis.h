#pragma once
#include <omp.h>

#include <algorithm>
#include <numeric>

#include "tensor/kernels.h"

namespace bobbin::cpu {

/// A convolution along one axis. With a stride s a place moves by s pixels: so pixels are told apart by phases, columns
/// 0, s, 2s, ... being one, 1, s+1, 2s+1, ... another. In a phase neighbours see neighbours, and element i of the
/// kernel, i·dilation pixels on, sees phase i·d mod s, moved by i·d div s.
struct Axis {
  Index in, out, kernel, stride, padding, dilation;

  /// The phases that the kernel sees, and of element i which of these.
  Index phases() const { return std::min(kernel, repeats()); }
  Index phase_of(Index i) const { return i % repeats(); }
  /// Phase f is the pixels first(f), first(f) + stride, ... of the image.
  Index first(Index f) const { return f * dilation % stride - padding; }
  /// By how much element i is moved in its phase; and the last one.
  Index shift(Index i) const { return i * dilation / stride; }
  Index reach() const { return shift(kernel - 1); }
  /// The number of pixels in a phase, those of the padding on one side included.
  Index steps() const { return (in - 1 + padding) / stride + 1; }

 private:
  Index repeats() const { return stride / std::gcd(stride, dilation); }  /// elements that far apart see one phase
};
inline Axis down(const Conv2dGeometry& g) {
  return {g.height, g.out_h(), g.kernel_h, g.stride_h, g.padding_h, g.dilation_h};
}
inline Axis across(const Conv2dGeometry& g) {
  return {g.width, g.out_w(), g.kernel_w, g.stride_w, g.padding_w, g.dilation_w};
}

/// Calls body(step), with the steps that there mostly are as constants: then the compiler makes vectors of its loop.
inline void with_step(Index step, const auto& body) {
  if (step == 1) return body(std::integral_constant<Index, 1>());
  if (step == 2) return body(std::integral_constant<Index, 2>());
  body(step);
}

/// How an image is shared out: into bands of rows, so many that what they see fits into a cache of the second level,
/// and that there is one for each thread.
inline Index bands(Index images, Index rows, Index size) {
  constexpr Index most = Index{1 << 20} / sizeof(real);
  const Index threads = (omp_get_max_threads() + images - 1) / images;
  return std::min(rows, std::max(threads, (size + most - 1) / most));
}

/// The rows begin ... end-1 of one band.
struct Band {
  Index begin, end;
  Index rows() const { return end - begin; }
};
inline Band band(Index i, Index count, Index rows) { return {rows * i / count, rows * (i + 1) / count}; }

}  // namespace bobbin::cpu
