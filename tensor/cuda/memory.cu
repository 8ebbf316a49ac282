// Memory of the GPU, and the way to it: pinned memory of the program, from which the GPU copies by itself while the
// program goes on.
#include <algorithm>
#include <bit>
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

// Sizes with three binary digits after the first, rounded up: few, so that a block is found again where sizes vary, and
// none is an eighth too large.
std::size_t size_of_block(std::size_t bytes) {
  const std::size_t unit = std::max<std::size_t>(std::bit_floor(bytes) / 8, 64);
  return (bytes + unit - 1) / unit * unit;
}

void* waiting_block(std::size_t bytes) {
  PinnedBlocks& all = pinned_blocks();
  const std::lock_guard lock(all.mutex);
  std::vector<void*>& waiting = all.waiting[bytes];
  if (waiting.empty()) return nullptr;
  void* const block = waiting.back();
  waiting.pop_back();
  return block;
}

void release_waiting_blocks() {
  PinnedBlocks& all = pinned_blocks();
  const std::lock_guard lock(all.mutex);
  for (auto& [bytes, waiting] : all.waiting)
    for (void* const block : waiting) cudaFreeHost(block);
  all.waiting.clear();
}

std::shared_ptr<void> pinned(std::size_t wanted) {
  const std::size_t bytes = size_of_block(wanted);
  void* block = waiting_block(bytes);
  if (!block) {
    stream();  // finds the GPU, if nothing has yet
    cudaError_t status = cudaMallocHost(&block, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // a later launch must not report it
      release_waiting_blocks();
      status = cudaMallocHost(&block, bytes);
    }
    check_cuda(status, "cudaMallocHost");
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
  // Has the GPU copy `bytes` from a pinned block, and keeps the block until then.
  void begin(std::shared_ptr<void> block, void* device, std::size_t bytes) {
    if (idle_.empty()) {  // the event comes first: without one nobody would know when a copy that has begun is made
      cudaEvent_t event{};
      check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
      idle_.push_back(event);
    }
    check_cuda(cudaMemcpyAsync(device, block.get(), bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
    const cudaEvent_t done = idle_.back();
    const cudaError_t status = cudaEventRecord(done, stream());
    if (status != cudaSuccess) cudaStreamSynchronize(stream());  // the block is free again when this returns
    check_cuda(status, "cudaEventRecord");
    idle_.pop_back();
    copies_.push_back({std::move(block), done});
  }
  // Lets go of the blocks whose copy is made.
  void forget_finished() {
    while (!copies_.empty()) {
      const cudaError_t status = cudaEventQuery(copies_.front().done);
      if (status == cudaErrorNotReady) {
        cudaGetLastError();  // it is no error, but CUDA keeps it as one for whoever asks next
        return;
      }
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
void release(void* block) {
  launch_updates();  // one that waits may need it
  cudaFree(block);
}

// What is free when it is first asked for, before any tensor is there: others use the card, too, as do CUDA and cuBLAS
// themselves.
std::size_t memory_size() {
  static const std::size_t bytes = [] {
    stream();
    std::size_t free = 0, all = 0;
    check_cuda(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return free;
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
  copies_under_way().begin(block, numbers.get(), static_cast<std::size_t>(n) * sizeof(real));
  return numbers;
}

std::shared_ptr<const int> ints(const int* host, Index n) {
  if (!host) return nullptr;
  copies_under_way().forget_finished();
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(int);
  const std::shared_ptr<void> block = pinned(bytes);
  std::memcpy(block.get(), host, bytes);
  const std::shared_ptr<int> numbers = scratch<int>(n);
  copies_under_way().begin(block, numbers.get(), bytes);
  return numbers;
}

void to_host(const real* x, real* host, Index n) { download(x, host, n); }

}  // namespace bobbin::cuda
