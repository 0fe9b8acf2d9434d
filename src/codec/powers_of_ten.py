#!/usr/bin/env python3
"""Prints the table of powers of ten that number_parse.c and number_print.c share.

Row q holds the leading 128 bits of 10^q, rounded down. Big integers make the table exact by
construction, which is why it is generated and not typed in.
"""

MIN, MAX = -342, 324


def leading_bits(q):
    """floor(10^q × 2^s) with s such that the result has exactly 128 bits."""
    if q >= 0:
        power = 10**q
        shift = 128 - power.bit_length()
        return power << shift if shift >= 0 else power >> -shift
    divisor = 10**-q
    bits = (1 << (127 + divisor.bit_length())) // divisor
    return bits if bits.bit_length() == 128 else bits >> 1


for q in range(MIN, MAX + 1):
    bits = leading_bits(q)
    assert bits.bit_length() == 128
    print(f"{{UINT64_C({bits >> 64:#018x}), UINT64_C({bits & (2**64 - 1):#018x})}}, /* 1e{q} */")
