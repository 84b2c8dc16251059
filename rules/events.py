"""The event catalogue: what can happen, and what rules find in scope when it does.

Every event offers `actor`, `client`, `zone`, `now`, and `at` with the captures of the rule's location. An event that
happens at a path also offers the entities its subject lies in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

ALWAYS: Final = MappingProxyType({"actor": "User", "client": "Client", "zone": "Zone"})
SURROUNDINGS: Final = MappingProxyType(
    {
        "object": "Object", "collection": "Collection", "proposal": "Proposal", "visit": "Visit", "session": "Session",
        "publication": "Publication",
    }
)  # fmt: skip
"""What an event's subject may lie in."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event.

    Attributes:
        summary: when it happens, for the reference.
        context: name to entity, besides what every event offers.
        settable: what `before` rules may set, and its type.
        placed: it happens at a path, so rules say `at` which location.
        phases: what kinds of rules may be written on it.
    """

    summary: str
    context: Mapping[str, str]
    settable: Mapping[str, str] = field(default_factory=dict)
    placed: bool = True
    phases: frozenset[str] = frozenset({"before", "after"})


def _at(summary: str, settable: Mapping[str, str] | None = None, **context: str) -> EventType:
    return EventType(summary, {**SURROUNDINGS, **context}, settable or {})


def _away(summary: str, **context: str) -> EventType:
    return EventType(summary, context, placed=False)


def _after(summary: str, **context: str) -> EventType:
    return EventType(summary, {**SURROUNDINGS, **context}, phases=frozenset({"after"}))


def _stream(summary: str, *phases: str, settable: Mapping[str, str] | None = None) -> EventType:
    context = {**SURROUNDINGS, "stream": "Stream", "frame": "Frame"}
    return EventType(summary, context, settable or {}, phases=frozenset(phases))


EVENTS: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "object create": _at(
            "a data object is about to be made, or was", {"replica.resource": "Resource"}, stream="Stream", replica="Replica"
        ),
        "object write": _at("an existing data object is opened for writing"),
        "object close": _after("a data object got its content and is good"),
        "object read": _at("a data object is opened for reading", range="Range"),
        "object stat": _at("somebody asks what a path is"),
        "object rename": _at("a data object gets another path", target="Target"),
        "object copy": _at("a data object is copied", target="Target"),
        "object delete": _at("a data object is removed for good"),
        "object trash": _at("a data object goes to the trash", target="Target"),
        "object register": _at("an existing file becomes a data object"),
        "object checksum": _at("a checksum is recorded"),
        "object truncate": _at("a data object is cut"),
        "object touch": _at("a modification time is set"),
        "object change": _at("what the catalog says of a data object is changed"),
        "replica create": _at(
            "a replica is about to be made, or was", {"replica.resource": "Resource"}, replica="Replica"
        ),
        "replica trim": _at("a replica is removed", replica="Replica"),
        "replica verify": _at("the bytes of a replica were compared with its checksum", replica="Replica"),
        "replica stage": _at("a replica is brought to a faster resource", replica="Replica"),
        "replica recall": _at("a replica is asked back from tape", replica="Replica"),
        "replica register": _at("an existing file becomes a replica", replica="Replica"),
        "collection create": _at("a collection is made"),
        "collection change": _at("what the catalog says of a collection is changed"),
        "collection rename": _at("a collection gets another path", target="Target"),
        "collection delete": _at("a collection is removed for good"),
        "collection trash": _at("a collection goes to the trash", target="Target"),
        "collection erase": _after("the contents of a collection were erased for good"),
        "metadata change": _at("an attribute is added, set or removed", change="Change"),
        "access grant": _at("somebody is given rights", grant="Grant"),
        "access revoke": _at("somebody's rights are taken away", grant="Grant"),
        "access inherit": _at("inheritance of rights is switched", grant="Grant"),
        "access own": _at("something gets another owner", grant="Grant"),
        "ticket create": _at("a ticket is made", ticket="Ticket"),
        "ticket use": _at("a ticket is shown", ticket="Ticket"),
        "user change": _away("a user is added, changed or removed", user="User"),
        "group change": _away("a group is added, changed or removed", group="Group"),
        "resource change": _away("a resource is added, changed or removed", resource="Resource"),
        "zone change": _away("the zone itself is changed"),
        "quota change": _away("a quota is set", user="User"),
        "connection open": _away("a client connects"),
        "connection auth": _away("a client logs in"),
        "query run": _away("a query is run", statement="Statement"),
        "rule run": _away("a client calls a microservice", statement="Statement"),
        "command run": _away("a client asks for a command", statement="Statement"),
        "job enqueue": _away("work is scheduled", job="Job"),
        "job done": _away("scheduled work ended", job="Job"),
        "job dead": _away("scheduled work was given up", job="Job"),
        "visit scheduled": _at("the user office scheduled a visit"),
        "session close": _at("an experiment session ended"),
        "proposal change": _at("the user office changed a proposal"),
        "frame arrive": _stream("a detector frame arrived", "during", settable={"frame.hits": "Int", "frame.vetoed": "Bool"}),
        "frame store": _stream("a frame is about to be stored", "before", "after"),
        "stream progress": _stream("a stream goes on", "during"),
        "stream end": _stream("a stream ended", "after"),
        "publication request": _at("a publication is asked for"),
        "publication approve": _at("a publication is approved"),
        "publication withdraw": _at("a publication is withdrawn"),
        "embargo due": _after("an embargo is over"),
        "attestation add": _at("a signed statement is attached to a data object", attestation="Attestation"),
        "checkpoint publish": _away("the provenance log was signed"),
        "key revoke": _away("a signing key was revoked", key="SigningKey"),
        "peer offer": _at("a partner zone offers an object", peer="Peer"),
        "peer accept": _at("a partner zone took an object", peer="Peer"),
    }
)  # fmt: skip
"""Event name to its type."""

SIGNALS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "visit_scheduled": {"visit": "Visit"},
        "proposal_changed": {"proposal": "Proposal"},
        "raw_file_ready": {"object": "Object"},
    }
)
"""Signal name to what it carries."""

EMITTED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "steward_alert": {"subject": "Json", "text": "Text"},
        "mail": {"to": "List<User>", "subject": "Text", "text": "Text"},
        "veto": {"frame": "Int", "reason": "Text"},
        "region": {"frame": "Int", "top": "Int", "left": "Int", "rows": "Int", "columns": "Int"},
        "instrument_feedback": {"channel": "Text", "value": "Decimal"},
        "raw_file_ready": {"object": "Object"},
    }
)
"""What rules may emit, and what goes with it; everything may be left out."""

AFTER_SETTABLE: Final[Mapping[str, str]] = MappingProxyType(
    {"Object.owner": "User", "Collection.owner": "User", "Collection.visibility": "visibility"}
)
"""What `after` rules and jobs may set, by entity."""
