// Several processes that do one thing together, on one machine or many: their ranks, and how numbers go between them.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensor/bfloat16.h"
#include "tensor/real.h"

/// One of these is linked: tensor/comm/alone.cpp, in which each process is the only one; or with `make MPI=1`
/// tensor/comm/mpi.cpp, for programs that mpirun or srun starts several times, and beside it what sums tensors:
/// mpi_sums.cpp, or with CUDA=1 nccl.cpp. Every rank makes the same calls in the same order, from one thread. The first
/// call begins: it waits until all ranks are there.
///
/// What goes wrong between ranks ends all of them with a code other than 0, and one of them says why: a rank that is
/// another program, that is gone, or that is not heard of for comm::set_timeout(); an error in any of them, where
/// run_main() or exit_code() reports it.
namespace bobbin::comm {

/// Which one this process is, 0 ... size() - 1.
int rank();
/// How many there are; alone 1.
int size();
/// Which one it is of those on its machine.
int local_rank();

// --- numbers of the program: host memory ---------------------------------------------------------
/// Overwrites the bytes of every rank with those of rank 0. Waits.
void broadcast(void* bytes, std::size_t count);
/// The text that rank 0 has, on every rank. Waits.
std::string broadcast(std::string text);
/// The sums of such numbers over the ranks, the same bits on each. Waits.
std::vector<double> sum_of_all_ranks(std::vector<double> numbers);

// --- numbers of tensors: the backend's memory, which on a GPU only it can reach ---------------------
/// A sum over the ranks that is under way.
class Sum {
 public:
  Sum() = default;  ///< none
  explicit Sum(std::shared_ptr<struct Transfer> transfer) : transfer_(std::move(transfer)) {}
  /// Waits until the numbers are those of all ranks, at least for kernels that are called from now on: on a GPU the
  /// program itself need not wait.
  void wait();

 private:
  std::shared_ptr<struct Transfer> transfer_;
};
/// Begins to overwrite n numbers of memory::allocate(), on every rank, with their sums over the ranks: the same bits on
/// each. They are what the kernels called until now have made of them. They are not touched until the sum is awaited,
/// and are held until it is done, also where nobody awaits it. Each sum of two bfloat16 is rounded once, to the
/// nearest.
Sum begin_sum(std::shared_ptr<float> x, Index n);
Sum begin_sum(std::shared_ptr<double> x, Index n);
Sum begin_sum(std::shared_ptr<bfloat16> x, Index n);

/// Waits until every rank is here.
void barrier();

/// For how many seconds a rank waits for the others, 600 at first. Throws Error unless it is above 0.
void set_timeout(double seconds);
/// Says on stderr, in a line, what has gone wrong on this rank. If there are others it then ends all, and does not
/// return: rank 0 at once, the others a moment later, so that of an error that all have one speaks.
void fail_all(const std::string& sentence, int exit_code);

}  // namespace bobbin::comm
