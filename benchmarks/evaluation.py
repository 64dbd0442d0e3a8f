"""What evaluation through the API costs beyond the network itself, in one run.

    python benchmarks/evaluation.py NET PUZZLES [--boards N] [--rounds N] [--threads N] [--json]

Three ways take turns, so that whatever else the machine does meets all of them: a bare onnxruntime
loop on ready-made tensors, `Network.evaluate` on boards, and the torch graph on the same tensors.
onnxruntime's threads do not spin while they wait, in the bare loop as in the API.
The ratios are medians over the rounds: one way's time by the bare loop's in the same round. Boards
to planes, without and with the legal moves and their policy slots, take one core.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import chess
import onnxruntime
import torch

from leela_probe.networks import conversion, network, onnx_files
from leela_probe.networks.network import Network
from leela_probe.positions import planes
from leela_probe.puzzles import lichess
from leela_probe.puzzles.lichess import Puzzle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, metavar="NET", help=".pb.gz or .onnx")
    parser.add_argument("puzzles", type=Path, metavar="PUZZLES", help="a Lichess dump")
    parser.add_argument("--boards", type=int, default=2048, metavar="N")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="by default one a core")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    puzzles = (row for row in lichess.read(arguments.puzzles) if isinstance(row, Puzzle))
    boards = [puzzle.board() for puzzle in islice(puzzles, arguments.boards)]
    loaded = network.load(arguments.network, threads=arguments.threads)
    found = measure(
        loaded,
        bare_session(arguments.network, arguments.threads),
        boards,
        batch_size=arguments.batch_size,
        rounds=arguments.rounds,
    )
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):36} {value:>12,.2f}")


def bare_session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """The network in onnxruntime and nothing else."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # like for like
    if threads is not None:
        options.intra_op_num_threads = threads
    onnx_path = path if onnx_files.is_named_so(path) else conversion.to_onnx(path)
    return onnxruntime.InferenceSession(str(onnx_path), options, providers=["CPUExecutionProvider"])


def measure(
    loaded: Network,
    session: onnxruntime.InferenceSession,
    boards: list[chess.Board],
    *,
    batch_size: int,
    rounds: int,
) -> dict[str, float]:
    tensors = loaded.encode(boards).planes()
    batches = [tensors[i : i + batch_size] for i in range(0, len(tensors), batch_size)]
    in_batches = [boards[i : i + batch_size] for i in range(0, len(boards), batch_size)]
    (entry,) = session.get_inputs()
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: [session.run(None, {entry.name: batch}) for batch in batches],
        "api": lambda: loaded.evaluate(boards, batch_size=batch_size),
        "torch": lambda: [loaded.evaluate_planes(batch, engine="torch") for batch in batches],
        "planes": lambda: [
            planes.expand(*planes.masks(some, loaded.input_format)[:2]) for some in in_batches
        ],
        "encode": lambda: [loaded.encode(some).planes() for some in in_batches],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)

    def per_second(name: str) -> float:
        return len(boards) / statistics.median(seconds[name])

    def ratio(name: str) -> float:
        pairs = zip(seconds[name], seconds["bare"], strict=True)
        return statistics.median(one / bare for one, bare in pairs)

    return {
        "boards": len(boards),
        "batch_size": batch_size,
        "rounds": rounds,
        "bare_onnxruntime_per_second": per_second("bare"),
        "boards_through_the_api_per_second": per_second("api"),
        "torch_graph_per_second": per_second("torch"),
        "boards_to_planes_per_second": per_second("planes"),
        "with_legal_moves_per_second": per_second("encode"),
        "api_by_bare_time": ratio("api"),
        "torch_by_bare_time": ratio("torch"),
    }


if __name__ == "__main__":
    main()
