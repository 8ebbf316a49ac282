#pragma once
#include <string>
#include <utility>

#include "autograd/tape.h"

/// Dotted names of parameters, as PyTorch's: "blks.0.attention.W_q.weight" is the weight of W_q in the attention of
/// block 0.
namespace bobbin {

/// A parameter with its name.
using NamedParameter = std::pair<std::string, Var>;

/// The module of a name: "blks.0.ln1" for "blks.0.ln1.weight"; "" for a name without a dot.
inline std::string parent(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

/// Whether `name` is `path` or stands somewhere in it. Everything stands in "".
inline bool is_in(const std::string& name, const std::string& path) {
  return path.empty() || name == path || name.starts_with(path + ".");
}

/// The innermost that holds both: "blks.0" for "blks.0.ln1" and "blks.0.mlp.dense1".
inline std::string common(const std::string& a, const std::string& b) {
  std::string path = a;
  while (!is_in(b, path)) path = parent(path);
  return path;
}

}  // namespace bobbin
