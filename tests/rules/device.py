"""Breaks of D1 to D6: a device takes a notification."""

from typing import Final

from tests.rules.rule import broken

_REPLICA: Final = "device_agent/replica.py"
_SQLITE: Final = "device_agent/store_sqlite.py"
_SYNC: Final = "device_agent/feed_sync.py"

BREAKS: Final = (
    broken(
        "D1",
        "a push of another lineage is taken",
        (
            _REPLICA,
            "state.base is None or push.lineage != collection.lineage:",
            "state.base is None:",
        ),
    ),
    broken(
        "D1",
        "a push of another lineage leads to no sync",
        (_SYNC, "strange = result is PushResult.STRANGE", "strange = False"),
    ),
    broken(
        "D1",
        "a push from below the floor is taken",
        (
            _REPLICA,
            "if state.floor is not None and push.n <= state.floor:",
            "if push.n < -(2**60):",
        ),
    ),
    broken(
        "D1",
        "a push at the floor is taken",
        (_REPLICA, "push.n <= state.floor:", "push.n < state.floor:"),
    ),
    broken(
        "D2",
        "a push that is held is taken again",
        (_REPLICA, "if push.n in collection.held:", "if push.n < -(2**60):"),
    ),
    broken(
        "D3",
        "prev is ignored: n is joined to all that is held",
        (
            _REPLICA,
            "lowest if push.prev is None else push.prev + 1, push.n)",
            "min(push.n, collection.held.last + 1 if collection.held else lowest), push.n)",
        ),
    ),
    broken(
        "D3",
        "a push that tells of a lost one is not told from others",
        (
            _REPLICA,
            "gap = push.prev is not None and push.prev not in collection.held",
            "gap = False",
        ),
    ),
    broken(
        "D3",
        "a push that tells of a lost one leads to no sync",
        (_SYNC, "if strange or self.replica.needs_sync():", "if strange:"),
    ),
    broken(
        "D3",
        "a push that tells of a lost one is thrown away",
        (
            _REPLICA,
            "        gap = push.prev is not None and push.prev not in collection.held\n",
            (
                "        gap = push.prev is not None and push.prev not in collection.held\n"
                "        if gap:\n"
                "            return PushResult.GAP, ()\n"
            ),
        ),
    ),
    broken(
        "D3",
        "a sync is sent though the missing push came meanwhile",
        (
            _SYNC,
            "if not self._schedule.is_due(now) and not self.replica.needs_sync():",
            "if not self._schedule.is_due(now) and now < 0:",
        ),
    ),
    broken(
        "D4",
        "only n is added, and not what lies above prev",
        (_REPLICA, "lowest if push.prev is None else push.prev + 1, push.n)", "push.n, push.n)"),
    ),
    broken(
        "D4",
        "without prev only n is added",
        (_REPLICA, "lowest if push.prev is None else", "push.n if push.prev is None else"),
    ),
    broken(
        "D4",
        "prev is added, too",
        (_REPLICA, "else push.prev + 1, push.n)", "else push.prev, push.n)"),
    ),
    broken(
        "D4",
        "c is not added",
        (
            _REPLICA,
            "            held = held.add(c, c)\n",
            "            held = held.add(push.n, push.n)\n",
        ),
    ),
    broken(
        "D4",
        "c is added though no content came",
        (
            _REPLICA,
            "if push.put is not None and push.put.content is not None:\n",
            "if push.put is not None:\n",
        ),
    ),
    broken(
        "D4",
        "asof becomes that of the push, though it is older",
        (_REPLICA, "asof=max(collection.asof, push.asof)", "asof=push.asof"),
    ),
    broken(
        "D4",
        "asof stays",
        (_REPLICA, "asof=max(collection.asof, push.asof)", "asof=collection.asof"),
    ),
    broken(
        "D5",
        "an older n is applied",
        (
            _REPLICA,
            "(old is not None and old.n is not None and n <= old.n) or (",
            "(",
        ),
    ),
    broken(
        "D5",
        "a tombstone is ignored",
        (_REPLICA, "removed_at is not None and n <= removed_at", "removed_at == n"),
    ),
    broken(
        "D5",
        "a tombstone is not kept",
        (
            _REPLICA,
            "        if n is not None:\n            self._store.remember(item_id, n)\n",
            "",
        ),
    ),
    broken(
        "D5",
        "a remove leaves the item",
        (
            _REPLICA,
            "        self._store.delete_item(item_id)\n        return [] if old",
            "        return [] if old",
        ),
    ),
    broken(
        "D5",
        "a put that is out of the time window leaves the item",
        (_REPLICA, "return self._remove(put.id, n, old)", "return []"),
    ),
    broken(
        "D5",
        "a put that is out of the time window is not remembered",
        (_REPLICA, "return self._remove(put.id, n, old)", "return self._remove(put.id, None, old)"),
    ),
    broken(
        "D6",
        "the bytes held go though the digest is the same",
        (
            _REPLICA,
            "same = old is not None and old.digest == put.digest and old.size == put.size",
            "same = old is None and put.size < 0",
        ),
    ),
    broken(
        "D6",
        "the bytes held stay though the digest is another",
        (
            _REPLICA,
            "same = old is not None and old.digest == put.digest and old.size == put.size",
            "same = old is not None and old.size == put.size",
        ),
    ),
    broken(
        "D6",
        "fewer bytes take the place of more",
        (
            _REPLICA,
            "if not item.whole and (not same or len(content) > item.held_bytes):",
            "if not item.whole and (not same or content):",
        ),
    ),
    broken(
        "D6",
        "more bytes of the same content are thrown away",
        (
            _REPLICA,
            "if not item.whole and (not same or len(content) > item.held_bytes):",
            "if not item.whole and not same:",
        ),
    ),
    broken(
        "D6",
        "a content counts as whole by its size alone",
        (
            _REPLICA,
            "if digest_of(self._store.content(item.id)) == item.digest:",
            "if item.size >= 0:",
        ),
    ),
    broken(
        "D6",
        "a content counts as whole by its first bytes",
        (
            _REPLICA,
            "        if item.held_bytes < item.size:\n            return item\n",
            (
                "        if item.held_bytes < item.size:\n"
                "            return replace(item, whole=True)\n"
            ),
        ),
    ),
    broken(
        "D6",
        "bytes that do not fit their digest stay",
        (_REPLICA, "        return replace(item, held_bytes=0)\n", "        return item\n"),
    ),
    broken(
        "D6",
        "what is not whole is not wanted",
        (
            _REPLICA,
            "return is_behind(self._state) or bool(self._wanted(1))",
            "return is_behind(self._state)",
        ),
    ),
    broken(
        "D6",
        "what is not whole is shown as if it was",
        (
            "device_agent/showing.py",
            "    if not found.whole:\n        raise AgentError",
            "    if not found.id:\n        raise AgentError",
        ),
    ),
    broken(
        "D6",
        "what is larger than the device completes by itself is wanted",
        (
            _REPLICA,
            "size_max=completes_up_to(self._state.view, self._remainder_bytes_max)",
            "size_max=None",
        ),
    ),
    broken(
        "D6",
        "what is just as large as the device completes by itself is not wanted",
        (_SQLITE, " AND (size <= ? OR ?", " AND (size < ? OR ?"),
    ),
    broken(
        "D6",
        "what somebody has asked for is not wanted",
        (
            _SQLITE,
            "            (self._number, limit),\n        ).fetchall()\n",
            "            (self._number, 0),\n        ).fetchall()\n",
        ),
    ),
    broken(
        "D6",
        "another content is wanted because somebody asked for the one before",
        (
            _REPLICA,
            "is_fetched=old.is_fetched if old is not None and same else False",
            "is_fetched=old.is_fetched if old is not None else False",
        ),
    ),
    broken(
        "D6",
        "that somebody has asked for a content is forgotten with any change of its item",
        (
            _REPLICA,
            "is_fetched=old.is_fetched if old is not None and same else False",
            "is_fetched=False",
        ),
    ),
    broken(
        "D6",
        "what is large and of which nothing is held is not wanted",
        (_REPLICA, "portions=self._state.view.portion_bytes != 0,", "portions=False,"),
    ),
    broken(
        "D6",
        "what is large is wanted though the view has no portions",
        (_REPLICA, "portions=self._state.view.portion_bytes != 0,", "portions=True,"),
    ),
    broken(
        "D6",
        "what would have come whole is not wanted",
        (
            _REPLICA,
            "size_max=completes_up_to(self._state.view, self._remainder_bytes_max)",
            "size_max=self._remainder_bytes_max",
        ),
    ),
)
