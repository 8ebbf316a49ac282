#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <memory>

#include "tensor/check.h"
#include "tensor/cuda/kernels.h"
#include "tensor/device.h"
#include "tensor/storage.h"

/// What all kernels need of the GPU: the stream in which they happen in order, and memory.
namespace bobbin::cuda {

/// Throws Error, with the name of the call and CUDA's own words, unless the call went well.
void check_cuda(cudaError_t status, const char* call);
void check_cublas(cublasStatus_t status, const char* call);

/// The stream of all kernels, and of the copies that come in order with them, and the products in it. Whoever asks is
/// about to put something into it, so updates that wait (update.cu) go first. The first call looks for a GPU, and
/// throws NoDevice if there is none.
cudaStream_t stream();
cublasHandle_t blas();
void launch_updates();
/// The stream of the copies that may be made while kernels compute: see to_device() in memory.cu.
cudaStream_t copy_stream();
/// An event, which nobody else has meanwhile: they are kept for the next, as they take longer to make than to record.
using Event = std::shared_ptr<CUevent_st>;
Event new_event(unsigned flags = cudaEventDisableTiming);
/// The same, recorded in the stream.
Event record(cudaStream_t stream, unsigned flags = cudaEventDisableTiming);
/// Has the calling thread use the GPU of the program: to CUDA each thread begins with the first.
void use_device();
/// Of that GPU, which no other has.
cudaUUID_t uuid();

/// Memory of the GPU for what a kernel keeps between two steps of its own. It comes from the free lists of
/// tensor/storage.h. Since all work is done in order, it may be given back as soon as the last kernel is launched.
template <class T>
std::shared_ptr<T> scratch(Index n) {
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
  const std::shared_ptr<real> block = memory::allocate(static_cast<Index>((bytes + sizeof(real) - 1) / sizeof(real)));
  return {block, reinterpret_cast<T*>(block.get())};
}

/// Whole numbers of the program, such as labels, on the GPU; null for null.
std::shared_ptr<const int> ints(const int* host, Index n);

/// Copies from the GPU into memory of the program, and waits for it.
template <class T>
void download(const T* device, T* host, Index n) {
  check_cuda(cudaMemcpyAsync(host, device, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToHost, stream()),
             "cudaMemcpyAsync");
  check_cuda(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
}

}  // namespace bobbin::cuda
