#include "tensor/cpu/container.h"

#include <sys/resource.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace bobbin::cpu {
namespace {

namespace fs = std::filesystem;

// Number i of those that a file begins with, if it is above 0.
std::optional<std::uint64_t> number(const fs::path& file, int i = 0) {
  std::ifstream stream(file);
  std::string word;
  for (int k = 0; k <= i; ++k)
    if (!(stream >> word)) return {};
  std::uint64_t value = 0;
  for (const char digit : word)
    if (digit < '0' || digit > '9' || __builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, static_cast<std::uint64_t>(digit - '0'), &value))
      return {};
  return value > 0 ? std::optional(value) : std::nullopt;
}

// Whether a list such as "cpu,cpuacct" has the word.
bool lists(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

// The folders of the groups that limit what `controller` controls, "memory" or "cpu": those of this process and all
// above. /proc/self/cgroup has lines "5:cpu,cpuacct:/a/b" for v1 and one "0::/a/b" for v2. In a container the path may
// be the host's, where the container sees its own group as the top one; so folders may be missing, and the top counts.
std::vector<fs::path> groups(const fs::path& root, const std::string& controller) {
  std::vector<fs::path> all;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream stream(root / "proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    const std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::vector<fs::path> tops;
    if (controllers.empty())
      tops = {mounts, mounts / "unified"};
    else if (lists(controllers, controller))
      tops = {mounts / controller, mounts / controllers};
    for (fs::path group : tops) {
      all.push_back(group);
      for (const fs::path& name : fs::path(line.substr(second + 1)).relative_path())
        if (name != "..") all.push_back(group /= name);
    }
  }
  return all;
}

}  // namespace

std::size_t container_memory(const fs::path& root) {
  std::uint64_t least = SIZE_MAX;
  for (const fs::path& group : groups(root, "memory"))
    for (const char* file : {"memory.max", "memory.limit_in_bytes"})
      least = std::min(least, number(group / file).value_or(SIZE_MAX));
  return least;
}

std::size_t process_memory() {
  std::uint64_t least = SIZE_MAX;
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
      least = std::min<std::uint64_t>(least, limit.rlim_cur);
  }
  return least;
}

int container_cpus(const fs::path& root) {
  std::uint64_t least = INT_MAX;
  for (const fs::path& group : groups(root, "cpu")) {
    const auto take = [&](std::optional<std::uint64_t> quota, std::optional<std::uint64_t> period) {
      if (quota && period) least = std::min(least, (*quota - 1) / *period + 1);
    };
    take(number(group / "cpu.max", 0), number(group / "cpu.max", 1));
    take(number(group / "cpu.cfs_quota_us"), number(group / "cpu.cfs_period_us"));
  }
  return static_cast<int>(least);
}

}  // namespace bobbin::cpu
