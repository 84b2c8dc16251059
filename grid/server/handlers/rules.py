"""Calling microservices through the protocol's rule-execution request.

A client sends one call, `name(arguments)`, with a JSON object of named arguments as its only argument:
`checksum({"path": "/zone/home/anna/scan.h5"})`; or the name alone with the object in the input parameter
`*arguments`. The result comes back as JSON on the rule's standard output, which stock clients print.

Source: `rsExecMyRule.cpp`, iRODS 5.0.2.
"""

import json
import re
from typing import Any, Final

from grid.codes import Status
from grid.errors import InvalidArgument
from grid.namespace import Event
from grid.server.exchange import Reply, Request

_CALL: Final = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?\s*;?\s*", re.DOTALL)
_WRAPPED: Final = re.compile(r"^@external\s*(?:rule\s*\{(.*)\}\s*)?", re.DOTALL)


def _call_of(request: Request) -> tuple[str, dict[str, Any]]:
    text = request.message["myRule"]
    wrapped = _WRAPPED.match(text)
    if wrapped:
        text = wrapped[1] if wrapped[1] is not None else text[wrapped.end() :]
    match = _CALL.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            "the request is not one call `microservice({...})`; rules of the iRODS rule language are not run here",
            status=Status.RULE_ENGINE_ERROR,
        )
    source = match[2].strip() if match[2] else ""
    if not source:
        source = _parameter(request, "*arguments")
    if not source:
        return match[1], {}
    try:
        arguments = json.loads(source)
    except ValueError as error:
        raise InvalidArgument(
            f"the arguments of `{match[1]}` are not a JSON object: {error}",
            status=Status.SYS_INVALID_INPUT_PARAM,
        ) from None
    if not isinstance(arguments, dict):
        raise InvalidArgument(
            f"the arguments of `{match[1]}` are not a JSON object", status=Status.SYS_INVALID_INPUT_PARAM
        )
    return match[1], arguments


def _parameter(request: Request, label: str) -> str:
    array = request.message.get("MsParamArray_PI") or {}
    for parameter in array.get("MsParam_PI") or ():
        if parameter.get("label") == label and parameter.get("type") == "STR_PI":
            return str((parameter.get("inOutStruct") or {}).get("myStr", ""))
    return ""


def _buffer(data: bytes) -> dict[str, Any]:
    return {"buflen": len(data), "buf": data} if data else {"buflen": 0, "buf": None}


def execute(request: Request) -> Reply:
    """625: call a microservice."""
    name, arguments = _call_of(request)
    called = {"statement": {"text": f"{name}({json.dumps(arguments)})"}}
    request.namespace.context.policy.witness(Event("rule", "run", request.caller, "", 0, called))
    result = request.services.microservices.call(request.caller, name, arguments)
    text = json.dumps(result, indent=2, sort_keys=True, default=str).encode() + b"\n\0"
    output = {
        "label": "ruleExecOut",
        "type": "ExecCmdOut_PI",
        "inOutStruct": {
            "BinBytesBuf_PI": _buffer(text),
            "BinBytesBuf_PI#2": _buffer(b""),
            "status": 0,
        },
        "BinBytesBuf_PI": None,
    }
    return Reply(0, "MsParamArray_PI", {"paramLen": 1, "oprType": 0, "MsParam_PI": [output]})


HANDLERS: Final = {625: execute}
