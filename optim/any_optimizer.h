#pragma once
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "optim/adamw.h"
#include "optim/sgd.h"
#include "tensor/check.h"

/// The optimizers by name, for the command line. A new one is a file, included here, and its options in the list.
namespace bobbin {

/// The options of any of them.
using AnyOptimizerOptions = std::variant<  //
    SGDOptions,                            //
    AdamWOptions>;

/// The optimizer with these settings. SGD decays all parameters, AdamW those of decay_matrices().
inline std::unique_ptr<Optimizer> make_optimizer(const AnyOptimizerOptions& options,
                                                 std::vector<NamedParameter> parameters) {
  return std::visit(
      [&]<class Options>(const Options& o) -> std::unique_ptr<Optimizer> {
        return std::make_unique<typename Options::Rule>(std::move(parameters), o);
      },
      options);
}

/// The default options of each, in order.
inline std::vector<AnyOptimizerOptions> all_optimizer_options() {
  return []<class... Options>(const std::variant<Options...>&) {
    return std::vector<AnyOptimizerOptions>{Options()...};
  }(AnyOptimizerOptions());
}

/// "sgd", of SGDOptions.
inline std::string name_of(const AnyOptimizerOptions& options) {
  return std::visit([](const auto& o) { return std::string(o.name); }, options);
}

/// The learning rate to begin with where none is given: d2l.ai's 0.1 for SGD, torch's 1e-3 for AdamW.
inline double usual_lr(const AnyOptimizerOptions& options) {
  return std::visit([](const auto& o) { return o.usual_lr; }, options);
}

/// The names of all.
inline std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const AnyOptimizerOptions& options : all_optimizer_options()) names.push_back(name_of(options));
  return names;
}

/// The default settings of the optimizer "adamw". Throws Error, which lists the names, if there is none of this name.
inline AnyOptimizerOptions optimizer_options(const std::string& name) {
  std::string names;
  for (const AnyOptimizerOptions& options : all_optimizer_options()) {
    if (name_of(options) == name) return options;
    names += (names.empty() ? "" : ", ") + name_of(options);
  }
  fail("optimizer", "there is none called ", Quoted{name}, "; there are ", names);
}

}  // namespace bobbin
