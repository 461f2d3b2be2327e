"""Breaks of V1 to V5: what views show, and how."""

from typing import Final

from tests.rules.rule import broken

_ROWS: Final = "gateway/rows.py"
_VIEWS: Final = "sync_protocol/views.py"
_VIEWED: Final = "gateway/viewed.py"
_DEVICE: Final = "gateway/device.py"
_RENDERING: Final = "gateway/rendering.py"
_RESPONDING: Final = "gateway/responding.py"
_RESPONDER: Final = "gateway/responder.py"
_INVENTORY: Final = "gateway/inventory.py"
_NOTIFIER: Final = "gateway/notifier.py"
_OCCURRENCES: Final = "gateway/representations/occurrences.py"
_REPLICA: Final = "device_agent/replica.py"
_SQLITE: Final = "device_agent/store_sqlite.py"
_FEED: Final = "gateway/feed.py"
_NOTIFYING: Final = "gateway/notifying.py"
_REGISTRY: Final = "gateway/registry.py"

BREAKS: Final = (
    broken(
        "V1",
        "a view of a folder has what is in folders below it",
        (
            _VIEWS,
            "folder in self.folders",
            'any(f"{folder}/".startswith(f"{it}/") for it in self.folders)',
        ),
    ),
    broken(
        "V1",
        "a kind or a folder that a view names is enough",
        (_VIEWS, "kind in self.kinds) and (", "kind in self.kinds) or ("),
    ),
    broken(
        "V1",
        "what a view does not name it does not want",
        (_VIEWS, "self.folders is None or folder", "self.folders is not None and folder"),
    ),
    broken(
        "V2",
        "until is ignored",
        (_VIEWS, "ends = until if until is not None else date", "ends = date"),
    ),
    broken(
        "V2",
        "an item that ends when the window begins is out of it",
        (_VIEWS, "or ends >= self.since", "or ends > self.since"),
    ),
    broken(
        "V2",
        "an item without a date is out of every window",
        (_VIEWS, "or ends is None or ends >=", "or ends is not None and ends >="),
    ),
    broken(
        "V2",
        "until of an event is that of its first occurrence",
        (_OCCURRENCES, "end = max(ends, default=None)", "end = min(ends, default=None)"),
    ),
    broken(
        "V2",
        "until of an event does not count exceptions",
        (
            _OCCURRENCES,
            "added = counted = 0\n    for component in components:\n",
            "added = counted = 0\n    for component in components[:1]:\n",
        ),
    ),
    broken(
        "V2",
        "an open task ends when it is due",
        (_OCCURRENCES, "if not is_done:", "if is_done is None:"),
    ),
    broken(
        "V2",
        "the gateway takes no until from a content",
        (_RENDERING, "if until is None and put.media_type == _DATED:", "if put.kind == '':"),
    ),
    broken(
        "V2",
        "a device has items fall out of the window by their date",
        (_SQLITE, "coalesce(until, date) < ?", "date < ?"),
    ),
    broken(
        "V2",
        "a device has an item fall out that ends when the window begins",
        (_SQLITE, "coalesce(until, date) < ?", "coalesce(until, date) <= ?"),
    ),
    broken(
        "V3",
        "the size of what was put counts, not of what the view shows",
        (_VIEWED, "not self._is_small(rendering.size)", "not self._is_small(row.size)"),
    ),
    broken(
        "V3",
        "what has just item_bytes_max bytes is not in the view",
        (_VIEWED, "return most is None or size <= most", "return most is None or size < most"),
    ),
    broken(
        "V3",
        "what is larger than item_bytes_max is in the view",
        (_VIEWED, "return most is None or size <= most", "return most is None or size >= 0"),
    ),
    broken(
        "V4",
        "all kinds come in the representation of one",
        (
            _VIEWS,
            "(it.representation for it in self.shown_as if it.kind == kind)",
            "(it.representation for it in self.shown_as)",
        ),
    ),
    broken(
        "V4",
        "what cannot be rendered comes as it was put",
        (
            _VIEWED,
            "        if rendering.problem is not None or not self._is_small(rendering.size):\n",
            (
                "        if rendering.problem is not None:\n"
                "            rendering = row.native\n"
                "        if not self._is_small(rendering.size):\n"
            ),
        ),
        (
            _VIEWED,
            "        name = self.view.representation(change.row.kind)\n        return content(",
            (
                "        name = self.view.representation(change.row.kind)\n"
                "        if change.rendering == change.row.native:\n"
                "            name = NATIVE\n"
                "        return content("
            ),
        ),
    ),
    broken(
        "V4",
        "a feed is shown before all of it is rendered",
        (_VIEWED, " and representation.is_complete and kind", " and kind"),
    ),
    broken(
        "V4",
        "a kind that is not rendered is shown",
        (
            _VIEWED,
            "representation.is_complete and kind in representation.kinds",
            "representation.is_complete",
        ),
    ),
    broken(
        "V4",
        "contents come as they were put where the gateway does not have the representation",
        (_RESPONDING, "        self._rendering.check(request.view)\n", ""),
        (
            _RESPONDING,
            "view = enrolled.allowed.bound(request.view, now=int(self._unix_time()))\n",
            (
                "view = enrolled.allowed.bound(request.view, now=int(self._unix_time()))\n"
                "        known = self._rendering._representations\n"
                "        shown = [it for it in view.shown_as if it.representation in known]\n"
                '        view = view.model_copy(update={"shown_as": tuple(shown)})\n'
            ),
        ),
    ),
    broken(
        "V4",
        "a view with a representation that the gateway does not have is refused as busy",
        (_RESPONDING, "        self._rendering.check(request.view)\n", ""),
    ),
    broken(
        "V4",
        "a view with a representation that is for other kinds is not refused",
        (_RENDERING, "if each.kind not in representation.renderers:", "if not each.kind:"),
    ),
    broken(
        "V4",
        "a view with a representation that the gateway does not have is refused as invalid",
        (
            _RENDERING,
            '"view",\n                    f"no representation',
            '"invalid",\n                    f"no representation',
        ),
    ),
    broken(
        "V4",
        "a view that names native is refused",
        (_RENDERING, "if each.representation == NATIVE:", 'if each.representation == "":'),
    ),
    broken(
        "V4",
        "nothing has the feed rendered as a view wants it",
        (_RESPONDING, "            self._rendering.want(feed, error.representations)\n", ""),
    ),
    broken(
        "V4",
        "a request that waits until the feed is rendered is refused with another reason",
        (_RESPONDING, '_BUSY: Final = ProtocolError("busy"', '_BUSY: Final = ProtocolError("view"'),
    ),
    broken(
        "V4",
        "a request that waits until the feed is rendered is not told when to ask again",
        (_RESPONDING, "_BUSY, retry_after_s=self._rendered_in_s(feed))", "_BUSY)"),
    ),
    broken(
        "V4",
        "while one view waits until the feed is rendered, nothing is pushed to others",
        (_NOTIFIER, "continue  # a sync will find", "return  # a sync will find"),
    ),
    broken(
        "V4",
        "a newer renderer does not render what an older one has rendered",
        (
            _RENDERING,
            "elif not each.is_complete or wanted != replace(each, is_complete=False):",
            "elif not each.is_complete:",
        ),
        (
            _RENDERING,
            "if begun is None or replace(begun, is_complete=False) != wanted:",
            "if begun is None:",
        ),
    ),
    broken(
        "V4",
        "a new content of an item is shown as the one before was rendered",
        (
            _ROWS,
            "return not is_same_content(old, new) or",
            "return old is None or old.deleted or",
        ),
    ),
    broken(
        "V4",
        "a push says digest and size of what was put, not of what the view shows",
        (
            _NOTIFIER,
            "viewed.put_of(change.row, change.rendering, content)",
            "viewed.put_of(change.row, change.row.native, content)",
        ),
    ),
    broken(
        "V4",
        "an answer says digest and size of what was put, not of what the view shows",
        (
            _RESPONDER,
            "viewed.put_of(row, rendering, content)",
            "viewed.put_of(row, row.native, content)",
        ),
    ),
    broken(
        "V5",
        "the operator's bound of kinds is ignored",
        (_DEVICE, "_both(view.kinds, self.kinds)", "view.kinds"),
    ),
    broken(
        "V5",
        "the operator's bound of folders is ignored",
        (_DEVICE, "_both(view.folders, self.folders)", "view.folders"),
    ),
    broken(
        "V5",
        "the operator's bound of days is ignored",
        (_DEVICE, "for it in (view.since, since) if", "for it in (view.since,) if"),
    ),
    broken(
        "V5",
        "the operator's bound of sizes is ignored",
        (
            _DEVICE,
            "for it in (view.item_bytes_max, self.item_bytes_max) if",
            "for it in (view.item_bytes_max,) if",
        ),
    ),
    broken(
        "V5",
        "the earlier beginning counts, of that asked for and that allowed",
        (_DEVICE, "max(sinces, default=None)", "min(sinces, default=None)"),
    ),
    broken(
        "V5",
        "the larger size counts, of that asked for and that allowed",
        (_DEVICE, "min(sizes, default=None)", "max(sizes, default=None)"),
    ),
    broken(
        "V5",
        "a view is all that is allowed, whatever it asks for",
        (_DEVICE, "set(asked) & set(allowed)", "set(allowed)"),
    ),
    broken(
        "V5",
        "a view that asks for nothing that is allowed is of everything",
        (
            _DEVICE,
            "return tuple(sorted(set(asked) & set(allowed)))",
            "return tuple(sorted(set(asked) & set(allowed))) or None",
        ),
    ),
    broken(
        "V5",
        "what is pushed is what was asked for, allowed or not",
        (
            _RESPONDER,
            "self._form, epoch, new, view)",
            "self._form, epoch, new, self._request.view)",
        ),
    ),
    broken(
        "V5",
        "since is not told",
        (_VIEWED, "return given.since if given.since != asked.since else None", "return None"),
    ),
    broken(
        "V5",
        "since is told though it is the one asked for",
        (
            _VIEWED,
            "return given.since if given.since != asked.since else None",
            "return given.since",
        ),
    ),
    broken(
        "V5",
        "the answer to an inventory does not tell since",
        (
            _INVENTORY,
            "            since=viewed.narrowed_since(request.view, self._feed.view),\n",
            "",
        ),
    ),
    broken(
        "V5",
        "the answer to a collection does not tell since",
        (
            _RESPONDER,
            "            since=viewed.narrowed_since(self._request.view, self._feed.view),\n",
            "",
        ),
    ),
    broken(
        "V5",
        "a device does not drop what is before the since of an answer",
        (
            _REPLICA,
            "delta.head)\n            happened += self._drop_ended(after.since)\n",
            "delta.head)\n",
        ),
    ),
    broken(
        "V5",
        "a device does not drop what is before the since of an inventory's answer",
        (
            _REPLICA,
            "item_id, None))\n            happened += self._drop_ended(after.since)\n",
            "item_id, None))\n",
        ),
    ),
    broken(
        "V5",
        "a device forgets since after the answer",
        (_REPLICA, "            narrowed=_later(state.narrowed, delta.since),\n", ""),
    ),
    broken(
        "V5",
        "a much earlier since is passed over",
        (
            _REPLICA,
            "if told is not None and _is_set_back(",
            "if told is not None and told.since is None and _is_set_back(",
        ),
    ),
    broken(
        "V5",
        "an answer without a since, after one with it, changes nothing",
        (
            _REPLICA,
            "if told is not None and _is_set_back(",
            "if told is not None and told.since is not None and _is_set_back(",
        ),
    ),
    broken(
        "V5",
        "a device keeps since of an answer when its view is another",
        (
            _REPLICA,
            "ReplicaState(view_id=view_id, base=base, view=view, window=window)",
            (
                "ReplicaState(view_id=view_id, base=base, view=view, window=window,"
                " narrowed=self._state.narrowed)"
            ),
        ),
    ),
    broken(
        "V5",
        "what the operator has just forbidden is pushed until the device asks",
        (
            _REGISTRY,
            "            self._records.pop(device, None)\n            self._awaited.add(device)",
            "            self._awaited.add(device)",
        ),
    ),
    broken(
        "V5",
        "what is being pushed goes on to a device that may see less",
        (_NOTIFYING, "if push.device in self._let_be:", "if not push.device:"),
    ),
    broken(
        "V5",
        "an answer to what a device might see before leaves",
        (
            _RESPONDING,
            "if not self._registry.is_of(device, enrolled.generation):",
            "if not device:",
        ),
    ),
    broken(
        "V5",
        "what the ledger knew before is known again",
        (_REGISTRY, "if self._is_current(device, it.generation)", "if it.generation"),
    ),
)
