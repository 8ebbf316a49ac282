// Convolutions: which way each of them is computed. And images rearranged so that one becomes a matrix product.
#include <algorithm>

#include "tensor/cpu/columns.h"
#include "tensor/cpu/depthwise.h"
#include "tensor/cpu/direct.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/winograd.h"
#include "tensor/cpu/winograd_rows.h"
#include "tensor/cpu/workspace.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {

void conv2d(const real* x, const real* W, const real* bias, real* y, const Conv2dSizes& s) {
  if (depthwise::suits(s)) return depthwise::conv2d(x, W, bias, y, s);
  if (winograd::suits(s)) return winograd::conv2d(x, W, bias, y, s);
  if (winograd_rows::suits(s)) return winograd_rows::conv2d(x, W, bias, y, s);
  if (columns::suits(s)) return columns::conv2d(x, W, bias, y, s);
  direct::conv2d(x, W, bias, y, s);
}

void conv2d_backward_x(const real* W, const real* dY, real* dX, const Conv2dSizes& s) {
  if (depthwise::suits(s)) return depthwise::conv2d_backward_x(W, dY, dX, s);
  if (winograd::suits(s)) return winograd::conv2d_backward_x(W, dY, dX, s);
  if (columns::suits(s)) return columns::conv2d_backward_x(W, dY, dX, s);
  direct::conv2d_backward_x(W, dY, dX, s);
}

void conv2d_backward_w(const real* x, const real* dY, real* dW, const Conv2dSizes& s) {
  if (depthwise::suits(s)) return depthwise::conv2d_backward_w(x, dY, dW, s);
  if (winograd::suits(s)) return winograd::conv2d_backward_w(x, dY, dW, s);
  if (columns::suits(s)) return columns::conv2d_backward_w(x, dY, dW, s);
  direct::conv2d_backward_w(x, dY, dW, s);
}

namespace {

// The n numbers, written out; the first and the second of two operands are kept until the next call.
template <int which>
const real* widened(const bfloat16* x, Index n) {
  thread_local Scratch<real> kept;
  real* const wide = kept.resize(n);
  widen(x, wide, n);
  return wide;
}

Index images(const Conv2dSizes& s) { return s.batch * s.geometry.channels * s.geometry.height * s.geometry.width; }
Index kernels(const Conv2dSizes& s) {
  return s.out * (s.geometry.channels / s.groups) * s.geometry.kernel_h * s.geometry.kernel_w;
}
Index results(const Conv2dSizes& s) { return s.batch * s.out * s.geometry.out_h() * s.geometry.out_w(); }

}  // namespace

void conv2d_rounded(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s) {
  if (columns::suits(s)) return columns::conv2d(x, W, bias, y, s);
  if (onednn::conv2d(x, W, bias, y, s)) return;
  conv2d(widened<0>(x, images(s)), widened<1>(W, kernels(s)), bias, y, s);
}

void conv2d_rounded_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s) {
  if (columns::suits(s)) return columns::conv2d_backward_x(W, dY, dX, s);
  if (onednn::conv2d_backward_x(W, dY, dX, s)) return;
  conv2d_backward_x(widened<0>(W, kernels(s)), widened<1>(dY, results(s)), dX, s);
}

void conv2d_rounded_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s) {
  if (columns::suits(s)) return columns::conv2d_backward_w(x, dY, dW, s);
  if (onednn::conv2d_backward_w(x, dY, dW, s)) return;
  conv2d_backward_w(widened<0>(x, images(s)), widened<1>(dY, results(s)), dW, s);
}

namespace {

// The outputs along one axis whose input lies inside [0, size): from the first one at which
// o·stride + offset >= 0 to the last one at which it is < size.
struct Span {
  Index begin, end;
};
Span inside(Index offset, Index stride, Index size, Index out) {
  const Index begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const Index end = size - 1 - offset < 0 ? 0 : (size - 1 - offset) / stride + 1;
  return {std::min(begin, out), std::clamp(end, std::min(begin, out), out)};
}

// Calls visit(row of columns, output row y, span of output columns, first input index) for every run of places that one
// element of the kernel reads from one image row of channel `channel`.
template <class Visit>
void for_each_run(const Conv2dGeometry& g, Index channel, const Visit& visit) {
  const Index out_h = g.out_h(), out_w = g.out_w();
  for (Index i = 0; i < g.kernel_h; ++i)
    for (Index j = 0; j < g.kernel_w; ++j) {
      const Index offset_h = i * g.dilation_h - g.padding_h, offset_w = j * g.dilation_w - g.padding_w;
      const Span columns = inside(offset_w, g.stride_w, g.width, out_w);
      for (Index y = 0; y < out_h; ++y) {
        const Index row = y * g.stride_h + offset_h;
        const bool outside = row < 0 || row >= g.height || columns.begin == columns.end;
        visit((channel * g.kernel_h + i) * g.kernel_w + j, y, outside ? Span{0, 0} : columns,
              (channel * g.height + row) * g.width + columns.begin * g.stride_w + offset_w);
      }
    }
}

}  // namespace

void im2col(const real* x, real* columns, Index batch, const Conv2dGeometry& g) {
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index image = g.channels * g.height * g.width, depth = g.channels * g.kernel_h * g.kernel_w;
  parallel_for(batch * g.channels, 1, [&, out_h, out_w, image, depth](Index begin, Index end) {
    for (Index bc = begin; bc < end; ++bc) {
      const real* in = x + bc / g.channels * image;
      real* out = columns + bc / g.channels * depth * out_h * out_w;
      for_each_run(g, bc % g.channels, [&](Index row, Index y, Span span, Index from) {
        real* run = out + (row * out_h + y) * out_w;
        std::fill(run, run + span.begin, real{0});
        for (Index i = span.begin; i < span.end; ++i) run[i] = in[from + (i - span.begin) * g.stride_w];
        std::fill(run + span.end, run + out_w, real{0});
      });
    }
  });
}

void col2im(const real* dcolumns, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index out_h = g.out_h(), out_w = g.out_w();
  const Index plane = g.height * g.width, depth = g.channels * g.kernel_h * g.kernel_w;
  parallel_for(batch * g.channels, 1, [&, out_h, out_w, plane, depth](Index begin, Index end) {
    for (Index bc = begin; bc < end; ++bc) {
      real* in = dX + bc / g.channels * g.channels * plane;
      const real* out = dcolumns + bc / g.channels * depth * out_h * out_w;
      std::fill_n(in + bc % g.channels * plane, plane, real{0});
      for_each_run(g, bc % g.channels, [&](Index row, Index y, Span span, Index from) {
        const real* run = out + (row * out_h + y) * out_w;
        for (Index i = span.begin; i < span.end; ++i) in[from + (i - span.begin) * g.stride_w] += run[i];
      });
    }
  });
}

namespace {

// Calls move(image element, patch element) for each run of kernel_w neighbours.
template <class Move>
void for_each_patch_row(Index batch, const Conv2dGeometry& g, const Move& move) {
  const Index down = g.height / g.kernel_h, across = g.width / g.kernel_w;
  parallel_for(batch * down, 1, [&, down, across](Index begin, Index end) {
    Index patch_at = begin * across * g.channels * g.kernel_h * g.kernel_w;
    for (Index r = begin; r < end; ++r) {
      const Index b = r / down, y = r % down * g.kernel_h;
      for (Index px = 0; px < across; ++px)
        for (Index c = 0; c < g.channels; ++c)
          for (Index i = 0; i < g.kernel_h; ++i, patch_at += g.kernel_w)
            move(((b * g.channels + c) * g.height + y + i) * g.width + px * g.kernel_w, patch_at);
    }
  });
}

}  // namespace

void patches(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  for_each_patch_row(batch, g, [&](Index image, Index patch) { std::copy_n(x + image, g.kernel_w, y + patch); });
}

void patches_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  for_each_patch_row(batch, g, [&](Index image, Index patch) { std::copy_n(dY + patch, g.kernel_w, dX + image); });
}

}  // namespace bobbin::cpu
