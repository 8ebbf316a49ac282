// Blocks that normalise after each sum, against d2l's code (make_post_norm.py).
#include "nn/encoder.h"
#include "tests/golden/golden.h"
#include "tests/golden/module.h"

using namespace bobbin;

TEST_CASE("golden: TransformerEncoderBlock, with and without valid_lens") {
  const Golden golden("post_norm");
  Rng rng(1);
  TransformerEncoderBlock block(12, 20, 3, 0, true, rng);
  load(block, golden, "block/weights/");
  for (const std::string kind : {"none", "lens"}) {
    CAPTURE(kind);
    const std::string at = "block/" + kind + "/";
    const std::vector<int> lens = kind == "none" ? std::vector<int>{} : golden.ints(at + "valid_lens");
    Var X = Var::parameter(golden.tensor("block/X"));
    const Tensor Y = backward_from([&] { return block(X, lens); }, golden.tensor("block/dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    check_gradients(block, golden, at + "grads/");
  }
}
