// What several ranks do together. tests/apps/ranks_test.cpp has mpirun start this program; by itself it is one rank.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data/sets/tensor_dataset.h"
#include "nn/layers.h"
#include "optim/adamw.h"
#include "optim/training/data_parallel.h"
#include "optim/training/trainer.h"
#include "tensor/backend.h"
#include "tensor/comm.h"
#include "tensor/profile.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// A number of each element that no other rank has.
real number(int rank, Index i) { return static_cast<real>((rank + 1) * (i % 97 + 1)); }

struct Line {
  Rng rng{static_cast<std::uint64_t>(3 + comm::rank())};  // ranks that begin otherwise, until they are told
  TensorDataset data{Rng(1).normal({37, 4}), Rng(2).normal({37, 1})};
  Linear model{4, 1, rng};
  AdamW adamw{named_parameters(model)};

  auto fit(const std::function<Var(const TensorDataset::Batch&)>& loss, double clip_grad = 0) {
    Rng order(5);
    return Trainer(model, adamw, order,
                   {.epochs = 3, .batch_size = 16, .schedule = {.lr = .05}, .clip_grad = clip_grad})
        .fit(data, loss);
  }
};

struct Net {
  Rng rng{1};
  Linear first{6, 20, rng}, second{20, 3, rng};
  AdamW adamw{named_parameters(*this)};
  void visit(auto&& v) { v("first", first), v("second", second); }
  Var loss(const Tensor& x, const Tensor& y) {
    const Var d = second(gelu(first(Var(x)))) - Var(y);
    return mean(d * d);
  }
};

}  // namespace

TEST_CASE("ranks: sums of any size, several under way at once, are those of all, to the same bits") {
  const int ranks = comm::size();
  const std::vector<Index> sizes{1, 2, 3, 1000, 65537, 3000001};
  std::vector<std::shared_ptr<real>> numbers;
  std::vector<comm::Sum> sums;
  for (const Index n : sizes) {
    const std::shared_ptr<real> block = backend::host_block(n);
    for (Index i = 0; i < n; ++i) block.get()[i] = number(comm::rank(), i) / 3;
    numbers.push_back(backend::to_device(block, n));
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) sums.push_back(comm::begin_sum(numbers[i], sizes[i]));
  for (comm::Sum& sum : sums) sum.wait();
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    std::vector<real> x(static_cast<std::size_t>(sizes[s]));
    backend::to_host(numbers[s].get(), x.data(), sizes[s]);
    double error = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      error = std::max(error, std::abs(double{x[i]} - number(ranks * (ranks + 1) / 2 - 1, static_cast<Index>(i)) / 3));
    CHECK(error < 1e-3);
    std::vector<real> first = x;
    comm::broadcast(first.data(), first.size() * sizeof first[0]);
    CHECK(first == x);
  }
  CHECK(comm::sum_of_all_ranks({1, static_cast<double>(comm::rank())}) ==
        std::vector<double>{static_cast<double>(ranks), ranks * (ranks - 1) / 2.0});
  comm::barrier();
}

TEST_CASE("ranks: gradients are summed whatever the size of the buckets; what no rank has stays undefined") {
  for (const Index bucket : {1, 5, 1000}) {
    Var w = Var::parameter(Tensor::ones({3})), unused = Var::parameter(Tensor::ones({2})),
        last_only = Var::parameter(Tensor::ones({4}));
    GradientSum sum({{"w", w}, {"unused", unused}, {"last_only", last_only}}, CommPrecision::float32, bucket);
    for (int step = 0; step < 3; ++step) {
      Tape tape;
      Var loss = bobbin::sum(w * Var(Tensor::full({3}, static_cast<real>(comm::rank() + 1))));
      if (comm::rank() == comm::size() - 1) loss = loss + bobbin::sum(last_only);
      sum.begin();
      tape.backward(loss);
      sum.end();
      const int ranks = comm::size();
      CHECK(w.take_grad().values() == std::vector<real>(3, static_cast<real>(ranks * (ranks + 1) / 2)));
      CHECK(!unused.grad().defined());
      CHECK(last_only.take_grad().values() == std::vector<real>(4, 1));
    }
  }
}

TEST_CASE("ranks: what is frozen is not sent, until it learns again") {
  Var w = Var::parameter(Tensor::ones({3})), frozen = Var::parameter(Tensor::ones({400}));
  GradientSum sum({{"w", w}, {"frozen", frozen}});
  for (const bool is_frozen : {true, false, true}) {
    frozen.freeze(is_frozen);
    Tape tape;
    const Var loss = bobbin::sum(w * 2) + bobbin::sum(frozen);
    profile::start();
    sum.begin();
    tape.backward(loss);
    sum.end();
    profile::stop();
    double sent = 0;  // twice the numbers are moved
    for (const profile::Row& row : profile::rows())
      if (row.name == "fill_bucket") sent += row.bytes / 2 / sizeof(real);
    CHECK(sent == (is_frozen ? 4 : 404));
    CHECK(w.take_grad().values()[1] == static_cast<real>(2 * comm::size()));
    CHECK(frozen.grad().defined() != is_frozen);
    if (!is_frozen) CHECK(frozen.take_grad().values() == std::vector<real>(400, static_cast<real>(comm::size())));
  }
}

TEST_CASE("ranks: gradients go as bfloat16: each is rounded, and so is each sum of two") {
  const int ranks = comm::size();
  const auto gradient = [](int rank, Index i) { return std::sin(real(1 + i + 100 * rank)) * std::exp2(real(i % 9)); };
  const auto rounded = [](float x) { return to_float(to_bfloat16(x)); };
  constexpr Index n = 1003;
  std::vector<real> own;
  for (Index i = 0; i < n; ++i) own.push_back(gradient(comm::rank(), i));
  Var w = Var::parameter(Tensor::ones({n})), unused = Var::parameter(Tensor::ones({3}));
  GradientSum sum({{"w", w}, {"unused", unused}}, CommPrecision::bfloat16);
  Tape tape;
  const Var loss = bobbin::sum(w * Var(Tensor({n}, own)));
  sum.begin();
  tape.backward(loss);
  sum.end();
  const std::vector<real> summed = w.take_grad().values();
  CHECK(!unused.grad().defined());
  double most = 0;
  for (Index i = 0; i < n; ++i) {
    double exact = 0, absolute = 0;
    for (int rank = 0; rank < ranks; ++rank)
      exact += double{gradient(rank, i)}, absolute += std::abs(double{gradient(rank, i)});
    const double now = double{summed[static_cast<std::size_t>(i)]}, error = std::abs(now - exact);
    CHECK(error <= ranks * absolute / 256);  // half a unit of the last of 8 bits, for each rounding
    most = std::max(most, error / absolute);
    if (ranks == 1) CHECK(now == double{rounded(gradient(0, i))});
    if (ranks == 2) CHECK(now == double{rounded(rounded(gradient(0, i)) + rounded(gradient(1, i)))});
  }
  CHECK(most > 1e-4);  // it was rounded
}

TEST_CASE("ranks: synchronised batch normalisation is that of all images, however many each rank has") {
  struct Result {
    Tensor y, dX, dgamma, dbeta, mean, variance;
  };
  const auto near = [](const Tensor& a, const Tensor& b) {
    CHECK(a.shape() == b.shape());
    const std::vector<real> x = a.values(), y = b.values();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](real x, real y) { return std::abs(x - y) < 2e-5; });
  };
  for (const Index places : {1, 6})
    for (int shift = 0; shift < 4; ++shift) {
      CAPTURE(places);
      CAPTURE(shift);
      const auto count = [shift](int rank) { return std::vector<Index>{4, 1, 0, 3}[(rank + shift) % 4]; };
      Index first = 0, all = 0;
      for (int rank = 0; rank < comm::size(); ++rank) {
        if (rank == comm::rank()) first = all;
        all += count(rank);
      }
      if (all * places == 0) continue;
      const bool counts = count(comm::rank()) > 0;
      const Index begin = counts ? first : 0, end = counts ? first + count(comm::rank()) : std::min<Index>(all, 2);
      const Tensor x = Rng(7).normal({all, 5, 1, places}, 3, 2), dY = Rng(8).normal(x.shape());
      const auto compute = [&](Index begin, Index end, bool counts, bool sync) {
        Var gamma = Var::parameter(Rng(9).normal({5})), beta = Var::parameter(Rng(10).normal({5})),
            input = Var::parameter(slice(x, 0, begin, end));
        Tensor mean = Tensor::zeros({5}), variance = Tensor::ones({5});
        const real momentum = real(0.2), eps = real(1e-3);
        Tape tape;
        const Var y = sync ? sync_batch_norm(input, gamma, beta, mean, variance, counts, momentum, eps, Then::relu)
                           : batch_norm(input, gamma, beta, mean, variance, momentum, eps, Then::relu);
        tape.backward(sum(y * Var(slice(dY, 0, begin, end) * (counts ? real{1} : real{0}))));
        return Result{y.value(), input.grad(), gamma.grad(), beta.grad(), mean, variance};
      };
      if (all * places == 1) {
        CHECK(contains(error_of([&] { compute(begin, end, counts, true); }), "more than one number for each channel"));
        continue;
      }
      const Result whole = compute(0, all, true, false), part = compute(begin, end, counts, true);
      const auto of_all = [](const Tensor& x) {
        const std::vector<real> own = x.values();
        const std::vector<double> sums = comm::sum_of_all_ranks({own.begin(), own.end()});
        return Tensor(x.shape(), {sums.begin(), sums.end()});
      };
      CHECK(near(part.y, slice(whole.y, 0, begin, end)));
      CHECK(near(part.dX, slice(whole.dX, 0, begin, end) * (counts ? real{1} : real{0})));
      CHECK(near(of_all(part.dgamma), whole.dgamma));
      CHECK(near(of_all(part.dbeta), whole.dbeta));
      CHECK(near(part.mean, whole.mean));
      CHECK(near(part.variance, whole.variance));
    }
}

TEST_CASE("ranks: all begin with rank 0's parameters, and have the same bits in the end") {
  Line line;
  line.fit([&](const TensorDataset::Batch& b) {
    const Var d = line.model(b.x) - b.y;
    return mean(d * d);
  });
  std::vector<real> ours = line.model.weight.value().values(), first = ours;
  comm::broadcast(first.data(), first.size() * sizeof first[0]);
  CHECK(ours == first);
}

TEST_CASE("ranks: steps on shares of a batch leave the weights that steps on the whole of it do") {
  constexpr Index batch = 30;
  const Index begin = batch * comm::rank() / comm::size(), end = batch * (comm::rank() + 1) / comm::size();
  Net alone, together;
  GradientSum sum(named_parameters(together), CommPrecision::float32, 50);  // several buckets
  Rng data(2);
  for (int step = 0; step < 5; ++step) {
    const Tensor x = data.normal({batch, 6}), y = data.normal({batch, 3});
    {
      Tape tape;
      tape.backward(alone.loss(x, y));
    }
    alone.adamw.step(.01);
    {
      Tape tape;
      const Var loss = together.loss(slice(x, 0, begin, end), slice(y, 0, begin, end)) *
                       (static_cast<real>(end - begin) / static_cast<real>(batch));
      sum.begin();
      tape.backward(loss);
      sum.end();
    }
    together.adamw.step(.01);
  }
  const auto expected = named_parameters(alone), now = named_parameters(together);
  for (std::size_t p = 0; p < expected.size(); ++p) {
    const std::vector<real> a = expected[p].second.value().values(), b = now[p].second.value().values();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < 1e-5);
  }
}

TEST_CASE("ranks: a loss that is not finite on one ends all, by name") {
  for (const bool clips : {false, true}) {
    Line line;
    const int bad = comm::size() - 1;
    int step = 0;
    const std::string error = error_of([&] {
      line.fit(
          [&](const TensorDataset::Batch& b) {
            const Var d = line.model(b.x) - b.y;
            const bool now = ++step == 3 && comm::rank() == bad;
            return mean(d * d) * (now ? std::numeric_limits<real>::quiet_NaN() : real{1});
          },
          clips);
    });
    CHECK(contains(error, clips ? "NaN and 0 infinite ones" : "the loss is nan at step 3"));
    CHECK(contains(error, ", on rank " + std::to_string(bad)) == (comm::size() > 1));
  }
}

TEST_CASE("ranks: other numbers than rank 0's are said by those that have them") {
  const bool other = comm::rank() > 0;
  const std::string error =
      error_of([&] { check_same_on_all_ranks(other ? "lr = 1\nmomentum = 2\n" : "lr = 1\nmomentum = 3\n"); });
  const std::string said = "rank " + std::to_string(comm::rank()) + " has momentum = 2, rank 0 momentum = 3";
  CHECK((other ? contains(error, said) : error == ""));
}

TEST_CASE("ranks: steps that several cannot take together are refused") {
  Line line;
  Rng order(5);
  Trainer trainer(line.model, line.adamw, order, {.epochs = 1, .batch_size = 16});
  const std::string error =
      error_of([&] { trainer.fit(line.data, [](const TensorDataset::Batch&, StepSize) { return 0.0; }); });
  CHECK(contains(error, "several ranks are for a step that returns the loss") == (comm::size() > 1));
  const std::string small = error_of(
      [&] { Trainer(line.model, line.adamw, order, {.batch_size = 4 * static_cast<Index>(comm::size()) - 1}); });
  CHECK(contains(small, "too small for") == (comm::size() > 1));
}
