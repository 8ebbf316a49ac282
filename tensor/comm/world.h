#pragma once
#include <functional>
#include <limits>
#include <memory>

#include "tensor/comm.h"

/// What goes on between ranks that MPI has started (mpi.cpp), for the sums of tensors beside it: mpi_sums.cpp where
/// these lie in the program's memory, nccl.cpp where they are on GPUs.
namespace bobbin::comm {

/// What is carried; on the waiting list until it is begun.
struct Transfer {
  enum Kind { broadcast, sum, barrier, elsewhere } kind;  ///< elsewhere: not by MPI
  enum Of { bytes, floats, doubles, bfloat16s } of = bytes;
  void* at = nullptr;
  std::shared_ptr<void> owner{};  ///< of what is there, if it is to be held
  Index count = 0;
  bool of_tensors = false;        ///< their sums have an order of their own
  std::shared_ptr<void> event{};  ///< of a GPU: that it has come
  /// Of what goes elsewhere: whether it has come, which the thread of MPI asks, as long as the timeout lets it. May
  /// throw Error.
  std::function<bool()> has_come{};
  bool done = false;
};

/// Hands it to the thread of MPI, and waits until it is done.
std::shared_ptr<Transfer> begin(Transfer transfer);
void wait(const Transfer& transfer);

/// How many numbers a sum may have: MPI counts in int.
constexpr Index most_at_once = std::numeric_limits<int>::max();

}  // namespace bobbin::comm
