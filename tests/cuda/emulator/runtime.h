#pragma once
#include <functional>
#include <mutex>
#include <string>

#include "cublas_v2.h"

/// What the calls of the runtime and of cuBLAS have in common.
namespace emulator {

/// One call of the program. While it lives, no other thread of the program is in a call.
class Call {
 public:
  explicit Call(const char* name);

  /// Whether it has to fail: there is no device, or CUDA_EMULATOR_FAIL wants it.
  bool no_device() const { return no_device_; }
  bool must_fail() const { return must_fail_; }
  const char* name() const { return name_; }

  /// Lets other threads make calls for a moment.
  void pause();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
  const char* name_;
  bool no_device_, must_fail_;
};

/// How often the program has called this function so far.
unsigned long calls_of(const std::string& name);

/// How much work of kernels and products the last copy in another stream need not wait for.
unsigned long works_beside_last_copy();

/// How many products of such operands cuBLAS and cublasLt have added up so.
unsigned long products_of(cudaDataType operands, cublasComputeType_t sums);

/// Work is put into this stream: all but copies from the program, which may have streams of their own. Dies if there is
/// work in another one that was not waited for.
void work_in(cudaStream_t stream, const char* call);
/// It uses the memory that is there. Dies if a copy in another stream is under way to it, for which this one does not
/// wait.
void use(const void* address, const char* call);

/// Does what was put off: later work in this stream may need it.
void do_queued_copies(cudaStream_t stream);

/// Puts work into the stream that other processes take part in: `goes_on` says whether it is done, and is called until
/// it is, when the program waits for an event behind it or asks for that. Meanwhile nobody else may touch these bytes.
/// Dies if the stream does not wait for all work in the one of the program: that stream has work of this kind alone.
void do_with_others(cudaStream_t stream, const void* to, std::size_t bytes, std::function<bool()> goes_on,
                    const char* call);

}  // namespace emulator
