// What a training step asks of CUDA, as only the emulator can count it.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "apps/common/products_of_step.h"
#include "nn/models/resnet.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "optim/training/trainer.h"
#include "runtime.h"
#include "tensor/backend.h"
#include "tensor/functions.h"
#include "tensor/profile.h"
#include "tensor/storage.h"
#include "tests/cuda/on_device.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// A model whose steps take batches and labels from the program, and draw dropout masks.
struct TinyRun {
  Rng rng{1};
  ViT model{{.img_size = 8,
             .patch_size = 4,
             .num_hiddens = 12,
             .mlp_num_hiddens = 16,
             .num_heads = 2,
             .num_blks = 2,
             .emb_dropout = real(0.1),
             .blk_dropout = real(0.1),
             .num_classes = 3,
             .num_channels = 1},
            rng};
  SGD sgd{named_parameters(model), {.momentum = real(0.9)}};

  real step() {
    Staging images({4, 1, 8, 8});
    std::fill_n(images.data(), images.shape().size(), real(0.5));
    return training_step(model, sgd, CrossEntropy(), std::move(images).tensor(), Labels{0, 1, 2, 0}, 0.1);
  }
};

// Convolutions, batch normalisation, pooling.
struct TinyResNetRun {
  Rng rng{1};
  ResNet<18> model{{.img_size = 33, .width = 2, .num_classes = 3}, rng};
  SGD sgd{named_parameters(model), {.momentum = real(0.9)}};

  real step() { return training_step(model, sgd, CrossEntropy(), rng.normal({4, 1, 33, 33}), Labels{0, 1, 2, 0}, 0.1); }
};

// While it lives, the emulator lets a call fail: "cudaMalloc:3", the third; "cudaMalloc:3+", those after it, too.
struct Plan {
  explicit Plan(const std::string& plan) { setenv("CUDA_EMULATOR_FAIL", plan.c_str(), 1); }
  ~Plan() { unsetenv("CUDA_EMULATOR_FAIL"); }
};

// This program once more, with other settings: on which card it is, it asks once.
struct Again {
  int status;
  std::string output;
};
Again again(const std::string& settings, const std::string& flags) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  Again result{-1, ""};
  FILE* const pipe = popen((settings + " " + program + " " + flags + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, n);
  result.status = WEXITSTATUS(pclose(pipe));
  return result;
}

Staging staged(Index n) {
  Staging numbers({n});
  std::fill_n(numbers.data(), n, real(n));
  return numbers;
}

}  // namespace

TEST_CASE_TEMPLATE("cuda: a step of training waits once, to read the loss, and takes no memory; in bfloat16, too", Run,
                   TinyRun, TinyResNetRun) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const ProductsIn products(precision);
    Run training;
    for (int i = 0; i < 3; ++i) training.step();
    const char* const names[] = {"cudaMalloc",       "cudaFree",
                                 "cudaMallocHost",   "cudaFreeHost",
                                 "cudaEventDestroy", "cudaEventCreateWithFlags",
                                 "cudaMemGetInfo",   "cudaStreamSynchronize"};
    std::map<std::string, unsigned long> before;
    for (const char* name : names) before[name] = emulator::calls_of(name);
    const unsigned long in_float32 = emulator::products_of(CUDA_R_32F, CUBLAS_COMPUTE_32F);
    for (int i = 0; i < 5; ++i) training.step();
    for (const char* name : names) {
      const std::string text = name;
      CAPTURE(text);
      CHECK(emulator::calls_of(name) - before[name] == (text == "cudaStreamSynchronize" ? 5 : 0));
    }
    // Not one product of the model is left in float32.
    if (precision == Precision::bfloat16 && sizeof(real) == 4)
      CHECK(emulator::products_of(CUDA_R_32F, CUBLAS_COMPUTE_32F) == in_float32);
  }
}

TEST_CASE("cuda: a step in bfloat16 has so many launches of kernels, and no more") {
  if (sizeof(real) != 4) return;
  const ProductsIn products(Precision::bfloat16);
  TinyRun training;
  training.step();
  const unsigned long before = emulator::calls_of("cudaLaunchKernel");
  training.step();
  CHECK(emulator::calls_of("cudaLaunchKernel") - before <= 97);
}

TEST_CASE("cuda: updates go together, but for one that writes where another still reads") {
  const auto launches = [] { return emulator::calls_of("cudaLaunchKernel"); };
  const Numbers numbers(600, 1);
  OnDevice w1(numbers), w2(numbers), dW1(Numbers(602, 1)), dW2(numbers);
  RoundedOnDevice rounded(600);
  const formula::Sgd step{.lr = real(0.5)};
  cuda::wait();
  const unsigned long before = launches();
  cuda::sgd(step, w1, nullptr, dW1, nullptr, 600);
  cuda::sgd(step, w2, rounded, dW2, nullptr, 600);
  cuda::wait();
  CHECK(launches() == before + 1);
  // As it happens: the gradient of the first is let go, and its memory is asked for again.
  auto* const again = reinterpret_cast<bfloat16*>(static_cast<real*>(dW1));
  bfloat16* const end = again + 600 * sizeof(real) / sizeof(bfloat16);
  for (bfloat16* const at : {again, end - 1, end}) {
    const unsigned long now = launches();
    cuda::sgd(step, w1, nullptr, dW1, nullptr, 600);
    cuda::sgd(step, w2, at, dW2, nullptr, at == again ? 600 : 1);
    cuda::wait();
    CHECK(launches() == now + (at == end ? 1 : 2));
  }
  // Two steps of one parameter; a gradient that is another's weight; what is kept by both.
  OnDevice kept(numbers);
  const auto apart = [&](real* w, const real* dW, real* velocity) {
    const unsigned long now = launches();
    cuda::sgd(step, w1, nullptr, dW2, kept, 600);
    cuda::sgd(step, w, nullptr, dW, velocity, 600);
    cuda::wait();
    return launches() - now == 2;
  };
  OnDevice other(numbers);
  CHECK(apart(w1, dW2, other));
  CHECK(apart(w2, w1, other));
  CHECK(apart(w2, dW2, kept));
  CHECK(apart(dW2, w2, other));
  CHECK(!apart(w2, dW2, other));
}

TEST_CASE("cuda: a step that clips the gradients waits once for all their norms, and once for the loss") {
  TinyRun training;
  const auto step = [&] {
    return training_step(training.model, training.sgd, CrossEntropy(), training.rng.normal({4, 1, 8, 8}),
                         Labels{0, 1, 2, 0}, 0.1, {.clip_grad = 1e-3});
  };
  step();
  const unsigned long before = emulator::calls_of("cudaStreamSynchronize");
  step();
  CHECK(emulator::calls_of("cudaStreamSynchronize") - before == 2);
}

TEST_CASE("cuda: in TF32 not one product of cuBLAS is left in float32") {
  if (sizeof(real) != 4) return;
  const ProductsIn products(Precision::tf32);
  const auto of = [](cublasComputeType_t sums) { return emulator::products_of(CUDA_R_32F, sums); };
  TinyRun training;
  const unsigned long in_float32 = of(CUBLAS_COMPUTE_32F), in_tf32 = of(CUBLAS_COMPUTE_32F_FAST_TF32);
  training.step();
  CHECK(of(CUBLAS_COMPUTE_32F) == in_float32);
  CHECK(of(CUBLAS_COMPUTE_32F_FAST_TF32) > in_tf32);
}

TEST_CASE("cuda: how to multiply with a bias is asked once for each size; where there is no answer, it works as well") {
  const auto asked = [] { return emulator::calls_of("cublasLtMatmulAlgoGetHeuristic"); };
  const auto answered = [] { return emulator::calls_of("cublasLtMatmul"); };
  const auto y = [](Index rows) {
    return linear(Operand(Tensor::ones({rows, 5})), Operand(Tensor::ones({3, 5})), Tensor({3}, {1, 2, 3}),
                  ReadBy::anyone)
        .values();
  };
  const unsigned long asked_before = asked(), answered_before = answered();
  for (int i = 0; i < 3; ++i) CHECK(y(2) == Numbers{6, 7, 8, 6, 7, 8});
  CHECK(asked() == asked_before + 1);
  CHECK(answered() == answered_before + 3);
  {
    const Plan none("cublasLtMatmulAlgoGetHeuristic:1+");
    CHECK(y(1) == Numbers{6, 7, 8});
  }
  CHECK(y(1) == Numbers{6, 7, 8});
  CHECK(asked() == asked_before + 2);
  CHECK(answered() == answered_before + 3);
}

TEST_CASE("cuda: where a convolution needs no columns it writes nothing but results") {
  const Conv2dSizes some[] = {{2, 8, 8, {8, 20, 20, 7, 7, 1, 1, 3, 3, 1, 1}},   // depthwise
                              {2, 8, 1, {8, 20, 20, 1, 1, 1, 1, 0, 0, 1, 1}}};  // of one pixel
  for (const Conv2dSizes& s : some) {
    const Conv2dGeometry& g = s.geometry;
    const Numbers x(static_cast<std::size_t>(s.batch * g.channels * g.height * g.width), 1);
    const Numbers y(static_cast<std::size_t>(s.batch * s.out * g.out_h() * g.out_w()), 1);
    const Numbers W(static_cast<std::size_t>(s.out * g.channels / s.groups * g.kernel_h * g.kernel_w), 1);
    OnDevice X(x), Y(y), K(W);
    memory::release_cached();  // what kernels take for themselves is asked for anew
    const unsigned long before = emulator::calls_of("cudaMalloc");
    cuda::conv2d(X, K, nullptr, Y, s);
    cuda::conv2d_backward_x(K, Y, X, s);
    CHECK(emulator::calls_of("cudaMalloc") == before);
  }
}

TEST_CASE("cuda: a profile does not wait for each function, and times each") {
  TinyRun training;
  training.step();
  profile::start();
  const unsigned long waits = emulator::calls_of("cudaStreamSynchronize");
  for (int i = 0; i < 5; ++i) training.step();
  CHECK(emulator::calls_of("cudaStreamSynchronize") - waits == 5);  // each reads its loss
  profile::stop();
  const std::vector<profile::Row> rows = profile::rows();
  CHECK(rows.size() > 10);
  double all = 0;
  for (const profile::Row& row : rows) {
    CAPTURE(row.name);
    CHECK(row.calls % 5 == 0);
    CHECK(row.seconds > 0);
    all += row.seconds;
  }
  CHECK(all < 60);

  // The end of a function that cannot be noted is left out.
  const Tensor x = Tensor::ones({3});
  profile::start();
  {
    const Plan plan("cudaEventRecord:2");
    for (int i = 0; i < 5; ++i) sum(x);
  }
  profile::stop();
  CHECK(profile::rows().at(0).calls == 4);
  CHECK(std::isfinite(training.step()));
}

TEST_CASE("cuda: the products that bench runs alone are as few calls as there are heads, not images") {
  const ViTConfig config{.img_size = 8,
                         .patch_size = 4,
                         .num_hiddens = 12,
                         .mlp_num_hiddens = 16,
                         .num_heads = 2,
                         .num_classes = 3,
                         .whole_last_block = true};
  const auto calls = [&](Index batch) {
    const ProductsOfStep products(config, batch);
    const unsigned long before = emulator::calls_of("cublasGemmStridedBatchedEx");
    products.run();
    return emulator::calls_of("cublasGemmStridedBatchedEx") - before;
  };
  const auto of_attention = static_cast<unsigned long>(6 * config.num_heads * config.num_blks);
  CHECK(calls(7) >= of_attention);
  CHECK(calls(7) == calls(9));
}

TEST_CASE("cuda: memory that is refused once is asked for again; refused twice, it is an Error") {
  memory::release_cached();
  {
    TinyRun training;
    const Plan plan("cudaMalloc:3");
    CHECK(std::isfinite(training.step()));
  }
  memory::release_cached();
  TinyRun training;
  {
    const Plan plan("cudaMalloc:3+");
    CHECK(fails([&] { training.step(); }, {"out of memory"}));
  }
  CHECK(std::isfinite(training.step()));  // and it can go on
}

TEST_CASE("cuda: a card with 64 MB" * doctest::skip()) {
  constexpr Index mb = (1 << 20) / sizeof(real);
  { const Tensor x({40 * mb}); }
  const Tensor y({50 * mb});  // for which those are given back
  CHECK(fails([&] { Tensor({20 * mb}); },
              {"out of memory: a tensor of 20 MB was wanted while 50 MB are in use, of 64 MB"}));
}

TEST_CASE("cuda: of a card that others use, too, what is free is what there is") {
  const std::size_t taken = (std::size_t{4} << 30) - (64 << 20);
  const Again r = again("CUDA_EMULATOR_TAKEN=" + std::to_string(taken), "-ns -tc='cuda: a card with 64 MB'");
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output, "1 passed"));
}

TEST_CASE("cuda: a GPU that is too old is none, which a sentence says; tests that need one have failed") {
  const std::string old = "CUDA_EMULATOR_CAPABILITY=7.5", says = "has compute capability 7.5, and 8.0 is the least";
  const Again skips = again(old, "-tc=none"), fails = again("GPU=required " + old, "-tc=none"),
              none = again("GPU=required CUDA_EMULATOR_DEVICES=0", "-tc=none");
  INFO(skips.output, fails.output, none.output);
  CHECK(skips.status == 0);
  CHECK(contains(skips.output, "skipped: [cuda] the GPU, "));
  CHECK(contains(skips.output, says));
  CHECK(fails.status == 1);
  CHECK(contains(fails.output, says));
  CHECK(none.status == 1);
  CHECK(contains(none.output, "failed, for GPU=required: [cuda] there is no GPU"));
  CHECK(again("CUDA_EMULATOR_CAPABILITY=9.0", "-tc=none").status == 0);
}

TEST_CASE("cuda: pinned blocks are found again by other sizes, and given back where there is no more memory") {
  const unsigned long before = emulator::calls_of("cudaMallocHost");
  for (Index n = 100000; n < 100100; ++n) {
    const Tensor x = staged(n).tensor();
    cuda::wait();
  }
  CHECK(emulator::calls_of("cudaMallocHost") - before <= 2);

  const unsigned long freed = emulator::calls_of("cudaFreeHost");
  const Plan plan("cudaMallocHost:1");
  CHECK(staged(1234567).tensor().values().back() == real(1234567));
  CHECK(emulator::calls_of("cudaFreeHost") > freed);
}

TEST_CASE("cuda: a copy that is not made yet leaves no error behind") {
  cuda::wait();
  staged(1);  // lets go of all blocks
  cudaGetLastError();
  const unsigned long before = emulator::calls_of("cudaEventQuery");
  const Tensor x = staged(1000).tensor();
  const Staging next = staged(1000);  // asks whether that was copied
  CHECK(emulator::calls_of("cudaEventQuery") == before + 1);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("cuda: the next batch is copied while the GPU is busy with this one") {
  constexpr Index n = 5003;
  for (int i = 0; i < 3; ++i) {
    const Tensor batch = staged(n).tensor();
    for (int k = 0; k < 10; ++k) sum(batch);
  }
  staged(n).tensor();  // the next
  CHECK(emulator::works_beside_last_copy() >= 10);
  staged(n + 1).tensor();  // of another size: kernels may still read what lay there
  CHECK(emulator::works_beside_last_copy() == 0);
}

TEST_CASE("cuda: the loss of a step is read when the next one is begun, and the last at the end") {
  struct Images {
    Index count() const { return 5 * 4; }
    Tensor batch(const std::vector<Index>& which) const { return Tensor::full({Index(which.size()), 1, 8, 8}, 1); }
  };
  TinyRun training;
  std::vector<unsigned long> read;
  const unsigned long before = emulator::calls_of("cudaEventSynchronize");
  const auto step = [&](const Tensor& X) -> Var {
    read.push_back(emulator::calls_of("cudaEventSynchronize") - before);
    return CrossEntropy()(training.model(X), Targets(Labels{0, 1, 2, 0}));
  };
  Trainer trainer(training.model, training.sgd, training.rng, {.epochs = 1, .batch_size = 4});
  trainer.fit(Images(), step);
  CHECK(read == std::vector<unsigned long>{0, 0, 1, 2, 3});
  CHECK(trainer.steps() == 5);
}

TEST_CASE("cuda: no copy begins whose end nobody would notice") {
  cuda::wait();
  std::vector<Staging> many;
  for (int i = 0; i < 100; ++i) many.push_back(staged(1000));
  std::vector<Tensor> tensors;
  unsigned long copies = 0;
  {
    const Plan plan("cudaEventCreateWithFlags:1");
    CHECK(fails(
        [&] {
          for (Staging& numbers : many) {
            copies = emulator::calls_of("cudaMemcpyAsync");
            tensors.push_back(std::move(numbers).tensor());
          }
        },
        {"cudaEventCreateWithFlags failed: "}));
  }
  CHECK(emulator::calls_of("cudaMemcpyAsync") == copies);
  // A copy that has begun is waited for, where nobody else would: in the stream of the kernels, and beside them.
  const std::tuple<std::string, int, Index> calls[] = {
      {"cudaEventRecord", 1, 1000}, {"cudaEventRecord", 2, 5003}, {"cudaStreamWaitEvent", 2, 5003}};
  for (const auto& [function, which, n] : calls) {
    const Plan plan(function + ":" + std::to_string(which));
    const unsigned long waits = emulator::calls_of("cudaStreamSynchronize");
    CHECK(fails([size = n] { staged(size).tensor(); }, {(function + " failed: ").c_str()}));
    CHECK(emulator::calls_of("cudaStreamSynchronize") == waits + 1);
  }
}

TEST_CASE("cuda: whichever call fails, an Error says which") {
  const struct {
    const char *function, *says;
  } calls[] = {{"cudaMallocHost", "cudaMallocHost failed: out of memory"},
               {"cudaMemcpyAsync", "cudaMemcpyAsync failed: "},
               {"cudaLaunchKernel", " failed: "},
               {"cudaStreamSynchronize", "cudaStreamSynchronize failed: "},
               {"cudaEventCreateWithFlags", "cudaEventCreateWithFlags failed: "},
               {"cudaEventRecord", "cudaEventRecord failed: "},
               {"cudaEventQuery", "cudaEventQuery failed: "},
               {"cublasGemmEx", "gemm failed: "},
               {"cublasLtMatmul", "cublasLtMatmul failed: "}};
  for (const auto& call : calls)
    for (const int which : {1, 2, 7}) {
      const std::string function = call.function;
      const ProductsIn products(function == "cublasGemmEx" ? Precision::bfloat16 : Precision::float32);
      CAPTURE(function);
      CAPTURE(which);
      memory::release_cached();
      TinyRun training;
      const unsigned long before = emulator::calls_of(function);
      std::string text;
      {
        // Memory is asked for twice.
        const Plan plan(function + ":" + std::to_string(which) + (function == "cudaMallocHost" ? "+" : ""));
        text = error_of([&] {
          for (int i = 0; i < 3; ++i) training.step();
        });
      }
      if (emulator::calls_of(function) - before < static_cast<unsigned long>(which))
        continue;  // it is not called so often
      CAPTURE(text);
      CHECK(contains(text, call.says));
      CHECK(std::isfinite(training.step()));  // and it can go on
    }
}
