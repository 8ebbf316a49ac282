// Attention with several heads.
#include <algorithm>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

using cpu::ScoreBias;

AttentionSizes attention_sizes(const char* op, const Shape& q, const Shape& k, const Shape& v, Index num_heads,
                               const std::vector<int>& valid_lens, real p) {
  check(q.rank() == 3 && k.rank() == 3 && k == v && q[0] == k[0] && q[2] == k[2], op,
        "needs queries (B, Tq, D) and keys and values (B, Tk, D), got ", q, ", ", k, " and ", v);
  check(num_heads >= 1 && q[2] % num_heads == 0, op, num_heads, " heads do not divide the ", q[2],
        " columns of the queries ", q);
  check_dropout(op, p);
  const Index lens = static_cast<Index>(valid_lens.size());
  check(lens == 0 || lens == q[0] || lens == q[0] * q[1], op, "valid_lens must have a number for each of the ", q[0],
        " images or of the ", q[0] * q[1], " queries, got ", lens);
  return {q[0], num_heads, q[1], k[1], q[2] / num_heads};
}

AttentionSizes biased_attention_sizes(const char* op, const Shape& qkv, Index num_heads, const Shape& bias) {
  check(!on_gpu, op, "is for the processor only: plain::biased_attention() is for both");
  check(qkv.rank() == 3 && num_heads >= 1 && qkv[2] % (3 * num_heads) == 0, op, "needs rows (B, T, 3·D) of which ",
        num_heads, " heads divide the D queries, got ", qkv);
  const AttentionSizes s{qkv[0], num_heads, qkv[1], qkv[1], qkv[2] / (3 * num_heads)};
  check(
      bias.rank() == 4 && bias[0] >= 1 && s.batch % bias[0] == 0 && bias == Shape{bias[0], s.heads, s.queries, s.keys},
      op, "needs a bias (G, ", s.heads, ", ", s.queries, ", ", s.keys, ") where G divides the ", s.batch,
      " images, got ", bias);
  return s;
}

// One number for each query; a number for each image holds for all its queries.
std::vector<int> for_each_query(const std::vector<int>& valid_lens, const AttentionSizes& s) {
  if (static_cast<Index>(valid_lens.size()) == s.batch * s.queries) return valid_lens;
  std::vector<int> lens;
  for (const int len : valid_lens) lens.insert(lens.end(), static_cast<std::size_t>(s.queries), len);
  return lens;
}

// Products made the queries of bfloat16, and read their gradients rounded.
Both both(Tensor& x) { return x.only_rounded() ? Both{nullptr, x.rounded_data()} : x.data_and_rounded(); }

// Of the two products of the forward pass; backward has four.
double flops_of_attention(const AttentionSizes& s) {
  return 4 * static_cast<double>(s.batch * s.heads * s.queries * s.keys * s.head_size);
}

}  // namespace

std::vector<int> causal_lens(Index batch, Index queries, const std::vector<int>& valid_lens) {
  const Index given = static_cast<Index>(valid_lens.size()), all = batch * queries;
  check(given == 0 || given == batch || given == all, "causal_lens", "valid_lens must have a number for each of the ",
        batch, " images or of the ", all, " queries, got ", given);
  std::vector<int> lens;
  for (Index i = 0; i < all; ++i) {
    lens.push_back(static_cast<int>(i % queries + 1));
    if (given > 0)
      lens.back() = std::min(lens.back(), valid_lens[static_cast<std::size_t>(given == all ? i : i / queries)]);
  }
  return lens;
}

Attended attention(Operand queries, Operand keys, Operand values, int num_heads, const std::vector<int>& valid_lens,
                   real p, Draw draw, ReadBy readers) {
  const AttentionSizes s =
      attention_sizes("attention", queries.shape(), keys.shape(), values.shape(), num_heads, valid_lens, p);
  if (queries.size() == 0 || keys.size() == 0) {  // no keys: nothing is found
    const Tensor y = Tensor::zeros(queries.shape());
    return {y, Tensor(backend::attention_keeps(s)), y};
  }
  round_alike(queries, keys, values);
  const bool rounded = queries.only_rounded() && rounds(readers), exact = !rounded || backend::attention_keeps_y();
  Attended attended{exact ? Tensor(queries.shape()) : Tensor::of_rounded(queries.shape()),
                    Tensor(backend::attention_keeps(s)), Tensor()};
  const Timed timed("attention", elements(queries, keys, values, attended.kept, attended.y), flops_of_attention(s));
  const std::vector<int> lens = for_each_query(valid_lens, s);
  if (queries.only_rounded()) {
    const Both y = !exact    ? Both{nullptr, attended.y.rounded_data()}
                   : rounded ? attended.y.data_and_rounded()
                             : Both{attended.y.data(), nullptr};
    backend::attention_rounded(queries.rounded(), keys.rounded(), values.rounded(), pointer(lens), p, draw,
                               attended.kept.data(), y, s);
  } else {
    backend::attention(queries.exact().data(), keys.exact().data(), values.exact().data(), pointer(lens), p, draw,
                       attended.kept.data(), attended.y.data(), s);
  }
  if (backend::attention_keeps_y()) attended.kept_y = attended.y;
  return attended;
}

AttentionGradients attention_backward(Operand queries, Operand keys, Operand values, int num_heads,
                                      const std::vector<int>& valid_lens, real p, Draw draw, const Attended& forward,
                                      Operand dY, ReadBy readers) {
  const AttentionSizes s =
      attention_sizes("attention_backward", queries.shape(), keys.shape(), values.shape(), num_heads, valid_lens, p);
  const Shape kept = backend::attention_keeps(s);
  const bool fits_y = !backend::attention_keeps_y() || forward.kept_y.shape() == queries.shape();
  check(forward.kept.shape() == kept && fits_y && dY.shape() == queries.shape(), "attention_backward", "what was kept ",
        forward.kept.shape(), ", y ", forward.kept_y.shape(), " or dY ", dY.shape(), " does not fit the queries ",
        queries.shape(), " and keys ", keys.shape(), ": expected ", kept, " and ", queries.shape());
  if (queries.size() == 0 || keys.size() == 0)
    return {Tensor::zeros(queries.shape()), Tensor::zeros(keys.shape()), Tensor::zeros(keys.shape())};
  round_alike(queries, keys, values, dY);
  if (!queries.only_rounded()) readers = ReadBy::anyone;
  AttentionGradients d{result(queries.shape(), readers), result(keys.shape(), readers), result(keys.shape(), readers)};
  const Timed timed("attention_backward", 2 * elements(queries, keys, values) + elements(forward.kept, dY),
                    2 * flops_of_attention(s));
  const std::vector<int> lens = for_each_query(valid_lens, s);
  const real* const y = backend::attention_keeps_y() ? forward.kept_y.data() : nullptr;
  if (queries.only_rounded())
    backend::attention_rounded_backward(queries.rounded(), keys.rounded(), values.rounded(), pointer(lens), p, draw,
                                        forward.kept.data(), y, dY.rounded(), both(d.dqueries), both(d.dkeys),
                                        both(d.dvalues), s);
  else
    backend::attention_backward(queries.exact().data(), keys.exact().data(), values.exact().data(), pointer(lens), p,
                                draw, forward.kept.data(), y, dY.exact().data(), d.dqueries.data(), d.dkeys.data(),
                                d.dvalues.data(), s);
  return d;
}

Attended biased_attention(Operand qkv, int num_heads, const Tensor& bias, ReadBy readers) {
  const AttentionSizes s = biased_attention_sizes("biased_attention", qkv.shape(), num_heads, bias.shape());
  const Shape shape{s.batch, s.queries, s.heads * s.head_size};
  if (qkv.size() == 0) return {Tensor::zeros(shape), Tensor(cpu::attention_keeps(s)), Tensor()};
  Attended attended{qkv.only_rounded() ? result(shape, readers) : Tensor(shape), Tensor(cpu::attention_keeps(s)),
                    Tensor()};
  const Timed timed("attention", elements(qkv, attended.kept, attended.y), flops_of_attention(s));
  const ScoreBias added{bias.data(), bias.shape()[0]};
  if (!qkv.only_rounded()) {
    cpu::biased_attention(qkv.exact().data(), attended.kept.data(), attended.y.data(), s, added);
    return attended;
  }
  Tensor& y = attended.y;
  cpu::biased_attention_rounded(qkv.rounded(), attended.kept.data(),
                                y.only_rounded() ? Both{nullptr, y.rounded_data()} : Both{y.data(), nullptr}, s, added);
  return attended;
}

BiasedAttentionGradients biased_attention_backward(Operand qkv, int num_heads, const Attended& forward, Operand dY,
                                                   const Tensor& bias, ReadBy readers) {
  const AttentionSizes s = biased_attention_sizes("biased_attention_backward", qkv.shape(), num_heads, bias.shape());
  const Shape kept = cpu::attention_keeps(s), shape{s.batch, s.queries, s.heads * s.head_size};
  check(forward.kept.shape() == kept && dY.shape() == shape, "biased_attention_backward", "what was kept ",
        forward.kept.shape(), " or dY ", dY.shape(), " does not fit the rows ", qkv.shape(), ": expected ", kept,
        " and ", shape);
  if (qkv.size() == 0) return {Tensor::zeros(qkv.shape()), Tensor::zeros(kept)};
  round_alike(qkv, dY);
  if (!qkv.only_rounded()) readers = ReadBy::anyone;
  BiasedAttentionGradients d{result(qkv.shape(), readers), Tensor(kept)};
  const ScoreBias added{bias.data(), bias.shape()[0], d.dbias.data()};
  const Timed timed("attention_backward", 2 * elements(qkv) + elements(forward.kept, dY), 2 * flops_of_attention(s));
  if (qkv.only_rounded())
    cpu::biased_attention_rounded_backward(qkv.rounded(), forward.kept.data(), dY.rounded(), both(d.dqkv), s, added);
  else
    cpu::biased_attention_backward(qkv.exact().data(), forward.kept.data(), dY.exact().data(), d.dqkv.data(), s, added);
  return d;
}

}  // namespace bobbin
