#include "tensor/cpu/onednn.h"

namespace bobbin::cpu::onednn {

bool multiplies() { return false; }
std::string describe() { return "this build is without oneDNN"; }
bool multiply(const Product&, const RoundedMatrix&, const RoundedMatrix&, const ResultMatrix&) { return false; }
bool multiply(const Product&, const RoundedMatrix&, const RoundedMatrix&, const RoundedResultMatrix&) { return false; }

}  // namespace bobbin::cpu::onednn
