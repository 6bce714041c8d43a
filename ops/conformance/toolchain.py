"""The programs that are run against the gateway, installed by npm into a cache directory."""

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/inspector": "2.12.0",
}
# What both of them need. An older Node.js is left alone, and npm's own build of a newer one is used.
NODE = (22, 19)
INSTALL_LIMIT_S = 900


class MissingError(Exception):
    """Something that these checks need is not on this machine; the message tells what, and what to do."""


@dataclass(frozen=True)
class Toolchain:
    """The commands, without their arguments, and the directory that they were installed into."""

    home: Path
    conformance: tuple[str, ...]
    inspector: tuple[str, ...]


def install() -> Toolchain:
    """Install what is not there yet.

    Raises:
        MissingError: there is no npm, or it failed.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coldquery-conformance"
    own_node = _node_package() if _version_of_node() < NODE else None
    manifest = json.dumps(
        {"private": True, "dependencies": PACKAGES | ({own_node: f"^{NODE[0]}.{NODE[1]}.0"} if own_node else {})}
    )
    installed = home / "installed.json"
    if not installed.exists() or installed.read_text() != manifest:
        _install(home, manifest)
        installed.write_text(manifest)
    modules = home / "node_modules"
    node = str(modules / own_node / "bin" / "node") if own_node else "node"
    ours = modules / "@modelcontextprotocol"
    return Toolchain(
        home,
        (node, str(ours / "conformance/dist/index.js")),
        (node, str(ours / "inspector/clients/launcher/build/index.js"), "--cli"),
    )


def _install(home: Path, manifest: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingError("There is no npm on PATH. Install Node.js, which brings it: https://nodejs.org.")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "package.json").write_text(manifest)
    # None of them needs its install scripts, so that nobody's are run.
    command = [npm, "install", "--prefix", str(home), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    print(f"Installing into {home}", flush=True)
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=INSTALL_LIMIT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise MissingError(f"npm could not install what {home / 'package.json'} names; see what it said.") from None


def _version_of_node() -> tuple[int, int]:
    """(0, 0) where there is none."""
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        major, minor, *_ = told.strip().removeprefix("v").split(".")
        return int(major), int(minor)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0, 0


def _node_package() -> str:
    """The package that has Node.js itself for this machine, as the package `node` would choose it."""
    system = platform.system().lower()
    arch = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{'node-bin' if (system, arch) == ('darwin', 'arm64') else 'node'}-{system}-{arch}"
