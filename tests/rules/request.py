"""Breaks of Q1 to Q3: a device asks."""

from typing import Final

from tests.rules.rule import broken

_REPLICA: Final = "device_agent/replica.py"
_INVENTORY: Final = "device_agent/inventory.py"
_SYNC: Final = "device_agent/feed_sync.py"
_SCHEDULE: Final = "device_agent/schedule.py"
_STORE: Final = "device_agent/store_memory.py"
_KEPT_FEED: Final = "device_agent/kept_feed.py"

BREAKS: Final = (
    broken(
        "Q1",
        "every request has the same id",
        (
            _KEPT_FEED,
            "request_id=lambda: os.urandom(messages.REQUEST_ID_BYTES)",
            "request_id=lambda: bytes(8)",
        ),
    ),
    broken(
        "Q1",
        "a request stays open after its answer",
        (
            _REPLICA,
            (
                "            return AnswerResult(AnswerFate.NOT_AWAITED)\n"
                "        self._outstanding = None\n"
            ),
            "            return AnswerResult(AnswerFate.NOT_AWAITED)\n",
        ),
    ),
    broken(
        "Q1",
        "a retry leaves the request before it open",
        (
            _SYNC,
            (
                "        if self._schedule.deadline is not None:\n"
                "            self.replica.close_request()\n"
            ),
            "        if self._schedule.deadline is not None:\n",
        ),
    ),
    broken(
        "Q1",
        "a lost connection leaves a request open",
        (
            _SYNC,
            (
                "        self.replica.close_request()\n"
                "        self._schedule = self._schedule.disconnected()\n"
            ),
            "        self._schedule = self._schedule.disconnected()\n",
        ),
    ),
    broken(
        "Q1",
        "a second request leaves while one is out",
        (
            _SYNC,
            "        if self._schedule.deadline is not None:\n            self.replica",
            (
                "        due = self._schedule.is_due(now)\n"
                "        if self._schedule.deadline is not None and not due:\n"
                "            self.replica"
            ),
        ),
        (
            _SCHEDULE,
            (
                "        if self.deadline is not None:\n"
                "            return self.deadline\n"
                "        return min((at for at in (self.due, self.look)"
            ),
            "        return min((at for at in (self.deadline, self.due, self.look)",
        ),
    ),
    broken(
        "Q1",
        "a change of view leaves a request open",
        (
            _REPLICA,
            "        self._outstanding = None\n        view_id, base =",
            "        view_id, base =",
        ),
    ),
    broken(
        "Q1",
        "a change of view waits for the answer to the request that it closed",
        (
            _SYNC,
            (
                "            self._schedule = Schedule().soon("
                "now, self._chance(), self._waits, forced=True)\n"
                "        return happened\n"
            ),
            (
                "            self._schedule = self._schedule.soon("
                "now, self._chance(), self._waits, forced=True)\n"
                "        return happened\n"
            ),
        ),
    ),
    broken(
        "Q2",
        "an inventory does not say base though there is one",
        (
            _REPLICA,
            "            base=state.base,\n            view_id=state.view_id,\n            answer",
            (
                "            base=None if presented is None else state.base,\n"
                "            view_id=state.view_id,\n"
                "            answer"
            ),
        ),
    ),
    broken(
        "Q2",
        "a request names another view",
        (
            _REPLICA,
            "            view_id=state.view_id,\n            answer",
            "            view_id=0,\n            answer",
        ),
    ),
    broken(
        "Q2",
        "a request does not say how large an answer may be",
        (_REPLICA, "            answer_bytes_max=answer_bytes_max,\n", ""),
    ),
    broken(
        "Q2",
        "a request presents no tokens",
        (
            _REPLICA,
            "tokens=held.encode(),\n            )\n        wanted",
            "tokens=b'',\n            )\n        wanted",
        ),
    ),
    broken(
        "Q2",
        "a request wants nothing",
        (
            _REPLICA,
            "wanted = [] if presented is None else self._wanted(limits.REQUEST_WANTED_MAX)",
            "wanted = self._wanted(0)",
        ),
    ),
    broken(
        "Q2",
        "a request does not say how many bytes are held",
        (_REPLICA, "offset=item.held_bytes) for", "offset=0) for"),
    ),
    broken(
        "Q2",
        "the oldest content is wanted first",
        (
            _STORE,
            "item.n is None, -(item.n or 0), item.id)",
            "item.n is None, item.n or 0, item.id)",
        ),
    ),
    broken(
        "Q2",
        "a request does not say its view",
        (
            _REPLICA,
            "inventory=self._ranges_asked,\n            view=state.view,\n",
            "inventory=self._ranges_asked,\n",
        ),
    ),
    broken(
        "Q3",
        "a device without a collection presents nothing of what it holds",
        (
            _INVENTORY,
            "    entries = store.entries(*words.bounds(prefix))\n    if len(entries) <= LISTED",
            "    entries = store.entries(b'', b'')\n    if len(entries) <= LISTED",
        ),
    ),
    broken(
        "Q3",
        "the first request presents the parts, not the whole",
        (
            _INVENTORY,
            "if inventory.begun is None and len(inventory.todo) == 1:",
            "if not inventory.todo:",
        ),
    ),
    broken(
        "Q3",
        "the first request lists all, however many",
        (
            _INVENTORY,
            "    if len(entries) <= LISTED_ITEMS_MAX:\n        return Range",
            "    if len(entries) >= 0:\n        return Range",
        ),
    ),
    broken(
        "Q3",
        "ranges that were split are not presented",
        (
            _INVENTORY,
            "todo = (*answer.split, *inventory.todo[answer.answered :])",
            "todo = inventory.todo[answer.answered :]",
        ),
    ),
    broken(
        "Q3",
        "ranges that were not answered are not presented again",
        (
            _INVENTORY,
            "todo = (*answer.split, *inventory.todo[answer.answered :])",
            "todo = answer.split",
        ),
    ),
    broken(
        "Q3",
        "ranges that were split come last",
        (
            _INVENTORY,
            "todo = (*answer.split, *inventory.todo[answer.answered :])",
            "todo = (*inventory.todo[answer.answered :], *answer.split)",
        ),
    ),
    broken(
        "Q3",
        "a request lists more than 16 KiB",
        (
            _INVENTORY,
            "if ranges and size > room:",
            "if ranges and size < 0:",
        ),
    ),
    broken(
        "Q3",
        "an answer about something else is taken",
        (_INVENTORY, "if not 0 < answer.answered <= len(asked):", "if answer.answered < 0:"),
    ),
    broken(
        "Q3",
        "an answer may split what was not presented",
        (
            _INVENTORY,
            "if not any(_may_split(it, prefix) for it in asked[: answer.answered]):",
            "if not asked:",
        ),
    ),
)
