"""Shares have Wilson's interval."""

import math

from leela_probe.study import shares


def wilson(count, total, z=1.959963984540054):
    share, squared = count / total, z**2 / total
    middle = (share + squared / 2) / (1 + squared)
    reach = z / (1 + squared) * math.sqrt(share * (1 - share) / total + squared / (4 * total))
    return middle - reach, middle + reach


def test_the_interval_is_wilsons():
    for count, total in ((3, 12), (1, 400), (60, 61)):
        row = shares.of(count, total)
        assert math.isclose(row["low"], wilson(count, total)[0], abs_tol=1e-12)
        assert math.isclose(row["high"], wilson(count, total)[1], abs_tol=1e-12)
        assert (row["n"], row["total"], row["share"]) == (count, total, count / total)


def test_none_and_all_end_at_the_edge():
    assert shares.of(0, 5)["low"] == 0
    assert shares.of(5, 5)["high"] == 1
