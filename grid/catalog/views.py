"""The `R_*` views: the catalog as iRODS shows it, for specific queries.

They are dropped and made again by every migration, hold no password, key or session, and are all that the
connection of a specific query can read.

Source: `icatSysTables.sql`, iRODS 5.0.2.
"""

from typing import Final

POSTGRES_ROLE: Final = "beamgrid_views"

VIEWS: Final = {
    "R_ZONE_MAIN": """
        SELECT id AS zone_id, name AS zone_name, type AS zone_type_name, connection AS zone_conn_string,
               comment AS r_comment, create_time AS create_ts, modify_time AS modify_ts FROM zones""",
    "R_USER_MAIN": """
        SELECT id AS user_id, name AS user_name, type AS user_type_name, zone AS zone_name,
               info AS user_info, comment AS r_comment, create_time AS create_ts,
               modify_time AS modify_ts FROM users""",
    "R_USER_GROUP": """
        SELECT group_id AS group_user_id, user_id, create_time AS create_ts, modify_time AS modify_ts
        FROM group_members""",
    "R_USER_AUTH": """
        SELECT user_id, name AS user_auth_name, create_time AS create_ts FROM user_auths""",
    "R_RESC_MAIN": """
        SELECT id AS resc_id, name AS resc_name, zone AS zone_name, type AS resc_type_name,
               class AS resc_class_name, host AS resc_net, vault_path AS resc_def_path, free_space,
               free_space_time AS free_space_ts, info AS resc_info, comment AS r_comment,
               status AS resc_status, create_time AS create_ts, modify_time AS modify_ts,
               '' AS resc_children, context AS resc_context,
               COALESCE(CAST(parent_id AS TEXT), '') AS resc_parent, parent_context AS resc_parent_context,
               modify_millis AS modify_ts_millis FROM resources""",
    "R_COLL_MAIN": """
        SELECT id AS coll_id, parent_path AS parent_coll_name, path AS coll_name,
               owner_name AS coll_owner_name, owner_zone AS coll_owner_zone, 0 AS coll_map_id,
               CASE WHEN inherit = 1 THEN '1' ELSE '' END AS coll_inheritance, type AS coll_type,
               info1 AS coll_info1, info2 AS coll_info2, comment AS r_comment,
               create_time AS create_ts, modify_time AS modify_ts FROM collections""",
    "R_DATA_MAIN": """
        SELECT d.id AS data_id, d.collection_id AS coll_id, d.name AS data_name,
               r.number AS data_repl_num, '0' AS data_version, r.data_type AS data_type_name,
               r.size_bytes AS data_size, s.name AS resc_name, r.physical_path AS data_path,
               d.owner_name AS data_owner_name, d.owner_zone AS data_owner_zone,
               r.status AS data_is_dirty, r.status_note AS data_status, r.checksum AS data_checksum,
               r.expiry_time AS data_expiry_ts, 0 AS data_map_id, r.mode AS data_mode,
               r.comments AS r_comment, r.create_time AS create_ts, r.modify_time AS modify_ts,
               r.resource_id AS resc_id, r.access_time AS access_ts
        FROM data_objects d JOIN replicas r ON r.data_id = d.id JOIN resources s ON s.id = r.resource_id""",
    "R_META_MAIN": """
        SELECT id AS meta_id, '' AS meta_namespace, attribute AS meta_attr_name, value AS meta_attr_value,
               unit AS meta_attr_unit, '' AS r_comment, create_time AS create_ts,
               modify_time AS modify_ts FROM avus""",
    "R_OBJT_METAMAP": """
        SELECT entity_id AS object_id, avu_id AS meta_id, create_time AS create_ts,
               modify_time AS modify_ts FROM avu_links""",
    "R_OBJT_ACCESS": """
        SELECT d.id AS object_id, e.user_id, e.level AS access_type_id, '' AS create_ts, '' AS modify_ts
        FROM data_objects d JOIN acl_entries e ON e.acl_id = d.acl_id JOIN users u ON u.id = e.user_id
        UNION ALL
        SELECT c.id, e.user_id, e.level, '', ''
        FROM collections c JOIN acl_entries e ON e.acl_id = c.acl_id JOIN users u ON u.id = e.user_id""",
    "R_TOKN_MAIN": """
        SELECT namespace AS token_namespace, id AS token_id, name AS token_name, value AS token_value,
               value2 AS token_value2, value3 AS token_value3, comment AS r_comment,
               create_time AS create_ts, modify_time AS modify_ts FROM tokens""",
    "R_SPECIFIC_QUERY": """
        SELECT alias, sql AS sqlStr, create_time AS create_ts FROM specific_queries""",
    "R_QUOTA_MAIN": """
        SELECT user_id, resource_id AS resc_id, limit_bytes AS quota_limit, over_bytes AS quota_over,
               modify_time AS modify_ts FROM quotas""",
    "R_GRID_CONFIGURATION": """
        SELECT namespace, option_name, option_value FROM grid_configuration""",
    "R_RULE_EXEC": """
        SELECT id AS rule_exec_id, name AS rule_name, '' AS rei_file_path, user_name,
               '' AS exe_address, CAST(CAST(not_before AS BIGINT) AS TEXT) AS exe_time,
               '' AS exe_frequency, '5' AS priority, '' AS estimated_exe_time, '' AS notification_addr,
               '' AS last_exe_time, state AS exe_status, '' AS lock_host, '' AS lock_host_pid,
               '' AS lock_ts, '' AS exe_context FROM jobs WHERE state IN ('waiting', 'running')""",
}
"""View name to its query, the same text on both databases."""


def create_statements() -> list[str]:
    """What makes the views."""
    return [f"CREATE VIEW {name} AS {query}" for name, query in VIEWS.items()]


def drop_statements() -> list[str]:
    """What removes the views, whether they are there or not."""
    return [f"DROP VIEW IF EXISTS {name}" for name in VIEWS]
