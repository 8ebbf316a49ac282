// Each rung computed, compared and measured.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "tensor/cuda/device.h"
#include "tensor/cuda/ladder/ladder.h"
#include "tensor/text.h"

namespace bobbin::cuda::ladder {
namespace {

// The arrays of a rung are taken in turn from four sets. With the sizes of main.cpp, more bytes than the L2 cache of
// an H100 holds, 50 MB, go by before a set's turn comes again: so none finds its operands there.
constexpr int sets = 4;

struct Event {
  cudaEvent_t event{};
  Event() { check_cuda(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreateWithFlags"); }
  ~Event() { cudaEventDestroy(event); }
  Event(const Event&) = delete;
  void record() const { check_cuda(cudaEventRecord(event, stream()), "cudaEventRecord"); }
};

// The median time of run(set) in microseconds, from the end of the run before to the end of its own; about one is that
// of a launch. All are put into the stream before any is waited for, so that the GPU does not wait for the program.
double microseconds(const std::function<void(int)>& run, int repetitions) {
  for (int i = 0; i < repetitions; ++i) run(i % sets);  // until its clock has risen
  std::vector<Event> events(static_cast<std::size_t>(repetitions) + 1);
  events[0].record();
  for (int i = 0; i < repetitions; ++i) run(i % sets), events[static_cast<std::size_t>(i) + 1].record();
  wait();
  std::vector<double> times;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, events[i].event, events[i + 1].event), "cudaEventElapsedTime");
    times.push_back(1e3 * milliseconds);
  }
  const auto middle = times.begin() + repetitions / 2;
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

using Numbers = std::vector<real>;

// The largest difference, as a share of the largest number that is wanted. A NaN is infinitely wrong.
double difference(const Numbers& got, const Numbers& want) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::abs(double{want[i]}));
    const double off = std::abs(double{got[i]} - want[i]);
    worst = std::max(worst, std::isnan(off) ? HUGE_VAL : off);
  }
  return worst / largest;
}

// Arrays of n numbers, one for each set.
template <class T>
struct Arrays {
  std::array<std::shared_ptr<T>, sets> of;
  Index n;

  explicit Arrays(Index n) : n(n) {
    for (auto& x : of) x = scratch<T>(n);
  }
  T* operator[](int set) const { return of[static_cast<std::size_t>(set)].get(); }
};

Arrays<real> random(Index n, std::uint64_t seed) {
  const Arrays<real> x(n);
  for (int i = 0; i < sets; ++i) fill_random(x[i], n, Draw{seed, static_cast<std::uint64_t>(i)});
  return x;
}

Arrays<bfloat16> rounded(const Arrays<real>& x) {
  const Arrays<bfloat16> y(x.n);
  for (int i = 0; i < sets; ++i) round_to_bfloat16(x[i], y[i], x.n);
  return y;
}

Numbers numbers(const real* x, Index n) {
  Numbers host(static_cast<std::size_t>(n));
  download(x, host.data(), n);
  return host;
}

// How far rounding may take a result from the processor's.
double rounding(Precision precision) {
  return precision == Precision::float32 ? 1e-5 : precision == Precision::tf32 ? 2e-3 : 2e-2;
}

// The rungs of one ladder, which all make the same result of the same operands.
class Ladder {
 public:
  Numbers want;

  Ladder(std::string title, double operations, const Arrays<real>& result, int repetitions)
      : title_(std::move(title)), operations_(operations), result_(result), repetitions_(repetitions) {}

  // run(set) computes with a set of arrays, and moves at least so many bytes for that.
  void climb(const std::string& name, Precision precision, Index bytes, const std::function<void(int)>& run) {
    fill(result_[0], std::numeric_limits<real>::quiet_NaN(), result_.n);
    run(0);
    const double error = difference(numbers(result_[0], result_.n), want);
    rungs_.push_back({name, precision, error, static_cast<double>(bytes), microseconds(run, repetitions_)});
  }

  Climbed table() const {
    Climbed all{title_ + "\n" +
                    format("%-34s%10s%10s%10s%10s%10s%10s\n", "", "error", "us", "TFLOP/s", "of cuBLAS", "MB", "GB/s"),
                true};
    for (const Rung& r : rungs_) {
      const auto peer = std::find_if(rungs_.begin(), rungs_.end(), [&](const Rung& other) {
        return other.precision == r.precision && other.name.starts_with("cuBLAS");
      });
      const bool right = r.error <= rounding(r.precision);
      all.right = all.right && right;
      all.table += format("%-34s%10.1e%10.1f%10s%10s%10.1f%10.0f%s\n", r.name.c_str(), r.error, r.us,
                          operations_ > 0 ? format("%.2f", operations_ / r.us / 1e6).c_str() : "",
                          peer != rungs_.end() ? format("%.2f", peer->us / r.us).c_str() : "", r.bytes / 1e6,
                          r.bytes / r.us / 1e3, right ? "" : "  WRONG");
    }
    return all;
  }

 private:
  struct Rung {
    std::string name;
    Precision precision;
    double error, bytes, us;
  };

  std::string title_;
  double operations_;
  const Arrays<real>& result_;
  int repetitions_;
  std::vector<Rung> rungs_;
};

constexpr Index word = sizeof(real), half = sizeof(bfloat16);

}  // namespace

Climbed climb_copies(Index bytes, int repetitions) {
  const Index n = bytes / word, rows = n / 32;
  const Arrays<real> x = random(n, 1), y(n);
  const auto as = []<class T>(T*, real* at) { return reinterpret_cast<T*>(at); };
  constexpr std::uint8_t* byte = nullptr;
  constexpr float4* wide = nullptr;
  Ladder ladder(format("copies of %.1f MB", static_cast<double>(bytes) / 1e6), 0, y, repetitions);
  ladder.want = numbers(x[0], n);
  const auto climb = [&](const char* name, const std::function<void(int)>& run) {
    ladder.climb(name, Precision::float32, 2 * bytes, run);
  };
  climb("1 byte a thread", [&](int i) { copy<std::uint8_t>(as(byte, x[i]), as(byte, y[i]), bytes); });
  climb("4 bytes a thread", [&](int i) { copy<real>(x[i], y[i], n); });
  climb("16 bytes a thread", [&](int i) { copy<float4>(as(wide, x[i]), as(wide, y[i]), bytes / 16); });
  for (Index i = 0; const real value : numbers(x[0], n)) {
    ladder.want[static_cast<std::size_t>(i % 32 * rows + i / 32)] = value;
    ++i;
  }
  climb("4 bytes a thread, 128 bytes apart", [&](int i) { copy_strided(x[i], y[i], n); });
  return ladder.table();
}

Climbed climb_product(const ProductSizes& s, int repetitions) {
  const Index a = s.m * s.k, b = s.k * s.n, c = s.m * s.n;
  const Arrays<real> A = random(a, 1), B = random(b, 2), C(c);
  const Arrays<bfloat16> rounded_A = rounded(A), rounded_B = rounded(B);
  const Product product{s.m, s.n, s.k};
  Ladder ladder(format("C = A·B, %ld x %ld x %ld", long{s.m}, long{s.k}, long{s.n}),
                2.0 * static_cast<double>(a) * static_cast<double>(s.n), C, repetitions);
  ladder.want.resize(static_cast<std::size_t>(c));
  cpu::gemm(product, {numbers(A[0], a).data(), s.k}, {numbers(B[0], b).data(), s.n}, {ladder.want.data(), s.n});

  const auto climb = [&](const char* name, Precision precision, const std::function<void(int)>& run) {
    const bool rounded = precision == Precision::bfloat16;
    ladder.climb(name, precision, (a + b) * (rounded ? half : word) + c * word, run);
  };
  const auto cublas = [&](int i) { gemm(product, {A[i], s.k}, {B[i], s.n}, {C[i], s.n}); };
  climb("a thread for each element", Precision::float32, [&](int i) { product_naive(A[i], B[i], C[i], s); });
  climb("tiles in shared memory", Precision::float32, [&](int i) { product_tiled(A[i], B[i], C[i], s); });
  if (whole_tiles(s))
    climb("8 x 8 elements in registers", Precision::float32, [&](int i) { product_in_registers(A[i], B[i], C[i], s); });
  climb("cuBLAS, float32", Precision::float32, cublas);
  if (whole_tiles(s))
    climb("tensor cores, TF32", Precision::tf32, [&](int i) { product_on_tensor_cores(A[i], B[i], C[i], s); });
  climb("cuBLAS, TF32", Precision::tf32, [&](int i) {
    const ProductsIn precision(Precision::tf32);
    cublas(i);
  });
  climb("cuBLAS, bfloat16", Precision::bfloat16, [&](int i) {
    gemm_rounded(product, {rounded_A[i], s.k}, {rounded_B[i], s.n}, ResultMatrix{C[i], s.n});
  });
  return ladder.table();
}

Climbed climb_attention(const AttentionSizes& s, int repetitions) {
  const Index n = s.batch * s.queries * s.heads * s.head_size, of_keys = s.batch * s.keys * s.heads * s.head_size;
  const Arrays<real> q = random(n, 1), k = random(of_keys, 2), v = random(of_keys, 3), y(n);
  const Arrays<real> kept(attention_keeps(s).size());
  const Arrays<bfloat16> rounded_q = rounded(q), rounded_k = rounded(k), rounded_v = rounded(v);
  Ladder ladder(format("attention, %ld images, %ld heads, %ld tokens", long{s.batch}, long{s.heads}, long{s.keys}),
                4.0 * static_cast<double>(n) * static_cast<double>(s.keys), y, repetitions);
  ladder.want.resize(static_cast<std::size_t>(n));
  Numbers weights(static_cast<std::size_t>(cpu::attention_keeps(s).size()));
  cpu::attention(numbers(q[0], n).data(), numbers(k[0], of_keys).data(), numbers(v[0], of_keys).data(), nullptr, 0,
                 Draw{}, weights.data(), ladder.want.data(), s);

  const auto climb = [&](const char* name, Precision precision, const std::function<void(int)>& run) {
    const bool rounded = precision == Precision::bfloat16;
    ladder.climb(name, precision, (n + 2 * of_keys) * (rounded ? half : word) + n * word, run);
  };
  climb("a thread for each query", Precision::float32, [&](int i) { attention_naive(q[i], k[i], v[i], y[i], s); });
  climb("tiles in shared memory", Precision::float32, [&](int i) { attention_tiled(q[i], k[i], v[i], y[i], s); });
  climb("the library, float32", Precision::float32,
        [&](int i) { attention(q[i], k[i], v[i], nullptr, 0, Draw{}, kept[i], y[i], s); });
  climb("the library, bfloat16", Precision::bfloat16, [&](int i) {
    attention_rounded(rounded_q[i], rounded_k[i], rounded_v[i], nullptr, 0, Draw{}, kept[i], {y[i], nullptr}, s);
  });
  return ladder.table();
}

}  // namespace bobbin::cuda::ladder
