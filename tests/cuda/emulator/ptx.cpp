#include "ptx.h"

#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "engine.h"
#include "ptx_parser.h"
#include "sanitizers.h"

namespace emulator::ptx {
namespace {

// --- frames -----------------------------------------------------------------------------------------------

std::size_t words_for_registers(const Function& f) {
  return (f.registers + 1) / 2 * 2;
}  // local memory is aligned to 16

/// The registers and the local memory of a function for as long as it runs. What is the same for all threads is left in
/// place for the next. A race detector would take that for memory shared by threads: there each gets its own.
class Registers {
 public:
  explicit Registers(const Function& f) : f_(f) {
    const Bookkeeping unseen;
    if (!finds_races && !f.idle.empty()) {
      memory_ = std::move(f.idle.back());
      f.idle.pop_back();
      return;
    }
    const std::size_t registers = words_for_registers(f);
    memory_.reset(new std::uint64_t[registers + (f.local_bytes + 7) / 8]);
    for (const Preset& p : f.once)
      memory_[p.to] = static_cast<std::uint64_t>(p.value) +
                      (p.kind == Preset::local_address ? reinterpret_cast<std::uintptr_t>(&memory_[registers]) : 0);
  }
  ~Registers() {
    if (!finds_races) f_.idle.push_back(std::move(memory_));
  }
  Registers(const Registers&) = delete;

  std::uint64_t* get() { return memory_.get(); }

 private:
  const Function& f_;
  std::unique_ptr<std::uint64_t[]> memory_;
};

std::uint64_t value_of(Special special) {
  const auto bits_below = [](unsigned lane) { return (1u << lane) - 1; };
  const unsigned lane = emulator::lane(), bit = 1u << lane;
  const uint3 &thread = thread_index(), &block = block_index();
  const dim3 &threads = block_dim(), &blocks = grid_dim();
  switch (special) {
    case tid_x:
      return thread.x;
    case tid_y:
      return thread.y;
    case tid_z:
      return thread.z;
    case ntid_x:
      return threads.x;
    case ntid_y:
      return threads.y;
    case ntid_z:
      return threads.z;
    case ctaid_x:
      return block.x;
    case ctaid_y:
      return block.y;
    case ctaid_z:
      return block.z;
    case nctaid_x:
      return blocks.x;
    case nctaid_y:
      return blocks.y;
    case nctaid_z:
      return blocks.z;
    case laneid:
      return lane;
    case warpid:
      return (thread.x + threads.x * (thread.y + threads.y * thread.z)) / 32;
    case lanemask_eq:
      return bit;
    case lanemask_lt:
      return bits_below(lane);
    case lanemask_le:
      return bits_below(lane) | bit;
    case lanemask_gt:
      return ~(bits_below(lane) | bit);
    case lanemask_ge:
      return ~bits_below(lane);
  }
  return 0;
}

/// parameter(k) is the address of parameter k.
template <class Parameter>
void start(const Function& f, std::uint64_t* registers, Parameter parameter) {
  for (const Preset& p : f.at_start)
    registers[p.to] = p.kind == Preset::special ? value_of(static_cast<Special>(p.value))
                                                : parameter(static_cast<std::size_t>(p.value));
}

void execute(Frame& frame) {
  frame.next = frame.function->code.data();
  while (frame.next) {
    const Instruction& i = *frame.next++;
    if (frame.registers[i.guard] == i.wanted) i.action(i, frame);
  }
}

// --- programs ---------------------------------------------------------------------------------------------

Program& program() {
  static Program program;
  return program;
}

bool is_asked_for() { return std::getenv("CUDA_EMULATOR_PTX") != nullptr; }

void load_files() {
  std::istringstream paths(std::getenv("CUDA_EMULATOR_PTX"));
  for (std::string path; std::getline(paths, path, ':');) {
    std::ifstream file(path);
    if (!file) die("cannot read the PTX file that CUDA_EMULATOR_PTX names", path);
    std::ostringstream text;
    text << file.rdbuf();
    load(text.str(), path);
  }
}

}  // namespace

void load(const std::string& text, const std::string& source) { parse(text, source, program()); }

const void* find(const std::string& name) {
  const auto found = program().by_name.find(name);
  return found != program().by_name.end() && found->second->entry ? found->second : nullptr;
}

const void* find(const void* kernel) {
  if (static bool loaded = false; !loaded) {
    loaded = true;
    if (is_asked_for()) load_files();
  }
  if (program().functions.empty()) return nullptr;
  // dladdr() looks through all symbols of the program.
  static std::unordered_map<const void*, std::string> names;
  const auto [entry, fresh] = names.try_emplace(kernel);
  if (Dl_info info; fresh && dladdr(kernel, &info) && info.dli_sname && info.dli_saddr == kernel)
    entry->second = info.dli_sname;
  const void* const found = find(entry->second);
  if (!found && is_asked_for())
    die(entry->second.empty() ? "a kernel has no name: link with -rdynamic, and keep it out of anonymous namespaces"
                              : "no file of CUDA_EMULATOR_PTX has this kernel",
        entry->second);
  return found;
}

void run(const void* entry, void** arguments) {
  const Function& f = *static_cast<const Function*>(entry);
  Registers registers(f);
  start(f, registers.get(), [&](std::size_t k) { return reinterpret_cast<std::uintptr_t>(arguments[k]); });
  constexpr std::size_t most_arrays = 32;
  std::byte* shared_arrays[most_arrays];
  if (f.shared.size() > most_arrays) die("a kernel has more than 32 shared arrays", f.name);
  for (std::size_t k = 0; k < f.shared.size(); ++k)
    shared_arrays[k] = static_cast<std::byte*>(shared(f.shared[k], f.shared[k]->bytes));
  Frame frame{registers.get(), &f, nullptr, &f, shared_arrays};
  execute(frame);
}

void call(const Instruction& i, Frame& caller) {
  const Call& c = caller.function->calls[static_cast<std::size_t>(i.number)];
  if (!c.callee) die("a PTX function that is called is not there: " + c.name, i.text);
  const Function& f = *c.callee;
  if (f.parameters != c.addresses.size()) die("a PTX function is called with too few or many parameters", i.text);
  Registers registers(f);
  start(f, registers.get(), [&](std::size_t k) { return caller.registers[c.addresses[k]]; });
  Frame frame{registers.get(), &f, nullptr, caller.kernel, caller.shared};
  execute(frame);
  caller.exited = frame.exited;
}

}  // namespace emulator::ptx
