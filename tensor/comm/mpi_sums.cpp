// Sums of tensors that lie in the program's own memory, by MPI.
#include "tensor/check.h"
#include "tensor/comm/world.h"

namespace bobbin::comm {
namespace {

template <class T>
Sum begin_sum_of(std::shared_ptr<T> x, Index n, Transfer::Of type) {
  check(n <= most_at_once, "comm", "a sum is of up to ", most_at_once, " numbers, got ", n);
  T* const at = x.get();
  return Sum(
      begin({.kind = Transfer::sum, .of = type, .at = at, .owner = std::move(x), .count = n, .of_tensors = true}));
}

}  // namespace

Sum begin_sum(std::shared_ptr<float> x, Index n) { return begin_sum_of(std::move(x), n, Transfer::floats); }
Sum begin_sum(std::shared_ptr<double> x, Index n) { return begin_sum_of(std::move(x), n, Transfer::doubles); }
Sum begin_sum(std::shared_ptr<bfloat16> x, Index n) { return begin_sum_of(std::move(x), n, Transfer::bfloat16s); }
void Sum::wait() {
  if (transfer_) comm::wait(*std::exchange(transfer_, nullptr));
}

}  // namespace bobbin::comm
