#include "tensor/cuda/device.h"

#include <map>
#include <mutex>
#include <vector>

#include "tensor/comm.h"
#include "tensor/text.h"

namespace bobbin::cuda {
namespace {

// The GPU that everything runs on: the first that CUDA shows, or of several ranks on a machine the next for each.
// CUDA_VISIBLE_DEVICES makes it another.
struct Device {
  int number = 0;
  cudaStream_t stream{}, copies{};
  cublasHandle_t blas{};
  cudaDeviceProp properties{};

  Device() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
      throw NoDevice(std::string("[cuda] there is no GPU to compute on: ") +
                     (status != cudaSuccess ? cudaGetErrorString(status) : "CUDA finds none") +
                     "; a build without CUDA=1 computes on the processor");
    number = comm::local_rank() % count;
    check_cuda(cudaSetDevice(number), "cudaSetDevice");
    check_cuda(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
    if (properties.major < 8)  // the kernels are compiled for none that is older
      throw NoDevice(
          format("[cuda] the GPU, %s, has compute capability %d.%d, and 8.0 is the least that the kernels are "
                 "built for; a build without CUDA=1 computes on the processor",
                 properties.name, properties.major, properties.minor));
    // Not the stream that CUDA takes by itself: that one waits for all others.
    for (cudaStream_t* const s : {&stream, &copies})
      check_cuda(cudaStreamCreateWithFlags(s, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    check_cublas(cublasCreate(&blas), "cublasCreate");
    check_cublas(cublasSetStream(blas, stream), "cublasSetStream");
    // Of a result that is rounded, no part of a sum may be.
    check_cublas(cublasSetMathMode(blas, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode");
  }
};

// Never destroyed: a tensor in a static variable may outlive everything else.
Device& device() {
  static Device* const instance = new Device;
  return *instance;
}

}  // namespace

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // a later launch must not report this one
  fail("cuda", call, " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

void check_cublas(cublasStatus_t status, const char* call) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuda", call, " failed: ", cublasGetStatusString(status));
}

cudaStream_t stream() {
  launch_updates();
  return device().stream;
}
cublasHandle_t blas() {
  launch_updates();
  return device().blas;
}
cudaStream_t copy_stream() { return device().copies; }

void use_device() { check_cuda(cudaSetDevice(device().number), "cudaSetDevice"); }
cudaUUID_t uuid() { return device().properties.uuid; }

void wait() { check_cuda(cudaStreamSynchronize(stream()), "cudaStreamSynchronize"); }

Event new_event(unsigned flags) {
  struct Idle {
    std::mutex mutex;  // memory may be let go of in any thread, and the thread of MPI lets go of sums
    std::map<unsigned, std::vector<cudaEvent_t>> by_flags;
  };
  static Idle& idle = *new Idle;
  const std::lock_guard lock(idle.mutex);
  std::vector<cudaEvent_t>& events = idle.by_flags[flags];
  cudaEvent_t event{};
  if (events.empty()) {
    check_cuda(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
  } else {
    event = events.back();
    events.pop_back();
  }
  return {event, [flags](cudaEvent_t past) {
            const std::lock_guard lock(idle.mutex);
            idle.by_flags[flags].push_back(past);
          }};
}

Event record(cudaStream_t stream, unsigned flags) {
  Event event = new_event(flags);
  check_cuda(cudaEventRecord(event.get(), stream), "cudaEventRecord");
  return event;
}

std::shared_ptr<void> moment() { return record(stream(), cudaEventDefault); }

void wait_for(const std::shared_ptr<void>& moment) {
  check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(moment.get())), "cudaEventSynchronize");
}

double seconds_between(const std::shared_ptr<void>& begin, const std::shared_ptr<void>& end) {
  wait_for(end);
  float milliseconds = 0;
  check_cuda(
      cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(begin.get()), static_cast<cudaEvent_t>(end.get())),
      "cudaEventElapsedTime");
  return milliseconds / 1e3;
}

std::string describe() {
  const cudaDeviceProp& p = device().properties;
  int version = 0;
  check_cublas(cublasGetVersion(blas(), &version), "cublasGetVersion");
  const Precision precision = ProductsIn::current();
  return format("cuBLAS %d.%d.%d on %s (compute capability %d.%d)%s", version / 10000, version / 100 % 100,
                version % 100, p.name, p.major, p.minor,
                precision == Precision::tf32       ? ", TF32"
                : precision == Precision::bfloat16 ? ", bfloat16"
                                                   : "");
}

bool has(Precision) { return true; }  // TF32 and bfloat16 came with sm_80, the oldest that we build for

}  // namespace bobbin::cuda
