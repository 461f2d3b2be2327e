"""What Mosquitto's dynamic security plugin is told of devices, and how its answers are read.

The plugin takes commands in JSON on one topic and answers on another. The form is that of
mosquitto's plugins/dynamic-security/README.md; version 2.0.11 was looked at.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.broker_roles import DEVICE_ROLE_PREFIX, Rules, device_role, device_rules
from gateway.device import DeviceError
from sync_protocol import limits
from sync_protocol.names import GATEWAY, device_id
from sync_protocol.topics import Topics

# A broker takes no larger packet (max_packet_size), and a role with all feeds has 130 KiB.
COMMANDS_BYTES_MAX: Final = 512 * limits.KIB
COMMANDS_MAX: Final = 100
# A page of roles is no larger, if each device has all the feeds that it may have.
ANSWER_BYTES_MAX: Final = 8 * limits.MIB
CLIENTS_PAGE: Final = 500
ROLES_PAGE: Final = 20
# Beyond it the plugin's lists are not read: it saves all of it with each change.
LISTED_MAX: Final = 100_000
ERROR_CHARS_MAX: Final = 200
STRANGERS_NAMED_MAX: Final = 5

# What the plugin says in 2.0 where a command would change nothing.
CLIENT_EXISTS: Final = "Client already exists"
NO_CLIENT: Final = "Client not found"
ROLE_EXISTS: Final = "Role already exists"
NO_ROLE: Final = "Role not found"

Command = Mapping[str, Any]


class AccountError(Exception):
    """The broker's accounts cannot be read or changed; the message says why, and what to do."""


class NotConnectedError(AccountError):
    """There is no connection to the broker now, so nothing was changed there."""

    def __init__(self) -> None:
        super().__init__(
            "the gateway is not connected to its broker, so nothing was changed: 'gateway status'"
            " says why"
        )


class AccountTakenError(DeviceError):
    """The broker has an account of that name which may be in use."""

    def __init__(self, device: str, *, is_stranger: bool) -> None:
        super().__init__(
            f"the broker has an account of a device {device!r} that is not enrolled here: if it is"
            f" left over, 'gateway device remove {device}' takes it away; if it may be in use, give"
            " the device another id"
            if is_stranger
            else f"the broker has an account {device!r} that is no device's of this gateway: give"
            " the device another id, or delete that account with its role"
        )


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _RoleName(_Model):
    rolename: str


class Client(_Model):
    """An account, as the plugin lists it."""

    username: str
    roles: tuple[_RoleName, ...] = ()
    disabled: bool = False

    def has_role(self, name: str) -> bool:
        """Whether a role of that name is one of its."""
        return any(role.rolename == name for role in self.roles)


class _Rule(_Model):
    acltype: str
    topic: str
    priority: int = 0
    allow: bool


class Role(_Model):
    """A role, as the plugin lists it."""

    rolename: str
    acls: tuple[_Rule, ...] = ()

    @property
    def device(self) -> str | None:
        """The id of the device that it is made for, if it is made for one."""
        name = self.rolename.removeprefix(DEVICE_ROLE_PREFIX)
        if name == self.rolename:
            return None
        try:
            return device_id(name)
        except ValueError:
            return None


class _Clients(_Model):
    clients: Annotated[tuple[Client, ...], Len(0, CLIENTS_PAGE)]


class _Roles(_Model):
    roles: Annotated[tuple[Role, ...], Len(0, ROLES_PAGE)]


class _FoundClient(_Model):
    client: Client


class _FoundRole(_Model):
    role: Role


class Answer(_Model):
    """What became of one command; `error` is None if it was done.

    Commands, roles and clients are named by people, so an error is shown with care.
    """

    command: str
    error: str | None = None
    data: Mapping[str, Any] = {}
    correlationData: str | None = None  # noqa: N815 - the plugin's word


class _Answers(_Model):
    responses: Annotated[tuple[Answer, ...], Len(1, COMMANDS_MAX)]


_M = TypeVar("_M", bound=_Model)

# Asking


def set_up(topics: Topics, device: str, feeds: Sequence[str], secret: str) -> Sequence[Command]:
    """Give a device its account, or the one that it has this secret, these feeds and no others.

    Whoever is connected with the account is thrown out. See `check_set_up` for the answers.
    """
    role, rules = device_role(device), device_rules(topics, device, feeds)
    account = {"username": device, "password": secret, "roles": [{"rolename": role}]}
    return (
        # One of each two fails, for nothing is there to be changed, or there is already.
        {"command": "createRole", "rolename": role, "acls": rules},
        {"command": "modifyRole", "rolename": role, "acls": rules},
        {"command": "modifyClient", **account},
        {"command": "createClient", **account},
    )


def check_set_up(answers: Sequence[Answer]) -> None:
    """AccountError if the answers to `set_up` do not say that the account is as it should be."""
    create_role, modify_role, modify, create = answers
    for answer, expected in (
        (create_role, ROLE_EXISTS),
        (modify_role, None),
        (modify, NO_CLIENT),
        (create, CLIENT_EXISTS if modify.error is None else None),
    ):
        if answer.error is not None and answer.error != expected:
            raise _refused(answer)


def take_away(device: str) -> Sequence[Command]:
    """Take a device's account away, and throw out who is connected with it."""
    # The client first: one without its role would not be known for a device's.
    return (
        {"command": "deleteClient", "username": device},
        {"command": "deleteRole", "rolename": device_role(device)},
    )


def look_up(device: str) -> Sequence[Command]:
    """Ask for what there is under the name of a device.

    See `check_may_take` and `is_stranger` for the answers.
    """
    return (
        {"command": "getClient", "username": device},
        {"command": "getRole", "rolename": device_role(device)},
    )


def check_may_take(
    answers: Sequence[Answer], topics: Topics, device: str, *, may_be_left: bool
) -> None:
    """AccountTakenError if the answers to `look_up` tell of an account in use; AccountError.

    One with the role of a device of this gateway may be taken if this gateway left it there.
    """
    account, role = _found(answers)
    has_other = account is not None and not account.has_role(device_role(device))
    if has_other or (role is not None and not _is_ours(role, topics, device)):
        raise AccountTakenError(device, is_stranger=False)
    if account is not None and not may_be_left:
        raise AccountTakenError(device, is_stranger=True)


def is_stranger(answers: Sequence[Answer], topics: Topics, device: str) -> bool:
    """Whether the answers to `look_up` tell of an account of a device of this gateway.

    AccountError.
    """
    account, role = _found(answers)
    if account is None or role is None:
        return False
    return account.has_role(role.rolename) and _is_ours(role, topics, device)


def _found(answers: Sequence[Answer]) -> tuple[Client | None, Role | None]:
    for_client, for_role = answers
    account = None if for_client.error == NO_CLIENT else _data(for_client, _FoundClient).client
    role = None if for_role.error == NO_ROLE else _data(for_role, _FoundRole).role
    return account, role


def shut_out(device: str) -> Command:
    """Let a device in no more for now, and throw it out."""
    return {"command": "disableClient", "username": device}


def let_in(device: str) -> Command:
    """Let a device in again."""
    return {"command": "enableClient", "username": device}


def list_clients(offset: int) -> Command:
    """Ask for the accounts from that one on; see `clients`."""
    return {"command": "listClients", "verbose": True, "count": CLIENTS_PAGE, "offset": offset}


def list_roles(offset: int) -> Command:
    """Ask for the roles from that one on; see `roles`."""
    return {"command": "listRoles", "verbose": True, "count": ROLES_PAGE, "offset": offset}


def messages(commands: Sequence[Command]) -> Iterator[Sequence[Command]]:
    """The commands in their order, in as few messages as may be."""
    message: list[Command] = []
    size_bytes = 0
    for command in commands:
        more = len(encode([command], number=0))
        if message and (len(message) == COMMANDS_MAX or size_bytes + more > COMMANDS_BYTES_MAX):
            yield message
            message, size_bytes = [], 0
        message.append(command)
        size_bytes += more
    if message:
        yield message


def encode(commands: Sequence[Command], *, number: int) -> bytes:
    """A message of some commands; its answers bring its number back."""
    numbered = [{**command, "correlationData": str(number)} for command in commands]
    return json.dumps({"commands": numbered}, separators=(",", ":")).encode()


# Reading


def read_answers(payload: bytes) -> tuple[int | None, Sequence[Answer]]:
    """The number of the message that is answered, and the answers to its commands in their order.

    None where the plugin could not read the message. AccountError if this is no answer.
    """
    if len(payload) > ANSWER_BYTES_MAX:
        raise AccountError(
            f"the broker's dynamic security plugin answers with more than {ANSWER_BYTES_MAX} bytes:"
            " is there a role with very many rules?"
        )
    try:
        answers = _Answers.model_validate_json(payload).responses
        number = answers[0].correlationData
        return None if number is None else int(number), answers
    except ValueError:
        raise AccountError(
            "the broker's dynamic security plugin answers in a form that this gateway does not"
            " know: Mosquitto 2.0 is meant"
        ) from None


def clients(answer: Answer) -> Sequence[Client]:
    """A page of accounts, empty after the last. AccountError."""
    return _data(answer, _Clients).clients


def roles(answer: Answer) -> Sequence[Role]:
    """A page of roles, empty after the last. AccountError."""
    return _data(answer, _Roles).roles


def check(answer: Answer) -> None:
    """AccountError if a command was not done; what was so before is done."""
    if answer.error not in (None, NO_CLIENT, NO_ROLE):
        raise _refused(answer)


def _data(answer: Answer, model: type[_M]) -> _M:
    if answer.error is not None:
        raise _refused(answer)
    try:
        return model.model_validate(answer.data)
    except ValidationError:
        raise AccountError(
            f"the broker's dynamic security plugin answers to {answer.command!a:.40} in a form that"
            " this gateway does not know: Mosquitto 2.0 is meant"
        ) from None


def _refused(answer: Answer) -> AccountError:
    return AccountError(
        "the broker's dynamic security plugin does not do what the gateway tells it"
        f" ({answer.command!a:.40}: {answer.error!a:.{ERROR_CHARS_MAX}})"
    )


# Comparing


@dataclass(frozen=True, slots=True)
class Differences:
    """What has to be done so that the broker lets in those who are enrolled, and what is told.

    Attributes:
        commands: that do what can be done.
        removed: the devices whose accounts they take away.
        without_account: the devices that cannot log in, as only a new credential mends.
        strangers: the devices that are not enrolled, and have an account that stays.
    """

    commands: Sequence[Command] = ()
    removed: Sequence[str] = ()
    without_account: Sequence[str] = ()
    strangers: Sequence[str] = ()


def compare(
    topics: Topics,
    enrolled: Mapping[str, Sequence[str]],
    *,
    unsettled: AbstractSet[str],
    listed_clients: Sequence[Client],
    listed_roles: Sequence[Role],
    kept_out: AbstractSet[str],
) -> Differences:
    """How the broker's accounts differ from what they should be.

    A role is a device's by its name, and one of this gateway's if its rules are all about this
    gateway's topics: another one may use the broker. If no such device is enrolled, it goes with
    its account if that is known to be left there, and else it stays: the gateway may run with the
    wrong data directory, or with an old backup.

    Args:
        topics: of this gateway.
        enrolled: device -> its feeds.
        unsettled: devices whose accounts may be there, and are to go.
        listed_clients: all accounts of the broker.
        listed_roles: all its roles.
        kept_out: the devices that are to stay shut out for now.
    """
    accounts = {client.username: client for client in listed_clients}
    device_roles = {it.device: it for it in listed_roles if it.device is not None}
    commands: list[Command] = []
    removed: list[str] = []
    strangers: list[str] = []
    for device, role in device_roles.items():
        account = accounts.get(device)
        if device in enrolled or not _is_ours(role, topics, device):
            continue
        if device in unsettled:
            is_others = account is not None and not account.has_role(role.rolename)
            # Mosquitto 2.0 goes astray where a role goes before an account that has it: so an
            # account that is not listed goes all the same.
            commands += take_away(device)[1:] if is_others else take_away(device)
            removed.append(device)
        elif account is not None and account.has_role(role.rolename):
            strangers.append(device)
    without_account: list[str] = []
    for device, feeds in enrolled.items():
        account, name = accounts.get(device), device_role(device)
        if account is None or not account.has_role(name):
            without_account.append(device)
            continue
        rules = device_rules(topics, device, feeds)
        if _said(device_roles.get(device)) != _wanted(rules):
            commands.append({"command": "modifyRole", "rolename": name, "acls": rules})
        if account.disabled and device not in kept_out:
            commands.append(let_in(device))
    return Differences(commands, sorted(removed), sorted(without_account), sorted(strangers))


def strangers_in_words(strangers: Sequence[str]) -> str:
    """What an operator is told of devices that are not enrolled, and have accounts that stay."""
    if len(strangers) == 1:
        (device,) = strangers
        return (
            f"the broker has an account of a device that is not enrolled here ({device}): if this"
            f" is the right data directory, 'gateway device remove {device}' takes it away"
        )
    named = ", ".join(strangers[:STRANGERS_NAMED_MAX])
    more = ", …" if len(strangers) > STRANGERS_NAMED_MAX else ""
    return (
        f"the broker has accounts of {len(strangers)} devices that are not enrolled here"
        f" ({named}{more}): if this is the right data directory, 'gateway device remove ID' takes"
        " each away"
    )


def _is_ours(role: Role, topics: Topics, device: str) -> bool:
    # A look at the prefix alone would take that of another gateway for ours if it goes on further.
    own, common = f"{topics.prefix}/{device}/", topics.status(GATEWAY)
    return all(it.topic.startswith(own) or it.topic == common for it in role.acls)


def _said(role: Role | None) -> set[tuple[str, str, int, bool]]:
    rules = () if role is None else role.acls
    return {(it.acltype, it.topic, it.priority, it.allow) for it in rules}


def _wanted(rules: Rules) -> set[tuple[str, str, int, bool]]:
    return {(it["acltype"], it["topic"], it["priority"], it["allow"]) for it in rules}
