#!/usr/bin/env python3
"""Prints what number_print_float.c knows of each exponent's field of a float.

Of a float c × 2^q, 10^k is the greatest power of ten that is at most 2^q: 2^60 × 2^q / 10^k, rounded up, and k. Field 0 has no
row of its own, since what has no hidden bit is printed elsewhere, and 255 is no number.
"""
from fractions import Fraction
from math import ceil


def scale(q):
    k = 0
    while Fraction(10) ** (k + 1) <= Fraction(2) ** q:
        k += 1
    while Fraction(10) ** k > Fraction(2) ** q:
        k -= 1
    factor = ceil(Fraction(2) ** (q + 60) / Fraction(10) ** k)
    assert 2**60 <= factor < 2**64
    return factor, k


print("{0, 0},")
for field in range(1, 255):
    factor, k = scale(field - 150)
    print(f"{{UINT64_C({factor:#018x}), {k}}}, /* 2^{field - 150} */")
