"""Accounts and topic rules as data of Mosquitto: for its plugin, and for its own files."""

import json
from collections.abc import Sequence
from typing import Any, Final

from gateway.broker_roles import Rules, device_role, device_rules, gateway_rules
from gateway.device import Device, hash_parts
from sync_protocol.names import GATEWAY
from sync_protocol.topics import Topics

# Of the two kinds of the plugin that a right to hear has, a file of rules needs one.
_FILE_WORDS: Final = {"publishClientSend": "write", "publishClientReceive": "read"}

Json = dict[str, Any]


class AccountsError(ValueError):
    """The accounts that are there do not serve this gateway; the message says why."""


class DamagedAccountsError(ValueError):
    """The accounts that are there cannot be read."""


def dynamic_security(topics: Topics, devices: Sequence[Device], *, gateway_hash: str) -> Json:
    """What dynamic-security.json holds, for a broker that never ran.

    Each user has one role, and nobody may do anything that no role allows.

    Args:
        topics: of the gateway.
        devices: those enrolled.
        gateway_hash: of the password of the gateway's account, made by `hash_secret`.
    """
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [
            _client(GATEWAY, GATEWAY, gateway_hash),
            *(_client(it.id, device_role(it.id), it.secret_hash) for it in devices),
        ],
        "groups": [],
        "roles": [
            {"rolename": GATEWAY, "acls": gateway_rules(topics)},
            *(
                {"rolename": device_role(it.id), "acls": device_rules(topics, it.id, it.feeds)}
                for it in devices
            ),
        ],
    }


def _client(user: str, role: str, secret_hash: str) -> Json:
    kept = hash_parts(secret_hash)
    return {
        "username": user,
        "roles": [{"rolename": role}],
        "password": kept.digest,
        "salt": kept.salt,
        "iterations": kept.iterations,
    }


def json_text(content: Json) -> str:
    """dynamic-security.json, in the form in which the plugin writes it."""
    return json.dumps(content, indent="\t") + "\n"


def check_kept(text: bytes, topics: Topics) -> None:
    """That dynamic-security.json, as a broker left it, still serves this gateway.

    Raises:
        DamagedAccountsError: it holds no accounts at all. Mosquitto 2.0.11 writes in place, so that
            this may come of a crash.
        AccountsError: they are for another gateway.
    """
    try:
        roles = {role["rolename"]: role.get("acls", []) for role in json.loads(text)["roles"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedAccountsError from None
    if GATEWAY not in roles:
        raise AccountsError("it has no account for the gateway")
    if _allowed(roles[GATEWAY]) != _allowed(gateway_rules(topics)):
        raise AccountsError(
            f"it is for another topic prefix than {topics.prefix}, or for another version of the"
            " gateway"
        )


def _allowed(rules: Rules) -> set[tuple[str, str]]:
    return {(rule["acltype"], rule["topic"]) for rule in rules if rule.get("allow")}


def password_file(devices: Sequence[Device], *, gateway_hash: str) -> str:
    """mosquitto.passwd: a user and what is kept of its password in each line."""
    lines = [(GATEWAY, gateway_hash), *((it.id, it.secret_hash) for it in devices)]
    return "".join(f"{user}:{secret_hash}\n" for user, secret_hash in lines)


def rule_file(topics: Topics, devices: Sequence[Device]) -> str:
    """mosquitto.acl: who may do what; whoever is not named may do nothing."""
    users = [(GATEWAY, gateway_rules(topics))]
    users += [(it.id, device_rules(topics, it.id, it.feeds)) for it in devices]
    return "\n".join(_user(name, rules) for name, rules in users)


def _user(name: str, rules: Rules) -> str:
    # There is no plugin to be told anything.
    topics = [
        f"topic {_FILE_WORDS[rule['acltype']]} {rule['topic']}\n"
        for rule in rules
        if rule["acltype"] in _FILE_WORDS and not rule["topic"].startswith("$")
    ]
    return f"user {name}\n{''.join(topics)}"
