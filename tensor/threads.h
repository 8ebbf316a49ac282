#pragma once

namespace bobbin {

/// On how many threads loops and products run: at first as many as there are cores, or as
/// OMP_NUM_THREADS says.
int threads();
/// Throws Error unless 1 <= count <= 1024.
void set_threads(int count);

}  // namespace bobbin
