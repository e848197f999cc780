"""Checks data against the schema and finds every problem, where msgspec stops at the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from agent.config.document import Path
from agent.config.schema import Secret
from agent.errors import did_you_mean

# What is wrong at which path. A problem of a key, not of its value, has `at_key`.
Complaint = tuple[Path, bool, str]
_BOOLEANS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
_KINDS: dict[type, tuple[type, ...]] = {
    dict: (inspect.StructType, inspect.DictType),
    list: (inspect.ListType,),
    type(None): (inspect.NoneType,),
    bool: (inspect.BoolType,),
    str: (inspect.StrType, inspect.LiteralType),
}
_SECRET_KEYS = {"password", "client_secret"}


def complaints(data: Any, wanted: Any, path: Path = (), *, partial: bool = False) -> Iterator[Complaint]:
    """Yield everything wrong with `data` as a value of the type `wanted`, depth first.

    `partial` data may lack keys that the type demands.
    """
    yield from _check(data, inspect.type_info(wanted), path, partial)


def convert(data: Any, wanted: type[Any]) -> Any:
    """Return `data` as a value of the type `wanted`; raises msgspec.ValidationError."""
    return msgspec.convert(data, wanted, dec_hook=_decode)


def _decode(wanted: type[Any], data: Any) -> Any:
    if wanted is Secret and isinstance(data, str):
        return Secret(data)
    raise ValueError("write it as text in quotes")


def _check(data: Any, wanted: inspect.Type, path: Path, partial: bool) -> Iterator[Complaint]:
    wanted = _choose(data, wanted)
    if isinstance(wanted, inspect.StructType) and isinstance(data, dict):
        yield from _check_struct(data, wanted, path, partial)
    elif isinstance(wanted, inspect.DictType) and isinstance(data, dict):
        yield from _check_dict(data, wanted, path, partial)
    elif isinstance(wanted, inspect.ListType) and isinstance(data, list):
        for n, item in enumerate(data):
            yield from _check(item, wanted.item_type, (*path, n), partial)
    elif not _fits(data, wanted):
        yield path, False, _message(data, wanted, path)


def _choose(data: Any, wanted: inspect.Type) -> inspect.Type:
    """Return the member of a union that is meant, judged by the kind of the data."""
    if not isinstance(wanted, inspect.UnionType):
        return wanted
    kinds = _KINDS.get(type(data), ())
    some = [member for member in wanted.types if not isinstance(member, inspect.NoneType)]
    meant = [member for member in wanted.types if isinstance(_bare(member), kinds)]
    return meant[0] if meant else some[0] if len(some) == 1 else wanted


def _bare(wanted: inspect.Type) -> inspect.Type:
    return wanted.type if isinstance(wanted, inspect.Metadata) else wanted


def _check_struct(
    data: dict[str, Any], wanted: inspect.StructType, path: Path, partial: bool
) -> Iterator[Complaint]:
    fields = {field.encode_name: field for field in wanted.fields}
    for key, value in data.items():
        if key in fields:
            yield from _check(value, fields[key].type, (*path, key), partial)
        else:
            yield (*path, key), True, f"unknown key {key!r}{_hint(key, list(fields))}"
    for key, field in fields.items():
        if field.required and key not in data and not partial:
            yield path, True, f"the key {key!r} is missing"


def _check_dict(
    data: dict[str, Any], wanted: inspect.DictType, path: Path, partial: bool
) -> Iterator[Complaint]:
    keys = wanted.key_type
    for key, value in data.items():
        if isinstance(keys, inspect.LiteralType) and key not in keys.values:
            yield (*path, key), True, f"unknown key {key!r}{_hint(key, [str(word) for word in keys.values])}"
        else:
            yield from _check(value, wanted.value_type, (*path, key), partial)


def _hint(word: str, known: list[str]) -> str:
    return did_you_mean(word, known) or f"; known are {', '.join(known)}"


def _fits(data: Any, wanted: inspect.Type) -> bool:
    match wanted:
        case inspect.Metadata():
            return _fits(data, wanted.type)
        case inspect.UnionType():
            return any(_fits(data, member) for member in wanted.types)
        case inspect.StrType():
            long_enough = isinstance(data, str) and len(data) >= (wanted.min_length or 0)
            return long_enough and (wanted.pattern is None or re.search(wanted.pattern, data) is not None)
        case inspect.IntType():
            return type(data) is int and not _out_of_range(data, wanted)
        case inspect.BoolType():
            return isinstance(data, bool)
        case inspect.LiteralType():
            return isinstance(data, str) and data in wanted.values
        case inspect.CustomType():
            return isinstance(data, str)
        case inspect.NoneType():
            return data is None
    return isinstance(wanted, inspect.AnyType)


def _out_of_range(number: int, wanted: inspect.IntType) -> str:
    if wanted.le is not None and number > wanted.le:
        return f"<= {wanted.le}"
    return f">= {wanted.ge}" if wanted.ge is not None and number < wanted.ge else ""


def _message(data: Any, wanted: inspect.Type, path: Path) -> str:
    if path and path[-1] in _SECRET_KEYS:
        return "Expected text in quotes"  # never the value
    if isinstance(wanted, inspect.LiteralType) and isinstance(data, str):
        words = [str(word) for word in wanted.values]
        if path[-1] == "auth" and data.startswith("oauth2"):
            return f"unknown value {data!r}; write {{oauth2: google}}"
        return f"unknown value {data!r}{_hint(data, words)}"
    if isinstance(wanted, inspect.IntType) and type(data) is int:
        return f"Expected int {_out_of_range(data, wanted)}"
    got = "nothing" if data is None else _short(data)
    hint = ""
    if isinstance(wanted, inspect.BoolType) and str(data).lower() in _BOOLEANS:
        hint = f"; did you mean {_BOOLEANS[str(data).lower()]}?"
    return f"Expected {_name(wanted)}, got {got}{hint}"


def _short(data: Any) -> str:
    if isinstance(data, dict | list):
        return "a mapping" if isinstance(data, dict) else "a list"
    text = str(data).lower() if isinstance(data, bool) else repr(data)
    return text if len(text) <= 60 else text[:57] + "..."


def _name(wanted: inspect.Type) -> str:
    match wanted:
        case inspect.Metadata(extra={"says": says}):
            return str(says)
        case inspect.Metadata():
            return _name(wanted.type)
        case inspect.UnionType():
            return " or ".join(_name(m) for m in wanted.types if not isinstance(m, inspect.NoneType))
        case inspect.LiteralType():
            return " or ".join(str(word) for word in wanted.values)
    names = {
        inspect.BoolType: "true or false",
        inspect.StrType: "text",
        inspect.CustomType: "text",
        inspect.IntType: "int",
        inspect.ListType: "a list",
    }
    return names.get(type(wanted), "a mapping")
