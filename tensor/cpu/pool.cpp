// Pooling: images made smaller, each channel for itself.
#include <algorithm>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// Calls visit(place in y, first number in x) for every window, plane by plane: one channel of one image.
template <class Visit>
void for_each_window(Index planes, const Conv2dGeometry& g, const Visit& visit) {
  constexpr Index grain = 1 << 13;  // numbers a thread should have at least
  const Index out_h = g.out_h(), out_w = g.out_w();
  parallel_for(planes, grain / (g.height * g.width) + 1, [&, out_h, out_w](Index begin, Index end) {
    Index place = begin * out_h * out_w;
    for (Index plane = begin; plane < end; ++plane)
      for (Index py = 0; py < out_h; ++py)
        for (Index px = 0; px < out_w; ++px, ++place)
          visit(place, (plane * g.height + py * g.stride_h) * g.width + px * g.stride_w);
  });
}

real area(const Conv2dGeometry& g) { return static_cast<real>(g.kernel_h * g.kernel_w); }

}  // namespace

void avg_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  for_each_window(batch * g.channels, g, [=](Index place, Index first) {
    double sum = 0;  // a window may be the whole image
    for (Index i = 0; i < g.kernel_h; ++i)
      for (Index j = 0; j < g.kernel_w; ++j) sum += x[first + i * g.width + j];
    y[place] = static_cast<real>(sum / area(g));
  });
}

void avg_pool2d_backward(const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  std::fill_n(dX, batch * g.channels * g.height * g.width, real{0});
  for_each_window(batch * g.channels, g, [=](Index place, Index first) {
    const real share = dY[place] / area(g);
    for (Index i = 0; i < g.kernel_h; ++i)
      for (Index j = 0; j < g.kernel_w; ++j) dX[first + i * g.width + j] += share;
  });
}

}  // namespace bobbin::cpu
