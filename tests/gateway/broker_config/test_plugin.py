"""Where Mosquitto and its plugin are."""

from pathlib import Path

import pytest

from gateway.broker_config.plugin import PLUGIN_NAME, find_plugin, find_program


@pytest.mark.parametrize(
    "folder", ["usr/lib/x86_64-linux-gnu", "usr/lib/arm-linux-gnueabihf", "usr/lib64", "usr/lib"]
)
def test_the_plugin_is_found(folder: str, tmp_path: Path) -> None:
    assert find_plugin(tmp_path) is None
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / PLUGIN_NAME).touch()
    assert find_plugin(tmp_path) == tmp_path / folder / PLUGIN_NAME


def test_the_program_is_called_by_its_name_where_a_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mosquitto"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == "mosquitto"
