#include "tensor/device.h"

#include "tensor/backend.h"
#include "tensor/check.h"

namespace bobbin {

ProductsIn::ProductsIn(Precision precision) : outer_(current_) {
  check(backend::has(precision), "ProductsIn",
        "TF32 is a number format of NVIDIA's GPUs; this build computes on the processor, one with CUDA=1 on a GPU");
  current_ = precision;
}

}  // namespace bobbin
