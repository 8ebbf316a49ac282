// build/cuda/ladder: climbs all ladders with sizes that keep a GPU busy, those of a training step among them.
#include <cstdio>

#include "tensor/check.h"
#include "tensor/cuda/ladder/ladder.h"
#include "tensor/device.h"
#include "tensor/run_main.h"

using namespace bobbin;
using namespace bobbin::cuda::ladder;

int main(int, char** argv) {
  return run_main(argv, [] {
    constexpr int repetitions = 50;
    bool right = true;
    const auto show = [&](const Climbed& ladder) {
      std::printf("\n%s", ladder.table.c_str());
      right = right && ladder.right;
    };
    std::printf("%s\n", cuda::describe().c_str());
    show(climb_copies(128 << 20, repetitions));
    show(climb_product({2048, 2048, 2048}, repetitions));
    show(climb_product({128 * 37, 512, 2048}, repetitions));     // the first of an MLP in d2l's model
    show(climb_attention({128, 8, 37, 37, 64}, repetitions));    // d2l's model
    show(climb_attention({64, 12, 197, 197, 64}, repetitions));  // ViT-B/16
    check(right, "ladder", "a rung is wrong by more than rounding explains");
  });
}
