// Operations, losses and layers, by name, and their gradients against PyTorch's (make_ops.py).
#include <algorithm>
#include <functional>
#include <map>

#include "nn/layers.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Inputs = std::vector<Var>;
using Op = std::function<Var(const Inputs&)>;

const Golden& golden() {
  static const Golden file("ops");
  return file;
}

// Each part times its number, from 1 on.
Var numbered(const std::vector<Var>& parts) {
  std::vector<Var> scaled;
  for (const Var& part : parts) scaled.push_back(part * static_cast<real>(scaled.size() + 1));
  return concat(scaled, -1);
}

std::map<std::string, Op> ops() {
  const Tensor row = golden().tensor("row"), mask = golden().tensor("mask"), weight = golden().tensor("weight"),
               targets = golden().tensor("targets"), shares = golden().tensor("shares"),
               pos_weight = golden().tensor("pos_weight");
  const Labels labels = golden().ints("labels"), index = golden().ints("index");
  std::map<std::string, Op> all{
      {"pow", [](const Inputs& x) { return pow(x[0], x[1]); }},
      {"pow of a number", [](const Inputs& x) { return pow(3, x[0]); }},
      {"maximum", [](const Inputs& x) { return maximum(x[0], x[1]); }},
      {"minimum", [](const Inputs& x) { return minimum(x[0], x[1]); }},
      {"clamp", [](const Inputs& x) { return clamp(x[0], real(-0.5), real(0.5)); }},
      {"clamp low", [](const Inputs& x) { return clamp(x[0], real(-0.5)); }},
      {"clamp high", [](const Inputs& x) { return clamp(x[0], {}, real(0.5)); }},
      {"clamp crossed", [](const Inputs& x) { return clamp(x[0], real(0.5), real(-0.5)); }},
      {"abs", [](const Inputs& x) { return abs(x[0]); }},
      {"sign", [](const Inputs& x) { return sign(x[0]); }},
      {"erf", [](const Inputs& x) { return erf(x[0]); }},
      {"square", [](const Inputs& x) { return square(x[0]); }},
      {"rsqrt", [](const Inputs& x) { return rsqrt(x[0]); }},
      {"where", [=](const Inputs& x) { return where(mask, x[0], x[1]); }},
      {"where row", [=](const Inputs& x) { return where(row > 0, x[0], x[1]); }},
      {"masked_fill", [=](const Inputs& x) { return masked_fill(x[0], mask, -3); }},
      {"stack",
       [](const Inputs& x) {
         return stack({x[0], x[1], x[0]}, 1);
       }},
      {"split", [](const Inputs& x) { return numbered(split(x[0], 2, -1)); }},
      {"chunk", [](const Inputs& x) { return numbered(chunk(x[0], 3, -1)); }},
      {"index_select", [=](const Inputs& x) { return index_select(x[0], -1, index); }},
      {"embedding", [=](const Inputs& x) { return embedding(x[0], index, 3); }},
      {"rms_norm", [](const Inputs& x) { return rms_norm(x[0], x[1], real(1e-3)); }},
      {"causal", [](const Inputs& x) { return attention(x[0], x[1], x[2], 3, causal_lens(2, 4)); }},
  };
  for (const auto& [name, p] : std::map<std::string, double>{{"0", 0},
                                                             {"1", 1},
                                                             {"2", 2},
                                                             {"3", 3},
                                                             {"0.5", 0.5},
                                                             {"-0.5", -0.5},
                                                             {"-1", -1},
                                                             {"-2", -2},
                                                             {"2.7", 2.7},
                                                             {"1.5", 1.5}})
    all["pow " + name] = [p = static_cast<real>(p)](const Inputs& x) { return pow(x[0], p); };
  for (const auto& [name, reduction] : std::map<std::string, Reduction>{
           {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}}) {
    const Reduction r = reduction;
    all["mse_loss " + name] = [=](const Inputs& x) { return mse_loss(x[0], x[1], r); };
    all["l1_loss " + name] = [=](const Inputs& x) { return l1_loss(x[0], x[1], r); };
    all["huber_loss " + name] = [=](const Inputs& x) { return huber_loss(x[0], x[1], real(0.6), r); };
    all["smooth_l1_loss " + name] = [=](const Inputs& x) { return smooth_l1_loss(x[0], x[1], real(0.6), r); };
    all["bce " + name] = [=](const Inputs& x) {
      return binary_cross_entropy_with_logits(x[0], shares, {.reduction = r});
    };
    all["bce weighted " + name] = [=](const Inputs& x) {
      return binary_cross_entropy_with_logits(x[0], shares, {weight, pos_weight, r});
    };
    for (const bool weighted : {false, true})
      for (const bool ignoring : {false, true})
        for (const bool smoothed : {false, true}) {
          const std::string options = std::string(weighted ? "weighted " : "") + (ignoring ? "ignoring " : "") +
                                      (smoothed ? "smoothed " : "") + name;
          const CrossEntropyOptions o{weighted ? weight : Tensor(), ignoring ? 2 : -100, smoothed ? real(0.2) : 0, r};
          all["cross_entropy " + options] = [=](const Inputs& x) { return cross_entropy(x[0], labels, o); };
          if (!smoothed) all["nll_loss " + options] = [=](const Inputs& x) { return nll_loss(x[0], labels, o); };
          if (!ignoring)
            all["cross_entropy soft " + options] = [=](const Inputs& x) { return cross_entropy(x[0], targets, o); };
        }
  }
  return all;
}

}  // namespace

TEST_CASE("golden: operations and losses by name, with all their options") {
  for (const auto& entry : ops()) {
    const std::string& name = entry.first;
    const Op& op = entry.second;
    CAPTURE(name);
    Inputs inputs;
    for (int i = 0; golden().has(name + "/" + std::to_string(i)); ++i)
      inputs.push_back(Var::parameter(golden().tensor(name + "/" + std::to_string(i))));
    REQUIRE(!inputs.empty());
    const Tensor want = golden().tensor(name + "/Y");
    std::vector<real> weights;
    for (Index i = 0; i < want.size(); ++i) weights.push_back(static_cast<real>(1 + i % 2));
    const Tensor Y = backward_from([&] { return op(inputs); }, Tensor(want.shape(), weights));
    check_golden("Y", Y, want);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      check_golden("gradient " + std::to_string(i), inputs[i].grad(), golden().tensor(name + "/d" + std::to_string(i)));
  }
}
