"""What is written, where, and what is left alone."""

from __future__ import annotations

import errno
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest

from eqsat.errors import EqsatError, ModelError, StorageError, UsageError
from eqsat.pipeline import output
from eqsat.pipeline.job import Job
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Status
from eqsat.pipeline.scratch import keep_best, read_best
from ir.onnx_file import load_model, write_model
from tests.cli.fake_worker import OPTIMIZED, UNCHANGED


def save_external(folder: Path, *, data_name: str = "weights.bin", fill: float = 1.0) -> Path:
    """Write a model whose only weight lies beside it, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    value = onnx.helper.make_tensor_value_info
    weight = onnx.numpy_helper.from_array(np.full((64, 64), fill, np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "matmul",
        [value("x", onnx.TensorProto.FLOAT, [2, 64])],
        [value("y", onnx.TensorProto.FLOAT, [2, 64])],
        [weight],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "model.onnx"
    onnx.save_model(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data_name, size_threshold=0
    )
    return path


@pytest.mark.parametrize(
    ("name", "expected"), [("a.onnx", "a.opt.onnx"), ("a.b.onnx", "a.b.opt.onnx"), ("a", "a.opt.onnx")]
)
def test_the_default_output_lies_beside_the_input(name: str, expected: str) -> None:
    assert output.default_output(Path("folder") / name) == Path("folder") / expected


def test_a_copy_of_the_input_brings_its_data(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in", data_name="sub.bin")
    goal = tmp_path / "out.onnx"
    output.write_input_copy(source, goal)
    assert goal.read_bytes() == source.read_bytes()
    assert (tmp_path / "sub.bin").read_bytes() == (tmp_path / "in" / "sub.bin").read_bytes()


def test_a_copy_beside_the_input_shares_its_data(tmp_path: Path) -> None:
    source = save_external(tmp_path)
    before = (tmp_path / "weights.bin").stat().st_ino
    output.write_input_copy(source, tmp_path / "out.onnx")
    assert (tmp_path / "weights.bin").stat().st_ino == before
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "out.onnx", "weights.bin"}


def test_a_copy_never_replaces_the_data_of_another_model(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in", fill=1.0)
    other = save_external(tmp_path / "out", fill=2.0)
    with pytest.raises(UsageError, match="belongs to another model"):
        output.write_input_copy(source, tmp_path / "out" / "copy.onnx")
    assert not (tmp_path / "out" / "copy.onnx").exists()
    assert onnx.numpy_helper.to_array(onnx.load_model(other).graph.initializer[0])[0, 0] == 2.0


def test_data_of_nobody_knows_whom_stay(tmp_path: Path) -> None:
    source, target = save_external(tmp_path / "in", fill=1.0), tmp_path / "out.onnx"
    (tmp_path / "out.onnx.data").write_bytes(b"somebody's")
    with pytest.raises(UsageError, match=r"out\.onnx\.data exists, where data of OUTPUT may go; --force"):
        output.check_output(source, target)
    output.check_output(source, target, is_forced=True)


def test_a_result_does_not_mind_data_that_only_a_copy_would_write(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in", fill=1.0)
    save_external(tmp_path / "out", fill=2.0)
    with pytest.raises(UsageError, match="belongs to another model"):
        output.check_output(source, tmp_path / "out" / "new.onnx")
    output.check_output(source, tmp_path / "out" / "new.onnx", may_copy=False)


def test_a_result_never_replaces_the_data_of_the_input(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in", data_name="out.onnx.data")
    result = save_external(tmp_path / "scratch")
    with pytest.raises(UsageError, match="holds the data of the input"):
        output.write_result(result, tmp_path / "in" / "out.onnx", input_path=source)


def test_what_stands_in_the_way_of_the_data_is_said_before_the_run(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in", data_name="sub.bin")
    (tmp_path / "c.onnx.data").mkdir()
    with pytest.raises(UsageError, match=r"c\.onnx\.data is a folder"):
        output.check_output(source, tmp_path / "c.onnx")
    other = save_external(tmp_path / "same", data_name="out.onnx.data")
    with pytest.raises(UsageError, match="holds the data of the input"):
        output.check_output(other, tmp_path / "same" / "out.onnx")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{'n' * 300}.onnx", r"^OUTPUT .*File name too long"),
        (f"{'m' * 300}/out.onnx", "File name too long"),
        ("file/inner.onnx", "file does not exist"),
        ("a\0b.onnx", "null character"),
        ("loop.onnx", "cannot be written to"),
    ],
)
def test_names_that_no_file_can_have_are_refused(tmp_path: Path, model_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    with pytest.raises(UsageError, match=said):
        output.check_output(model_path, tmp_path / name)


@pytest.mark.parametrize("name", ["-", "https://host/a.onnx", "s3://bucket/a.onnx", "file:///tmp/a.onnx"])
def test_streams_and_addresses_are_no_files(model_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no file on this machine"):
        output.check_output(model_path, Path(name))
    with pytest.raises(ModelError, match="stdin" if name == "-" else "is an address"):
        output.check_input(Path(name))


def test_a_link_to_the_data_of_the_input_is_not_followed(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in")
    result = save_external(tmp_path / "scratch")
    goal = tmp_path / "out.onnx"
    goal.symlink_to(tmp_path / "in" / "weights.bin")
    before = goal.read_bytes()
    for write in (output.write_input_copy, partial(_write_result, result)):
        with pytest.raises(UsageError, match="holds the data of the input"):
            write(source, goal)
    assert goal.read_bytes() == before


def _write_result(result: Path, source: Path, goal: Path) -> None:
    output.write_result(result, goal, input_path=source)


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    source = save_external(tmp_path / "in")
    (tmp_path / "store").mkdir()
    goal = tmp_path / "out.onnx"
    goal.symlink_to("store/model.onnx")
    output.check_output(source, goal)
    output.write_input_copy(source, goal)
    assert goal.is_symlink()
    assert (tmp_path / "store" / "model.onnx").read_bytes() == source.read_bytes()
    assert (tmp_path / "weights.bin").exists(), "a runtime looks for the data beside the path that it is given"


def test_a_report_goes_into_a_pipe(tmp_path: Path, model_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    output.check_report(pipe, Job(input_path=str(model_path)))
    with pytest.raises(EqsatError, match="nobody reads it"):
        output.write_text(pipe, "text")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.write_text(pipe, "text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_result_is_whole_without_its_scratch_folder(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir.onnx_file.MAX_PROTO_BYTES", 0)
    result = tmp_path / "scratch" / "result.onnx"
    write_model(load_model(save_external(tmp_path / "scratch", fill=3.0)), result)
    goal = tmp_path / "out" / "out.onnx"
    goal.parent.mkdir()
    output.write_result(result, goal, input_path=model_path)
    shutil.rmtree(tmp_path / "scratch")
    assert onnx.numpy_helper.to_array(onnx.load_model(goal).graph.initializer[0])[0, 0] == 3.0


@pytest.mark.parametrize("name", ["file", "file/inner", "link"])
def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(UsageError, match=r"^the folder .* cannot be made or written to: \w[^\n]*$"):
        output.make_folder(tmp_path / name)
    output.make_folder(tmp_path / "new" / "inner")
    assert (tmp_path / "new" / "inner").is_dir()
    assert not list((tmp_path / "new" / "inner").iterdir())


def test_garbage_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"\xff garbage")
    with pytest.raises(ModelError):
        output.write_input_copy(path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_full_disk_is_an_error_and_the_old_output_stays(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "out.onnx"
    goal.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EqsatError, match="No space left"):
        output.write_input_copy(model_path, goal)
    assert goal.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "out.onnx"}


def test_the_best_so_far_is_the_last_whole_one(tmp_path: Path) -> None:
    assert read_best(tmp_path) is None
    keep_best(tmp_path, UNCHANGED, model_name="m.onnx", write_model=None)
    best = read_best(tmp_path)
    assert best is not None
    assert (best.report, best.model_path) == (UNCHANGED, None)
    for number in range(3):
        text = f"model {number}"
        keep_best(tmp_path, OPTIMIZED, model_name="m.onnx", write_model=partial(_write, text=text))
        best = read_best(tmp_path)
        assert best is not None
        assert best.model_path is not None
        assert best.model_path.read_text() == text
    assert len(list(tmp_path.glob("best-*"))) == 1


def test_a_best_that_was_not_finished_changes_nothing(tmp_path: Path) -> None:
    keep_best(tmp_path, OPTIMIZED, model_name="m.onnx", write_model=lambda path: _write(path, "whole"))

    def die(path: Path) -> None:
        path.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_best(tmp_path, OPTIMIZED, model_name="m.onnx", write_model=die)
    best = read_best(tmp_path)
    assert best is not None
    assert best.model_path is not None
    assert best.model_path.read_text() == "whole"


@pytest.mark.parametrize(("status", "has_model"), [(Status.OPTIMIZED, False), (Status.UNCHANGED, True)])
def test_a_best_has_a_model_where_its_report_says_so(tmp_path: Path, status: Status, has_model: bool) -> None:
    with pytest.raises(ValueError, match=status.value):
        keep_best(
            tmp_path,
            Report(status=status, reason=""),
            model_name="m.onnx",
            write_model=(lambda path: _write(path, "")) if has_model else None,
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def test_a_disk_without_room_has_an_exit_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.tmp")

    monkeypatch.setattr("ir.atomic_file.write_text", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        output.write_text(tmp_path / "report.json", "{}")
    assert caught.value.exit_code == 9


@pytest.mark.parametrize(("number", "is_full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False)])
def test_only_want_of_room_is_a_storage_error(number: int, *, is_full: bool) -> None:
    found = StorageError.of(OSError(number, "what it is", "/somewhere/file"))
    assert (found is not None) == is_full
    assert found is None or "/somewhere/file" in str(found)
