// The scripts of apps/peers: none of what they name may move away unnoticed.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Whether a condition in Python holds; not, where there is no python3.
bool python(const std::string& condition) {
  return run("python3 -c 'from importlib.util import find_spec; exit(not (" + condition + "))'").status == 0;
}

}  // namespace

TEST_CASE("bench_peers: the files that the scripts name are there") {
  const std::regex root(R"(ROOT = pathlib\.Path\(__file__\)\.resolve\(\)\.parents\[2\]\n)"), named("ROOT / '([^']+)'");
  for (const char* script : {"apps/peers/bench_peers.py", "apps/peers/peer_torch.py"}) {
    INFO(script);
    std::ifstream file(script);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    CHECK(std::regex_search(text, root));  // the folder with apps, tests and the tests' working folder
    std::sregex_iterator name(text.begin(), text.end(), named), none;
    CHECK(name != none);
    for (; name != none; ++name) {
      INFO((*name)[1]);
      CHECK(std::filesystem::exists((*name)[1].str()));
    }
  }
}

TEST_CASE("bench_peers: finds bench, and says which Python is none") {
  if (!python("True")) return;
  const Result r = run("python3 apps/peers/bench_peers.py --python true");
  CHECK(r.status == 2);
  CHECK(r.output == "bench_peers: true is no Python (--help lists the flags)\n");
}

TEST_CASE("bench_peers: PyTorch's side makes steps") {
  if (!python("find_spec(\"torch\")")) return;
  for (const char* precision : {"float32", "autocast", "medium"}) {
    const Result r = run("printf 'train\\neval\\n' | timeout 60 python3 apps/peers/peer_torch.py chapter " +
                         std::string(precision) + " 1 1 class-token");
    INFO(r.output);
    CHECK(r.status == 0);
    CHECK(std::regex_search(r.output, std::regex("PyTorch .*\n[0-9.]+\n[0-9.]+\n")));
  }
}
