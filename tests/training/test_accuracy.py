"""The cards' numbers are right for players whose choice is known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from leela_probe.files import bundled
from training import accuracy, certificates, records, tactics

ROOT = Path(__file__).parent.parent.parent
HEADER = "PuzzleId,FEN,Moves,Rating,RatingDeviation,Popularity,NbPlays,Themes,GameUrl\n"


class Player:
    """Gives each certified move of a position `share` of the probability, the rest to another."""

    def __init__(self, share):
        self.share = share

    def evaluate(self, boards):
        return Said(list(boards), self.share)


class Said:
    def __init__(self, boards, share):
        self.boards, self.share = boards, share

    def policy(self, row):
        board = self.boards[row]
        found = certificates.mates(board)
        wanted = found.in_one or found.in_two or certificates.mates_in_three(board)
        policy = dict.fromkeys(board.legal_moves, 0.0)
        for move in policy:
            if move not in wanted:
                policy[move] = 1 - self.share
                break
        return policy | {move: self.share / len(wanted) for move in wanted}


@pytest.fixture(scope="module")
def found():
    return certificates.generate(seed=11, block=0, count=60)


def test_shares_are_those_of_players_with_known_choices(found):
    every = accuracy.shares(
        found, players={"knows": Player(0.98), "dull": Player(0.01)}, weak="dull", source="here"
    )
    share = {(each.group, each.player): each for each in every}
    groups = {each.group for each in every}
    twos = int((found["kind"] == 0).sum())
    for group in groups:
        assert share[group, "knows"].share == 1
        assert share[group, "dull"].share == 0
        assert share[group, "dull"].high < 1
    assert share["here: mates in 2", "knows"].positions == twos
    under = "here: mates in 2, first move under 5% for dull"
    assert share[under, "knows"].positions == twos
    parts = [
        share[f"here: mates in 2, {kind}", "knows"].positions
        for kind in ("the first move gives check", "quiet first move")
    ]
    assert sum(parts) == twos
    assert not any("under" in s.group for s in accuracy.shares(
        found, players={"knows": Player(0.98)}, weak="knows", source="here"
    ))  # fmt: skip


def test_longer_mates_have_groups_of_their_own():
    made = tactics.generate(seed=2, block=0, count=60)
    every = accuracy.shares(made, players={"p": Player(0.9)}, weak="p", source="here")
    positions = {share.group.removeprefix("here: "): share.positions for share in every}
    assert positions["mates in 3"] == (made["kind"] == records.MATE_IN_3).sum()
    assert positions["mates in 2 by sacrifice"] == (made["share"] == 2).sum()
    assert positions["mates in 3 by sacrifice"] == (made["share"] == 3).sum()
    assert {"five plies, single reply", "five plies, a piece ready"} <= set(positions)
    assert all(share.share == 1 for share in every if share.player == "p")


def test_rules_that_name_several_moves_draw_lots(found):
    every = accuracy.shares(found, players={"p": Player(0.9)}, weak="p", source="here")
    share = {(each.group, each.player): each.share for each in every}
    twos = [record for record in found if record["kind"] == 0]
    lots, fewest = [], []
    for record in twos:
        board = records.board(record)
        key = certificates.mates(board).in_two[0]
        left = {}
        for move in board.legal_moves:
            board.push(move)
            left[move] = board.legal_moves.count()
            if not left[move] and not board.is_check():
                left[move] = 9999
            board.pop()
        least = [move for move, count in left.items() if count == min(left.values())]
        fewest.append((key in least) / len(least))
        lots.append(1 / len(left))
    assert share["here: mates in 2", "a legal move by lot"] == pytest.approx(np.mean(lots))
    assert share["here: mates in 2", "fewest replies"] == pytest.approx(np.mean(fewest))


def test_of_a_dump_only_certified_mates_count(tmp_path):
    two = (bundled.FOLDER / "mates.csv").read_text().splitlines()[1]
    rows = [
        "nomat,7k/8/5K2/8/8/8/8/5rQ1 b - - 0 1,f1g1 f6f7,1500,80,90,100,short,https://x/y",
        "mate1,6k1/p4ppp/8/8/8/8/8/K2R4 b - - 0 1,a7a6 d1d8,1500,80,90,100,mateIn1,https://x/z",
        two.removesuffix(","),
        "wrong,no board,a7a6 d1d8,1500,80,90,100,mateIn1,https://x/z",
    ]
    dump = tmp_path / "dump.csv"
    dump.write_text(HEADER + "\n".join(rows) + "\n")
    certified, left_out = accuracy.of_dump(dump)
    assert [records.KINDS[record["kind"]] for record in certified] == ["mate in 1", "mate in 2"]
    assert left_out == 0


def test_the_command_prints_a_table_and_writes_its_numbers(tmp_path, network_file):
    np.save(tmp_path / "block-000000.npy", certificates.generate(seed=12, block=0, count=40))
    result = subprocess.run(
        [
            sys.executable, "-m", "training.accuracy", "--strong", network_file("attention"),
            "--weak", network_file("attention", seed=2), "--held-out", tmp_path,
            "--json", tmp_path / "numbers.json",
        ],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "| held out: mates in 1 | " in result.stdout
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert 0 <= numbers["weak_under_5_percent"] <= 1
    players = {each["player"] for each in numbers["shares"]}
    assert {"strong", "weak", "random weights", "fewest replies"} <= players
