"""The user's own inputs: every way to give them, and what is wrong with them in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from eqsat.errors import UsageError
from eqsat.verify.given import MAX_SETS, Feeds, given_inputs, save_inputs
from ir.graph import Graph
from ir.reader import read
from tests.verify.models import FLOAT, INT64, Value, node, save

X = np.arange(6, dtype=np.float32).reshape(2, 3)
K = np.array([4], dtype=np.int64)
GOOD: Feeds = {"x": X, "k": K}


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    inputs: list[Value] = [("x", FLOAT, ("n", 3)), ("k", INT64, (1,))]
    nodes = [node("Cast", "k", "f", to=FLOAT), node("Mul", "x f", "y")]
    return read(save(tmp_path / "m.onnx", nodes, inputs, [("y", FLOAT, None)]))


def same(found: tuple[Feeds, ...], *expected: Feeds) -> bool:
    return len(found) == len(expected) and all(
        one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
        for one, two in zip(found, expected, strict=True)
    )


def test_a_file_is_one_set(tmp_path: Path, graph: Graph) -> None:
    np.savez(tmp_path / "one.npz", x=X, k=K)
    assert same(given_inputs(str(tmp_path / "one.npz"), graph), GOOD)


def test_a_folder_of_files_is_several_in_order(tmp_path: Path, graph: Graph) -> None:
    (tmp_path / "sets").mkdir()
    np.savez(tmp_path / "sets" / "b.npz", x=X, k=K)
    np.savez(tmp_path / "sets" / "a.npz", x=X[:1], k=K)
    assert same(given_inputs(str(tmp_path / "sets"), graph), {"x": X[:1], "k": K}, GOOD)


def test_a_folder_of_arrays_is_one_set(tmp_path: Path, graph: Graph) -> None:
    (tmp_path / "set").mkdir()
    for name, array in GOOD.items():
        np.save(tmp_path / "set" / f"{name}.npy", array)
    assert same(given_inputs(str(tmp_path / "set"), graph), GOOD)


@pytest.mark.parametrize("names", [("x", "k"), ("", "")])
def test_the_layout_of_onnx_test_data_is_understood(tmp_path: Path, graph: Graph, names: tuple[str, str]) -> None:
    for number, x in enumerate((X, X[:1])):
        folder = tmp_path / "data" / f"test_data_set_{number}"
        folder.mkdir(parents=True)
        arrays: list[np.ndarray] = [x, K]
        for place, (name, array) in enumerate(zip(names, arrays, strict=True)):
            tensor = onnx.numpy_helper.from_array(array, name)
            (folder / f"input_{place}.pb").write_bytes(tensor.SerializeToString())
    assert same(given_inputs(str(tmp_path / "data"), graph), GOOD, {"x": X[:1], "k": K})
    assert same(given_inputs(str(tmp_path / "data" / "test_data_set_1"), graph), {"x": X[:1], "k": K})


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("return {'x': X, 'k': K}", 1),
        ("return [{'x': X, 'k': K}, {'x': X, 'k': K}]", 2),
        ("yield {'x': X, 'k': K}", 1),
    ],
)
def test_a_function_gives_one_or_several(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch, body: str, count: int
) -> None:
    name = f"own_feeds_{count}_{len(body)}"
    made = "X = np.arange(6, dtype=np.float32).reshape(2, 3)\nK = np.array([4])"
    (tmp_path / f"{name}.py").write_text(f"import numpy as np\n{made}\ndef feeds():\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    assert same(given_inputs(f"{name}:feeds", graph), *[GOOD] * count)


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"x": X}, "lacks 'k'; the inputs are: x, k"),
        ({**GOOD, "z": X}, "names 'z'; the inputs are: x, k$"),
        ({"X": X, "k": K}, r"names 'X'; the inputs are: x, k; did you mean 'x'\?"),
        ({"x": X.astype(np.float64), "k": K}, r"'x' holds float64; the model takes float32: array.astype\('float32'\)"),
        ({"x": X.T, "k": K}, r"'x' has the shape \[3, 2\]; the model takes \[any, 3\]"),
        ({"x": X[0], "k": K}, r"'x' has the shape \[3\]"),
        ({"x": X * np.float32(np.nan), "k": K}, "'x' holds NaN"),
    ],
)
def test_a_set_that_does_not_fit_is_a_usage_error(tmp_path: Path, graph: Graph, feeds: Feeds, words: str) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **feeds)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"^--inputs {path}, set 1.*{words}"):
        given_inputs(str(path), graph)


def test_objects_are_never_unpickled(tmp_path: Path, graph: Graph) -> None:
    np.savez(tmp_path / "bad.npz", x=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"bad\.npz cannot be read: Object arrays"):
        given_inputs(str(tmp_path / "bad.npz"), graph)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.npz", "does not exist; give FILE.npz, a folder, or module:function"),
        ("m.onnx", r"is no \.npz file"),
        ("torn.npz", "cannot be read"),
        ("empty", "holds no inputs"),
        ("no_such_module_here:feeds", "failed: ModuleNotFoundError"),
        ("json:nothing", "failed: AttributeError"),
        ("os:getcwd", "a str is no mapping"),
        ("os:listdir", "set 1 is a str"),
    ],
)
def test_a_source_that_cannot_be_read_is_a_usage_error(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        given_inputs(source, graph)


def test_what_python_gives_is_read_again_as_it_was(tmp_path: Path) -> None:
    inputs: list[Value] = [("file", onnx.TensorProto.BFLOAT16, ("n",)), ("a/b", onnx.TensorProto.STRING, ("n",))]
    nodes = [node("Identity", name, f"y{place}") for place, (name, _, _) in enumerate(inputs)]
    outputs: list[Value] = [(f"y{place}", dtype, None) for place, (_, dtype, _) in enumerate(inputs)]
    graph = read(save(tmp_path / "m.onnx", nodes, inputs, outputs))
    feeds = {"file": np.arange(2).astype(ml_dtypes.bfloat16), "a/b": np.array(["one", "two"], dtype=object)}
    save_inputs(feeds, tmp_path / "kept")
    (found,) = given_inputs(str(tmp_path / "kept"), graph)
    assert found["file"].dtype == ml_dtypes.bfloat16
    assert np.array_equal(found["file"], feeds["file"])
    assert found["a/b"].tolist() == ["one", "two"]


def test_a_function_or_a_generator_can_be_given_in_python(tmp_path: Path, graph: Graph) -> None:
    def several() -> Iterator[Feeds]:
        yield GOOD
        yield GOOD

    save_inputs(several, tmp_path / "function")
    save_inputs(several(), tmp_path / "generator")
    assert same(given_inputs(str(tmp_path / "function"), graph), GOOD, GOOD)
    assert same(given_inputs(str(tmp_path / "generator"), graph), GOOD, GOOD)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (3, "a int is no mapping"),
        (X, "a ndarray is no mapping"),
        ([X], "set 1 is a ndarray"),
        ({"x": object()}, "'x' holds Python objects"),
        (({"x": X} for _ in range(10**9)), f"more than {MAX_SETS} sets"),
    ],
)
def test_what_is_no_inputs_in_python_is_a_usage_error(tmp_path: Path, inputs: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        save_inputs(inputs, tmp_path / "kept")
