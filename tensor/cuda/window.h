#pragma once
#include "tensor/cuda/divisor.h"
#include "tensor/cuda/launch.h"

namespace bobbin::cuda {

/// A window that slides over images along one axis, of a convolution or of pooling. At place p its element i lies on
/// pixel p·stride + i·dilation - padding. In 32 bits, in which a GPU computes.
struct Axis {
  int size, places, kernel, stride, padding, dilation;
  Divisor by_stride;

  Axis(Index size, Index places, Index kernel, Index stride, Index padding, Index dilation)
      : size(static_cast<int>(size)),
        places(static_cast<int>(places)),
        kernel(static_cast<int>(kernel)),
        stride(static_cast<int>(stride)),
        padding(static_cast<int>(padding)),
        dilation(static_cast<int>(dilation)),
        by_stride(stride) {
    check(size + 2 * padding <= 0x7fffffff, "cuda", size, " pixels side by side and ", padding,
          " of padding are more than a kernel can walk");
  }

  BOBBIN_HD int pixel(int place, int element) const { return place * stride + element * dilation - padding; }
  BOBBIN_HD bool has(int pixel) const { return pixel >= 0 && pixel < size; }

  /// The places whose window reaches over a pixel are first ... last; the element that lies on it, or -1 where it is
  /// between two elements.
  BOBBIN_HD int first(int pixel) const {
    const int beyond = pixel + padding - (kernel - 1) * dilation;
    return beyond <= 0 ? 0 : by_stride.divide(beyond - 1).quotient + 1;
  }
  BOBBIN_HD int last(int pixel) const {
    const int place = by_stride.divide(pixel + padding).quotient;
    return place < places ? place : places - 1;
  }
  BOBBIN_HD int element(int pixel, int place) const {
    const int distance = pixel + padding - place * stride;
    if (dilation == 1) return distance;
    return distance % dilation == 0 ? distance / dilation : -1;
  }
};

inline Axis down(const Conv2dGeometry& g) {
  check(std::max(g.height * g.width, g.out_h() * g.out_w()) <= 0x7fffffff, "cuda", "images of ", g.height, " x ",
        g.width, " pixels with padding ", g.padding_h, ", ", g.padding_w, " are more than a kernel can walk");
  return {g.height, g.out_h(), g.kernel_h, g.stride_h, g.padding_h, g.dilation_h};
}
inline Axis across(const Conv2dGeometry& g) {
  return {g.width, g.out_w(), g.kernel_w, g.stride_w, g.padding_w, g.dilation_w};
}

}  // namespace bobbin::cuda
