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
    use_device();  // which may be the first time, and in a thread of its own
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

// Copies that the GPU has not made yet. Their blocks must not be used for anything else before.
class CopiesUnderWay {
 public:
  // Has the GPU copy from a pinned block, or to it, and keeps the block until then. Returns the event after it.
  Event begin(std::shared_ptr<void> block, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
              cudaStream_t in) {
    const Event done = new_event();  // first: without one nobody would know when a copy that has begun is made
    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, in), "cudaMemcpyAsync");
    const cudaError_t status = cudaEventRecord(done.get(), in);
    if (status != cudaSuccess) cudaStreamSynchronize(in);  // the block is free again when this returns
    check_cuda(status, "cudaEventRecord");
    copies_.push_back({std::move(block), done});
    return done;
  }
  // Lets go of the blocks whose copy is made.
  void forget_finished() {
    while (!copies_.empty()) {
      const cudaError_t status = cudaEventQuery(copies_.front().done.get());
      if (status == cudaErrorNotReady) {
        cudaGetLastError();  // it is no error, but CUDA keeps it as one for whoever asks next
        return;
      }
      check_cuda(status, "cudaEventQuery");
      copies_.pop_front();
    }
  }

 private:
  struct Copy {
    std::shared_ptr<void> block;
    Event done;
  };
  std::deque<Copy> copies_;
};

CopiesUnderWay& copies_under_way() {
  static CopiesUnderWay* const instance = new CopiesUnderWay;
  return *instance;
}

// Memory of the GPU for what is copied ahead, such as the next batch while kernels compute with this one. The free
// lists of tensor/storage.h would not do: what lies there is free for kernels, which come in order, and not yet for a
// copy that is made meanwhile. So a few blocks are kept here, with an event after the last kernels that were given
// them.
//
//     kernels  |  step 1, with block A  |  step 2, with block B  |  step 3, with A  |
//     copies                                |  batch 3 to A  |       |  batch 4 to B  |
//
// Of two blocks of a size the one that has waited longer is taken: of the other the kernels are still at work.
class BlocksAhead {
 public:
  // A block, to which a copy may begin as soon as the copy stream comes to it.
  std::shared_ptr<real> take(Index n) {
    const Event now = record(stream());
    Block block = waiting_block(n, now);
    if (!block.numbers) block = {memory::allocate(n), n, now};
    check_cuda(cudaStreamWaitEvent(copy_stream(), block.free.get(), 0), "cudaStreamWaitEvent");
    return {block.numbers.get(), [this, block](real*) { put(block); }};
  }

 private:
  struct Block {
    std::shared_ptr<real> numbers;
    Index n;
    Event free;
  };

  // None, unless two of the size wait.
  Block waiting_block(Index n, const Event& now) {
    const std::lock_guard lock(mutex_);
    for (Block& block : waiting_)
      if (!block.free) block.free = now;
    const auto same_size = [n](const Block& b) { return b.n == n; };
    if (std::count_if(waiting_.begin(), waiting_.end(), same_size) < 2) return {};
    const auto oldest = std::find_if(waiting_.begin(), waiting_.end(), same_size);
    Block block = std::move(*oldest);
    waiting_.erase(oldest);
    return block;
  }
  // What nobody has taken for long goes back to the free lists.
  void put(Block block) {
    constexpr std::size_t most = 4;  // two for images, and two for what else is large
    block.free = nullptr;            // the next take() says when
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(block));
    if (waiting_.size() > most) waiting_.pop_front();
  }

  std::mutex mutex_;
  std::deque<Block> waiting_;  // the longest first
};

BlocksAhead& blocks_ahead() {
  static BlocksAhead* const instance = new BlocksAhead;
  return *instance;
}

// A pinned block's numbers on the GPU, in order with the kernels.
template <class T>
std::shared_ptr<T> copy_in_order(const std::shared_ptr<void>& block, Index n) {
  const std::shared_ptr<T> numbers = scratch<T>(n);
  copies_under_way().begin(block, numbers.get(), block.get(), static_cast<std::size_t>(n) * sizeof(T),
                           cudaMemcpyHostToDevice, stream());
  return numbers;
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
  constexpr Index worth_events = 4096;  // what is smaller is copied sooner than streams hear of one another
  if (n < worth_events) return copy_in_order<real>(block, n);
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(real);
  const std::shared_ptr<real> numbers = blocks_ahead().take(n);
  const Event done =
      copies_under_way().begin(block, numbers.get(), block.get(), bytes, cudaMemcpyHostToDevice, copy_stream());
  const cudaError_t status = cudaStreamWaitEvent(stream(), done.get(), 0);
  if (status != cudaSuccess) cudaStreamSynchronize(copy_stream());  // no kernel would wait for it
  check_cuda(status, "cudaStreamWaitEvent");
  return numbers;
}

std::shared_ptr<const int> ints(const int* host, Index n) {
  if (!host) return nullptr;
  copies_under_way().forget_finished();
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(int);
  const std::shared_ptr<void> block = pinned(bytes);
  std::memcpy(block.get(), host, bytes);
  return copy_in_order<int>(block, n);
}

void to_host(const real* x, real* host, Index n) { download(x, host, n); }

Sent begin_to_host(const real* x, Index n) {
  const std::shared_ptr<real> block = host_block(n);
  return {block, copies_under_way().begin(block, block.get(), x, static_cast<std::size_t>(n) * sizeof(real),
                                          cudaMemcpyDeviceToHost, stream())};
}

}  // namespace bobbin::cuda
