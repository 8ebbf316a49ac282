// Values and gradients against PyTorch's (make_golden.py, make_models.py, make_precision.py).
#include "tests/golden/golden.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "autograd/ops.h"
#include "nn/loss.h"
#include "nn/models/lenet.h"
#include "nn/models/mlp.h"
#include "nn/models/vit.h"
#include "optim/clip.h"
#include "optim/sgd.h"
#include "tests/golden/module.h"

using namespace bobbin;

namespace {

Size2 size2(const std::string& text) {
  Index height = 0, width = 0;
  std::istringstream(text) >> height >> width;
  return {height, width};
}

ViTConfig config_of(const Golden& golden) {
  return {.img_size = size2(golden.meta("img_size")),
          .patch_size = size2(golden.meta("patch_size")),
          .num_hiddens = golden.meta_int("num_hiddens"),
          .mlp_num_hiddens = golden.meta_int("mlp_num_hiddens"),
          .num_heads = golden.meta_int("num_heads"),
          .num_blks = golden.meta_int("num_blks"),
          .emb_dropout = 0,
          .blk_dropout = 0,
          .use_bias = golden.meta("use_bias") == "1",
          .num_classes = golden.meta_int("num_classes"),
          .num_channels = golden.meta_int("num_channels"),
          .pool = golden.meta("pool") == "avg" ? Pool::avg : Pool::token};
}

Tensor scalar_of(const Golden& golden, const std::string& name) {
  return Tensor::scalar(static_cast<real>(golden.doubles(name).at(0)));
}

}  // namespace

TEST_CASE("golden: ViT, logits, loss and the gradient of every parameter") {
  const struct {
    std::string name;
    bool whole_last_block;
  } cases[] = {{"vit_square", false},
               {"vit_square", true},
               {"vit_rect_bias", false},
               {"vit_rect_bias", true},
               {"vit_avg", false}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.whole_last_block);
    const Golden golden(c.name);
    Rng rng(1);
    ViTConfig config = config_of(golden);
    config.whole_last_block = c.whole_last_block;
    ViT model(config, rng);
    load(model, golden, "weights/");
    const Tensor X = golden.tensor("X");
    const Labels y = golden.ints("y");

    CHECK(relative_error(cross_entropy(model(X), y, real(0.1)).value(), scalar_of(golden, "loss_smoothed")) <=
          golden_tolerance);
    Tape tape;
    const Var logits = model(X);
    const Var loss = cross_entropy(logits, y);
    check_golden("logits", logits.value(), golden.tensor("logits"));
    check_golden("loss", loss.value(), scalar_of(golden, "loss"));
    tape.backward(loss);
    check_gradients(model, golden, "grads/");
  }
}

// PyTorch rounds results, too, and sums in another order: one number may differ by more than it is, so tensors are
// compared as a whole, and PyTorch's own distance from exact numbers is the measure of what there is to meet.
TEST_CASE("golden: in bfloat16, logits, loss and the gradient of every parameter beside PyTorch's autocast") {
  const Golden golden("precision");
  const auto distance = [](const Tensor& a, const Tensor& b) { return norm(a - b) / norm(b); };
  for (const bool whole_last_block : {false, true}) {
    CAPTURE(whole_last_block);
    Rng rng(1);
    ViTConfig config = config_of(golden);
    config.whole_last_block = whole_last_block;
    ViT model(config, rng);
    load(model, golden, "weights/");

    double ours = 0, autocasts = 0;  // the largest distances from exact numbers
    const auto compare = [&](const std::string& what, const Tensor& got) {
      CAPTURE(what);
      const Tensor exact = golden.tensor(what), theirs = golden.tensor("autocast/" + what);
      CHECK(distance(got, theirs) <= 2e-2);
      ours = std::max(ours, distance(got, exact));
      autocasts = std::max(autocasts, distance(theirs, exact));
    };
    const ProductsIn precision(Precision::bfloat16);
    Tape tape;
    const Var logits = model(golden.tensor("X"));
    const Var loss = cross_entropy(logits, golden.ints("y"));
    compare("logits", logits.value());
    compare("loss", loss.value());
    tape.backward(loss);
    std::map<std::string, Tensor> gradients;
    for (auto& [name, parameter] : named_parameters(model)) gradients[name] = parameter.take_grad();
    for (const auto& [name, gradient] : gradients)
      if (const auto at = name.find("W_k.bias"); at == std::string::npos)
        compare("grads/" + name, gradient);
      else  // 0 but for rounding
        CHECK(norm(gradient) <= 2e-2 * norm(gradients.at(std::string(name).replace(at, 3, "W_q"))));
    CHECK(ours <= autocasts);
    CHECK(ours > 2e-3);  // operands were rounded
  }
}

TEST_CASE("golden: LeNet and MLP, logits, loss and the gradient of every parameter") {
  const auto compare = [](const Golden& golden, auto model) {
    std::map<std::string, Tensor> weights;
    for (const auto& [name, parameter] : named_parameters(model)) weights[name] = golden.tensor("weights/" + name);
    state_of(model).load(weights);
    Tape tape;
    const Var logits = model(golden.tensor("X"));
    const Var loss = cross_entropy(logits, golden.ints("y"));
    check_golden("logits", logits.value(), golden.tensor("logits"));
    check_golden("loss", loss.value(), scalar_of(golden, "loss"));
    tape.backward(loss);
    check_gradients(model, golden, "grads/");
  };
  Rng rng(1);
  const Golden lenet("lenet"), mlp("mlp");
  compare(lenet, LeNet({.img_size = size2(lenet.meta("img_size")),
                        .num_classes = lenet.meta_int("num_classes"),
                        .num_channels = lenet.meta_int("num_channels")},
                       rng));
  compare(mlp, MLP({.img_size = size2(mlp.meta("img_size")),
                    .num_hiddens = mlp.meta_int("num_hiddens"),
                    .num_classes = mlp.meta_int("num_classes"),
                    .num_channels = mlp.meta_int("num_channels")},
                   rng));
}

TEST_CASE("golden: d2l's ViTBlock on (2, 100, 24), with and without biases and valid_lens") {
  for (const std::string name : {"block", "block_bias"}) {
    const Golden golden(name);
    Rng rng(1);
    ViTBlock block(24, 24, 48, 8, real(0.5), golden.meta("use_bias") == "1", rng);
    eval(block);
    load(block, golden, "weights/");
    for (const std::string kind : {"none", "1d", "2d"}) {
      CAPTURE(name);
      CAPTURE(kind);
      const auto valid_lens = kind == "none" ? std::vector<int>{} : golden.ints(kind + "/valid_lens");
      Var X = Var::parameter(golden.tensor("X"));
      const Tensor Y = backward_from([&] { return block(X, valid_lens); }, golden.tensor("dY"));
      CHECK(Y.shape() == Shape{2, 100, 24});
      check_golden("Y", Y, golden.tensor(kind + "/Y"));
      check_golden("dX", X.take_grad(), golden.tensor(kind + "/dX"));
      check_gradients(block, golden, kind + "/grads/");
    }
  }
}

TEST_CASE("golden: timm's block with LayerScale, in evaluation, where no path is dropped") {
  const Golden golden("training");
  Rng rng(1);
  ViTBlock block(12, 12, 24, 3, 0, false, rng, real(1e-6), {}, real(0.5), real(0.3));
  eval(block);
  load(block, golden, "block/weights/");
  Var X = Var::parameter(golden.tensor("block/X"));
  const Tensor Y = backward_from([&] { return block(X); }, golden.tensor("block/dY"));
  check_golden("Y", Y, golden.tensor("block/Y"));
  check_golden("dX", X.take_grad(), golden.tensor("block/dX"));
  check_gradients(block, golden, "block/grads/");
}

TEST_CASE("golden: a cross entropy with class weights is torch's, smoothed or not") {
  const Golden golden("training");
  const auto weight = golden.tensor("class_weights/weight").values();
  const Labels labels = golden.ints("class_weights/labels");
  for (const std::string run : {"plain", "smoothed"}) {
    CAPTURE(run);
    const double smoothing = run == "plain" ? 0 : 0.1;
    const std::string prefix = "class_weights/" + run + "/";
    Var logits = Var::parameter(golden.tensor("class_weights/logits"));
    Tape tape;
    const Var loss = CrossEntropy{static_cast<real>(smoothing), weight}(logits, labels);
    tape.backward(loss);
    CHECK(double{loss.value().item()} == doctest::Approx(golden.doubles(prefix + "loss")[0]).epsilon(1e-6));
    check_golden("grad", logits.take_grad(), golden.tensor(prefix + "grad"));
  }
}

TEST_CASE("golden: d2l's PatchEmbedding, (4, 36, 512) on 3 x 96 x 96") {
  const Golden golden("patch_embedding");
  // Too many numbers for a file: they come from a formula, and every stride-th result is compared.
  const auto formula = [](const Shape& shape, std::uint64_t salt, double scale) {
    std::vector<real> numbers;
    for (Index i = 0; i < shape.size(); ++i) {
      const auto bits = static_cast<std::uint32_t>(static_cast<std::uint64_t>(i) * 2654435761u + salt * 1013904223u);
      numbers.push_back(static_cast<real>(((bits >> 8) * 0x1p-24 - 0.5) * scale));
    }
    return Tensor(shape, numbers);
  };
  const auto sampled = [stride = golden.meta_int("stride")](const Tensor& t) {
    const std::vector<real> numbers = t.values();
    std::vector<real> kept;
    for (std::size_t i = 0; i < numbers.size(); i += static_cast<std::size_t>(stride)) kept.push_back(numbers[i]);
    return Tensor({static_cast<Index>(kept.size())}, kept);
  };
  Rng rng(1);
  PatchEmbedding embed(96, 16, 512, 3, rng);
  embed.conv.weight = Var::parameter(formula({512, 3, 16, 16}, 1, 0x1p-4));
  embed.conv.bias = Var::parameter(formula({512}, 2, 1));
  Var X = Var::parameter(formula({4, 3, 96, 96}, 3, 1));
  const Tensor dY = formula({4, 36, 512}, 4, 1);

  SUBCASE("as PatchEmbedding computes it") {
    const Tensor Y = backward_from([&] { return embed(X); }, dY);
    CHECK(Y.shape() == Shape{4, 36, 512});
    check_golden("Y", sampled(Y), golden.tensor("Y"));
  }
  SUBCASE("as d2l writes it") {
    const Tensor Y = backward_from([&] { return transpose(flatten(embed.conv(X), 2), 1, 2); }, dY);
    check_golden("Y", sampled(Y), golden.tensor("Y"));
  }
  check_golden("dX", sampled(X.grad()), golden.tensor("dX"));
  check_golden("dW", sampled(embed.conv.weight.grad()), golden.tensor("dW"));
  check_golden("db", embed.conv.bias.grad(), golden.tensor("db"));
}

namespace {

void check_convolutions(const Golden& golden, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string at = "conv2d/" + name + "/";
    const std::vector<int> g = golden.ints(at + "geometry");
    const Conv2dOptions options{
        .stride = {g[0], g[1]}, .padding = {g[2], g[3]}, .dilation = {g[4], g[5]}, .groups = g[6]};
    Var X = Var::parameter(golden.tensor(at + "X")), W = Var::parameter(golden.tensor(at + "W"));
    Var b = golden.has(at + "b") ? Var::parameter(golden.tensor(at + "b")) : Var();
    const Tensor Y = backward_from([&] { return conv2d(X, W, b, options); }, golden.tensor(at + "dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    check_golden("dW", W.grad(), golden.tensor(at + "dW"));
    if (b.defined()) check_golden("db", b.grad(), golden.tensor(at + "db"));
  }
}

}  // namespace

TEST_CASE("golden: Conv2d with stride, padding, dilation and groups") {
  check_convolutions(Golden("layers"),
                     {"patch", "plain", "one_by_one", "rect", "dilation", "groups", "depthwise", "depthwise_x2"});
  check_convolutions(Golden("convolutions"), {"winograd", "winograd_groups", "wide_depthwise"});
}

TEST_CASE("golden: LayerNorm") {
  const Golden golden("layers");
  for (const std::string at : {"layer_norm/usual/", "layer_norm/small/"}) {
    CAPTURE(at);
    Var X = Var::parameter(golden.tensor(at + "X")), W = Var::parameter(golden.tensor(at + "W")),
        b = Var::parameter(golden.tensor(at + "b"));
    const Tensor Y = backward_from([&] { return layer_norm(X, W, b); }, golden.tensor(at + "dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    check_golden("dW", W.grad(), golden.tensor(at + "dW"));
    check_golden("db", b.grad(), golden.tensor(at + "db"));
  }
}

TEST_CASE("golden: GELU by erf and by tanh") {
  const Golden golden("layers");
  for (const bool by_tanh : {false, true}) {
    const std::string kind = by_tanh ? "tanh" : "erf";
    CAPTURE(kind);
    Var X = Var::parameter(golden.tensor("gelu/X"));
    const Tensor Y = backward_from([&] { return by_tanh ? gelu_tanh(X) : gelu(X); }, Tensor::ones(X.shape()));
    check_golden("Y", Y, golden.tensor("gelu/" + kind + "/Y"));
    check_golden("dX", X.grad(), golden.tensor("gelu/" + kind + "/derivative"));
  }
}

TEST_CASE("golden: softmax, plain and masked") {
  const Golden golden("layers");
  for (const std::string kind : {"softmax", "masked_softmax/1d", "masked_softmax/2d"}) {
    CAPTURE(kind);
    const std::string inputs = kind == "softmax" ? "softmax" : "masked_softmax";
    Var X = Var::parameter(golden.tensor(inputs + "/X"));
    std::vector<int> lens;  // one for each row of (3, 5, 7)
    if (golden.has(kind + "/valid_lens"))
      for (const int len : golden.ints(kind + "/valid_lens"))
        lens.insert(lens.end(), kind.ends_with("1d") ? 5 : 1, len);
    const Tensor Y = backward_from([&] { return masked_softmax(X, lens); }, golden.tensor(inputs + "/dY"));
    check_golden("Y", Y, golden.tensor(kind + "/Y"));
    check_golden("dX", X.grad(), golden.tensor(kind + "/dX"));
  }
}

TEST_CASE("golden: cross entropy, plain and smoothed") {
  const Golden golden("layers");
  for (const std::string kind : {"plain", "smoothed"}) {
    CAPTURE(kind);
    Var logits = Var::parameter(golden.tensor("cross_entropy/logits"));
    Tape tape;
    const Var loss = cross_entropy(logits, golden.ints("cross_entropy/y"), kind == "plain" ? 0 : real(0.1));
    tape.backward(loss);
    check_golden("loss", loss.value(), scalar_of(golden, "cross_entropy/" + kind + "/loss"));
    check_golden("dlogits", logits.grad(), golden.tensor("cross_entropy/" + kind + "/dlogits"));
  }
}

TEST_CASE("golden: MultiHeadAttention with 3 queries and 5 keys") {
  const Golden golden("layers");
  Rng rng(1);
  MultiHeadAttention layer(15, 3, 0, true, rng);
  load(layer, golden, "attention/weights/");
  for (const std::string kind : {"none", "1d", "2d"}) {
    CAPTURE(kind);
    const std::string at = "attention/" + kind + "/";
    const auto valid_lens = kind == "none" ? std::vector<int>{} : golden.ints(at + "valid_lens");
    Var queries = Var::parameter(golden.tensor("attention/queries")),
        keys = Var::parameter(golden.tensor("attention/keys")),
        values = Var::parameter(golden.tensor("attention/values"));
    const Tensor Y =
        backward_from([&] { return layer(queries, keys, values, valid_lens); }, golden.tensor("attention/dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dqueries", queries.grad(), golden.tensor(at + "dqueries"));
    check_golden("dkeys", keys.grad(), golden.tensor(at + "dkeys"));
    check_golden("dvalues", values.grad(), golden.tensor(at + "dvalues"));
    check_gradients(layer, golden, at + "grads/");
  }
}

TEST_CASE("golden: 20 steps of SGD from the same weights on the same batches") {
  const Golden weights("vit_square"), golden("sgd");
  const Tensor images = golden.tensor("X"), labels = golden.tensor("y");
  for (const std::string run : {"plain", "momentum", "nesterov", "weight_decay", "all", "clip", "clip_some"}) {
    CAPTURE(run);
    // The settings as the file has them: "lr=0.05 momentum=0.9 nesterov=1".
    const auto setting = [text = " " + golden.meta(run)](const std::string& name) {
      const auto at = text.find(" " + name + "=");
      return at == std::string::npos ? 0.0 : std::stod(text.substr(at + name.size() + 2));
    };
    Rng rng(1);
    ViT model(config_of(weights), rng);
    load(model, weights, "weights/");
    SGD sgd(named_parameters(model), {.momentum = static_cast<real>(setting("momentum")),
                                      .weight_decay = static_cast<real>(setting("weight_decay")),
                                      .nesterov = setting("nesterov") != 0});
    const std::vector<double> losses = golden.doubles(run + "/loss");
    REQUIRE(losses.size() == 20);
    for (std::size_t step = 0; step < losses.size(); ++step) {
      CAPTURE(step);
      const std::vector<real> y = labels[static_cast<Index>(step)].values();
      Tape tape;
      const Var loss = cross_entropy(model(images[static_cast<Index>(step)]), Labels(y.begin(), y.end()));
      CHECK(std::abs(loss.value().item() / losses[step] - 1) <= (sizeof(real) == 8 ? 1e-9 : 1e-4));
      tape.backward(loss);
      if (setting("max_norm") > 0) {
        const double norm = clip_grad_norm(sgd.parameters(), setting("max_norm"));
        CHECK(std::abs(norm / golden.doubles(run + "/total_norm")[step] - 1) <= 1e-4);
      }
      sgd.step(setting("lr"));
    }
    if (run == "all")
      for (auto& [name, parameter] : named_parameters(model))
        check_golden(name, parameter.value(), golden.tensor("all/weights/" + name), 1e-4);
  }
}

TEST_CASE("golden: the parameters have the names and shapes of d2l's PyTorch class") {
  Rng rng(1);
  ViT model({}, rng);
  std::ostringstream ours;
  for (auto& [name, parameter] : named_parameters(model)) {
    ours << name;
    for (const Index n : parameter.shape()) ours << ' ' << n;
    ours << '\n';
  }
  std::ifstream file("tests/golden/vit_names.txt");
  REQUIRE(file.good());
  const std::string theirs{std::istreambuf_iterator<char>(file), {}};
  CHECK(ours.str() == theirs);
  CHECK(state_of(model).count_parameters() == 6457866);
}
