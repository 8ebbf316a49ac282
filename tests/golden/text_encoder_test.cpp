// The encoder for sentences against d2l's (make_text_encoder.py).
#include "nn/models/text_encoder.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/golden.h"
#include "tests/golden/module.h"

using namespace bobbin;

TEST_CASE("golden: TransformerEncoder, values, loss, gradients and 20 steps, with valid_lens and without") {
  const Golden golden("text_encoder");
  Rng rng(1);
  TransformerEncoder model(golden.meta_int("vocab_size"), golden.meta_int("num_hiddens"),
                           golden.meta_int("ffn_num_hiddens"), golden.meta_int("num_heads"),
                           golden.meta_int("num_blks"), 0, true, rng);
  load(model, golden, "weights/");
  const Tensor X = golden.tensor("X"), target = golden.tensor("target");

  std::vector<Tensor> places;
  for (Index i = 0; i < 1000; i += 37) places.push_back(slice(model.pos_encoding.P, 1, i, i + 1));
  check_golden("P", concat(places, 1), golden.tensor("P"));

  for (const std::string kind : {"none", "1d", "2d"}) {
    CAPTURE(kind);
    const auto lens = kind == "none" ? std::vector<int>{} : golden.ints(kind + "/valid_lens");
    Tape tape;
    const Var Y = model(X[0], lens), loss = mse_loss(Y, target);
    check_golden("Y", Y.value(), golden.tensor(kind + "/Y"));
    CHECK(std::abs(double{loss.value().item()} / golden.doubles(kind + "/loss")[0] - 1) <= golden_tolerance);
    tape.backward(loss);
    check_gradients(model, golden, kind + "/grads/");
  }

  SGD sgd(named_parameters(model));
  const std::vector<double> losses = golden.doubles("steps/loss");
  REQUIRE(losses.size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    const auto at = static_cast<Index>(i);
    const std::vector<real> lens = golden.tensor("lens")[at].values();
    const double loss = training_step(
        [&] {
          return mse_loss(model(X[at], {lens.begin(), lens.end()}), target);
        },
        sgd, 0.1);
    CHECK(std::abs(loss / losses[i] - 1) <= (sizeof(real) == 8 ? 1e-9 : 1e-4));
  }
}
