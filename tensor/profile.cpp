#include "tensor/profile.h"

#include <algorithm>
#include <chrono>
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

// Calls whose time is not asked for yet, since that waits for a GPU: each has its row.
struct Span {
  std::size_t row;
  std::shared_ptr<void> begin, end;
};
std::vector<Span> spans;

void ask_for_times() {
  for (const Span& s : spans) noted[s.row].seconds += backend::seconds_between(s.begin, s.end);
  spans.clear();
}

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void start() {
  const std::lock_guard lock(mutex);
  noted.clear();
  spans.clear();
  backend::wait();
  started = Clock::now();
  on = true;
}

void stop() {
  const std::lock_guard lock(mutex);
  on = false;
  backend::wait();
  stopped = Clock::now();
}

void Timed::begin() {
  if (meanwhile_)
    began_ = Clock::now();
  else
    begin_ = backend::moment();
}

void Timed::note() const try {
  std::shared_ptr<void> end = meanwhile_ ? nullptr : backend::moment();
  const std::lock_guard lock(mutex);
  auto row = std::find_if(noted.begin(), noted.end(), [&](const Row& r) { return r.name == name_; });
  if (row == noted.end()) row = noted.insert(row, Row{.name = name_, .meanwhile = meanwhile_});
  ++row->calls;
  row->flops += flops_;
  row->bytes += elements_ * sizeof(real);
  if (meanwhile_) return (void)(row->seconds += seconds(Clock::now() - began_));  // of another thread than the GPU's
  spans.push_back({static_cast<std::size_t>(row - noted.begin()), begin_, std::move(end)});
  constexpr std::size_t most = 1024;  // so much may wait: a profile can last for hours
  if (spans.size() == most) ask_for_times();
} catch (const Error&) {  // whoever reads the result of a GPU's work will meet it again, where it can be thrown
}

std::vector<Row> rows() {
  const std::lock_guard lock(mutex);
  ask_for_times();
  std::vector<Row> sorted = noted;
  std::sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return sorted;
}

std::string table() {
  std::vector<Row> lines = rows();
  const std::lock_guard lock(mutex);
  const double all = seconds((on ? Clock::now() : stopped) - started);
  double between = all;
  for (const Row& row : lines)
    if (!row.meanwhile) between -= row.seconds;
  lines.push_back({.name = "between", .seconds = between});

  std::string text = "function                   calls  seconds  share  GFLOP/s    GB/s\n";
  for (const Row& row : lines) {
    char line[128];
    const std::string name = row.name + (row.meanwhile ? " (meanwhile)" : "");
    std::snprintf(line, sizeof line, "%-24s %7lld %8.3f %5.1f%%", name.c_str(), static_cast<long long>(row.calls),
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
