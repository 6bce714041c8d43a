"""The audit's file: only added to, rotated by size, whole lines or none."""

from __future__ import annotations

import os
import resource
import signal
import stat
import threading
from pathlib import Path

import pytest

from coldquery.errors import StartError
from coldquery.telemetry.sinks import AuditFile, StandardOutput

LINE = b'{"event":"statement"}\n'


def test_lines_are_added_to_what_is_there_and_nobody_else_may_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        file = AuditFile(path, max_bytes=1_000, keep=2)
        file.append(LINE, sync=True)
        file.close()
    assert path.read_bytes() == LINE * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_file_is_set_aside_and_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=len(LINE) * 2, keep=2)
    for number in range(9):
        file.append(b'{"event":"number %d" }\n' % number, sync=False)
    file.close()
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert set(found) == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"}
    told = found["audit.jsonl.2"] + found["audit.jsonl.1"] + found["audit.jsonl"]
    assert [line.split()[1] for line in told.splitlines()] == [f'{number}"' for number in range(4, 9)]


def test_without_any_to_keep_the_full_one_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=len(LINE), keep=0)
    for _ in range(3):
        file.append(LINE, sync=False)
    file.close()
    assert [each.name for each in tmp_path.iterdir()] == ["audit.jsonl"]
    assert path.read_bytes() == LINE


def test_a_file_that_somebody_moved_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=1_000, keep=2)
    file.append(LINE, sync=False)
    path.rename(tmp_path / "moved")
    file.append(LINE, sync=False)
    file.close()
    assert path.read_bytes() == (tmp_path / "moved").read_bytes() == LINE


def test_of_a_line_that_does_not_fit_on_the_disk_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=1_000_000, keep=2)
    file.append(LINE, sync=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            file.append(LINE, sync=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == LINE
    file.append(LINE, sync=True)
    file.close()
    assert path.read_bytes() == LINE * 2


def test_a_file_that_another_gateway_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=1_000, keep=2)
    with pytest.raises(StartError, match="Another process") as caught:
        AuditFile(path, max_bytes=1_000, keep=2)
    assert "a file of its own" in (caught.value.next or "")
    file.close()


def test_a_device_may_be_written_by_several_gateways() -> None:
    files = [AuditFile(Path(os.devnull), max_bytes=1_000, keep=2) for _ in range(2)]
    for file in files:
        file.append(LINE, sync=True)
        file.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StartError, match="Permission denied"):
        AuditFile(tmp_path / "audit.jsonl", max_bytes=1_000, keep=2)


@pytest.mark.parametrize("name", ["no/such/directory/audit.jsonl", "."])
def test_a_path_that_cant_be_written_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match=r"can't be written to .*: (No such file|Is a directory)"):
        AuditFile(tmp_path / name, max_bytes=1_000, keep=2)


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StartError, match="can't be written to"):
        AuditFile(tmp_path / "pipe", max_bytes=1_000, keep=2)


def test_what_did_not_come_onto_the_disk_is_not_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=1_000, keep=2)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            file.append(LINE, sync=True)
    file.append(LINE, sync=True)
    file.close()
    assert path.read_bytes() == LINE


def test_standard_output_takes_lines_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    out = StandardOutput()
    out.append(LINE, sync=True)
    out.close()
    assert capfdbinary.readouterr().out == LINE


def test_a_standard_output_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.__stdout__", None)
    with pytest.raises(StartError, match="standard output, which is closed"):
        StandardOutput()


def test_a_standard_output_that_never_waits_gets_whole_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    data = LINE * 20_000
    got = b""

    def collect() -> None:
        nonlocal got
        while len(got) < len(data):
            got += os.read(read, 1 << 20)

    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr("sys.__stdout__", pipe)
        collector = threading.Thread(target=collect)
        collector.start()
        StandardOutput().append(data, sync=True)
        collector.join(10)
    os.close(read)
    assert got == data
