// The tape drawn: what operations note on the way forward, and what happens in the backward pass.
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace {

// Hears what the tape does, and says it.
struct Narrator : TapeListener {
  void computed(const char* op, const std::vector<Var>& inputs, const Var& result) override {
    std::printf("forward   %-5s of %zu inputs is %g\n", op, inputs.size(), result.value().item());
  }
  void arrived(const Tape::Node& node, const Tensor& dY) override {
    std::printf("backward  %-5s hears that the result changes by %g with its own\n", node.op, dY.item());
  }
  void handed_on(const Tape::Node& from, const GradSlot& to, const Tensor& gradient) override {
    std::printf("          %-5s hands on %g to %s\n", from.op, gradient.item(),
                to.name.empty() ? "the one before" : to.name.c_str());
  }
};

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Var a = Var::parameter(Tensor::scalar(2)), b = Var::parameter(Tensor::scalar(3));
    a.set_name("a"), b.set_name("b");
    {
      const Narrator narrator;
      Tape tape;
      const Var y = a * b + a;  // a is used twice
      tape.backward(y);
    }
    std::printf("a has %g = b + 1, the sum of what arrived; b has %g = a\n", a.take_grad().item(),
                b.take_grad().item());

    Tape tape;
    const Var y = exp(a * b) + a;
    write_file("tape.dot", to_dot(std::move(tape), {{"a", a}, {"b", b}}));
    std::printf("tape.dot has the tape of exp(a·b) + a as a picture: dot -Tsvg tape.dot > tape.svg\n");
  });
}
