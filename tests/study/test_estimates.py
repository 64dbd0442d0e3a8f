"""Estimates are per puzzle or per row, and leave out what takes no time to speak of."""

import dataclasses

import pytest

from leela_probe.study import contents, estimates
from leela_probe.study.chapter import Measurement, Rates


def measurement(name, seconds, *, rows=False):
    return Measurement(
        name=name, title="", table=f"{name}.parquet", settings=lambda study: {},
        measure=lambda *how: None, rows=rows,
        seconds_each=None if seconds is None else lambda study, networks, rates: seconds,
    )  # fmt: skip


def test_the_time_is_that_of_a_puzzle_or_row_times_their_number():
    every = [measurement("filter", 0.5, rows=True), measurement("heads", 2.0)]
    found = estimates.estimate(every, {"filter": 0.5, "heads": 2.0}, rows=100, pairs=10)
    assert {each.name: each.seconds for each in found} == {
        "filter": 50.0, "heads": 20.0, "page": pytest.approx(25, abs=1)
    }  # fmt: skip


def test_what_does_not_apply_is_left_out():
    found = estimates.estimate([measurement("heads", 0.0)], {"heads": 0.0}, rows=1, pairs=1)
    assert [each.name for each in found] == ["page"]


def test_only_what_takes_time_is_timed(monkeypatch, finished, networks):
    monkeypatch.setattr(estimates, "rates", lambda networks: Rates(strong=1.0, weak=1.0))
    each = estimates.seconds_each(
        [measurement("heads", 2.0), measurement("attention", None)], finished, networks
    )
    assert each == {"heads": 2.0}


def test_every_measurement_of_a_study_can_be_timed(monkeypatch, finished, networks, networks_of):
    monkeypatch.setattr(estimates, "seconds_of", lambda work: (work(), 0.5)[1])
    each = estimates.seconds_each(contents.measurements(), finished, networks)
    assert {"filter", "corrupt", "residual", "heads", "entry", "probes"} <= set(each)
    assert all(seconds > 0 for seconds in each.values())
    none = estimates.seconds_each(contents.measurements(), finished, networks_of("se-convolution"))
    assert none["heads"] == none["entry"] == none["piece-heads"] == 0


def test_what_is_done_once_does_not_count():
    calls = []
    estimates.seconds_of(lambda: calls.append(1))
    assert len(calls) == 2


def test_rows_are_limited(finished):

    count = estimates.rows(finished)
    assert count == 90
    assert estimates.rows(dataclasses.replace(finished, limit=12)) == 12
    assert estimates.rows(dataclasses.replace(finished, limit=1000)) == count
