// Sums of tensors over ranks of which each has a GPU, by NCCL: from GPU to GPU, in a stream of their own, beside the
// kernels. The program waits for none of it; streams wait for one another. MPI tells which ranks there are, and carries
// the program's own numbers.
#include <nccl.h>

#include <atomic>

#include "tensor/comm/world.h"
#include "tensor/cuda/device.h"
#include "tensor/profile.h"

namespace bobbin::comm {
namespace {

using cuda::check_cuda;

void check_nccl(ncclResult_t status, const char* call) {
  check(status == ncclSuccess || status == ncclInProgress, "nccl", call, " failed: ", ncclGetErrorString(status));
}

// NCCL would wait for ever, or fail with words that do not say why.
void check_own_gpu() {
  const cudaUUID_t uuid = cuda::uuid();
  std::uint64_t own = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : uuid.bytes) own = (own ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  std::vector<double> all(static_cast<std::size_t>(size()));
  all[static_cast<std::size_t>(rank())] = static_cast<double>(own >> 11);  // as many digits as a double has
  all = sum_of_all_ranks(std::move(all));
  for (std::size_t a = 0; a < all.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      check(all[a] != all[b], "nccl", "ranks ", b, " and ", a,
            " have the same GPU: start no more ranks on a machine than it has GPUs");
}

struct Nccl {
  ncclComm_t all{};
  cudaStream_t stream{};

  Nccl() {
    check_own_gpu();
    ncclUniqueId id{};
    if (rank() == 0) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
    broadcast(&id, sizeof id);
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    // It returns when all are there; the thread of MPI sees to it that this is within the timeout.
    const auto there = std::make_shared<std::atomic<bool>>(false);
    begin({.kind = Transfer::elsewhere, .has_come = [there] { return there->load(); }});
    check_nccl(ncclCommInitRank(&all, size(), id, rank()), "ncclCommInitRank");
    *there = true;
  }
  ~Nccl() {
    cudaStreamSynchronize(stream);
    ncclCommDestroy(all);
  }
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
};
Nccl& nccl() {
  static Nccl only;  // made after the world of ranks, and so gone before it
  return only;
}

// Called by the thread of MPI, while the program goes on.
bool has_come(ncclComm_t all, cudaEvent_t event) {
  cuda::use_device();
  const cudaError_t status = cudaEventQuery(event);
  if (status == cudaSuccess) return true;
  if (status != cudaErrorNotReady) check_cuda(status, "cudaEventQuery");
  cudaGetLastError();  // it is no error, but CUDA keeps it as one for whoever asks next
  ncclResult_t error = ncclSuccess;
  check_nccl(ncclCommGetAsyncError(all, &error), "ncclCommGetAsyncError");
  check_nccl(error, "ncclAllReduce");
  return false;
}

template <class T>
Sum begin_sum_of(const std::shared_ptr<T>& x, Index n, ncclDataType_t type) {
  if (size() == 1) return Sum();
  const auto& [all, stream] = nccl();
  const cuda::Event filled = cuda::record(cuda::stream());
  check_cuda(cudaStreamWaitEvent(stream, filled.get(), 0), "cudaStreamWaitEvent");
  check_nccl(ncclAllReduce(x.get(), x.get(), static_cast<std::size_t>(n), type, ncclSum, all, stream), "ncclAllReduce");
  const cuda::Event summed = cuda::record(stream);
  return Sum(begin({.kind = Transfer::elsewhere, .owner = x, .event = summed, .has_come = [all = all, summed] {
                      return has_come(all, summed.get());
                    }}));
}

}  // namespace

Sum begin_sum(std::shared_ptr<float> x, Index n) { return begin_sum_of(x, n, ncclFloat32); }
Sum begin_sum(std::shared_ptr<double> x, Index n) { return begin_sum_of(x, n, ncclFloat64); }
Sum begin_sum(std::shared_ptr<bfloat16> x, Index n) { return begin_sum_of(x, n, ncclBfloat16); }
void Sum::wait() {
  if (!transfer_) return;
  const profile::Timed timed("wait_for_ranks", 0);
  const auto transfer = std::exchange(transfer_, nullptr);
  check_cuda(cudaStreamWaitEvent(cuda::stream(), static_cast<cudaEvent_t>(transfer->event.get()), 0),
             "cudaStreamWaitEvent");
}

}  // namespace bobbin::comm
