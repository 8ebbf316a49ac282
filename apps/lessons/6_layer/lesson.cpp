// A layer of your own: a struct that names its members, and what follows from that.
#include <bobbin.h>

#include <cstdio>
#include <iostream>

using namespace bobbin;

namespace {

/// (..., width) -> (..., width): x plus what two layers make of it (He et al., 2016).
struct AddTo {
  Linear in, out;

  AddTo(Index width, Index hidden, Rng& rng) : in(width, hidden, rng), out(hidden, width, rng) {}
  Var operator()(const Var& x) { return x + out(relu(in(x))); }
  void visit(auto&& v) { v("in", in), v("out", out); }
};

/// A layer that forgot to name one of its own.
struct Forgetful : AddTo {
  using AddTo::AddTo;
  void visit(auto&& v) { v("in", in); }
};

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    Sequential model{Linear(3, 8, rng), AddTo(8, 16, rng), AddTo(8, 16, rng), Linear(8, 1, rng)};
    std::printf("visit() gave these names:\n");
    for (const auto& [name, parameter] : named_parameters(model))
      std::cout << "  " << name << ' ' << parameter.shape() << '\n';

    Forgetful layer(3, 4, rng);
    SGD sgd(named_parameters(layer));
    Tape tape;
    tape.backward(mean(layer(rng.normal({5, 3}))));
    std::printf("\nWhat nobody named would never learn, so the first step says:\n");
    try {
      sgd.step(real(0.1));
    } catch (const Error& error) {
      std::printf("  %s\n", error.what());
    }
  });
}
