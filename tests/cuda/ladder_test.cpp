// The rungs of tensor/cuda/ladder, of sizes around their tiles, beside the processor's kernels.
#include "tensor/cuda/ladder/ladder.h"

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::cuda::ladder;

TEST_CASE("cuda: the rungs of each ladder compute what the processor does") {
  for (const Climbed& ladder : {climb_copies(256, 1), climb_copies(5003 * 256, 4), climb_product({33, 37, 65}, 1),
                                climb_product({128, 16, 128}, 1), climb_product({256, 48, 384}, 4),
                                climb_attention({1, 1, 1, 1, 64}, 1), climb_attention({2, 3, 37, 70, 64}, 4)}) {
    INFO(ladder.table);
    CHECK(ladder.right);
  }
}

TEST_CASE("cuda: rungs without tiles at the edge") {
  CHECK(test::fails([] { product_in_registers(nullptr, nullptr, nullptr, {128, 8, 130}); }, {"128 x 8 x 130"}));
  CHECK(test::fails([] { product_on_tensor_cores(nullptr, nullptr, nullptr, {128, 8, 128}); }, {"128 x 8 x 128"}));
  CHECK(test::fails([] { attention_naive(nullptr, nullptr, nullptr, nullptr, {1, 1, 1, 1, 32}); }, {"64", "32"}));
}
