/* The table of powers of ten; its rows come from powers_of_ten.py at build time. */
#include "codec/powers_of_ten.h"

const struct power_of_ten powers_of_ten[POWER_OF_TEN_MAX - POWER_OF_TEN_MIN + 1] = {
#include "codec/powers_of_ten.inc"
};
