"""Breaks of G1 to G5 and G8: the gateway answers a collection, and not too many."""

from typing import Final

from tests.rules.rule import broken

_RESPONDER: Final = "gateway/responder.py"
_RESPONDING: Final = "gateway/responding.py"
_NOTIFYING: Final = "gateway/notifying.py"
_LIMITS: Final = "gateway/device_limits.py"
_LINK: Final = "gateway/mqtt.py"
_INBOX: Final = "gateway/inbox.py"

_NEW_SET_END: Final = "c for n, c in self._fetched if c != n or pending is None or n > pending"

BREAKS: Final = (
    broken(
        "G1",
        "an unknown epoch is trusted",
        (
            _RESPONDER,
            "epoch = snapshot.epoch(collection.epoch)\n",
            "epoch = snapshot.epoch(collection.epoch) or snapshot.newest_epoch()\n",
        ),
        (
            _RESPONDER,
            "if collection.lineage != lineages.of(epoch.id):",
            "if collection.lineage < 0:",
        ),
    ),
    broken(
        "G1",
        "a device that heard more than its epoch had is trusted",
        (
            _RESPONDER,
            "return epoch.end is not None and asof >",
            "return epoch.end is not None and -asof > 2**60 +",
        ),
    ),
    broken(
        "G1",
        "another lineage is trusted",
        (
            _RESPONDER,
            "if collection.lineage != lineages.of(epoch.id):",
            "if collection.lineage < 0:",
        ),
    ),
    broken(
        "G1",
        "a token set that cannot be read counts as empty",
        (_RESPONDER, 'return Void(why="tokens")', "held = TokenSet()"),
    ),
    broken(
        "G1",
        "a set with a hole at or below P is trusted",
        (
            _RESPONDER,
            "unseen and not held.covers(tokens.oldest(base), purged)",
            "unseen and not held.covers(tokens.oldest(base), purged) and purged < -(2**60)",
        ),
    ),
    broken(
        "G1",
        "a hole at P itself is trusted",
        (
            _RESPONDER,
            "held.covers(tokens.oldest(base), purged)",
            "held.covers(tokens.oldest(base), purged - 1)",
        ),
    ),
    broken(
        "G1",
        "a hole at or below P voids though p0 tells that it was filled",
        (_RESPONDER, "(collection.p0 is None or purged > collection.p0)", "purged > -(2**60)"),
    ),
    broken(
        "G3",
        "all changes are sent, held or not",
        (
            _RESPONDER,
            "holes = list(self._held.holes(tokens.oldest(self._base), head))",
            "holes = [(tokens.oldest(self._base), head)]",
        ),
        (
            _RESPONDER,
            "if tokens.compress(change.seq, self._base) not in self._held:",
            "if change.seq > 0:",
        ),
    ),
    broken(
        "G3",
        "changes that are held are sent if they lie near a hole",
        (
            _RESPONDER,
            "if tokens.compress(change.seq, self._base) not in self._held:",
            "if change.seq > 0:",
        ),
    ),
    broken(
        "G3",
        "the oldest change comes first",
        (_RESPONDER, "for first, last in reversed(holes):", "for first, last in holes:"),
        (
            _RESPONDER,
            "if span is not None and span[0] - last < _HOLES_APART_MIN:",
            "if span is not None and first < span[0]:",
        ),
        (
            _RESPONDER,
            "                newest_first=True,\n            ):\n                if",
            "            ):\n                if",
        ),
    ),
    broken(
        "G3",
        "changes are sent beyond the byte limit",
        (
            _RESPONDER,
            "if content_bytes > room or cost > self._bytes_left:",
            "if content_bytes < 0:",
        ),
    ),
    broken(
        "G3",
        "not even one change is sent if it is large",
        (
            _RESPONDER,
            "            if self._added:\n                return False\n            content_bytes",
            (
                "            if self._added or cost:\n"
                "                return False\n"
                "            content_bytes"
            ),
        ),
    ),
    broken(
        "G3",
        "content is sent though c is presented",
        (
            _RESPONDER,
            "return c in self._held or self._wanted",
            "return self._wanted",
        ),
    ),
    broken(
        "G3",
        "content is not sent though c is not presented",
        (
            _RESPONDER,
            "if rendering is not None and not self._is_presented(row.id, rendering):",
            "if rendering is not None and row.seq < 0:",
        ),
    ),
    broken(
        "G3",
        "content that is wanted comes with its change, too",
        (
            _RESPONDER,
            "return c in self._held or self._wanted.get(item_id) == rendering.wire_digest",
            "return c in self._held",
        ),
    ),
    broken(
        "G3",
        "the new set claims what is pending",
        (
            _RESPONDER,
            "if pending is None else pending + 1",
            "if pending is None else tokens.oldest(self._base)",
        ),
    ),
    broken(
        "G3",
        "the new set claims the newest change that is pending",
        (_RESPONDER, "if pending is None else pending + 1", "if pending is None else pending"),
    ),
    broken(
        "G3",
        "the new set lacks what was presented",
        (
            _RESPONDER,
            "new = self._held.add(first, head)",
            "new = TokenSet.span(first, head)",
        ),
    ),
    broken(
        "G3",
        "the new set claims nothing more than what was presented",
        (
            _RESPONDER,
            "new = self._held.add(first, head)",
            "new = self._held if pending is not None else TokenSet.span(first, head)",
        ),
    ),
    broken(
        "G3",
        "the new set lacks the c of what was sent",
        (
            _RESPONDER,
            "return new | TokenSet.of(added.c for added in self._added if added.c is not None)",
            "return new",
        ),
    ),
    broken(
        "G3",
        "the new set lacks the c of what is wanted",
        (_RESPONDER, _NEW_SET_END, "c for n, c in self._fetched if n < c"),
    ),
    broken(
        "G3",
        "the new set claims the n of a pending change whose content is wanted",
        (_RESPONDER, _NEW_SET_END, "c for n, c in self._fetched"),
    ),
    broken(
        "G3",
        "whether a content is presented is told by what was put, not by what the view shows",
        (
            _RESPONDER,
            "self._is_presented(row.id, rendering)",
            "self._is_presented(row.id, row.native)",
        ),
    ),
    broken(
        "G3",
        "the new set has the c of what was put, not of what the view shows",
        (
            _RESPONDER,
            "            c = tokens.compress(rendering.c, self._base)\n            cost",
            "            c = tokens.compress(row.c, self._base)\n            cost",
        ),
    ),
    broken(
        "G4",
        "bytes of another content are sent",
        (
            _RESPONDER,
            "if found.rendering.wire_digest != wanted.digest:",
            "if found.seq < 0:",
        ),
    ),
    broken(
        "G4",
        "bytes are sent from the first one on",
        (
            _RESPONDER,
            "content = self._feed.content(found, offset=wanted.offset, bytes_max=room)",
            "content = self._feed.content(found, offset=0, bytes_max=room)",
        ),
    ),
    broken(
        "G4",
        "bytes are sent beyond the byte limit",
        (
            _RESPONDER,
            "offset=wanted.offset, bytes_max=room)",
            "offset=wanted.offset, bytes_max=found.rendering.size)",
        ),
    ),
    broken(
        "G4",
        "a wanted content of a quarantined item is passed over without a word",
        (_RESPONDER, "                    self._withheld.append(wanted.id)\n", ""),
    ),
    broken(
        "G4",
        "what is withheld takes no room of the answer",
        (_RESPONDER, "                    self._bytes_left -= cost\n", ""),
    ),
    broken(
        "G4",
        "what is withheld is named though there is no room for it",
        (_RESPONDER, "if cost <= self._bytes_left:", "if cost:"),
    ),
    broken(
        "G4",
        "whether a content is current is told by what was put, not by what the view shows",
        (
            _RESPONDER,
            "if found.rendering.wire_digest != wanted.digest:",
            "if found.row.wire_digest != wanted.digest:",
        ),
    ),
    broken(
        "G4",
        "a wanted content of an item that is not in view is given out",
        (
            _RESPONDER,
            "found = self._feed.find(wanted.id)",
            (
                "seen = View(shown_as=self._feed.view.shown_as)\n"
                "            found = ViewedFeed(self._snapshot, seen).find(wanted.id)"
            ),
        ),
    ),
    broken(
        "G4",
        "of what is wanted from byte 0 on more comes than would come with its change",
        (_RESPONDER, "if wanted.offset or not portion:", "if wanted.offset >= 0:"),
    ),
    broken(
        "G4",
        "nothing comes of what is wanted in a view without portions",
        (_RESPONDER, "if wanted.offset or not portion:", "if wanted.offset:"),
    ),
    broken(
        "G4",
        "what is wanted from byte 0 on goes beyond the byte limit",
        (_RESPONDER, "bytes_max=min(room, portion))", "bytes_max=portion)"),
    ),
    broken(
        "G5",
        "p0 becomes P though changes are pending",
        (_RESPONDER, "if pending is None:  # its holes", "if pending or True:  # its holes"),
    ),
    broken(
        "G5",
        "p0 stays though nothing is pending",
        (_RESPONDER, "if pending is None:  # its holes", "if pending and False:  # its holes"),
    ),
    broken("G5", "more is never said", (_RESPONDER, "more=pending is not None", "more=False")),
    broken(
        "G5",
        "an answer stays in the epoch that was presented",
        (
            _RESPONDER,
            "epoch = self._snapshot.newest_epoch().id\n        new",
            "epoch = self._collection.epoch\n        new",
        ),
    ),
    broken(
        "G5",
        "head is that of the changes sent",
        (
            _RESPONDER,
            "head=tokens.compress(self._snapshot.head, self._base)",
            "head=max((it.change.n for it in self._added), default=0)",
        ),
    ),
    broken(
        "G8",
        "a device may ask as often as it likes",
        (_LIMITS, "if self._requests.take(1, now):", "if self._requests.take(0, now):"),
    ),
    broken(
        "G8",
        "a device is sent as much as it likes",
        (_LIMITS, "self._bytes.owes(now) or self._work_s", "self._work_s"),
    ),
    broken(
        "G8",
        "a device has worked for it as much as it likes",
        (_LIMITS, "self._bytes.owes(now) or self._work_s.owes(now)", "self._bytes.owes(now)"),
    ),
    broken(
        "G8",
        "each of many requests is refused",
        (_LIMITS, "return self._refusals.take(1, now)", "return True"),
    ),
    broken(
        "G8",
        "who asks too much is not told when to ask again",
        (_RESPONDING, "_TOO_MUCH, retry_after_s=soon)", "_TOO_MUCH)"),
    ),
    broken(
        "G8",
        "a request that is too many is read before it is refused",
        (
            _RESPONDING,
            "                soon = self._limiting.retry_after_s(device)\n",
            (
                "                messages.decode_request(payload)\n"
                "                soon = self._limiting.retry_after_s(device)\n"
            ),
        ),
    ),
    broken(
        "G8",
        "who has been sent too much is pushed to",
        (
            _NOTIFYING,
            "if self._limiting.may_be_pushed(push.device, len(push.payload)):",
            "if self._limiting.may_be_pushed(push.device, len(push.payload)) or True:",
        ),
    ),
    broken(
        "G8",
        "all that one device asks is answered before the next device",
        (
            _INBOX,
            "            self._requests[device] = waiting  # behind the others\n",
            (
                "            self._requests[device] = waiting\n"
                "            self._requests.move_to_end(device, last=False)\n"
            ),
        ),
    ),
    broken(
        "G8",
        "a request that the broker had kept is answered",
        (_RESPONDING, "if retained:  # it would", "if retained and False:  # it would"),
    ),
    broken(
        "G8",
        "it is not told what the broker had kept",
        (_LINK, "bytes(message.payload), message.retain)", "bytes(message.payload), False)"),
    ),
)
