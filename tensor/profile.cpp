#include "tensor/profile.h"

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "tensor/backend.h"
#include "tensor/check.h"

namespace bobbin::profile {
namespace {

using Clock = std::chrono::steady_clock;

std::mutex mutex;
std::vector<Row> noted;
Clock::time_point started, stopped;

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void start() {
  const std::lock_guard lock(mutex);
  noted.clear();
  started = Clock::now();
  on = true;
}

void stop() {
  const std::lock_guard lock(mutex);
  stopped = Clock::now();
  on = false;
}

void Timed::note() const {
  try {
    backend::wait();        // what a GPU was asked for
  } catch (const Error&) {  // whoever reads the result will meet it again, where it can be thrown
  }
  const double spent = seconds(Clock::now() - begin_);
  const std::lock_guard lock(mutex);
  auto row = std::find_if(noted.begin(), noted.end(), [&](const Row& r) { return r.name == name_; });
  if (row == noted.end()) row = noted.insert(row, Row{.name = name_});
  ++row->calls;
  row->seconds += spent;
  row->flops += flops_;
  row->bytes += elements_ * sizeof(real);
}

std::vector<Row> rows() {
  const std::lock_guard lock(mutex);
  std::vector<Row> sorted = noted;
  std::sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return sorted;
}

std::string table() {
  std::vector<Row> lines = rows();
  const std::lock_guard lock(mutex);
  const double all = seconds((on ? Clock::now() : stopped) - started);
  double between = all;
  for (const Row& row : lines) between -= row.seconds;
  lines.push_back({.name = "between", .seconds = between});

  std::string text = "function                   calls  seconds  share  GFLOP/s    GB/s\n";
  for (const Row& row : lines) {
    char line[128];
    std::snprintf(line, sizeof line, "%-24s %7lld %8.3f %5.1f%%", row.name.c_str(), static_cast<long long>(row.calls),
                  row.seconds, 100 * row.seconds / all);
    text += line;
    const auto rate = [&](double work, int width) {
      if (work == 0) return;
      std::snprintf(line, sizeof line, "%*.1f", width, work / 1e9 / row.seconds);
      text += line;
    };
    rate(row.flops, 9);
    rate(row.bytes, row.flops > 0 ? 8 : 17);
    text += '\n';
  }
  return text;
}

}  // namespace bobbin::profile
