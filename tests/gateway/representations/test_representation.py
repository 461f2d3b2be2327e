import pytest

from gateway.representations.representation import VERSION_MAX, Representation


@pytest.mark.parametrize("name", ["", "native", "Compact", "9", "-a", "a b", "a" * 33])
def test_names_that_no_representation_has(name: str) -> None:
    with pytest.raises(ValueError, match=r"representation|native"):
        Representation(name, 1, {})


@pytest.mark.parametrize("version", [0, -1, VERSION_MAX + 1])
def test_versions_that_no_representation_has(version: int) -> None:
    with pytest.raises(ValueError, match="version"):
        Representation("a", version, {})


def test_the_longest_name_and_the_last_version() -> None:
    assert Representation("a" * 32, VERSION_MAX, {}).version == VERSION_MAX
