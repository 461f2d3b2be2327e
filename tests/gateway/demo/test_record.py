from random import Random

from device_agent.results import AnswerFate, AnswerResult, PushResult
from gateway.demo.record import DeviceRecord
from sync_protocol.messages import (
    Answer,
    Change,
    Collection,
    Compared,
    Delta,
    Notification,
    Request,
)

BASE = 10
FEED = "feed"


def _record(loss: float = 0.0) -> DeviceRecord:
    record = DeviceRecord(Random(1), loss=loss)
    _sync(record, b"first---", [])
    return record


def _asks(record: DeviceRecord, request_id: bytes) -> None:
    collection = Collection(lineage=1, epoch=b"epoch---", asof=0)
    request = Request(v=1, id=request_id, view_id=1, base=BASE, collection=collection)
    record.asked(FEED, request, b"request")


def _comes(record: DeviceRecord, request_id: bytes, sent: list[tuple[str, int]]) -> None:
    changes = tuple(Change(n=seq - BASE, remove=item) for item, seq in sent)
    delta = Delta(base=BASE, head=50, lineage=1, epoch=b"epoch---", changes=changes)
    answer = Answer(v=1, id=request_id, delta=delta)
    record.answer_came(FEED, answer, b"answer", AnswerResult(AnswerFate.TAKEN))


def _sync(record: DeviceRecord, request_id: bytes, sent: list[tuple[str, int]]) -> None:
    _asks(record, request_id)
    record.makes_answer(request_id, sent)
    _comes(record, request_id, sent)


def _push(record: DeviceRecord, item: tuple[str, int]) -> None:
    item_id, seq = item
    push = Notification(v=1, lineage=1, n=seq - BASE, asof=50, remove=item_id)
    record.push_came(FEED, push, b"push", PushResult.STORED)


def _counts(record: DeviceRecord) -> tuple[int, int]:
    return record.figures.changes_resent, record.figures.changes_missing


def test_what_was_never_taken_was_missing() -> None:
    record = _record()
    _sync(record, b"second--", [("a", 11), ("b", 12)])
    assert _counts(record) == (2, 2)


def test_what_a_push_had_brought_was_not_missing_and_shows_as_resent() -> None:
    record = _record()
    assert record.sends(("a", 11), 100)
    _push(record, ("a", 11))
    _sync(record, b"second--", [("a", 11)])
    assert _counts(record) == (1, 0)


def test_what_an_answer_had_brought_was_not_missing_either() -> None:
    record = _record()
    _sync(record, b"second--", [("a", 11)])
    _sync(record, b"third---", [("a", 11)])
    assert _counts(record) == (2, 1)


def test_a_push_under_way_when_the_answer_is_made_counts_in_neither() -> None:
    record = _record()
    assert record.sends(("a", 11), 100)
    _sync(record, b"second--", [("a", 11)])
    assert _counts(record) == (0, 0)


def test_a_push_that_came_while_the_request_was_under_way_counts_in_neither() -> None:
    record = _record()
    assert record.sends(("a", 11), 100)
    _asks(record, b"second--")
    _push(record, ("a", 11))
    record.makes_answer(b"second--", [("a", 11)])
    _comes(record, b"second--", [("a", 11)])
    assert _counts(record) == (0, 0)


def test_a_dropped_push_was_missing() -> None:
    record = _record(loss=1.0)
    assert not record.sends(("a", 11), 100)
    _sync(record, b"second--", [("a", 11)])
    assert _counts(record) == (1, 1)
    assert record.figures.pushes_sent == 1
    assert record.figures.pushes_received == 0


def test_what_was_under_way_to_a_device_that_left_was_missing() -> None:
    record = _record()
    assert record.sends(("a", 11), 100)
    record.away = True
    record.gone()
    assert not record.sends(("b", 12), 100)
    _sync(record, b"second--", [("a", 11), ("b", 12)])
    assert _counts(record) == (2, 2)


def test_an_answer_that_was_not_taken_counts_nothing() -> None:
    record = _record()
    _asks(record, b"second--")
    record.makes_answer(b"second--", [("a", 11)])
    delta = Delta(base=BASE, head=50, lineage=1, epoch=b"epoch---")
    answer = Answer(v=1, id=b"second--", delta=delta)
    record.answer_came(FEED, answer, b"", AnswerResult(AnswerFate.OVERTAKEN, progress=True))
    assert _counts(record) == (0, 0)


def test_the_first_sync_is_counted_apart() -> None:
    record = DeviceRecord(Random(1), loss=0.0)
    _sync(record, b"first---", [("a", 1), ("b", 2)])
    assert record.figures.changes_first == 2
    assert _counts(record) == (0, 0)


def test_a_push_behind_an_inventory_is_taken() -> None:
    record = DeviceRecord(Random(1), loss=0.0)
    compared = Compared(base=BASE, head=50, lineage=1, epoch=b"epoch---", answered=1)
    answer = Answer(v=1, id=b"compare-", inventory=compared)
    record.answer_came(FEED, answer, b"answer", AnswerResult(AnswerFate.TAKEN))
    _push(record, ("a", 11))
    _sync(record, b"first---", [])
    _sync(record, b"second--", [("a", 11)])
    assert _counts(record) == (1, 0)


def test_a_push_that_goes_out_after_the_answer_counts_in_neither() -> None:
    record = _record()
    _asks(record, b"second--")
    record.makes_answer(b"second--", [("a", 11), ("b", 12)])
    assert record.sends(("a", 11), 100)
    _comes(record, b"second--", [("a", 11), ("b", 12)])
    assert _counts(record) == (1, 1)
    assert record.sends(("b", 12), 100)
    assert _counts(record) == (0, 0)


def test_a_push_that_would_go_out_after_the_answer_and_is_lost_changes_nothing() -> None:
    record = _record(loss=1.0)
    _sync(record, b"second--", [("a", 11)])
    assert not record.sends(("a", 11), 100)
    assert _counts(record) == (1, 1)


def test_what_was_answered_before_the_device_left_was_missing() -> None:
    record = _record()
    _sync(record, b"second--", [("a", 11)])
    record.gone()
    assert record.sends(("a", 11), 100)
    assert _counts(record) == (1, 1)
