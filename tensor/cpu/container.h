#pragma once
#include <cstddef>
#include <filesystem>

/// How much of the machine this process may have, where it runs in a container or a batch job: the limits of its
/// control groups (Linux's cgroups, documented at docs.kernel.org: admin-guide/cgroup-v2 and admin-guide/cgroup-v1),
/// and those of setrlimit().
///
/// /proc/self/cgroup names the groups. The limits of all groups above hold, too, so the smallest counts. A file that is
/// not there, cannot be read or does not begin with a number above 0 ("max", "-1") limits nothing. `root` is the folder
/// in which proc/ and sys/ are.
namespace bobbin::cpu {

/// Bytes of memory: the smallest memory.max (v2) or memory.limit_in_bytes (v1). SIZE_MAX: no limit.
std::size_t container_memory(const std::filesystem::path& root = "/");

/// Bytes of memory by setrlimit(), a shell's ulimit: the smaller of RLIMIT_AS and RLIMIT_DATA. SIZE_MAX: no limit.
std::size_t process_memory();

/// Processors, of which a fraction counts as a whole one: the smallest quota of time by cpu.max (v2: "QUOTA PERIOD", in
/// microseconds) or cpu.cfs_quota_us and cpu.cfs_period_us (v1). INT_MAX: no limit.
int container_cpus(const std::filesystem::path& root = "/");

}  // namespace bobbin::cpu
