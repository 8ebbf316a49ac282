#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tensor/real.h"

/// A profiler. While a profile is on, every function of tensor/functions.h that runs a loop notes how long it
/// took, and the least that it had to do: its floating-point operations, and the bytes of its operands and results.
/// Off, as it is at first, it costs a few nanoseconds a call. A GPU is waited for at every 1024th function
/// only: they are timed where the GPU computes them, with the time in which it had nothing else to do.
///
///     profile::start();
///     ...                                        // some steps of training
///     std::fputs(profile::table().c_str(), stderr);
namespace bobbin::profile {

/// Whether a profile is being taken.
inline std::atomic<bool> on{false};

/// All calls of one function.
struct Row {
  std::string name;
  Index calls = 0;
  double seconds = 0, flops = 0, bytes = 0;
  bool meanwhile = false;  ///< other functions ran at the same time
};

/// Begins a new profile, and forgets the one before.
void start();
void stop();

/// The rows since start(), the slowest function first.
std::vector<Row> rows();
/// The same as a text: calls, time, share of the time since start(), GFLOP/s and GB/s. The last row, "between", is
/// the time outside these functions; with calls on several threads at once it can be negative. What runs beside them,
/// such as the network, is marked, and not in that sum.
std::string table();

/// Notes the time from here to the end of the scope. Scopes must not lie in one another. Safe in several threads.
class Timed {
 public:
  /// `name` must live on. Each of `elements` is a number that is read or written. `meanwhile` says that other functions
  /// run at the same time.
  Timed(const char* name, double elements, double flops = 0, bool meanwhile = false) {
    if (!on) return;
    name_ = name;
    meanwhile_ = meanwhile;
    elements_ = elements;
    flops_ = flops;
    begin();
  }
  ~Timed() {
    if (name_) note();
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  void begin();
  void note() const;

  const char* name_ = nullptr;
  double elements_ = 0, flops_ = 0;
  bool meanwhile_ = false;
  std::shared_ptr<void> begin_;
  std::chrono::steady_clock::time_point began_{};
};

}  // namespace bobbin::profile
