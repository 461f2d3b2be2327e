"""What goes wrong beside the messages, and what an operator does meanwhile."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from device_agent.store import Inventory
from gateway.rows import Delete
from tests.simulation.device_side import SimDevice, SimReplica, dying
from tests.simulation.gateway_side import SimGateway
from tests.simulation.link import Ask, Flying, Link, Push, Reply
from tests.simulation.views import DAY_S, draw_remainder_bytes_max, draw_since, draw_view

_DIFFERENT: Final = 4
_RETENTIONS_S: Final = (0, 5, 60, 1_000)


class Faults:
    """All faults by their names in the weather. Each says whether it could happen.

    Attributes:
        happened: how many there were.
    """

    def __init__(
        self,
        random: Random,
        *,
        gateway: SimGateway,
        link: Link,
        devices: Sequence[SimDevice],
        deliver: Callable[[Flying], object],
        clock: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        self._random = random
        self._gateway = gateway
        self._link = link
        self._devices = devices
        self._deliver = deliver
        self._clock = clock
        self._counts = counts
        self.happened = 0
        self._feeds = list(gateway.chronicles)
        self._faults: Mapping[str, Callable[[SimDevice], bool]] = {
            "cut": self._cut,
            "device offline": self._offline,
            "device online": self._online,
            "agent restart": self.restart_agent,
            "agent crash": self._agent_crash,
            "gateway restart": self._gateway_restart,
            "gateway crash before notify": self._gateway_crash_before_notify,
            "gateway crash before ledger": self._gateway_crash_before_ledger,
            "ledger lost": self._ledger_lost,
            "collection lost": self._collection_lost,
            "device data lost": self._data_lost,
            "device resynced": self._resynced,
            "device enrolled again": self._enrolled_again,
            "item quarantined": self._quarantined,
            "quarantine ended": self._quarantine_ended,
            "markers purged": self._purged,
            "feed backed up": self._backed_up,
            "feed restored": self._restored,
            "feed set back": self._set_back,
            "inventory disturbed": self._inventory_disturbed,
            "transaction undone": self._undone,
            "view changed": self._view_changed,
            "window moved": self._window_moved,
            "content fetched": self._fetched,
            "device limited": self._limited,
            "renderer changed": self._renderer_changed,
        }

    def happen(self, kind: str, device: SimDevice) -> bool:
        """Let one happen, to that device if it is about one; False if it could not."""
        self.happened += 1
        return self._faults[kind](device)

    def _cut(self, device: SimDevice) -> bool:
        if not device.connected:
            return False
        device.disconnect()
        self._link.cut(device, share=self._random.choice((0.0, 0.5, 1.0)))
        if self._random.random() < 0.5:  # else the last will comes when the device is back already
            self._gateway.went_offline(device)
        return True

    def _offline(self, device: SimDevice) -> bool:
        if not device.connected:
            return False
        device.disconnect()
        self._gateway.went_offline(device)
        self._gateway.write_ledger()
        return True

    def _online(self, device: SimDevice) -> bool:
        if device.connected:
            return False
        self._gateway.came_online(device)
        device.connect(self._clock())
        return True

    def restart_agent(self, device: SimDevice) -> bool:
        """The agent ends, and begins anew with what it has stored."""
        device.restart()
        self._link.cut(device, share=1.0)
        for replica in device.replicas:
            replica.witness.check_all(replica.store)
        return self._online(device)

    def _agent_crash(self, device: SimDevice) -> bool:
        """The agent dies while it takes a message: between any two steps, or right after."""
        mine = [
            it
            for it in self._link.flying
            if isinstance(it, Push | Reply) and it.replica.device is device
        ]
        if not mine or not device.connected:
            return False
        message = self._random.choice(mine)
        with dying(device.replicas, steps=self._random.randrange(6)):
            self._deliver(message)
            self._counts["agent crash after the last step"] += 1
        return self.restart_agent(device)

    def _gateway_restart(self, _: SimDevice) -> bool:
        self._gateway.write_ledger()
        self._gateway.restart()
        return True

    def _gateway_crash_before_notify(self, _: SimDevice) -> bool:
        if not any(self._gateway.is_behind(feed) for feed in self._feeds):
            return False
        self._gateway.restart()
        return True

    def _gateway_crash_before_ledger(self, _: SimDevice) -> bool:
        asks = [it for it in self._link.flying if isinstance(it, Ask)]
        if not asks:
            return False
        self._gateway.serve(self._random.choice(asks), crash=True)
        return True

    def _ledger_lost(self, _: SimDevice) -> bool:
        self._gateway.lose_ledger()
        self._gateway.restart()
        return True

    def _collection_lost(self, device: SimDevice) -> bool:
        self._random.choice(device.replicas).lose_collection()
        return self.restart_agent(device)

    def _data_lost(self, device: SimDevice) -> bool:
        for replica in device.replicas:
            replica.lose_data()
        return self.restart_agent(device)

    def _resynced(self, device: SimDevice) -> bool:
        self._gateway.resync(device)
        return True

    def _enrolled_again(self, device: SimDevice) -> bool:
        self._gateway.enrol_again(device)
        return True

    def _quarantined(self, _: SimDevice) -> bool:
        return self._gateway.quarantine(self._random.choice(self._feeds))

    def _quarantine_ended(self, _: SimDevice) -> bool:
        return self._gateway.end_quarantine(self._random.choice(self._feeds))

    def _purged(self, _: SimDevice) -> bool:
        for feed in self._feeds:
            self._gateway.purge(feed, retention_s=self._random.choice(_RETENTIONS_S))
        return True

    def _backed_up(self, _: SimDevice) -> bool:
        self._gateway.back_up()
        return True

    def _restored(self, _: SimDevice) -> bool:
        self._gateway.restore(newest=self._random.random() < 0.5)
        return True

    def _set_back(self, _: SimDevice) -> bool:
        """A little is changed, and some of it undone while devices hear of it."""
        feed = self._random.choice(self._feeds)
        item_id = self._item(feed)
        for each in (item_id, None)[: self._random.randrange(3)]:
            self._gateway.edit(feed, each)
        self._gateway.back_up()
        for each in (item_id, None)[: self._random.choice((1, 1, 2))]:
            self._gateway.edit(feed, each)
        self._gateway.notify(feed)
        self._gateway.restore(newest=True)
        return True

    def _inventory_disturbed(self, _: SimDevice) -> bool:
        """What an inventory is about changes while it is under way, or is undone at its end."""
        for device in self._devices:
            for replica in device.replicas:
                state = replica.sync.replica.state
                if isinstance(state.known, Inventory):
                    return self._changed_meanwhile(replica.feed, state.known)
                if state.known.asof == state.floor and state.more:
                    return self._changed_at_its_end(replica)
        return False

    def _changed_at_its_end(self, replica: SimReplica) -> bool:
        """What was pushed meanwhile comes now, or never was."""
        flying = self._link.flying
        late = [it for it in flying if isinstance(it, Push) and it.replica is replica]
        if late and self._random.random() < 0.5:
            flying.remove(late[0])
            self._deliver(late[0])
        else:
            self._gateway.restore(newest=True)
        return True

    def _changed_meanwhile(self, feed: str, inventory: Inventory) -> bool:
        item_id = self._item(feed)
        if inventory.begun is None:  # so that there is more to tell apart
            for _ in range(_DIFFERENT):
                self._gateway.edit(feed)
            self._gateway.back_up()
        elif self._random.random() < 0.3:
            self._gateway.back_up()
            self._gateway.edit(feed, item_id)
        else:
            self._gateway.edit(feed, item_id)
            self._gateway.notify(feed)
            if self._gateway.chronicles[feed].is_live(item_id):
                self._gateway.apply(feed, Delete(item_id))
                self._gateway.notify(feed)
            if self._random.random() < 0.5:
                self._gateway.purge(feed, retention_s=-1)
        return True

    def _item(self, feed: str) -> str:
        """Some item that the feed has or had; one that it may have if there are none."""
        return self._random.choice([*self._gateway.chronicles[feed].newest] or ["item-0"])

    def _undone(self, _: SimDevice) -> bool:
        self._gateway.undone_edits(self._random.choice(self._feeds))
        return True

    def _view_changed(self, device: SimDevice) -> bool:
        replica = self._random.choice(device.replicas)
        view = draw_view(self._random, replica.feed)
        replica.want(view, draw_remainder_bytes_max(self._random))
        return self.restart_agent(device)

    def _window_moved(self, device: SimDevice) -> bool:
        """Mostly by a day, and at times to anywhere, as when a clock is set."""
        replica = self._random.choice(device.replicas)
        since = replica.sync.replica.state.view.since
        if since is None or self._random.random() < 0.2:
            since = draw_since(self._random)
        replica.move_window(self._clock(), since + self._random.choice((DAY_S, DAY_S, -DAY_S)))
        return True

    def _fetched(self, device: SimDevice) -> bool:
        replica = self._random.choice(device.replicas)
        incomplete = replica.incomplete()
        if incomplete:
            replica.fetch(self._clock(), self._random.choice(incomplete))
        return bool(incomplete)

    def _limited(self, device: SimDevice) -> bool:
        self._gateway.limit(device)
        return True

    def _renderer_changed(self, _: SimDevice) -> bool:
        self._gateway.upgrade()
        return True
