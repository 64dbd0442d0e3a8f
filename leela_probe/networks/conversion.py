"""Leela's own network files turned into ONNX by lc0 itself, once per file.

The converted file is kept in a cache folder under the hash of what it was made from, with what the
ONNX format leaves out (the input format, which heads were chosen) written into its metadata.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import onnx
import platformdirs

from leela_probe.files import bundled, disk
from leela_probe.networks import onnx_files
from leela_probe.weights import weights_files

__all__ = ["cache_folder", "convert", "find_lc0", "lc0_head", "to_onnx"]


# The file's own name of a head, and the name that lc0 asks for.
_LC0_NAMES = {"optimistic_st": "optimistic"}


def cache_folder() -> Path:
    """Where converted networks are kept unless another folder is named."""
    return Path(platformdirs.user_cache_dir("leela-probe", appauthor=False)) / "networks"


def find_lc0() -> Path:
    """The lc0 program: the one installed beside this Python, else the one on the PATH.

    Raises:
        FileNotFoundError: with what to install, if there is neither.
    """
    beside = shutil.which("lc0", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("lc0")
    if found is None:
        raise FileNotFoundError(
            "reading a .pb.gz network needs lc0, and there is none beside this Python or on the "
            "PATH: pip install 'leela-probe[lc0]' (Linux x86-64), or install lc0 from lczero.org, "
            "or give an .onnx file made elsewhere: lc0 leela2onnx --input=NET --output=NET.onnx"
        )
    return Path(found)


def lc0_head(name: str) -> str:
    """The name by which lc0 is asked for a policy head.

    Example:
        >>> lc0_head("optimistic_st"), lc0_head("soft")
        ('optimistic', 'soft')
    """
    return _LC0_NAMES.get(name, name)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    policy_head: str = "vanilla",
    value_head: str = "winner",
    overwrite: bool = False,
) -> None:
    """Writes the Leela network `source` to `target` as ONNX, with its input format noted inside.

    Args:
        source: a `.pb.gz` or `.pb` file, or the name of a bundled network.
        target: the `.onnx` file to make, in a folder that is there; it appears complete or not at
            all.
        policy_head: which of several policy heads to take: vanilla, optimistic, soft, opponent.
        value_head: which of several value heads to take: winner, q, st.
        overwrite: True replaces an existing file.

    Raises:
        FileNotFoundError: if there is no such network, no folder for the target, or no lc0.
        FileExistsError: if the target is there and may not be replaced.
        ValueError: if the file is no Leela network, lc0 refuses it, or the target is not named as
            an `.onnx` file.
    """
    source, target = bundled.resolve(source), Path(target)
    if not onnx_files.is_named_so(target):
        raise ValueError(f"{target} would be an ONNX file: give it a name that ends in .onnx")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} is not there: make it first")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the network to convert itself: name another file")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already: name another file, or ask to overwrite it")
    header = weights_files.read_header(source)
    lc0 = find_lc0()
    target = target.absolute()  # lc0 runs in a folder of its own
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=target.parent) as folder:
        raw = Path(folder) / "network.onnx"
        command = [
            str(lc0),
            "leela2onnx",
            f"--input={source.absolute()}",
            f"--output={raw}",
            f"--policy-head={lc0_head(policy_head)}",
            f"--value-head={value_head}",
        ]
        result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if result.returncode != 0 or not raw.exists():
            raise ValueError(
                f"lc0 could not convert {source} (policy head {policy_head!r}, value head "
                f"{value_head!r}): {_reason(result)}"
            )
        model = onnx_files.read(raw)
        onnx_files.set_metadata(
            model,
            {
                "leela_probe.input_format": str(int(header.input_format)),
                "leela_probe.policy_head": policy_head,
                "leela_probe.value_head": value_head,
                "leela_probe.source_sha256": disk.sha256(source),
            },
        )
        onnx.save_model(model, str(raw))
        os.replace(raw, target)


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    """What lc0 says of its failure, or else how it ended."""
    said = re.search(r"Unhandled exception: (.+)", result.stdout + result.stderr)
    if said:
        return said[1].strip()
    if result.returncode < 0:
        return f"it was ended by {signal.Signals(-result.returncode).name} and gave no reason"
    return f"it ended with status {result.returncode} and gave no reason"


def to_onnx(
    source: str | Path,
    *,
    policy_head: str = "vanilla",
    value_head: str = "winner",
    cache: str | Path | None = None,
) -> Path:
    """The ONNX form of a Leela network, converted now or at some earlier time.

    Args:
        source: a `.pb.gz` or `.pb` file.
        policy_head: see `convert`.
        value_head: see `convert`.
        cache: the folder of converted networks; by default `cache_folder()`.

    Raises:
        FileNotFoundError, ValueError: see `convert`.
    """
    source = bundled.resolve(source)
    folder = cache_folder() if cache is None else Path(cache)
    name = f"{disk.sha256(source)}-{policy_head}-{value_head}.onnx"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        convert(
            source, folder / name, policy_head=policy_head, value_head=value_head, overwrite=True
        )
    return folder / name
