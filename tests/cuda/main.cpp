// The main function of the tests that run on the GPU's kernels. Without a GPU they are skipped, and it says how many.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <vector>

#include "tensor/check.h"
#include "tensor/device.h"

int main(int argc, char** argv) {
  std::vector<const char*> words(argv, argv + argc);
  try {
    std::printf("%s\n", bobbin::cuda::describe().c_str());
  } catch (const bobbin::NoDevice& error) {
    std::printf("skipped: %s\n", error.what());
    words.push_back("--count");  // "... test cases passing the current filters: N", and no test is run
  }
  return doctest::Context(static_cast<int>(words.size()), words.data()).run();
}
