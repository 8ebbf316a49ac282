#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "engine.h"
#include "tensor_cores.h"

/// Stands in for NVIDIA's header of this name where a .cu file is compiled for the processor: what the language CUDA
/// adds to C++, as far as our kernels use it, and the calls of the runtime. __CUDACC__ is not defined.

// --- the language -----------------------------------------------------------------------------------------
#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __grid_constant__

#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())
#define blockDim (emulator::block_dim())
#define gridDim (emulator::grid_dim())

/// `__shared__ type name`, without what the last block left there.
#define SHARED(type, name)        \
  static const char name##_tag{}; \
  auto& name =                    \
      *static_cast<std::type_identity_t<type>*>(emulator::shared(&name##_tag, sizeof(std::type_identity_t<type>)))

using std::max;
using std::min;

// --- barriers and exchanges -------------------------------------------------------------------------------
#define EMULATOR_TEXT_OF(x) #x
#define EMULATOR_TEXT(x) EMULATOR_TEXT_OF(x)
#define EMULATOR_HERE __FILE__ ":" EMULATOR_TEXT(__LINE__)

#define __syncthreads() emulator::sync_block(EMULATOR_HERE)
#define __syncwarp() ((void)emulator::sync_warp(0xffffffff, 0, EMULATOR_HERE, true))
#define __shfl_sync(mask, value, lane) emulator::shuffle(mask, value, lane, EMULATOR_HERE)
#define __shfl_xor_sync(mask, value, bits) emulator::shuffle(mask, value, emulator::lane() ^ (bits), EMULATOR_HERE)
#define __shfl_down_sync(mask, value, by)                                                                   \
  emulator::shuffle(mask, value, emulator::lane() + (by) < 32 ? emulator::lane() + (by) : emulator::lane(), \
                    EMULATOR_HERE)
#define __ballot_sync(mask, predicate) emulator::ballot(mask, predicate, EMULATOR_HERE)

/// The instructions of tensor/cuda/mma.h.
#define MMA(type, instruction, c, a, b) emulator::multiply_add_##type(c, a, b, EMULATOR_HERE)
#define TO_TF32(y, x) y = emulator::to_tf32(x)

namespace emulator {

/// What this lane brings.
template <class T>
T shuffle(unsigned mask, T value, unsigned from_lane, const char* site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "4 or 8 bytes can be exchanged");
  from_lane %= 32;
  if ((mask >> from_lane & 1) == 0)
    die("a shuffle reads lane " + std::to_string(from_lane) + ", which is not in its mask", site);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const std::uint64_t* const values = sync_warp(mask, bits, site, false);
  std::memcpy(&value, values + from_lane, sizeof value);
  return value;
}

/// A bit for each lane: whether the predicate holds there.
inline unsigned ballot(unsigned mask, bool predicate, const char* site) {
  const std::uint64_t* const values = sync_warp(mask, predicate, site, false);
  unsigned bits = 0;
  for (unsigned l = 0; l < 32; ++l) bits |= static_cast<unsigned>((mask >> l & 1) != 0 && values[l] == 1) << l;
  return bits;
}

}  // namespace emulator

// --- the runtime ------------------------------------------------------------------------------------------
// Kernels and products run at once, in the call that asks for them, and have one stream. Copies from the program, which
// may have others, take place as late as they may: when the next work in their stream begins, or in one that waits for
// them, or when the program waits. Copies to pinned memory of the program arrive only then. So a program that is in a
// hurry gets wrong numbers here, too.
//
// CUDA_EMULATOR_DEVICES=0: there is no device; 2: there are two, which are the same.
// CUDA_EMULATOR_FAIL=cudaMalloc:3: the third call of that function fails; cudaMalloc:3+: those after it, too.

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDefault = 0, cudaEventDisableTiming = 2;

struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  char name[256];
  cudaUUID_t uuid;
  std::size_t totalGlobalMem;
  int major, minor;
  int multiProcessorCount;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);

cudaError_t cudaMalloc(void** memory, std::size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, std::size_t bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
template <class T>
cudaError_t cudaMalloc(T** memory, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, std::size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(memory), bytes);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
/// A stream is that of all kernels, or one of copies, or has work that other processes take part in: see
/// emulator::do_with_others().
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
/// Of an event that was not waited for, the first answer is cudaErrorNotReady.
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
/// Of events that were waited for, or asked about until they had come.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
cudaError_t cudaEventDestroy(cudaEvent_t event);

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

namespace emulator {

cudaError_t launch(const Launch& launch, std::size_t shared_bytes, cudaStream_t stream);

/// kernel(*arguments[0], *arguments[1], ...).
template <class... P, std::size_t... I>
void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<P*>(arguments[I])...);
}

template <class P>
void note_pointer(std::vector<PointerArgument>& pointers, const void* argument) {
  if constexpr (std::is_pointer_v<P>)
    pointers.push_back({*static_cast<const P*>(argument), !std::is_const_v<std::remove_pointer_t<P>>});
  else if constexpr (requires(const P& p) { p.pointers([](auto*) {}); })  // those inside a struct
    static_cast<const P*>(argument)->pointers(
        [&](auto* pointer) { note_pointer<decltype(pointer)>(pointers, &pointer); });
}

}  // namespace emulator

template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments, std::size_t shared_bytes,
                             cudaStream_t stream) {
  emulator::Launch launch;
  launch.kernel = reinterpret_cast<const void*>(kernel);
  launch.call = [](const void* kernel, void** arguments) {
    emulator::call(reinterpret_cast<void (*)(P...)>(const_cast<void*>(kernel)), arguments,
                   std::index_sequence_for<P...>());
  };
  launch.arguments = arguments;
  [[maybe_unused]] std::size_t i = 0;
  (emulator::note_pointer<P>(launch.pointers, arguments[i++]), ...);
  launch.grid = grid;
  launch.block = block;
  return emulator::launch(launch, shared_bytes, stream);
}
