#include "tensor/cpu/container.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <climits>
#include <cstdint>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// A root folder with these files.
struct Root {
  TempFolder folder;

  explicit Root(const std::string& cgroup) { put("proc/self/cgroup", cgroup); }
  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((folder / file).parent_path());
    std::ofstream(folder / file) << text;
  }
  std::size_t memory() const { return cpu::container_memory(folder.path()); }
  int cpus() const { return cpu::container_cpus(folder.path()); }
};

}  // namespace

TEST_CASE("container: version 2, the smallest limit of all groups above") {
  const Root root("0::/a.slice/b c:d.scope/e\n");
  CHECK(root.memory() == SIZE_MAX);
  CHECK(root.cpus() == INT_MAX);
  root.put("sys/fs/cgroup/a.slice/b c:d.scope/e/memory.max", "max\n");
  root.put("sys/fs/cgroup/a.slice/b c:d.scope/memory.max", "500\n");
  root.put("sys/fs/cgroup/a.slice/memory.max", "600\n");
  root.put("sys/fs/cgroup/other/memory.max", "3\n");
  CHECK(root.memory() == 500);
  root.put("sys/fs/cgroup/memory.max", "400\n");  // the top: the container's own
  CHECK(root.memory() == 400);

  root.put("sys/fs/cgroup/a.slice/b c:d.scope/e/cpu.max", "max 100000\n");
  CHECK(root.cpus() == INT_MAX);
  root.put("sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n");
  CHECK(root.cpus() == 2);
  root.put("sys/fs/cgroup/a.slice/cpu.max", "200001 100000\n");
  CHECK(root.cpus() == 3);
  root.put("sys/fs/cgroup/a.slice/b c:d.scope/cpu.max", "1000 100000\n");
  CHECK(root.cpus() == 1);
}

TEST_CASE("container: version 1, and both at once") {
  const Root root("12:cpu,cpuacct:/docker/0123\n7:memory:/docker/0123\n3:cpuset:/x\n1:name=systemd:/y\n0::/z\n");
  root.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(root.memory() == 9223372036854771712u);
  root.put("sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "7000\n");
  CHECK(root.memory() == 7000);
  root.put("sys/fs/cgroup/unified/z/memory.max", "6000\n");
  CHECK(root.memory() == 6000);
  root.put("sys/fs/cgroup/cpuset/x/cpu.max", "1 100000");  // not of this controller
  root.put("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "-1\n");
  root.put("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
  CHECK(root.cpus() == INT_MAX);
  root.put("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "350000\n");
  CHECK(root.cpus() == 4);
  root.put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");  // as most systems link it
  CHECK(root.cpus() == 4);                                     // no period there
  root.put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(root.cpus() == 2);
}

TEST_CASE("container: the host's path, which the container does not have") {
  for (const char* path : {"/docker/0123", "/../..", "/../../x", "/", ""}) {
    const std::string name = path;
    CAPTURE(name);
    const Root root("0::" + name + "\n");
    root.put("sys/fs/cgroup/memory.max", "800\n");
    root.put("sys/memory.max", "1\n");
    root.put("memory.max", "1\n");
    CHECK(root.memory() == 800);
  }
}

TEST_CASE("container: what is no number above 0 limits nothing") {
  const Root root("0::/a");
  for (const char* text : {"", "\n", "max", "-1", "0", "text", "12a", "0x10", "1e9", "1.5", "18446744073709551616",
                           "99999999999999999999999999", "+5", ",", "max 5"}) {
    const std::string content = text;
    CAPTURE(content);
    root.put("sys/fs/cgroup/a/memory.max", content);
    CHECK(root.memory() == SIZE_MAX);
    root.put("sys/fs/cgroup/a/cpu.max", content);
    CHECK(root.cpus() == INT_MAX);
    root.put("sys/fs/cgroup/a/cpu.max", content + " 100000");
    CHECK(root.cpus() == INT_MAX);
    root.put("sys/fs/cgroup/a/cpu.max", "100000 " + (content == "max 5" ? "max" : content));
    CHECK(root.cpus() == INT_MAX);
  }
  root.put("sys/fs/cgroup/a/memory.max", "18446744073709551615");
  CHECK(root.memory() == SIZE_MAX);
  root.put("sys/fs/cgroup/a/memory.max", "  4096  \n");
  CHECK(root.memory() == 4096);
  root.put("sys/fs/cgroup/a/cpu.max", "18446744073709551615 1");
  CHECK(root.cpus() == INT_MAX);
  fs::remove(root.folder / "sys/fs/cgroup/a/memory.max");
  fs::create_directories(root.folder / "sys/fs/cgroup/a/memory.max");  // a folder of that name
  CHECK(root.memory() == SIZE_MAX);
}

TEST_CASE("container: odd lists of groups") {
  for (const char* text : {"", "\n", "0", "0:", ":", "0:memory", "5:memorylike,xmemory:/a\n", "\x01\xff::", "0::a/a"}) {
    const std::string content = text;
    CAPTURE(content);
    const Root root(content);
    root.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5");
    CHECK(root.memory() == SIZE_MAX);
  }
  CHECK(cpu::container_memory("/nowhere/at/all") == SIZE_MAX);
  std::string deep, path;
  for (int i = 0; i < 500; ++i) deep += "/d";
  const Root root("0::" + deep + "\n");
  root.put("sys/fs/cgroup" + deep + "/memory.max", "900");
  CHECK(root.memory() == 900);
}

TEST_CASE("container: setrlimit counts") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_DATA, &before) == 0);
  rlimit less = before;
  less.rlim_cur = rlim_t{1} << 40;
  if (less.rlim_cur > before.rlim_max) return;
  REQUIRE(setrlimit(RLIMIT_DATA, &less) == 0);
  CHECK(cpu::process_memory() <= std::size_t{1} << 40);
  setrlimit(RLIMIT_DATA, &before);
}
