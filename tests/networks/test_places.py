"""Places are found once where puzzles share them, and forgotten where they do not."""

import numpy as np

from leela_probe.networks import places as module
from leela_probe.networks.interventions import Intervention, Zero
from leela_probe.networks.places import Places


def others(query):
    """All entries of a head but one."""
    return Intervention(
        site="layer1.pattern", action=Zero(), head=2, query=query, key=3, complement=True
    )


def test_an_intervention_that_is_shared_is_found_once(network):
    places, change = Places(network("attention")), others(5)
    assert places.of(change) is places.of(change)


def test_what_is_remembered_does_not_grow_with_the_puzzles(network, monkeypatch):
    places = Places(network("attention"))
    monkeypatch.setattr(module, "_REMEMBERED", 1 << 20)
    expected = places.of(others(7))
    for number in range(100):
        places.of(others(number % 64))
        held = sum(axis.nbytes for _, found in places._coordinates.values() for axis in found)
        assert held < 2 << 20
    assert all(map(np.array_equal, places.of(others(7)), expected))
