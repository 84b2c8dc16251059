"""What a fresh zone holds: that of a fresh iRODS zone.

Source: `icatSysInserts.sql` and `setup_irods_catalog.py`, iRODS 5.0.2.
"""

import os
from typing import Final

from grid.catalog import resources as resource_rows
from grid.catalog import users as user_rows
from grid.catalog.acls import AclStore
from grid.catalog.collections import insert as insert_collection
from grid.catalog.database import Transaction
from grid.model import ACCESS_TOKENS, Access, Collection, Resource, User

FIRST_ID: Final = 10000

_DATA_TYPES: Final = (
    "generic", "text", "ascii text", "tar file", "gzipTar", "bzip2Tar", "zipFile", "HDF5", "NeXus", "image",
    "jpeg image", "tiff image", "pdf Document", "xml", "html", "movie",
)  # fmt: skip
_RESOURCE_TYPES: Final = (
    "unixfilesystem", "memory", "passthru", "replication", "random", "deferred", "compound", "load_balanced",
    "round_robin",
)  # fmt: skip
_USER_TYPES: Final = {"rodsgroup": 200, "rodsadmin": 201, "rodsuser": 202, "groupadmin": 204}

SPECIFIC_QUERIES: Final = {
    "ls": "SELECT alias, sqlStr FROM R_SPECIFIC_QUERY",
    "lsl": "SELECT alias, sqlStr FROM R_SPECIFIC_QUERY WHERE sqlStr LIKE ?",
    "listQueryByAliasLike": "SELECT alias, sqlStr FROM R_SPECIFIC_QUERY WHERE alias LIKE ?",
    "findQueryByAlias": "SELECT sqlStr FROM R_SPECIFIC_QUERY WHERE alias = ?",
    "ShowCollAcls": (
        "SELECT u.user_name, u.zone_name, t.token_name, u.user_type_name FROM R_USER_MAIN u"
        " JOIN R_OBJT_ACCESS a ON a.user_id = u.user_id JOIN R_COLL_MAIN c ON c.coll_id = a.object_id"
        " JOIN R_TOKN_MAIN t ON t.token_id = a.access_type_id AND t.token_namespace = 'access_type'"
        " WHERE c.coll_name = ? ORDER BY u.user_name"
    ),
    "ilsLACollections": (
        "SELECT c.parent_coll_name, c.coll_name, c.create_ts, c.modify_ts, c.coll_id, c.coll_owner_name,"
        " c.coll_owner_zone, c.coll_type, u.user_name, u.zone_name, a.access_type_id, u.user_id"
        " FROM R_COLL_MAIN c JOIN R_OBJT_ACCESS a ON a.object_id = c.coll_id"
        " JOIN R_USER_MAIN u ON u.user_id = a.user_id WHERE c.parent_coll_name = ?"
        " ORDER BY c.coll_name, u.user_name, a.access_type_id DESC LIMIT ? OFFSET ?"
    ),
    "ilsLADataObjects": (
        "SELECT c.coll_name, d.data_name, d.create_ts, d.modify_ts, d.data_id, d.data_size, d.data_repl_num,"
        " d.data_owner_name, d.data_owner_zone, u.user_name, u.user_id, a.access_type_id, u.user_type_name,"
        " u.zone_name FROM R_COLL_MAIN c JOIN R_DATA_MAIN d ON d.coll_id = c.coll_id"
        " JOIN R_OBJT_ACCESS a ON a.object_id = d.data_id JOIN R_USER_MAIN u ON u.user_id = a.user_id"
        " WHERE c.coll_name = ? ORDER BY d.data_name, d.data_repl_num, u.user_name LIMIT ? OFFSET ?"
    ),
    "listGroupsForUser": (
        "SELECT g.user_id, g.user_name FROM R_USER_GROUP m JOIN R_USER_MAIN g ON g.user_id = m.group_user_id"
        " JOIN R_USER_MAIN u ON u.user_id = m.user_id"
        " WHERE g.user_type_name = 'rodsgroup' AND u.user_name = ? ORDER BY g.user_name"
    ),
    "DataObjInCollReCur": (
        "SELECT DISTINCT d.data_id, c.coll_name, d.data_name FROM R_DATA_MAIN d"
        " JOIN R_COLL_MAIN c ON c.coll_id = d.coll_id WHERE c.coll_name = ? OR c.coll_name LIKE ?"
    ),
    "listSharedCollectionsOwnedByUser": (
        "SELECT DISTINCT c.coll_id, c.parent_coll_name, c.coll_name, c.coll_owner_name, c.coll_owner_zone"
        " FROM R_COLL_MAIN c JOIN R_OBJT_ACCESS a ON a.object_id = c.coll_id"
        " JOIN R_USER_MAIN u ON u.user_id = a.user_id"
        " WHERE c.coll_owner_name = ? AND c.coll_owner_zone = ? AND u.user_name <> c.coll_owner_name"
    ),
    "listSharedCollectionsSharedWithUser": (
        "SELECT DISTINCT c.coll_id, c.parent_coll_name, c.coll_name, c.coll_owner_name, c.coll_owner_zone"
        " FROM R_COLL_MAIN c JOIN R_OBJT_ACCESS a ON a.object_id = c.coll_id"
        " JOIN R_USER_MAIN u ON u.user_id = a.user_id"
        " WHERE u.user_name = ? AND u.zone_name = ? AND c.coll_owner_name <> u.user_name"
    ),
    "listUserACLForDataObjViaGroup": (
        "SELECT u.user_name, u.zone_name, a.access_type_id FROM R_USER_MAIN u"
        " JOIN R_USER_GROUP g ON g.user_id = u.user_id JOIN R_OBJT_ACCESS a ON a.user_id = g.group_user_id"
        " JOIN R_DATA_MAIN d ON d.data_id = a.object_id JOIN R_COLL_MAIN c ON c.coll_id = d.coll_id"
        " WHERE c.coll_name = ? AND d.data_name = ? AND u.user_name = ?"
    ),
    "listUserACLForCollectionViaGroup": (
        "SELECT u.user_name, u.zone_name, a.access_type_id FROM R_USER_MAIN u"
        " JOIN R_USER_GROUP g ON g.user_id = u.user_id JOIN R_OBJT_ACCESS a ON a.user_id = g.group_user_id"
        " JOIN R_COLL_MAIN c ON c.coll_id = a.object_id WHERE c.coll_name = ? AND u.user_name = ?"
    ),
}
"""Alias to text of the queries every zone offers."""


def fill(tx: Transaction, zone: str, admin: str, sealed_password: str, vault_path: str) -> None:
    """Write the content of a fresh zone into an empty catalog."""
    now = tx.timestamp
    tx.run(
        "INSERT INTO zones (id, name, type, create_time, modify_time) VALUES (:id, :name, 'local', :now, :now)",
        {"id": tx.new_id(), "name": zone, "now": now},
    )
    _tokens(tx)
    admin_user = User(tx.new_id(), admin, zone, "rodsadmin")
    public = User(tx.new_id(), "public", zone, "rodsgroup")
    for user in (admin_user, public):
        user_rows.insert(tx, user)
    user_rows.add_member(tx, public.id, admin_user.id)
    user_rows.add_password(tx, admin_user.id, sealed_password)
    _collections(tx, zone, admin_user, public)
    _resources(tx, zone, vault_path)
    tx.run_many(
        "INSERT INTO specific_queries (alias, sql, create_time) VALUES (:alias, :sql, :now)",
        [{"alias": alias, "sql": sql, "now": now} for alias, sql in SPECIFIC_QUERIES.items()],
    )
    tx.run_many(
        "INSERT INTO grid_configuration (namespace, option_name, option_value) VALUES (:n, :o, :v)",
        [
            {"n": "database", "o": "schema_version", "v": "12"},
            {"n": "authentication", "o": "password_min_time", "v": "121"},
            {"n": "authentication", "o": "password_max_time", "v": "1209600"},
        ],
    )


def _tokens(tx: Transaction) -> None:
    rows: list[tuple[str, int, str]] = [("zone_type", 100, "local"), ("zone_type", 101, "remote")]
    rows += [("user_type", number, name) for name, number in _USER_TYPES.items()]
    rows += [("access_type", int(level), name) for level, name in ACCESS_TOKENS.items()]
    rows += [("data_type", 1600 + index, name) for index, name in enumerate(_DATA_TYPES)]
    rows += [("resc_type", 400 + index, name) for index, name in enumerate(_RESOURCE_TYPES)]
    tx.run_many(
        "INSERT INTO tokens (namespace, id, name, create_time, modify_time) VALUES (:ns, :id, :name, :now, :now)",
        [{"ns": ns, "id": number, "name": name, "now": tx.timestamp} for ns, number, name in rows],
    )


def _collections(tx: Transaction, zone: str, admin: User, public: User) -> None:
    acls = AclStore()
    owned = acls.find_or_make(tx, {admin.id: int(Access.OWN)})
    shared = acls.find_or_make(tx, {public.id: int(Access.OWN)})
    root = f"/{zone}"
    for path, acl_id in (
        ("/", owned),
        (root, owned),
        (f"{root}/home", owned),
        (f"{root}/trash", owned),
        (f"{root}/trash/home", owned),
        (f"{root}/home/public", shared),
        (f"{root}/trash/home/public", shared),
        (f"{root}/home/{admin.name}", owned),
        (f"{root}/trash/home/{admin.name}", owned),
    ):
        now = tx.timestamp
        insert_collection(
            tx, Collection(tx.new_id(), path, admin.name, zone, acl_id, False, "", "", "", now, now)
        )


def _resources(tx: Transaction, zone: str, vault_path: str) -> None:
    host = os.uname().nodename
    for name, kind, path in (
        ("bundleResc", "unixfilesystem", "/bundle"),
        ("demoResc", "unixfilesystem", vault_path),
    ):
        resource_rows.insert(tx, Resource(tx.new_id(), name, kind, host, path, "", "", None, "", ""), zone)
