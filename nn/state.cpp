#include "nn/state.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "tensor/check.h"

namespace bobbin {
namespace {

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// "3 are missing: a, b, c; ", and of a long list the first few.
std::string list(const std::string& what, const std::vector<std::string>& items) {
  constexpr std::size_t shown = 5;
  if (items.empty()) return "";
  std::string result = text(items.size(), items.size() == 1 ? " is " : " are ", what, ": ");
  for (std::size_t i = 0; i < std::min(items.size(), shown); ++i) result += (i ? ", " : "") + items[i];
  return result + (items.size() > shown ? text(" and ", items.size() - shown, " more; ") : "; ");
}

// Of two parts of the same name a file would have one, also where they are of two kinds.
void check_is_new(const std::string& name, const auto&... kinds) {
  const auto taken = [&](const auto& parts) {
    return std::any_of(parts.begin(), parts.end(), [&](const auto& known) { return known.first == name; });
  };
  check(!(taken(kinds) || ...), "visit", "two members are called ", Quoted{name}, "; each needs a name of its own");
}

// A part that is reached on two ways is known by its address.
template <class T>
void add_once(std::vector<std::pair<std::string, T*>>& parts, const std::string& name, T& part,
              const auto&... other_kinds) {
  if (std::any_of(parts.begin(), parts.end(), [&](const auto& known) { return known.second == &part; })) return;
  check_is_new(name, parts, other_kinds...);
  parts.emplace_back(name, &part);
}

// What is saved. Parameters and buffers share the module's numbers.
std::vector<std::pair<std::string, Tensor>> named(const State& state) {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const auto& [name, parameter] : state.parameters) all.emplace_back(name, parameter.value());
  for (const auto& [name, buffer] : state.buffers) all.emplace_back(name, *buffer);
  for (const auto& [name, count] : state.counts) all.emplace_back(name, Tensor::scalar(static_cast<real>(count->n)));
  return all;
}

// Whether a tensor of one number counts something.
bool is_count(const Tensor& t) {
  const real n = t.item();
  return n >= 0 && n < 0x1p63 && n == std::floor(n);
}

}  // namespace

void State::add(const std::string& name, Var& parameter) {
  const auto is_known = [&](const NamedParameter& known) { return known.second.is(parameter); };
  if (!parameter.defined() || std::any_of(parameters.begin(), parameters.end(), is_known)) return;
  check(parameter.slot() != nullptr, "visit", name,
        " is a Var that learns nothing: make it a Var::parameter, or a Tensor if it is only to be kept");
  check_is_new(name, parameters, buffers, counts);
  parameter.set_name(name);
  parameters.emplace_back(name, parameter);
}

void State::add(const std::string& name, Tensor& buffer) {
  if (buffer.defined()) add_once(buffers, name, buffer, parameters, counts);
}
void State::add(const std::string& name, Count& count) { add_once(counts, name, count, parameters, buffers); }
void State::add(const std::string& name, Rng& stream) { add_once(streams, name, stream); }
void State::add(const std::string&, Training& training) { switches.push_back(&training); }

Index State::count_parameters() const {
  Index count = 0;
  for (const auto& [name, parameter] : parameters) count += parameter.size();
  return count;
}

void State::freeze(const std::string& names, bool on) const {
  bool found = false;
  std::vector<std::string> known;
  for (auto [name, parameter] : parameters) {
    known.push_back(name);
    if (fnmatch(names.c_str(), name.c_str(), 0) != 0) continue;
    parameter.freeze(on);
    found = true;
  }
  check(found || parameters.empty(), "freeze", "no parameter is called ", Quoted{names}, "; the model's ",
        list("known", known));
}

void State::train(bool on) const {
  for (Training* training : switches) training->on = on;
}

std::map<std::string, Tensor> State::tensors() const {
  const auto all = named(*this);
  return {all.begin(), all.end()};
}

std::set<std::string> State::whole_numbers() const {
  std::set<std::string> names;
  for (const auto& [name, count] : counts) names.insert(name);
  return names;
}

void State::load(const std::map<std::string, Tensor>& tensors, const std::vector<std::string>& except) const {
  const auto left_alone = [&](const std::string& name) {
    return std::any_of(except.begin(), except.end(), [&](const std::string& part) { return name.starts_with(part); });
  };
  auto wanted = named(*this);
  std::erase_if(wanted, [&](const auto& part) { return left_alone(part.first); });

  std::vector<std::string> missing, unexpected, reshaped, uncountable;
  std::set<std::string> known;
  const std::set<std::string> whole = whole_numbers();
  for (const auto& [name, ours] : wanted) {
    known.insert(name);
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      if (!whole.contains(name)) missing.push_back(name);
    } else if (!(found->second.shape() == ours.shape())) {
      reshaped.push_back(text(name, " is ", found->second.shape(), ", expected ", ours.shape()));
    } else if (whole.contains(name) && !is_count(found->second)) {
      uncountable.push_back(text(name, " is ", found->second.item()));
    }
  }
  for (const auto& [name, tensor] : tensors)
    if (!known.contains(name) && !left_alone(name)) unexpected.push_back(text(Quoted{name}, " ", tensor.shape()));
  std::string wrong = list("missing", missing) + list("unexpected", unexpected) + list("of another shape", reshaped) +
                      list("no whole number", uncountable);
  if (!wrong.empty()) wrong.resize(wrong.size() - 2);
  check(wrong.empty(), "load_state", "the tensors do not fit the model: ", wrong);

  for (auto [name, parameter] : parameters) parameter.mutable_value();  // all of them first: a tape may object
  for (auto& [name, ours] : wanted)
    if (!whole.contains(name)) ours.assign(tensors.at(name));
  for (const auto& [name, count] : counts)
    if (const auto found = tensors.find(name); found != tensors.end() && !left_alone(name))
      count->n = static_cast<std::int64_t>(found->second.item());
}

}  // namespace bobbin
