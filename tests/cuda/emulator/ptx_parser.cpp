#include "ptx_parser.h"

#include <cxxabi.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "engine.h"
#include "ptx_instructions.h"

namespace emulator::ptx {
namespace {

// --- words ------------------------------------------------------------------------------------------------

struct Word {
  std::string text;  ///< a name, a number, a sign of one character, or a string with its first quote
  int line;
};

bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

std::vector<Word> words_of(const std::string& text) {
  std::vector<Word> words;
  int line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    if (text[at] == '\n') {
      ++line, ++at;
    } else if (std::isspace(static_cast<unsigned char>(text[at]))) {
      ++at;
    } else if (text.compare(at, 2, "//") == 0) {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.compare(at, 2, "/*") == 0) {
      at = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
      for (std::size_t k = begin; k < at; ++k) line += text[k] == '\n';
    } else if (text[at] == '"') {
      at = std::min(text.find('"', at + 1), text.size());
      words.push_back({text.substr(begin, at++ - begin), line});
    } else if (in_name(text[at])) {
      // "L2::128B" is part of a name, "label:" is not.
      while (at < text.size() && (in_name(text[at]) || text.compare(at, 2, "::") == 0)) at += text[at] == ':' ? 2 : 1;
      words.push_back({text.substr(begin, at - begin), line});
    } else {
      words.push_back({text.substr(at++, 1), line});
    }
  }
  return words;
}

bool is_number(const std::string& word) { return std::isdigit(static_cast<unsigned char>(word[0])); }

/// 10, 0x1F, 0b11, and 0f3F800000 or 0d3FF0000000000000, the bits of a float or double.
std::uint64_t number_of(const std::string& word) {
  const char kind = word.size() > 1 ? static_cast<char>(std::tolower(static_cast<unsigned char>(word[1]))) : ' ';
  if (word[0] == '0' && (kind == 'f' || kind == 'd')) return std::strtoull(word.c_str() + 2, nullptr, 16);
  if (word[0] == '0' && kind == 'b') return std::strtoull(word.c_str() + 2, nullptr, 2);
  return std::strtoull(word.c_str(), nullptr, 0);
}

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// --- the parser -------------------------------------------------------------------------------------------

class Parser {
 public:
  Parser(const std::string& text, std::string source, Program& program)
      : words_(words_of(text)), source_(std::move(source)), program_(program) {}

  void parse() {
    find_files();
    while (at_ < words_.size()) directive();
  }

 private:
  // --- words ---
  const std::string& peek() const {
    static const std::string end;
    return at_ < words_.size() ? words_[at_].text : end;
  }
  std::string take() {
    if (at_ == words_.size()) fail("the file ends too early");
    return words_[at_++].text;
  }
  bool take_if(const char* word) {
    if (peek() != word) return false;
    ++at_;
    return true;
  }
  void expect(const char* word) {
    if (!take_if(word)) fail(std::string("expected ") + word + " but found '" + peek() + "'");
  }
  void skip_line() {
    const int line = words_[at_].line;
    while (at_ < words_.size() && words_[at_].line == line) ++at_;
  }
  void skip_to(const char* word) {
    while (take() != word) {
    }
  }
  [[noreturn]] void fail(const std::string& what) const {
    const int line = words_.empty() ? 0 : words_[std::min(at_, words_.size() - 1)].line;
    die("cannot read PTX: " + what, source_ + ":" + std::to_string(line));
  }

  // --- outside of functions ---

  /// ".file 1 "/path/softmax.cu"" comes after what refers to it.
  void find_files() {
    for (std::size_t k = 0; k + 2 < words_.size(); ++k)
      if (words_[k].text == ".file") {
        const std::string& path = words_[k + 2].text;
        files_[words_[k + 1].text] = path.substr(path.find_last_of("/\"") + 1);
      }
  }

  void directive() {
    const std::string word = peek();
    if (word == ".version" || word == ".target" || word == ".address_size" || word == ".file" || word == ".loc") {
      skip_line();
    } else if (word == ".section") {
      skip_to("{");
      skip_to("}");
    } else if (word == ".visible" || word == ".extern" || word == ".weak" || word == ".common") {
      take();
    } else if (word == ".entry" || word == ".func") {
      function();
    } else if (word == ".global" || word == ".const" || word == ".shared") {
      variable(globals_);
    } else if (word == ".pragma") {
      skip_to(";");
    } else {
      fail("unexpected '" + word + "'");
    }
  }

  struct Declaration {
    std::string name;
    std::size_t element_bytes = 0, count = 1, alignment = 1;
    std::size_t bytes() const { return element_bytes * count; }
  };
  /// "space .align 4 .b8 name[128]"; of kernels also "space .u64 .ptr .global .align 1 name".
  Declaration declaration() {
    Declaration d;
    for (take(); peek().starts_with(".");) {
      const std::string word = take();
      if (word == ".align") {
        d.alignment = number_of(take());
      } else if (const Type type = take_apart("x" + word).type; type != Type::none) {
        d.element_bytes = size_of(type);
      }
    }
    d.alignment = std::max(d.alignment, d.element_bytes);
    d.name = take();
    while (take_if("[")) {
      d.count *= peek() == "]" ? 0 : number_of(take());
      expect("]");
    }
    return d;
  }

  /// Outside of functions, or __shared__ within.
  void variable(std::map<std::string, const Variable*>& scope) {
    Variable v;
    v.shared = peek() == ".shared";
    const Declaration d = declaration();
    v.bytes = d.bytes();
    v.alignment = d.alignment;
    if (!v.shared) {
      v.memory.resize(round_up(v.bytes, 8) / 8);
      if (take_if("=")) {
        auto* to = reinterpret_cast<char*>(v.memory.data());
        const char* const end = to + v.bytes;
        for (const bool many = take_if("{"); to < end && peek() != "}"; take_if(",")) {
          const bool negative = take_if("-");
          if (!is_number(peek())) fail("'" + d.name + "' is initialised by something else than numbers");
          const std::uint64_t value = number_of(take()) * (negative ? -1ull : 1);
          std::memcpy(to, &value, d.element_bytes);
          to += d.element_bytes;
          if (!many) break;
        }
        take_if("}");
      }
    }
    expect(";");
    program_.variables.push_back(std::move(v));
    scope[d.name] = &program_.variables.back();
  }

  // --- functions ---

  void function() {
    Function f;
    f.entry = take() == ".entry";
    registers_.clear();
    locals_.clear();
    labels_.clear();
    branches_.clear();
    label_tables_.clear();
    table_branches_.clear();
    location_.clear();
    f_ = &f;
    true_ = constant(1);

    while (peek().starts_with(".")) take();  // .noreturn
    if (peek() == "(") parameters();         // results
    f.name = take();
    if (peek() == "(") parameters();
    while (peek() != "{" && peek() != ";") take();  // .maxntid 256, 1, 1
    if (take_if(";")) return;                       // only declared

    int status = 0;
    char* const readable = abi::__cxa_demangle(f.name.c_str(), nullptr, nullptr, &status);
    readable_name_ = status == 0 ? readable : f.name;
    std::free(readable);

    body();
    append("ret", {});
    for (const auto& [index, label] : branches_) f.code[index].number = label_of(label);
    for (const auto& [index, name] : table_branches_) {
      std::vector<int> table;
      for (const std::string& label : label_tables_[name]) table.push_back(label_of(label));
      f.code[index].number = static_cast<std::int64_t>(f.jump_tables.size());
      f.jump_tables.push_back(table);
    }
    program_.functions.push_back(std::move(f));
    program_.by_name[program_.functions.back().name] = &program_.functions.back();
  }

  int label_of(const std::string& label) {
    if (!labels_.count(label)) fail("label '" + label + "' is nowhere in " + f_->name);
    return labels_[label];
  }

  void parameters() {
    expect("(");
    while (!take_if(")")) {
      const Register address = declare(declaration().name);
      f_->at_start.push_back({Preset::parameter_address, address, static_cast<std::int64_t>(f_->parameters++)});
      take_if(",");
    }
  }

  void body() {
    for (bool begin = true; begin || !scopes_.empty(); begin = false) {
      const std::string word = peek();
      if (word == "{") {
        take();
        scopes_.emplace_back();
      } else if (word == "}") {
        take();
        end_scope();
      } else if (word == ";") {
        take();
      } else if (word == ".loc") {
        location();
      } else if (word == ".file") {
        skip_line();
      } else if (word == ".pragma") {
        skip_to(";");
      } else if (word == ".reg") {
        registers();
      } else if (word == ".local" || word == ".param") {
        local();
      } else if (word == ".shared" || word == ".global" || word == ".const") {
        variable(locals_);
      } else if (at_ + 1 < words_.size() && words_[at_ + 1].text == ":") {
        label();
      } else {
        instruction();
      }
    }
  }

  /// ".loc 1 26 5", or ".loc 1 26 5, function_name $L__info_string1, inlined_at 2 70 3": of what follows.
  void location() {
    const int line = words_[at_].line;
    take();
    const auto place = [&] {
      const std::string file = take();
      return files_[file] + ":" + take();
    };
    location_ = place();
    while (at_ < words_.size() && words_[at_].line == line)
      if (take() == "inlined_at") location_ += ", inlined at " + place();
  }

  /// ".reg .b32 %r<17>;" declares %r0 to %r16, ".reg .b32 name, other;" just these.
  void registers() {
    take();
    while (peek().starts_with(".")) take();
    do {
      const std::string name = take();
      if (take_if("<")) {
        const std::uint64_t n = number_of(take());
        for (std::uint64_t k = 0; k < n; ++k) declare(name + std::to_string(k));
        expect(">");
      } else {
        declare(name);
      }
    } while (take_if(","));
    expect(";");
  }

  /// An array in local memory, or the parameters of a call, which are there as well.
  void local() {
    const Declaration d = declaration();
    expect(";");
    const std::size_t offset = round_up(f_->local_bytes, d.alignment);
    f_->local_bytes = offset + d.bytes();
    f_->once.push_back({Preset::local_address, declare(d.name), static_cast<std::int64_t>(offset)});
  }

  void label() {
    const std::string name = take();
    expect(":");
    if (!take_if(".branchtargets")) {
      labels_[name] = static_cast<int>(f_->code.size());
      return;
    }
    while (!take_if(";"))
      if (!take_if(",")) label_tables_[name].push_back(take());
  }

  // --- registers ---

  Register new_register() {
    if (f_->registers > 65535) fail("more than 65535 registers in " + f_->name);
    return static_cast<Register>(f_->registers++);
  }
  /// From here to the end of the scope the name means a new register. nvcc hides names that it needs later on.
  Register declare(const std::string& name) {
    const auto hidden = registers_.find(name);
    if (!scopes_.empty())
      scopes_.back().emplace_back(name, hidden == registers_.end() ? std::nullopt : std::optional(hidden->second));
    return registers_[name] = new_register();
  }
  void end_scope() {
    for (auto hidden = scopes_.back().rbegin(); hidden != scopes_.back().rend(); ++hidden)
      if (hidden->second)
        registers_[hidden->first] = *hidden->second;
      else
        registers_.erase(hidden->first);
    scopes_.pop_back();
  }

  /// The same in all scopes.
  Register global_register(const std::string& name) {
    const auto [entry, fresh] = registers_.try_emplace(name);
    if (fresh) entry->second = new_register();
    return entry->second;
  }
  Register constant(std::uint64_t value) {
    const std::string name = "constant " + std::to_string(value);
    if (registers_.count(name)) return registers_[name];
    f_->once.push_back({Preset::constant, global_register(name), static_cast<std::int64_t>(value)});
    return registers_[name];
  }

  /// Of what a name stands for; nothing if the name is unknown.
  std::optional<Register> register_of(const std::string& name) {
    static const std::map<std::string, Special> specials = {{"%tid.x", tid_x},
                                                            {"%tid.y", tid_y},
                                                            {"%tid.z", tid_z},
                                                            {"%ntid.x", ntid_x},
                                                            {"%ntid.y", ntid_y},
                                                            {"%ntid.z", ntid_z},
                                                            {"%ctaid.x", ctaid_x},
                                                            {"%ctaid.y", ctaid_y},
                                                            {"%ctaid.z", ctaid_z},
                                                            {"%nctaid.x", nctaid_x},
                                                            {"%nctaid.y", nctaid_y},
                                                            {"%nctaid.z", nctaid_z},
                                                            {"%laneid", laneid},
                                                            {"%warpid", warpid},
                                                            {"%lanemask_eq", lanemask_eq},
                                                            {"%lanemask_lt", lanemask_lt},
                                                            {"%lanemask_le", lanemask_le},
                                                            {"%lanemask_gt", lanemask_gt},
                                                            {"%lanemask_ge", lanemask_ge}};
    if (registers_.count(name)) return registers_[name];
    if (name == "WARP_SZ") return constant(32);
    if (specials.count(name)) {
      const Register r = global_register(name);
      f_->at_start.push_back({Preset::special, r, specials.at(name)});
      return r;
    }
    if (name == "_") return global_register(name);  // a result that nobody wants
    return address_of(name, 0);
  }

  /// Of an array of the function or the file, and beyond.
  std::optional<Register> address_of(const std::string& name, std::uint64_t offset) {
    const Variable* v = nullptr;
    for (const auto* scope : {&locals_, &globals_})
      if (!v && scope->count(name)) v = scope->at(name);
    if (!v) return std::nullopt;
    if (!v->shared) return constant(reinterpret_cast<std::uintptr_t>(v->memory.data()) + offset);
    if (v->bytes == 0 || !f_->entry) return std::nullopt;  // of a size that the launch tells; of a kernel unknown here
    std::size_t k = 0;
    while (k < f_->shared.size() && f_->shared[k] != v) ++k;
    if (k == f_->shared.size()) f_->shared.push_back(v);
    return constant(((k + 1) << shared_address_bits) + offset);
  }

  // --- instructions ---

  /// The operands as they stand there. If one is not known, the instruction is not.
  struct Operands {
    std::vector<Register> registers;
    std::int64_t offset = 0;
    std::size_t vector = 0, vector_at = 0;  ///< how many elements, and before how many operands they begin
    bool two_results = false;               ///< p|q
    std::string problem;
  };

  Register operand(Operands& operands) {
    const bool inverted = take_if("!"), negative = take_if("-");
    const std::string word = take();
    const bool is_fraction = is_number(word) && word.find('.') != std::string::npos;
    if (is_number(word) && !is_fraction) return constant(number_of(word) * (negative ? -1ull : 1));
    std::optional<Register> r;
    if (take_if("+"))
      r = address_of(word, number_of(take()));
    else if (!is_fraction && !negative)
      r = register_of(word);
    if (!r) {
      operands.problem = ", because of its operand " + word;
      return 0;
    }
    if (inverted) {
      const Register inverse = new_register();
      append("not.pred", {inverse, *r});
      return inverse;
    }
    return *r;
  }

  Operands take_operands() {
    Operands o;
    while (peek() != ";") {
      if (take_if("[")) {
        o.registers.push_back(operand_of_address(o));
        expect("]");
      } else if (take_if("{")) {
        o.vector_at = o.registers.size();
        while (!take_if("}")) {
          o.registers.push_back(operand(o));
          ++o.vector;
          take_if(",");
        }
      } else {
        o.registers.push_back(operand(o));
        if (o.registers.size() == 1 && take_if("|")) {
          o.two_results = true;
          o.registers.push_back(operand(o));
        }
      }
      if (!take_if(",") && peek() != ";") {
        o.problem = ", because of '" + peek() + "'";
        while (peek() != ";") take();
      }
    }
    return o;
  }
  /// "%rd1+-4" or "array+8".
  Register operand_of_address(Operands& o) {
    const std::string word = take();
    Register r = 0;
    if (is_number(word))
      r = constant(number_of(word));
    else if (const std::optional<Register> known = register_of(word))
      r = *known;
    else
      o.problem = ", because of its operand " + word;
    if (take_if("+")) {
      const bool negative = take_if("-");
      o.offset = static_cast<std::int64_t>(number_of(take())) * (negative ? -1 : 1);
    }
    return r;
  }

  void instruction() {
    Register guard = true_;
    bool wanted = true;
    if (take_if("@")) {
      wanted = !take_if("!");
      const std::string name = take();
      const std::optional<Register> r = register_of(name);
      if (!r) fail("unknown predicate " + name);
      guard = *r;
    }
    const std::string mnemonic = take();
    Mnemonic m = take_apart(mnemonic);
    std::size_t index;
    if (m.name == "bra") {
      branches_.emplace_back(f_->code.size(), take());
      index = append(mnemonic, {});
    } else if (m.name == "brx.idx") {
      Operands o;
      o.registers.push_back(operand(o));
      expect(",");
      table_branches_.emplace_back(f_->code.size(), take());
      index = append(mnemonic, o.registers, o.problem);
    } else if (m.name == "call") {
      index = call(mnemonic);
    } else {
      const Operands o = take_operands();
      index = plain(mnemonic, m, o);
    }
    expect(";");
    f_->code[index].guard = guard;
    f_->code[index].wanted = wanted;
  }

  std::size_t plain(const std::string& mnemonic, Mnemonic m, Operands o) {
    if (m.name == "mov" && o.vector > 0) {
      m.name = o.vector_at == 0 ? "mov.unpack" : "mov.pack";
      m.modifiers.vector = static_cast<std::uint8_t>(o.vector);
    } else if (o.vector != 0 && o.vector != m.modifiers.vector && !m.name.starts_with("mma.")) {
      o.problem = ", because of its vector";
    }
    if ((m.name.starts_with("setp.") || m.name.starts_with("shfl.")) && !o.two_results && !o.registers.empty())
      o.registers.insert(o.registers.begin() + 1, global_register("_"));
    const std::size_t index = append(mnemonic, m, o.registers, o.problem);
    f_->code[index].number = o.offset;
    return index;
  }

  /// "call.uni (result), function, (a, b);", "call function, (a);" or "call function;": all but the function are names
  /// of .param memory.
  std::size_t call(const std::string& mnemonic) {
    Call c;
    std::string problem;
    const auto addresses = [&] {
      while (!take_if(")")) {
        const std::string name = take();
        const std::optional<Register> r = register_of(name);
        if (!r) problem = ", because of its operand " + name;
        c.addresses.push_back(r.value_or(0));
        take_if(",");
      }
    };
    if (take_if("(")) {
      addresses();
      expect(",");
    }
    c.name = take();
    if (take_if(",") && take_if("(")) addresses();
    if (take_if(",")) {
      problem = ", because it calls by pointer";
      take();
    }
    const std::size_t index = append(mnemonic, {}, problem);
    f_->code[index].number = static_cast<std::int64_t>(f_->calls.size());
    f_->calls.push_back(std::move(c));
    return index;
  }

  std::size_t append(const std::string& mnemonic, const std::vector<Register>& operands,
                     const std::string& problem = "") {
    return append(mnemonic, take_apart(mnemonic), operands, problem);
  }
  std::size_t append(const std::string& mnemonic, const Mnemonic& m, const std::vector<Register>& operands,
                     std::string problem) {
    const Choice choice = choose(m);
    if (problem.empty() && choice.action && choice.operands != operands.size()) problem = ", with so many operands";
    Instruction i = m.modifiers;
    i.action = choice.action && problem.empty() ? choice.action : not_supported;
    i.guard = true_;
    if (i.action != not_supported) std::copy(operands.begin(), operands.end(), i.operand);
    f_->texts.push_back(mnemonic + problem + ", instruction " + std::to_string(f_->code.size()) + " of " +
                        readable_name_ + (location_.empty() ? "" : ", " + location_));
    i.text = f_->texts.back().c_str();
    f_->code.push_back(i);
    return f_->code.size() - 1;
  }

  std::vector<Word> words_;
  std::size_t at_ = 0;
  std::string source_;
  Program& program_;
  std::map<std::string, std::string> files_;  ///< by their numbers
  std::map<std::string, const Variable*> globals_;

  // Of the function that is read.
  Function* f_ = nullptr;
  std::string readable_name_, location_;
  Register true_ = 0;
  std::map<std::string, Register> registers_;  ///< and constants, and what has an address
  std::vector<std::vector<std::pair<std::string, std::optional<Register>>>> scopes_;  ///< and what their names hide
  std::map<std::string, const Variable*> locals_;
  std::map<std::string, int> labels_;
  std::vector<std::pair<std::size_t, std::string>> branches_, table_branches_;
  std::map<std::string, std::vector<std::string>> label_tables_;
};

}  // namespace

void parse(const std::string& text, const std::string& source, Program& program) {
  const std::size_t first = program.functions.size();
  Parser(text, source, program).parse();
  for (std::size_t k = first; k < program.functions.size(); ++k)
    for (Call& call : program.functions[k].calls) {
      const auto callee = program.by_name.find(call.name);
      if (callee != program.by_name.end()) call.callee = callee->second;
    }
}

}  // namespace emulator::ptx
