#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "autograd/ops.h"
#include "tensor/check.h"
#include "tensor/tensor.h"

namespace bobbin {

/// A golden file, tests/golden/NAME.safetensors: the length of a JSON header in 8 bytes, the header, and the tensors'
/// numbers, each at the offsets that the header gives. README.md there lists what is in it.
class Golden {
 public:
  explicit Golden(const std::string& name) {
    std::ifstream file("tests/golden/" + name + ".safetensors", std::ios::binary);
    check(file.good(), "Golden", "cannot open the golden file ", name, "; tests run from the root of the repository");
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    std::uint64_t length = 0;
    std::memcpy(&length, content.data(), sizeof length);
    header_ = nlohmann::json::parse(content.substr(8, length));
    numbers_ = content.substr(8 + length);
  }

  std::string meta(const std::string& key) const { return header_.at("__metadata__").at(key); }
  int meta_int(const std::string& key) const { return std::stoi(meta(key)); }
  bool has(const std::string& name) const { return header_.contains(name); }

  Tensor tensor(const std::string& name) const {
    const std::vector<double> numbers = doubles(name);
    const auto sizes = header_.at(name).at("shape").get<std::vector<Index>>();
    return Tensor(Shape(sizes.data(), static_cast<int>(sizes.size())), {numbers.begin(), numbers.end()});
  }
  std::vector<int> ints(const std::string& name) const {
    const std::vector<double> numbers = doubles(name);
    return {numbers.begin(), numbers.end()};
  }
  std::vector<double> doubles(const std::string& name) const {
    const auto& entry = header_.at(name);
    const std::string type = entry.at("dtype");
    if (type == "F32") return read<float>(entry);
    if (type == "F64") return read<double>(entry);
    if (type == "I32") return read<std::int32_t>(entry);
    if (type == "U8") return read<std::uint8_t>(entry);
    fail("Golden", "unknown type ", type, " of ", name);
  }

 private:
  template <class T>
  std::vector<double> read(const nlohmann::json& entry) const {
    const std::size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    std::vector<T> numbers((end - begin) / sizeof(T));
    if (end > begin) std::memcpy(numbers.data(), numbers_.data() + begin, end - begin);
    return {numbers.begin(), numbers.end()};
  }

  nlohmann::json header_;
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
