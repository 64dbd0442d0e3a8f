"""Changed runs: the laws that patching keeps, on networks of every architecture.

The outside witness is in `test_effects`: onnxruntime on the file cut at the changed tensor.
"""

import numpy as np
import pytest
import torch
from example_pairs import BACK_RANK, BY_HAND, KNIGHT_SACRIFICE, random_pairs
from network_families import FAMILIES

from leela_probe.networks import patching
from leela_probe.networks.interventions import Add, Intervention, Mask, Patch, Scale, Write, Zero
from leela_probe.networks.patching import Job

PAIRS = (*BY_HAND, *random_pairs(5, 4))
EXACT = {"atol": 1e-5, "rtol": 1e-5}


def planes_of(net, pairs=PAIRS):
    """Planes of the clean and of the corrupted boards."""
    return tuple(
        torch.from_numpy(net.encode(boards).planes())
        for boards in ([pair.clean for pair in pairs], [pair.corrupted for pair in pairs])
    )


def logits_of(net, planes):
    return net.graph.run({net.graph.inputs[0]: planes}, [net.site("policy.logits").tensor])[
        net.site("policy.logits").tensor
    ]


def kinds_of_change(net):
    """At least one intervention of each kind, most of them in the middle of the network."""
    middle = min(1, net.layers - 1)
    rng = np.random.default_rng(4)
    noise = torch.from_numpy(rng.normal(0, 0.5, net.width).astype(np.float32))
    stream, layer = f"layer{middle}.residual_after", f"layer{middle}"
    made = [
        Intervention(site="embedding", action=Patch(), square=28),
        Intervention(site=stream, action=Patch(), square=31),
        Intervention(site=stream, action=Patch()),
        Intervention(site=stream, action=Add(direction=noise), square=(5, 60)),
        Intervention(site=stream, action=Scale(factor=0.5)),
    ]
    if net.heads:
        entry = {"site": f"{layer}.pattern", "head": 1, "query": 46, "key": 31}
        made += [
            Intervention(site=f"{layer}.residual_middle", action=Zero(), square=7),
            Intervention(site=f"{layer}.attention_output", action=Patch(), square=14),
            Intervention(site=f"{layer}.mlp_output", action=Patch(), square=21),
            Intervention(site=f"{layer}.head_output", action=Patch(), head=1),
            Intervention(site=f"{layer}.query", action=Patch(), head=(0, 3), square=9),
            Intervention(site=f"{layer}.key", action=Patch(), square=(1, 2)),
            Intervention(site=f"{layer}.value", action=Scale(factor=2.0), head=2),
            Intervention(action=Zero(), **entry),
            Intervention(action=Zero(renormalise=True), **entry),
            Intervention(action=Zero(), complement=True, **entry),
            Intervention(site=f"{layer}.scores", action=Mask(), head=2, query=8, key=8),
            Intervention(site=f"{layer}.scores", action=Mask(), key=(12,)),
        ]
    else:
        made.append(Intervention(site=f"{layer}.conv1", action=Zero(), square=(0, 63)))
        for kind, places in (("block_output", {"square": 45}), ("se_gate", {})):
            if f"{layer}.{kind}" in net.sites:
                made.append(Intervention(site=f"{layer}.{kind}", action=Patch(), **places))
    return made


def jobs_of(net, pairs=PAIRS):
    """Runs of every kind, some with two changes, boards mixed."""
    made = kinds_of_change(net)
    jobs = [
        Job(board=(3 * index) % len(pairs), interventions=(change,))
        for index, change in enumerate(made)
    ]
    jobs += [
        Job(board=board % len(pairs), interventions=(made[index], made[-1 - index]))
        for board, index in enumerate((1, 4))
    ]
    jobs += [Job(board=board, interventions=(made[1],)) for board in range(len(pairs))]
    return [*jobs, Job(board=1, interventions=())]


# -- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", FAMILIES)
def test_patching_a_run_with_itself_changes_nothing(preset, network):
    net = network(preset)
    clean, _ = planes_of(net)
    jobs = [
        Job(board=board, interventions=(change,))
        for board, change in enumerate(
            change for change in kinds_of_change(net) if change.action == Patch()
        )
        if board < len(clean)
    ]
    found = patching.run(net, clean, jobs, other=clean).logits
    torch.testing.assert_close(found, logits_of(net, clean)[: len(jobs)], **EXACT)


@pytest.mark.parametrize("preset", FAMILIES)
def test_patching_everything_gives_the_other_run(preset, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    expected = logits_of(net, corrupted)
    assert float((logits_of(net, clean) - expected).abs().amax(-1).min()) > 0.01
    last = f"layer{net.layers - 1}.residual_after"
    for site in ("input", "embedding", "layer0.residual_before", last):
        for square in (None,) if site == "input" else (None, tuple(range(64))):
            change = Intervention(site=site, action=Patch(), square=square)
            jobs = [Job(board=board, interventions=(change,)) for board in range(len(PAIRS))]
            found = patching.run(net, clean, jobs, other=corrupted).logits
            torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("preset", FAMILIES)
def test_running_what_is_downstream_gives_what_a_full_run_gives(preset, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    jobs = jobs_of(net)
    shared = patching.run(net, clean, jobs, other=corrupted)
    full = patching.run(net, clean, jobs, other=corrupted, share=False, fused=False)
    torch.testing.assert_close(shared.logits, full.logits, **EXACT)
    torch.testing.assert_close(shared.value, full.value, **EXACT)


@pytest.mark.parametrize("kinds", [{"share": False}, {"fused": False}])
@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_runs_depend_neither_on_sharing_nor_on_fusing(preset, kinds, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    jobs = jobs_of(net)
    expected = patching.run(net, clean, jobs, other=corrupted)
    found = patching.run(net, clean, jobs, other=corrupted, **kinds)
    torch.testing.assert_close(found.logits, expected.logits, **EXACT)
    torch.testing.assert_close(found.value, expected.value, **EXACT)


@pytest.mark.parametrize("preset", ["attention", "se-attention-encoder"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_runs_do_not_depend_on_the_batch_size(preset, batch_size, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    jobs = jobs_of(net)
    assert len(jobs) % 7
    whole = patching.run(net, clean, jobs, other=corrupted, batch_size=len(jobs))
    parts = patching.run(net, clean, jobs, other=corrupted, batch_size=batch_size)
    torch.testing.assert_close(parts.logits, whole.logits, **EXACT)
    torch.testing.assert_close(parts.value, whole.value, **EXACT)


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_runs_do_not_depend_on_their_order_or_on_that_of_the_boards(preset, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    jobs = jobs_of(net)
    expected = patching.run(net, clean, jobs, other=corrupted).logits
    rng = np.random.default_rng(8)
    order, boards = rng.permutation(len(jobs)), rng.permutation(len(PAIRS))
    place = np.argsort(boards)  # board b is now at place[b]
    shuffled = [
        Job(board=int(place[jobs[i].board]), interventions=jobs[i].interventions) for i in order
    ]
    found = patching.run(net, clean[boards], shuffled, other=corrupted[boards], batch_size=5).logits
    torch.testing.assert_close(found, expected[order], **EXACT)


def test_a_run_without_changes_is_the_clean_run(network):
    net = network("attention")
    clean, _ = planes_of(net)
    jobs = [Job(board=board, interventions=()) for board in (2, 0)]
    torch.testing.assert_close(
        patching.run(net, clean, jobs).logits, logits_of(net, clean)[[2, 0]], **EXACT
    )


def test_no_runs_give_no_outputs(network):
    net = network("attention")
    assert patching.run(net, planes_of(net)[0], []).logits.shape == (0, 1858)


def test_nothing_that_is_passed_in_is_changed(network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    before = clean.clone(), corrupted.clone()
    changes = (Intervention(site="input", action=Zero()), *kinds_of_change(net))
    jobs = [Job(board=0, interventions=(change,)) for change in changes]
    patching.run(net, clean, jobs, other=corrupted)
    assert torch.equal(clean, before[0])
    assert torch.equal(corrupted, before[1])


@pytest.mark.parametrize("preset", ["attention", "attention-no-smolgen"])
def test_zeroing_an_entry_and_its_complement_zeroes_the_heads_pattern(preset, network):
    net = network(preset)
    clean, _ = planes_of(net)
    entry, rest = (
        Intervention(
            site="layer1.pattern", action=Zero(), head=2, query=46, key=31, complement=complement
        )
        for complement in (False, True)
    )
    whole = Intervention(site="layer1.pattern", action=Zero(), head=2)
    found = patching.run(
        net,
        clean,
        [Job(board=0, interventions=made) for made in ((entry, rest), (rest, entry), (whole,))],
    ).logits
    torch.testing.assert_close(found[0], found[2], **EXACT)
    torch.testing.assert_close(found[1], found[2], **EXACT)
    assert float((found[2] - logits_of(net, clean)[0]).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("places", "site"),
    [
        ({"square": (3, 4)}, "residual_after"),
        ({"head": 1, "square": 9}, "head_output"),
        ({"square": 9}, "head_output"),
        ({"query": 5}, "pattern"),
        ({"head": 0, "key": (7, 8)}, "pattern"),
        ({"head": (1, 3), "query": (5, 6), "key": (7, 8)}, "pattern"),
    ],
)
def test_a_complement_is_all_the_rest_of_the_named_heads(places, site, network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    name = f"layer1.{site}"
    inside, outside = (
        Intervention(site=name, action=Patch(), **places, complement=c) for c in (False, True)
    )
    whole = Intervention(site=name, action=Patch(), head=places.get("head"))
    found = patching.run(
        net,
        clean,
        [Job(board=2, interventions=made) for made in ((inside, outside), (outside,), (whole,))],
        other=corrupted,
    ).logits
    torch.testing.assert_close(found[0], found[2], **EXACT)
    assert float((found[1] - found[2]).abs().max()) > 1e-6


# -- several changes in one run -------------------------------------------------------------------


def by_edits(net, planes, edits):
    """The logits with changes made by hand."""
    return net.run(planes, ["policy.logits"], edits=edits)["policy.logits"][0]


def test_query_key_and_value_are_changed_together(network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    names = [f"layer1.{kind}" for kind in ("query", "key", "value")]
    other = net.run(corrupted[:1], names)

    def patched(name):
        def edit(value):
            value = value.clone()
            value[:, 2, 40] = other[name][:, 2, 40]
            return value

        return edit

    expected = by_edits(net, clean[:1], {name: patched(name) for name in names})
    made = [Intervention(site=name, action=Patch(), head=2, square=40) for name in names]
    for order in (made, made[::-1]):
        (found,) = patching.run(
            net, clean, [Job(board=0, interventions=tuple(order))], other=corrupted
        ).logits
        torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("preset", ["attention", "se-mish"])
def test_changes_at_several_depths_are_all_made_whatever_their_order(preset, network):
    net = network(preset)
    clean, corrupted = planes_of(net)
    early, late = "layer0.residual_after", "layer1.residual_after"
    other = net.run(corrupted[1:2], [early, late])

    def patch(name, square):
        def edit(value):
            value = value.clone()
            value[:, square] = other[name][:, square]
            return value

        return edit

    expected = by_edits(net, clean[1:2], {early: patch(early, 10), late: patch(late, 20)})
    made = (
        Intervention(site=early, action=Patch(), square=10),
        Intervention(site=late, action=Patch(), square=20),
    )
    jobs = [
        Job(board=1, interventions=made),
        Job(board=1, interventions=made[::-1]),
        Job(board=1, interventions=made[:1]),
        Job(board=1, interventions=made[1:]),
    ]
    found = patching.run(net, clean, jobs, other=corrupted).logits
    torch.testing.assert_close(found[0], expected, **EXACT)
    torch.testing.assert_close(found[1], expected, **EXACT)
    assert float((found[2:] - expected).abs().amax(-1).min()) > 1e-4


def test_changes_of_one_site_are_made_in_the_order_given_whatever_shares_the_batch(network):
    net = network("attention")
    clean, _ = planes_of(net)
    site = "layer1.residual_after"
    direction = torch.linspace(-1, 1, net.width)
    add = Intervention(site=site, action=Add(direction=direction), square=20)
    double = Intervention(site=site, action=Scale(factor=2.0), square=20)
    zero = Intervention(site=site, action=Zero(), square=20)

    def edit(change):
        def apply(value):
            value = value.clone()
            value[:, 20] = change(value[:, 20])
            return value

        return {site: apply}

    expected = {
        (add, double): lambda x: 2 * (x + direction),
        (double, add): lambda x: 2 * x + direction,
        (zero, add): lambda x: 0 * x + direction,
        (add, zero): lambda x: 0 * x,
        (double, double): lambda x: 4 * x,
        (add, add): lambda x: x + 2 * direction,
        (add, zero, add): lambda x: 0 * x + direction,
    }
    jobs = [Job(board=0, interventions=made) for made in expected]
    for batch_size in (1, len(jobs)):
        found = patching.run(net, clean, jobs, batch_size=batch_size).logits
        for logits, change in zip(found, expected.values(), strict=True):
            torch.testing.assert_close(logits, by_edits(net, clean[:1], edit(change)), **EXACT)


def test_two_names_of_one_tensor_are_one_site(network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    made = (
        Intervention(site="layer0.residual_after", action=Patch(), square=10),
        Intervention(site="layer1.residual_before", action=Patch(), square=20),
    )
    both = Intervention(site="layer0.residual_after", action=Patch(), square=(10, 20))
    found = patching.run(
        net,
        clean,
        [Job(board=0, interventions=made), Job(board=0, interventions=(both,))],
        other=corrupted,
    ).logits
    torch.testing.assert_close(found[0], found[1], **EXACT)


# -- actions --------------------------------------------------------------------------------------

ACTIONS = {
    "zero": (Zero(), lambda x: 0 * x),
    "scale": (Scale(factor=-1.5), lambda x: -1.5 * x),
    "add": (Add(direction=torch.tensor(0.7)), lambda x: x + 0.7),
    "write": (Write(values=torch.tensor(0.1)), lambda x: 0 * x + 0.1),
}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("residual_after", {"square": (4, 60)}),
        ("residual_after", {}),
        ("head_output", {"head": (0, 2), "square": (7, 9)}),
        ("head_output", {"square": 12}),
        ("pattern", {"key": 12}),
        ("pattern", {"query": (1, 2), "key": (3, 4)}),
        ("pattern", {"head": 1, "query": (1, 2), "key": (3, 4)}),
        ("key", {"head": 3}),
    ],
)
def test_an_action_changes_the_named_places_and_no_others(name, kind, places, network):
    net = network("attention")
    clean, _ = planes_of(net)
    action, formula = ACTIONS[name]
    site = f"layer1.{kind}"

    def edit(value):
        chosen = torch.zeros_like(value, dtype=torch.bool)
        head = list(places.get("head", range(4))) if "head" not in places else places["head"]
        heads = [head] if isinstance(head, int) else list(head)
        if kind == "residual_after":
            chosen[:, list(places.get("square", range(64)))] = True
        elif kind == "pattern" and "query" in places:
            for query, key in zip(places["query"], places["key"], strict=True):
                chosen[:, heads, query, key] = True
        elif kind == "pattern":
            chosen[:, heads, :, places["key"]] = True
        else:
            squares = places.get("square", range(64))
            for square in [squares] if isinstance(squares, int) else squares:
                chosen[:, heads, square] = True
        return torch.where(chosen, formula(value), value)

    change = Intervention(site=site, action=action, **places)
    found = patching.run(net, clean, [Job(board=b, interventions=(change,)) for b in (1, 2)])
    for board, logits in zip((1, 2), found.logits, strict=True):
        expected = by_edits(net, clean[board : board + 1], {site: edit})
        torch.testing.assert_close(logits, expected, **EXACT)


@pytest.mark.parametrize("kind", ["add", "write"])
@pytest.mark.parametrize(
    ("site", "places"),
    [
        ("head_output", {"square": (3, 4, 5, 6)}),  # as many squares as heads
        ("pattern", {"key": (9, 10, 11, 12)}),
        ("pattern", {"head": 2, "query": 5}),
        ("residual_after", {"square": (3, 8)}),
    ],
)
def test_a_written_or_added_tensor_keeps_its_own_places(kind, site, places, network):
    net = network("attention")
    clean, _ = planes_of(net)
    name = f"layer1.{site}"
    value = net.run(clean[:1], [name])[name]
    given = torch.from_numpy(
        np.random.default_rng(2).normal(0, 0.3, value.shape[1:]).astype(np.float32)
    )
    action = Add(direction=given) if kind == "add" else Write(values=given)
    chosen = torch.zeros_like(value, dtype=torch.bool)
    index = {
        "head_output": (slice(None), slice(None), [3, 4, 5, 6]),
        "pattern": (slice(None), slice(None), slice(None), [9, 10, 11, 12])
        if "key" in places
        else (slice(None), 2, 5),
        "residual_after": (slice(None), [3, 8]),
    }[site]
    chosen[index] = True

    def edit(value):
        return torch.where(chosen, value + given if kind == "add" else given, value)

    change = Intervention(site=name, action=action, **places)
    (found,) = patching.run(net, clean, [Job(board=0, interventions=(change,))]).logits
    torch.testing.assert_close(found, by_edits(net, clean[:1], {name: edit}), **EXACT)


def test_writing_the_mean_is_mean_ablation(network):
    net = network("attention")
    clean, _ = planes_of(net)
    site = "layer1.head_output"
    mean = patching.mean(net, clean, site)
    every = net.run(clean, [site])[site].double().mean(0).float()
    torch.testing.assert_close(mean, every)

    def edit(value):
        value = value.clone()
        value[:, 3] = every[3]
        return value

    change = Intervention(site=site, action=Write(values=mean), head=3)
    (found,) = patching.run(net, clean, [Job(board=4, interventions=(change,))]).logits
    torch.testing.assert_close(found, by_edits(net, clean[4:5], {site: edit}), **EXACT)


def test_resampling_is_writing_one_of_the_boards(network):
    net = network("attention")
    clean, _ = planes_of(net)
    drawn = set()
    for seed in range(12):
        chosen = {
            next(i for i, value in enumerate(every) if torch.allclose(value, found, atol=1e-5))
            for site in ("layer1.head_output", "layer0.residual_after")
            for every, found in [
                (net.run(clean, [site])[site], patching.resample(net, clean, site, seed=seed))
            ]
        }
        assert len(chosen) == 1  # the same board at every site
        drawn |= chosen
    assert len(drawn) > 1
    with pytest.raises(ValueError, match=r"no boards to draw layer1\.head_output from"):
        patching.resample(net, clean[:0], "layer1.head_output", seed=0)


def test_only_changed_rows_of_a_pattern_are_renormalised(network):
    net = network("attention")
    clean, _ = planes_of(net)
    site = "layer1.pattern"
    plain = Intervention(site=site, action=Zero(), head=0, query=5, key=6)
    again = Intervention(site=site, action=Zero(renormalise=True), head=1, query=46, key=31)

    def edit(value):
        value = value.clone()
        value[:, 0, 5, 6] = 0
        value[:, 1, 46, 31] = 0
        value[:, 1, 46] /= value[:, 1, 46].sum()
        return value

    expected = by_edits(net, clean[:1], {site: edit})
    for order in ((plain, again), (again, plain)):
        (found,) = patching.run(net, clean, [Job(board=0, interventions=order)]).logits
        torch.testing.assert_close(found, expected, **EXACT)


def test_a_pattern_row_of_which_nothing_is_left_stays_zero(network):
    net = network("attention")
    clean, _ = planes_of(net)
    row = {"site": "layer1.pattern", "head": 1, "query": 46}
    found = patching.run(
        net,
        clean,
        [
            Job(board=0, interventions=(Intervention(action=Zero(renormalise=r), **row),))
            for r in (True, False)
        ],
    ).logits
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found[0], found[1], **EXACT)


@pytest.mark.parametrize("preset", ["attention", "attention-no-smolgen"])
def test_masking_scores_is_zeroing_and_renormalising_the_pattern(preset, network):
    net = network(preset)
    clean, _ = planes_of(net)
    for places in ({"head": 1, "query": 46, "key": 31}, {"key": 12}, {"head": 2, "key": (3, 4)}):
        mask = Intervention(site="layer1.scores", action=Mask(), **places)
        zero = Intervention(site="layer1.pattern", action=Zero(renormalise=True), **places)
        found = patching.run(
            net, clean, [Job(board=1, interventions=(change,)) for change in (mask, zero)]
        ).logits
        torch.testing.assert_close(found[0], found[1], **EXACT)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"site": "layer9.pattern"},
            KeyError,
            r"no site 'layer9\.pattern'.*layers run from 0 to 2",
        ),
        ({"site": "layer1.patern"}, KeyError, r"did you mean layer1\.pattern"),
        (
            {"site": "layer1.head_output", "head": 4},
            IndexError,
            r"head 4 is not in layer1\.head_output of 'attention.*: it runs from 0 to 3",
        ),
        ({"site": "layer1.pattern", "head": -1}, IndexError, r"head -1 .* from 0 to 3"),
        ({"site": "layer1.residual_after", "square": 64}, IndexError, r"square 64 .* 0 to 63"),
        ({"site": "layer1.pattern", "query": 99, "key": 1}, IndexError, r"query 99 .* 0 to 63"),
        ({"site": "layer1.pattern", "key": -5, "query": 1}, IndexError, r"key -5 .* 0 to 63"),
        (
            {"site": "layer1.residual_after", "head": 0},
            ValueError,
            r"layer1\.residual_after has no axis 'head': its axes are board square width",
        ),
        (
            {"site": "layer1.pattern", "square": 3},
            ValueError,
            r"layer1\.pattern has no axis 'square': its axes are board head query key",
        ),
    ],
)
@pytest.mark.parametrize("complement", [False, True])
def test_a_wrong_place_is_refused_and_named(change, error, message, complement, network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    if complement:
        change = {"query": 1, **change} if "pattern" in change["site"] else {"square": 1, **change}
    made = Intervention(action=Patch(), complement=complement, **change)
    with pytest.raises(error, match=message):
        patching.run(net, clean, [Job(board=0, interventions=(made,))], other=corrupted)


def test_a_network_without_heads_has_no_such_site(network):
    net = network("se-convolution")
    made = Intervention(site="layer0.head_output", action=Zero(), head=0)
    with pytest.raises(KeyError, match=r"no site 'layer0\.head_output'.*a layer of it has"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


@pytest.mark.parametrize("site", ["moves_left.output", "moves_left.embedding"])
@pytest.mark.parametrize("share", [True, False])
def test_changing_what_has_no_influence_is_an_error(site, share, network):
    net = network("attention")
    made = Intervention(site=site, action=Zero())
    early = Intervention(site="layer1.residual_after", action=Zero(), square=3)
    for changes in ((made,), (early, made), (made, early)):
        with pytest.raises(ValueError, match=r"has no influence|would never happen"):
            patching.run(net, planes_of(net)[0], [Job(board=0, interventions=changes)], share=share)


def test_boards_and_partners_of_different_number_are_refused(network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    made = Intervention(site="embedding", action=Patch(), square=3)
    with pytest.raises(ValueError, match="7 boards and 6 partners: give one partner for each"):
        patching.run(net, clean, [Job(board=0, interventions=(made,))], other=corrupted[:-1])


def test_a_patch_without_partners_is_refused(network):
    net = network("attention")
    made = Intervention(site="embedding", action=Patch(), square=3)
    with pytest.raises(ValueError, match="Patch takes activations from the other boards"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


@pytest.mark.parametrize("board", [-1, 7])
def test_a_board_that_is_not_given_is_refused(board, network):
    net = network("attention")
    with pytest.raises(IndexError, match=f"board {board} is not among the 7 given"):
        patching.run(net, planes_of(net)[0], [Job(board=board, interventions=())])


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_of_nothing_is_refused(batch_size, network):
    net = network("attention")
    with pytest.raises(ValueError, match=f"{batch_size} runs in one batch: take at least 1"):
        patching.run(
            net, planes_of(net)[0], [Job(board=0, interventions=())], batch_size=batch_size
        )


def test_renormalising_what_is_no_pattern_is_refused(network):
    net = network("attention")
    made = Intervention(site="layer1.residual_after", action=Zero(renormalise=True), square=3)
    with pytest.raises(ValueError, match=r"layer1\.residual_after has no rows to renormalise"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


@pytest.mark.parametrize("site", ["layer1.pattern", "layer1.residual_after"])
def test_masking_what_enters_no_softmax_is_refused(site, network):
    net = network("attention")
    made = Intervention(site=site, action=Mask())
    with pytest.raises(ValueError, match=f"{site} cannot be masked: .* scores"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


def test_masking_every_key_of_a_query_is_refused(network):
    net = network("attention")
    made = Intervention(site="layer1.scores", action=Mask(), head=1, query=46)
    with pytest.raises(ValueError, match=r"nothing is left of a row of layer1\.scores"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


def test_a_tensor_that_does_not_fit_is_refused(network):
    net = network("attention")
    made = Intervention(site="layer1.residual_after", action=Add(direction=torch.ones(33)))
    with pytest.raises(ValueError, match=r"33.* does not fit layer1\.residual_after.*64.*32"):
        patching.run(net, planes_of(net)[0], [Job(board=0, interventions=(made,))])


# -- names of the ONNX file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("onnx_name", "site"),
    [("/encoder1/ln1", "layer1.residual_middle"), ("encoder1/mha/QK/softmax", "layer1.pattern")],
)
def test_an_onnx_name_is_its_site(onnx_name, site, network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    places = {"square": 9} if site.endswith("middle") else {"head": 1, "query": 4}
    jobs = [
        Job(board=3, interventions=(Intervention(site=name, action=Patch(), **kinds),))
        for name in (onnx_name, site)
        for kinds in ({}, places)
    ]
    found = patching.run(net, clean, jobs, other=corrupted).logits
    torch.testing.assert_close(found[:2], found[2:], **EXACT)
    assert float((found[0] - found[1]).abs().max()) > 1e-4


def test_a_tensor_without_a_site_is_changed_on_its_own_board_alone(network):
    net = network("attention")
    clean, corrupted = planes_of(net)
    # queries before they are split into heads: the axis of squares is folded into that of boards
    name = "/encoder1/mha/Q/b"
    jobs = [
        Job(board=board, interventions=(Intervention(site=site, action=Patch()),))
        for site in (name, "layer1.query")
        for board in (2, 0, 5)
    ]
    found = patching.run(net, clean, jobs, other=corrupted).logits
    torch.testing.assert_close(found[:3], found[3:], **EXACT)
    assert float((found[:3] - logits_of(net, clean)[[2, 0, 5]]).abs().amax(-1).min()) > 1e-5


# -- small networks and sets ----------------------------------------------------------------------


def test_a_network_of_one_layer_is_patched(network):
    net = network("attention-one-layer")
    assert net.layers == 1
    clean, corrupted = planes_of(net)
    made = [
        Intervention(site="layer0.residual_before", action=Patch()),
        Intervention(site="layer0.residual_after", action=Patch()),
    ]
    jobs = [Job(board=0, interventions=(change,)) for change in made]
    expected = logits_of(net, corrupted)[[0, 0]]
    torch.testing.assert_close(
        patching.run(net, clean, jobs, other=corrupted).logits, expected, **EXACT
    )


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_a_single_board_is_patched_as_among_others(preset, network):
    net = network(preset)
    every, one = (planes_of(net, pairs) for pairs in (PAIRS, [KNIGHT_SACRIFICE]))
    changes = kinds_of_change(net)
    found, expected = (
        patching.run(
            net,
            clean,
            [Job(board=board, interventions=(change,)) for change in changes],
            other=corrupted,
        ).logits
        for (clean, corrupted), board in ((one, 0), (every, PAIRS.index(KNIGHT_SACRIFICE)))
    )
    torch.testing.assert_close(found, expected, **EXACT)


def test_64_boards_are_not_mistaken_for_64_squares(network):
    net = network("attention")
    pairs = [BACK_RANK, KNIGHT_SACRIFICE] * 32
    clean, corrupted = planes_of(net, pairs)
    made = Intervention(site="layer1.attention_output", action=Patch(), square=20)
    jobs = [Job(board=board, interventions=(made,)) for board in range(64)]
    found = patching.run(net, clean, jobs, other=corrupted).logits
    torch.testing.assert_close(found, found[:2].repeat(32, 1), **EXACT)
    alone = patching.run(net, clean[:2], jobs[:2], other=corrupted[:2]).logits
    torch.testing.assert_close(found[:2], alone, **EXACT)


def test_a_good_batch_is_not_empty_on_any_network(network):
    assert all(patching.rows_at_once(network(preset)) >= 16 for preset in FAMILIES)
