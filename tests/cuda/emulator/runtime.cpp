#include "runtime.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "memory.h"
#include "sanitizers.h"

struct CUstream_st {};
struct CUevent_st {
  bool timed = false, recorded = false, asked = false;
  // How often the program had waited, and how many copies it had asked for, when the event was recorded.
  unsigned long waits = 0, copies = 0;
  std::chrono::steady_clock::time_point at{};
};

namespace emulator {
namespace {

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};
// What is on its way to the program, and not there yet.
struct Arrival {
  void* to;
  std::vector<char> bytes;
};

struct Runtime {
  cudaError_t last_error = cudaSuccess;
  std::map<const char*, std::size_t> pinned;  // blocks of the program that the device can read by itself
  std::vector<Copy> queued;
  std::vector<Arrival> arrivals;
  unsigned long waits = 0, copies = 0;  // how often the program has waited, and how many were ever queued
  bool working = false;                 // since the last wait, in this stream:
  cudaStream_t stream = nullptr;
  std::map<std::string, unsigned long> calls_of;

  // The plan to fail, and how often the function was called since it was made.
  std::string plan;
  unsigned long calls = 0;
};

// Never destroyed: the program may call to its very end.
Runtime& runtime() {
  static Runtime* const instance = new Runtime;
  return *instance;
}

std::recursive_mutex& mutex() {
  static std::recursive_mutex* const instance = new std::recursive_mutex;
  return *instance;
}

bool is_planned(const char* name) {
  Runtime& r = runtime();
  const char* const variable = std::getenv("CUDA_EMULATOR_FAIL");
  const std::string plan = variable ? variable : "";
  if (plan != r.plan) r.calls = 0;
  r.plan = plan;
  const std::size_t colon = plan.find(':');
  if (plan.substr(0, colon) != name) return false;
  const unsigned long which = colon == std::string::npos ? 1 : std::strtoul(plan.c_str() + colon + 1, nullptr, 10);
  return plan.ends_with('+') ? ++r.calls >= which : ++r.calls == which;
}

bool has_device() {
  const char* const devices = std::getenv("CUDA_EMULATOR_DEVICES");
  return !devices || std::string(devices) != "0";
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) runtime().last_error = error;
  return error;
}

// Whether the call goes on; else `error` is what it answers.
bool refused(const Call& call, cudaError_t planned, cudaError_t& error) {
  error = call.no_device() ? cudaErrorNoDevice : call.must_fail() ? planned : cudaSuccess;
  return result(error) != cudaSuccess;
}

bool is_pinned(const void* memory, std::size_t bytes) {
  const Runtime& r = runtime();
  const auto* const begin = static_cast<const char*>(memory);
  const auto after = r.pinned.upper_bound(begin);
  if (after == r.pinned.begin()) return false;
  const auto& [block, size] = *std::prev(after);
  return begin + bytes <= block + size;
}

const memory::Allocation& on_device(const void* address, std::size_t bytes, const char* call, const char* side) {
  const memory::Allocation* const a = memory::find(address, bytes);
  if (!a)
    die(std::string(side) + " of " + std::to_string(bytes) + " bytes does not lie inside an allocation of the device",
        call);
  return *a;
}

void on_host(const void* address, const char* call, const char* side) {
  if (memory::on_device(address)) die(std::string(side) + " is on the device, and not in the program", call);
}

// Makes all copies but the last `later`.
void make_copies(std::size_t later) {
  std::vector<Copy>& queued = runtime().queued;
  if (queued.size() <= later) return;
  const auto end = queued.end() - static_cast<std::ptrdiff_t>(later);
  for (auto copy = queued.begin(); copy < end; ++copy) {
    memory::Access access("cudaMemcpyAsync");
    access.open(*memory::find(copy->to), true);
    std::memcpy(copy->to, copy->from, copy->bytes);
  }
  queued.erase(queued.begin(), end);
}

void arrive() {
  std::vector<Arrival>& arrivals = runtime().arrivals;
  for (const Arrival& a : arrivals) std::memcpy(a.to, a.bytes.data(), a.bytes.size());
  arrivals.clear();
}

// All that was asked for before this event is done.
void come(CUevent_st& event) {
  if (event.recorded) {
    make_copies(runtime().copies - event.copies);
    arrive();
  }
  event.recorded = false;
}

// All that was asked for is done, as far as the program can tell.
void finish() {
  do_queued_copies();
  arrive();
  ++runtime().waits;
  runtime().working = false;
}

}  // namespace

Call::Call(const char* name) : lock_(mutex()), name_(name), no_device_(!has_device()), must_fail_(is_planned(name)) {
  ++runtime().calls_of[name];
}

unsigned long calls_of(const std::string& name) {
  const std::lock_guard lock(mutex());
  return runtime().calls_of[name];
}

void work_in(cudaStream_t stream, const char* call) {
  Runtime& r = runtime();
  if (r.working && stream != r.stream) die("work is put into one stream while there is some in another", call);
  r.working = true;
  r.stream = stream;
}

void do_queued_copies() { make_copies(0); }

cudaError_t launch(const Launch& launch, std::size_t shared_bytes, cudaStream_t stream) {
  const Call call("cudaLaunchKernel");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  work_in(stream, call.name());
  if (shared_bytes != 0) die("a kernel wants dynamic shared memory, which is not emulated", call.name());
  do_queued_copies();
  return result(run(launch));
}

}  // namespace emulator

using namespace emulator;

// --- the device -------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call("cudaGetDeviceCount");
  cudaError_t error{};
  if (refused(call, cudaErrorInitializationError, error)) return error;
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Call call("cudaGetDeviceProperties");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidValue, error)) return error;
  if (device != 0) return result(cudaErrorInvalidValue);
  const char* const capability = std::getenv("CUDA_EMULATOR_CAPABILITY");
  int major = 8, minor = 0;
  if (capability) std::sscanf(capability, "%d.%d", &major, &minor);
  *properties = {"the processor, as an emulated GPU", memory::total, major, minor, 4};
  return cudaSuccess;
}

// --- memory -----------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const Call call("cudaMalloc");
  cudaError_t error{};
  if (refused(call, cudaErrorMemoryAllocation, error)) return error;
  *memory = bytes == 0 ? nullptr : memory::allocate(bytes);
  return bytes == 0 || *memory ? cudaSuccess : result(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* memory) {
  const Call call("cudaFree");
  cudaError_t error{};
  if (refused(call, cudaErrorIllegalAddress, error)) return error;
  finish();
  if (memory && !memory::release(memory))
    die("what is to be freed was not allocated, or was freed before", call.name());
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  const Call call("cudaMallocHost");
  cudaError_t error{};
  if (refused(call, cudaErrorMemoryAllocation, error)) return error;
  if (posix_memalign(memory, 4096, bytes) != 0) return result(cudaErrorMemoryAllocation);
  runtime().pinned[static_cast<const char*>(*memory)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  const Call call("cudaFreeHost");
  cudaError_t error{};
  if (refused(call, cudaErrorIllegalAddress, error)) return error;
  finish();
  if (memory && runtime().pinned.erase(static_cast<const char*>(memory)) == 0)
    die("what is to be freed was not allocated by cudaMallocHost, or was freed before", call.name());
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Call call("cudaMemGetInfo");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidValue, error)) return error;
  *free = memory::free();
  *total = memory::total;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Call call("cudaMemcpyAsync");
  cudaError_t error{};
  if (refused(call, cudaErrorIllegalAddress, error)) return error;
  work_in(stream, call.name());
  if (bytes == 0) return cudaSuccess;
  Runtime& r = runtime();
  if (kind == cudaMemcpyHostToDevice) {
    on_device(to, bytes, call.name(), "the destination");
    on_host(from, call.name(), "the source");
    if (!is_pinned(from, bytes)) die("the source of an asynchronous copy is not in pinned memory", call.name());
    r.queued.push_back({to, from, bytes});
    ++r.copies;
    return cudaSuccess;
  }
  do_queued_copies();
  memory::Access access(call.name());
  access.open(on_device(from, bytes, call.name(), "the source"), false);
  if (kind == cudaMemcpyDeviceToDevice) {
    access.open(on_device(to, bytes, call.name(), "the destination"), true);
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  }
  on_host(to, call.name(), "the destination");
  const auto* const source = static_cast<const char*>(from);
  if (is_pinned(to, bytes))
    r.arrivals.push_back({to, std::vector<char>(source, source + bytes)});
  else
    std::memcpy(to, from, bytes);  // CUDA, too, returns from such a call only when it is done
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t stream) {
  const Call call("cudaMemsetAsync");
  cudaError_t error{};
  if (refused(call, cudaErrorIllegalAddress, error)) return error;
  work_in(stream, call.name());
  if (bytes == 0) return cudaSuccess;
  do_queued_copies();
  memory::Access access(call.name());
  access.open(on_device(to, bytes, call.name(), "the destination"), true);
  std::memset(to, byte, bytes);
  return cudaSuccess;
}

// --- streams and events -----------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Call call("cudaStreamCreateWithFlags");
  cudaError_t error{};
  if (refused(call, cudaErrorMemoryAllocation, error)) return error;
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Call call("cudaStreamSynchronize");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  work_in(stream, call.name());
  finish();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const Call call("cudaEventCreateWithFlags");
  cudaError_t error{};
  if (refused(call, cudaErrorMemoryAllocation, error)) return error;
  *event = new CUevent_st{.timed = (flags & cudaEventDisableTiming) == 0};
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Call call("cudaEventRecord");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidResourceHandle, error)) return error;
  work_in(stream, call.name());
  *event = {event->timed, true, false, runtime().waits, runtime().copies, std::chrono::steady_clock::now()};
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Call call("cudaEventQuery");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  const Runtime& r = runtime();
  const bool waited = r.waits > event->waits;
  if (event->recorded && !waited && !event->asked) {
    event->asked = true;
    return result(cudaErrorNotReady);
  }
  come(*event);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Call call("cudaEventSynchronize");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  come(*event);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const Call call("cudaEventElapsedTime");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidResourceHandle, error)) return error;
  if (!begin->timed || !end->timed) return result(cudaErrorInvalidResourceHandle);
  if (end->recorded && runtime().waits == end->waits) return result(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - begin->at).count();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Call call("cudaEventDestroy");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidResourceHandle, error)) return error;
  delete event;
  return cudaSuccess;
}

// --- errors -----------------------------------------------------------------------------------------------

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};

const ErrorText& text_of(cudaError_t error) {
  static const ErrorText texts[] = {
      {cudaSuccess, "cudaSuccess", "no error"},
      {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
      {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
      {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
      {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
      {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
      {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
      {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
      {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
      {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
  };
  static const ErrorText unknown{cudaErrorInvalidValue, "unrecognized error code", "unrecognized error code"};
  for (const ErrorText& t : texts)
    if (t.error == error) return t;
  return unknown;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

cudaError_t cudaGetLastError() {
  const Call call("cudaGetLastError");
  return std::exchange(runtime().last_error, cudaSuccess);
}
