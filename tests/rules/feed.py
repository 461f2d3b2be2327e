"""Breaks of F1 to F6: rows, epochs, purges, and what views see of them."""

from typing import Final

from tests.rules.rule import broken

_ROWS: Final = "gateway/rows.py"
_SNAPSHOT: Final = "gateway/snapshot_sqlite.py"
_FEED: Final = "gateway/feed.py"
_SQLITE: Final = "gateway/feed_sqlite.py"
_STATE_FILE: Final = "gateway/state_file.py"
_SERVICE: Final = "gateway/service.py"
_VIEWED: Final = "gateway/viewed.py"
_REPLICA: Final = "device_agent/replica.py"
_SYNC: Final = "device_agent/feed_sync.py"
_AGENT: Final = "device_agent/agent.py"

_LEFT: Final = "if effective_seq(row, self.view) == seq and not self._has(row):"

BREAKS: Final = (
    broken(
        "F1",
        "c moves though the content stays",
        (
            _ROWS,
            "c=live.c if live is not None and live.digest == digest else seq",
            "c=seq",
        ),
    ),
    broken(
        "F1",
        "c stays though the content changes",
        (
            _ROWS,
            "c=live.c if live is not None and live.digest == digest else seq",
            "c=live.c if live is not None else seq",
        ),
    ),
    broken(
        "F1",
        "a delete does not leave its folder",
        (
            _ROWS,
            "deleted=True, left=left, at=now",
            "deleted=True, left=old.left, at=now",
        ),
    ),
    broken(
        "F1",
        "an item that moves does not leave its folder",
        (
            _ROWS,
            "left = _leave(old, seq=seq, now=now) if folder != old.folder else old.left",
            "left = old.left",
        ),
    ),
    broken(
        "F1",
        "an item that is put again forgets what it left",
        (_ROWS, "left=old.left if old is not None else {}", "left={}"),
    ),
    broken(
        "F1",
        "a change of kind leaves no place",
        (
            _ROWS,
            "if new.place != live.place else new",
            "if new.folder != live.folder else new",
        ),
    ),
    broken(
        "F1",
        "a place is left when it was left first",
        (
            _ROWS,
            "{**row.left, row.place: Left(seq, now)}",
            "{row.place: Left(seq, now), **row.left}",
        ),
    ),
    broken(
        "F1",
        "c of a rendering moves though the rendered bytes stay",
        (
            _ROWS,
            "c = was.c if was is not None and was.digest == digest else seq",
            "c = seq",
        ),
    ),
    broken(
        "F1",
        "c of a rendering stays though the rendered bytes change",
        (
            _ROWS,
            "c = was.c if was is not None and was.digest == digest else seq",
            "c = was.c if was is not None else seq",
        ),
    ),
    broken(
        "F1",
        "c of a rendering that is made later is not that of the native bytes",
        (
            _SQLITE,
            "kept = rendering_of(made, seq=newest.c, before=None)",
            "kept = rendering_of(made, seq=newest.seq, before=None)",
        ),
    ),
    broken(
        "F2",
        "seq grows by two",
        (
            _SQLITE,
            "row = next_row(old, mutation, seq=head + 1, now=now)",
            "row = next_row(old, mutation, seq=head + 2, now=now)",
        ),
    ),
    broken(
        "F2",
        "half of a transaction that fails is kept",
        (_STATE_FILE, 'self._writer.execute("ROLLBACK")', 'self._writer.execute("COMMIT")'),
    ),
    broken(
        "F2",
        "a snapshot changes while it is looked at",
        (
            _STATE_FILE,
            'db = self._reader()\n            db.execute("BEGIN")\n',
            "db = self._reader()\n",
        ),
    ),
    broken(
        "F3",
        "a start opens no epoch",
        (_SERVICE, "        self._write(self._open_epochs)\n", ""),
    ),
    broken(
        "F3",
        "every epoch has the same id",
        (
            _SERVICE,
            "epoch_id=os.urandom(tokens.EPOCH_ID_BYTES))\n\n\ndef",
            "epoch_id=bytes(8))\n\n\ndef",
        ),
    ),
    broken(
        "F3",
        "an epoch begins with the last change of the one before",
        (_SQLITE, "(number, epoch_id, head + 1)", "(number, epoch_id, head)"),
    ),
    broken(
        "F3",
        "an epoch ends where the next one begins",
        (_SNAPSHOT, "(SELECT min(first) - 1 FROM epoch", "(SELECT min(first) FROM epoch"),
    ),
    broken(
        "F3",
        "old epochs are forgotten",
        (
            _SQLITE,
            (
                "        number, head = self._feed(feed)\n"
                "        self._db.execute(\n"
                '            "INSERT INTO epoch'
            ),
            (
                "        number, head = self._feed(feed)\n"
                '        self._db.execute("DELETE FROM epoch WHERE feed = ?", (number,))\n'
                '        self._db.execute(\n            "INSERT INTO epoch'
            ),
        ),
    ),
    broken(
        "F4",
        "P does not tell what a purge removed",
        (_SQLITE, "SET purged = max(purged, ?)", "SET purged = max(purged, 0 * ?)"),
    ),
    broken(
        "F4",
        "P falls with a purge that removes nothing",
        (_SQLITE, "SET purged = max(purged, ?)", "SET purged = ?"),
    ),
    broken(
        "F4",
        "a purge removes delete markers of any age",
        (_ROWS, "if row.deleted and row.at < before:", "if row.deleted:"),
    ),
    broken(
        "F4",
        "a purge leaves delete markers",
        (_ROWS, "if row.deleted and row.at < before:", "if row.deleted and row.at < 0:"),
    ),
    broken(
        "F4",
        "a purge leaves left folders",
        (_ROWS, "in row.left.items() if left.at < before}", "in row.left.items() if left.at < 0}"),
    ),
    broken(
        "F4",
        "P does not tell left folders",
        (_ROWS, "return replace(row, left=kept), newest", "return replace(row, left=kept), 0"),
    ),
    broken(
        "F5",
        "what moves out of a view is not removed",
        (
            _VIEWED,
            _LEFT,
            "if effective_seq(row, self.view) == seq and row.deleted:",
        ),
    ),
    broken(
        "F5",
        "what is deleted is not removed from a view of its folder",
        (
            _VIEWED,
            _LEFT,
            "if effective_seq(row, self.view) == seq and not (row.deleted or self._has(row)):",
        ),
    ),
    broken(
        "F5",
        "what left a view is removed at the seq of its row, not at that of leaving",
        (
            _VIEWED,
            (
                "return max((left.seq for place, left in row.left.items()"
                " if view.wants(*place)), default=None)"
            ),
            "return row.seq if any(view.wants(*place) for place in row.left) else None",
        ),
        (
            _VIEWED,
            f"{_LEFT}\n                yield seq, row",
            "if not self._has(row):\n                yield row.seq, row",
        ),
    ),
    broken(
        "F5",
        "of several leavings the oldest counts",
        (_VIEWED, "return max((left.seq for place", "return min((left.seq for place"),
    ),
    broken(
        "F5",
        "all leavings count",
        (_VIEWED, _LEFT, "if not self._has(row):"),
    ),
    broken(
        "F5",
        "a move between two folders of a view is a leaving, too",
        (_VIEWED, _LEFT, "if effective_seq(row, self.view) == seq:"),
    ),
    broken(
        "F5",
        "what was never in a place of the view is removed",
        (_VIEWED, "rows(first, last, places=self._places, newest", "rows(first, last, newest"),
    ),
    broken(
        "F5",
        "what is in a place of the view, but not in view, is passed over",
        (
            _VIEWED,
            "            yield self.effective(seq, row)\n",
            (
                "            change = self.effective(seq, row)\n"
                "            if change.rendering is not None or not self._has(row):\n"
                "                yield change\n"
            ),
        ),
    ),
    broken(
        "F5",
        "an item that enters a view is an edit: c moves with the folder",
        (
            _ROWS,
            "return replace(old, seq=seq, folder=folder,",
            "return replace(old, seq=seq, c=seq, folder=folder,",
        ),
    ),
    broken(
        "F5",
        "a view does not see what moves into a folder into which nothing was ever put",
        (_SQLITE, "if old is None or old.place != row.place:", "if old is None:"),
    ),
    broken(
        "F6",
        "what falls out of the time window stays",
        (
            _REPLICA,
            "            happened = self._drop_ended(after.since)\n",
            "            happened: list[Happened] = []\n",
        ),
    ),
    broken(
        "F6",
        "what falls out is not remembered",
        (
            _REPLICA,
            "happened += self._remove(item.id, item.n, item)",
            "happened += self._remove(item.id, None, item)",
        ),
    ),
    broken(
        "F6",
        "a put that is out of the time window is applied",
        (
            _REPLICA,
            "if not View(since=self._state.since).has_in_window(put.date, put.until):",
            "if put.size < 0:",
        ),
    ),
    broken(
        "F6",
        "the time window stays where it began at the start of the agent",
        (_AGENT, "                self._move_window(now, sync)\n", "                pass\n"),
    ),
    broken(
        "F6",
        "the time window moves back a little",
        (
            _REPLICA,
            "        later = _later(view.since, since)\n",
            "        later = since\n",
        ),
    ),
    broken(
        "F6",
        "a time window that moves back a little is another view",
        (_REPLICA, "SINCE_BACK_S_MAX: Final = 2 * 86_400", "SINCE_BACK_S_MAX: Final = 0"),
    ),
    broken(
        "F6",
        "a time window that begins far earlier is the same view",
        (
            _REPLICA,
            "if _is_set_back(view.since, since, tolerated_s):",
            "if view.since is not None and since is None:",
        ),
    ),
    broken(
        "F6",
        "a time window that ends is the same view",
        (_REPLICA, "(since is None or since < before", "(since is not None and since < before"),
    ),
    broken(
        "F6",
        "a time window that has moved on by the next start is another view",
        (
            _REPLICA,
            (
                'return before.model_copy(update={"since": None})'
                ' == view.model_copy(update={"since": None})'
            ),
            "return before == view",
        ),
    ),
    broken(
        "F6",
        "another view keeps its id",
        (
            _REPLICA,
            "view_id, base = self._make_view_id(), self._state.base",
            "view_id, base = self._state.view_id, self._state.base",
        ),
    ),
    broken(
        "F6",
        "a view that is another at a start is taken for the one before",
        (_REPLICA, "if not _is_continued(state.view, view):", "if state.view_id < 0:"),
    ),
    broken(
        "F6",
        "a time window that moves on leads to a request",
        (
            _SYNC,
            "if self.replica.state.view_id != view_id:",
            "if self.replica.state.view_id >= 0:",
        ),
    ),
)
