// The library, as programs see it.
#include <bobbin.h>
