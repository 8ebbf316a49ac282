// The main function of both test programs; doctest finds the tests in all other files by itself.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
