#pragma once
#include <vector>

#include "apps/common/train_settings.h"

/// Settings that were tried together, under a name: train --preset minute.
namespace bobbin {

struct Preset {
  const char *name, *help;  ///< the help with accuracy and time
  void (*apply)(Settings&);
};

const std::vector<Preset>& presets();

}  // namespace bobbin
