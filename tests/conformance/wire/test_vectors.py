"""Hand-checked vectors: each struct once in both encodings, worked out from the packing rules."""

import pytest

from grid.wire import native, xml

NULL = b"%@#ANULLSTR$%\0"

VECTORS = [
    ("INT_PI", {"myInt": -5}, b"\xff\xff\xff\xfb", b"<INT_PI>\n<myInt>-5</myInt>\n</INT_PI>\n"),
    ("DOUBLE_PI", {"myDouble": 2**40}, b"\0\0\1\0\0\0\0\0", b"<DOUBLE_PI>\n<myDouble>1099511627776</myDouble>\n</DOUBLE_PI>\n"),
    ("STR_PI", {"myStr": "a<b&'c'"}, b"a<b&'c'\0", b"<STR_PI>\n<myStr>a&lt;b&amp;&apos;c&apos;</myStr>\n</STR_PI>\n"),
    (
        "KeyValPair_PI",
        {"ssLen": 2, "keyWord": ["a", "b"], "svalue": ["1", ""]},
        b"\0\0\0\2a\0b\x001\0\0",
        b"<KeyValPair_PI>\n<ssLen>2</ssLen>\n<keyWord>a</keyWord>\n<keyWord>b</keyWord>\n<svalue>1</svalue>\n"
        b"<svalue></svalue>\n</KeyValPair_PI>\n",
    ),
    (
        "KeyValPair_PI",
        {"ssLen": 0, "keyWord": None, "svalue": None},
        b"\0\0\0\0" + NULL + NULL,
        b"<KeyValPair_PI>\n<ssLen>0</ssLen>\n</KeyValPair_PI>\n",
    ),
    (
        "BinBytesBuf_PI",
        {"buflen": 3, "buf": b"\0\1\2"},
        b"\0\0\0\3\0\1\2",
        b"<BinBytesBuf_PI>\n<buflen>3</buflen>\n<buf>AAEC</buf>\n</BinBytesBuf_PI>\n",
    ),
    ("BinBytesBuf_PI", {"buflen": 0, "buf": None}, b"\0\0\0\0" + NULL, b"<BinBytesBuf_PI>\n<buflen>0</buflen>\n</BinBytesBuf_PI>\n"),
    (
        "InxIvalPair_PI",
        {"iiLen": 2, "inx": [501, 403], "ivalue": [1, 1]},
        b"\0\0\0\2\0\0\1\xf5\0\0\1\x93\0\0\0\1\0\0\0\1",
        b"<InxIvalPair_PI>\n<iiLen>2</iiLen>\n<inx>501</inx>\n<inx>403</inx>\n<ivalue>1</ivalue>\n<ivalue>1</ivalue>\n"
        b"</InxIvalPair_PI>\n",
    ),
    (
        "MsParam_PI",
        {"label": "*x", "type": "STR_PI", "inOutStruct": {"myStr": "v"}, "BinBytesBuf_PI": None},
        b"*x\0STR_PI\0v\0" + NULL,
        b"<MsParam_PI>\n<label>*x</label>\n<type>STR_PI</type>\n<STR_PI>\n<myStr>v</myStr>\n</STR_PI>\n</MsParam_PI>\n",
    ),
    (
        "RError_PI",
        {"count": 1, "RErrMsg_PI": [{"status": -1, "msg": "no"}]},
        b"\0\0\0\1\xff\xff\xff\xffno\0",
        b"<RError_PI>\n<count>1</count>\n<RErrMsg_PI>\n<status>-1</status>\n<msg>no</msg>\n</RErrMsg_PI>\n</RError_PI>\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "packed", "text"), VECTORS, ids=[v[0] for v in VECTORS])
def test_vector(name: str, value: dict, packed: bytes, text: bytes) -> None:
    assert native.encode(name, value) == packed
    assert native.decode(name, packed) == value
    assert xml.encode(name, value) == text
    assert xml.decode(name, text) == value
    assert xml.decode(name, text.replace(b"\n", b"")) == value


def test_peers_before_4_2_9_write_the_backtick_as_apos() -> None:
    assert (
        xml.encode("STR_PI", {"myStr": "`'"}, apostrophe_bug=True)
        == b"<STR_PI>\n<myStr>&apos;'</myStr>\n</STR_PI>\n"
    )
    assert xml.decode("STR_PI", b"<STR_PI><myStr>&apos;</myStr></STR_PI>", apostrophe_bug=True) == {
        "myStr": "`"
    }


def test_elements_that_python_irodsclient_leaves_out_are_zero_empty_or_null() -> None:
    found = xml.decode("DataObjInp_PI", b"<DataObjInp_PI><objPath>/z/a</objPath></DataObjInp_PI>")
    assert found["objPath"] == "/z/a"
    assert found["openFlags"] == 0
    assert found["SpecColl_PI"] is None
    assert found["KeyValPair_PI"]["ssLen"] == 0


def test_the_second_struct_of_the_same_name_has_a_key_of_its_own() -> None:
    value = {"DataObjInp_PI": {"objPath": "/z/a"}, "DataObjInp_PI#2": {"objPath": "/z/b"}}
    for codec in (native, xml):
        found = codec.decode("DataObjCopyInp_PI", codec.encode("DataObjCopyInp_PI", value))
        assert (found["DataObjInp_PI"]["objPath"], found["DataObjInp_PI#2"]["objPath"]) == ("/z/a", "/z/b")
