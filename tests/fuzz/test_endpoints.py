"""Thousands of requests that follow from the OpenAPI document, as it says and against it, at the
WSGI door: every answer is one that it documents, and none is a 5xx.

Schemathesis makes them: the documented examples, the limits of every parameter and field, and what
Hypothesis makes of the schemas. The same ones each time.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from anchor.wsgi import application
from kernel.schema import FORM
from sep12.provider_messages import SIGNATURE_HEADER, sign
from tests.fixtures.documented import (
    MAKERS,
    PROVIDER_SECRET,
    QUERIES,
    Documented,
    World,
    operations,
    rate_now,
)

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

OPERATIONS = operations()
EXAMPLES_EACH = 40  # of what Hypothesis makes; the limits come on top
FEWEST_IN_ALL = 3000

api = schemathesis.openapi.from_wsgi("/openapi.json", application)
api.config.phases.coverage.generate_duplicate_query_parameters = True


# -- Requests ---------------------------------------------------------------------------------
@api.hook
def flatmap_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Half of the paths name what is there."""
    known = _documented(context.operation)
    names = [one["name"] for one in known.about.get("parameters", []) if one["in"] == "path"]
    return st.sampled_from([path_parameters, known.parameters(*names)])


@api.hook
def flatmap_query(context: Any, query: Any) -> Any:
    known = _documented(context.operation)
    return _mixed(query, [known.parameters(*QUERIES.get(known.id, ()))])


@api.hook
def flatmap_body(context: Any, body: Any) -> Any:
    return _mixed(body, [right for _, _, right in _documented(context.operation).bodies()])


def _mixed(made: Any, examples: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """What was made, or an example in which some values are those that were made."""
    if not isinstance(made, dict):
        return st.just(made)
    mixtures = [
        st.fixed_dictionaries(
            {
                key: st.sampled_from([one[key] for one in (right, made) if key in one])
                for key in sorted({*right, *made})
            }
        )
        for right in examples
    ]
    return st.one_of(st.just(made), *mixtures)


def _documented(operation: Any) -> Documented:
    return OPERATIONS[operation.definition.raw["operationId"]]


def _made_real(value: Any, world: World) -> Any:
    """The ids of the examples, wherever they are, as those of what is there."""
    if isinstance(value, str):
        return world.put_real(value)
    if isinstance(value, dict):
        return {key: _made_real(one, world) for key, one in value.items()}
    return [_made_real(one, world) for one in value] if isinstance(value, list) else value


def _as_sending_anchor(world: World) -> App:
    return _with_header("Authorization", lambda _: world.anchor.headers()["Authorization"])


def _as_provider(world: World) -> App:
    return _with_header(
        SIGNATURE_HEADER, lambda body: sign(PROVIDER_SECRET, timestamp=int(time.time()), body=body)
    )


def _with_header(name: str, value: Callable[[bytes], str]) -> App:
    """The application, asked with a header in the place of whatever was made for it."""

    def ask(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        environ["HTTP_" + name.upper().replace("-", "_")] = value(body)
        return application(environ, start_response)

    return ask


def _without_token(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ.pop("HTTP_AUTHORIZATION", None)
    return application(environ, start_response)


# -- Answers ----------------------------------------------------------------------------------
def is_told_as_promised(context: Any, response: Any, case: Any) -> None:
    """What holds for every answer there is."""
    assert response.status_code < 500
    assert response.headers["access-control-allow-origin"] == ["*"]
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/json"]
        error = json.loads(response.content)["error"]
        assert isinstance(error, str)
        assert error.strip()


CHECKS = [
    is_told_as_promised,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# -- The tests --------------------------------------------------------------------------------
ASKED: Counter[str] = Counter()
REPEATABLE = settings(
    max_examples=EXAMPLES_EACH,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def world(settings: Any) -> World:
    settings.KYC_PROVIDER_SECRETS = [PROVIDER_SECRET]
    rate_now()
    world = World()
    for known in MAKERS:
        world.real(known)
    return world


def _is_of_limits(case: Any) -> bool:
    return case.meta.phase.name is TestPhase.COVERAGE


@api.parametrize()
@REPEATABLE
def test_any_request_is_answered_as_documented(case: Any, world: World) -> None:
    known = _documented(case.operation)
    if known.id == "put_customer" and case.media_type == FORM and _is_of_limits(case):
        return  # the limits of a hundred fields; the same as in JSON and in multipart/form-data
    case.path_parameters = _made_real(case.path_parameters, world)
    case.query = _made_real(case.query, world)
    case.body = _made_real(case.body, world)
    app: App = application
    if known.takes_token:
        app = _as_sending_anchor(world)
    elif known.id == "receive_provider_answer":
        app = _as_provider(world)
    world.prepare(known)
    answer = case.call(app=app)
    ASKED[f"{known.id} {answer.status_code}"] += 1
    case.validate_response(answer, checks=CHECKS)
    if known.needs_token and not _is_of_limits(case):
        answer = case.call(app=_without_token)
        ASKED[f"{known.id} without token {answer.status_code}"] += 1
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code in (401, 403)


def test_it_was_asked_often_enough_and_often_rightly() -> None:
    """Requests that are all refused at the door would show nothing."""
    print(f"{ASKED.total()} requests", json.dumps(ASKED, indent=1))
    assert ASKED.total() >= FEWEST_IN_ALL
    never = [
        one.id
        for one in OPERATIONS.values()
        # What nobody signs buys no token.
        if not ASKED[f"{one.id} {one.success}"] and one.id != "post_challenge"
    ]
    assert not never
