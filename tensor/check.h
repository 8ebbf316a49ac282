#pragma once
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace bobbin {

/// The exception for bad input, which every function of the library throws: one sentence for a person,
/// "[matmul] inner sizes differ: (128, 17) x (256, 512)".
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The exception of a GPU build where there is no GPU, or no driver.
struct NoDevice : Error {
  using Error::Error;
};

/// Text that came from outside, as it can stand in an Error: in quotes, on one line, not endless.
struct Quoted {
  std::string_view text;
};
inline std::ostream& operator<<(std::ostream& out, const Quoted& quoted) {
  constexpr std::size_t longest = 100;
  out << '"';
  for (const char c : quoted.text.substr(0, longest))
    out << (static_cast<unsigned char>(c) < ' ' || c == 127 ? '?' : c);
  return out << (quoted.text.size() > longest ? "...\"" : "\"");
}

/// Throws an Error that begins with `[op]`, followed by the parts as they print.
template <class... Parts>
[[noreturn]] void fail(const char* op, const Parts&... parts) {
  std::ostringstream text;
  text << '[' << op << "] ";
  (text << ... << parts);
  throw Error(text.str());
}

/// Returns f(). An Error that it throws is thrown again in the name of `op`, with `place`, such as a file, in front.
auto with_context(const char* op, const auto& place, const auto& f) {
  try {
    return f();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    fail(op, place, ": ", text.substr(text.find("] ") + 2));
  }
}

/// Throws unless `ok`. The text is put together only on failure, so a check costs one branch.
template <class... Parts>
void check(bool ok, const char* op, const Parts&... parts) {
  if (!ok) fail(op, parts...);
}

}  // namespace bobbin
