#include "tensor/arriving.h"

#include "tensor/backend.h"

namespace bobbin {

Arriving::Arriving(const Tensor& x)
    : size_(static_cast<std::size_t>(x.size())), sent_(backend::begin_to_host(x.data(), x.size())) {}

std::vector<real> Arriving::values() const {
  backend::wait_for(sent_.moment);
  return {sent_.numbers.get(), sent_.numbers.get() + size_};
}

}  // namespace bobbin
