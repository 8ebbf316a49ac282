// Convolutions of rounded images by oneDNN, which on a processor with AMX is ten times as fast as ours with floats.
//
// It is so where the channels of a pixel lie side by side (or in blocks: it says what it wants). Ours lie in planes. So
// images go through it a few at a time, rearranged on the way in and on the way out, in the cache of one thread.
#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "tensor/cpu/on_this_thread.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/workspace.h"
#include "tensor/parallel.h"

namespace bobbin::cpu::onednn {
namespace {

using dnnl::memory, dnnl::algorithm, dnnl::prop_kind;
using Images = dnnl::convolution_forward;
using Data = dnnl::convolution_backward_data;
using Weights = dnnl::convolution_backward_weights;

constexpr memory::data_type bf16 = memory::data_type::bf16, f32 = memory::data_type::f32;

// Arrays as they lie here: images (batch, channels, height, width), kernels (groups, out, in, height, width).
memory::desc images(memory::data_type type, const Conv2dSizes& s) {
  return {{s.batch, s.geometry.channels, s.geometry.height, s.geometry.width}, type, memory::format_tag::nchw};
}
memory::desc results(memory::data_type type, const Conv2dSizes& s) {
  return {{s.batch, s.out, s.geometry.out_h(), s.geometry.out_w()}, type, memory::format_tag::nchw};
}
memory::desc kernels(memory::data_type type, const Conv2dSizes& s) {
  const Conv2dGeometry& g = s.geometry;
  const Index in = g.channels / s.groups, out = s.out / s.groups;
  if (s.groups == 1) return {{out, in, g.kernel_h, g.kernel_w}, type, memory::format_tag::oihw};
  return {{s.groups, out, in, g.kernel_h, g.kernel_w}, type, memory::format_tag::goihw};
}
// The same numbers, in an order that oneDNN is to choose.
memory::desc any(const memory::desc& as) {
#if DNNL_VERSION_MAJOR >= 3
  return {as.get_dims(), as.get_data_type(), memory::format_tag::any};
#else
  return {as.dims(), as.data_type(), memory::format_tag::any};
#endif
}

// A convolution, or one of its gradients. The one for images without gradient is the hint that the others want.
template <class Primitive>
typename Primitive::primitive_desc chosen(const dnnl::engine& engine, const auto& hints, const auto&... what) {
  return std::apply(
      [&](const auto&... hint) -> typename Primitive::primitive_desc {
#if DNNL_VERSION_MAJOR >= 3
        return {engine, what..., hint...};
#else
        return {typename Primitive::desc(what...), engine, hint...};
#endif
      },
      hints);
}

enum class Gradient { none, of_images, of_kernels };

// The code that oneDNN has written for one of them: what it reads and writes, here and there.
struct Compiled {
  struct Array {
    int argument = 0;
    memory::desc here, there;
  };
  Array first, second, result, bias;
  dnnl::primitive run;  // none where it has but its reference loops, a thousand times slower

  Compiled(const dnnl::engine& engine, Gradient gradient, const Conv2dSizes& s, bool with_bias) {
    const Conv2dGeometry& g = s.geometry;
    const memory::dims stride{g.stride_h, g.stride_w}, dilation{g.dilation_h - 1, g.dilation_w - 1};
    const memory::dims padding{g.padding_h, g.padding_w};
    const auto choose = [&]<class Primitive>(std::type_identity<Primitive>, const auto& hints, const auto&... what) {
      return chosen<Primitive>(engine, hints, what..., stride, dilation, padding, padding);
    };
    const auto take = [&](const auto& primitive, auto code) {
      if (!std::string_view(primitive.impl_info_str()).starts_with("ref")) run = code;
    };
    if (with_bias) bias = {DNNL_ARG_BIAS, {{s.out}, f32, memory::format_tag::a}, {}};
    const auto forward = [&](memory::data_type of_results) {
      return choose(std::type_identity<Images>(), std::tuple(), prop_kind::forward_training,
                    algorithm::convolution_direct, any(images(bf16, s)), any(kernels(bf16, s)), bias.here,
                    any(results(of_results, s)));
    };
    if (gradient == Gradient::none) {
      const auto c = forward(f32);
      first = {DNNL_ARG_SRC, images(bf16, s), c.src_desc()};
      second = {DNNL_ARG_WEIGHTS, kernels(bf16, s), c.weights_desc()};
      result = {DNNL_ARG_DST, results(f32, s), c.dst_desc()};
      take(c, Images(c));
    } else if (gradient == Gradient::of_images) {
      const auto c = choose(std::type_identity<Data>(), std::tuple(forward(bf16)), algorithm::convolution_direct,
                            any(images(f32, s)), any(kernels(bf16, s)), any(results(bf16, s)));
      first = {DNNL_ARG_DIFF_DST, results(bf16, s), c.diff_dst_desc()};
      second = {DNNL_ARG_WEIGHTS, kernels(bf16, s), c.weights_desc()};
      result = {DNNL_ARG_DIFF_SRC, images(f32, s), c.diff_src_desc()};
      take(c, Data(c));
    } else {
      const auto c = choose(std::type_identity<Weights>(), std::tuple(forward(bf16)), algorithm::convolution_direct,
                            any(images(bf16, s)), any(kernels(f32, s)), any(results(bf16, s)));
      first = {DNNL_ARG_SRC, images(bf16, s), c.src_desc()};
      second = {DNNL_ARG_DIFF_DST, results(bf16, s), c.diff_dst_desc()};
      result = {DNNL_ARG_DIFF_WEIGHTS, kernels(f32, s), c.diff_weights_desc()};
      take(c, Weights(c));
    }
  }
};

// Each thread has its own, with memory to work in that no other touches.
class Thread {
 public:
  // Both throw dnnl::error.
  const Compiled& compiled(Gradient gradient, const Conv2dSizes& s, bool with_bias) {
    const Conv2dGeometry& g = s.geometry;
    const Key key{static_cast<Index>(gradient),
                  with_bias,
                  s.batch,
                  s.out,
                  s.groups,
                  g.channels,
                  g.height,
                  g.width,
                  g.kernel_h,
                  g.kernel_w,
                  g.stride_h,
                  g.stride_w,
                  g.padding_h,
                  g.padding_w,
                  g.dilation_h,
                  g.dilation_w};
    if (const auto found = all_.find(key); found != all_.end()) return found->second;
    constexpr std::size_t most = 1024;
    if (all_.size() == most) all_.clear();
    return all_.try_emplace(key, engine_, gradient, s, with_bias).first->second;
  }
  void run(const Compiled& c, const void* first, const void* second, const void* bias, void* result) {
    const bool in_place = c.result.here == c.result.there;
    memory here = at(c.result.here, result), there = in_place ? here : room(c.result.there, 2);
    std::unordered_map<int, memory> arguments{{c.first.argument, arranged(c.first, first, 0)},
                                              {c.second.argument, arranged(c.second, second, 1)},
                                              {c.result.argument, there}};
    if (bias) arguments.emplace(c.bias.argument, at(c.bias.here, bias));
    c.run.execute(stream_, arguments);
    if (!in_place) dnnl::reorder(there, here).execute(stream_, there, here);
    stream_.wait();
  }

 private:
  memory at(const memory::desc& desc, const void* numbers) { return {desc, engine_, const_cast<void*>(numbers)}; }
  memory room(const memory::desc& desc, std::size_t i) {
    const auto size = static_cast<memory::dim>(desc.get_size());
    if (!rooms_[i] || static_cast<memory::dim>(rooms_[i].get_desc().get_size()) < size)
      rooms_[i] = memory({{size}, memory::data_type::u8, memory::format_tag::a}, engine_);
    return at(desc, rooms_[i].get_data_handle());
  }
  // The numbers in the order that oneDNN wants.
  memory arranged(const Compiled::Array& array, const void* numbers, std::size_t i) {
    memory here = at(array.here, numbers);
    if (array.here == array.there) return here;
    memory there = room(array.there, i);
    dnnl::reorder(here, there).execute(stream_, here, there);
    return there;
  }

  using Key = std::array<Index, 16>;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<Key, Compiled> all_;
  std::array<memory, 3> rooms_;  // for both operands and the result
};

Index image_size(const Conv2dSizes& s) { return s.geometry.channels * s.geometry.height * s.geometry.width; }
Index result_size(const Conv2dSizes& s) { return s.out * s.geometry.out_h() * s.geometry.out_w(); }
Index kernel_size(const Conv2dSizes& s) {
  return s.out * (s.geometry.channels / s.groups) * s.geometry.kernel_h * s.geometry.kernel_w;
}

// Calls body(thread, number of the thread, first image, sizes of a block of images), for blocks of about `bytes` that
// cover those of the thread. False if oneDNN cannot.
template <class Body>
bool for_each_block(const Conv2dSizes& s, Index bytes, const Body& body) {
  // With few channels most of what it multiplies is padding: our own convolution of floats takes less then.
  constexpr Index few = 16;
  if (!multiplies() || s.geometry.channels / s.groups < few || s.out / s.groups < few) return false;
  constexpr Index grain = 1 << 16;  // multiplications that are worth a thread
  const Index each = 4 * (image_size(s) + result_size(s));
  std::atomic<bool> able = true;
  parallel_for(s.batch, grain / (result_size(s) * kernel_size(s) / s.out) + 1, [&](Index begin, Index end) {
    const OnThisThread alone;
    try {
      thread_local Thread thread;
      const Index images = end - begin, most = std::max<Index>(bytes / each, 1), blocks = (images + most - 1) / most;
      for (Index i = 0; i < blocks && able; ++i) {
        Conv2dSizes block = s;
        const Index first = begin + images * i / blocks;
        block.batch = begin + images * (i + 1) / blocks - first;
        able = able && body(thread, first, block);
      }
    } catch (const std::exception&) {
      able = false;
    }
  });
  return able;
}

constexpr Index in_cache = 1 << 20;  // bytes

bool run(Gradient gradient, Thread& thread, const Conv2dSizes& s, const void* first, const void* second,
         const void* bias, void* result) {
  const Compiled& c = thread.compiled(gradient, s, bias != nullptr);
  if (c.run) thread.run(c, first, second, bias, result);
  return bool(c.run);
}

}  // namespace

bool conv2d(const bfloat16* x, const bfloat16* W, const real* bias, real* y, const Conv2dSizes& s) {
  return for_each_block(s, in_cache, [=](Thread& thread, Index first, const Conv2dSizes& block) {
    return run(Gradient::none, thread, block, x + first * image_size(s), W, bias, y + first * result_size(s));
  });
}

bool conv2d_backward_x(const bfloat16* W, const bfloat16* dY, real* dX, const Conv2dSizes& s) {
  return for_each_block(s, in_cache, [=](Thread& thread, Index first, const Conv2dSizes& block) {
    return run(Gradient::of_images, thread, block, dY + first * result_size(s), W, nullptr, dX + first * image_size(s));
  });
}

// Each thread sums up its own blocks, large ones, lest adding them be what takes long; then all sums are added in
// order.
bool conv2d_backward_w(const bfloat16* x, const bfloat16* dY, real* dW, const Conv2dSizes& s) {
  const bool alone = omp_in_parallel();  // one of several threads already
  const Index size = kernel_size(s), threads = alone ? 1 : omp_get_max_threads();
  // Of each thread the sum and the part of one block; the first thread's sum is dW.
  thread_local Scratch<real> kept;
  real* const room = kept.resize((2 * threads - 1) * size);
  std::vector<real*> sums{dW};
  for (Index thread = 1; thread < threads; ++thread) sums.push_back(room + (2 * thread - 1) * size);
  std::vector<char> has_sum(sums.size());
  const bool able =
      for_each_block(s, std::max(in_cache, 32 * size), [&](Thread& thread, Index first, const Conv2dSizes& block) {
        const auto me = static_cast<std::size_t>(alone ? 0 : omp_get_thread_num());
        real *const sum = sums[me], *const part = has_sum[me] ? room + 2 * static_cast<Index>(me) * size : sum;
        if (!run(Gradient::of_kernels, thread, block, x + first * image_size(s), dY + first * result_size(s), nullptr,
                 part))
          return false;
        has_sum[me] = true;
        if (part != sum)
#pragma omp simd
          for (Index i = 0; i < size; ++i) sum[i] += part[i];
        return true;
      });
  if (!able) return false;
  for (std::size_t thread = 1; thread < sums.size(); ++thread)
    if (has_sum[thread])
      parallel_for(size, 1 << 14, [dW, sum = sums[thread]](Index begin, Index end) {
#pragma omp simd
        for (Index i = begin; i < end; ++i) dW[i] += sum[i];
      });
  return true;
}

}  // namespace bobbin::cpu::onednn
