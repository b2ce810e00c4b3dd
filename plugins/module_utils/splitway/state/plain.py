# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses to and from plain dicts, lists and scalars."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Callable, TypeVar, Union, cast

T = TypeVar("T")
Reader = Callable[[Any, str], Any]  # plain data and where it stands → the value


def to_data(value: Any) -> Any:
    """Return plain dicts, lists and scalars of a state, a section or a part of one."""
    if isinstance(value, (str, int)) or value is None:
        return value
    if dataclasses.is_dataclass(value):
        return {name: to_data(getattr(value, name)) for name in _field_names(cast(Any, type(value)))}
    if isinstance(value, (tuple, list)):
        return [to_data(item) for item in value]
    if isinstance(value, dict):
        return {key: to_data(item) for key, item in value.items()}
    return value


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def from_data(kind: type[T], data: Any) -> T:
    """Return the dataclass `kind` read from plain data. Raises ValueError that names the field."""
    return cast(T, _reader(cast(Any, kind))(data, kind.__name__))


def value_from_data(owner: Any, field: str, data: Any) -> Any:
    """Return the value of one field of a dataclass read from plain data. Raises ValueError that names the field."""
    return _reader(_hints(owner)[field])(data, field)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@functools.cache
def _reader(kind: Any) -> Reader:
    """Return how values of a type are read; made once a type, since a state has ten thousands of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:  # Optional[X]
        inner = _reader(arguments[0])
        return lambda data, where: None if data is None else inner(data, where)
    if origin is tuple:
        return _tuple_reader(arguments[0])
    if origin is dict:
        return _dict_reader(arguments[1])
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    return _scalar_reader(kind)


def _scalar_reader(kind: Any) -> Reader:
    def read(data: Any, where: str) -> Any:
        if not isinstance(data, kind):
            raise ValueError(f"{where}: {kind.__name__} was expected")
        return data

    return read


def _tuple_reader(kind: Any) -> Reader:
    inner, scalars = _reader(kind), {kind}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, (list, tuple)):
            raise ValueError(f"{where}: a list was expected")
        if {*map(type, data)} <= scalars:  # ten thousands of lines and addresses
            return tuple(data)
        return tuple([inner(item, where) for item in data])

    return read


def _dict_reader(kind: Any) -> Reader:
    inner, scalars = _reader(kind), {kind}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: a mapping was expected")
        if {*map(type, data.values())} <= scalars and {*map(type, data)} <= {str}:
            return dict(data)
        return {str(key): inner(item, where) for key, item in data.items()}

    return read


def _dataclass_reader(kind: Any) -> Reader:
    readers = {name: _reader(hint) for name, hint in _hints(kind).items()}
    # Module arguments leave out what is None.
    absent = {name: None for name, hint in _hints(kind).items() if typing.get_origin(hint) is Union}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: a mapping was expected")
        try:
            return kind(**{**absent, **{key: readers[key](item, key) for key, item in data.items()}})
        except KeyError as error:
            raise ValueError(f"{where}: unknown field {error}") from error
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from error
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from error

    return read
