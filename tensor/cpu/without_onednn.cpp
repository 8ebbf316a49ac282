#include "tensor/cpu/onednn.h"

namespace bobbin::cpu::onednn {

bool multiplies() { return false; }
std::string describe() { return "this build is without oneDNN"; }
bool multiply(const Product&, const RoundedMatrix&, const RoundedMatrix&, const ResultMatrix&) { return false; }
bool multiply(const Product&, const RoundedMatrix&, const RoundedMatrix&, const RoundedResultMatrix&) { return false; }

bool conv2d(const bfloat16*, const bfloat16*, const real*, real*, const Conv2dSizes&) { return false; }
bool conv2d_backward_x(const bfloat16*, const bfloat16*, real*, const Conv2dSizes&) { return false; }
bool conv2d_backward_w(const bfloat16*, const bfloat16*, real*, const Conv2dSizes&) { return false; }

}  // namespace bobbin::cpu::onednn
