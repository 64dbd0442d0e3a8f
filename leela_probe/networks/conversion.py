"""Leela's own network files turned into ONNX by lc0 itself, once per file.

The converted file is kept in a cache folder under the hash of what it was made from, the version of
lc0 and the hash of its content, which is compared on every load. What the ONNX format leaves out
(the input format, which heads were chosen) is written into its metadata.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import re
import shutil
import signal
import subprocess
import sysconfig
import warnings
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from leela_probe.files import bundled, disk
from leela_probe.files.unfinished import DamagedWarning
from leela_probe.networks import onnx_files
from leela_probe.networks.onnx_files import OnnxFile
from leela_probe.weights import weights_files

__all__ = [
    "cache_folder",
    "convert",
    "find_lc0",
    "lc0_head",
    "lc0_version",
    "open_converted",
    "to_onnx",
]


# The file's own name of a head, and the name that lc0 asks for.
_LC0_NAMES = {"optimistic_st": "optimistic"}
_SOURCE = "leela_probe.source_sha256"
_SCRATCH = ".converting-"
_LONGEST = 900  # seconds that lc0 may take; networks of a gigabyte take one of these minutes
_MARK = 32  # digits of a SHA-256 that a name in the cache ends with


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


def lc0_version(lc0: Path) -> str:
    """The version that an lc0 program names, such as "0.32.1+git.dirty"; "unknown" if it does not.

    Example:
        >>> lc0_version(find_lc0())[:2]
        '0.'
    """
    return _version_of(lc0, disk.stamp(lc0))


@functools.cache
def _version_of(lc0: Path, stamp: tuple[int, int, int]) -> str:
    try:
        said = subprocess.run(
            [str(lc0), "--help"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_LONGEST,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\bv(\d+\.[\w.+]+)", said.stderr + said.stdout)
    return found[1] if found else "unknown"


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

    Example:
        >>> import leela_probe as lp
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lp.convert("bundled:planted", Path(folder, "planted.onnx"))
        ...     lp.load(Path(folder, "planted.onnx")).layers
        4
    """
    source, target = bundled.resolve(source), Path(target)
    if target.suffix.lower() != ".onnx":
        raise ValueError(f"{target} would be an ONNX file: give it a name that ends in .onnx")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} is not there: make it first")
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the network to convert itself: name another file")
    if target.exists() and not overwrite:
        disk.remove_abandoned(target.absolute().parent, _SCRATCH)
        raise FileExistsError(
            f"{target} exists already: name another output, or say that it shall be overwritten"
        )
    target = disk.behind_link(target.absolute())
    with disk.scratch_folder(target.parent, _SCRATCH) as folder:
        content, _ = _converted(source, folder, policy_head, value_head)
        disk.write(target, lambda file: file.write(content), temporary=folder / "complete.onnx")


def _converted(source: Path, folder: Path, policy_head: str, value_head: str) -> tuple[bytes, str]:
    """The ONNX form of a network, with what lc0 leaves out noted inside, and lc0's version."""
    header = weights_files.read_header(source)
    if header.relative_positions:
        raise ValueError(
            f"{source} has relative position encoding, as BT5 networks have: networks of that kind "
            "are not read yet"
        )
    lc0 = find_lc0()
    version = lc0_version(lc0)
    raw = folder / "network.onnx"
    command = [
        str(lc0),
        "leela2onnx",
        f"--input={source.absolute()}",
        f"--output={raw}",
        f"--policy-head={lc0_head(policy_head)}",
        f"--value-head={value_head}",
    ]
    what = f"{source} (policy head {policy_head!r}, value head {value_head!r})"
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(
            f"lc0 could not convert {what}: it was stopped after {_LONGEST} seconds"
        ) from error
    if result.returncode != 0 or not raw.exists():
        raise ValueError(f"lc0 could not convert {what}: {_reason(result)}")
    model = onnx_files.read(raw)
    onnx_files.set_metadata(
        model,
        {
            "leela_probe.input_format": str(int(header.input_format)),
            "leela_probe.policy_head": policy_head,
            "leela_probe.value_head": value_head,
            _SOURCE: disk.sha256(source),
            "leela_probe.lc0": version,
        },
    )
    return bytes(model.SerializeToString()), version


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
    return open_converted(source, policy_head=policy_head, value_head=value_head, cache=cache).path


def open_converted(
    source: str | Path,
    *,
    policy_head: str = "vanilla",
    value_head: str = "winner",
    cache: str | Path | None = None,
) -> OnnxFile:
    """What `onnx_files.open_file` says of the ONNX form of a network; see `to_onnx`.

    A file in the cache is used if its content has the SHA-256 in its name, it notes that it was
    made from just this source, and by the lc0 that is installed. One that is damaged is made anew,
    with a `DamagedWarning`.
    """
    source = bundled.resolve(source)
    folder = cache_folder() if cache is None else Path(cache)
    digest = disk.sha256(source)
    name = f"{digest}-{policy_head}-{value_head}"
    for path in _of_this_lc0(sorted(folder.glob(f"{glob.escape(name)}-*.onnx")), name):
        opened = _kept(path, digest)
        if opened is not None:
            return opened
        warnings.warn(
            f"the converted network {str(path)!r} is damaged: it is made again",
            DamagedWarning,
            stacklevel=3,
        )
        path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with disk.scratch_folder(folder.absolute(), _SCRATCH) as scratch:
        content, version = _converted(source, scratch, policy_head, value_head)
        mark = hashlib.sha256(content).hexdigest()[:_MARK]
        target = folder / f"{name}-{version}-{mark}.onnx"
        disk.write(target, lambda file: file.write(content), temporary=scratch / "complete.onnx")
    return onnx_files.open_file(target)


def _of_this_lc0(paths: Sequence[Path], name: str) -> Sequence[Path]:
    """Those of the files that the installed lc0 has made; without an lc0 any will do."""
    if not paths:
        return ()
    try:
        version = lc0_version(find_lc0())
    except FileNotFoundError:
        return paths
    return [path for path in paths if path.name.startswith(f"{name}-{version}-")]


def _kept(path: Path, source: str) -> OnnxFile | None:
    """The file in the cache, if it is as it was written, from the source of that SHA-256."""
    if not path.stem.endswith(f"-{disk.sha256(path)[:_MARK]}"):
        return None
    opened = onnx_files.open_file(path)
    return opened if onnx_files.metadata(opened.model).get(_SOURCE) == source else None
