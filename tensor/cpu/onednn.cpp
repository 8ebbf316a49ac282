#include "tensor/cpu/onednn.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <string_view>
#include <type_traits>
#include <unordered_map>

namespace bobbin::cpu::onednn {
namespace {

using dnnl::matmul, dnnl::memory;

bool has(dnnl::cpu_isa instructions) {
  const auto bits = [](dnnl::cpu_isa isa) { return static_cast<unsigned>(isa); };
  return (bits(dnnl::get_effective_cpu_isa()) & bits(instructions)) == bits(instructions);
}

// Matrices as oneDNN describes them: by the sizes of the axes (rows, cols), or of a batch (1, batch, rows, cols), and
// by their strides. With four axes it takes its fastest kernel for heads of attention, too; with three it does not. One
// matrix for all is a batch of one.
memory::desc matrices(memory::data_type type, Index batch, Index rows, Index cols, Index ld, bool transposed,
                      Index stride) {
  const Index row = transposed ? 1 : ld, col = transposed ? ld : 1;
  if (batch == 1) return {{rows, cols}, type, memory::dims{row, col}};
  const Index matrix = (transposed ? cols : rows) * ld;
  if (stride == 0) batch = 1, stride = matrix;
  return {{1, batch, rows, cols}, type, memory::dims{std::max(batch * stride, matrix), stride, row, col}};
}
memory::desc one_row(Index batch, Index n) { return matrices(memory::data_type::f32, batch, 1, n, n, false, 0); }

// All that tells one product from another, but where the numbers lie.
template <class R>
constexpr memory::data_type type = std::is_same_v<R, bfloat16> ? memory::data_type::bf16 : memory::data_type::f32;
using Key = std::array<Index, 14>;
template <class R>
Key key(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrixOf<R>& c) {
  return {p.m,
          p.n,
          p.k,
          p.batch,
          a.ld,
          a.transposed,
          a.stride,
          b.ld,
          b.transposed,
          b.stride,
          c.ld,
          c.stride,
          static_cast<Index>(type<R>),
          Index{std::bit_cast<std::int32_t>(static_cast<float>(p.alpha))} * 2 + (p.bias != nullptr)};
}

// The code that oneDNN has written for one product; none where it has but its reference loops, a thousand times slower.
struct Compiled {
  memory::desc a, b, c, bias;
  matmul product;

  template <class R>
  Compiled(const dnnl::engine& engine, const Product& p, const RoundedMatrix& a, const RoundedMatrix& b,
           const ResultMatrixOf<R>& c)
      : a(matrices(memory::data_type::bf16, p.batch, p.m, p.k, a.ld, a.transposed, a.stride)),
        b(matrices(memory::data_type::bf16, p.batch, p.k, p.n, b.ld, b.transposed, b.stride)),
        c(matrices(type<R>, p.batch, p.m, p.n, c.ld, false, c.stride)),
        bias(p.bias ? one_row(p.batch, p.n) : memory::desc()) {
    dnnl::primitive_attr scaled;
    if (p.alpha != 1) {
      dnnl::post_ops then;
#if DNNL_VERSION_MAJOR >= 3
      then.append_eltwise(dnnl::algorithm::eltwise_linear, static_cast<float>(p.alpha), 0);
#else
      then.append_eltwise(1, dnnl::algorithm::eltwise_linear, static_cast<float>(p.alpha), 0);
#endif
      scaled.set_post_ops(then);
    }
#if DNNL_VERSION_MAJOR >= 3
    const matmul::primitive_desc chosen(engine, this->a, this->b, bias, this->c, scaled);
#else
    const matmul::primitive_desc chosen(matmul::desc(this->a, this->b, bias, this->c), scaled, engine);
#endif
    if (!std::string_view(chosen.impl_info_str()).starts_with("ref")) product = matmul(chosen);
  }
};

// Each thread has its own, with memory to work in that no other touches.
struct Thread {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, Compiled> products;

  Compiled& compiled(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const auto& c) {
    const Key wanted = key(p, a, b, c);
    if (const auto found = products.find(wanted); found != products.end()) return found->second;
    constexpr std::size_t most = 1024;  // a training loop repeats its shapes; images of all sizes would fill the memory
    if (products.size() == most) products.clear();
    return products.try_emplace(wanted, engine, p, a, b, c).first->second;
  }
};

template <class R>
bool multiply_to(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrixOf<R>& c) try {
  if (p.bias && p.alpha != 1) return false;  // it would scale the bias, too, and nobody asks for that
  thread_local Thread thread;
  Compiled& compiled = thread.compiled(p, a, b, c);
  if (!compiled.product) return false;
  const auto at = [&](const memory::desc& desc, const void* numbers) {
    return memory(desc, thread.engine, const_cast<void*>(numbers));
  };
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, at(compiled.a, a.at)},
                                            {DNNL_ARG_WEIGHTS, at(compiled.b, b.at)},
                                            {DNNL_ARG_DST, at(compiled.c, c.at)}};
  if (p.bias) arguments.emplace(DNNL_ARG_BIAS, at(compiled.bias, p.bias));
  compiled.product.execute(thread.stream, arguments);
  thread.stream.wait();
  return true;
} catch (const dnnl::error&) {
  return false;
}

}  // namespace

bool multiplies() {
  static const bool it_does = std::is_same_v<real, float> && has(dnnl::cpu_isa::avx512_core_bf16);
  return it_does;
}

std::string describe() {
  const dnnl_version_t& v = *dnnl_version();
  const std::string name =
      "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
  if (!multiplies()) return "this processor has no instructions for it";
  return name + (has(dnnl::cpu_isa::avx512_core_amx) ? " (AMX)" : " (AVX512-BF16)");
}

bool multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c) {
  return multiply_to(p, a, b, c);
}
bool multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c) {
  return multiply_to(p, a, b, c);
}

}  // namespace bobbin::cpu::onednn
