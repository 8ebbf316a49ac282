// The main function of the tests that run on the GPU's kernels. Without a GPU they are skipped, and it says how many;
// where one must be there, as GPU=required in the environment says, that is a failure.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tensor/device.h"

int main(int argc, char** argv) {
  std::vector<const char*> words(argv, argv + argc);
  try {
    std::printf("%s\n", bobbin::cuda::describe().c_str());
  } catch (const bobbin::NoDevice& error) {
    if (const char* const gpu = std::getenv("GPU"); gpu && std::string(gpu) == "required") {
      std::printf("failed, for GPU=required: %s\n", error.what());
      return 1;
    }
    std::printf("skipped: %s\n", error.what());
    words.push_back("--count");  // "... test cases passing the current filters: N", and no test is run
  }
  return doctest::Context(static_cast<int>(words.size()), words.data()).run();
}
