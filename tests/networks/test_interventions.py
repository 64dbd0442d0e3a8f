"""Interventions are descriptions: checked when they are made, and nothing happens by them."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from leela_probe.networks.interventions import Add, Intervention, Mask, Patch, Scale, Write, Zero


@pytest.mark.parametrize("axis", ["head", "square", "query", "key"])
def test_a_place_is_a_number_or_several(axis):
    one = Intervention(site="layer0.pattern", action=Zero(), **{axis: 0})
    some = Intervention(site="layer0.pattern", action=Zero(), **{axis: (3, 5)})
    every = Intervention(site="layer0.pattern", action=Zero())
    assert getattr(one, axis) == (0,)
    assert getattr(some, axis) == (3, 5)
    assert getattr(every, axis) is None


@pytest.mark.parametrize("axis", ["head", "square", "query", "key"])
def test_no_place_at_all_is_refused(axis):
    with pytest.raises(ValueError, match=f"no {axis} given for layer0.pattern: None means all"):
        Intervention(site="layer0.pattern", action=Zero(), **{axis: ()})


def test_a_place_that_is_no_whole_number_is_refused():
    # in a process of its own, for here types are checked before anything else
    code = (
        "from leela_probe.networks.interventions import Intervention, Zero\n"
        "for given in ({'key': 2.7}, {'head': (1, 2.0)}, {'query': '5'}):\n"
        "    try:\n"
        "        Intervention(site='layer0.pattern', action=Zero(), **given)\n"
        "    except TypeError as error:\n"
        "        print(error)\n"
        "import numpy\n"
        "print(Intervention(site='layer0.pattern', action=Zero(), head=numpy.int64(3)).head)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rest = "of layer0.pattern is not a place: places are whole numbers"
    assert found == [f"key 2.7 {rest}", f"head (1, 2.0) {rest}", f"query '5' {rest}", "(3,)"]


def test_queries_and_keys_come_in_pairs():
    Intervention(site="layer0.pattern", action=Zero(), query=(1, 2), key=(3, 4))
    with pytest.raises(ValueError, match=r"2 queries and 1 keys given for layer0\.pattern"):
        Intervention(site="layer0.pattern", action=Zero(), query=(1, 2), key=3)


def test_a_complement_needs_places_to_leave_alone():
    with pytest.raises(ValueError, match=r"complement of layer0\.pattern leaves nothing alone"):
        Intervention(site="layer0.pattern", action=Zero(), head=1, complement=True)


def test_an_intervention_cannot_be_changed():
    made = Intervention(site="layer0.pattern", action=Patch())
    with pytest.raises(dataclasses.FrozenInstanceError, match="site"):
        made.site = "layer1.pattern"


def test_equal_actions_without_tensors_are_equal():
    assert Zero() == Zero() != Zero(renormalise=True)
    assert Scale(factor=2.0) == Scale(factor=2.0) != Scale(factor=3.0)
    assert (Patch(), Mask()) == (Patch(), Mask())
    direction = torch.ones(3)
    assert Add(direction=direction) != Add(direction=direction)
    assert Write(values=direction) != Write(values=direction)


def test_an_intervention_shows_itself_in_a_few_words():
    entry = Intervention(site="layer2.pattern", action=Zero(), head=1, query=(3, 4), key=(5, 6))
    assert repr(entry) == (
        "<Intervention layer2.pattern head 1 query 3,4 key 5,6: Zero(renormalise=False)>"
    )
    steering = Intervention(site="layer2.residual_after", action=Add(torch.zeros(2, 3)))
    assert repr(steering) == "<Intervention layer2.residual_after: Add(<2 x 3>)>"
    kept = Intervention(site="layer2.pattern", action=Scale(0.5), key=3, complement=True)
    assert repr(kept) == "<Intervention layer2.pattern key 3 complement: Scale(factor=0.5)>"
