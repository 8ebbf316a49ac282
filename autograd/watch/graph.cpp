#include "autograd/watch/graph.h"

#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "tensor/check.h"
#include "tensor/storage.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// A parameter or an op.
struct Node {
  std::string name;
  Shape shape;
  bool is_op = false;
  std::vector<std::size_t> inputs{};  // places of other nodes
  std::size_t kept = 0;               // bytes
  std::string frame{};                // the module in which it is drawn
};

// In the order of the tape, each parameter before the first op that uses it.
using Nodes = std::vector<Node>;

// A parameter's module is drawn as a frame if there are modules in it. If not, it is a layer, which is one op or two,
// and the parameter is drawn in the module around it.
std::string frame_of_parameter(const std::string& name, const Nodes& nodes) {
  const std::string module = parent(name);
  for (const Node& other : nodes)
    if (!other.is_op && parent(other.name) != module && is_in(parent(other.name), module)) return module;
  return parent(module);
}

// The innermost frame around all inputs that are ops, or that are parameters.
std::optional<std::string> frame_of_inputs(const Node& op, const Nodes& nodes, bool ops) {
  std::optional<std::string> frame;
  for (const std::size_t i : op.inputs)
    if (nodes[i].is_op == ops) frame = frame ? common(*frame, nodes[i].frame) : nodes[i].frame;
  return frame;
}

// An op that uses parameters is drawn where they are. Any other ran between two such ops, so it is in all modules that
// both are in; and it may be further inside, where its inputs are, as the dropout that ends an MLP is. After the last
// such op the model has ended.
void find_frames(Nodes& nodes) {
  std::vector<std::size_t> users;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!nodes[i].is_op) {
      nodes[i].frame = frame_of_parameter(nodes[i].name, nodes);
    } else if (const auto frame = frame_of_inputs(nodes[i], nodes, false)) {
      nodes[i].frame = *frame;
      users.push_back(i);
    }
  }
  auto next = users.begin();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (next == users.end()) return;
    if (!nodes[i].is_op) continue;
    if (*next == i) {
      ++next;
      continue;
    }
    const std::string between = next == users.begin() ? "" : common(nodes[*(next - 1)].frame, nodes[*next].frame);
    const std::string inside = frame_of_inputs(nodes[i], nodes, true).value_or("");
    nodes[i].frame = is_in(inside, between) ? inside : between;
  }
}

// 417792 as 418 KB: three digits.
std::string describe_bytes(std::size_t bytes) {
  constexpr const char* units[] = {"bytes", "KB", "MB", "GB", "TB"};
  auto number = static_cast<double>(bytes);
  int unit = 0;
  for (; number >= 999.5 && unit < 4; ++unit) number /= 1000;
  return format("%.3g %s", number, units[unit]);
}

// A string of the language.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    c == '\n' ? result += "\\n" : result += c;
  }
  return result + '"';
}

// "mlp.dense1" for "blks.0.mlp.dense1" in the frame "blks.0".
std::string relative(const std::string& name, const std::string& frame) {
  return !frame.empty() && is_in(name, frame) ? name.substr(std::min(name.size(), frame.size() + 1)) : name;
}

// "dense1: linear" for an op that uses the parameters of one layer.
std::string title(const Node& op, const Nodes& nodes) {
  std::set<std::string> layers;
  for (const std::size_t i : op.inputs)
    if (!nodes[i].is_op) layers.insert(relative(parent(nodes[i].name), op.frame));
  return layers.size() == 1 && !layers.begin()->empty() ? *layers.begin() + ": " + op.name : op.name;
}

std::string label(const Node& node, const Nodes& nodes) {
  std::ostringstream text;
  text << (node.is_op ? title(node, nodes) : relative(node.name, node.frame)) << '\n' << node.shape;
  if (!node.is_op && node.shape.rank() > 1) text << ": " << with_commas(node.shape.size());
  if (node.kept > 0) text << "\nkeeps " << describe_bytes(node.kept);
  return text.str();
}

// The nodes of one frame, and the frames in it.
void draw_frame(std::ostream& out, const std::string& frame, const std::set<std::string>& frames, const Nodes& nodes) {
  if (!frame.empty()) out << "subgraph " << quoted("cluster_" + frame) << " {\nlabel=" << quoted(frame) << ";\n";
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i].frame == frame)
      out << 'n' << i << " [label=" << quoted(label(nodes[i], nodes))
          << (nodes[i].is_op ? "" : ", style=filled, color=\"#a89a72\", fillcolor=\"#f6efdc\"") << "];\n";
  for (const std::string& inner : frames) {
    std::string around = parent(inner);
    while (!around.empty() && !frames.contains(around)) around = parent(around);
    if (!inner.empty() && around == frame) draw_frame(out, inner, frames, nodes);
  }
  if (!frame.empty()) out << "}\n";
}

std::string draw(const Nodes& nodes) {
  std::set<std::string> frames;
  std::size_t ops = 0, kept = 0;
  Index numbers = 0;
  for (const Node& node : nodes) {
    frames.insert(node.frame);
    ops += node.is_op;
    kept += node.kept;
    if (!node.is_op) numbers += node.shape.size();
  }
  std::ostringstream out;
  out << "digraph tape {\n"
         "graph [fontname=\"Helvetica\", fontsize=12, color=\"#b0b8c0\", style=rounded, labeljust=l, ranksep=0.3];\n"
         "node [fontname=\"Helvetica\", fontsize=11, shape=box, style=\"rounded,filled\", color=\"#5b6f82\", "
         "fillcolor=\"#e9eff5\", margin=\"0.12,0.05\", height=0.3];\n"
         "edge [color=\"#5b6f82\", arrowsize=0.6];\n"
      << "label="
      << quoted(std::to_string(ops) + " ops, which keep " + describe_bytes(kept) + " for backward; " +
                with_commas(numbers) + " numbers in the parameters (square)")
      << ";\n";
  draw_frame(out, "", frames, nodes);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const std::size_t input : nodes[i].inputs)
      out << 'n' << input << " -> n" << i << (nodes[input].is_op ? " [weight=4];\n" : ";\n");
  out << "}\n";
  return out.str();
}

}  // namespace

std::string to_dot(Tape&& tape, const std::vector<NamedParameter>& parameters) {
  check(!tape.spent(), "to_dot", "this tape is spent: draw it before backward(), which takes it apart");
  std::map<const GradSlot*, std::string> names;
  for (const auto& [name, parameter] : parameters) names[parameter.slot()] = name;

  Nodes nodes;
  std::map<const GradSlot*, std::size_t> places;
  const auto place = [&](const GradSlot* input) {
    if (const auto known = places.find(input); known != places.end()) return known->second;
    const auto name = names.find(input);
    nodes.push_back({.name = name == names.end() ? "parameter" : name->second, .shape = input->shape});
    return places[input] = nodes.size() - 1;
  };
  std::vector<Tape::Node> recorded = std::move(tape).take_nodes();
  for (const Tape::Node& node : recorded) {
    Node op{.name = node.op, .shape = node.output->shape, .is_op = true};
    for (const auto& [inputs, vjp] : node.edges)
      for (const Tape::Use& input : inputs)
        if (input.slot()) op.inputs.push_back(place(input.slot()));
    places[node.output.get()] = nodes.size();
    nodes.push_back(std::move(op));
  }
  find_frames(nodes);

  while (!recorded.empty()) {  // in the order of backward()
    const std::size_t op = places[recorded.back().output.get()], before = memory::stats().in_use;
    recorded.pop_back();
    nodes[op].kept = before - memory::stats().in_use;
  }
  return draw(nodes);
}

}  // namespace bobbin
