"""iRODS status and API numbers, one table each.

Source: `rodsErrorTable.h` and `apiNumberData.h`, iRODS 5.0.2.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Status(IntEnum):
    """Status numbers a reply may carry. The last three digits may hold an errno: `nominal` removes it."""

    OK = 0
    SYS_SOCK_ACCEPT_ERR = -3000
    SYS_HEADER_READ_LEN_ERR = -4000
    SYS_HEADER_TYPE_LEN_ERR = -6000
    SYS_EXCEED_CONNECT_CNT = -9000
    SYS_USER_NOT_ALLOWED_TO_CONN = -10000
    SYS_UNMATCHED_API_NUM = -12000
    SYS_NO_API_PRIV = -13000
    SYS_API_INPUT_ERR = -14000
    SYS_PACK_INSTRUCT_FORMAT_ERR = -15000
    SYS_MALLOC_ERR = -16000
    SYS_FILE_DESC_OUT_OF_RANGE = -19000
    SYS_UNRECOGNIZED_REMOTE_FLAG = -20000
    SYS_OUT_OF_FILE_DESC = -21000
    SYS_SVR_TO_SVR_CONNECT_FAILED = -22000
    SYS_BAD_FILE_DESCRIPTOR = -23000
    SYS_INTERNAL_NULL_INPUT_ERR = -24000
    SYS_CONFIG_FILE_ERR = -25000
    SYS_INVALID_ZONE_NAME = -26000
    SYS_INVALID_FILE_PATH = -31000
    SYS_RESC_IS_DOWN = -32000
    SYS_INVALID_OPR_TYPE = -35000
    SYS_NO_ICAT_SERVER_ERR = -37000
    SYS_PROXYUSER_NO_PRIV = -39000
    SYS_DELETE_DISALLOWED = -41000
    SYS_SPEC_COLL_OBJ_NOT_EXIST = -56000
    SYS_NOT_SUPPORTED = -66000
    SYS_MOUNT_MOUNTED_COLL_ERR = -73000
    SYS_RESC_DOES_NOT_EXIST = -78000
    SYS_COLLECTION_NOT_EMPTY = -79000
    SYS_READ_MSG_BODY_LEN_ERR = -91000
    SYS_CANT_MV_BUNDLE_DATA_TO_TRASH = -100000
    SYS_COLL_LINK_PATH_ERR = -107000
    SYS_RESC_QUOTA_EXCEEDED = -110000
    SYS_REQUESTED_BUF_TOO_LARGE = -113000
    SYS_SOCK_READ_TIMEDOUT = -115000
    SYS_SOCK_READ_ERR = -116000
    SYS_USER_NO_PERMISSION = -121000
    CANT_REG_IN_VAULT_FILE = -128000
    SYS_INVALID_INPUT_PARAM = -130000
    SYS_INTERNAL_ERR = -154000
    SYS_PORT_RANGE_EXHAUSTED = -159000
    SYS_SOCK_CONNECT_ERR = -162000
    SYS_REPLICA_DOES_NOT_EXIST = -164000
    SYS_UNKNOWN_ERROR = -165000
    SYS_NO_GOOD_REPLICA = -166000
    SYS_LIBRARY_ERROR = -167000
    SYS_REPLICA_INACCESSIBLE = -168000
    SYS_NOT_ALLOWED = -169000
    USER_AUTH_SCHEME_ERR = -300000
    USER_RODS_HOST_EMPTY = -302000
    USER_SOCK_CONNECT_ERR = -305000
    USER_STRLEN_TOOLONG = -306000
    USER_PACKSTRUCT_INPUT_ERR = -308000
    USER_FILE_DOES_NOT_EXIST = -310000
    USER_FILE_TOO_LARGE = -311000
    OVERWRITE_WITHOUT_FORCE_FLAG = -312000
    UNMATCHED_KEY_OR_INDEX = -313000
    USER_CHKSUM_MISMATCH = -314000
    USER_BAD_KEYWORD_ERR = -315000
    USER__NULL_INPUT_ERR = -316000
    USER_INPUT_PATH_ERR = -317000
    USER_INPUT_OPTION_ERR = -318000
    USER_NO_RESC_INPUT_ERR = -321000
    USER_PARAM_TYPE_ERR = -323000
    USER_MSG_TYPE_NO_SUPPORT = -326000
    SAME_SRC_DEST_PATHS_ERR = -339000
    EXEC_CMD_OUTPUT_TOO_LARGE = -343000
    EXEC_CMD_ERROR = -344000
    BAD_INPUT_DESC_INDEX = -345000
    USER_SOCK_CONNECT_TIMEDOUT = -347000
    USER_INPUT_FORMAT_ERR = -349000
    CANT_RM_MV_BUNDLE_TYPE = -351000
    CANT_RM_NON_EMPTY_HOME_COLL = -354000
    OBJ_PATH_DOES_NOT_EXIST = -358000
    USER_INVALID_RESC_INPUT = -361000
    USER_HASH_TYPE_MISMATCH = -380000
    USER_INCOMPATIBLE_PARAMS = -402000
    USER_INVALID_REPLICA_INPUT = -404000
    INTERMEDIATE_REPLICA_ACCESS = -405000
    LOCKED_DATA_OBJECT_ACCESS = -406000
    CHECK_VERIFICATION_RESULTS = -407000
    UNIX_FILE_OPEN_ERR = -510000
    UNIX_FILE_CREATE_ERR = -511000
    UNIX_FILE_READ_ERR = -512000
    UNIX_FILE_WRITE_ERR = -513000
    UNIX_FILE_UNLINK_ERR = -515000
    UNIX_FILE_STAT_ERR = -516000
    UNIX_FILE_LSEEK_ERR = -518000
    UNIX_FILE_MKDIR_ERR = -520000
    UNIX_FILE_RENAME_ERR = -528000
    UNIX_FILE_TRUNCATE_ERR = -529000
    UNIV_MSS_STAGETOCACHE_ERR = -551000
    REPLICA_IS_BEING_STAGED = -721000
    CAT_CONNECT_ERR = -803000
    CAT_DISCONNECT_ERR = -804000
    CAT_SQL_ERR = -806000
    CAT_GET_ROW_ERR = -807000
    CAT_NO_ROWS_FOUND = -808000
    CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME = -809000
    CAT_INVALID_RESOURCE_TYPE = -810000
    CAT_INVALID_RESOURCE_CLASS = -811000
    CAT_INVALID_RESOURCE_NET_ADDR = -812000
    CAT_INVALID_RESOURCE_VAULT_PATH = -813000
    CAT_UNKNOWN_COLLECTION = -814000
    CAT_INVALID_DATA_TYPE = -815000
    CAT_INVALID_ARGUMENT = -816000
    CAT_UNKNOWN_FILE = -817000
    CAT_NO_ACCESS_PERMISSION = -818000
    CAT_SUCCESS_BUT_WITH_NO_INFO = -819000
    CAT_INVALID_USER_TYPE = -820000
    CAT_COLLECTION_NOT_EMPTY = -821000
    CAT_TOO_MANY_TABLES = -822000
    CAT_UNKNOWN_TABLE = -823000
    CAT_NOT_OPEN = -824000
    CAT_FAILED_TO_LINK_TABLES = -825000
    CAT_INVALID_AUTHENTICATION = -826000
    CAT_INVALID_USER = -827000
    CAT_INVALID_ZONE = -828000
    CAT_INVALID_GROUP = -829000
    CAT_INSUFFICIENT_PRIVILEGE_LEVEL = -830000
    CAT_INVALID_RESOURCE = -831000
    CAT_INVALID_CLIENT_USER = -832000
    CAT_NAME_EXISTS_AS_COLLECTION = -833000
    CAT_NAME_EXISTS_AS_DATAOBJ = -834000
    CAT_RESOURCE_NOT_EMPTY = -835000
    CAT_NOT_A_DATAOBJ_AND_NOT_A_COLLECTION = -836000
    CAT_RECURSIVE_MOVE = -837000
    CAT_LAST_REPLICA = -838000
    CAT_OCI_ERROR = -839000
    CAT_PASSWORD_EXPIRED = -840000
    CAT_PASSWORD_ENCODING_ERROR = -850000
    CAT_TABLE_ACCESS_DENIED = -851000
    CAT_UNKNOWN_RESOURCE = -852000
    CAT_UNKNOWN_SPECIFIC_QUERY = -853000
    CAT_PSEUDO_RESC_MODIFY_DISALLOWED = -854000
    CAT_HOSTNAME_INVALID = -855000
    CAT_BIND_VARIABLE_LIMIT_EXCEEDED = -856000
    CAT_INVALID_CHILD = -857000
    CAT_INVALID_OBJ_COUNT = -858000
    CAT_INVALID_RESOURCE_NAME = -859000
    CAT_STATEMENT_TABLE_FULL = -860000
    CAT_RESOURCE_NAME_LENGTH_EXCEEDED = -861000
    CAT_NO_CHECKSUM_FOR_REPLICA = -862000
    CAT_TICKET_INVALID = -890000
    CAT_TICKET_EXPIRED = -891000
    CAT_TICKET_USES_EXCEEDED = -892000
    CAT_TICKET_USER_EXCLUDED = -893000
    CAT_TICKET_HOST_EXCLUDED = -894000
    CAT_TICKET_GROUP_EXCLUDED = -895000
    CAT_TICKET_WRITE_USES_EXCEEDED = -896000
    CAT_TICKET_WRITE_BYTES_EXCEEDED = -897000
    FILE_OPEN_ERR = -900000
    FILE_READ_ERR = -901000
    PASSWORD_EXCEEDS_MAX_SIZE = -903000
    REMOTE_SERVER_AUTHENTICATION_FAILURE = -910000
    REMOTE_SERVER_SID_NOT_DEFINED = -913000
    PAM_AUTH_NOT_BUILT_INTO_SERVER = -992000
    PAM_AUTH_PASSWORD_FAILED = -993000
    PAM_AUTH_PASSWORD_INVALID_TTL = -994000
    NO_RULE_FOUND_ERR = -1017000
    NO_MORE_RULES_ERR = -1018000
    INPUT_ARG_NOT_WELL_FORMED_ERR = -1084000
    FAIL_ACTION_ENCOUNTERED_ERR = -1091000
    FILE_CREATE_ERROR = -1098000
    RULE_FAILED_ERR = -1101000
    NO_MICROSERVICE_FOUND_ERR = -1102000
    INVALID_OBJECT_NAME = -1104000
    NO_VALUES_FOUND = -1106000
    MSI_OPERATION_NOT_ALLOWED = -1110000
    KEY_NOT_FOUND = -1800000
    CHILD_EXISTS = -1802000
    HIERARCHY_ERROR = -1803000
    CHILD_NOT_FOUND = -1804000
    NO_NEXT_RESC_FOUND = -1805000
    CHILD_HAS_PARENT = -1812000
    DIRECT_CHILD_ACCESS = -1816000
    INVALID_ANY_CAST = -1822000
    CLIENT_NEGOTIATION_ERROR = -1824000
    SERVER_NEGOTIATION_ERROR = -1825000
    PLUGIN_ERROR_MISSING_SHARED_OBJECT = -1827000
    RULE_ENGINE_ERROR = -1828000
    USER_NOT_IN_GROUP = -1830000
    SSL_NOT_BUILT_INTO_SERVER = -2101000
    SSL_INIT_ERROR = -2102000
    SSL_HANDSHAKE_ERROR = -2103000
    SSL_SHUTDOWN_ERROR = -2104000
    SSL_CERT_ERROR = -2105000
    SYS_NULL_INPUT = -99999996


def nominal(status: int) -> int:
    """The status without the errno that its last three digits may carry."""
    return -(-status // 1000 * 1000) if status < 0 else status


class Privilege(IntEnum):
    """How much an API asks of the client and of the proxy user."""

    NONE = 0
    PUBLIC = 1
    USER = 2
    LOCAL_USER = 3
    REMOTE_PRIVILEGED = 4
    PRIVILEGED = 5


@dataclass(frozen=True, slots=True)
class Api:
    """One row of the API table: its structs, whether byte streams travel along, and who may call it."""

    number: int
    name: str
    input_struct: str | None
    takes_bytes: bool
    output_struct: str | None
    returns_bytes: bool
    client_privilege: Privilege
    proxy_privilege: Privilege


# fmt: off
_ROWS: Final = (
    (500, "FILE_CREATE_AN", "fileOpenInp_PI", False, "fileCreateOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (501, "FILE_OPEN_AN", "fileOpenInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (502, "FILE_WRITE_AN", "fileWriteInp_PI", True, None, False, "USER", "REMOTE_PRIVILEGED"),
    (503, "FILE_CLOSE_AN", "fileCloseInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (504, "FILE_LSEEK_AN", "fileLseekInp_PI", False, "fileLseekOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (505, "FILE_READ_AN", "fileReadInp_PI", False, None, True, "USER", "REMOTE_PRIVILEGED"),
    (506, "FILE_UNLINK_AN", "fileUnlinkInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (507, "FILE_MKDIR_AN", "fileMkdirInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (508, "FILE_CHMOD_AN", "fileChmodInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (509, "FILE_RMDIR_AN", "fileRmdirInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (510, "FILE_STAT_AN", "fileStatInp_PI", False, "RODS_STAT_T_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (514, "FILE_GET_FS_FREE_SPACE_AN", "fileGetFsFreeSpaceInp_PI", False, "fileGetFsFreeSpaceOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (515, "FILE_OPENDIR_AN", "fileOpendirInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (516, "FILE_CLOSEDIR_AN", "fileClosedirInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (517, "FILE_READDIR_AN", "fileReaddirInp_PI", False, "RODS_DIRENT_T_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (518, "FILE_PUT_AN", "fileOpenInp_PI", True, "filePutOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (519, "FILE_GET_AN", "fileOpenInp_PI", False, None, True, "USER", "REMOTE_PRIVILEGED"),
    (520, "FILE_CHKSUM_AN", "fileChksumInp_PI", False, "fileChksumOut_PI", False, "USER", "USER"),
    (521, "CHK_N_V_PATH_PERM_AN", "fileOpenInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (522, "FILE_RENAME_AN", "fileRenameInp_PI", False, "fileRenameOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (523, "FILE_TRUNCATE_AN", "fileOpenInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (524, "FILE_STAGE_TO_CACHE_AN", "fileStageSyncInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (525, "FILE_SYNC_TO_ARCH_AN", "fileStageSyncInp_PI", False, "fileSyncOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (601, "DATA_OBJ_CREATE_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (602, "DATA_OBJ_OPEN_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (606, "DATA_OBJ_PUT_AN", "DataObjInp_PI", True, "PortalOprOut_PI", False, "USER", "USER"),
    (607, "DATA_PUT_AN", "DataOprInp_PI", False, "PortalOprOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (608, "DATA_OBJ_GET_AN", "DataObjInp_PI", False, "PortalOprOut_PI", True, "USER", "USER"),
    (609, "DATA_GET_AN", "DataOprInp_PI", False, "PortalOprOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (611, "DATA_COPY_AN", "DataCopyInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (615, "DATA_OBJ_UNLINK_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (619, "REG_DATA_OBJ_AN", "DataObjInfo_PI", False, "DataObjInfo_PI", False, "USER", "USER"),
    (620, "UNREG_DATA_OBJ_AN", "UnregDataObj_PI", False, None, False, "USER", "USER"),
    (621, "REG_REPLICA_AN", "RegReplica_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (622, "MOD_DATA_OBJ_META_AN", "ModDataObjMeta_PI", False, None, False, "USER", "USER"),
    (623, "RULE_EXEC_SUBMIT_AN", "RULE_EXEC_SUBMIT_INP_PI", False, "IRODS_STR_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (624, "RULE_EXEC_DEL_AN", "RULE_EXEC_DEL_INP_PI", False, None, False, "USER", "LOCAL_USER"),
    (625, "EXEC_MY_RULE_AN", "ExecMyRuleInp_PI", False, "MsParamArray_PI", False, "USER", "USER"),
    (626, "OPR_COMPLETE_AN", "INT_PI", False, None, False, "USER", "USER"),
    (627, "DATA_OBJ_RENAME_AN", "DataObjCopyInp_PI", False, None, False, "USER", "USER"),
    (628, "DATA_OBJ_RSYNC_AN", "DataObjInp_PI", False, "MsParamArray_PI", False, "USER", "USER"),
    (629, "DATA_OBJ_CHKSUM_AN", "DataObjInp_PI", False, "STR_PI", False, "USER", "USER"),
    (630, "PHY_PATH_REG_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (632, "DATA_OBJ_TRIM_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (633, "OBJ_STAT_AN", "DataObjInp_PI", False, "RodsObjStat_PI", False, "USER", "USER"),
    (635, "SUB_STRUCT_FILE_CREATE_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (636, "SUB_STRUCT_FILE_OPEN_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (637, "SUB_STRUCT_FILE_READ_AN", "SubStructFileFdOpr_PI", False, None, True, "USER", "REMOTE_PRIVILEGED"),
    (638, "SUB_STRUCT_FILE_WRITE_AN", "SubStructFileFdOpr_PI", True, None, False, "USER", "REMOTE_PRIVILEGED"),
    (639, "SUB_STRUCT_FILE_CLOSE_AN", "SubStructFileFdOpr_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (640, "SUB_STRUCT_FILE_UNLINK_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (641, "SUB_STRUCT_FILE_STAT_AN", "SubFile_PI", False, "RODS_STAT_T_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (643, "SUB_STRUCT_FILE_LSEEK_AN", "SubStructFileLseekInp_PI", False, "fileLseekOut_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (644, "SUB_STRUCT_FILE_RENAME_AN", "SubStructFileRenameInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (645, "QUERY_SPEC_COLL_AN", "DataObjInp_PI", False, "GenQueryOut_PI", False, "USER", "USER"),
    (647, "SUB_STRUCT_FILE_MKDIR_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (648, "SUB_STRUCT_FILE_RMDIR_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (649, "SUB_STRUCT_FILE_OPENDIR_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (650, "SUB_STRUCT_FILE_READDIR_AN", "SubStructFileFdOpr_PI", False, "RODS_DIRENT_T_PI", False, "USER", "REMOTE_PRIVILEGED"),
    (651, "SUB_STRUCT_FILE_CLOSEDIR_AN", "SubStructFileFdOpr_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (652, "DATA_OBJ_TRUNCATE_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (653, "SUB_STRUCT_FILE_TRUNCATE_AN", "SubFile_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (657, "SUB_STRUCT_FILE_GET_AN", "SubFile_PI", False, None, True, "USER", "USER"),
    (658, "SUB_STRUCT_FILE_PUT_AN", "SubFile_PI", True, None, False, "USER", "USER"),
    (659, "SYNC_MOUNTED_COLL_AN", "DataObjInp_PI", False, None, False, "USER", "USER"),
    (660, "STRUCT_FILE_SYNC_AN", "StructFileOprInp_PI", False, None, False, "USER", "USER"),
    (661, "CLOSE_COLLECTION_AN", "INT_PI", False, None, False, "USER", "USER"),
    (664, "STRUCT_FILE_EXTRACT_AN", "StructFileOprInp_PI", False, None, False, "USER", "USER"),
    (665, "STRUCT_FILE_EXT_AND_REG_AN", "StructFileExtAndRegInp_PI", False, None, False, "USER", "USER"),
    (666, "STRUCT_FILE_BUNDLE_AN", "StructFileExtAndRegInp_PI", False, None, False, "USER", "USER"),
    (667, "CHK_OBJ_PERM_AND_STAT_AN", "ChkObjPermAndStat_PI", False, None, False, "USER", "USER"),
    (668, "GET_REMOTE_ZONE_RESC_AN", "DataObjInp_PI", False, "RHostAddr_PI", False, "USER", "USER"),
    (669, "DATA_OBJ_OPEN_AND_STAT_AN", "DataObjInp_PI", False, "OpenStat_PI", False, "USER", "USER"),
    (670, "L3_FILE_GET_SINGLE_BUF_AN", "INT_PI", False, None, True, "USER", "USER"),
    (671, "L3_FILE_PUT_SINGLE_BUF_AN", "INT_PI", True, None, False, "USER", "USER"),
    (672, "DATA_OBJ_CREATE_AND_STAT_AN", "DataObjInp_PI", False, "OpenStat_PI", False, "USER", "USER"),
    (673, "DATA_OBJ_CLOSE_AN", "OpenedDataObjInp_PI", False, None, False, "USER", "USER"),
    (674, "DATA_OBJ_LSEEK_AN", "OpenedDataObjInp_PI", False, "fileLseekOut_PI", False, "USER", "USER"),
    (675, "DATA_OBJ_READ_AN", "OpenedDataObjInp_PI", False, None, True, "USER", "USER"),
    (676, "DATA_OBJ_WRITE_AN", "OpenedDataObjInp_PI", True, None, False, "USER", "USER"),
    (677, "COLL_REPL_AN", "CollInpNew_PI", False, "CollOprStat_PI", False, "USER", "USER"),
    (678, "OPEN_COLLECTION_AN", "CollInpNew_PI", False, None, False, "USER", "USER"),
    (679, "RM_COLL_AN", "CollInpNew_PI", False, "CollOprStat_PI", False, "USER", "USER"),
    (680, "MOD_COLL_AN", "CollInpNew_PI", False, None, False, "USER", "USER"),
    (681, "COLL_CREATE_AN", "CollInpNew_PI", False, None, False, "USER", "USER"),
    (683, "REG_COLL_AN", "CollInpNew_PI", False, None, False, "USER", "USER"),
    (685, "UNBUN_AND_REG_PHY_BUNFILE_AN", "DataObjInp_PI", False, None, False, "USER", "REMOTE_PRIVILEGED"),
    (686, "GET_HOST_FOR_PUT_AN", "DataObjInp_PI", False, "STR_PI", False, "USER", "USER"),
    (687, "GET_RESC_QUOTA_AN", "getRescQuotaInp_PI", False, "rescQuota_PI", False, "USER", "USER"),
    (688, "BULK_DATA_OBJ_REG_AN", "GenQueryOut_PI", False, "GenQueryOut_PI", False, "USER", "USER"),
    (689, "BULK_DATA_OBJ_PUT_AN", "BulkOprInp_PI", True, None, False, "USER", "USER"),
    (690, "PROC_STAT_AN", "ProcStatInp_PI", False, "GenQueryOut_PI", False, "USER", "USER"),
    (691, "STREAM_READ_AN", "fileReadInp_PI", False, None, True, "USER", "USER"),
    (692, "EXEC_CMD_AN", "ExecCmd_PI", False, "ExecCmdOut_PI", False, "USER", "USER"),
    (693, "STREAM_CLOSE_AN", "fileCloseInp_PI", False, None, False, "USER", "USER"),
    (694, "GET_HOST_FOR_GET_AN", "DataObjInp_PI", False, "STR_PI", False, "USER", "USER"),
    (695, "DATA_OBJ_REPL_AN", "DataObjInp_PI", False, "TransferStat_PI", False, "USER", "USER"),
    (696, "DATA_OBJ_COPY_AN", "DataObjCopyInp_PI", False, "TransferStat_PI", False, "USER", "USER"),
    (697, "DATA_OBJ_PHYMV_AN", "DataObjInp_PI", False, "TransferStat_PI", False, "USER", "USER"),
    (700, "GET_MISC_SVR_INFO_AN", None, False, "MiscSvrInfo_PI", False, "NONE", "NONE"),
    (701, "GENERAL_ADMIN_AN", "generalAdminInp_PI", False, None, False, "PRIVILEGED", "PRIVILEGED"),
    (702, "GEN_QUERY_AN", "GenQueryInp_PI", False, "GenQueryOut_PI", False, "USER", "USER"),
    (703, "AUTH_REQUEST_AN", None, False, "authRequestOut_PI", False, "NONE", "NONE"),
    (704, "AUTH_RESPONSE_AN", "authResponseInp_PI", False, None, False, "NONE", "NONE"),
    (705, "AUTH_CHECK_AN", "authCheckInp_PI", False, "authCheckOut_PI", False, "NONE", "NONE"),
    (706, "MOD_AVU_METADATA_AN", "ModAVUMetadataInp_PI", False, None, False, "USER", "USER"),
    (707, "MOD_ACCESS_CONTROL_AN", "modAccessControlInp_PI", False, None, False, "USER", "USER"),
    (708, "RULE_EXEC_MOD_AN", "RULE_EXEC_MOD_INP_PI", False, None, False, "LOCAL_USER", "PRIVILEGED"),
    (709, "GET_TEMP_PASSWORD_AN", None, False, "getTempPasswordOut_PI", False, "USER", "USER"),
    (713, "READ_COLLECTION_AN", "INT_PI", False, "CollEnt_PI", False, "USER", "USER"),
    (714, "USER_ADMIN_AN", "userAdminInp_PI", False, None, False, "USER", "USER"),
    (718, "END_TRANSACTION_AN", "endTransactionInp_PI", False, None, False, "USER", "USER"),
    (722, "SPECIFIC_QUERY_AN", "specificQueryInp_PI", False, "GenQueryOut_PI", False, "USER", "USER"),
    (723, "TICKET_ADMIN_AN", "ticketAdminInp_PI", False, None, False, "USER", "USER"),
    (724, "GET_TEMP_PASSWORD_FOR_OTHER_AN", "getTempPasswordForOtherInp_PI", False, "getTempPasswordForOtherOut_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (725, "PAM_AUTH_REQUEST_AN", "pamAuthRequestInp_PI", False, "pamAuthRequestOut_PI", False, "NONE", "NONE"),
    (726, "GET_LIMITED_PASSWORD_AN", "getLimitedPasswordInp_PI", False, "getLimitedPasswordOut_PI", False, "USER", "USER"),
    (800, "CHECK_AUTH_CREDENTIALS_AN", "CheckAuthCredentialsInput_PI", False, "INT_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (801, "GET_LIBRARY_FEATURES_AN", None, False, "STR_PI", False, "NONE", "NONE"),
    (802, "REPLICA_TRUNCATE_AN", "DataObjInp_PI", False, "STR_PI", False, "USER", "USER"),
    (1100, "SSL_START_AN", "sslStartInp_PI", False, None, False, "NONE", "NONE"),
    (1101, "SSL_END_AN", "sslEndInp_PI", False, None, False, "NONE", "NONE"),
    (1201, "AUTH_PLUG_REQ_AN", "authPlugReqInp_PI", False, "authPlugReqOut_PI", False, "NONE", "NONE"),
    (1203, "GET_HIER_FOR_RESC_AN", "getHierarchyForRescInp_PI", False, "getHierarchyForRescOut_PI", False, "NONE", "NONE"),
    (1204, "GET_HIER_FROM_LEAF_ID_AN", "GetHierInp_PI", False, "GetHierOut_PI", False, "USER", "USER"),
    (1206, "EXEC_RULE_EXPRESSION_AN", "ExecRuleExpression_PI", False, None, False, "LOCAL_USER", "LOCAL_USER"),
    (10204, "SERVER_REPORT_AN", None, False, "BytesBuf_PI", False, "REMOTE_PRIVILEGED", "REMOTE_PRIVILEGED"),
    (10205, "ZONE_REPORT_AN", None, False, "BytesBuf_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (10215, "CLIENT_HINTS_AN", None, False, "BytesBuf_PI", False, "USER", "USER"),
    (10220, "GET_RESOURCE_INFO_FOR_OPERATION_AN", "DataObjInp_PI", False, "STR_PI", False, "USER", "USER"),
    (10221, "GENQUERY2_AN", "Genquery2Input_PI", False, "STR_PI", False, "USER", "USER"),
    (10222, "DELAY_RULE_LOCK_AN", "DelayRuleLockInput_PI", False, None, False, "PRIVILEGED", "PRIVILEGED"),
    (10223, "DELAY_RULE_UNLOCK_AN", "DelayRuleUnlockInput_PI", False, None, False, "PRIVILEGED", "PRIVILEGED"),
    (10224, "UPDATE_REPLICA_ACCESS_TIME_AN", "BinBytesBuf_PI", False, "STR_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (20000, "GET_FILE_DESCRIPTOR_INFO_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20001, "DATA_OBJECT_MODIFY_INFO_APN", "ModDataObjMeta_PI", False, None, False, "USER", "USER"),
    (20002, "ATOMIC_APPLY_METADATA_OPERATIONS_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20003, "REPLICA_OPEN_APN", "DataObjInp_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20004, "REPLICA_CLOSE_APN", "BinBytesBuf_PI", False, None, False, "USER", "USER"),
    (20005, "ATOMIC_APPLY_ACL_OPERATIONS_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20006, "DATA_OBJECT_FINALIZE_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20007, "TOUCH_APN", "BinBytesBuf_PI", False, None, False, "USER", "USER"),
    (20008, "REGISTER_PHYSICAL_PATH_APN", "DataObjInp_PI", False, "BinBytesBuf_PI", False, "USER", "USER"),
    (20009, "GET_GRID_CONFIGURATION_VALUE_APN", "GridConfigurationInp_PI", False, "GridConfigurationOut_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (20010, "SET_GRID_CONFIGURATION_VALUE_APN", "GridConfigurationInp_PI", False, None, False, "PRIVILEGED", "PRIVILEGED"),
    (20011, "SET_DELAY_SERVER_MIGRATION_INFO_APN", "DelayServerMigrationInp_PI", False, None, False, "PRIVILEGED", "PRIVILEGED"),
    (20012, "SWITCH_USER_APN", "SwitchUserInp_PI", False, None, False, "NONE", "NONE"),
    (20013, "GET_DELAY_RULE_INFO_APN", "STR_PI", False, "BinBytesBuf_PI", False, "PRIVILEGED", "PRIVILEGED"),
    (110000, "AUTHENTICATION_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "NONE", "NONE"),
    (120000, "ADAPTER_APN", "BinBytesBuf_PI", False, "BinBytesBuf_PI", False, "NONE", "NONE"),
)
# fmt: on

APIS: Final = MappingProxyType(
    {
        row[0]: Api(row[0], row[1], row[2], row[3], row[4], row[5], Privilege[row[6]], Privilege[row[7]])
        for row in _ROWS
    }
)
"""API number to its row."""
