"""Sweeps: which changes an experiment makes, counted and named."""

import copy
import dataclasses
import pickle
from itertools import combinations

import numpy as np
import pytest
import torch
from example_pairs import BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE

from leela_probe.experiments import sweeps
from leela_probe.networks import patching
from leela_probe.networks.interventions import Intervention, Mask, Patch, Zero
from leela_probe.networks.patching import Job
from leela_probe.positions.squares import from_board, parse_name
from leela_probe.puzzles.pairs import Pair


def only(sweep, pair=BACK_RANK):
    """The single intervention of each change."""
    changes = sweep.points(pair)
    assert all(len(change.interventions) == 1 for change in changes)
    return [(change, change.interventions[0]) for change in changes]


@pytest.mark.parametrize(
    ("where", "site"),
    [("after", "residual_after"), ("middle", "residual_middle"), ("before", "residual_before")],
)
def test_the_residual_sweep_patches_every_square_of_every_layer(where, site, network):
    sweep = sweeps.residual(network("attention"), where=where)
    found = only(sweep)
    assert [(change.layer, change.square) for change, _ in found] == [
        (layer, square) for layer in range(3) for square in range(64)
    ]
    for change, made in found:
        assert made.site == f"layer{change.layer}.{site}"
        assert made.action == Patch()
        assert (made.square, made.head, made.complement) == ((change.square,), None, False)
        assert (change.site, change.label, change.head) == (site, None, None)
    assert sweep.needs_partner
    assert sweep.name == "residual"


def test_the_embedding_has_no_layer(network):
    found = only(sweeps.residual(network("attention"), where="embedding"))
    assert len(found) == 64
    assert {(change.layer, change.site, made.site) for change, made in found} == {
        (None, "embedding", "embedding")
    }


def test_the_residual_sweep_of_a_tower_patches_its_block_outputs(network):
    net = network("se-convolution")
    assert len(sweeps.residual(net).points(BACK_RANK)) == net.layers * 64
    with pytest.raises(ValueError, match=r"no site layer0\.residual_middle: .*'residual tower'"):
        sweeps.residual(net, where="middle")


def test_layers_and_squares_can_be_chosen(network):
    found = only(sweeps.residual(network("attention"), layers=[2, 0], squares=[0, 63]))
    assert [(c.layer, c.square) for c, _ in found] == [(2, 0), (2, 63), (0, 0), (0, 63)]
    assert only(sweeps.residual(network("attention"), squares=[])) == []
    assert [c.layer for c, _ in only(sweeps.heads(network("attention"), layers=[1]))] == [1] * 4


def test_a_network_of_one_layer_has_one_layer_of_changes(network):
    net = network("attention-one-layer")
    assert len(sweeps.residual(net).points(BACK_RANK)) == 64
    assert len(sweeps.heads(net).points(BACK_RANK)) == 4


def test_the_head_sweep_patches_every_head_of_every_layer(network):
    sweep = sweeps.heads(network("attention"))
    found = only(sweep)
    assert [(change.layer, change.head) for change, _ in found] == [
        (layer, head) for layer in range(3) for head in range(4)
    ]
    for change, made in found:
        assert made.site == f"layer{change.layer}.head_output"
        assert (made.head, made.square, made.action) == ((change.head,), None, Patch())
    assert sweep.needs_partner


def test_one_heads_output_is_patched_square_by_square(network):
    found = only(sweeps.head_squares(network("attention"), 1, 3))
    assert [change.square for change, _ in found] == list(range(64))
    assert {(c.layer, c.head, made.site, made.head) for c, made in found} == {
        (1, 3, "layer1.head_output", (3,))
    }


@pytest.mark.parametrize("pair", [BACK_RANK, BACK_RANK_BLACK])
def test_the_entry_goes_from_the_third_target_to_the_first(pair, network):
    sweep = sweeps.entry(network("attention"), 2, 1)
    (one, zeroed), (rest, others) = only(sweep, pair)
    # on the mover's board the first move goes to c8 and the third to e8, whoever moves
    c8, e8 = parse_name("c8"), parse_name("e8")
    assert from_board(pair.moves[0].to_square, pair.turn) == c8
    for change, made in ((one, zeroed), (rest, others)):
        assert (change.layer, change.head, change.query, change.key) == (2, 1, c8, e8)
        assert (made.site, made.action) == ("layer2.pattern", Zero())
        assert (made.head, made.query, made.key) == ((1,), (c8,), (e8,))
    assert (zeroed.complement, others.complement) == (False, True)
    assert (one.label, rest.label) == ("3->1", "all other entries")
    assert not sweep.needs_partner


@pytest.mark.parametrize("pair", [BACK_RANK, BACK_RANK_BLACK])
def test_controls_are_single_entries_of_the_row_of_the_column_and_of_like_weight(pair, network):
    net = network("attention")
    sweep = sweeps.entry(net, 2, 1, controls=sweeps.EntryControls(seed=3))
    found = {change.label: (change, made) for change, made in only(sweep, pair)}
    assert [*found][:2] == ["3->1", "all other entries"]
    entry = found["3->1"][1]
    weights = net.capture([pair.clean], ["layer2.pattern"])["layer2.pattern"][0, 1].numpy()
    for label, (change, made) in [*found.items()][2:]:
        place = (*made.query, *made.key)
        assert len(place) == 2
        assert (change.query, change.key) == place != (*entry.query, *entry.key), label
        assert (made.site, made.action, made.head, made.complement) == (
            entry.site, entry.action, entry.head, False
        )  # fmt: skip
    assert found["another of its row"][1].query == entry.query
    assert found["another of its column"][1].key == entry.key
    like = found["one of matched weight"][0]
    apart = np.abs(weights - weights[entry.query, entry.key])
    assert apart[like.query, like.key] <= np.sort(apart, axis=None)[16]


def test_controls_are_drawn_by_the_seed_and_the_puzzle_alone(network):
    def drawn(seed, pair):
        sweep = sweeps.entry(network("attention"), 2, 1, controls=sweeps.EntryControls(seed=seed))
        return [(change.query, change.key) for change in sweep.points(pair)[2:]]

    assert drawn(0, BACK_RANK) == drawn(0, BACK_RANK)
    assert drawn(0, BACK_RANK) != drawn(1, BACK_RANK)
    other = dataclasses.replace(BACK_RANK, puzzle_id="another")
    assert drawn(0, BACK_RANK) != drawn(0, other)


def test_an_entry_is_never_its_own_control():
    weights = np.zeros((64, 64))
    seen = set()
    for number in range(200):
        for place in sweeps.control_entries(weights, 0, 5, str(number)).values():
            seen.add(place)
    assert (0, 5) not in seen


def test_the_entry_can_join_other_plies(network):
    sweep = sweeps.entry(network("attention"), 0, 0, query_ply=2, key_ply=3)
    ((change, made), _) = only(sweep, KNIGHT_SACRIFICE)
    assert change.label == "3->2"
    assert (made.query, made.key) == ((parse_name("g6"),), (parse_name("h4"),))


def test_a_line_too_short_for_the_entry_has_nothing_to_change(network):
    short = Pair(
        puzzle_id="short",
        game_id=None,
        target_pattern="1",
        clean_fen=BACK_RANK.clean_fen,
        line=BACK_RANK.line[:2],
    )
    sweep = sweeps.entry(network("attention"), 0, 0)
    assert sweep.points(short) == []
    assert sweep.reason == "the line has fewer than 3 plies"
    later = sweeps.entry(network("attention"), 0, 0, query_ply=5)
    assert later.points(BACK_RANK) == []
    assert later.reason == "the line has fewer than 5 plies"


@pytest.mark.parametrize(
    ("method", "site", "action"),
    [
        ("zero", "pattern", Zero()),
        ("renormalise", "pattern", Zero(renormalise=True)),
        ("mask", "scores", Mask()),
    ],
)
def test_entries_are_changed_by_any_of_three_methods(method, site, action, network):
    net = network("attention")
    chosen = [(0, 0), (63, 5)]
    found = only(sweeps.entries(net, 1, 2, chosen=chosen, method=method))
    assert [(c.query, c.key) for c, _ in found] == chosen
    assert all(made.action == action for _, made in found)
    assert {(c.site, made.site, made.head) for c, made in found} == {(site, f"layer1.{site}", (2,))}
    first = sweeps.entry(net, 1, 2, method=method).points(BACK_RANK)[0]
    assert [(made.site, made.action) for made in first.interventions] == [
        (f"layer1.{site}", action)
    ]


def test_every_entry_of_a_head_is_4096_entries(network):
    found = only(sweeps.entries(network("attention"), 0, 3))
    assert len({(c.query, c.key) for c, _ in found}) == len(found) == 4096
    assert all((made.query, made.key) == ((c.query,), (c.key,)) for c, made in found)


def test_no_chosen_entries_are_no_changes(network):
    assert sweeps.entries(network("attention"), 0, 3, chosen=[]).points(BACK_RANK) == []


def test_chosen_entries_are_changed_one_by_one_or_together(network):
    net = network("attention")
    chosen = [(0, 0), (63, 5), (0, 7)]
    sweep = sweeps.entries(net, 1, 2, chosen=chosen, method="renormalise", together=True)
    ((change, made),) = only(sweep)
    assert (change.layer, change.head, change.query, change.key) == (1, 2, None, None)
    assert change.label == "3 entries together"
    assert (made.query, made.key) == ((0, 63, 0), (0, 5, 7))
    assert made.action == Zero(renormalise=True)
    planes = torch.from_numpy(net.encode([BACK_RANK.clean]).planes())

    def edit(pattern):
        pattern = pattern.clone()
        for query, key in chosen:
            pattern[:, 2, query, key] = 0.0
        for query in (0, 63):
            pattern[:, 2, query] /= pattern[:, 2, query].sum(-1, keepdim=True)
        return pattern

    expected = net.run(planes, ["policy.logits"], edits={"layer1.pattern": edit})
    found = patching.run(net, planes, [Job(board=0, interventions=change.interventions)])
    torch.testing.assert_close(found.logits, expected["policy.logits"], atol=1e-5, rtol=1e-5)


def test_masking_all_other_entries_leaves_the_entry_alone_in_the_head(network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([BACK_RANK.clean]).planes())
    _, rest = sweeps.entry(net, 1, 2, method="mask").points(BACK_RANK)
    query, key = BACK_RANK.target(1), BACK_RANK.target(3)

    def edit(pattern):
        # a softmax over one entry is 1; rows of which nothing is left hold nothing
        pattern = pattern.clone()
        pattern[:, 2] = 0.0
        pattern[:, 2, query, key] = 1.0
        return pattern

    expected = net.run(planes, ["policy.logits"], edits={"layer1.pattern": edit})
    found = patching.run(net, planes, [Job(board=0, interventions=rest.interventions)])
    torch.testing.assert_close(found.logits, expected["policy.logits"], atol=1e-5, rtol=1e-5)


def test_sets_of_heads_are_patched_together(network):
    sweep = sweeps.head_sets(network("attention"), [[(2, 1), (0, 3)], [(1, 1)]])
    both, one = sweep.points(BACK_RANK)
    assert both.label == "L0H3+L2H1"
    assert [(made.site, made.head) for made in both.interventions] == [
        ("layer0.head_output", (3,)),
        ("layer2.head_output", (1,)),
    ]
    assert one.label == "L1H1"
    assert sweep.needs_partner


def test_a_large_set_of_heads_has_a_short_name_of_its_own(network):
    net = network("attention")
    every = [(layer, head) for layer in range(3) for head in range(4)]
    sets = [
        every,
        [place for place in every if place != (1, 2)],
        [place for place in every if place[0] != 1],
        [(0, 0), (0, 1), (0, 2), (1, 1), (1, 3), (2, 3)],
    ]
    labels = [point.label for point in sweeps.head_sets(net, sets).points(BACK_RANK)]
    assert labels == [
        "all heads", "all but L1H2", "all but L1H0+L1H1+L1H2+L1H3", "L0H0-2+L1H1,3+L2H3",
    ]  # fmt: skip


SWEEPS = {
    "residual": lambda net: sweeps.residual(net),
    "heads": lambda net: sweeps.heads(net, action=Zero()),
    "head_squares": lambda net: sweeps.head_squares(net, 1, 2),
    "entry": lambda net: sweeps.entry(net, 1, 2, method="mask"),
    "entries": lambda net: sweeps.entries(net, 1, 2, chosen=[(1, 2), (3, 4)]),
    "head_sets": lambda net: sweeps.head_sets(net, [[(0, 1), (1, 2)]]),
    "piece_heads": lambda net: sweeps.piece_heads(net, {"rook": [(0, 1)], "knight": [(2, 3)]}),
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, "pickle"])
def test_a_sweep_survives_copying_and_pickling(name, remade, network):
    sweep = SWEEPS[name](network("attention"))
    again = pickle.loads(pickle.dumps(sweep)) if remade == "pickle" else remade(sweep)
    for pair in (BACK_RANK, KNIGHT_SACRIFICE):
        before, after = (
            [dataclasses.asdict(point) for point in each.points(pair)] for each in (sweep, again)
        )
        assert before == after
    assert (again.name, again.needs_partner, again.reason) == (
        sweep.name, sweep.needs_partner, sweep.reason
    )  # fmt: skip


def test_a_sweep_shows_itself_in_a_line(network):
    net = network("attention")
    assert repr(sweeps.heads(net)) == (
        "<Sweep 'heads': 12 changed runs per puzzle, takes activations from corrupted inputs>"
    )
    assert repr(sweeps.entry(net, 1, 2)) == (
        "<Sweep 'entry': changed runs that depend on the puzzle, ablates>"
    )
    assert repr(sweeps.heads(net).points(BACK_RANK)[5]) == (
        "<SweepPoint head_output, layer=1, head=1>"
    )
    assert repr(sweeps.head_sets(net, [[(0, 1)]])).startswith("<Sweep 'head_sets': 1 changed run p")


@pytest.mark.parametrize(("margin", "count"), [(0, 3 * 6), (1, 3 * 6 + 2 * 16), (2, 66)])
def test_pairs_of_heads_are_all_pairs_within_the_margin(margin, count, network):
    found = sweeps.pairs_of_heads(network("attention"), margin=margin)
    every = [(layer, head) for layer in range(3) for head in range(4)]
    expected = {frozenset(p) for p in combinations(every, 2) if abs(p[0][0] - p[1][0]) <= margin}
    assert {frozenset(pair) for pair in found} == expected
    assert len(found) == len(expected) == count
    assert len(sweeps.head_sets(network("attention"), found).points(BACK_RANK)) == count


def test_the_papers_network_has_4140_pairs_of_heads_in_one_layer():
    class Deep:
        layers, heads = 15, 24

    assert len(sweeps.pairs_of_heads(Deep())) == 4140
    assert len(sweeps.pairs_of_heads(Deep(), margin=14)) == 64620


def test_changes_that_do_not_depend_on_the_puzzle_are_made_once(network):
    net = network("attention")
    for sweep in (sweeps.residual(net), sweeps.heads(net), sweeps.entries(net, 0, 0)):
        assert sweep.points(BACK_RANK) is sweep.points(KNIGHT_SACRIFICE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: sweeps.residual(net, where="above"), "no place 'above' in the residual"),
        (lambda net: sweeps.residual(net, layers=[3]), r"layer 3 is not in .*run from 0 to 2"),
        (lambda net: sweeps.residual(net, layers=[-1]), r"layer -1 is not in .*run from 0 to 2"),
        (lambda net: sweeps.heads(net, layers=[7]), r"layer 7 is not in .*run from 0 to 2"),
        (lambda net: sweeps.head_squares(net, 3, 0), r"layer 3 is not in"),
        (lambda net: sweeps.head_squares(net, 1, 4), r"head 4 is not in layer 1 .*from 0 to 3"),
        (lambda net: sweeps.entry(net, 1, -1), r"head -1 is not in layer 1 .*from 0 to 3"),
        (lambda net: sweeps.entries(net, 5, 0), r"layer 5 is not in"),
        (lambda net: sweeps.entry(net, 0, 0, method="burn"), "unknown method 'burn': choose zero"),
        (lambda net: sweeps.entries(net, 0, 0, method="burn"), "unknown method 'burn'"),
        (lambda net: sweeps.head_sets(net, [[(0, 0)], []]), "a set of heads is empty"),
        (lambda net: sweeps.head_sets(net, [[(0, 9)]]), r"head 9 is not in layer 0"),
        (lambda net: sweeps.piece_heads(net, {"rook": [(0, 0), (8, 0)]}), r"layer 8 is not in"),
        (lambda net: sweeps.piece_heads(net, {"rook": [(0, 5)]}), r"head 5 is not in layer 0"),
        (lambda net: sweeps.residual(net, layers=[2, 2]), "layer 2 is named twice"),
        (lambda net: sweeps.residual(net, squares=[5, 5]), "square 5 is named twice"),
        (lambda net: sweeps.residual(net, where="embedding", layers=[1]), "before all layers"),
        (lambda net: sweeps.heads(net, layers=[0, 1, 0]), "layer 0 is named twice"),
        (lambda net: sweeps.entries(net, 0, 0, chosen=[(0, 1), (0, 1)]),
         "entry a1:b1 is named twice"),
        (lambda net: sweeps.entries(net, 0, 0, together=True), "no entries are chosen to be"),
        (lambda net: sweeps.head_sets(net, [[(2, 3), (2, 3)]]), r"head 2\.3 is named twice"),
        (lambda net: sweeps.head_sets(net, [[(2, 3), (0, 1)], [(0, 1), (2, 3)]]),
         r"set of heads L0H1\+L2H3 is named twice"),
        (lambda net: sweeps.piece_heads(net, {"nite": [(0, 0)]}), "'nite' has no list of heads"),
        (lambda net: sweeps.piece_heads(net, {"rook": [(0, 0), (0, 0)]}),
         r"rook's head 0\.0 is named twice"),
        (lambda net: sweeps.entry(net, 0, 0, query_ply=0), "no ply 0: plies are counted from 1"),
        (lambda net: sweeps.entry(net, 0, 0, key_ply=-1), "no ply -1: plies are counted from 1"),
    ],
)  # fmt: skip
def test_what_the_network_has_not_is_refused(make, message, network):
    with pytest.raises(ValueError, match=message):
        make(network("attention"))


@pytest.mark.parametrize(
    "make",
    [
        lambda net: sweeps.heads(net),
        lambda net: sweeps.head_squares(net, 0, 0),
        lambda net: sweeps.entry(net, 0, 0),
        lambda net: sweeps.entries(net, 0, 0),
        lambda net: sweeps.head_sets(net, [[(0, 0)]]),
    ],
)
def test_a_tower_has_no_heads_to_change(make, network):
    with pytest.raises(ValueError, match=r"has no site layer0\.\w+: .* body 'residual tower'"):
        make(network("se-convolution"))


def test_changes_hold_interventions_that_the_network_can_carry_out(network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([KNIGHT_SACRIFICE.clean]).planes())
    other = torch.from_numpy(net.encode([KNIGHT_SACRIFICE.corrupted]).planes())
    made = [
        change
        for sweep in (
            sweeps.residual(net, squares=[3]),
            sweeps.residual(net, where="middle", squares=[3]),
            sweeps.residual(net, where="embedding", squares=[3]),
            sweeps.heads(net, layers=[1]),
            sweeps.head_sets(net, [[(0, 0), (2, 1)]]),
            *(sweeps.entry(net, 1, 1, method=m) for m in ("zero", "renormalise", "mask")),
        )
        for change in sweep.points(KNIGHT_SACRIFICE)
    ]
    assert all(isinstance(one, Intervention) for change in made for one in change.interventions)
    jobs = [Job(board=0, interventions=change.interventions) for change in made]
    assert bool(torch.isfinite(patching.run(net, planes, jobs, other=other).logits).all())
