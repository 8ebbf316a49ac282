#include "tensor/rng.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tensor/cpu/philox.h"

using namespace bobbin;

namespace {

using Block = std::array<std::uint32_t, 4>;

// Mean, standard deviation, skewness and kurtosis.
struct Moments {
  double mean = 0, stddev = 0, skewness = 0, kurtosis = 0;

  explicit Moments(const Tensor& x) {
    const auto n = static_cast<double>(x.size());
    for (const real value : x.values()) mean += value / n;
    double m2 = 0, m3 = 0, m4 = 0;
    for (const real value : x.values()) {
      const double d = value - mean;
      m2 += d * d / n;
      m3 += d * d * d / n;
      m4 += d * d * d * d / n;
    }
    stddev = std::sqrt(m2);
    skewness = m3 / std::pow(m2, 1.5);
    kurtosis = m4 / (m2 * m2);
  }
};

constexpr Index many = 400000;

}  // namespace

TEST_CASE("Philox gives the known answers of Random123") {
  CHECK(philox({0, 0, 0, 0}, 0, 0) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, ones, ones) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  // A Draw is the same function: block number and draw number make the counter.
  const Draw draw{0x299f31d0a4093822, 0x0370734413198a2e};
  CHECK(draw.block(0x85a308d3243f6a88) == Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("eight blocks at a time are the blocks one by one") {
  const Draw draw{0x299f31d0a4093822, 0x0370734413198a2e};
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{0xfffffffc}, std::uint64_t{0x85a308d3243f6a88}}) {
    std::uint32_t words[4 * 24];
    cpu::philox_blocks(draw, first, 24, words);
    for (std::uint64_t i = 0; i < 24; ++i)
      CHECK(draw.block(first + i) == Block{words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]});
  }
}

TEST_CASE("the same seed gives the same numbers for any number of threads") {
  const int before = omp_get_max_threads();
  std::map<int, std::vector<real>> uniform, normal;
  std::map<int, std::vector<Index>> order;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Rng rng(42);
    uniform[threads] = rng.uniform({129, 513}).values();  // 16545 blocks of four: four pieces
    normal[threads] = rng.normal({66177}).values();
    order[threads] = rng.permutation(1000);
  }
  omp_set_num_threads(before);
  for (const int threads : {2, 3}) {
    CHECK(uniform[threads] == uniform[1]);
    CHECK(normal[threads] == normal[1]);
    CHECK(order[threads] == order[1]);
  }
}

TEST_CASE("element i depends on i alone, not on the size of the tensor") {
  const std::vector<real> all = Rng(5).normal({129}).values();
  for (const Index n : {1, 2, 3, 5, 17, 37}) {
    const std::vector<real> first = Rng(5).normal({n}).values();
    CHECK(std::equal(first.begin(), first.end(), all.begin()));
  }
}

TEST_CASE("seeds, draws and forks all differ") {
  std::map<std::vector<real>, int> seen;
  for (const std::uint64_t seed : {0ull, 1ull, 2ull, 1ull << 32, (1ull << 32) + 1, 1ull << 63}) {
    Rng rng(seed);
    ++seen[rng.uniform({8}).values()];
    ++seen[rng.uniform({8}).values()];  // the next draw
    Rng fork = rng.fork(), sister = rng.fork(), child = fork.fork();
    for (Rng* const r : {&fork, &sister, &child, &rng}) ++seen[r->uniform({8}).values()];
  }
  CHECK(seen.size() == 6 * 6);
  // The same forks again, whatever is drawn from one of them.
  Rng a(7), b(7);
  a.fork();
  b.fork().uniform({1000});
  CHECK(a.fork().uniform({8}).values() == b.fork().uniform({8}).values());
}

TEST_CASE("uniform numbers fill [low, high) evenly") {
  const Tensor x = Rng(1).uniform({many}, -2, 6);
  const auto [least, largest] = std::minmax_element(x.data(), x.data() + many);
  CHECK(*least >= -2);
  CHECK(*largest < 6);
  const Moments m(x);
  CHECK(m.mean == doctest::Approx(2).epsilon(0.01));
  CHECK(m.stddev == doctest::Approx(8 / std::sqrt(12)).epsilon(0.005));
  CHECK(std::abs(m.skewness) < 0.02);
  CHECK(m.kurtosis == doctest::Approx(1.8).epsilon(0.01));
  // Chi-squared of 64 equal bins: 63 degrees of freedom, standard deviation 11.2.
  std::vector<double> bins(64);
  for (const real value : x.values()) ++bins[static_cast<std::size_t>((value + 2) * 8)];
  double chi2 = 0;
  for (const double bin : bins) chi2 += (bin - many / 64.) * (bin - many / 64.) / (many / 64.);
  CHECK(chi2 < 63 + 5 * 11.2);
  CHECK(chi2 > 63 - 5 * 11.2);
}

TEST_CASE("uniform numbers never reach the upper end, not by rounding either") {
  // The first block of this seed has a word whose upper 24 bits are all set.
  const Draw draw{39075, 0};
  REQUIRE((draw.block(0)[3] >> 8) == 0xffffff);
  using Range = std::pair<real, real>;
  for (const auto& [low, high] : {Range{0, 1}, {1, 2}, {0.5, 1}, {100, 101}, {-1, 1}, {-3, -2}}) {
    const Tensor x = Rng(39075).uniform({4}, low, high);
    CHECK(x.data()[3] < high);
    CHECK(x.data()[3] > low);
  }
  CHECK(Rng(39075).uniform({4}, 3, 3).values() == std::vector<real>(4, 3));
}

TEST_CASE("normal numbers have the moments and the tails of the normal distribution") {
  const Tensor x = Rng(2).normal({many});
  const Moments m(x);
  CHECK(std::abs(m.mean) < 0.008);
  CHECK(std::abs(m.stddev - 1) < 0.006);
  CHECK(std::abs(m.skewness) < 0.02);
  CHECK(std::abs(m.kurtosis - 3) < 0.04);
  for (const double limit : {0.5, 1.0, 2.0, 3.0, 4.0}) {
    for (const double sign : {-1.0, 1.0}) {
      double beyond = 0;
      for (const real value : x.values()) beyond += sign * value > limit;
      const double expected = many * std::erfc(limit / std::sqrt(2)) / 2;
      CHECK(std::abs(beyond - expected) < 5 * std::sqrt(expected) + 1);
    }
  }
  // Neighbours come from one pair of words, but are independent.
  double neighbours = 0, squares = 0;
  for (Index i = 0; i + 1 < many; ++i) {
    const double a = x.data()[i], b = x.data()[i + 1];
    neighbours += a * b / many;
    squares += (a * a - 1) * (b * b - 1) / many;
  }
  CHECK(std::abs(neighbours) < 0.008);
  CHECK(std::abs(squares) < 0.02);

  const Moments shifted(Rng(3).normal({many}, 10, real{0.5}));
  CHECK(std::abs(shifted.mean - 10) < 0.004);
  CHECK(std::abs(shifted.stddev - 0.5) < 0.003);
}

TEST_CASE("the smallest word makes the largest normal number, which is finite") {
  REQUIRE((Draw{12121362, 0}.block(0)[0] >> 8) == 0);
  const Tensor x = Rng(12121362).normal({4});
  CHECK(std::hypot(x.data()[0], x.data()[1]) == doctest::Approx(std::sqrt(48 * std::log(2))));
}

TEST_CASE("a permutation has every number once") {
  for (const Index n : {0, 1, 2, 3, 17, 129, 1000}) {
    std::vector<Index> order = Rng(4).permutation(n);
    std::sort(order.begin(), order.end());
    REQUIRE(order.size() == static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("every order is equally likely") {
  Rng rng(6);
  std::map<std::vector<Index>, double> counts;
  constexpr int rounds = 24000;
  for (int i = 0; i < rounds; ++i) ++counts[rng.permutation(4)];
  CHECK(counts.size() == 24);
  double chi2 = 0;  // 23 degrees of freedom, standard deviation 6.8
  for (const auto& [order, count] : counts) chi2 += (count - 1000) * (count - 1000) / 1000;
  CHECK(chi2 < 23 + 5 * 6.8);
  CHECK(chi2 > 23 - 3 * 6.8);
}
