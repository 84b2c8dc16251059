"""The join graph of the general query: where each column lives, and how tables reach each other.

A node is an alias of one table. Joins are found by growing a tree from the tables a query names, always along
the shortest path, so the order in which columns are asked for does not matter.

Source: `icatLowLevel`/`icatGeneralQuerySetup.cpp`, iRODS 5.0.2, mapped to this catalog's tables.
"""

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from grid.codes import Status
from grid.errors import InvalidArgument

TABLES: Final = MappingProxyType(
    {
        "d": "data_objects", "r": "replicas", "c": "collections", "s": "resources", "u": "users", "z": "zones",
        "dml": "avu_links", "dm": "avus", "cml": "avu_links", "cm": "avus",
        "sml": "avu_links", "sm": "avus", "uml": "avu_links", "um": "avus",
        "da": "acl_entries", "dt": "tokens", "dg": "group_members", "du": "users",
        "ca": "acl_entries", "ct": "tokens", "cg": "group_members", "cu": "users",
        "ug": "group_members", "gm": "users", "ua": "user_auths", "t": "tokens", "j": "R_RULE_EXEC",
        "q": "quotas", "qu": "users", "qs": "resources",
    }
)  # fmt: skip
"""Alias to table."""

_ALIVE = "EXISTS (SELECT 1 FROM users x WHERE x.id = {0}.user_id)"  # removed users' entries stay hidden

EDGES: Final = (
    ("d", "r", "r.data_id = d.id"),
    ("d", "c", "c.id = d.collection_id"),
    ("r", "s", "s.id = r.resource_id"),
    ("d", "dml", "dml.entity_id = d.id"),
    ("dml", "dm", "dm.id = dml.avu_id"),
    ("c", "cml", "cml.entity_id = c.id"),
    ("cml", "cm", "cm.id = cml.avu_id"),
    ("s", "sml", "sml.entity_id = s.id"),
    ("sml", "sm", "sm.id = sml.avu_id"),
    ("u", "uml", "uml.entity_id = u.id"),
    ("uml", "um", "um.id = uml.avu_id"),
    ("d", "da", "da.acl_id = d.acl_id AND " + _ALIVE.format("da")),
    ("da", "dt", "dt.namespace = 'access_type' AND dt.id = da.level"),
    ("da", "dg", "dg.group_id = da.user_id"),
    ("dg", "du", "du.id = dg.user_id"),
    ("da", "u", "u.id = da.user_id"),
    ("c", "ca", "ca.acl_id = c.acl_id AND " + _ALIVE.format("ca")),
    ("ca", "ct", "ct.namespace = 'access_type' AND ct.id = ca.level"),
    ("ca", "cg", "cg.group_id = ca.user_id"),
    ("cg", "cu", "cu.id = cg.user_id"),
    ("ca", "u", "u.id = ca.user_id"),
    ("u", "ug", "ug.user_id = u.id"),
    ("ug", "gm", "gm.id = ug.group_id"),
    ("u", "ua", "ua.user_id = u.id"),
    ("q", "qu", "qu.id = q.user_id"),
    ("q", "qs", "qs.id = q.resource_id"),
)
"""(alias, alias, condition)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column's value comes from: the nodes it needs and the expression over them."""

    nodes: tuple[str, ...]
    expression: str
    integer: bool = False
    hierarchy: bool = False  # a resource id that is shown as the resource's hierarchy


def _simple(node: str, columns: str, *, integers: str = "") -> dict[str, Place]:
    """`iRODS column=ours` pairs of one node."""
    whole = set(integers.split())
    found = {}
    for pair in columns.split():
        theirs, _, ours = pair.partition("=")
        found[theirs] = Place((node,), f"{node}.{ours or theirs}", integer=theirs in whole)
    return found


def _prefixed(alias: str, places: dict[str, Place]) -> dict[str, Place]:
    return {f"{alias}.{column}": place for column, place in places.items()}


_TIMES = " create_ts=create_time modify_ts=modify_time"
_USER = (
    "user_id=id user_name=name user_type_name=type zone_name=zone user_info=info r_comment=comment" + _TIMES
)
_META = "meta_id=id meta_attr_name=attribute meta_attr_value=value meta_attr_unit=unit"
_TOKEN = "token_namespace=namespace token_id=id token_name=name"
_JOB = (
    "rule_exec_id rule_name rei_file_path user_name exe_address exe_time exe_frequency priority estimated_exe_time"
    " notification_addr last_exe_time exe_status exe_context lock_host lock_host_pid lock_ts"
)


def _metadata(alias: str, link: str, node: str) -> dict[str, Place]:
    places = _simple(node, _META, integers="meta_id")
    places["create_ts"] = Place((link, node), f"{link}.create_time")
    places["modify_ts"] = Place((link, node), f"{link}.modify_time")
    places["meta_namespace"] = Place((node,), "''")
    return _prefixed(alias, places)


def _access(alias: str, node: str, owner: str) -> dict[str, Place]:
    return {
        f"{alias}.access_type_id": Place((node,), f"{node}.level", integer=True),
        f"{alias}.user_id": Place((node,), f"{node}.user_id", integer=True),
        f"{alias}.object_id": Place((owner, node), f"{owner}.id", integer=True),
    }


def places(zone: str) -> dict[str, Place]:
    """Every place this catalog can serve; the zone's name is where physical paths part from logical ones."""
    derived = f"substr(c.path, {len(zone) + 2})"
    return {
        **_prefixed(
            "R_ZONE_MAIN",
            _simple(
                "z",
                "zone_id=id zone_name=name zone_type_name=type zone_conn_string=connection r_comment=comment"
                + _TIMES,
                integers="zone_id",
            ),
        ),
        **_prefixed("R_USER_MAIN", _simple("u", _USER, integers="user_id")),
        **_prefixed(
            "R_RESC_MAIN",
            _simple(
                "s",
                "resc_id=id resc_name=name zone_name=zone resc_type_name=type resc_class_name=class resc_net=host"
                " resc_def_path=vault_path free_space free_space_ts=free_space_time resc_info=info r_comment=comment"
                " resc_status=status resc_context=context resc_parent_context=parent_context"
                " modify_ts_millis=modify_millis" + _TIMES,
                integers="resc_id",
            ),
        ),
        "R_RESC_MAIN.resc_children": Place(("s",), "''"),
        "R_RESC_MAIN.resc_parent": Place(("s",), "COALESCE(CAST(s.parent_id AS TEXT), '')"),
        **_prefixed(
            "R_DATA_MAIN",
            _simple(
                "d",
                "data_id=id coll_id=collection_id data_name=name data_owner_name=owner_name"
                " data_owner_zone=owner_zone",
                integers="data_id coll_id",
            )
            | _simple(
                "r",
                "data_repl_num=number data_type_name=data_type data_size=size_bytes data_is_dirty=status"
                " data_status=status_note data_checksum=checksum data_expiry_ts=expiry_time data_mode=mode"
                " r_comment=comments resc_id=resource_id access_ts=access_time" + _TIMES,
                integers="data_repl_num data_size data_is_dirty resc_id",
            ),
        ),
        "R_DATA_MAIN.data_version": Place(("r",), "'0'"),
        "R_DATA_MAIN.data_map_id": Place(("r",), "0", integer=True),
        "R_DATA_MAIN.data_path": Place(
            ("d", "r", "c", "s"),
            f"CASE WHEN r.physical_path <> '' THEN r.physical_path ELSE s.vault_path || {derived} || '/' || d.name END",
        ),
        "-": Place(("r",), "r.resource_id", hierarchy=True),
        **_prefixed(
            "R_COLL_MAIN",
            _simple(
                "c",
                "coll_id=id coll_name=path parent_coll_name=parent_path coll_owner_name=owner_name"
                " coll_owner_zone=owner_zone r_comment=comment coll_type=type coll_info1=info1 coll_info2=info2"
                + _TIMES,
                integers="coll_id",
            ),
        ),
        "R_COLL_MAIN.coll_map_id": Place(("c",), "0", integer=True),
        "R_COLL_MAIN.coll_inheritance": Place(("c",), "CASE WHEN c.inherit = 1 THEN '1' ELSE '' END"),
        **_metadata("r_data_meta_main", "dml", "dm"),
        **_metadata("r_coll_meta_main", "cml", "cm"),
        **_metadata("r_resc_meta_main", "sml", "sm"),
        **_metadata("r_user_meta_main", "uml", "um"),
        **_access("r_data_access", "da", "d"),
        **_access("r_coll_access", "ca", "c"),
        **_prefixed("r_data_tokn_accs", _simple("dt", _TOKEN)),
        **_prefixed("r_coll_tokn_accs", _simple("ct", _TOKEN)),
        **_prefixed("r_data_user_main", _simple("du", _USER, integers="user_id")),
        **_prefixed("r_coll_user_main", _simple("cu", _USER, integers="user_id")),
        "R_USER_GROUP.group_user_id": Place(("ug",), "ug.group_id", integer=True),
        "r_group_main.user_name": Place(("gm",), "gm.name"),
        "R_USER_AUTH.user_id": Place(("ua",), "ua.user_id", integer=True),
        "R_USER_AUTH.user_auth_name": Place(("ua",), "ua.name"),
        **_prefixed(
            "R_TOKN_MAIN",
            _simple(
                "t",
                _TOKEN
                + " token_value=value token_value2=value2 token_value3=value3 r_comment=comment"
                + _TIMES,
                integers="token_id",
            ),
        ),
        **_prefixed("R_RULE_EXEC", _simple("j", _JOB, integers="rule_exec_id")),
        **_prefixed(
            "R_QUOTA_MAIN",
            _simple(
                "q",
                "user_id resc_id=resource_id quota_limit=limit_bytes quota_over=over_bytes modify_ts=modify_time",
                integers="user_id resc_id quota_limit quota_over",
            ),
        ),
        "r_quota_user_main.user_name": Place(("qu",), "qu.name"),
        "r_quota_user_main.zone_name": Place(("qu",), "qu.zone"),
        "r_quota_user_group.user_type_name": Place(("qu",), "qu.type"),
        "r_quota_resc_main.resc_name": Place(("qs",), "qs.name"),
    }


_NEIGHBOURS: Final[dict[str, list[str]]] = {}
_CONDITIONS: Final[dict[frozenset[str], str]] = {}
for _a, _b, _condition in EDGES:
    _NEIGHBOURS.setdefault(_a, []).append(_b)
    _NEIGHBOURS.setdefault(_b, []).append(_a)
    _CONDITIONS[frozenset((_a, _b))] = _condition

_ANCHOR: Final = {"dm": "d", "dml": "d", "cm": "c", "cml": "c", "sm": "s", "sml": "s", "um": "u", "uml": "u"}
"""What a satellite describes; it is always joined, so that its visibility can be asked for."""


def join(required: Iterable[str]) -> tuple[list[str], list[str]]:
    """The nodes and the join conditions that link everything required.

    Raises:
        InvalidArgument: some of it cannot be linked (-825000).
    """
    wanted = list(dict.fromkeys(required))
    wanted += [_ANCHOR[node] for node in wanted if node in _ANCHOR and _ANCHOR[node] not in wanted]
    wanted += [owner for node, owner in (("da", "d"), ("ca", "c")) if node in wanted and owner not in wanted]
    tree = [wanted[0]]
    conditions: list[str] = []
    missing = set(wanted[1:])
    while missing:
        path = _shortest(tree, missing)
        if path is None:
            raise InvalidArgument(
                "the columns of the query have no tables in common", status=Status.CAT_FAILED_TO_LINK_TABLES
            )
        for before, node in itertools.pairwise(path):
            tree.append(node)
            conditions.append(_CONDITIONS[frozenset((before, node))])
        missing.difference_update(path)
    return tree, conditions


def _shortest(tree: list[str], targets: set[str]) -> list[str] | None:
    queue: deque[list[str]] = deque([node] for node in tree)
    seen = set(tree)
    while queue:
        path = queue.popleft()
        if path[-1] in targets:
            return path
        for neighbour in _NEIGHBOURS.get(path[-1], ()):
            if neighbour not in seen:
                seen.add(neighbour)
                queue.append([*path, neighbour])
    return None
