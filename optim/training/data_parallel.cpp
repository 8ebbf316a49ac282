#include "optim/training/data_parallel.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <utility>

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/profile.h"
#include "tensor/storage.h"

namespace bobbin {

void broadcast_state(const State& model) {
  if (comm::size() == 1) return;
  std::map<std::string, Tensor> tensors = model.tensors();
  for (auto& [name, tensor] : tensors) {
    std::vector<real> numbers = tensor.values();
    comm::broadcast(numbers.data(), numbers.size() * sizeof numbers[0]);
    tensor = Tensor(tensor.shape(), numbers);
  }
  model.load(tensors);
  broadcast_buffers(model);
  for (const auto& [name, stream] : model.streams) {
    Draw next = stream->peek();
    comm::broadcast(&next, sizeof next);
    *stream = Rng(next);
  }
}

void broadcast_buffers(const State& model) {
  if (comm::size() == 1 || (model.buffers.empty() && model.counts.empty())) return;
  std::vector<double> all;
  for (const auto& [name, buffer] : model.buffers)
    for (const real x : buffer->values()) all.push_back(double{x});
  for (const auto& [name, count] : model.counts) all.push_back(static_cast<double>(count->n));
  comm::broadcast(all.data(), all.size() * sizeof all[0]);
  if (comm::rank() == 0) return;
  auto next = all.begin();
  for (const auto& [name, buffer] : model.buffers) {
    std::vector<real> numbers(static_cast<std::size_t>(buffer->size()));
    for (real& x : numbers) x = static_cast<real>(*next++);
    buffer->assign(Tensor(buffer->shape(), numbers));
  }
  for (const auto& [name, count] : model.counts) count->n = static_cast<std::int64_t>(*next++);
}

void check_same_on_all_ranks(const std::string& lines) {
  if (comm::size() == 1) return;
  std::istringstream ours(lines), theirs(comm::broadcast(lines));
  for (std::string here, there; ours || theirs;) {
    if (!std::getline(ours, here)) here = "nothing";
    if (!std::getline(theirs, there)) there = "nothing";
    check(here == there, "ranks", "rank ", comm::rank(), " has ", here, ", rank 0 ", there,
          ": all ranks train the same, with the same data");
  }
}

std::string ranks_without_finite(double loss) {
  if (comm::size() == 1) return "";
  std::vector<double> bad(static_cast<std::size_t>(comm::size()));
  bad[static_cast<std::size_t>(comm::rank())] = !std::isfinite(loss);
  bad = comm::sum_of_all_ranks(std::move(bad));
  std::string ranks;
  for (std::size_t i = 0; i < bad.size(); ++i)
    if (bad[i] != 0) ranks += (ranks.empty() ? ", on rank " : ", ") + std::to_string(i);
  return ranks;
}

namespace {

// n numbers into a bucket, and out of it.
void copy(const real* from, real* to, Index n) { backend::copy_rows(from, n, to, n, 1, n); }
void copy(const real* from, bfloat16* to, Index n) { backend::round_to_bfloat16(from, to, n); }
void copy(const bfloat16* from, real* to, Index n) { backend::widen(from, to, n); }

template <class T>
std::shared_ptr<T> zeros(Index n) {
  std::shared_ptr<T> block = memory::allocate_as<T>(n);
  backend::fill(reinterpret_cast<real*>(block.get()), 0, n * static_cast<Index>(sizeof(T)) / Index{sizeof(real)});
  return block;
}

}  // namespace

void share_model(const State& model, std::string lines) {
  if (comm::size() == 1) return;
  for (const auto& [name, tensor] : model.tensors()) {
    std::ostringstream line;
    line << "the model's " << name << " " << tensor.shape() << "\n";
    lines += line.str();
  }
  check_same_on_all_ranks(lines);
  broadcast_state(model);
}

GradientSum::GradientSum(std::vector<NamedParameter> parameters, CommPrecision precision, Index bucket_size)
    : parameters_(std::move(parameters)), precision_(precision), bucket_size_(bucket_size) {
  std::reverse(parameters_.begin(), parameters_.end());
}

void GradientSum::make_buckets() {
  buckets_.clear();
  part_of_.clear();
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.requires_grad()) continue;
    if (buckets_.empty() || buckets_.back().size >= bucket_size_) buckets_.emplace_back();
    Bucket& bucket = buckets_.back();
    bucket.parts.push_back({parameter, bucket.size});
    bucket.size += (parameter.size() + 3) / 4 * 4;  // kernels move four numbers at a time from a multiple of four
  }
  for (Bucket& bucket : buckets_) {
    if (precision_ == CommPrecision::bfloat16)
      bucket.numbers = zeros<bfloat16>(bucket.size);
    else
      bucket.numbers = zeros<real>(bucket.size);
    for (Part& part : bucket.parts) part_of_.emplace_back(part.parameter.slot(), &part);
  }
  std::sort(part_of_.begin(), part_of_.end());
}

void GradientSum::begin() {
  const auto learns = [](const NamedParameter& p) { return p.second.requires_grad(); };
  const auto has_part = [this](const NamedParameter& p) { return part_of(*p.second.slot()) != nullptr; };
  if (!std::ranges::all_of(parameters_, [&](const NamedParameter& p) { return learns(p) == has_part(p); }))
    make_buckets();
  for (const auto& [slot, part] : part_of_) part->finished = false;
  sent_ = 0;
  listener_.emplace(*this);
}

GradientSum::Part* GradientSum::part_of(const GradSlot& parameter) const {
  const auto found =
      std::lower_bound(part_of_.begin(), part_of_.end(), std::pair<const GradSlot*, Part*>(&parameter, nullptr));
  return found == part_of_.end() || found->first != &parameter ? nullptr : found->second;
}

void GradientSum::finished(const GradSlot& parameter) {
  Part* const part = part_of(parameter);
  if (!part) return;  // no optimizer has it
  part->finished = true;
  send_finished(false);
}

void GradientSum::send_finished(bool all) {
  const auto ready = [](const Bucket& b) { return std::ranges::all_of(b.parts, &Part::finished); };
  for (; sent_ < buckets_.size() && (all || ready(buckets_[sent_])); ++sent_) {
    Bucket& bucket = buckets_[sent_];
    const profile::Timed timed("fill_bucket", 2 * static_cast<double>(bucket.size));
    const auto fill = [&](const auto& numbers) {
      for (Part& part : bucket.parts) {
        const Tensor& gradient = part.parameter.grad();
        part.own = gradient.defined();
        const Tensor from = part.own ? gradient : Tensor::zeros(part.parameter.shape());
        if (!from.empty()) copy(from.data(), numbers.get() + part.first, from.size());
      }
      bucket.sum = comm::begin_sum(numbers, bucket.size);
    };
    std::visit(fill, bucket.numbers);
  }
}

void GradientSum::take(Part& part, const Numbers& sum) {
  Tensor gradient = part.parameter.take_grad();
  if (!gradient.defined() || !gradient.unique()) gradient = Tensor(part.parameter.shape());
  const auto from = [&](const auto& numbers) { copy(numbers.get() + part.first, gradient.data(), gradient.size()); };
  if (!gradient.empty()) std::visit(from, sum);
  part.parameter.add_grad(std::move(gradient));
}

void GradientSum::end() {
  listener_.reset();
  send_finished(true);
  std::vector<double> owners;  // how many ranks have a gradient of each parameter
  for (const Bucket& bucket : buckets_)
    for (const Part& part : bucket.parts) owners.push_back(part.own);
  owners = comm::sum_of_all_ranks(std::move(owners));  // which overtakes the last buckets
  auto count = owners.begin();
  for (Bucket& bucket : buckets_) {
    bucket.sum.wait();
    const profile::Timed timed("empty_bucket", 2 * static_cast<double>(bucket.size));
    for (Part& part : bucket.parts)
      if (*count++ > 0) take(part, bucket.numbers);
  }
}

}  // namespace bobbin
