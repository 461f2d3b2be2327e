"""What `compact` has of an item: the names of JSContact, JSCalendar and JMAP Email.

The order of the fields is the order in which they are sent: what names the item is first, so that
the beginning of a document is already of use, and what is heavy is last. What is absent is left
out. Ids of maps are 1, 2, 3.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Flags = Mapping[str, bool]


class Model(BaseModel):
    """What all parts of a document have in common."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


# JSContact, RFC 9553


class Name(Model):
    """A person's or a thing's name (2.2.1), without its parts, which take more than the whole."""

    full: str


class Nickname(Model):
    """Another name (2.2.2)."""

    name: str


class Phone(Model):
    """A phone (2.3.3): features such as mobile and fax, contexts private and work."""

    number: str
    features: Flags | None = None
    contexts: Flags | None = None
    pref: int | None = None
    label: str | None = None


class Email(Model):
    """An address for mail (2.3.1)."""

    address: str
    contexts: Flags | None = None
    pref: int | None = None
    label: str | None = None


class OrgUnit(Model):
    """A part of an organization (2.2.3)."""

    name: str


class Organization(Model):
    """Where someone works (2.2.3)."""

    name: str | None = None
    units: tuple[OrgUnit, ...] | None = None


class Title(Model):
    """What someone is there: `kind` is title or role (2.2.5)."""

    name: str
    kind: str | None = None


class OnlineService(Model):
    """An account, such as one for chats (2.3.2)."""

    service: str | None = None
    uri: str | None = None
    user: str | None = None
    contexts: Flags | None = None


class Address(Model):
    """A postal address in full (2.5.1)."""

    full: str
    contexts: Flags | None = None
    label: str | None = None


class PartialDate(Model):
    """A date that may lack its year (2.8.1)."""

    year: int | None = None
    month: int | None = None
    day: int | None = None


class Anniversary(Model):
    """A day to remember (2.8.1): `kind` is birth, wedding or death."""

    kind: str
    date: PartialDate


class Link(Model):
    """A page on the web (2.6.3)."""

    uri: str
    contexts: Flags | None = None
    label: str | None = None


class Note(Model):
    """Free text (2.8.3)."""

    note: str


class Media(Model):
    """A picture, as a URI that may be the data itself (2.6.4)."""

    kind: str
    uri: str
    media_type: str | None = None


class Card(Model):
    """A contact or a group of contacts (2.1). One without a UID has none here either."""

    type: Literal["Card"] = Field(default="Card", alias="@type")
    version: Literal["1.0"] = "1.0"
    uid: str | None = None
    kind: str | None = None
    name: Name | None = None
    phones: Mapping[str, Phone] | None = None
    emails: Mapping[str, Email] | None = None
    nicknames: Mapping[str, Nickname] | None = None
    organizations: Mapping[str, Organization] | None = None
    titles: Mapping[str, Title] | None = None
    online_services: Mapping[str, OnlineService] | None = None
    addresses: Mapping[str, Address] | None = None
    anniversaries: Mapping[str, Anniversary] | None = None
    links: Mapping[str, Link] | None = None
    keywords: Flags | None = None
    members: Flags | None = None
    notes: Mapping[str, Note] | None = None
    media: Mapping[str, Media] | None = None


# JSCalendar, RFC 8984


class Location(Model):
    """A place (4.2.5)."""

    name: str | None = None
    coordinates: str | None = None


class VirtualLocation(Model):
    """Where to join a conference (4.2.6)."""

    uri: str
    name: str | None = None


class NDay(Model):
    """A day of the week, the nth of its month or year or every one (4.3.3)."""

    day: str
    nth_of_period: int | None = None


class RecurrenceRule(Model):
    """How something recurs (4.3.3)."""

    frequency: str
    interval: int | None = None
    rscale: str | None = None
    skip: str | None = None
    first_day_of_week: str | None = None
    by_day: tuple[NDay, ...] | None = None
    by_month_day: tuple[int, ...] | None = None
    by_month: tuple[str, ...] | None = None
    by_year_day: tuple[int, ...] | None = None
    by_week_no: tuple[int, ...] | None = None
    by_hour: tuple[int, ...] | None = None
    by_minute: tuple[int, ...] | None = None
    by_second: tuple[int, ...] | None = None
    by_set_position: tuple[int, ...] | None = None
    count: int | None = None
    until: str | None = None


class Override(Model):
    """What is different on one day of what recurs (4.3.5)."""

    title: str | None = None
    start: str | None = None
    due: str | None = None
    duration: str | None = None
    excluded: bool | None = None


class Trigger(Model):
    """When an alert is due: so long before or after, or at a moment (4.5.2)."""

    type: Literal["OffsetTrigger", "AbsoluteTrigger"] = Field(alias="@type")
    offset: str | None = None
    relative_to: str | None = None
    when: str | None = None


class Alert(Model):
    """A reminder (4.5.2): `action` is display or email."""

    trigger: Trigger
    action: str | None = None


class Participant(Model):
    """Who takes part, and whether they said so (4.4.6)."""

    name: str | None = None
    email: str | None = None
    roles: Flags
    participation_status: str | None = None


class CalendarLink(Model):
    """A page or an attachment, as a URI that may be the data itself (1.4.11)."""

    href: str
    content_type: str | None = None
    rel: str | None = None
    title: str | None = None


class CalendarObject(Model):
    """An event or a task (2.1 and 2.2).

    `start` and `due` are local times, and `time_zone` says where; without it they are the same
    everywhere. `due`, `estimated_duration` and what tells of progress are those of tasks.
    """

    type: Literal["Event", "Task"] = Field(alias="@type")
    uid: str | None = None
    title: str | None = None
    start: str | None = None
    due: str | None = None
    time_zone: str | None = None
    duration: str | None = None
    estimated_duration: str | None = None
    show_without_time: bool | None = None
    status: str | None = None
    progress: str | None = None
    percent_complete: int | None = None
    progress_updated: str | None = None
    priority: int | None = None
    locations: Mapping[str, Location] | None = None
    virtual_locations: Mapping[str, VirtualLocation] | None = None
    recurrence_id: str | None = None
    recurrence_id_time_zone: str | None = None
    recurrence_rules: tuple[RecurrenceRule, ...] | None = None
    excluded_recurrence_rules: tuple[RecurrenceRule, ...] | None = None
    recurrence_overrides: Mapping[str, Override] | None = None
    free_busy_status: str | None = None
    privacy: str | None = None
    alerts: Mapping[str, Alert] | None = None
    participants: Mapping[str, Participant] | None = None
    keywords: Flags | None = None
    description: str | None = None
    links: Mapping[str, CalendarLink] | None = None


# JMAP Email, RFC 8621


class EmailAddress(Model):
    """Someone that a mail is from or to (4.1.2.3)."""

    name: str | None = None
    email: str | None = None


class Attachment(Model):
    """What is attached, without its bytes: `size` is in bytes (4.1.4)."""

    name: str | None = None
    type: str
    size: int


class BodyValue(Model):
    """The text of a mail (4.1.4)."""

    value: str


class Mail(Model):
    """A mail (4.1)."""

    message_id: tuple[str, ...] | None = None
    subject: str | None = None
    from_: tuple[EmailAddress, ...] | None = Field(default=None, alias="from")
    sent_at: str | None = None
    to: tuple[EmailAddress, ...] | None = None
    cc: tuple[EmailAddress, ...] | None = None
    reply_to: tuple[EmailAddress, ...] | None = None
    preview: str | None = None
    has_attachment: bool
    attachments: tuple[Attachment, ...] | None = None
    in_reply_to: tuple[str, ...] | None = None
    references: tuple[str, ...] | None = None
    body_values: Mapping[str, BodyValue] | None = None
