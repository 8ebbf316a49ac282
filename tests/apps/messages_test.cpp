// A message of the compiler is a message, too: what people write by mistake is one error with one sentence. All of it
// is compiled at once, so each mistake must be one error and no more.
#include <regex>

#include "tests/apps/program.h"

using namespace bobbin::test;

namespace {

// A line each, and a part of what the compiler says.
const struct {
  const char *code, *sentence;
} mistakes[] = {
    {"struct Nameless { Linear l; Var operator()(const Var& x) { return l(x); } void visit(auto&& v) { v(l); } };\n"
     "void nameless(Nameless& m) { named_parameters(m); }",
     "visit() gives each member with its name, one at a time: v("},
    {"struct Swapped { Linear l; void visit(auto&& v) { v(l, \"l\"); } };\n"
     "void swapped(Swapped& m) { state_of(m); }",
     "visit() gives each member with its name"},
    {"struct Number { real p; void visit(auto&& v) { v(\"p\", p); } };\n"
     "void number(Number& m) { named_parameters(m); }",
     "a number is no state: visit() names Var, Tensor"},
    {"struct NoVisit { Linear l; };\n"
     "void no_visit(NoVisit& m) { eval(m); }",
     "this is neither state nor a layer: visit() names Var, Tensor"},
    {"struct InMap { std::map<int, Linear> all; void visit(auto&& v) { v(\"all\", all); } };\n"
     "void in_map(InMap& m) { named_parameters(m); }",
     "this is neither state nor a layer"},
    {"void const_model(const Linear& m) { train(m); }", "a const module can neither learn nor be loaded or switched"},
    {"void const_parameters(const Sequential<Linear, ReLU>& m) { named_parameters(m); }",
     "a const module can neither learn nor be loaded or switched"},
    {"struct ConstVisit { Linear l; void visit(auto&& v) const { v(\"l\", l); } };\n"
     "void const_visit(ConstVisit& m) { named_parameters(m); }",
     "and so do its visit() and its members"},
    {"void const_in_trainer(const MLP& m, SGD& sgd, Rng& rng) { Trainer(m, sgd, rng, {}); }",
     "a const module can neither learn nor be loaded or switched"},
    {"void layer(Rng& rng) { Sequential s{Linear(2, 2, rng), [](int x) { return x; }}; }",
     "Sequential: each layer is called with one Var and returns one"},
    {"void layer_of_two(Rng& rng) { Sequential s{Linear(2, 2, rng), [](Var x, Var y) { return x + y; }}; }",
     "Sequential: each layer is called with one Var and returns one"},
    {"struct Gan { Linear g, d; void visit(auto&& v) { v(\"g\", g), v(\"d\", d); } };\n"
     "void gan(Gan& m, SGD& sgd, Rng& rng) { Trainer(m, sgd, CrossEntropy(), rng, {}); }",
     "a model that is called with images is called with one Var and returns one"},
    {"struct Own { void step(real) {} };\n"
     "void own(Linear& m, Own& own, Rng& rng) { Trainer(m, own, CrossEntropy(), rng, {}); }",
     "an optimizer is derived from Optimizer, and its update() moves one parameter"},
    {"struct Still : Optimizer {\n"
     "  explicit Still(std::vector<NamedParameter> all) : Optimizer(std::move(all), decay_all, {}) {}\n"
     "  const char* name() const override { return \"still\"; } };\n"
     "void still(Linear& m) { Still still(named_parameters(m)); }",
     "update("},  // the compiler's own words name it
    {"void loss(Linear& m, SGD& sgd, Rng& rng) { Trainer(m, sgd, [](Var a, Tensor b) { return a - b; }, rng, {}); }",
     "a loss is called with logits, a Var, and Targets, and returns a Var"},
    {"struct Uncounted { Tensor batch(const std::vector<Index>&) const { return {}; } };\n"
     "void uncounted(Trainer& t, Uncounted& data) { t.fit(data, [](const auto&) { return Var(); }); }",
     "a data set of fit() has count() and batch(which), both const"},
    {"void no_step(Trainer& t, TensorDataset& data) { t.fit(data); }",
     "fit() needs to be told what to do with a batch of such data"},
    {"void step(Trainer& t, TensorDataset& data) { t.fit(data, [](const Tensor&) { return Var(); }); }",
     "a step of fit() takes a batch and returns the loss, a Var"},
    {"Var op(const Var& x) { return record(\"op\", x.value(), {{x, [](Var dY) { return dY; }}}); }",
     "a VJP takes the gradient of the result and returns that of the input, both Tensors"},
};

}  // namespace

TEST_CASE("messages: what is written by mistake is one error of the compiler, with a sentence") {
  const TempFolder folder;
  std::string code = "#include <bobbin.h>\nusing namespace bobbin;\n";
  for (const auto& mistake : mistakes) code += std::string(mistake.code) + "\n";
  std::ofstream(folder / "mistakes.cpp") << code;
  const char* compiler = std::getenv("CXX");
  const Result r = run(std::string("LC_ALL=C ") + (compiler && *compiler ? compiler : "g++") +
                       " -std=c++20 -fopenmp -I. -Iapps/include -fsyntax-only '" + (folder / "mistakes.cpp").string() + "'");
  CHECK(r.status != 0);
  for (const auto& mistake : mistakes) CHECK_MESSAGE(contains(r.output, mistake.sentence), mistake.code);
  const std::regex error("[^\n]* error: [^\n]*");
  std::string errors;
  int count = 0;
  for (std::sregex_iterator it(r.output.begin(), r.output.end(), error), end; it != end; ++it, ++count)
    errors += it->str() + "\n";
  CHECK_MESSAGE(count == static_cast<int>(std::size(mistakes)), errors);
}
