// What the kernels have in common: memory, the way to it, errors.
#include <algorithm>
#include <string>

#include "tensor/functions.h"
#include "tensor/storage.h"
#include "tests/cuda/on_device.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("cuda: numbers come back as they went") {
  const Tensor x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.values() == Numbers{1, 2, 3, 4, 5, 6});
  CHECK(x[1].values() == Numbers{4, 5, 6});
  CHECK(Tensor::scalar(7).item() == 7);
  CHECK(x.clone().values() == x.values());
  Tensor y = Tensor::zeros({2, 3});
  y.assign(x);
  CHECK(y.values() == x.values());
}

TEST_CASE("cuda: what is being copied is not overwritten") {
  for (const Index n : {1003, 5003}) {  // in the stream of the kernels, and beside them
    std::vector<Tensor> tensors;
    for (int i = 0; i < 20; ++i) {
      Staging numbers({n});
      std::fill_n(numbers.data(), n, static_cast<real>(i));
      tensors.push_back(std::move(numbers).tensor());
    }
    for (int i = 0; i < 20; ++i)
      CHECK(tensors[static_cast<std::size_t>(i)].values() ==
            Numbers(static_cast<std::size_t>(n), static_cast<real>(i)));
  }
  // Labels go the same way.
  std::vector<Tensor> taken;
  const Tensor x({1, 4}, {10, 11, 12, 13});
  for (int i = 0; i < 20; ++i) taken.push_back(gather(x, {i % 4}));
  for (int i = 0; i < 20; ++i) CHECK(taken[static_cast<std::size_t>(i)].item() == static_cast<real>(10 + i % 4));
}

TEST_CASE("cuda: batches are copied while kernels compute, and never over one that they read") {
  const Tensor W = Tensor::full({41, 29}, real(0.5));
  const Index all_rows = 128, few_rows = 101;  // large enough for a stream of their own
  Tensor all = Tensor::zeros({}), before;
  for (int i = 1; i <= 12; ++i) {
    const auto batch = [i](Index rows) {
      Staging numbers({rows, 41});
      std::fill_n(numbers.data(), rows * 41, static_cast<real>(i));
      return std::move(numbers).tensor();
    };
    const Tensor x = batch(all_rows), y = i % 5 == 0 ? batch(few_rows) : x;
    all = all + (sum(matmul(x, W)) + sum(y));
    if (i % 4 == 0) before = x;  // some live longer
  }
  const double rows = double(all_rows), few = double(few_rows);
  CHECK(all.item() == doctest::Approx(78 * rows * 41 * 29 / 2 + 63 * rows * 41 + 15 * few * 41));
  CHECK(before.values() == Numbers(static_cast<std::size_t>(all_rows * 41), 12));
}

TEST_CASE("cuda: a loop that repeats its shapes asks for no more memory, in bfloat16 neither") {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const ProductsIn products(precision);
    const Tensor W = Tensor::full({37, 65}, real(0.01)), gamma = Tensor::ones({65});
    const auto step = [&] {
      Staging numbers({17, 37});
      std::fill_n(numbers.data(), 17 * 37, real{1});
      const Tensor y = gelu(matmul(std::move(numbers).tensor(), W), 0, {});
      return cross_entropy(layer_norm(y, gamma, gamma, real(1e-5)).y, Labels(17, 3), 0).item();
    };
    const real first = step();
    step();
    const memory::Stats before = memory::stats();
    for (int i = 0; i < 10; ++i) CHECK(step() == first);
    CHECK(memory::stats().system_allocations == before.system_allocations);
  }
}

TEST_CASE("cuda: memory that the GPU does not have is refused with a sentence") {
  CHECK(fails([] { Tensor x({Index{1} << 44}); }, {"[memory] out of memory", " MB"}));
  CHECK(sum(Tensor::ones({100})).item() == 100);
}

TEST_CASE("cuda: memory that an update still needs is not given back before") {
  memory::release_cached();
  Tensor w = Tensor::ones({300}), none;
  sgd(w, Tensor::ones({300}), none, {.lr = real(0.25)});  // the gradient is gone, the update waits
  memory::release_cached();
  CHECK(w.values() == Numbers(300, real(0.75)));
}

TEST_CASE("cuda: the name of the GPU and of cuBLAS") {
  CHECK(contains(cuda::describe(), "cuBLAS "));
  CHECK(!contains(cuda::describe(), "TF32"));
  {
    const ProductsIn tf32(Precision::tf32);
    CHECK(contains(cuda::describe(), "TF32"));
    const ProductsIn bfloat16(Precision::bfloat16);
    CHECK(contains(cuda::describe(), ", bfloat16"));
    CHECK(!contains(cuda::describe(), "TF32"));
    const ProductsIn fp32(Precision::float32);
    CHECK(!contains(cuda::describe(), "TF32"));
    CHECK(!contains(cuda::describe(), "bfloat16"));
  }
  CHECK(!contains(cuda::describe(), "TF32"));
}
