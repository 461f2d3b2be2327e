"""Accounts and rules in the two forms that Mosquitto has."""

import json

import pytest

from gateway.broker_config import accounts
from gateway.broker_config.accounts import AccountsError, DamagedAccountsError
from gateway.device import Device, DeviceError, hash_secret
from sync_protocol.topics import Topics

TOPICS = Topics("sync/v1")
SALT = bytes(range(12))
GATEWAY_HASH = hash_secret("gateway's", salt=SALT)
PHONE = Device("phone", hash_secret("phone's", salt=SALT), b"12345678", ("contacts",))
TAB = Device("tab", hash_secret("tab's", salt=SALT), b"12345678", ("calendar", "contacts"))


def kept(*devices: Device, topics: Topics = TOPICS) -> bytes:
    made = accounts.dynamic_security(topics, devices, gateway_hash=GATEWAY_HASH)
    return accounts.json_text(made).encode()


def test_each_has_one_role_and_what_the_plugin_needs_to_know_its_password() -> None:
    made = accounts.dynamic_security(TOPICS, [PHONE, TAB], gateway_hash=GATEWAY_HASH)
    assert [(it["username"], it["roles"]) for it in made["clients"]] == [
        ("gateway", [{"rolename": "gateway"}]),
        ("phone", [{"rolename": "device-phone"}]),
        ("tab", [{"rolename": "device-tab"}]),
    ]
    assert [role["rolename"] for role in made["roles"]] == ["gateway", "device-phone", "device-tab"]
    client = made["clients"][1]
    parts = ["", "7", str(client["iterations"]), client["salt"], client["password"]]
    assert "$".join(parts) == PHONE.secret_hash


def test_nobody_may_do_what_no_role_allows() -> None:
    made = accounts.dynamic_security(TOPICS, [], gateway_hash=GATEWAY_HASH)
    default = made["defaultACLAccess"]
    assert (default.pop("unsubscribe"), set(default.values())) == (True, {False})
    assert set(default) == {"publishClientSend", "publishClientReceive", "subscribe"}


def test_a_damaged_hash_is_told_of() -> None:
    damaged = Device("phone", "$7$1000$abc", b"12345678", ("contacts",))
    with pytest.raises(DeviceError, match="damaged"):
        accounts.dynamic_security(TOPICS, [damaged], gateway_hash=GATEWAY_HASH)


def test_accounts_that_the_broker_wrote_are_kept() -> None:
    accounts.check_kept(kept(PHONE, TAB), TOPICS)
    # The plugin writes other fields, in another order, and may know other accounts.
    changed = json.loads(kept(PHONE))
    changed["clients"].append({"username": "camera", "roles": [], "textname": "of somebody else"})
    changed["roles"].reverse()
    for role in changed["roles"]:
        role["acls"].reverse()
    accounts.check_kept(json.dumps(changed).encode(), TOPICS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"roles": []}', "no account for the gateway"),
        (b'{"roles": [{"rolename": "gateway"}]}', "another topic prefix than sync/v1"),
        (kept(topics=Topics("other")), "another topic prefix than sync/v1"),
    ],
)
def test_accounts_that_do_not_serve_are_told_of(text: bytes, why: str) -> None:
    with pytest.raises(AccountsError, match=why):
        accounts.check_kept(text, TOPICS)


@pytest.mark.parametrize(
    "text",
    [b"", kept(PHONE)[:-20], b"\xff", b"[]", b"{}", b'{"roles": [1]}', b'{"roles": [{"acls": []}]}',
     b'{"roles": null}', b"[" * 10_000],
)  # fmt: skip
def test_damaged_accounts_are_told_of(text: bytes) -> None:
    with pytest.raises(DamagedAccountsError):
        accounts.check_kept(text, TOPICS)


def test_the_password_file_has_a_line_for_each() -> None:
    text = accounts.password_file([PHONE, TAB], gateway_hash=GATEWAY_HASH)
    assert text.splitlines() == [
        f"gateway:{GATEWAY_HASH}",
        f"phone:{PHONE.secret_hash}",
        f"tab:{TAB.secret_hash}",
    ]


def test_the_rule_file_names_each_topic() -> None:
    assert accounts.rule_file(TOPICS, [PHONE]).splitlines() == [
        "user gateway",
        "topic write sync/v1/+/+/notify",
        "topic write sync/v1/+/+/response",
        "topic write sync/v1/+/status",
        "topic read sync/v1/+/+/request",
        "topic read sync/v1/+/status",
        "",
        "user phone",
        "topic write sync/v1/phone/contacts/request",
        "topic write sync/v1/phone/status",
        "topic read sync/v1/phone/contacts/notify",
        "topic read sync/v1/phone/contacts/response",
        "topic read sync/v1/gateway/status",
    ]
