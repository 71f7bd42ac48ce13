"""Every public name says what it is: units, errors, and where its behaviour comes from."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from pathlib import Path

import pytest

import services.resilience as library
from services.resilience import (
    asgi,
    deadline,
    event_stream,
    feign,
    hystrix,
    hystrix_breaker,
    hystrix_config,
    hystrix_errors,
    hystrix_execution,
    intervals,
    keys,
    lint,
    otel,
    pool_config,
    replay,
    replicas,
    retry_after,
    spring_file,
    spring_health,
    spring_retry,
)

MORE = (
    asgi,
    deadline,
    event_stream,
    feign,
    hystrix,
    hystrix_breaker,
    hystrix_config,
    hystrix_errors,
    hystrix_execution,
    intervals,
    lint,
    otel,
    pool_config,
    replay,
    replicas,
    retry_after,
    spring_file,
    spring_health,
    spring_retry,
)
"""Modules whose public names are for whoever needs them, and not in the package's own list."""

UNIT = re.compile(r"_(ns|us|ms|s)$")
SPAN = re.compile(r"(^|_)(wait|timeout|duration|interval|delay|span|ttl|age|until|after|within|elapsed|late)(_|$)")
SOURCE = re.compile(
    r"R4J|Resilience4j|[Uu]pstream|[Ss]pring|Feign|Hystrix|Micrometer|Java|\b[Oo]urs?\b|standard library"
)


def public():
    """(label, object) of every public class and function."""
    for name in library.__all__:
        yield name, getattr(library, name)
    for module in MORE:
        for name, found in vars(module).items():
            if not name.startswith("_") and getattr(found, "__module__", None) == module.__name__:
                yield f"{module.__name__.rpartition('.')[2]}.{name}", found


OBJECTS = {label: found for label, found in public() if inspect.isclass(found) or inspect.isfunction(found)}


def own_members(kind):
    """(label, function) of what a class defines itself, properties included, without what begins with `_`."""
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def functions():
    """(label, function, docstrings that may speak for it)."""
    for label, found in OBJECTS.items():
        if inspect.isfunction(found):
            yield label, found, (found.__doc__,)
        else:
            for name, function in own_members(found):
                yield f"{label}.{name}", function, (function.__doc__, found.__doc__)


FUNCTIONS = list(functions())


def test_what_is_exported_exists_once_and_in_order():
    """`__all__` is the list of a reader."""
    assert [*library.__all__] == sorted(set(library.__all__), key=library.__all__.index)
    assert all(hasattr(library, name) for name in library.__all__)


@pytest.mark.parametrize("label", OBJECTS)
def test_every_public_name_has_a_docstring_of_its_own(label):
    """Not one that is inherited, and not the one that dataclasses and enums write by themselves."""
    found = OBJECTS[label]
    text = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__

    assert text, label
    assert not text.startswith(f"{found.__name__}("), label


@pytest.mark.parametrize(("label", "function"), [(label, function) for label, function, _ in FUNCTIONS])
def test_every_public_method_has_a_docstring(label, function):
    """A shell of a documented thing is still something somebody calls."""
    assert (function.__doc__ or "").strip(), label


@pytest.mark.parametrize("label", OBJECTS)
def test_every_span_of_time_carries_its_unit(label):
    """In its name; or, where the name is Resilience4j's word, in the docstring."""
    found = OBJECTS[label]
    named = [(f.name, f.type) for f in dataclasses.fields(found)] if dataclasses.is_dataclass(found) else []
    for _, function, _ in (one for one in FUNCTIONS if one[0].partition(".")[0] == label or one[0] == label):
        named += [(p.name, str(p.annotation)) for p in inspect.signature(function).parameters.values()]
    bare = [
        name
        for name, kind in named
        if SPAN.search(name)
        and not UNIT.search(name)
        and re.search(r"\b(int|float)\b", str(kind))
        and "Callable" not in str(kind)
    ]

    assert bare == [], label


def raised(function):
    """Names of the exceptions that a function's own body raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            yield called.attr if isinstance(called, ast.Attribute) else called.id


@pytest.mark.parametrize(("label", "function", "texts"), FUNCTIONS, ids=[one[0] for one in FUNCTIONS])
def test_every_error_is_told(label, function, texts):
    """What a public function raises itself is named where it is described, in its docstring or its class's."""
    told = " ".join(text or "" for text in texts)
    names = [name for name in raised(function) if not name.startswith("_")]

    assert [name for name in names if name not in told] == [], label


@pytest.mark.parametrize("label", OBJECTS)
def test_every_behaviour_has_a_source(label):
    """Whose rule it is: Resilience4j's, Spring's, Hystrix's, Feign's, or our own; said by the name or by its module."""
    found = OBJECTS[label]
    told = f"{found.__doc__} {sys.modules[found.__module__].__doc__}"

    assert SOURCE.search(told), label


README = (Path(library.__file__).parent / "README.md").read_text(encoding="utf-8")


def rows():
    """(module, words in backticks, what the last column says) of each row of the README's table of keys."""
    module = ""
    for line in README.partition("### Every key")[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and not cells[0].startswith(("-", "module")):
            module = cells[0].strip("`") or module
            yield module, set(re.findall(r"`(\w+)`", cells[1])), cells[2]


@pytest.mark.parametrize("module", keys.MODULES)
def test_the_readme_names_every_key_and_no_other(module):
    """A key is supported, accepted with a warning, or ours; each in the table of its module."""
    spelled = keys.SPELLED.get(module, module)
    told = {word: said for owner, words, said in rows() if owner in {spelled, "all"} for word in words}

    assert told.keys() == keys.MODULES[module].keys()
    assert {word for word, said in told.items() if said == "warning"} == told.keys() & keys.NO_EFFECT.keys()


@pytest.mark.parametrize(
    "words", [keys.NO_EFFECT_SECTIONS, keys.NO_EFFECT_MODULES, keys.ASPECT_ORDERS.values(), lint.FINDINGS]
)
def test_the_readme_names_what_may_stand_beside_and_every_finding(words):
    """What is registered is documented."""
    assert [word for word in words if f"`{word}`" not in README] == []
