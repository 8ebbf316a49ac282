#include "runtime.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "memory.h"
#include "sanitizers.h"

namespace {

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

}  // namespace

struct CUstream_st {
  std::vector<Copy> queued{};                     // from the program, not made yet
  unsigned long made = 0;                         // copies
  unsigned long waits = 0;                        // how often the program has waited for all that is in it
  std::map<CUstream_st*, unsigned long> ahead{};  // of the copies in others, how many come before its next work
  unsigned long works = 0;                        // how much of the work in another comes before what is begun next

  // What others take part in.
  struct WithOthers {
    const char* to;
    std::size_t bytes;
    std::function<bool()> goes_on;
  };
  std::deque<WithOthers> under_way{};
  unsigned long begun = 0, done = 0;

  unsigned long copies() const { return made + queued.size(); }
};
struct CUevent_st {
  bool timed = false, recorded = false, asked = false;
  // Where it was recorded; how often the program had waited for that, what it had asked for there, and how many copies
  // were on their way to the program.
  CUstream_st* stream = nullptr;
  unsigned long waits = 0, copies = 0, works = 0, arrivals = 0;
  unsigned long begun = 0;  // with others
  std::chrono::steady_clock::time_point at{};
};

namespace emulator {
namespace {

// What is on its way to the program, and not there yet.
struct Arrival {
  void* to;
  std::vector<char> bytes;
};

thread_local cudaError_t last_error = cudaSuccess;

struct Runtime {
  std::map<const char*, std::size_t> pinned;  // blocks of the program that the device can read by itself
  std::vector<CUstream_st*> streams;
  std::vector<Arrival> arrivals;
  unsigned long arrived = 0;
  bool working = false;  // since the last wait, in this stream:
  cudaStream_t stream = nullptr;
  unsigned long works = 0;                        // how often something was put into it
  std::map<const char*, unsigned long> last_use;  // of these addresses, by which of the works
  unsigned long works_beside_last_copy = 0;
  std::vector<cudaStream_t> with_others;  // streams that others take part in
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

int count_devices() {
  const char* const devices = std::getenv("CUDA_EMULATOR_DEVICES");
  return devices ? std::atoi(devices) : 1;
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
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

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st* const by_itself = new CUstream_st;  // CUDA's own
  return stream ? *stream : *by_itself;
}

// Makes the first copies of a stream, up to so many.
void make_copies(CUstream_st& stream, unsigned long up_to) {
  std::vector<Copy>& queued = stream.queued;
  if (up_to <= stream.made) return;
  const auto end = queued.begin() + static_cast<std::ptrdiff_t>(up_to - stream.made);
  for (auto copy = queued.begin(); copy < end; ++copy) {
    memory::Access access("cudaMemcpyAsync");
    access.open(*memory::find(copy->to), true);
    std::memcpy(copy->to, copy->from, copy->bytes);
  }
  queued.erase(queued.begin(), end);
  stream.made = up_to;
}
// Those of other streams that come before what is put into it next.
void make_copies_ahead(CUstream_st& stream) {
  for (const auto& [other, copies] : stream.ahead) make_copies(*other, copies);
}

// The first ones, up to so many.
void arrive(unsigned long up_to) {
  Runtime& r = runtime();
  auto& next = r.arrivals;
  for (; r.arrived < up_to; ++r.arrived, next.erase(next.begin()))
    std::memcpy(next.front().to, next.front().bytes.data(), next.front().bytes.size());
}
unsigned long all_arrivals() { return runtime().arrived + runtime().arrivals.size(); }

// As much as others let it of what was begun in such a stream; whether so much of it is done.
bool go_on(CUstream_st& stream, unsigned long begun) {
  if (stream.done >= begun) return true;
  make_copies_ahead(stream);
  while (stream.done < begun && stream.under_way.front().goes_on()) {
    stream.under_way.pop_front();
    ++stream.done;
  }
  return stream.done >= begun;
}

// Dies if these bytes, or those that a pointer of a kernel leads to, belong to what others take part in.
void not_under_way(const void* at, std::size_t bytes, const char* call) {
  const auto* const begin = static_cast<const char*>(at);
  for (const CUstream_st* stream : runtime().with_others)
    for (const auto& w : stream->under_way)
      if (begin < w.to + w.bytes && w.to < begin + bytes)
        die("numbers are touched that are being summed in another stream, which is not waited for", call);
}

// All that was asked for before this event is done.
void come(CUevent_st& event) {
  if (event.recorded) {
    make_copies_ahead(*event.stream);
    make_copies(*event.stream, event.copies);
    arrive(event.arrivals);
  }
  event.recorded = false;
}

// All that was asked for in this stream is done, as far as the program can tell.
void finish(CUstream_st& stream) {
  do_queued_copies(&stream);
  ++stream.waits;
  if (&stream != &stream_of(runtime().stream)) return;
  for (const auto& [other, copies] : stream.ahead) other->waits += copies == other->copies();
  arrive(all_arrivals());
  runtime().working = false;
  runtime().last_use.clear();
}
void finish_all() {
  for (CUstream_st* const stream : runtime().streams) finish(*stream);
  finish(stream_of(nullptr));
}

}  // namespace

Call::Call(const char* name)
    : lock_(mutex()), name_(name), no_device_(count_devices() == 0), must_fail_(is_planned(name)) {
  ++runtime().calls_of[name];
}

unsigned long calls_of(const std::string& name) {
  const std::lock_guard lock(mutex());
  return runtime().calls_of[name];
}

unsigned long works_beside_last_copy() {
  const std::lock_guard lock(mutex());
  return runtime().works_beside_last_copy;
}

void work_in(cudaStream_t stream, const char* call) {
  Runtime& r = runtime();
  if (r.working && stream != r.stream) die("work is put into one stream while there is some in another", call);
  r.working = true;
  r.stream = stream;
  ++r.works;
}

void do_with_others(cudaStream_t stream, const void* to, std::size_t bytes, std::function<bool()> goes_on,
                    const char* call) {
  Runtime& r = runtime();
  if (r.working && stream->works < r.works)
    die("a sum in another stream does not wait for the work in this one that comes before it", call);
  if (stream->begun == 0) r.with_others.push_back(stream);
  not_under_way(to, bytes, call);
  stream->under_way.push_back({static_cast<const char*>(to), bytes, std::move(goes_on)});
  ++stream->begun;
}

void Call::pause() {
  lock_.unlock();
  std::this_thread::sleep_for(std::chrono::microseconds(50));
  lock_.lock();
}

void use(const void* address, const char* call) {
  Runtime& r = runtime();
  const CUstream_st& own = stream_of(r.stream);
  const auto* const at = static_cast<const char*>(address);
  not_under_way(at, 1, call);
  r.last_use[at] = r.works;
  for (CUstream_st* const other : r.streams) {
    if (other == &own) continue;
    const auto ahead = own.ahead.find(other);
    const unsigned long done = ahead == own.ahead.end() ? 0 : ahead->second;
    for (std::size_t i = done > other->made ? done - other->made : 0; i < other->queued.size(); ++i) {
      const auto* const to = static_cast<const char*>(other->queued[i].to);
      if (at >= to && at < to + other->queued[i].bytes)
        die("memory is used to which a copy is under way in another stream, and no event was waited for", call);
    }
  }
}

void do_queued_copies(cudaStream_t stream) {
  CUstream_st& s = stream_of(stream);
  make_copies_ahead(s);
  make_copies(s, s.copies());
}

cudaError_t launch(const Launch& launch, std::size_t shared_bytes, cudaStream_t stream) {
  const Call call("cudaLaunchKernel");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  work_in(stream, call.name());
  if (shared_bytes != 0) die("a kernel wants dynamic shared memory, which is not emulated", call.name());
  for (const PointerArgument& pointer : launch.pointers) use(pointer.address, call.name());
  do_queued_copies(stream);
  return result(run(launch));
}

}  // namespace emulator

using namespace emulator;

// --- the device -------------------------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call("cudaGetDeviceCount");
  cudaError_t error{};
  if (refused(call, cudaErrorInitializationError, error)) return error;
  *count = count_devices();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Call call("cudaSetDevice");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidValue, error)) return error;
  if (device < 0 || device >= count_devices()) return result(cudaErrorInvalidValue);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Call call("cudaGetDeviceProperties");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidValue, error)) return error;
  if (device < 0 || device >= count_devices()) return result(cudaErrorInvalidValue);
  const char* const capability = std::getenv("CUDA_EMULATOR_CAPABILITY");
  int major = 8, minor = 0;
  if (capability) std::sscanf(capability, "%d.%d", &major, &minor);
  *properties = {"the processor, as an emulated GPU", {}, memory::total, major, minor, 4};
  properties->uuid.bytes[0] = static_cast<char>(1 + device);
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
  finish_all();
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
  finish_all();
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
  if (bytes == 0) return cudaSuccess;
  Runtime& r = runtime();
  not_under_way(kind == cudaMemcpyHostToDevice ? to : from, bytes, call.name());
  if (kind == cudaMemcpyDeviceToDevice) not_under_way(to, bytes, call.name());
  if (kind == cudaMemcpyHostToDevice) {
    on_device(to, bytes, call.name(), "the destination");
    on_host(from, call.name(), "the source");
    if (!is_pinned(from, bytes)) die("the source of an asynchronous copy is not in pinned memory", call.name());
    CUstream_st& s = stream_of(stream);
    const auto* const begin = static_cast<const char*>(to);
    if (stream != r.stream)
      for (auto i = r.last_use.lower_bound(begin); i != r.last_use.end() && i->first < begin + bytes; ++i)
        if (i->second > s.works)
          die("a copy is to overwrite what work in another stream may still use, and waits for no event after that",
              call.name());
    s.queued.push_back({to, from, bytes});
    r.works_beside_last_copy = stream == r.stream ? 0 : r.works - s.works;
    return cudaSuccess;
  }
  work_in(stream, call.name());
  use(from, call.name());
  do_queued_copies(stream);
  memory::Access access(call.name());
  access.open(on_device(from, bytes, call.name(), "the source"), false);
  if (kind == cudaMemcpyDeviceToDevice) {
    use(to, call.name());
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
  use(to, call.name());
  do_queued_copies(stream);
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
  *stream = runtime().streams.emplace_back(new CUstream_st);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Call call("cudaStreamWaitEvent");
  cudaError_t error{};
  if (refused(call, cudaErrorInvalidResourceHandle, error)) return error;
  if (!event->stream) return cudaSuccess;  // never recorded
  CUstream_st& s = stream_of(stream);
  while (event->begun > 0 && !go_on(*event->stream, event->begun)) call.pause();
  const auto comes_after = [&s](CUstream_st* other, unsigned long copies) {
    unsigned long& ahead = s.ahead[other];
    ahead = std::max(ahead, copies);
  };
  comes_after(event->stream, event->copies);
  for (const auto& [other, copies] : event->stream->ahead) comes_after(other, copies);  // and after what that waits for
  if (event->stream == &stream_of(runtime().stream)) s.works = std::max(s.works, event->works);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Call call("cudaStreamSynchronize");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  if (stream && stream->begun > 0) {
    while (!go_on(*stream, stream->begun)) call.pause();
    return cudaSuccess;
  }
  finish(stream_of(stream));
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
  CUstream_st& s = stream_of(stream);
  *event = {.timed = event->timed,
            .recorded = true,
            .stream = &s,
            .waits = s.waits,
            .copies = s.copies(),
            .works = runtime().works,
            .arrivals = all_arrivals(),
            .begun = s.begun,
            .at = std::chrono::steady_clock::now()};
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Call call("cudaEventQuery");
  cudaError_t error{};
  if (refused(call, cudaErrorLaunchFailure, error)) return error;
  if (event->begun > 0) return go_on(*event->stream, event->begun) ? cudaSuccess : result(cudaErrorNotReady);
  const bool waited = event->stream && event->stream->waits > event->waits;
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
  if (end->recorded && end->stream->waits == end->waits) return result(cudaErrorNotReady);
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
  return std::exchange(last_error, cudaSuccess);
}
