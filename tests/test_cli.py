"""The command line in processes of its own: what it prints, and how it ends."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import chess
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import typer
from onnx import TensorProto, helper

import leela_probe
from leela_probe import cli
from leela_probe.networks.network import load
from leela_probe.positions import symmetry
from leela_probe.weights import weights_files
from leela_probe.weights.architectures import PRESETS

ROOT = Path(leela_probe.__file__).parent.parent
SAMPLE = ROOT / "puzzles" / "sample.csv"
COMMANDS = ("info", "eval", "verify", "convert", "random", "filter", "corrupt")
MATE_IN_ONE = "6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(cache: Path) -> dict[str, str]:
    """A terminal of 80 columns, and a cache that is not the user's."""
    return {
        **os.environ,
        "COLUMNS": "80",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(cache.parent / "command-line"),
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs the command in an empty folder."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "leela_probe", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )

    return call


@pytest.fixture
def networks(network_file) -> tuple[object, ...]:
    """The options that name the two networks."""
    return "--strong", network_file("attention"), "--weak", network_file("se-convolution", seed=2)


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refusal is."""
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("leela-probe: ")
    return line


def usage_error(result: subprocess.CompletedProcess[str]) -> str:
    """What a mistaken command line is told, without the frame around it."""
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_fits_in_80_columns(command, run):
    result = run(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Usage: leela-probe {command} " in result.stdout
    assert re.search(rf"Examples?:\s+leela-probe {command} ", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_lists_every_command(run):
    result = run("-h")
    assert result.returncode == 0
    assert "Usage: leela-probe [OPTIONS] COMMAND" in result.stdout
    for command in COMMANDS:
        assert re.search(rf"│ {command} +\w", result.stdout)


def test_help_takes_well_under_a_second(environment):
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'leela_probe', '--help'], check=True,"
        " stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"  # its own time, however busy the machine is
    )
    seconds = min(
        float(subprocess.check_output([sys.executable, "-c", code], text=True, env=environment))
        for _ in range(3)
    )
    assert seconds < 0.7


def test_the_version_is_that_of_the_package(run):
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"leela-probe {leela_probe.__version__}\n")


def test_without_a_command_the_help_is_shown(run):
    result = run()
    assert result.returncode == 2
    assert "Usage: leela-probe [OPTIONS] COMMAND" in result.stdout + result.stderr


# Mistaken command lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "No such command 'evaluate'"),
        (["info"], "Missing argument 'NET'"),
        (["info", "NET", "--nonsense"], "No such option"),
        (["info", "NET", "--dtype", "int8"], "'int8' is none of float32"),
        (["info", "NET", "--device", "quantum"], "'quantum' is none of cpu, cuda"),
        (["info", "NET", "--input-format", "77"], "'77' is none of 1, 2, 3, 4, 5, 132, 133"),
        (["info", "NET", "--input-format", "one"], "Invalid value for '--input-format'"),
        (["eval", "NET"], "give one of the two"),
        (["eval", "NET", "--fen", "F", "--positions", "P"], "give one of the two"),
        (["eval", "NET", "--positions", "P", "--moves", "e2e4"], "belongs to --fen"),
        (["eval", "NET", "--fen", "F", "--top", "0"], "Invalid value for '--top'"),
        (["convert", "NET"], "Missing argument 'OUT.onnx'"),
        (["convert", "NET", "out.txt"], "expected a name that ends in .onnx"),
        (["random", "nonsense", "a.pb.gz"], "'nonsense' is none of classical, convolution"),
        (["random", "attention", "a.onnx"], "expected a name that ends in .pb.gz"),
        (["filter", "DUMP"], "Missing option"),
        (["filter", "DUMP", "NETS", "--preset", "x"], "'x' is none of default, jenner2024"),
        (["filter", "DUMP", "NETS", "--max-weak-first", "2"], "value for '--max-weak-first'"),
        (["filter", "DUMP", "NETS", "--weak-history", "x"], "'x' is none of filled, known"),
        (["filter", "DUMP", "NETS", "--workers", "-1"], "Invalid value for '--workers'"),
        (["corrupt", "DUMP", "NETS", "--kinds", "add,x"], "'x' is none of remove, add, move"),
        (["corrupt", "DUMP", "NETS", "--verdict", "good"], "'good' is none of malformed"),
        (["filter", "DUMP", "NETS", "--strong-format", "7"], "'7' is none of 1, 2, 3, 4, 5, 132"),
        (["corrupt", "DUMP", "NETS", "--keep", "0"], "Invalid value for '--keep'"),
    ],
)  # fmt: skip
def test_a_mistaken_command_line_ends_with_2(arguments, message, run):
    stand_in = ["--strong", "S", "--weak", "W", "--out", "o.csv"]
    arguments = [each for one in arguments for each in (stand_in if one == "NETS" else [one])]
    assert message in usage_error(run(*arguments))


# Bad files


def _network_of(operator: str, path: Path, *, inputs: str = "/input/planes", size: int = 112):
    shape = ["batch", size, 8, 8]
    graph = helper.make_graph(
        [helper.make_node(operator, [inputs], ["/output/policy"], name="/body/strange")],
        "graph",
        [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("/output/policy", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.pb.gz", None, "no network at nowhere.pb.gz: expected an .onnx, .pb.gz or .pb"),
        ("nowhere.onnx", None, "no network at nowhere.onnx"),
        ("folder.onnx", "folder", "no network at folder.onnx"),
        ("empty.pb.gz", b"", "empty.pb.gz is empty: expected a Leela network"),
        ("web.pb.gz", b"<html>", "web.pb.gz is no Leela network: it is a web page"),
        ("text.txt", b"hello there", "text.txt is no Leela network: it starts with b'hello there'"),
        ("cut.pb.gz", "cut", "cut.pb.gz is cut off: its gzip stream does not end"),
        ("empty.onnx", b"", "empty.onnx holds no ONNX graph"),
        (
            "garbage.onnx",
            b"garbage",
            "garbage.onnx is not an ONNX file (7 bytes that do not parse)",
        ),
        ("other.onnx", "other", "other.onnx takes {'image': [0, 3, 8, 8]}: expected one input"),
        ("strange.onnx", "strange", "node '/body/strange', operator Asinh: unknown operator"),
    ],
)
def test_a_file_that_is_no_network_is_refused(name, content, message, run, tmp_path, network_file):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "cut":
        path.write_bytes(network_file("attention").read_bytes()[:50_000])
    elif content == "other":
        _network_of("Relu", path, inputs="image", size=3)
    elif content == "strange":
        _network_of("Asinh", path)
    assert message in refusal(run("info", name))


def test_a_device_that_is_not_there_is_refused(run, network_file):
    if torch.cuda.is_available():
        name, message = f"cuda:{torch.cuda.device_count()}", "device"
    else:
        name, message = "cuda", "device 'cuda' asked for, but torch sees no CUDA device here"
    assert message in refusal(run("info", network_file("attention"), "--device", name))


@pytest.mark.parametrize(
    ("fen", "moves", "message"),
    [
        ("8/8 w", "", "--fen: '8/8 w' is not a FEN: expected 8 rows"),
        ("8/8/8/8/8/8/8/8 w - - 0 1", "", "is not a position: expected one king of each colour"),
        ("8/8/8/4k3/8/3QK3/8/7k w - - 0 1", "", "is not a position: expected one king of each"),
        ("8/8/8/4k3/8/3QK3/8/8 w - e6 0 1", "", "no pawn has just gone past the en-passant square"),
        (MATE_IN_ONE, "a1a8 g8h8", "--moves: 'g8h8' is not a legal move in R5k1"),
        (MATE_IN_ONE, "Ra8", "'Ra8' is not a legal move in .*: moves are written like e2e4, e7e8q"),
    ],
)
def test_a_position_that_cannot_be_is_refused(fen, moves, message, run, network_file):
    line = refusal(run("eval", network_file("attention"), "--fen", fen, "--moves", moves))
    assert re.search(message, line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file at positions.txt"),
        (b"", "positions.txt has no positions: expected one FEN, or FEN|moves, per line"),
        (b"caf\xe9", "positions.txt is not text in UTF-8"),
        (f"# two\n\n{MATE_IN_ONE}|a1a8\nnothing".encode(), "positions.txt, line 4: 'nothing' is"),
        (f"{MATE_IN_ONE}|a1a8 a8a1".encode(), "positions.txt, line 1: 'a8a1' is not a legal move"),
    ],
)
def test_a_bad_file_of_positions_is_refused(content, message, run, tmp_path, network_file):
    if content is not None:
        (tmp_path / "positions.txt").write_bytes(content)
    line = refusal(run("eval", network_file("attention"), "--positions", "positions.txt"))
    assert message in line


@pytest.mark.parametrize(
    ("dump", "out", "message"),
    [
        (None, "out.csv", "no file at dump.csv"),
        (b"", "out.csv", "'dump.csv' is not a puzzle dump: expected columns PuzzleId, FEN and Mo"),
        (b"name,age\nEva,7\n", "out.csv", "'dump.csv' is not a puzzle dump: expected columns"),
        (b"\xff\xfe\x00garbage", "out.csv", "'dump.csv' is not a puzzle dump: expected CSV in UT"),
        (SAMPLE.read_bytes(), "out.xlsx", "expected an output that ends in .parquet or .csv"),
        (
            SAMPLE.read_bytes(),
            "nowhere/out.csv",
            "the folder 'nowhere' for 'out.csv' does not exist",
        ),
    ],
)
def test_a_bad_dump_or_output_is_refused(dump, out, message, run, tmp_path, networks):
    if dump is not None:
        (tmp_path / "dump.csv").write_bytes(dump)
    assert message in refusal(run("filter", "dump.csv", *networks, "--out", out))
    assert not (tmp_path / out).exists()


def test_a_scalar_value_is_enough_for_corruptions_and_none_is_refused(
    run, tmp_path, onnx_file, network_file
):
    model = onnx.load(onnx_file("attention"))
    (policy,) = [output for output in model.graph.output if "policy" in output.name]
    del model.graph.output[:]
    model.graph.output.append(policy)
    onnx.save(model, tmp_path / "policy-only.onnx")
    shutil.copy(SAMPLE, tmp_path / "dump.csv")
    options = ("--weak", network_file("se-convolution", seed=2), "--out", "out.csv")
    line = refusal(run("corrupt", "dump.csv", "--strong", "policy-only.onnx", *options))
    assert "the network 'policy-only' has no value head" in line
    head = SAMPLE.read_text().splitlines()[:2]
    (tmp_path / "dump.csv").write_text("\n".join(head))
    scalar = network_file("attention-scalar")
    assert run("corrupt", "dump.csv", "--strong", scalar, *options).returncode == 0


# Networks


def test_info_says_what_a_network_is(run, network_file):
    path = network_file("attention", input_format=3)
    result = run("info", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "attention, 3 layers x 32, 4 attention heads" in result.stdout
    assert "3 (canonical)" in result.stdout
    assert hashlib.sha256(path.read_bytes()).hexdigest() in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_sites_are_a_table_between_tabs_where_nobody_reads_a_screen(run, network, network_file):
    result = run("info", network_file("attention"), "--sites")
    assert result.returncode == 0
    rows = list(csv.DictReader(result.stdout.splitlines(), delimiter="\t"))
    named = network("attention").sites
    assert [row["site"] for row in rows] == [*named]
    assert [row["axes"].split() for row in rows] == [[*site.axes] for site in named.values()]
    assert [row["tensor"] for row in rows] == [site.tensor for site in named.values()]


def test_eval_as_json_gives_what_the_network_says(run, tmp_path, network, network_file):
    lines = [
        chess.STARTING_FEN,
        f"{chess.STARTING_FEN}|e2e4 c7c5",
        f"  {MATE_IN_ONE} | a1a8",
        "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1",
    ]
    (tmp_path / "positions.txt").write_text("# a comment\n\n" + "\n".join(lines) + "\n")
    result = run("eval", network_file("attention"), "--positions", "positions.txt", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    boards = []
    for line in lines:
        fen, _, moves = line.partition("|")
        boards.append(chess.Board(fen.strip()))
        for move in moves.split():
            boards[-1].push_uci(move)
    expected = network("attention").evaluate(boards)
    assert len(rows) == 4
    for i, (row, line) in enumerate(zip(rows, lines, strict=True)):
        assert list(row) == ["fen", "moves", "policy", "q", "wdl", "moves_left"]
        assert row["fen"] == line.partition("|")[0].strip()
        assert row["moves"] == line.partition("|")[2].split()
        policy = {move.uci(): value for move, value in expected.policy(i).items()}
        assert row["policy"] == pytest.approx(policy, abs=1e-6)
        assert row["q"] == pytest.approx(expected.q[i], abs=1e-6)
        assert row["wdl"] == pytest.approx(expected.wdl[i].tolist(), abs=1e-6)
        assert row["moves_left"] == pytest.approx(expected.moves_left[i], rel=1e-5)
    assert rows[2]["policy"] == {}
    assert {"e1g1", "e1c1"} <= rows[3]["policy"].keys()


def test_eval_reads_positions_from_standard_input(tmp_path, environment, network_file):
    result = subprocess.run(
        [sys.executable, "-m", "leela_probe", "eval", network_file("attention"), "--positions",
         "-", "--json"],
        input=f"{MATE_IN_ONE}|a1a8\n", capture_output=True, text=True, cwd=tmp_path,
        env=environment, check=True,
    )  # fmt: skip
    (row,) = map(json.loads, result.stdout.splitlines())
    assert (row["fen"], row["moves"]) == (MATE_IN_ONE, ["a1a8"])


def test_answers_before_a_line_that_cannot_be_read_are_printed(run, tmp_path, network_file):
    lines = [MATE_IN_ONE] * 1024 + ["nothing"]
    (tmp_path / "positions.txt").write_text("\n".join(lines))
    result = run("eval", network_file("classical"), "--positions", "positions.txt", "--json")
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1024
    assert "positions.txt, line 1025: 'nothing' is not a FEN" in result.stderr


def test_one_of_several_heads_is_evaluated_and_shown(run, network_file, cache):
    path = network_file("multihead")
    options = ("--policy-head", "soft", "--value-head", "q")
    row = json.loads(run("eval", path, "--fen", MATE_IN_ONE, "--json", *options).stdout)
    chosen = load(path, cache=cache, policy_head="soft", value_head="q")
    found = chosen.evaluate([chess.Board(MATE_IN_ONE)])
    assert row["q"] == pytest.approx(found.q[0], abs=1e-6)
    shown = run("info", path, *options).stdout
    assert "leela_probe.policy_head = soft" in shown
    assert "heads vanilla, optimistic_st, soft, opponent" in shown


def test_eval_as_json_has_nothing_where_the_network_has_no_head(run, network_file):
    result = run("eval", network_file("convolution"), "--fen", MATE_IN_ONE, "--json")
    row = json.loads(result.stdout)
    assert row["moves_left"] is None
    assert row["wdl"] is not None
    result = run("eval", network_file("classical"), "--fen", MATE_IN_ONE, "--json")
    row = json.loads(result.stdout)
    assert row["wdl"] is None
    assert -1 <= row["q"] <= 1


def test_eval_prints_a_table_for_a_person(run, network, network_file):
    options = ("--fen", MATE_IN_ONE, "--top", "3")
    result = run("eval", network_file("attention"), *options)
    assert result.returncode == 0
    assert "White to move: win" in result.stdout
    policy = network("attention").evaluate([chess.Board(MATE_IN_ONE)]).policy(0)
    best, probability = next(iter(policy.items()))
    assert re.search(rf"{best.uci()} +{probability:.2%}".replace(".", r"\."), result.stdout)
    assert f"{len(policy) - 3} more" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    mated = run("eval", network_file("attention"), *options, "--moves", "a1a8")
    assert mated.returncode == 0
    assert "no legal moves: checkmate" in mated.stdout


def test_a_reader_who_has_had_enough_is_no_error(environment, tmp_path, network_file):
    (tmp_path / "positions.txt").write_text(f"{chess.STARTING_FEN}\n" * 500)
    arguments = ["eval", network_file("attention"), "--positions", "positions.txt", "--json"]
    command = [sys.executable, "-m", "leela_probe", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_verify_compares_with_lc0_and_onnxruntime(run, network_file):
    result = run("verify", network_file("se-convolution"))
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"leela-probe and lc0 +\d+ +equal +\S+ +\S+ +1e-05 +ok", result.stdout)
    assert result.stdout.count(" ok") == 2
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_verify_ends_with_1_where_something_differs(run, network_file):
    result = run("verify", network_file("se-convolution"), "--input-format", "2")
    assert (result.returncode, result.stderr) == (1, "")
    assert re.search(r"leela-probe and lc0 +\d+ +\d+ +differ", result.stdout)
    assert "DIFFERS" in result.stdout


def test_a_converted_network_answers_as_before(run, tmp_path, network_file):
    path = network_file("se-convolution", input_format=2)
    assert run("convert", path, "net.onnx").stdout == "wrote net.onnx\n"
    answers = [
        json.loads(run("eval", net, "--fen", MATE_IN_ONE, "--json").stdout)
        for net in (path, "net.onnx")
    ]
    assert answers[0] == answers[1]
    line = refusal(run("convert", path, "net.onnx"))
    assert line.endswith(
        "net.onnx exists already: name another output, or say that it shall be overwritten "
        "(--overwrite)"
    )
    assert run("convert", path, "net.onnx", "--overwrite").returncode == 0


def test_a_random_network_is_the_same_for_the_same_seed(run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("random", "se-convolution", f"{name}.pb.gz", "--seed", seed).returncode == 0
    a, b, c = ((tmp_path / f"{name}.pb.gz").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert "a.pb.gz exists already" in refusal(run("random", "attention", "a.pb.gz"))
    assert run("random", "attention", "a.pb.gz", "--overwrite").returncode == 0
    assert (tmp_path / "a.pb.gz").read_bytes() != b
    assert "'nowhere' is not there" in refusal(run("random", "attention", "nowhere/a.pb.gz"))


def test_presets_to_write_are_all_that_there_are(run):
    message = usage_error(run("random", "nonsense", "a.pb.gz"))
    assert all(name in message for name in PRESETS)


# Puzzles


def test_filter_and_corrupt_make_a_funnel_of_every_row(run, tmp_path, networks):
    thresholds = (
        "--max-weak-first",
        "0.5",
        "--min-strong-solver",
        "0.004",
        "--min-weak-reply",
        "0.05",
    )
    result = run("filter", SAMPLE, *networks, *thresholds, "--out", "filtered.parquet")
    assert (result.returncode, result.stderr) == (0, "")
    shown = {
        name: int(count) for count, name in re.findall(r"^ *(\d+) .*?%  (\w+)", result.stdout, re.M)
    }
    table = pd.read_parquet(tmp_path / "filtered.parquet")
    assert sum(shown.values()) == len(table) == 40
    counted = table["verdict"].value_counts().to_dict()
    assert shown == counted
    assert counted["kept"] > 0
    assert list(table)[:8] == [
        "puzzle_id", "fen", "moves", "verdict", "weak_p1", "strong_min_player", "weak_p2",
        "target_pattern",
    ]  # fmt: skip
    assert "the strong network gives a solver's move 0.004 or less" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    manifest = json.loads((tmp_path / "filtered.parquet.manifest.json").read_text())
    assert {name: count for name, count in manifest["counts"].items() if count} == shown
    assert manifest["options"]["criteria"]["forcing"] == 0.05

    loose = (
        "--max-weak-drop",
        "1",
        "--min-value-drop",
        "0.001",
        "--max-strong-first",
        "0.5",
        "--no-kings",
    )
    result = run("corrupt", "filtered.parquet", *networks, *loose, "--out", "pairs.csv")
    assert (result.returncode, result.stderr) == (0, "")
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert len(pairs) == counted["kept"]
    found = pairs[pairs["verdict"] == "found"]
    assert re.search(rf"^ *{len(found)} .*%  found ", result.stdout, re.M)
    assert len(found) > 0
    assert not found["moves_king"].any()


def test_the_input_format_of_a_bare_onnx_file_is_as_the_user_says(run, tmp_path, onnx_file):
    for name in ("attention", "se-convolution"):
        model = onnx.load(onnx_file(name))
        del model.metadata_props[:]
        onnx.save(model, tmp_path / f"{name}.onnx")
    both = ("--strong", "attention.onnx", "--weak", "se-convolution.onnx", "--limit", 2)
    formats = ("--strong-format", 3, "--weak-format", 2)
    assert run("filter", SAMPLE, *both, *formats, "--out", "f.csv").returncode == 0
    networks = json.loads((tmp_path / "f.csv.manifest.json").read_text())["networks"]
    assert (networks["strong"]["input_format"], networks["weak"]["input_format"]) == (3, 2)


def test_what_runs_a_network_takes_its_input_format():
    def commands(group, name=""):
        for key, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, f"{name}{key} ")
            else:
                yield f"{name}{key}", {parameter.name for parameter in command.params}

    lacking = {
        name
        for name, names in commands(typer.main.get_command(cli.app))
        if "device" in names and not names & {"input_format", "strong_format"}
    }
    # these run networks of the paper and of ours, whose formats are known
    assert lacking <= {"golden", "calibrate"}


def test_a_file_of_other_verdicts_is_not_corrupted(run, tmp_path, networks):
    (tmp_path / "pairs.csv").write_text(
        "puzzle_id,fen,moves,verdict\n1,8/8/8/4k3/8/8/4P3/4K3 w - - 0 1,e2e4 e5d5,found\n"
    )
    line = refusal(run("corrupt", "pairs.csv", *networks, "--out", "again.csv"))
    assert line.endswith("no row of 'pairs.csv' has verdict kept; the file has found: 1")
    assert not (tmp_path / "again.csv").exists()


def test_corrupt_says_what_is_no_favourite_and_takes_it_when_told(run, tmp_path, networks):
    rows = SAMPLE.read_text().splitlines()[:4]
    (tmp_path / "dump.csv").write_text("\n".join(rows) + "\n")
    loose = (
        "--max-weak-drop",
        "5",
        "--min-value-drop",
        "0.0005",
        "--max-strong-first",
        "0.95",
        "--kinds",
        "remove",
    )
    loose = (*loose, "--max-weak-divergence", "0.69")
    result = run("corrupt", "dump.csv", *networks, *loose, "--out", "p.csv")
    assert re.search(r"^ *1 .*%  not_favourite +the strong network likes", result.stdout, re.M)
    result = run("corrupt", "dump.csv", *networks, *loose, "--any-first-move", "--out", "q.csv")
    assert (result.returncode, result.stderr) == (0, "")
    said = " ".join(result.stdout.split())
    assert "not_favourite" not in said.partition("no row: ")[0]
    assert "not correct (strong network: first move not above 0.5)" in said
    facts = json.loads((tmp_path / "q.csv.manifest.json").read_text())["facts"]["clean_boards"]
    assert facts["found"] >= facts["not_correct"] > 0


def test_a_finished_output_is_replaced_only_when_told(run, tmp_path, networks):
    filtering = ("filter", SAMPLE, *networks, "--limit", 5, "--out", "out.csv")
    assert run(*filtering).returncode == 0
    first = (tmp_path / "out.csv").read_bytes()
    again = run(*filtering)
    assert again.returncode == 0
    assert again.stdout.endswith("out.csv was finished already, with the same settings\n")
    assert (tmp_path / "out.csv").read_bytes() == first
    line = refusal(run(*filtering, "--all-plies"))
    assert "out.csv' is finished, with other settings: options.all_plies was false" in line
    assert line.endswith("(--overwrite)")
    assert run(*filtering, "--overwrite", "--all-plies").returncode == 0
    assert (tmp_path / "out.csv").read_bytes() != first


def test_a_preset_sets_the_histories_and_options_go_before_it(run, tmp_path, networks):
    filtering = ("filter", SAMPLE, *networks, "--limit", 3, "--preset", "jenner2024")
    assert run(*filtering, "--strong-history", "current", "--out", "a.csv").returncode == 0
    criteria = json.loads((tmp_path / "a.csv.manifest.json").read_text())["options"]["criteria"]
    assert criteria["weak_history"] == "jenner2024-weak"
    assert criteria["strong_history"] == "current"
    assert criteria["hard"] == 0.05


def test_an_interrupted_filter_goes_on_and_ends_the_same(run, environment, tmp_path, networks):
    rows = SAMPLE.read_text().splitlines()
    (tmp_path / "long.csv").write_text("\n".join([rows[0], *(rows[1:] * 250)]) + "\n")
    filtering = ["filter", "long.csv", *map(str, networks), "--workers", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "leela_probe", *filtering, "--out", "cut.csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("cut.csv.partial/part-*.arrow")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ("", "leela-probe: interrupted; the same command goes on from here\n")
    for name in ("cut", "whole"):
        assert run(*filtering, "--out", f"{name}.csv").returncode == 0
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# lc0's stored answers


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "maia-1100", "maia-1900", "lichess-bot-16x2", "lichess-bot-32x4",
        "random/attention-15x24-heads24", "random/attention-4x64", "random/classical-3x32",
        "random/multihead-3x32", "random/se-attention-3x32", "random/se-conv-3x32-input2",
        "random/se-conv-3x32-input3",
    ],
)  # fmt: skip
def test_eval_agrees_with_lc0_on_every_shared_network(name, shared, run):
    path = shared / "nets" / f"{name}.pb.gz"
    result = run("eval", path, "--positions", shared / "oracle" / "positions.txt", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    lines = (shared / "oracle" / f"{Path(name).name}.jsonl").read_text().splitlines()
    expected = [json.loads(line) for line in lines]
    input_format = weights_files.read_header(path).input_format
    compared = 0
    for row, answer in zip(found, expected, strict=True):
        assert (row["fen"], row["moves"]) == (answer["fen"], answer["moves"])
        assert row["q"] == pytest.approx(answer["q"], abs=1e-5)
        assert set(row["policy"]) == set(answer["policy"])
        board = chess.Board(row["fen"])
        for move in row["moves"]:
            board.push_uci(move)
        # On turned boards the stored policies are not those of lc0's engine: see the test of the
        # same answers in tests/test_evaluation.py, which reads them where they were read.
        if not symmetry.choose(board, input_format):
            assert row["policy"] == pytest.approx(answer["policy"], abs=1e-5)
            compared += 1
        if row["policy"]:
            assert np.sum([*row["policy"].values()]) == pytest.approx(1, abs=1e-5)
    assert compared == (33 if name.endswith("input3") else 40)


def test_a_warning_is_one_line_and_ends_nothing():
    code = (
        "import sys, warnings; from leela_probe import cli; "
        "cli.app = lambda prog_name: warnings.warn('part 3 is\\ndamaged'); cli.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0
    assert result.stderr == "leela-probe: part 3 is damaged\n"
