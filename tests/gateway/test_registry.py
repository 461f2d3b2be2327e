"""Who is online, and whose records are at hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gateway.ledger import Record
from gateway.notifier import Target
from gateway.registry import Registry
from sync_protocol.token_set import TokenSet
from sync_protocol.wire import Format

OLD = Record(b"one-time", 3, 7, Format.CBOR, bytes(8), TokenSet.span(-2, 5), 1_000)
NEW = replace(OLD, base=4, form=Format.JSON, synced_at=2_000)


def online(registry: Registry, device: str, **records: Record) -> None:
    registry.recall(device, records)
    registry.came_online(device, 1.0)


def test_only_who_is_online_and_known_is_pushed_to() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    online(registry, "new")
    registry.synced("away", "mail", OLD)
    assert registry.targets("mail") == [Target("phone", b"one-time", 3, 7, Format.CBOR)]
    assert registry.targets("work") == []
    assert registry.online() == ["new", "phone"]
    assert [registry.is_online(it) for it in ("phone", "away")] == [True, False]


def test_a_request_makes_a_replica_known() -> None:
    registry = Registry()
    online(registry, "phone")
    registry.synced("phone", "mail", NEW)
    assert registry.targets("mail") == [Target("phone", b"one-time", 4, 7, Format.JSON)]
    assert registry.record("phone", "mail") == NEW
    assert registry.record("phone", "work") is None


def test_nobody_is_pushed_to_who_went_offline() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    registry.went_offline("phone")
    registry.went_offline("stranger")
    assert registry.targets("mail") == []
    assert registry.online() == []


def test_what_a_request_told_is_newer_than_the_ledger() -> None:
    registry = Registry()
    registry.synced("phone", "mail", NEW)
    registry.recall("phone", {"mail": OLD, "work": OLD})
    assert registry.record("phone", "mail") == NEW
    assert registry.record("phone", "work") == OLD


def test_an_offline_device_is_let_go_once_it_is_saved() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    registry.synced("phone", "work", NEW)
    registry.went_offline("phone")
    assert registry.is_known("phone")
    assert registry.take_unsaved() == {"phone": {"mail": OLD, "work": NEW}}
    assert not registry.is_known("phone")


def test_a_saved_device_is_let_go_when_it_goes_offline() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    registry.synced("phone", "mail", NEW)
    registry.take_unsaved()
    assert registry.is_known("phone")
    registry.went_offline("phone")
    assert not registry.is_known("phone")


def test_only_what_changed_is_saved() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    assert registry.take_unsaved() == {}
    registry.synced("phone", "mail", NEW)
    assert registry.take_unsaved() == {"phone": {"mail": NEW}}
    assert registry.take_unsaved() == {}


def test_what_was_taken_to_save_changes_no_more() -> None:
    registry = Registry()
    online(registry, "phone")
    registry.synced("phone", "mail", OLD)
    taken = registry.take_unsaved()
    registry.synced("phone", "mail", NEW)
    assert taken == {"phone": {"mail": OLD}}


def test_a_new_generation_leaves_what_is_known_and_the_ledger_is_told() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD, work=NEW)
    online(registry, "tablet", mail=OLD)
    registry.regenerate("phone", b"the new!")
    assert registry.targets("mail") == [
        Target("phone", b"the new!", 3, 7, Format.CBOR),
        Target("tablet", b"one-time", 3, 7, Format.CBOR),
    ]
    assert registry.record("phone", "work") == replace(NEW, generation=b"the new!")
    unsaved = registry.take_unsaved()
    assert list(unsaved) == ["phone"]
    assert unsaved["phone"]["mail"] == replace(OLD, generation=b"the new!")


def test_a_new_generation_of_who_is_not_at_hand() -> None:
    registry = Registry()
    registry.regenerate("phone", b"the new!")
    assert not registry.is_known("phone")
    assert registry.take_unsaved() == {}


def test_whose_id_two_agents_use() -> None:
    registry = Registry()
    for device in ("tablet", "phone"):
        told = [registry.asked(device, "mail", view_id, now=1.0) for view_id in (1, 2, 1)]
        assert told == [False, False, True]
    registry.asked("watch", "mail", 1, now=1.0)
    assert registry.two_agents(now=2.0) == ["phone", "tablet"]
    assert [registry.are_two(it, now=2.0) for it in ("phone", "watch")] == [True, False]
    registry.forget("phone")
    assert registry.two_agents(now=2.0) == ["tablet"]


def test_a_removed_device_is_forgotten() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    registry.synced("phone", "mail", NEW)
    registry.forget("phone")
    assert registry.take_unsaved() == {}
    assert registry.targets("mail") == []
    assert not registry.is_known("phone")
    assert not registry.is_online("phone")


def test_a_removed_feed_is_forgotten_and_the_ledger_told() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD, work=OLD)
    online(registry, "tablet", work=OLD)
    registry.forget_feed("mail")
    assert registry.targets("mail") == []
    assert registry.take_unsaved() == {"phone": {"work": OLD}}


def test_from_many_threads() -> None:
    registry = Registry()

    def use(device: str) -> None:
        for _ in range(300):
            online(registry, device, mail=OLD)
            registry.synced(device, "mail", NEW)
            registry.targets("mail")
            registry.take_unsaved()
            registry.went_offline(device)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(use, f"device-{number}") for number in range(4)]:
            done.result()
    registry.take_unsaved()
    assert registry.online() == []
    assert not any(registry.is_known(f"device-{number}") for number in range(4))


def test_what_is_known_of_another_enrolment_goes() -> None:
    registry = Registry()
    registry.synced("phone", "mail", OLD)
    registry.keep_only("phone", OLD.generation)
    assert registry.is_known("phone")
    registry.keep_only("phone", b"another!")
    assert not registry.is_known("phone")
    assert registry.take_unsaved() == {}


def test_of_who_is_let_be_nothing_is_known_until_it_asks() -> None:
    registry = Registry()
    online(registry, "phone", mail=OLD)
    assert registry.is_of("phone", OLD.generation)
    registry.let_be("phone", b"the new!")
    registry.let_be("stranger", b"the new!")
    assert registry.awaited() == ["phone"]
    assert (registry.targets("mail"), registry.take_unsaved()) == ([], {})
    assert not registry.is_of("phone", OLD.generation)
    # What was told or read before comes too late, whatever way it takes.
    registry.recall("phone", {"mail": OLD})
    registry.synced("phone", "mail", OLD)
    assert (registry.targets("mail"), registry.take_unsaved()) == ([], {})
    assert registry.awaited() == ["phone"]
    newer = replace(OLD, generation=b"the new!")
    registry.synced("phone", "mail", newer)
    assert registry.awaited() == []
    assert [it.generation for it in registry.targets("mail")] == [b"the new!"]


def test_an_id_that_is_enrolled_again_is_of_any_generation() -> None:
    registry = Registry()
    registry.let_be("phone", b"the new!")
    registry.forget("phone")
    assert registry.is_of("phone", b"third---")
