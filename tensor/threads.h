#pragma once

namespace bobbin {

/// On how many threads loops and products run: at first as many as there are cores, or as OMP_NUM_THREADS says.
int threads();
/// How many a program takes unless it is told: threads(), or the processors that its container may use if these are
/// fewer and OMP_NUM_THREADS does not say otherwise. More would only wait for their share.
int default_threads();
/// Throws Error unless 1 <= count <= 1024.
void set_threads(int count);
/// How many of them OpenMP really has at work together: fewer where OMP_THREAD_LIMIT, OMP_DYNAMIC or
/// OMP_MAX_ACTIVE_LEVELS hold it back. All is computed as it should be, only slower.
int threads_at_work();

/// For the first line of main(): makes threads sleep when they have waited for work some microseconds. By OpenMP's
/// default they look for it for milliseconds, without a pause; and where another program is running, those that look
/// keep those that work from their core, and all becomes twenty times slower. OpenMP reads this from the environment
/// before main() begins, so the program starts itself anew, once (in the same process), unless OMP_WAIT_POLICY,
/// GOMP_SPINCOUNT or KMP_BLOCKTIME is set: then that is your choice. Where it cannot, it goes on as it is.
void wait_briefly(char** argv);

}  // namespace bobbin
