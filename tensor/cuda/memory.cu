// Memory of the GPU, and the way to it: pinned memory of the program, from which the GPU copies by itself while the
// program goes on.
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tensor/cuda/device.h"

namespace bobbin::cuda {
namespace {

// To pin memory takes longer than to copy from it, so blocks are kept, by their size in bytes.
struct PinnedBlocks {
  std::mutex mutex;  // a batch that nobody wants returns its block from a thread of its own
  std::unordered_map<std::size_t, std::vector<void*>> waiting;
};

// Never destroyed, as the free lists of tensor/storage.cpp.
PinnedBlocks& pinned_blocks() {
  static PinnedBlocks* const instance = new PinnedBlocks;
  return *instance;
}

std::shared_ptr<void> pinned(std::size_t bytes) {
  PinnedBlocks& all = pinned_blocks();
  void* block = nullptr;
  {
    const std::lock_guard lock(all.mutex);
    if (std::vector<void*>& waiting = all.waiting[bytes]; !waiting.empty()) {
      block = waiting.back();
      waiting.pop_back();
    }
  }
  if (!block) {
    stream();  // finds the GPU, if nothing has yet
    check_cuda(cudaMallocHost(&block, bytes), "cudaMallocHost");
  }
  return {block, [bytes](void* returned) {
            PinnedBlocks& all = pinned_blocks();
            const std::lock_guard lock(all.mutex);
            all.waiting[bytes].push_back(returned);
          }};
}

// Copies that the GPU has not made yet, oldest first. Their blocks must not be written again before.
class CopiesUnderWay {
 public:
  void add(std::shared_ptr<void> block) {
    cudaEvent_t done{};
    if (idle_.empty()) {
      check_cuda(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    } else {
      done = idle_.back();
      idle_.pop_back();
    }
    const cudaError_t status = cudaEventRecord(done, stream());
    if (status != cudaSuccess) idle_.push_back(done);
    check_cuda(status, "cudaEventRecord");
    copies_.push_back({std::move(block), done});
  }
  // Lets go of the blocks whose copy is made.
  void forget_finished() {
    while (!copies_.empty()) {
      const cudaError_t status = cudaEventQuery(copies_.front().done);
      if (status == cudaErrorNotReady) return;
      check_cuda(status, "cudaEventQuery");
      idle_.push_back(copies_.front().done);
      copies_.pop_front();
    }
  }

 private:
  struct Copy {
    std::shared_ptr<void> block;
    cudaEvent_t done;
  };
  std::deque<Copy> copies_;
  std::vector<cudaEvent_t> idle_;
};

CopiesUnderWay& copies_under_way() {
  static CopiesUnderWay* const instance = new CopiesUnderWay;
  return *instance;
}

// Has the GPU copy `bytes` from a pinned block, and keeps the block until then.
void upload(std::shared_ptr<void> block, void* device, std::size_t bytes) {
  check_cuda(cudaMemcpyAsync(device, block.get(), bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
  copies_under_way().add(std::move(block));
}

}  // namespace

void* allocate(std::size_t bytes) {
  stream();
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // a later launch must not report it
    return nullptr;
  }
  check_cuda(status, "cudaMalloc");
  return block;
}

// Where an error has come up before, this would report it again.
void release(void* block) { cudaFree(block); }

std::size_t memory_size() {
  static const std::size_t bytes = [] {
    stream();
    std::size_t free = 0, all = 0;
    check_cuda(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return all;
  }();
  return bytes;
}

std::shared_ptr<real> host_block(Index n) {
  copies_under_way().forget_finished();
  const std::shared_ptr<void> block = pinned(static_cast<std::size_t>(n) * sizeof(real));
  return {block, static_cast<real*>(block.get())};
}

std::shared_ptr<real> to_device(std::shared_ptr<real> block, Index n) {
  const std::shared_ptr<real> numbers = memory::allocate(n);
  upload(block, numbers.get(), static_cast<std::size_t>(n) * sizeof(real));
  return numbers;
}

std::shared_ptr<const int> ints(const int* host, Index n) {
  if (!host) return nullptr;
  copies_under_way().forget_finished();
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(int);
  const std::shared_ptr<void> block = pinned(bytes);
  std::memcpy(block.get(), host, bytes);
  const std::shared_ptr<int> numbers = scratch<int>(n);
  upload(block, numbers.get(), bytes);
  return numbers;
}

void to_host(const real* x, real* host, Index n) { download(x, host, n); }

}  // namespace bobbin::cuda
