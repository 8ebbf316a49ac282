// Dropout (Srivastava et al., 2014), inverted: what stays is scaled up, so that evaluation is the
// identity. The mask is a function of the draw alone and is made anew in backward: cheaper than to
// write it to memory and read it again.
#include "tensor/cpu/dropout.h"

#include "tensor/parallel.h"

namespace bobbin::cpu {

void dropout(const real* x, real* y, Index n, real p, Draw draw) {
  constexpr Index chunk = DropoutMask::chunk;
  parallel_for((n + chunk - 1) / chunk, 32, [=](Index begin, Index end) {
    DropoutMask mask(p, draw);
    mask.apply(x + begin * chunk, y + begin * chunk, begin * chunk, std::min(n, end * chunk) - begin * chunk);
  });
}

}  // namespace bobbin::cpu
