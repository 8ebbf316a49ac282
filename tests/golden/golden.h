#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/tensor.h"

namespace bobbin {

/// A golden file, tests/golden/NAME.safetensors: the length of a JSON header in 8 bytes, the header, and the tensors'
/// numbers, each at the offsets that the header gives. README.md there lists what is in it.
class Golden {
 public:
  explicit Golden(const std::string& name);

  std::string meta(const std::string& key) const;
  int meta_int(const std::string& key) const { return std::stoi(meta(key)); }
  bool has(const std::string& name) const { return entries_.contains(name); }

  Tensor tensor(const std::string& name) const;
  std::vector<int> ints(const std::string& name) const;
  std::vector<double> doubles(const std::string& name) const;

 private:
  struct Entry {
    std::string type;
    std::vector<Index> shape;
    std::size_t begin, end;  // in numbers_
  };
  const Entry& entry(const std::string& name) const;

  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> meta_;
  std::string numbers_;
};

/// max|got - want| / max|want| over a whole tensor; max|got| where all of `want` is 0. Infinite if one of them is NaN.
inline double relative_error(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape() == want.shape());
  const std::vector<real> g = got.values(), w = want.values();
  double difference = 0, scale = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double d = std::abs(double{g[i]} - w[i]);
    difference = std::max(difference, std::isnan(d) ? std::numeric_limits<double>::infinity() : d);
    scale = std::max(scale, std::abs(double{w[i]}));
  }
  return scale > 0 ? difference / scale : difference;
}

/// The golden numbers are rounded to float; so in double, too, they are right to seven digits only.
constexpr double golden_tolerance = sizeof(real) == 8 ? 2e-7 : 1e-5;

inline void check_golden(const std::string& what, const Tensor& got, const Tensor& want,
                         double tolerance = golden_tolerance) {
  INFO(what);
  CHECK(relative_error(got, want) <= tolerance);
}

/// The gradients of the output's inner product with dY: what backward does with the cotangent dY.
template <class F>
Tensor backward_from(const F& f, const Tensor& dY) {
  Tape tape;
  const Var Y = f();
  tape.backward(sum(Y * Var(dY)));
  return Y.value();
}

}  // namespace bobbin
