"""What Mosquitto's dynamic security plugin is told, and what is made of its answers."""

import json
import re
from typing import Any

import pytest

from gateway import broker_accounts
from gateway.broker_accounts import (
    ANSWER_BYTES_MAX,
    COMMANDS_BYTES_MAX,
    COMMANDS_MAX,
    AccountError,
    AccountTakenError,
    Answer,
    Client,
    Differences,
    Role,
    compare,
)
from gateway.broker_roles import device_rules
from sync_protocol import limits
from sync_protocol.topics import Topics

TOPICS = Topics()
EMPTY = Differences([], [], [], [])


def answer(**fields: Any) -> Answer:  # noqa: ANN401 - whatever the plugin says
    return Answer.model_validate({"command": "listClients", **fields})


def account(name: str, *, role: str | None = None, disabled: bool = False) -> Client:
    roles = [{"rolename": role or f"device-{name}"}]
    return Client.model_validate({"username": name, "roles": roles, "disabled": disabled})


def role(name: str, *feeds: str, topics: Topics = TOPICS) -> Role:
    acls = device_rules(topics, name, feeds)
    return Role.model_validate({"rolename": f"device-{name}", "acls": acls})


A = frozenset({"a"})
GATEWAY = account("gateway", role="gateway")
GATEWAY_ROLE = Role(rolename="gateway")


def differences(
    enrolled: dict[str, list[str]],
    clients: list[Client],
    roles: list[Role],
    kept_out: frozenset[str] = frozenset(),
    *,
    unsettled: frozenset[str] = frozenset(),
) -> Differences:
    return compare(
        TOPICS,
        enrolled,
        unsettled=unsettled,
        listed_clients=[GATEWAY, *clients],
        listed_roles=[GATEWAY_ROLE, *roles],
        kept_out=kept_out,
    )


class TestCompare:
    def test_where_all_is_right_nothing_is_done(self) -> None:
        assert differences({"a": ["f"]}, [account("a")], [role("a", "f")]) == EMPTY

    def test_who_was_removed_goes(self) -> None:
        found = differences({}, [account("a")], [role("a", "f")], unsettled=A)
        assert found == Differences([*broker_accounts.take_away("a")], ["a"], [], [])
        assert [it["command"] for it in found.commands] == ["deleteClient", "deleteRole"]

    def test_who_is_not_enrolled_and_was_not_removed_here_stays_and_is_told(self) -> None:
        listed = ([account("b"), account("a")], [role("b", "f"), role("a", "g")])
        assert differences({}, *listed) == Differences([], [], [], ["a", "b"])
        found = differences({}, *listed, unsettled=A)
        assert (found.removed, found.strangers) == (["a"], ["b"])

    def test_who_is_enrolled_stays_though_it_should_be_settled(self) -> None:
        listed = ([account("a")], [role("a", "f")])
        assert differences({"a": ["f"]}, *listed, unsettled=A) == EMPTY

    def test_a_role_of_nobody_lets_nobody_in(self) -> None:
        assert differences({}, [], [role("a", "f")]) == EMPTY

    def test_a_role_without_an_account_goes(self) -> None:
        found = differences({}, [], [role("a", "f")], unsettled=A)
        # With an account that came meanwhile: a role must not go before it.
        assert [it["command"] for it in found.commands] == ["deleteClient", "deleteRole"]

    def test_accounts_of_others_stay(self) -> None:
        theirs = account("grafana", role="reader")
        left = frozenset({"grafana"})
        listed = [Role(rolename="reader")]
        assert differences({}, [theirs], listed, unsettled=left) == EMPTY
        # Nor does a role that is called like a device's give it away.
        assert differences({}, [theirs], [role("grafana", "f")]) == EMPTY
        found = differences({}, [theirs], [role("grafana", "f")], unsettled=left)
        assert found.commands == [{"command": "deleteRole", "rolename": "device-grafana"}]

    @pytest.mark.parametrize("prefix", ["office/v1", f"{TOPICS.prefix}/office", "sync"])
    def test_devices_of_another_gateway_stay(self, prefix: str) -> None:
        other = role("a", "f", topics=Topics(prefix))
        assert differences({}, [account("a")], [other], unsettled=A) == EMPTY

    @pytest.mark.parametrize("name", ["device-", "device-gateway", "device-a/b", "Device-a"])
    def test_a_role_that_no_device_can_have_stays(self, name: str) -> None:
        listed = ([account("a", role=name)], [Role(rolename=name)])
        assert differences({}, *listed, unsettled=frozenset({"a", "gateway", "a/b"})) == EMPTY

    @pytest.mark.parametrize(
        ("clients", "roles"),
        [([], []), ([], [role("a", "f")]), ([account("a", role="other")], [role("a", "f")])],
    )
    def test_who_lacks_an_account_is_told(self, clients: list[Client], roles: list[Role]) -> None:
        assert differences({"a": ["f"]}, clients, roles) == Differences([], [], ["a"], [])

    def test_topics_are_set_right(self) -> None:
        (command,) = differences({"a": ["f"]}, [account("a")], [role("a", "f", "gone")]).commands
        assert command == {
            "command": "modifyRole",
            "rolename": "device-a",
            "acls": device_rules(TOPICS, "a", ["f"]),
        }

    def test_a_right_that_was_turned_around_is_turned_back(self) -> None:
        acls = [{**it, "allow": False} for it in device_rules(TOPICS, "a", ["f"])]
        denied = Role.model_validate({"rolename": "device-a", "acls": acls})
        assert differences({"a": ["f"]}, [account("a")], [denied]).commands

    def test_who_was_shut_out_is_let_in_unless_that_is_to_last(self) -> None:
        listed = ([account("a", disabled=True)], [role("a", "f")])
        assert differences({"a": ["f"]}, *listed).commands == [broker_accounts.let_in("a")]
        assert differences({"a": ["f"]}, *listed, kept_out=frozenset("a")) == EMPTY


@pytest.mark.parametrize(
    ("strangers", "told"),
    [
        (["a"], r"an account of a device .* here \(a\): .* 'gateway device remove a' takes it"),
        (["a", "b"], r"of 2 devices that .* here \(a, b\): .* remove ID' takes each away"),
        (list("abcde"), r"of 5 devices .* \(a, b, c, d, e\): "),
        (list("abcdef"), r"of 6 devices .* \(a, b, c, d, e, …\): "),
    ],
)
def test_strangers_are_told_by_name(strangers: list[str], told: str) -> None:
    assert re.search(told, broker_accounts.strangers_in_words(strangers))


class TestMessages:
    def test_no_more_commands_than_may_be(self) -> None:
        commands = [broker_accounts.let_in(f"d{n}") for n in range(COMMANDS_MAX + 1)]
        messages = list(broker_accounts.messages(commands))
        assert [len(message) for message in messages] == [COMMANDS_MAX, 1]
        assert [command for message in messages for command in message] == commands

    def test_no_more_bytes_than_may_be(self) -> None:
        # The largest that there are: all names as long as they may be.
        topics = Topics("p" * limits.TOPIC_PREFIX_CHARS_MAX)
        feeds = [f"{n:064}" for n in range(limits.DEVICE_FEEDS_MAX)]
        create, *_ = broker_accounts.set_up(topics, "d" * 64, feeds, "secret")
        messages = list(broker_accounts.messages([create] * 20))
        sizes = [len(broker_accounts.encode(message, number=1)) for message in messages]
        assert len(messages) > 1
        assert max(sizes) <= COMMANDS_BYTES_MAX
        assert len(broker_accounts.encode([create] * broker_accounts.ROLES_PAGE, number=1)) < (
            ANSWER_BYTES_MAX
        )

    def test_one_too_large_goes_alone(self) -> None:
        large = {"command": "x", "filler": "x" * COMMANDS_BYTES_MAX}
        small = broker_accounts.let_in("a")
        assert list(broker_accounts.messages([small, large, small])) == [[small], [large], [small]]

    def test_none(self) -> None:
        assert list(broker_accounts.messages([])) == []


class TestAnswers:
    def test_with_their_number(self) -> None:
        payload = b'{"responses":[{"command":"getClient","error":"no","correlationData":"7"}]}'
        said = Answer(command="getClient", error="no", correlationData="7")
        assert broker_accounts.read_answers(payload) == (7, (said,))

    def test_to_what_could_not_be_read(self) -> None:
        payload = b'{"responses":[{"command":"Unknown command","error":"Payload not valid JSON"}]}'
        number, (said,) = broker_accounts.read_answers(payload)
        assert number is None
        with pytest.raises(AccountError, match="Payload not valid JSON"):
            broker_accounts.check(said)

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{",
            b"[]",
            b"\xff",
            b'{"responses":[]}',
            b'{"responses":[{}]}',
            b'{"responses":[{"command":"x","correlationData":"seven"}]}',
            b"[" * 100_000,
            json.dumps({"responses": [{"command": "x"}] * (COMMANDS_MAX + 1)}).encode(),
        ],
    )
    def test_in_no_known_form(self, payload: bytes) -> None:
        with pytest.raises(AccountError, match=r"Mosquitto 2\.0 is meant"):
            broker_accounts.read_answers(payload)

    def test_too_large(self) -> None:
        with pytest.raises(AccountError, match="very many rules"):
            broker_accounts.read_answers(b" " * (ANSWER_BYTES_MAX + 1))

    def test_a_page_that_is_none(self) -> None:
        page = [{"username": "a"}] * (broker_accounts.CLIENTS_PAGE + 1)
        for data in ({}, {"clients": 1}, {"clients": ["a"]}, {"clients": page}):
            with pytest.raises(AccountError, match="in a form"):
                broker_accounts.clients(answer(data=data))

    NONE = (answer(error="Client not found"), answer(error="Role not found"))
    OURS = answer(data={"role": role("a", "f").model_dump()})
    OTHERS = answer(data={"role": role("a", "f", topics=Topics("office/v1")).model_dump()})
    WITH_ROLE = answer(data={"client": account("a").model_dump()})
    WITHOUT = answer(data={"client": {"username": "a", "groups": []}})

    @pytest.mark.parametrize("may_be_left", [True, False])
    @pytest.mark.parametrize(
        ("there", "is_free"),
        [
            (NONE, True),
            ((NONE[0], OURS), True),
            ((WITHOUT, NONE[1]), False),
            ((WITHOUT, OURS), False),
            ((NONE[0], OTHERS), False),
            ((WITH_ROLE, OTHERS), False),
        ],
    )
    def test_whether_a_name_may_be_taken(
        self, there: tuple[Answer, ...], *, is_free: bool, may_be_left: bool
    ) -> None:
        if is_free:
            broker_accounts.check_may_take(there, TOPICS, "a", may_be_left=may_be_left)
        else:
            with pytest.raises(AccountTakenError, match="no device's of this gateway"):
                broker_accounts.check_may_take(there, TOPICS, "a", may_be_left=may_be_left)
        assert not broker_accounts.is_stranger(there, TOPICS, "a")

    def test_what_is_left_may_be_taken_and_a_stranger_not(self) -> None:
        there = (self.WITH_ROLE, self.OURS)
        assert broker_accounts.is_stranger(there, TOPICS, "a")
        broker_accounts.check_may_take(there, TOPICS, "a", may_be_left=True)
        with pytest.raises(AccountTakenError, match="left over, 'gateway device remove a' takes"):
            broker_accounts.check_may_take(there, TOPICS, "a", may_be_left=False)

    def test_whether_a_name_may_be_taken_is_not_said(self) -> None:
        for there in ((answer(error="Not allowed"), self.OURS), (self.WITH_ROLE, answer())):
            with pytest.raises(AccountError, match=r"Not allowed|in a form"):
                broker_accounts.check_may_take(there, TOPICS, "a", may_be_left=True)
            with pytest.raises(AccountError, match=r"Not allowed|in a form"):
                broker_accounts.is_stranger(there, TOPICS, "a")

    @pytest.mark.parametrize("error", ["Client not found", "Role not found"])
    def test_what_was_so_before_is_done(self, error: str) -> None:
        broker_accounts.check(answer(error=error))

    @pytest.mark.parametrize(
        ("errors", "is_right"),
        [
            ((None, None, "Client not found", None), True),
            (("Role already exists", None, None, "Client already exists"), True),
            (("Role already exists", "Internal error", None, "Client already exists"), False),
            ((None, None, "Client not found", "Client already exists"), False),
            ((None, None, "Internal error", "Client already exists"), False),
            (("Internal error", None, None, "Client already exists"), False),
        ],
    )
    def test_whether_an_account_is_set_up(
        self, errors: tuple[str | None, ...], *, is_right: bool
    ) -> None:
        answers = [answer(error=error) for error in errors]
        if is_right:
            broker_accounts.check_set_up(answers)
        else:
            with pytest.raises(AccountError, match="does not do what the gateway tells it"):
                broker_accounts.check_set_up(answers)

    def test_what_others_wrote_is_shown_with_care(self) -> None:
        with pytest.raises(AccountError) as caught:
            broker_accounts.check(answer(error="\x1b[31m" + "x" * 10_000))
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 500
