"""Breaks of A1 to A6: a device takes an answer, or a refusal."""

from typing import Final

from tests.rules.rule import broken

_REPLICA: Final = "device_agent/replica.py"
_INVENTORY: Final = "device_agent/inventory.py"
_SYNC: Final = "device_agent/feed_sync.py"
_SCHEDULE: Final = "device_agent/schedule.py"

BREAKS: Final = (
    broken(
        "A1",
        "an answer to any request counts",
        (
            _REPLICA,
            "if self._outstanding is None or answer.id != self._outstanding:",
            "if not answer.id:",
        ),
    ),
    broken(
        "A1",
        "an answer of another epoch is joined to pushes of this one",
        (
            _REPLICA,
            "if delta.epoch != before.epoch and self._stored_since_request:",
            "if not delta.epoch:",
        ),
    ),
    broken(
        "A1",
        "every answer of another epoch is discarded",
        (
            _REPLICA,
            "if delta.epoch != before.epoch and self._stored_since_request:",
            "if delta.epoch != before.epoch:",
        ),
    ),
    broken(
        "A2",
        "changes are passed over",
        (
            _REPLICA,
            "happened += self._apply(change.item_id, change.put, change.n)",
            "happened += []",
        ),
    ),
    broken(
        "A2",
        "a remainder of another content is added",
        (_REPLICA, "            or item.digest != remainder.digest\n", ""),
    ),
    broken(
        "A2",
        "a remainder is added wherever it begins",
        (_REPLICA, "            or item.held_bytes != remainder.offset\n", ""),
    ),
    broken(
        "A2",
        "the answer's set takes the place of the own one",
        (
            _REPLICA,
            "held = before.held | TokenSet.decode(delta.tokens)",
            "held = TokenSet.decode(delta.tokens)",
        ),
    ),
    broken(
        "A2",
        "the answer's set is ignored",
        (_REPLICA, "held = before.held | TokenSet.decode(delta.tokens)", "held = before.held"),
    ),
    broken(
        "A2",
        "asof becomes head though more was heard of",
        (_REPLICA, "asof=max(delta.head, before.asof)", "asof=delta.head"),
    ),
    broken("A2", "asof stays", (_REPLICA, "asof=max(delta.head, before.asof)", "asof=before.asof")),
    broken("A2", "the base stays", (_REPLICA, "            base=delta.base,\n", "")),
    broken("A2", "the epoch stays", (_REPLICA, "epoch=delta.epoch,\n", "epoch=before.epoch,\n")),
    broken(
        "A2",
        "the lineage stays",
        (_REPLICA, "lineage=delta.lineage,\n", "lineage=before.lineage,\n"),
    ),
    broken("A2", "p0 stays", (_REPLICA, "p0=delta.p0,\n", "p0=before.p0,\n")),
    broken(
        "A2",
        "removes are forgotten though changes are pending",
        (_REPLICA, "            if not delta.more:\n", "            if delta.head is not None:\n"),
    ),
    broken(
        "A2",
        "removes above head are forgotten",
        (_REPLICA, "self._store.forget_removed(delta.head)", "self._store.forget_removed(None)"),
    ),
    broken(
        "A2",
        "removes are never forgotten",
        (
            _REPLICA,
            (
                "                self._times_anew = 0\n"
                "                self._store.forget_removed(delta.head)\n"
            ),
            "                self._times_anew = 0\n",
        ),
    ),
    broken(
        "A3",
        "a collection that is void is kept",
        (
            _REPLICA,
            "            self._begin_anew()\n            return True",
            "            return True",
        ),
    ),
    broken(
        "A3",
        "items keep their n",
        (_REPLICA, "            self._store.forget_tokens()\n", ""),
    ),
    broken(
        "A3",
        "removes stay remembered",
        (_REPLICA, "            self._store.forget_removed(None)\n", ""),
    ),
    broken(
        "A3",
        "the base goes, too",
        (
            _REPLICA,
            "view_id=state.view_id, base=state.base, view=state.view, window=state.window",
            "view_id=state.view_id, view=state.view, window=state.window",
        ),
    ),
    broken(
        "A3",
        "items and contents go, too",
        (
            _REPLICA,
            "            self._store.forget_tokens()\n",
            (
                "            for item in list(self._store.items()):\n"
                "                self._store.delete_item(item.id)\n"
            ),
        ),
    ),
    broken(
        "A3",
        "the view goes, too",
        (
            _REPLICA,
            "view_id=state.view_id, base=state.base, view=state.view, window=state.window",
            "view_id=state.view_id, base=state.base",
        ),
    ),
    broken(
        "A3",
        "a view that is another keeps its tokens",
        (
            _REPLICA,
            (
                "        self._forget_tokens("
                "ReplicaState(view_id=view_id, base=base, view=view, window=window))\n"
            ),
            (
                "        self._state = replace("
                "self._state, view_id=view_id, view=view, window=window)\n"
                "        with self._store.transaction():\n"
                "            self._store.set_state(self._state)\n"
            ),
        ),
    ),
    broken(
        "A3",
        "the base goes when the view is another",
        (
            _REPLICA,
            "ReplicaState(view_id=view_id, base=base, view=view, window=window)",
            "ReplicaState(view_id=view_id, view=view, window=window)",
        ),
    ),
    broken(
        "A3",
        "a view that is another leads to no sync",
        (
            _SYNC,
            "if self.replica.state.view_id != view_id:",
            "if self.replica.state.view_id < 0:",
        ),
    ),
    broken(
        "A4",
        "puts of an inventory are passed over",
        (_REPLICA, "happened += self._set(put, None, self._store.item(put.id))", "happened += []"),
    ),
    broken(
        "A4",
        "a put of an inventory counts as newer than all changes",
        (
            _REPLICA,
            "self._set(put, None, self._store.item(put.id))",
            "self._set(put, 2**53 - 1, self._store.item(put.id))",
        ),
    ),
    broken(
        "A4",
        "drops of an inventory are passed over",
        (
            _REPLICA,
            "                    self._store.delete_item(item_id)\n                    happened",
            "                    happened",
        ),
    ),
    broken(
        "A4",
        "the set ends at the newest head, not at that of the first answer",
        (
            _INVENTORY,
            "held=begun.held - missing)",
            "held=begun.held.add(begun.upto, answer.head) - missing)",
        ),
    ),
    broken(
        "A4",
        "missing is ignored",
        (_INVENTORY, "held=begun.held - missing)", "held=begun.held)"),
    ),
    broken(
        "A4",
        "p0 is that of the newest answer",
        (
            _INVENTORY,
            "begun = replace(begun, head=",
            "begun = replace(begun, p0=answer.p0, head=",
        ),
    ),
    broken(
        "A4",
        "answers of two lineages are joined",
        (
            _REPLICA,
            "if before.begun is not None and answer.lineage != before.begun.lineage:",
            "if before.begun is not None and not answer.epoch:",
        ),
    ),
    broken(
        "A4",
        "asof and the floor are the head of the first answer",
        (_INVENTORY, "replace(begun, head=max(begun.head, answer.head), ", "replace(begun, "),
    ),
    broken(
        "A4",
        "an inventory goes on after an answer of another lineage, which is discarded",
        (_REPLICA, "after = replace(state, known=Inventory())", "after = state"),
    ),
    broken(
        "A4",
        "there is no floor after an inventory",
        (
            _REPLICA,
            "known=collection, floor=begun.head, more=True",
            "known=collection, floor=None, more=True",
        ),
    ),
    broken(
        "A4",
        "the first base is not kept",
        (
            _REPLICA,
            "after = replace(state, base=answer.base, known=known, narrowed=narrowed)",
            "after = replace(state, known=known, narrowed=narrowed)",
        ),
    ),
    broken(
        "A4",
        "answers of two lineages are joined if they are of one epoch",
        (
            _REPLICA,
            "if before.begun is not None and answer.lineage != before.begun.lineage:",
            "if before.begun is not None and answer.epoch != before.begun.epoch:",
        ),
    ),
    broken(
        "A5",
        "an inventory is the end of a sync",
        (
            _REPLICA,
            "known=collection, floor=begun.head, more=True",
            "known=collection, floor=begun.head",
        ),
    ),
    broken(
        "A5",
        "a device does not ask again though changes are pending",
        (_REPLICA, "            more=delta.more,\n", ""),
        (
            _REPLICA,
            "return is_behind(self._state) or bool(self._wanted(1))",
            "return bool(self._wanted(1))",
        ),
    ),
    broken(
        "A5",
        "a device waits before it asks for the next page",
        (
            _SCHEDULE,
            "            return Schedule(due=now, attempts=self.attempts if goes_round else 0)\n",
            "            return self.failed(now, chance, waits)\n",
        ),
    ),
    broken(
        "A5",
        "a device asks again at once though answers bring nothing",
        (_SCHEDULE, "        if progress:\n", "        if again:\n"),
    ),
    broken(
        "A5",
        "a device does not ask again after an answer that it discarded",
        (
            _SYNC,
            "result.fate is not AnswerFate.TAKEN or self.replica.needs_sync()",
            "self.replica.needs_sync()",
        ),
    ),
    broken(
        "A5",
        "a sync begins anew at once, time after time",
        (_REPLICA, "progress=self._times_anew <= TIMES_ANEW_MAX", "progress=True"),
    ),
    broken(
        "A5",
        "a sync that begins anew is always backed off from",
        (_REPLICA, "progress=self._times_anew <= TIMES_ANEW_MAX", "progress=False"),
    ),
    broken(
        "A5",
        "it counts how often syncs began anew, complete ones between them or not",
        (_REPLICA, "                self._times_anew = 0\n", ""),
    ),
    broken(
        "A5",
        "a content that is withheld is wanted again at once",
        (
            _REPLICA,
            "                grown |= self._leave_alone(item_id, delta.head)\n",
            "                pass\n",
        ),
    ),
    broken(
        "A5",
        "a content that is withheld is not wanted after a change of its item",
        (_REPLICA, "        self._withheld.discard((put.id, put.digest))\n", ""),
    ),
    broken(
        "A5",
        "a content that is withheld is not wanted after a new connection",
        (_REPLICA, "        self._withheld.clear()\n", ""),
    ),
    broken(
        "A6",
        "a device asks again when it likes",
        (_SYNC, "after_s = refused.retry_after_s\n", "after_s = None\n"),
    ),
    broken(
        "A6",
        "a device asks again at once if it is told to",
        (_SCHEDULE, "RETRY_AFTER_S_MIN: Final = 1.0", "RETRY_AFTER_S_MIN: Final = 0.0"),
    ),
    broken(
        "A6",
        "a device waits as long as it is told to",
        (_SCHEDULE, "RETRY_AFTER_S_MAX: Final = 3600.0", "RETRY_AFTER_S_MAX: Final = 1e12"),
    ),
    broken(
        "A6",
        "all devices ask again at the same time",
        (_SCHEDULE, "            1.0 + _JITTER_SHARE * chance\n", "            1.0\n"),
    ),
    broken(
        "A6",
        "a notification has a device ask earlier than it is told to",
        (_SCHEDULE, "            at = max(at, self.not_before)\n", "            pass\n"),
    ),
)
