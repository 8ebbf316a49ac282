#include "nn/load_parameters.h"

#include <algorithm>
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

}  // namespace

void load_parameters(std::vector<NamedParameter> parameters, const std::map<std::string, Tensor>& tensors,
                     const std::vector<std::string>& except) {
  const auto left_alone = [&](const std::string& name) {
    return std::any_of(except.begin(), except.end(), [&](const std::string& part) { return name.starts_with(part); });
  };
  std::erase_if(parameters, [&](const NamedParameter& named) { return left_alone(named.first); });

  std::vector<std::string> missing, unexpected, reshaped;
  std::map<std::string, Shape> known;
  for (const auto& [name, parameter] : parameters) {
    known.emplace(name, parameter.shape());
    const auto found = tensors.find(name);
    if (found == tensors.end())
      missing.push_back(name);
    else if (!(found->second.shape() == parameter.shape()))
      reshaped.push_back(text(name, " is ", found->second.shape(), ", expected ", parameter.shape()));
  }
  for (const auto& [name, tensor] : tensors)
    if (!known.contains(name) && !left_alone(name)) unexpected.push_back(text(Quoted{name}, " ", tensor.shape()));
  std::string wrong = list("missing", missing) + list("unexpected", unexpected) + list("of another shape", reshaped);
  if (!wrong.empty()) wrong.resize(wrong.size() - 2);
  check(wrong.empty(), "load_parameters", "the tensors do not fit the model: ", wrong);

  std::vector<Tensor> targets;  // all of them first: this is where a tape may object
  for (auto& [name, parameter] : parameters) targets.push_back(parameter.mutable_value());
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i].assign(tensors.at(parameters[i].first));
}

}  // namespace bobbin
