"""Every packing instruction of the protocol, declared once.

Each entry is the wire format of one struct in iRODS's own notation: the order of the items is the order
on the wire. `packing` compiles these lines into the XML and the native codec; nothing else in the project
describes a message.

Source: `lib/core/include/irods/rodsPackInstruct.h` and the headers of the API plug-ins, iRODS 5.0.2.
"""

from types import MappingProxyType
from typing import Final

STRUCTS: Final = MappingProxyType(
    {
        "IRODS_STR_PI": "str myStr[MAX_NAME_LEN];",
        "STR_PI": "str myStr;",
        "CHAR_PI": "char myChar;",
        "STR_PTR_PI": "str *myStr;",
        "PI_STR_PI": "piStr myStr[MAX_NAME_LEN];",
        "INT_PI": "int myInt;",
        "INT16_PI": "int16 myInt;",
        "BUF_LEN_PI": "int myInt;",
        "DOUBLE_PI": "double myDouble;",
        "MsgHeader_PI": "str type[HEADER_TYPE_LEN]; int msgLen; int errorLen; int bsLen; int intInfo;",
        "StartupPack_PI": (
            "int irodsProt; int reconnFlag; int connectCnt; str proxyUser[NAME_LEN]; "
            "str proxyRcatZone[NAME_LEN]; str clientUser[NAME_LEN]; str clientRcatZone[NAME_LEN]; "
            "str relVersion[NAME_LEN]; str apiVersion[NAME_LEN]; str option[LONG_NAME_LEN];"
        ),
        "Version_PI": (
            "int status; str relVersion[NAME_LEN]; str apiVersion[NAME_LEN]; int reconnPort; "
            "str reconnAddr[LONG_NAME_LEN]; int cookie;"
        ),
        "RErrMsg_PI": "int status; str msg[ERR_MSG_LEN];",
        "RError_PI": "int count; struct *RErrMsg_PI[count];",
        "RHostAddr_PI": "str hostAddr[LONG_NAME_LEN]; str rodsZone[NAME_LEN]; int port; int dummyInt;",
        "RODS_STAT_T_PI": (
            "double st_size; int st_dev; int st_ino; int st_mode; int st_nlink; int st_uid; "
            "int st_gid; int st_rdev; int st_atim; int st_mtim; int st_ctim; int st_blksize; "
            "int st_blocks;"
        ),
        "RODS_DIRENT_T_PI": "int d_offset; int d_ino; int d_reclen; int d_namlen; str d_name[DIR_LEN];",
        "KeyValPair_PI": "int ssLen; str *keyWord[ssLen]; str *svalue[ssLen];",
        "CS_NEG_PI": "int status; str result[MAX_NAME_LEN];",
        "InxIvalPair_PI": "int iiLen; int *inx(iiLen); int *ivalue(iiLen);",
        "InxValPair_PI": "int isLen; int *inx(isLen); str *svalue[isLen];",
        "DataObjInp_PI": (
            "str objPath[MAX_NAME_LEN]; int createMode; int openFlags; double offset; "
            "double dataSize; int numThreads; int oprType; struct *SpecColl_PI; "
            "struct KeyValPair_PI;"
        ),
        "OpenedDataObjInp_PI": (
            "int l1descInx; int len; int whence; int oprType; double offset; double bytesWritten; "
            "struct KeyValPair_PI;"
        ),
        "PortList_PI": "int portNum; int cookie; int sock; int windowSize; str hostAddr[LONG_NAME_LEN];",
        "PortalOprOut_PI": "int status; int l1descInx; int numThreads; str chksum[NAME_LEN]; struct PortList_PI;",
        "DataOprInp_PI": (
            "int oprType; int numThreads; int srcL3descInx; int destL3descInx; "
            "int srcRescTypeInx; int destRescTypeInx; double offset; double dataSize; "
            "struct KeyValPair_PI;"
        ),
        "CollInpNew_PI": "str collName[MAX_NAME_LEN]; int flags; int oprType; struct KeyValPair_PI;",
        "GenQueryInp_PI": (
            "int maxRows; int continueInx; int partialStartIndex; int options; "
            "struct KeyValPair_PI; struct InxIvalPair_PI; struct InxValPair_PI;"
        ),
        "SqlResult_PI": "int attriInx; int reslen; str *value(rowCnt)(reslen);",
        "GenQueryOut_PI": (
            "int rowCnt; int attriCnt; int continueInx; int totalRowCount; struct SqlResult_PI[MAX_SQL_ATTR];"
        ),
        "GenArraysInp_PI": (
            "int rowCnt; int attriCnt; int continueInx; int totalRowCount; struct KeyValPair_PI; "
            "struct SqlResult_PI[MAX_SQL_ATTR];"
        ),
        "DataObjInfo_PI": (
            "str objPath[MAX_NAME_LEN]; str rescName[NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "str dataType[NAME_LEN]; double dataSize; str chksum[NAME_LEN]; "
            "str version[NAME_LEN]; str filePath[MAX_NAME_LEN]; str dataOwnerName[NAME_LEN]; "
            "str dataOwnerZone[NAME_LEN]; int replNum; int replStatus; "
            "str statusString[NAME_LEN]; double dataId; double collId; int dataMapId; int flags; "
            "str dataComments[LONG_NAME_LEN]; str dataMode[SHORT_STR_LEN]; "
            "str dataExpiry[TIME_LEN]; str dataCreate[TIME_LEN]; str dataModify[TIME_LEN]; "
            "str dataAccess[NAME_LEN]; int dataAccessInx; int writeFlag; "
            "str destRescName[NAME_LEN]; str backupRescName[NAME_LEN]; str subPath[MAX_NAME_LEN]; "
            "int *specColl; int regUid; int otherFlags; struct KeyValPair_PI; "
            "str in_pdmo[MAX_NAME_LEN]; int *next; double rescId; str dataAccessTime[TIME_LEN];"
        ),
        "TransStat_PI": "int numThreads; double bytesWritten;",
        "TransferStat_PI": "int numThreads; int flags; double bytesWritten;",
        "AuthInfo_PI": (
            "str authScheme[NAME_LEN]; int authFlag; int flag; int ppid; str host[NAME_LEN]; "
            "str authStr[NAME_LEN];"
        ),
        "UserOtherInfo_PI": (
            "str userInfo[NAME_LEN]; str userComments[NAME_LEN]; str userCreate[TIME_LEN]; "
            "str userModify[TIME_LEN];"
        ),
        "UserInfo_PI": (
            "str userName[NAME_LEN]; str rodsZone[NAME_LEN]; str userType[NAME_LEN]; int sysUid; "
            "struct AuthInfo_PI; struct UserOtherInfo_PI;"
        ),
        "CollInfo_PI": (
            "double collId; str collName[MAX_NAME_LEN]; str collParentName[MAX_NAME_LEN]; "
            "str collOwnerName[NAME_LEN]; str collOwnerZone[NAME_LEN]; int collMapId; "
            "int collAccessInx; str collComments[LONG_NAME_LEN]; "
            "str collInheritance[LONG_NAME_LEN]; str collExpiry[TIME_LEN]; "
            "str collCreate[TIME_LEN]; str collModify[TIME_LEN]; str collAccess[NAME_LEN]; "
            "str collType[NAME_LEN]; str collInfo1[MAX_NAME_LEN]; str collInfo2[MAX_NAME_LEN]; "
            "struct KeyValPair_PI; int *next;"
        ),
        "Rei_PI": (
            "int status; str statusStr[MAX_NAME_LEN]; str ruleName[NAME_LEN]; int *rsComm; "
            "str pluginInstanceName[MAX_NAME_LEN]; struct *MsParamArray_PI; "
            "struct MsParamArray_PI; int l1descInx; struct *DataObjInp_PI; "
            "struct *DataObjInfo_PI; str rescName[NAME_LEN]; struct *UserInfo_PI; "
            "struct *UserInfo_PI; struct *CollInfo_PI; struct *UserInfo_PI; "
            "struct *KeyValPair_PI; str ruleSet[RULE_SET_DEF_LENGTH]; int *next;"
        ),
        "ReArg_PI": "int myArgc; str *myArgv[myArgc];",
        "ReiAndArg_PI": "struct *Rei_PI; struct ReArg_PI;",
        "BytesBuf_PI": "int buflen; char *buf(buflen);",
        "charDataArray_PI": "int type; int len; char *buf(len);",
        "strDataArray_PI": "int type; int len; str *buf[len];",
        "intDataArray_PI": "int type; int len; int *buf(len);",
        "int16DataArray_PI": "int type; int len; int16 *buf(len);",
        "int64DataArray_PI": "int type; int len; double *buf(len);",
        "BinBytesBuf_PI": "int buflen; bin *buf(buflen);",
        "MsParam_PI": "str *label; piStr *type; ?type *inOutStruct; struct *BinBytesBuf_PI;",
        "MsParamArray_PI": "int paramLen; int oprType; struct *MsParam_PI[paramLen];",
        "TagStruct_PI": "int ssLen; str *preTag[ssLen]; str *postTag[ssLen]; str *keyWord[ssLen];",
        "RodsObjStat_PI": (
            "double objSize; int objType; int dataMode; str dataId[NAME_LEN]; "
            "str chksum[NAME_LEN]; str ownerName[NAME_LEN]; str ownerZone[NAME_LEN]; "
            "str createTime[TIME_LEN]; str modifyTime[TIME_LEN]; struct *SpecColl_PI;"
        ),
        "ReconnMsg_PI": "int status; int cookie; int procState; int flag;",
        "VaultPathPolicy_PI": "int scheme; int addUserName; int trimDirCnt;",
        "StrArray_PI": "int len; int size; str *value(len)(size);",
        "IntArray_PI": "int len; int *value(len);",
        "SpecColl_PI": (
            "int collClass; int type; str collection[MAX_NAME_LEN]; str objPath[MAX_NAME_LEN]; "
            "str resource[NAME_LEN]; str rescHier[MAX_NAME_LEN]; str phyPath[MAX_NAME_LEN]; "
            "str cacheDir[MAX_NAME_LEN]; int cacheDirty; int replNum;"
        ),
        "SubFile_PI": (
            "struct RHostAddr_PI; str subFilePath[MAX_NAME_LEN]; int mode; int flags; "
            "double offset; struct *SpecColl_PI;"
        ),
        "CollEnt_PI": (
            "int objType; int replNum; int replStatus; int dataMode; double dataSize; "
            "str $collName; str $dataName; str $dataId; str $createTime; str $modifyTime; "
            "str $chksum; str $resource; str $resc_hier; str $phyPath; str $ownerName; "
            "str $dataType; struct SpecColl_PI;"
        ),
        "CollOprStat_PI": "int filesCnt; int totalFileCnt; double bytesWritten; str lastObjPath[MAX_NAME_LEN];",
        "DataSeg_PI": "double len; double offset;",
        "FileRestartInfo_PI": (
            "str fileName[MAX_NAME_LEN]; str objPath[MAX_NAME_LEN]; int numSeg; int flags; "
            "double fileSize; struct DataSeg_PI[numSeg];"
        ),
        "authCheckInp_PI": "str *challenge; str *response; str *username;",
        "authCheckOut_PI": "int privLevel; int clientPrivLevel; str *serverResponse;",
        "authPlugReqInp_PI": "str auth_scheme_[MAX_NAME_LEN]; str context_[MAX_NAME_LEN];",
        "authPlugReqOut_PI": "str result_[MAX_NAME_LEN];",
        "authRequestOut_PI": "bin *challenge(CHALLENGE_LEN);",
        "authResponseInp_PI": "bin *response(RESPONSE_LEN); str *username;",
        "BulkOprInp_PI": "str objPath[MAX_NAME_LEN]; struct GenQueryOut_PI; struct KeyValPair_PI;",
        "CheckAuthCredentialsInput_PI": "str username[64]; str zone[64]; str password[250];",
        "ChkObjPermAndStat_PI": (
            "str objPath[MAX_NAME_LEN]; str permission[NAME_LEN]; int flags; int status; "
            "struct KeyValPair_PI;"
        ),
        "DataCopyInp_PI": "struct DataOprInp_PI; struct PortalOprOut_PI;",
        "DataObjCopyInp_PI": "struct DataObjInp_PI; struct DataObjInp_PI;",
        "OpenStat_PI": (
            "double dataSize; str dataType[NAME_LEN]; str dataMode[SHORT_STR_LEN]; int l3descInx; "
            "int replStatus; int rescTypeInx; int replNum;"
        ),
        "DelayRuleLockInput_PI": "str rule_id[32]; str lock_host[300]; int lock_host_pid; struct KeyValPair_PI;",
        "DelayRuleUnlockInput_PI": "str *rule_ids; struct KeyValPair_PI;",
        "endTransactionInp_PI": "str *arg0; str *arg1;",
        "ExecCmd_PI": (
            "str cmd[LONG_NAME_LEN]; str cmdArgv[HUGE_NAME_LEN]; str execAddr[LONG_NAME_LEN]; "
            "str hintPath[MAX_NAME_LEN]; int addPathToArgv; int dummy; struct KeyValPair_PI;"
        ),
        "ExecCmdOut_PI": "struct BinBytesBuf_PI; struct BinBytesBuf_PI; int status;",
        "ExecMyRuleInp_PI": (
            "str myRule[META_STR_LEN]; struct RHostAddr_PI; struct KeyValPair_PI; "
            "str outParamDesc[LONG_NAME_LEN]; struct *MsParamArray_PI;"
        ),
        "ExecRuleExpression_PI": "struct BytesBuf_PI; struct BytesBuf_PI; struct *MsParamArray_PI;",
        "fileChksumInp_PI": (
            "struct RHostAddr_PI; str fileName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; int flags; str in_pdmo[MAX_NAME_LEN]; "
            "str orig_chksum[NAME_LEN]; double dataSize; struct KeyValPair_PI;"
        ),
        "fileChksumOut_PI": "str chksumStr[NAME_LEN];",
        "fileChmodInp_PI": (
            "struct RHostAddr_PI; str fileName[MAX_NAME_LEN]; int mode; "
            "str rescHier[MAX_NAME_LEN]; str objPath[MAX_NAME_LEN];"
        ),
        "fileCloseInp_PI": "int fileInx; str in_pdmo[MAX_NAME_LEN];",
        "fileClosedirInp_PI": "int fileInx;",
        "fileCreateOut_PI": "str file_name[MAX_NAME_LEN];",
        "fileGetFsFreeSpaceInp_PI": (
            "struct RHostAddr_PI; str fileName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; int flag;"
        ),
        "fileGetFsFreeSpaceOut_PI": "double size;",
        "fileLseekInp_PI": "int fileInx; double offset; int whence;",
        "fileLseekOut_PI": "double offset;",
        "fileMkdirInp_PI": (
            "struct RHostAddr_PI; str dirName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "int mode; struct KeyValPair_PI;"
        ),
        "fileOpenInp_PI": (
            "str resc_name_[MAX_NAME_LEN]; str resc_hier_[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; int otherFlags; struct RHostAddr_PI; "
            "str fileName[MAX_NAME_LEN]; int flags; int mode; double dataSize; "
            "struct KeyValPair_PI; str in_pdmo[MAX_NAME_LEN];"
        ),
        "fileOpendirInp_PI": (
            "str resc_name_[MAX_NAME_LEN]; str resc_hier_[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; struct RHostAddr_PI; str dirName[MAX_NAME_LEN];"
        ),
        "filePutOut_PI": "str file_name[MAX_NAME_LEN];",
        "fileReadInp_PI": "int fileInx; int len;",
        "fileReaddirInp_PI": "int fileInx;",
        "fileRenameInp_PI": (
            "struct RHostAddr_PI; str oldFileName[MAX_NAME_LEN]; str newFileName[MAX_NAME_LEN]; "
            "str rescHier[MAX_NAME_LEN]; str objPath[MAX_NAME_LEN];"
        ),
        "fileRenameOut_PI": "str file_name[MAX_NAME_LEN];",
        "fileRmdirInp_PI": (
            "int flag; struct RHostAddr_PI; str dirName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN];"
        ),
        "fileStageSyncInp_PI": (
            "int mode; int flags; double dataSize; struct RHostAddr_PI; "
            "str filename[MAX_NAME_LEN]; str cacheFilename[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; struct KeyValPair_PI;"
        ),
        "fileSyncOut_PI": "str file_name[MAX_NAME_LEN];",
        "fileStatInp_PI": (
            "struct RHostAddr_PI; str fileName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; double rescId;"
        ),
        "fileUnlinkInp_PI": (
            "struct RHostAddr_PI; str fileName[MAX_NAME_LEN]; str rescHier[MAX_NAME_LEN]; "
            "str objPath[MAX_NAME_LEN]; str in_pdmo[MAX_NAME_LEN];"
        ),
        "fileWriteInp_PI": "int fileInx; int len;",
        "generalAdminInp_PI": (
            "str *arg0; str *arg1; str *arg2; str *arg3; str *arg4; str *arg5; str *arg6; "
            "str *arg7; str *arg8; str *arg9;"
        ),
        "Genquery2Input_PI": "str *query_string; str *zone; int sql_only; int column_mappings;",
        "getHierarchyForRescInp_PI": "str resc_name_[MAX_NAME_LEN];",
        "getHierarchyForRescOut_PI": "str resc_hier_[MAX_NAME_LEN];",
        "getLimitedPasswordInp_PI": "int ttl; str *unused1;",
        "getLimitedPasswordOut_PI": "str stringToHashWith[MAX_PASSWORD_LEN];",
        "MiscSvrInfo_PI": (
            "int serverType; int serverBootTime; str relVersion[NAME_LEN]; "
            "str apiVersion[NAME_LEN]; str rodsZone[NAME_LEN]; struct BinBytesBuf_PI;"
        ),
        "getRescQuotaInp_PI": (
            "str rescName[NAME_LEN]; str userName[NAME_LEN]; str zoneHint[MAX_NAME_LEN]; "
            "int flags; int dummy; struct KeyValPair_PI;"
        ),
        "rescQuota_PI": (
            "str rescName[NAME_LEN]; str userId[NAME_LEN]; int flags; int dummy; "
            "double quotaLimit; double quotaOverrun; struct *rescQuota_PI;"
        ),
        "getTempPasswordOut_PI": "str stringToHashWith[MAX_PASSWORD_LEN];",
        "getTempPasswordForOtherInp_PI": "str *targetUser; str *unused;",
        "getTempPasswordForOtherOut_PI": "str stringToHashWith[MAX_PASSWORD_LEN];",
        "GetHierInp_PI": "double resc_id_;",
        "GetHierOut_PI": "str hier_[MAX_NAME_LEN];",
        "ModAVUMetadataInp_PI": (
            "str *arg0; str *arg1; str *arg2; str *arg3; str *arg4; str *arg5; str *arg6; "
            "str *arg7; str *arg8; str *arg9; struct KeyValPair_PI;"
        ),
        "modAccessControlInp_PI": "int recursiveFlag; str *accessLevel; str *userName; str *zone; str *path;",
        "ModDataObjMeta_PI": "struct *DataObjInfo_PI; struct *KeyValPair_PI;",
        "pamAuthRequestInp_PI": "str *pamUser; str *pamPassword; int timeToLive;",
        "pamAuthRequestOut_PI": "str *irodsPamPassword;",
        "ProcStatInp_PI": "str addr[LONG_NAME_LEN]; str rodsZone[NAME_LEN]; struct KeyValPair_PI;",
        "RegReplica_PI": "struct *DataObjInfo_PI; struct *DataObjInfo_PI; struct KeyValPair_PI;",
        "RULE_EXEC_DEL_INP_PI": "str ruleExecId[NAME_LEN];",
        "RULE_EXEC_MOD_INP_PI": "str ruleId[NAME_LEN]; struct KeyValPair_PI;",
        "RULE_EXEC_SUBMIT_INP_PI": (
            "str ruleName[META_STR_LEN]; str reiFilePath[MAX_NAME_LEN]; str userName[NAME_LEN]; "
            "str exeAddress[NAME_LEN]; str exeTime[TIME_LEN]; str exeFrequency[NAME_LEN]; "
            "str priority[NAME_LEN]; str lastExecTime[NAME_LEN]; str exeStatus[NAME_LEN]; "
            "str estimateExeTime[NAME_LEN]; str notificationAddr[NAME_LEN]; struct KeyValPair_PI; "
            "struct *BytesBuf_PI; str ruleExecId[NAME_LEN];"
        ),
        "specificQueryInp_PI": (
            "str *sql; str *arg1; str *arg2; str *arg3; str *arg4; str *arg5; str *arg6; "
            "str *arg7; str *arg8; str *arg9; str *arg10; int maxRows; int continueInx; "
            "int rowOffset; int options; struct KeyValPair_PI;"
        ),
        "sslEndInp_PI": "str *arg0;",
        "sslStartInp_PI": "str *arg0;",
        "StructFileExtAndRegInp_PI": (
            "str objPath[MAX_NAME_LEN]; str collection[MAX_NAME_LEN]; int oprType; int flags; "
            "struct KeyValPair_PI;"
        ),
        "StructFileOprInp_PI": (
            "struct RHostAddr_PI; int oprType; int flags; struct *SpecColl_PI; struct KeyValPair_PI;"
        ),
        "SubStructFileLseekInp_PI": "struct RHostAddr_PI; int type; int fd; double offset; int whence;",
        "SubStructFileFdOpr_PI": "struct RHostAddr_PI; int type; int fd; int len;",
        "SubStructFileRenameInp_PI": "struct SubFile_PI; str newSubFilePath[MAX_NAME_LEN]; str resc_hier[MAX_NAME_LEN];",
        "ticketAdminInp_PI": (
            "str *arg1; str *arg2; str *arg3; str *arg4; str *arg5; str *arg6; struct KeyValPair_PI;"
        ),
        "UnregDataObj_PI": "struct *DataObjInfo_PI; struct *KeyValPair_PI;",
        "userAdminInp_PI": (
            "str *arg0; str *arg1; str *arg2; str *arg3; str *arg4; str *arg5; str *arg6; "
            "str *arg7; str *arg8; str *arg9;"
        ),
        "DelayServerMigrationInp_PI": "str leader[2700]; str successor[2700];",
        "GridConfigurationInp_PI": "str name_space[2700]; str option_name[2700]; str option_value[2700];",
        "GridConfigurationOut_PI": "str option_value[2700];",
        "SwitchUserInp_PI": "str username[64]; str zone[64]; struct KeyValPair_PI;",
    }
)
"""Struct name to packing instruction."""
