from __future__ import annotations

from pathlib import Path

from eqsat.runtime.devices import cpu_name, device_name


def test_the_cpu_is_named_by_its_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Some CPU @ 3.00GHz\nprocessor\t: 1\nmodel name\t: Other\n")
    assert cpu_name(info) == "Some CPU @ 3.00GHz"


def test_a_cpu_without_a_model_name_is_still_named(tmp_path: Path) -> None:
    assert cpu_name(tmp_path / "missing")


def test_every_provider_has_a_device_of_some_name() -> None:
    assert device_name("CUDAExecutionProvider")
    assert device_name("OtherProvider").startswith("OtherProvider on ")
