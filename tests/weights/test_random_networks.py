"""Random networks of every architecture and input format, answered by lc0."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import chess
import numpy as np
import onnxruntime
import pytest

from leela_probe.networks import conversion, lc0_answers
from leela_probe.networks.lc0_answers import Answer
from leela_probe.positions import moves
from leela_probe.positions.planes import InputFormat
from leela_probe.weights import random_networks, weights_files
from leela_probe.weights.architectures import PRESETS, Architecture, PolicyFormat, ValueFormat

SMALL_PRESETS = [name for name in PRESETS if name not in ("attention-10x256", "attention-15x768")]
POSITIONS = [
    (chess.STARTING_FEN, "e2e4"),
    (chess.STARTING_FEN, "e2e4 c7c5 g1f3 d7d6 d2d4 c5d4 f3d4 g8f6 b1c3 a7a6"),
    ("r1bqk2r/ppp2ppp/2np1n2/2b1p3/2B1P3/2NP1N2/PPP2PPP/R1BQK2R b KQkq - 1 6", "c8e6 c4b3"),
    ("8/5pk1/4p1p1/1p1bP2p/3P1P1P/r3N1P1/5K2/2R5 w - - 37 50", "f2e1 d5f3 c1c7"),
    ("8/P6k/8/8/8/8/p5K1/8 w - - 0 1", "g2f2"),
    ("3r2k1/4P1pp/8/8/8/8/6PP/4R1K1 w - - 0 1", "h2h3 h7h6"),
]


def boards() -> list[chess.Board]:
    result = []
    for fen, line in POSITIONS:
        board = chess.Board(fen)
        for move in line.split():
            board.push_uci(move)
        result.append(board)
    return result


def lc0(mode: str, *arguments: str) -> str:
    command = [str(conversion.find_lc0()), mode, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ask(path: Path, positions: Sequence[tuple[str, str]] = POSITIONS) -> list[Answer]:
    return lc0_answers.ask(path, [(fen, line.split()) for fen, line in positions])


def described(path: Path) -> dict[str, str]:
    lines = (line.split(":", 1) for line in lc0("describenet", f"--weights={path}").splitlines())
    return {pair[0].strip(): pair[1].strip() for pair in lines if len(pair) == 2}


def onnx_outputs(path: Path, answers: list[Answer]) -> dict[str, np.ndarray]:
    """What onnxruntime makes of lc0's ONNX and of lc0's own planes."""
    target = path.with_suffix(".onnx")
    lc0("leela2onnx", f"--input={path}", f"--output={target}")
    masks = np.stack([answer.masks for answer in answers])[:, :, None]
    bits = (masks >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    values = np.stack([answer.values for answer in answers])[:, :, None]
    planes = (bits * values).astype(np.float32).reshape(-1, 112, 8, 8)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"/input/planes": planes}), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@cache
def written(folder: Path, preset: str) -> tuple[Path, list[Answer]]:
    path = folder / f"{preset}.pb.gz"
    random_networks.write(path, PRESETS[preset], seed=1)
    return path, ask(path)


@pytest.mark.parametrize("preset", SMALL_PRESETS)
def test_lc0_describes_the_network_as_asked(folder: Path, preset: str) -> None:
    found, asked = described(written(folder, preset)[0]), PRESETS[preset]

    expected = {
        "Input": "INPUT_CLASSICAL_112_PLANE",
        "Value": "WDL" if asked.value == ValueFormat.WDL else "Classical",
        "MLH": "Present" if asked.moves_left else "Absent",
        "Default activation": f"DEFAULT_ACTIVATION_{asked.activation.name}",
        "Smolgen activation": f"ACTIVATION_{asked.smolgen_activation.name}",
        "FFN activation": f"ACTIVATION_{asked.feed_forward_activation.name}",
        "Policy": {
            PolicyFormat.CLASSICAL: "Dense",
            PolicyFormat.CONVOLUTION: "Convolution",
            PolicyFormat.ATTENTION: "Attention",
        }[asked.policy],
    }
    if asked.blocks:
        expected |= {"Blocks": str(asked.blocks), "Filters": str(asked.filters)}
        expected |= {"SE blocks": str(asked.blocks)} if asked.squeeze else {}
    else:
        expected |= {
            "Encoders": str(asked.layers),
            "Encoder heads": str(asked.heads),
            "Embedding size": str(asked.width),
            "Dmodel": str(asked.attention_width or asked.width),
            "Encoder DFF": str(asked.feed_forward),
            "Input embedding": f"INPUT_EMBEDDING_PE_{asked.embedding.name}",
        }
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("preset", SMALL_PRESETS)
def test_lc0_and_onnxruntime_agree(folder: Path, preset: str) -> None:
    path, answers = written(folder, preset)
    outputs = onnx_outputs(path, answers)

    for board, answer, logits in zip(boards(), answers, outputs["/output/policy"], strict=True):
        legal, slots = moves.legal(board)
        odds = np.exp(logits[slots].astype(float) - logits[slots].max())
        for move, probability in zip(legal, odds / odds.sum(), strict=True):
            assert abs(answer.policy[move.uci()] - probability) < 3e-6
    asked = PRESETS[preset]
    if asked.value == ValueFormat.WDL:
        win, draw, loss = outputs["/output/wdl"].T
        assert np.allclose([a.q for a in answers], win - loss, atol=3e-6)
        assert np.allclose([a.d for a in answers], draw, atol=3e-6)
    else:
        assert np.allclose([a.q for a in answers], outputs["/output/value"][:, 0], atol=5e-6)
    if asked.moves_left:
        assert np.allclose([a.m for a in answers], outputs["/output/mlh"][:, 0], atol=1e-4)
    else:
        assert "/output/mlh" not in outputs


@pytest.mark.parametrize("preset", SMALL_PRESETS)
def test_policies_are_neither_uniform_nor_certain(folder: Path, preset: str) -> None:
    entropies = []
    for answer in written(folder, preset)[1]:
        policy = np.array(list(answer.policy.values()))
        if len(policy) > 1:
            entropies.append(-(policy * np.log(policy)).sum() / np.log(len(policy)))

    assert 0.3 < np.mean(entropies) < 0.95


@pytest.mark.parametrize("preset", SMALL_PRESETS)
def test_values_differ_from_position_to_position(folder: Path, preset: str) -> None:
    answers = written(folder, preset)[1]

    assert np.std([answer.q for answer in answers]) > 0.01
    if PRESETS[preset].moves_left:
        assert min(answer.m for answer in answers) > 0


@pytest.mark.parametrize("input_format", InputFormat)
def test_lc0_takes_every_input_format(folder: Path, input_format: InputFormat) -> None:
    path = folder / f"input-{input_format.value}.pb.gz"
    random_networks.write(
        path, replace(PRESETS["se-convolution"], input_format=input_format), seed=1
    )
    names = {
        InputFormat.CLASSICAL: "CLASSICAL_112_PLANE",
        InputFormat.CASTLING_PLANE: "112_WITH_CASTLING_PLANE",
        InputFormat.CANONICAL: "112_WITH_CANONICALIZATION",
        InputFormat.CANONICAL_HECTOPLIES: "112_WITH_CANONICALIZATION_HECTOPLIES",
        InputFormat.CANONICAL_V2: "112_WITH_CANONICALIZATION_V2",
        InputFormat.CANONICAL_HECTOPLIES_ARMAGEDDON: (
            "112_WITH_CANONICALIZATION_HECTOPLIES_ARMAGEDDON"
        ),
        InputFormat.CANONICAL_V2_ARMAGEDDON: "112_WITH_CANONICALIZATION_V2_ARMAGEDDON",
    }
    # In v2 formats lc0's bindings end the process for many positions that are not the start's.
    answers = ask(path, [p for p in POSITIONS if p[0] == chess.STARTING_FEN])
    outputs = onnx_outputs(path, answers)

    assert described(path)["Input"] == f"INPUT_{names[input_format]}"
    win, _, loss = outputs["/output/wdl"].T
    assert np.allclose([answer.q for answer in answers], win - loss, atol=3e-6)


@pytest.mark.parametrize("head", ["vanilla", "optimistic", "soft", "opponent"])
def test_lc0_finds_every_policy_head(folder: Path, head: str) -> None:
    path, _ = written(folder, "multihead")
    target = folder / f"{head}.onnx"
    lc0("leela2onnx", f"--input={path}", f"--output={target}", f"--policy-head={head}")

    assert target.exists()


@pytest.mark.parametrize("head", ["winner", "q", "st"])
def test_lc0_finds_every_value_head(folder: Path, head: str) -> None:
    path, _ = written(folder, "multihead")
    target = folder / f"{head}.onnx"
    lc0("leela2onnx", f"--input={path}", f"--output={target}", f"--value-head={head}")

    assert target.exists()


def test_promotion_weights_are_queen_rook_bishop_and_all_three(tmp_path: Path) -> None:
    # A pawn that can only promote: what one row adds, in nats, must show in its own move.
    architecture = PRESETS["attention-one-layer"]
    fen, line = "8/P6k/8/8/8/8/8/K7 b - - 0 1", ["h7g7"]
    tensors = random_networks.tensors(architecture, seed=1)
    tensors["ip4_pol_w"] = np.zeros_like(tensors["ip4_pol_w"])

    def log_odds() -> dict[str, float]:
        weights_files.write(tmp_path / "net.pb.gz", architecture, tensors)
        policy = lc0_answers.ask(tmp_path / "net.pb.gz", [(fen, line)])[0].policy
        return {piece: np.log(policy[f"a7a8{piece}"] / policy["a1b1"]) for piece in "qrbn"}

    plain = log_odds()
    for row, pieces in enumerate(["q", "r", "b", "qrb"]):
        tensors["ip4_pol_w"][:] = 0
        tensors["ip4_pol_w"][row] = 1
        moved = {piece for piece, odds in log_odds().items() if abs(odds - plain[piece]) > 1e-3}
        assert moved == set(pieces)


def test_networks_of_one_seed_share_the_tensors_they_have_in_common() -> None:
    with_smolgen = random_networks.tensors(PRESETS["attention"], seed=4)
    without = random_networks.tensors(PRESETS["attention-no-smolgen"], seed=4)

    assert without.keys() < with_smolgen.keys()
    assert all(np.array_equal(with_smolgen[name], values) for name, values in without.items())


def test_another_seed_gives_other_numbers() -> None:
    architecture: Architecture = PRESETS["attention-one-layer"]
    one = random_networks.tensors(architecture, seed=1)
    two = random_networks.tensors(architecture, seed=2)

    assert not any(np.array_equal(one[name], two[name]) for name in one)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pb.gz", tmp_path / "two.pb.gz"
    for path in (one, two):
        random_networks.write(path, PRESETS["multihead"], seed=5)

    assert one.read_bytes() == two.read_bytes()
