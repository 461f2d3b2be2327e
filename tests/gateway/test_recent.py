"""What is remembered of whoever came last."""

from gateway.recent import Recent


def test_beyond_its_bound_who_was_not_used_longest_goes() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1  # and so "b" is the older one
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert len(recent) == 2


def test_what_is_made_is_kept() -> None:
    recent: Recent[str, list[int]] = Recent(2)
    recent.get_or_make("a", list).append(1)
    recent.get_or_make("b", list)
    recent.get_or_make("a", list).append(2)
    recent.get_or_make("c", list)
    assert recent.get("a") == [1, 2]
    assert recent.get("b") is None


def test_what_is_put_again_takes_the_place_and_what_is_forgotten_is_gone() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.put("a", 3)
    recent.put("c", 4)
    assert [recent.get(key) for key in "abc"] == [3, None, 4]
    recent.forget("a")
    recent.forget("nobody")
    assert recent.get("a") is None
