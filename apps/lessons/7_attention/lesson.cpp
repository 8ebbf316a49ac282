// Attention: six letters, each with a digit, and questions for the digits of letters. Who answers has to look.
#include <bobbin.h>

#include <cmath>
#include <cstdio>

using namespace bobbin;

constexpr int T = 6, C = 16;  // the letters of a sequence, the width

struct Sequence {
  Labels held, digits, asked, answers;  // (T): letters, 0 is a, and their digits; then the same in another order

  explicit Sequence(Rng& rng) {
    const std::vector<Index> letters = rng.permutation(26), values = rng.permutation(10);
    held.assign(letters.begin(), letters.begin() + T), digits.assign(values.begin(), values.begin() + T);
    for (const Index place : rng.permutation(T))
      asked.push_back(held[std::size_t(place)]), answers.push_back(digits[std::size_t(place)]);
  }
};

struct Lookup {
  Embedding letters, digits;
  Linear W_q, W_k, head;

  explicit Lookup(Rng& rng)
      : letters(26, C, rng), digits(10, C, rng), W_q(C, C, rng), W_k(C, C, rng), head(C, 10, rng) {}
  Var weights(const Sequence& s) {  // (T, T): how much each question looks at each letter; every row sums to 1
    const Var Q = W_q(letters(s.asked)), K = W_k(letters(s.held));  // (T, C)
    return softmax(matmul(Q, transpose(K, 0, 1)) / std::sqrt(real(C)));
  }
  Var operator()(const Sequence& s) { return head(matmul(weights(s), digits(s.digits))); }  // (T, 10)
  void visit(auto&& v) { v("letters", letters), v("digits", digits), v("W_q", W_q), v("W_k", W_k), v("head", head); }
};

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    Lookup model(rng);
    AdamW adamw(named_parameters(model));
    for (int step = 0; step <= 600; ++step) {
      const Sequence s(rng);
      training_step([&] { return cross_entropy(model(s), s.answers); }, adamw, real(0.005));
      if (step % 300 != 0) continue;
      const std::vector<real> weights = model.weights(s).value().values();
      const Labels said = argmax(model(s).value(), 1);
      std::printf("step %d\n     ", step);
      for (std::size_t k = 0; k < T; ++k) std::printf(" %c=%d", 'a' + s.held[k], s.digits[k]);
      for (std::size_t q = 0; q < T; ++q) {
        std::printf("\n  %c? ", 'a' + s.asked[q]);
        for (std::size_t k = 0; k < T; ++k) std::printf("  %c ", " .:-=+*#%@"[int(weights[q * T + k] * real(9.99))]);
        std::printf(" %d%s", said[q], said[q] == s.answers[q] ? "" : " is wrong");
      }
      std::puts("");
    }
  });
}
