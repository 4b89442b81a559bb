"""Temporary folders go with their owner, and what a killed owner left goes with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from eqsat.errors import StorageError
from eqsat.isolation import temporary
from eqsat.isolation.temporary import PREFIX, TemporaryFolder


def abandoned(parent: Path, name: str = "abandoned") -> Path:
    folder = parent / f"{PREFIX}{name}"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "model.onnx").write_bytes(b"model")
    return folder


def test_it_goes_at_its_end(temp_folder: Path) -> None:
    with TemporaryFolder() as folder:
        assert folder.path.parent == temp_folder
        (folder.path / "file").touch()
    assert not list(temp_folder.iterdir())


def test_it_goes_with_its_object(temp_folder: Path) -> None:
    folder = TemporaryFolder()
    path = folder.path
    assert path.is_dir()
    del folder
    assert not path.exists()


def test_a_new_one_removes_what_nobody_owns(temp_folder: Path) -> None:
    left = abandoned(temp_folder)
    with TemporaryFolder() as one, TemporaryFolder() as two:
        assert not left.exists()
        assert one.path.is_dir()
        assert two.path.is_dir()


def test_what_another_process_owns_stays_until_it_is_killed(temp_folder: Path) -> None:
    program = "from eqsat.isolation.temporary import TemporaryFolder as T; t = T(); print(t.path, flush=True); input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(temp_folder), "PYTHONPATH": str(Path(temporary.__file__).parents[2])},
    )
    with owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        with TemporaryFolder():
            assert path.is_dir()
        owner.kill()
        owner.wait()
        assert path.is_dir()
        with TemporaryFolder():
            assert not path.exists()


def test_what_another_user_owns_and_what_is_no_folder_stay(temp_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = abandoned(temp_folder.parent, "target")
    link = temp_folder / f"{PREFIX}link"
    link.symlink_to(target)
    (temp_folder / f"{PREFIX}file").touch()
    TemporaryFolder().close()
    other = abandoned(temp_folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: other.stat().st_uid + 1)
        TemporaryFolder().close()
    assert sorted(path.name for path in temp_folder.iterdir()) == sorted([link.name, f"{PREFIX}file", other.name])
    assert (target / "deep" / "model.onnx").exists()


def test_a_child_has_its_temporary_files_there(temp_folder: Path) -> None:
    show = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    with TemporaryFolder() as folder:
        by_environment = subprocess.check_output(show, encoding="utf-8", env=folder.environment())
        with folder.as_home():
            inherited, own = subprocess.check_output(show, encoding="utf-8"), tempfile.gettempdir()
        for home in (by_environment.strip(), inherited.strip(), own):
            assert Path(home).is_relative_to(folder.path)
    assert tempfile.gettempdir() == str(temp_folder)


def test_where_there_is_no_room_is_said(temp_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temp_folder / "missing"))
    with pytest.raises(StorageError, match="no temporary folder can be made: No such file or directory; set TMPDIR"):
        TemporaryFolder()
