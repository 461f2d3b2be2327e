"""The gateway: the real rules over stores in memory, and what an operator may do to it."""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from device_agent.store import Inventory
from gateway.device import Allowed
from gateway.feed import FeedRepresentation
from gateway.feed_memory import MemoryFeedStore
from gateway.ledger import MemoryLedger, Record
from gateway.notifier import Notice, Target, notices, pushes, reminder
from gateway.registry import Registry
from gateway.responder import AnswerLimits, Response, respond
from gateway.rows import Made, Mutation
from gateway.rows import Put as PutMutation
from sync_protocol import inventory, limits, messages, tokens, wire
from sync_protocol.messages import Answer, Compared, Notification, Request
from sync_protocol.views import View
from tests.simulation.chronicle import Broken, Chronicle, Past, Shown, Version
from tests.simulation.device_side import SimDevice, SimReplica
from tests.simulation.edits import CONTENT_BYTES_MAX, ITEMS_MAX, Edits
from tests.simulation.link import Ask, Hail, Link, Push, Reply
from tests.simulation.rendering import HALF, render, rendered_bytes
from tests.simulation.views import draw_allowed, kinds

BOUNDS: Final = AnswerLimits(portion_bytes=8, inline_bytes_max=2_000)
PUSHED_CONTENT_BYTES_MAX: Final = 100
BACKUPS_MAX: Final = 4
_START: Final = 1_000_000
# The same few ids, time and again.
_hashed: Final = functools.cache(lambda item_id: inventory.id_hash(item_id).hex())


class CopiedFeeds(MemoryFeedStore):
    """Feeds that can be backed up."""

    def copy(self) -> "CopiedFeeds":
        copied = CopiedFeeds()
        copied._feeds = {name: feed.copy() for name, feed in self._feeds.items()}
        return copied


@dataclass(frozen=True, slots=True)
class Backup:
    """The gateway's file at some moment: feeds, and who is enrolled."""

    feeds: CopiedFeeds
    pasts: Mapping[str, Past]
    generations: Mapping[str, bytes]
    allowed: Mapping[str, Allowed]


class SimGateway:
    """A gateway with all its feeds.

    Attributes:
        now: Unix seconds.
        restores: how often a backup was restored.
    """

    def __init__(
        self,
        random: Random,
        *,
        link: Link,
        devices: Sequence[SimDevice],
        feeds: Sequence[str],
        encoded: bool,
        slow: bool,
        counts: Counter[str],
    ) -> None:
        self.random = random
        self.counts = counts
        self.link = link
        self.devices = {device.name: device for device in devices}
        self.encoded = encoded
        self.now = _START
        self.restores = 0
        self.feeds = CopiedFeeds()
        self.edits = {feed: Edits(random, slow=slow) for feed in feeds}
        self.chronicles = {feed: Chronicle(feed) for feed in feeds}
        self.replicas = {
            (device.name, replica.feed): replica
            for device in devices
            for replica in device.replicas
        }
        for feed in feeds:
            self.feeds.add_feed(feed, epoch_id=random.randbytes(8), now=self.now)
        self.generations = {name: random.randbytes(8) for name in self.devices}
        self.allowed = dict.fromkeys(self.devices, Allowed())
        self.renderer_version = 1
        self.ledger = MemoryLedger()
        self.registry = Registry()
        self.cursors: dict[str, int] = {}
        self.backups: list[Backup] = []
        self._begin()
        self.back_up()

    # Changes

    def edit(self, feed: str, item_id: str | None = None) -> bool:
        """One change that chance draws; False if it changed nothing."""
        return self.apply(feed, self.edits[feed].draw(self.chronicles[feed], item_id))

    def apply(self, feed: str, mutation: Mutation) -> bool:
        """One change; False if it changed nothing."""
        row = self.feeds.apply(feed, self._prepared(mutation), now=self.now)
        if row is None:
            return False
        content = mutation.content if isinstance(mutation, PutMutation) else None
        self.chronicles[feed].write(row, content, self._rendered_bytes)
        return True

    def _prepared(self, mutation: Mutation) -> Mutation:
        if not isinstance(mutation, PutMutation):
            return mutation
        return replace(mutation, renderings=self._rendered(mutation.content))

    def _rendered(self, content: bytes) -> Mapping[str, Made]:
        return {HALF: render(content, version=self.renderer_version)}

    def _rendered_bytes(self, version: Version) -> bytes | None:
        is_rendered = version.facts is not None and not version.facts.kind.endswith("-x")
        return (
            rendered_bytes(version.content, version=self.renderer_version) if is_rendered else None
        )

    def _render_anew(self) -> None:
        """Have all feeds rendered by the renderer there is, if they are not."""
        for feed, chronicle in self.chronicles.items():
            wanted = FeedRepresentation(HALF, self.renderer_version, frozenset(kinds(feed)[:1]))
            with self.feeds.snapshot(feed) as snapshot:
                begun = snapshot.representations().get(HALF)
            if begun == replace(wanted, is_complete=True):
                continue
            self.feeds.begin_rendering(feed, wanted)
            with self.feeds.snapshot(feed) as snapshot:
                rows = snapshot.unrendered(HALF, limit=10 * ITEMS_MAX)
            for row in rows:
                content = chronicle.newest[row.id].content
                self.feeds.set_rendering(feed, row, HALF, self._rendered(content)[HALF])
            if not self.feeds.end_rendering(feed, HALF):
                raise Broken(f"{feed} is not rendered")
            chronicle.render_anew(self._rendered_bytes)

    def undone_edits(self, feed: str) -> None:
        """Changes in a transaction that fails."""
        with contextlib.suppress(ZeroDivisionError), self.feeds.transaction() as transaction:
            mutation: Mutation = self.edits[feed].draw(self.chronicles[feed])
            transaction.apply(feed, self._prepared(mutation), now=self.now)
            raise ZeroDivisionError

    def purge(self, feed: str, *, retention_s: int) -> None:
        """Forget old delete markers."""
        if self.feeds.purge(feed, before=self.now - retention_s):
            self.chronicles[feed].is_purged = True

    # Pushes

    def is_behind(self, feed: str) -> bool:
        """Whether something was committed and not notified."""
        return self.cursors[feed] < self.chronicles[feed].head

    def notify(self, feed: str) -> None:
        """Push what was committed (P1)."""
        for name in self.registry.awaited():
            self._remind_all(self.devices[name])
        if targets := self.registry.targets(feed):
            views = {target.device: target.view for target in targets}
            for device, seq, push in self._notifications(feed, targets):
                self._push(self.replicas[device, feed], seq, push, views[device])
        self._notified(feed)

    def _push(self, replica: SimReplica, seq: int, push: Notification | bytes, view: View) -> None:
        chronicle = self.chronicles[replica.feed]
        version = chronicle.at(seq)
        shown = Shown(version, version.seen(view))
        read = (
            wire.decode(Notification, push, bytes_max=limits.NOTIFICATION_BYTES_MAX)
            if isinstance(push, bytes)
            else push
        )
        notified = chronicle.notified
        was_in_view = chronicle.was_in_place(version.item_id, view, number=notified)
        replica.witness.pushing(read, shown, notified=notified, was_in_view=was_in_view)
        after = None if chronicle.is_purged else chronicle.seq_before(seq, view)
        self.link.send(Push(replica, push, shown, after, self.restores))

    def _notifications(
        self, feed: str, targets: Sequence[Target]
    ) -> Iterator[tuple[str, int, Notification | bytes]]:
        with self.feeds.snapshot(feed) as snapshot:
            if self.encoded:
                for push in pushes(
                    snapshot,
                    cursor=self.cursors[feed],
                    targets=targets,
                    notification_content_bytes_max=PUSHED_CONTENT_BYTES_MAX,
                ):
                    yield push.device, push.seq, push.payload
                return
            for notice in notices(
                snapshot,
                cursor=self.cursors[feed],
                targets=targets,
                notification_content_bytes_max=PUSHED_CONTENT_BYTES_MAX,
            ):
                yield notice.target.device, notice.seq, _notification(notice)

    def _notified(self, feed: str) -> None:
        self.cursors[feed] = self.chronicles[feed].head
        self.chronicles[feed].notified = self.chronicles[feed].last_number

    # Requests

    def serve(self, ask: Ask, *, crash: bool = False) -> None:
        """Answer; `crash`: die before anything of it is remembered."""
        replica = ask.replica
        device = replica.device
        generation = self.generations[device.name]
        request = (
            messages.decode_request(ask.message) if isinstance(ask.message, bytes) else ask.message
        )
        view = self.allowed[device.name].bound(request.view, now=self.now)
        with self.feeds.snapshot(replica.feed) as snapshot:
            response = respond(
                request,
                snapshot,
                view=view,
                generation=generation,
                form=device.form,
                bounds=BOUNDS,
            )
        self._count(response.answer)
        self.link.send(self._reply(ask, request, response, view))
        if crash:
            self.restart()
        elif response.replica is not None:
            known = response.replica
            record = Record(
                generation=generation,
                base=known.base,
                view_id=known.view_id,
                form=known.form,
                epoch=known.epoch,
                held=known.held,
                synced_at=self.now,
                view=known.view,
            )
            self._recall(device)
            self.registry.synced(device.name, replica.feed, record)

    def _count(self, answer: Answer) -> None:
        self.counts["answers sent"] += 1
        if answer.delta is not None:
            self.counts["changes sent"] += len(answer.delta.changes)
            self.counts["remainders sent"] += len(answer.delta.remainders)
        if answer.void is not None:
            self.counts[f"void: {answer.void.why}"] += 1
        if answer.inventory is not None:
            self.counts["inventory ranges split"] += len(answer.inventory.split)

    def _reply(self, ask: Ask, request: Request, response: Response, view: View) -> Reply:
        """An answer as it leaves, with what is to be known of it when it comes."""
        replica, answer = ask.replica, response.answer
        chronicle = self.chronicles[replica.feed]
        versions = [chronicle.at(seq) for _, seq in response.sent]
        compared: list[Version] = []
        if (found := answer.inventory) is not None:
            versions = [chronicle.newest[put.id] for put in found.puts]
            compared = self._compared(ask, request, found)
        shown = [Shown(version, version.seen(view)) for version in versions]
        generation = self.generations[replica.device.name]
        replica.witness.answering(ask.asked, answer, shown, generation, self.counts)
        message: Answer | bytes = answer
        if self.encoded:
            message = wire.encode(answer, replica.device.form)
            if len(message) > ask.asked.answer_bytes_max:
                raise Broken(f"an answer of {len(message)} B for {replica.witness.name}")
        return Reply(
            replica,
            message,
            shown,
            [Shown(version, version.seen(view)) for version in compared],
            in_view=chronicle.in_view(view),
            held_back=chronicle.held_back(view),
            generation=generation,
            restores=self.restores,
        )

    def _compared(self, ask: Ask, request: Request, found: Compared) -> list[Version]:
        """What the answer to an inventory is about, as it was when the first answer fixed H."""
        known = ask.replica.sync.replica.state.known
        begun = known.begun if isinstance(known, Inventory) else None
        upto = tokens.expand(found.head if begun is None else begun.upto, found.base)
        asked = tuple(it.prefix for it in request.inventory[: found.answered])
        return [
            version
            for version in self.chronicles[ask.replica.feed].newest.values()
            if version.seq <= upto
            and (hashed := _hashed(version.item_id)).startswith(asked)
            and not hashed.startswith(found.split)
        ]

    # Who is there

    def _recall(self, device: SimDevice) -> None:
        name = device.name
        if not self.registry.is_known(name):
            self.registry.recall(name, self.ledger.load(name, self.generations[name]))

    def came_online(self, device: SimDevice) -> None:
        """A device says that it is there."""
        self._recall(device)
        self.registry.came_online(device.name, float(self.now))

    def went_offline(self, device: SimDevice) -> None:
        """A device says, or its will does, that it is gone."""
        self.registry.went_offline(device.name)

    def write_ledger(self) -> None:
        """Write what requests told since."""
        for name, records in self.registry.take_unsaved().items():
            self.ledger.save(name, self.generations[name], records)

    def check_feed(self, feed: str) -> None:
        """The feed is what was done to it."""
        with self.feeds.snapshot(feed) as snapshot:
            rows = {row.id: row for row in snapshot.items(after=None, limit=10 * ITEMS_MAX)}
            live = {
                version.item_id: version
                for version in self.chronicles[feed].newest.values()
                if version.facts is not None
            }
            if rows.keys() != live.keys() or snapshot.head != self.chronicles[feed].head:
                raise Broken(f"{feed} lost {sorted(rows.keys() ^ live.keys())}")
            for item_id, row in rows.items():
                content = snapshot.content(item_id, offset=0, bytes_max=CONTENT_BYTES_MAX)
                if content != live[item_id].content or row.seq != live[item_id].seq:
                    raise Broken(f"{feed} has another {item_id} than was put")

    # What an operator does, and what goes wrong

    def _begin(self) -> None:
        self._render_anew()
        for feed in self.chronicles:
            self._notified(feed)

    def restart(self) -> None:
        """Stop without warning, and begin anew with what is stored."""
        for feed in self.chronicles:
            self.feeds.open_epoch(feed, epoch_id=self.random.randbytes(8))
        self._begin()
        self.registry = Registry()
        self.link.drop_requests(share=self.random.choice((0.0, 0.5, 1.0)))
        for device in self.devices.values():
            if device.connected:
                self.came_online(device)
                self.link.send(Hail(device))

    def upgrade(self) -> None:
        """Stop, and begin anew with another version of the renderer."""
        self.renderer_version += 1
        self.restart()

    def begin_anew(self) -> None:
        """Everything is lost, and the feeds are made again, empty."""
        self.restores += 1
        self.feeds = CopiedFeeds()
        for feed, chronicle in self.chronicles.items():
            self.feeds.add_feed(feed, epoch_id=self.random.randbytes(8), now=self.now)
            chronicle.restore(Chronicle(feed).past(), restores=self.restores)
        self._begin()

    def resync(self, device: SimDevice) -> None:
        """Have a device compare all it holds: its tokens end."""
        name = device.name
        self.generations[name] = self.random.randbytes(8)
        self.registry.regenerate(name, self.generations[name])
        self._remind_all(device)

    def limit(self, device: SimDevice) -> None:
        """Let a device see more, or less."""
        name = device.name
        self.allowed[name] = draw_allowed(self.random)
        generation = self.generations[name] = self.random.randbytes(8)
        self.registry.let_be(name, generation)
        self.ledger.forget(name)
        self._remind_all(device)

    def _remind_all(self, device: SimDevice) -> None:
        if self.registry.is_online(device.name):
            for replica in device.replicas:
                lineage = self.random.getrandbits(32)
                push = reminder(device.name, device.form, lineage=lineage)
                nothing = Version(0, 0, push.item_id, None, b"", 0)
                self.link.send(
                    Push(replica, push.payload, Shown(nothing, None), None, self.restores)
                )

    def enrol_again(self, device: SimDevice) -> None:
        """Remove a device, and enrol one of the same id."""
        self.generations[device.name] = self.random.randbytes(8)
        self.ledger.forget(device.name)
        self.registry.forget(device.name)
        if device.connected:
            self.came_online(device)

    def quarantine(self, feed: str) -> bool:
        """Hold an item back."""
        chronicle = self.chronicles[feed]
        live = chronicle.live()
        if not live:
            return False
        newest = max(live, key=lambda it: it.seq)
        version = self.random.choice((newest, live[self.random.randrange(len(live))]))
        self.feeds.quarantine(feed, version.item_id, seq=version.seq, why="tried")
        chronicle.quarantine(version.item_id)
        return True

    def end_quarantine(self, feed: str) -> bool:
        """Let all go that is held back."""
        chronicle = self.chronicles[feed]
        held_back = sorted(chronicle.quarantined)
        for item_id in held_back:
            renderings = self._rendered(chronicle.newest[item_id].content)
            row = self.feeds.retry(
                feed,
                item_id,
                seq=chronicle.newest[item_id].seq,
                now=self.now,
                renderings=renderings,
            )
            chronicle.write(row, None, self._rendered_bytes)
        return bool(held_back)

    def lose_ledger(self) -> None:
        """All that was known of replicas is gone."""
        self.ledger = MemoryLedger()

    def back_up(self) -> None:
        """Keep the gateway's file as it is now."""
        pasts = {feed: chronicle.past() for feed, chronicle in self.chronicles.items()}
        backup = Backup(self.feeds.copy(), pasts, dict(self.generations), dict(self.allowed))
        self.backups.append(backup)
        if len(self.backups) > BACKUPS_MAX:
            del self.backups[self.random.randrange(BACKUPS_MAX)]

    def restore(self, *, newest: bool = False) -> None:
        """Set all feeds back to a backup: what was changed since is lost to them."""
        backup = self.backups[-1] if newest else self.random.choice(self.backups)
        self.restores += 1
        self.feeds = backup.feeds.copy()
        self.generations = dict(backup.generations)
        self.allowed = dict(backup.allowed)
        for feed, chronicle in self.chronicles.items():
            chronicle.restore(backup.pasts[feed], restores=self.restores)
        self.restart()


def _notification(notice: Notice) -> Notification:
    head = notice.head
    return Notification(
        v=head.v,
        lineage=head.lineage,
        n=head.n,
        prev=head.prev,
        asof=head.asof,
        c=head.c,
        put=notice.put,
        remove=None if notice.put is not None else notice.item_id,
    )
