"""A loaded Leela network: boards in; policy, WDL and any activation out.

Two engines stand behind one face. onnxruntime evaluates positions on the CPU; the torch graph reads
and changes activations, and evaluates on a GPU. Loading compares the two and refuses a mismatch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chess
import numpy as np
import torch
from torch import Tensor

from leela_probe.files import bundled, disk, progress_display
from leela_probe.files.progress import Progress
from leela_probe.files.workers import prefetch
from leela_probe.networks import conversion, evaluation, onnx_files, parity, runtime, sites
from leela_probe.networks.batches import Batches
from leela_probe.networks.evaluation import Evaluation
from leela_probe.networks.inputs import (
    Boards,
    Inputs,
    boards_of,
    check_names,
    check_planes,
    planes_of,
)
from leela_probe.networks.onnx_files import OnnxFile
from leela_probe.networks.outputs import Outputs
from leela_probe.networks.parity import MismatchError
from leela_probe.networks.runtime import Runtime
from leela_probe.networks.sites import Site
from leela_probe.positions import encoding
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History, InputFormat
from leela_probe.torch_onnx.graph import Edit, Graph, NoInfluenceError
from leela_probe.torch_onnx.operators import UnsupportedOperatorError

__all__ = ["Network", "load"]

_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    input_format: InputFormat | int | None = None,
    no_history: bool | None = None,
    policy_head: str | None = None,
    value_head: str | None = None,
    cache: str | Path | None = None,
    threads: int | None = None,
) -> Network:
    """The network in a file, ready to evaluate positions and to give its activations.

    Args:
        path: an `.onnx` file, or a `.pb.gz` or `.pb` file, which lc0 converts once; or the name of
            a network that comes with the package, such as "bundled:strong".
        device: where the torch graph runs: "cpu", "cuda", "cuda:1", ...
        dtype: what it computes in: "float32", "tf32" (float32 with rounded products, on CUDA),
            "bfloat16" or "float16", or torch's own dtypes. Evaluations are float32 whatever it is,
            activations are of the type they were computed in; `Network.parity` is the error.
        input_format: how boards become planes. By default what the file says: a `.pb.gz` always
            does, an ONNX file made by this package too; other ONNX files are taken as classical.
        no_history: True zeroes the planes of history (12 to 103). By default what the file says.
        policy_head: which of several policy heads of a `.pb.gz` to take, by default "vanilla". An
            ONNX file holds one, and any other is refused.
        value_head: which of several value heads of a `.pb.gz` to take, by default "winner".
        cache: the folder that keeps converted networks; by default `conversion.cache_folder()`.
        threads: CPU threads of onnxruntime; by default one for each core.

    Raises:
        FileNotFoundError: if there is no such file, or no lc0 to convert it.
        ValueError: if it is no Leela network, or an argument is unknown.
        UnsupportedOperatorError: if the torch graph cannot run it.
        MismatchError: if the torch graph and onnxruntime disagree.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> network
        <Network 'planted': 4 layers x 84, 4 heads, input format classical, float32 on cpu>
    """
    path = bundled.resolve(path)
    dtype = str(dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: choose {', '.join(_DTYPES)}")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {str(device)!r} asked for, but torch sees no CUDA device here")
    if dtype == "tf32" and device.type != "cuda":
        raise ValueError(f"dtype 'tf32' needs a CUDA device, and the device is {str(device)!r}")
    if not path.is_file():
        raise FileNotFoundError(f"no network at {path}: expected an .onnx, .pb.gz or .pb file")
    is_onnx = onnx_files.is_named_so(path)
    opened = (
        onnx_files.open_file(path)
        if is_onnx
        else conversion.open_converted(
            path,
            policy_head=policy_head or onnx_files.HEADS["policy"],
            value_head=value_head or onnx_files.HEADS["value"],
            cache=cache,
        )
    )
    model = opened.model
    if is_onnx:
        onnx_files.check_head(model, path, "policy", policy_head)
        onnx_files.check_head(model, path, "value", value_head)
    if no_history is None:
        no_history = onnx_files.metadata(model).get("no_history", "false").lower() == "true"
    return Network(
        name=re.sub(r"\.gz$", "", path.name, flags=re.IGNORECASE).rsplit(".", 1)[0],
        path=path,
        sha256=disk.sha256(path),
        opened=opened,
        input_format=(
            onnx_files.input_format(model, path)
            if input_format is None
            else InputFormat(input_format)
        ),
        no_history=no_history,
        device=device,
        dtype=dtype,
        threads=threads,
        options={
            "device": str(device),
            "dtype": dtype,
            "input_format": input_format,
            "no_history": no_history,
            "policy_head": policy_head,
            "value_head": value_head,
            "cache": cache,
            "threads": threads,
        },
    )


class Network:
    """A loaded network; `load` makes it.

    Attributes:
        name: the file's name without its endings.
        path: the file.
        sha256: of the file's bytes.
        external: the SHA-256 of each other file in which an ONNX file keeps tensors, by its name.
        metadata: the ONNX file's notes.
        input_format: how boards become planes.
        no_history: True if the planes of history are zeroed.
        device: where the torch graph runs.
        dtype: the type it computes in.
        graph: the torch graph, for work with ONNX names.
        batches: cuts work into batches that fit into memory.
        sites: the named activations, in the order of computing.
        lost_sites: those that networks of this kind have and this file lacks, since another tool
            has joined nodes of it: the names of the sites with what lc0 calls their tensors.
        layers: number of encoder layers, or of blocks of a residual tower.
        heads: attention heads of a layer; 0 in a residual tower.
        width: of the residual stream.
        mlp_width: of the hidden layer of each layer's MLP; 0 in a residual tower.
        parity: largest difference in a legal move's probability between the torch graph and
            onnxruntime over the positions compared on loading.

    Example:
        >>> import leela_probe as lp
        >>> import chess
        >>> network = lp.load("bundled:planted")
        >>> network.evaluate([chess.Board()]).policy(0)[chess.Move.from_uci("e2e4")] < 1
        True
        >>> network.capture([chess.Board()], ["layer1.pattern"])["layer1.pattern"].shape
        torch.Size([1, 4, 64, 64])
    """

    def __init__(
        self,
        *,
        name: str,
        path: Path,
        sha256: str,
        opened: OnnxFile,
        input_format: InputFormat,
        no_history: bool,
        device: torch.device,
        dtype: str,
        threads: int | None,
        options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self._options = dict(options)
        self.batches = Batches()
        self.path = path
        self.sha256 = sha256
        self.external = dict(opened.external)
        self.metadata = onnx_files.metadata(opened.model)
        self.input_format = input_format
        self.no_history = no_history
        self.device = device
        self.dtype = dtype
        with _named(path):
            self.graph = Graph(
                opened.model, device=device, dtype=_DTYPES[dtype], tf32=dtype == "tf32"
            )
        self._runtime = Runtime(opened.model, path, threads=threads)
        self._outputs = dict(opened.roles)
        self._found = sites.find(self.graph, self._outputs)
        self.sites = self._found.sites
        self.lost_sites = self._found.lost
        if "embedding" not in self.sites:
            raise ValueError(
                f"{path} has no layers of attention and no residual blocks by the names that lc0's "
                "leela2onnx gives them"
            )
        self.layers = 1 + max(
            (site.layer for site in self.sites.values() if site.layer is not None), default=-1
        )
        with _named(path):
            self.parity = self._check(opened)
        shapes = self.capture(
            [chess.Board()],
            [
                key
                for key in ("embedding", "layer0.pattern", "layer0.mlp_post")
                if key in self.sites
            ],
        )
        self.width = shapes["embedding"].shape[-1]
        self.heads = shapes["layer0.pattern"].shape[1] if "layer0.pattern" in shapes else 0
        self.mlp_width = shapes["layer0.mlp_post"].shape[-1] if "layer0.mlp_post" in shapes else 0

    def __repr__(self) -> str:
        heads = f", {self.heads} heads" if self.heads else ""
        return (
            f"<Network {self.name!r}: {self.layers} layers x {self.width}{heads}, input format "
            f"{self.input_format.name.lower()}, {self.dtype} on {self.device}>"
        )

    @property
    def body(self) -> str:
        """`attention` or `residual tower`."""
        return "attention" if "layer0.pattern" in self.sites else "residual tower"

    @property
    def parameter_count(self) -> int:
        """How many real numbers the file holds as weights."""
        return sum(
            value.numel() for value in self.graph.constants.values() if value.is_floating_point()
        )

    def identity(self) -> dict[str, object]:
        """All that the network's answers depend on, as JSON values: for plans and manifests.

        Networks of equal identity give the same numbers, up to rounding that depends on the
        machine. The file's name and place are no part of it.

        Example:
            >>> network = load(getfixture("attention_file"), no_history=True)
            >>> facts = network.identity()
            >>> facts["sha256"] == network.sha256, facts["policy_head"], facts["no_history"]
            (True, 'vanilla', True)
        """
        return {
            "sha256": self.sha256,
            "external_sha256": dict(sorted(self.external.items())),
            "policy_head": onnx_files.head(self.metadata, "policy"),
            "value_head": onnx_files.head(self.metadata, "value"),
            "input_format": int(self.input_format),
            "no_history": self.no_history,
            "dtype": self.dtype,
            "device": self.device.type,
        }

    def encode(self, boards: Boards, *, history: History = History.FILLED) -> EncodedBoards:
        """The boards as this network takes them; encoded boards are given back.

        Args:
            boards: positions, with what is known of their past in the move stack, or FENs.
            history: what stands for positions before the known ones.

        Raises:
            TypeError: if it is a single board or FEN, or planes.
            ValueError: see `encoding.encode`; or if a text is not a FEN.
        """
        boards = boards_of(boards, "network.encode")
        if isinstance(boards, EncodedBoards):
            return boards
        return encoding.encode(
            boards, input_format=self.input_format, history=history, no_history=self.no_history
        )

    def planes(self, boards: Inputs, *, history: History = History.FILLED) -> Tensor:
        """The input planes of boards, FENs or encoded boards, as `run` takes them too.

        Planes, of numpy or torch, are given back as a tensor.

        Raises:
            TypeError, ValueError: see `encode`; or if planes have another shape.

        Example:
            >>> load(getfixture("attention_file")).planes([chess.Board()]).shape
            torch.Size([1, 112, 8, 8])
        """
        return planes_of(boards, lambda given: self.encode(given, history=history), "network.run")

    def evaluate(
        self,
        boards: Boards,
        *,
        batch_size: int = 256,
        history: History = History.FILLED,
    ) -> Evaluation:
        """What the network says of each board.

        Args:
            boards: positions, with what is known of their past in the move stack; FENs; or
                positions that `encode` has packed already.
            batch_size: how many go through the network at once; the answers do not depend on it.
                Where memory does not suffice there are fewer.
            history: what stands for positions before the known ones; unused for packed positions.

        Raises:
            TypeError: if it is a single board or FEN, or planes.
            ValueError: if `batch_size` is below 1.
            MemoryError: if a single board does not fit into memory.

        Example:
            >>> network = load(getfixture("attention_file"))
            >>> evaluation = network.evaluate([chess.Board()])
            >>> len(evaluation.policy(0))
            20
        """

        def answer(batch: EncodedBoards) -> Outputs:
            parts = self.batches.run(
                len(batch), len(batch), lambda chosen: self.evaluate_planes(batch[chosen].planes()),
                what="boards",
            )  # fmt: skip
            return _joined([part for _, part in parts])

        boards = boards_of(boards, "network.evaluate")
        batches = self._batches(boards, batch_size, history)
        answered = (
            prefetch(answer, batches)  # the next batch is encoded while the network runs
            if len(boards) > batch_size
            else ((batch, answer(batch)) for batch in batches)
        )
        packed, parts = [], []
        for batch, part in answered:
            packed.append(batch)
            parts.append(part)
        if not parts:
            parts = [self.evaluate_planes(np.zeros((0, 112, 8, 8), dtype=np.float32))]
        encoded = boards if isinstance(boards, EncodedBoards) else encoding.concatenate(packed)
        joined = _joined(parts)
        return evaluation.from_logits(
            encoded,
            joined.logits,
            wdl=joined.wdl,
            value=joined.value,
            moves_left=joined.moves_left,
            shown=()
            if isinstance(boards, EncodedBoards)
            else tuple(board.copy(stack=1) for board in boards[: evaluation.BOARDS_SHOWN]),
        )

    def _batches(
        self, boards: Sequence[chess.Board] | EncodedBoards, batch_size: int, history: History
    ) -> Iterator[EncodedBoards]:
        """The boards encoded batch by batch."""
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: take at least 1 board at once")
        batches = (
            boards[start : start + batch_size] for start in range(0, len(boards), batch_size)
        )
        return (self.encode(batch, history=history) for batch in batches)

    def evaluate_planes(self, planes: Inputs, *, engine: str | None = None) -> Outputs:
        """What the network gives for ready-made planes, in one batch.

        Args:
            planes: as `EncodedBoards.planes` makes them, or a tensor; or boards.
            engine: "onnxruntime" or "torch"; by default onnxruntime for float32 on the CPU.

        Raises:
            ValueError: if the engine is unknown or the planes have another shape.
        """
        if engine is None:
            plain = self.device.type == "cpu" and self.dtype == "float32"
            engine = "onnxruntime" if plain else "torch"
        if engine not in ("onnxruntime", "torch"):
            raise ValueError(f"unknown engine {engine!r}: choose onnxruntime or torch")
        if not isinstance(planes, np.ndarray):
            planes = self.planes(planes).detach().cpu().numpy()
        planes = np.ascontiguousarray(planes, dtype=np.float32)
        check_planes(planes.shape)
        names = list(self._outputs.values())
        if planes.shape[0] == 0:  # onnxruntime refuses some reshapes of nothing
            one = np.zeros((1, 112, 8, 8), dtype=np.float32)
            values = [v[:0] for v in self._runtime.run({self.graph.inputs[0]: one}, names)]
        elif engine == "onnxruntime":
            values = self._runtime.run({self.graph.inputs[0]: planes}, names)
        else:
            found = self.graph.run({self.graph.inputs[0]: torch.from_numpy(planes)}, names)
            values = [found[name].float().cpu().numpy() for name in names]
        return self._as_outputs(dict(zip(self._outputs, values, strict=True)))

    def _as_outputs(self, values: Mapping[str, np.ndarray]) -> Outputs:
        def column(role: str) -> np.ndarray | None:
            return values[role].reshape(-1) if role in values else None

        return Outputs(
            logits=values["policy"],
            wdl=values.get("wdl"),
            value=column("value"),
            moves_left=column("mlh"),
        )

    def site(self, name: str) -> Site:
        """The site of that name, semantic (`layer3.pattern`) or ONNX (`/encoder3/mha/QK/softmax`).

        Raises:
            KeyError: naming the nearest right names, if there is none.
        """
        return sites.resolve(name, self._found, self.graph)

    def run(
        self,
        boards: Inputs,
        wanted: Sequence[str],
        *,
        edits: Mapping[str, Edit] | None = None,
        gradients: bool = False,
        history: History = History.FILLED,
    ) -> dict[str, Tensor]:
        """The wanted activations of one batch, with edits applied on the way.

        Args:
            boards: boards, FENs, encoded boards, or planes (`board plane rank file`).
            wanted: names of sites; each comes back with its named axes.
            edits: functions of an activation (with its named axes), by the name of the site; they
                give a tensor of the same shape and may change the one they get in place. Those of
                one tensor under several names are made in the order given.
            gradients: True records the run for autograd: whatever comes back can be differentiated
                by whatever else comes back and stands before it, "input" included.
            history: what stands for positions before the known ones, where boards are given.

        Raises:
            KeyError: if there is no such site.
            TypeError: if it is a single board, FEN or name.
            ValueError: if an edit has no influence on what is wanted and so would never happen, if
                it gives anything but a tensor of the same shape, or planes have another shape.

        Example:
            >>> network = load(getfixture("attention_file"))
            >>> found = network.run([chess.Board()], ["layer0.pattern", "policy.logits"],
            ...                     gradients=True)
            >>> top = found["policy.logits"].max()
            >>> (gradient,) = torch.autograd.grad(top, [found["layer0.pattern"]])
            >>> gradient.shape
            torch.Size([1, 4, 64, 64])
        """
        wanted = check_names(wanted, "network.run")
        planes = self.planes(boards, history=history)
        if gradients and not planes.requires_grad:
            planes = planes.to(self.device, self.graph.dtype).detach().requires_grad_()
        found = {name: self.site(name) for name in wanted}
        changes: dict[str, Edit] = {}
        names: dict[str, str] = {}
        for name, edit in (edits or {}).items():
            site = self.site(name)
            _add_edit(changes, site.tensor, _through(site, edit))
            names.setdefault(site.tensor, name)
        kept: dict[str, Tensor] = {}
        if gradients:  # what is given back must lie on the way to what comes after it
            for name, site in found.items():
                _add_edit(changes, site.tensor, _keeping(kept, name, site))
        try:
            values = self.graph.run(
                {self.graph.inputs[0]: planes},
                [site.tensor for site in found.values()],
                edits=changes,
                gradients=gradients,
            )
        except NoInfluenceError as error:
            raise NoInfluenceError(
                f"the edit of {names.get(error.tensor, error.tensor)!r} would never happen: "
                f"{', '.join(wanted)} can be computed without it",
                tensor=error.tensor,
            ) from None
        return kept or {name: site.read(values[site.tensor]) for name, site in found.items()}

    def run_from(self, name: str, value: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """The wanted activations of a run that begins in the middle, with the value of one site.

        Args:
            name: of the site; all that is wanted must depend on the input through it alone.
            value: an activation with the site's named axes.
            wanted: names of sites.

        Raises:
            KeyError: if there is no such site.
            ValueError: if something else would be needed to compute what is wanted.

        Example:
            >>> network = load(getfixture("attention_file"))
            >>> values = network.run([chess.Board()], ["layer0.residual_after", "policy.logits"])
            >>> last = f"layer{network.layers - 1}.residual_after"
            >>> lens = network.run_from(last, values["layer0.residual_after"], ["policy.logits"])
            >>> lens["policy.logits"].shape == values["policy.logits"].shape
            True
        """
        wanted = check_names(wanted, "network.run_from")
        site, found = self.site(name), {each: self.site(each) for each in wanted}
        tensors = [each.tensor for each in found.values()]
        values = self.graph.run({site.tensor: site.write(value)}, tensors)
        return {each: given.read(values[given.tensor]) for each, given in found.items()}

    def stream(
        self,
        boards: Inputs,
        wanted: Sequence[str],
        *,
        batch_size: int = 64,
        history: History = History.FILLED,
    ) -> Iterator[dict[str, Tensor]]:
        """The wanted activations batch by batch; see `capture`."""
        wanted = check_names(wanted, "network.stream")
        for name in wanted:
            self.site(name)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: take at least 1 board at once")
        return (
            self._activations(planes, wanted)
            for planes in self._planes_in_batches(boards, batch_size, history)
        )

    def _planes_in_batches(
        self, boards: Inputs, batch_size: int, history: History
    ) -> Iterator[np.ndarray | Tensor]:
        if isinstance(boards, np.ndarray | Tensor):
            planes = self.planes(boards)
            return (planes[at : at + batch_size] for at in range(0, len(planes), batch_size))
        given = boards_of(boards, "network.stream")
        return (batch.planes() for batch in self._batches(given, batch_size, history))

    def _activations(self, planes: np.ndarray | Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        parts = self.batches.run(
            len(planes), len(planes), lambda chosen: self.run(planes[chosen], wanted),
            what="boards",
        )  # fmt: skip
        return _joined_by_name([part for _, part in parts])

    def capture(
        self,
        boards: Inputs,
        wanted: Sequence[str],
        *,
        batch_size: int = 64,
        history: History = History.FILLED,
        progress: Progress | bool | None = None,
    ) -> dict[str, Tensor]:
        """The wanted activations of all boards, by the names they were asked for.

        Args:
            boards: at least one position: boards, FENs, encoded boards or planes.
            wanted: names of sites (see `sites`) or of ONNX tensors.
            batch_size: how many boards run at once; fewer where memory does not suffice.
            history: what stands for positions before the known ones.
            progress: called after each batch; by default a bar is shown in a terminal or notebook,
                with False nothing.

        Raises:
            KeyError: naming the nearest right names, if there is no such site.
            TypeError: if it is a single board, FEN or name.
            ValueError: if there are no boards, or `batch_size` is below 1.
            MemoryError: if a single board does not fit into memory.

        Example:
            >>> network = load(getfixture("attention_file"))
            >>> network.capture([chess.Board()], ["layer0.pattern"])["layer0.pattern"].shape[2:]
            torch.Size([64, 64])
        """
        wanted = check_names(wanted, "network.capture")
        stream = self.stream(boards, wanted, batch_size=batch_size, history=history)
        parts: list[dict[str, Tensor]] = []
        total, done = len(boards) if isinstance(boards, Sized) else None, 0
        with progress_display.shown(progress, "capture", unit="positions") as report:
            for part in stream:
                parts.append(part)
                done += len(next(iter(part.values()), ()))
                report(done, total, {})
        if not parts:
            raise ValueError("no boards to capture activations of: give at least one")
        return _joined_by_name(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Networks are pickled and copied as what they were loaded from: the file is read again.

        Changes made to the object itself are not kept.
        """
        return _load_again, (self.path, self.identity(), self._options)

    def _check(self, opened: OnnxFile) -> float:
        encoded = self.encode(parity.boards())
        planes = encoded.planes()
        session = self.evaluate_planes(planes, engine="onnxruntime")
        if opened.rewritten:
            values = runtime.run_file(opened.path, planes, list(self._outputs.values()))
            if values is not None:
                answers = self._as_outputs(dict(zip(self._outputs, values, strict=True)))
                parity.check_file(session, answers, encoded, dtype=opened.narrowest)
        return parity.compare(
            self.evaluate_planes(planes, engine="torch"),
            session,
            encoded,
            dtype=self.dtype,
            device=self.device,
            constants=self.graph.constants,
        )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with what it holds."""
    try:
        yield
    except (UnsupportedOperatorError, MismatchError) as error:
        raise type(error)(f"{path}: {error}") from error
    except (ValueError, LookupError, TypeError, RuntimeError) as error:
        said = str(error)
        raise ValueError(said if str(path) in said else f"{path}: {said}") from error


def _through(site: Site, edit: Edit) -> Edit:
    def changed(value: Tensor) -> Tensor:
        before = site.read(value.clone())
        shape = before.shape
        after = edit(before)
        if not isinstance(after, Tensor) or after.shape != shape:
            gave = tuple(after.shape) if isinstance(after, Tensor) else type(after).__name__
            raise ValueError(
                f"the edit of {site.name} gave {gave}: expected a tensor of shape {tuple(shape)}, "
                f"its axes being {' '.join(site.axes)}"
            )
        return site.write(after)

    return changed


def _in_order(first: Edit, second: Edit) -> Edit:
    return lambda value: second(first(value))


def _add_edit(changes: dict[str, Edit], tensor: str, edit: Edit) -> None:
    earlier = changes.get(tensor)
    changes[tensor] = edit if earlier is None else _in_order(earlier, edit)


def _keeping(kept: dict[str, Tensor], name: str, site: Site) -> Edit:
    """Keeps the site's value and goes on with that one, so that gradients reach it."""

    def keep(value: Tensor) -> Tensor:
        kept[name] = site.read(value)
        return site.write(kept[name])

    return keep


def _joined(parts: Sequence[Outputs]) -> Outputs:
    if len(parts) == 1:
        return parts[0]
    return Outputs(
        logits=np.concatenate([part.logits for part in parts]),
        wdl=_concatenate([part.wdl for part in parts]),
        value=_concatenate([part.value for part in parts]),
        moves_left=_concatenate([part.moves_left for part in parts]),
    )


def _joined_by_name(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    if len(parts) == 1:
        return parts[0]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _load_again(path: Path, identity: Mapping[str, object], options: Mapping[str, Any]) -> Network:
    network = load(path, **options)
    found = network.identity()
    for name, value in identity.items():
        if found[name] != value:
            raise ValueError(
                f"{path} is no longer the network that was pickled or copied: its {name} was "
                f"{value} and is {found[name]} now"
            )
    return network


def _concatenate(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    arrays = [part for part in parts if part is not None]
    return np.concatenate(arrays) if arrays else None
