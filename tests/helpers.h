#pragma once
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "tensor/check.h"
#include "tensor/tensor.h"

/// What several tests need.
namespace bobbin::test {

/// The text of the Error that f throws; "" if it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Whether f throws an Error whose text contains all the parts.
template <class F>
bool fails(const F& f, const std::vector<std::string>& parts) {
  const std::string text = error_of(f);
  bool all = !text.empty();
  for (const std::string& part : parts) all = all && contains(text, part);
  return all;
}

/// Runs body with 1, 2 and 3 threads.
template <class Body>
void with_threads(const Body& body) {
  struct Restore {
    int threads = omp_get_max_threads();
    ~Restore() { omp_set_num_threads(threads); }
  } restore;
  for (const int threads : {1, 2, 3}) {
    CAPTURE(threads);
    omp_set_num_threads(threads);
    body();
  }
}

/// Puts another number in place of number i, for all who share it.
inline void set(Tensor x, Index i, real value) {
  std::vector<real> numbers = x.values();
  numbers[static_cast<std::size_t>(i)] = value;
  x.assign({x.shape(), numbers});
}

/// The largest |got - want| / max(|want|, floor). NaN must meet NaN, and an infinity the same infinity.
inline double error(const Tensor& got, const std::vector<double>& want, double floor = 1) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (got.size() != static_cast<Index>(want.size())) return inf;
  const std::vector<real> numbers = got.values();
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double g = numbers[i], w = want[i];
    if (g == w || (std::isnan(g) && std::isnan(w))) continue;
    const double e = std::abs(g - w) / std::max(std::abs(w), floor);
    if (!(e <= worst)) worst = std::isnan(e) ? inf : e;
  }
  return worst;
}

/// A new empty folder that goes away, with all that is in it, at the end of the scope.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "bobbin-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The content of a file.
inline std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace bobbin::test
