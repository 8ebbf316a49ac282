#include "optim/training/data_parallel.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/profile.h"

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
  std::string first = lines;
  std::size_t length = lines.size();
  comm::broadcast(&length, sizeof length);
  first.resize(length);
  comm::broadcast(first.data(), length);
  std::istringstream ours(lines), theirs(first);
  for (std::string here, there; ours || theirs;) {
    if (!std::getline(ours, here)) here = "nothing";
    if (!std::getline(theirs, there)) there = "nothing";
    check(here == there, "ranks", "rank ", comm::rank(), " has ", here, ", rank 0 ", there,
          ": all ranks train the same, with the same data");
  }
}

std::vector<double> sum_of_all_ranks(std::vector<double> numbers) {
  if (comm::size() > 1) {
    const profile::Timed timed("wait_for_ranks", 0);
    const Index n = static_cast<Index>(numbers.size());
    const auto all = std::make_shared<std::vector<double>>(std::move(numbers));
    comm::begin_sum({all, all->data()}, n).wait();
    return *all;
  }
  return numbers;
}

GradientSum::GradientSum(std::vector<NamedParameter> parameters, Index bucket_size) {
  std::reverse(parameters.begin(), parameters.end());
  for (const auto& [name, parameter] : parameters) {
    if (buckets_.empty() || buckets_.back().size >= bucket_size) buckets_.emplace_back();
    Bucket& bucket = buckets_.back();
    bucket.parts.push_back({parameter, bucket.size});
    bucket.size += parameter.size() + 1;
  }
  for (Bucket& bucket : buckets_) {
    bucket.numbers.reset(new real[static_cast<std::size_t>(bucket.size)], std::default_delete<real[]>());
    for (Part& part : bucket.parts) part_of_.emplace_back(part.parameter.slot(), &part);
  }
  std::sort(part_of_.begin(), part_of_.end());
}

void GradientSum::begin() {
  for (const auto& [slot, part] : part_of_) part->finished = !part->parameter.requires_grad();
  sent_ = 0;
  listener_.emplace(*this);
}

void GradientSum::finished(const GradSlot& parameter) {
  const auto found =
      std::lower_bound(part_of_.begin(), part_of_.end(), std::pair<const GradSlot*, Part*>(&parameter, nullptr));
  if (found == part_of_.end() || found->first != &parameter) return;  // no optimizer has it
  found->second->finished = true;
  send_finished(false);
}

void GradientSum::send_finished(bool all) {
  const auto ready = [](const Bucket& b) { return std::ranges::all_of(b.parts, &Part::finished); };
  for (; sent_ < buckets_.size() && (all || ready(buckets_[sent_])); ++sent_) {
    Bucket& bucket = buckets_[sent_];
    const profile::Timed timed("fill_bucket", 2 * static_cast<double>(bucket.size));
    for (const Part& part : bucket.parts) {
      real* const to = bucket.numbers.get() + part.first;
      const Index n = part.parameter.size();
      const Tensor& gradient = part.parameter.grad();
      if (gradient.defined() && n > 0)
        backend::to_host(gradient.data(), to, n);
      else
        std::fill_n(to, n, real{0});
      to[n] = gradient.defined();
    }
    bucket.sum = comm::begin_sum(bucket.numbers, bucket.size);
  }
}

void GradientSum::end() {
  listener_.reset();
  send_finished(true);
  for (Bucket& bucket : buckets_) {
    {
      const profile::Timed timed("wait_for_ranks", 0);
      bucket.sum.wait();
    }
    const profile::Timed timed("empty_bucket", 2 * static_cast<double>(bucket.size));
    for (Part& part : bucket.parts) {
      const real* const from = bucket.numbers.get() + part.first;
      const Index n = part.parameter.size();
      if (from[n] == 0) continue;
      Staging sum(part.parameter.shape());
      std::copy_n(from, n, sum.data());
      part.parameter.take_grad();
      part.parameter.add_grad(std::move(sum).tensor());
    }
  }
}

}  // namespace bobbin
