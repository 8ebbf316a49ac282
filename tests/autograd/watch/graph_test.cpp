// The picture of the tape, read back: which boxes, in which frames, joined by which arrows, and the memory they name.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "autograd/ops.h"
#include "autograd/watch/graph.h"
#include "nn/models/vit.h"
#include "tensor/storage.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

struct Picture {
  std::map<std::string, std::string> labels, frames;  // of the nodes
  std::multiset<std::string> arrows;                  // by the first lines of the labels: "weight -> linear"
  std::set<std::string> boxes;                        // the first line of each label, after its frame: "blks.0 | add"
  std::string caption;
};

// The text up to a quote, of which all after the first line break goes.
std::string first_line(const std::string& label) { return label.substr(0, label.find("\\n")); }

// Of a text as to_dot() writes it: a statement a line.
Picture read(const std::string& dot) {
  Picture picture;
  std::vector<std::string> open{""};
  std::istringstream lines(dot);
  for (std::string line; std::getline(lines, line);) {
    const auto quoted = [&](std::size_t from) {
      const std::size_t begin = line.find('"', from) + 1;
      return line.substr(begin, line.find('"', begin) - begin);
    };
    if (line.starts_with("subgraph")) open.push_back(quoted(0).substr(std::string("cluster_").size()));
    if (line == "}" && open.size() > 1) open.pop_back();
    if (line.starts_with("label") && open.size() == 1) picture.caption = quoted(0);
    const std::string name = line.substr(0, line.find(' '));
    if (!name.starts_with("n") || name == "node") continue;
    if (const std::size_t arrow = line.find("-> "); arrow != std::string::npos) {
      const std::string to = line.substr(arrow + 3, line.find_first_of(" ;", arrow + 3) - arrow - 3);
      picture.arrows.insert(first_line(picture.labels.at(name)) + " -> " + first_line(picture.labels.at(to)));
    } else {
      picture.labels[name] = quoted(0);
      picture.frames[name] = open.back();
      picture.boxes.insert(open.back() + " | " + first_line(quoted(0)));
    }
  }
  CHECK(open.size() == 1);
  return picture;
}

using Names = std::multiset<std::string>;

}  // namespace

TEST_CASE("graph: ops, parameters and what goes from where to where") {
  Var w = Var::parameter(Tensor::ones({3, 2})), b = Var::parameter(Tensor::ones({3})),
      other = Var::parameter(Tensor::ones({4, 3}));
  Tape tape;
  const Var y = linear(Tensor::ones({4, 2}), w, b);
  const Var loss = sum(y * y + other);
  const Picture picture = read(to_dot(std::move(tape), {{"body.weight", w}, {"body.bias", b}}));
  CHECK(picture.arrows == Names{"body.weight -> body: linear", "body.bias -> body: linear", "body: linear -> mul",
                                "body: linear -> mul", "mul -> add", "parameter -> add", "add -> sum"});
  Names labels;
  for (const auto& [node, label] : picture.labels) labels.insert(label);
  CHECK(labels.count("body.weight\\n(3, 2): 6") == 1);
  CHECK(labels.count("body.bias\\n(3)") == 1);
  CHECK(labels.count("parameter\\n(4, 3): 12") == 1);
  CHECK(labels.count("add\\n(4, 3)") == 1);  // keeps nothing
  CHECK(contains(picture.caption, "4 ops"));
  CHECK(contains(picture.caption, " 21 numbers"));
}

TEST_CASE("graph: what all ops keep is what the tape had, and each is counted once") {
  Var x = Var::parameter(Tensor::ones({128, 16}));
  const std::size_t before = memory::stats().in_use;
  std::size_t kept = 0;
  Picture picture;
  {
    Tape tape;
    {
      Var y = exp(x + real(1));  // kept by itself ...
      y = y * y;                 // ... and by this, twice; but the exp lets go of it last
      sum(y);
    }
    kept = memory::stats().in_use - before;
    picture = read(to_dot(std::move(tape), {}));
  }
  CHECK(memory::stats().in_use == before);
  CHECK(kept == 2048 * sizeof(real));
  const std::string size = sizeof(real) == 4 ? "8.19 KB" : "16.4 KB";
  Names labels;
  for (const auto& [node, label] : picture.labels) labels.insert(label);
  CHECK(labels.count("exp\\n(128, 16)\\nkeeps " + size) == 1);
  CHECK(labels.count("mul\\n(128, 16)") == 1);
  CHECK(contains(picture.caption, "keep " + size + " for"));
}

TEST_CASE("graph: every op of the Vision Transformer is in the frame of its module") {
  ViTConfig config{.img_size = 8, .patch_size = 4, .num_hiddens = 8, .mlp_num_hiddens = 12, .num_heads = 2};
  Rng rng(0);
  ViT model(config, rng);
  Tape tape;
  const Var loss = cross_entropy(model(rng.uniform({2, 1, 8, 8})), {0, 1});
  const std::size_t ops = tape.ops().size();
  const Picture picture = read(to_dot(std::move(tape), named_parameters(model)));
  CHECK(picture.labels.size() == ops + named_parameters(model).size());
  for (const char* box : {" | cls_token",
                          " | broadcast_to",
                          " | concat",
                          " | pos_embedding",
                          " | add",
                          " | dropout",
                          " | cross_entropy",
                          "patch_embedding | conv: linear",
                          "patch_embedding | conv.weight",
                          "head | 0: layer_norm",
                          "head | 1: linear",
                          "head | 1.weight",
                          "blks.0 | ln1: layer_norm",
                          "blks.0 | add",
                          "blks.0.attention | W_q: linear",
                          "blks.0.attention | attention",
                          "blks.0.attention | W_o.weight",
                          "blks.0.mlp | dense1: linear",
                          "blks.0.mlp | gelu",
                          "blks.0.mlp | dropout",
                          "blks.1 | slice",
                          "blks.1 | add",
                          "blks.1.attention | attention",
                          "blks.1.mlp | gelu",
                          "blks.1.mlp | dropout"})
    CHECK_MESSAGE(picture.boxes.contains(box), box);
  std::map<std::string, int> count;
  for (const auto& [node, frame] : picture.frames) ++count[frame];
  CHECK(count["blks"] == 0);    // a list is no module
  CHECK(count["blks.0"] == 8);  // two layer norms with two parameters each, two sums
  CHECK(count[""] == 2 + 5);    // two parameters, and ops
  CHECK(count["blks.0.mlp"] == 4 + 4);
}

TEST_CASE("graph: names with quotes, and an empty tape") {
  Var x = Var::parameter(Tensor::ones({2}));
  {
    Tape tape;
    const Var y = sum(x);
    CHECK(contains(to_dot(std::move(tape), {{R"(a"b\c)", x}}), R"-(label="a\"b\\c\n(2)")-"));
  }
  Tape tape;
  CHECK(contains(to_dot(std::move(tape), {}), "0 ops"));
}

TEST_CASE("graph: a tape is drawn before backward, and once") {
  Var x = Var::parameter(Tensor::ones({2}));
  Tape tape;
  const Var loss = sum(x);
  to_dot(std::move(tape), {});
  CHECK(fails([&] { to_dot(std::move(tape), {}); }, {"to_dot", "spent"}));
  CHECK(fails([&] { tape.backward(loss); }, {"spent"}));
  CHECK(!x.grad().defined());
}
