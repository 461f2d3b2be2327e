"""Mosquitto's dynamic security plugin as far as this gateway uses it, for tests without a broker.

`tests/integration/test_broker_accounts.py` does the same with the real one.
"""

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from gateway.control import ControlTopic

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")
Command: TypeAlias = Callable[[Json], str | Json | None]


class FakePlugin:
    """Does what it is told, and answers in the words of 2.0.11."""

    def __init__(self, control: ControlTopic) -> None:
        self._control = control
        self.clients: dict[str, Json] = {}
        self.roles: dict[str, list[Json]] = {}
        self.kicked: list[str] = []
        self.is_silent = False
        self._commands: dict[str, Command] = {
            "createRole": self._create_role,
            "modifyRole": self._modify_role,
            "deleteRole": self._delete_role,
            "createClient": self._create_client,
            "modifyClient": self._modify_client,
            "deleteClient": self._delete_client,
            "disableClient": self._disable_client,
            "enableClient": self._enable_client,
            "getClient": self._get_client,
            "getRole": self._get_role,
            "listClients": self._list_clients,
            "listRoles": self._list_roles,
        }

    def connect(self) -> None:
        """The gateway is connected to its broker."""
        self._control.opened(self._told)

    def _told(self, payload: bytes) -> bool:
        commands = json.loads(payload)["commands"]
        responses = [self._response(command) for command in commands]
        if not self.is_silent:
            self._control.received(json.dumps({"responses": responses}).encode())
        return True

    def _response(self, command: Json) -> Json:
        done = self._commands[command["command"]](command)
        response = {"command": command["command"], "correlationData": command["correlationData"]}
        if isinstance(done, str):
            return {**response, "error": done}
        return response if done is None else {**response, "data": done}

    def _create_role(self, command: Json) -> str | None:
        if command["rolename"] in self.roles:
            return "Role already exists"
        self.roles[command["rolename"]] = command["acls"]
        return None

    def _modify_role(self, command: Json) -> str | None:
        if command["rolename"] not in self.roles:
            return "Role not found"
        self.roles[command["rolename"]] = command["acls"]
        return None

    def _delete_role(self, command: Json) -> str | None:
        if self.roles.pop(command["rolename"], None) is None:
            return "Role not found"
        for client in self.clients.values():
            client["roles"] = [it for it in client["roles"] if it["rolename"] in self.roles]
        return None

    def _create_client(self, command: Json) -> str | None:
        if command["username"] in self.clients:
            return "Client already exists"
        return self._set(command)

    def _modify_client(self, command: Json) -> str | None:
        if command["username"] not in self.clients:
            return "Client not found"
        self.kicked.append(command["username"])
        return self._set(command)

    def _set(self, command: Json) -> str | None:
        roles = command.get("roles", [])
        if any(it["rolename"] not in self.roles for it in roles):
            return "Role not found"
        before = self.clients.get(command["username"], {})
        fields = ("username", "password")
        self.clients[command["username"]] = {
            **before,
            **{field: command[field] for field in fields},
            "roles": roles,
        }
        return None

    def _delete_client(self, command: Json) -> str | None:
        if self.clients.pop(command["username"], None) is None:
            return "Client not found"
        self.kicked.append(command["username"])
        return None

    def _disable_client(self, command: Json) -> str | None:
        if command["username"] not in self.clients:
            return "Client not found"
        self.clients[command["username"]]["disabled"] = True
        self.kicked.append(command["username"])
        return None

    def _enable_client(self, command: Json) -> str | None:
        if command["username"] not in self.clients:
            return "Client not found"
        self.clients[command["username"]].pop("disabled", None)
        return None

    def _get_client(self, command: Json) -> str | Json:
        client = self.clients.get(command["username"])
        return "Client not found" if client is None else {"client": _listed(client)}

    def _get_role(self, command: Json) -> str | Json:
        name = command["rolename"]
        if name not in self.roles:
            return "Role not found"
        return {"role": {"rolename": name, "acls": self.roles[name]}}

    def _list_clients(self, command: Json) -> Json:
        page = _page(self.clients.values(), command)
        return {"totalCount": len(self.clients), "clients": [_listed(client) for client in page]}

    def _list_roles(self, command: Json) -> Json:
        page = _page(self.roles.items(), command)
        listed = [{"rolename": name, "acls": acls} for name, acls in page]
        return {"totalCount": len(self.roles), "roles": listed}


def _listed(client: Json) -> Json:
    return {**{key: it for key, it in client.items() if key != "password"}, "groups": []}


def _page(listed: Iterable[T], command: Json) -> list[T]:
    first = command["offset"]
    return list(itertools.islice(listed, first, first + command["count"]))
