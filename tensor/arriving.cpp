#include "tensor/arriving.h"

#include "tensor/backend.h"

namespace bobbin {

Arriving::Arriving(const Tensor& x)
    : size_(static_cast<std::size_t>(x.size())),
      numbers_(backend::begin_to_host(x.data(), x.size())),
      moment_(backend::moment()) {}

std::vector<real> Arriving::values() const {
  backend::wait_for(moment_);
  return {numbers_.get(), numbers_.get() + size_};
}

}  // namespace bobbin
