"""The page and its JSON API over a subject, as an ASGI application behind `Guard`."""

import json
import math
from collections.abc import Callable
from importlib import resources
from typing import Any

from pyro_priors.explore import openapi
from pyro_priors.explore.evidence import from_json
from pyro_priors.explore.security import Guard, TooLarge
from pyro_priors.explore.subject import Subject

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
JSON_BYTES, FILE_BYTES = 2**20, 2**25  # of what is given, and of a file that is dropped


def make_app(subject: Subject, token: str) -> Guard:
    """See the module; whoever asks must know the token."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException

    handlers: Any = {HTTPException: _refused, ValueError: _mistaken, OverflowError: _mistaken, Exception: _failed}
    return Guard(Starlette(routes=_routes(subject), exception_handlers=handlers), token)


def _routes(subject: Subject) -> list[Any]:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    def static(name: str, content: bytes) -> Route:
        kind = f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8"

        async def give(_: Request) -> Response:
            return Response(content, media_type=kind)

        return Route("/" if name == "index.html" else f"/{name}", give, methods=["GET"])

    def question(path: str, answer: Callable[[dict[str, Any]], Any]) -> Route:
        async def give(request: Request) -> Response:
            body = await _object(request)
            return await _answered(lambda: answer(body))

        return Route(f"/api/{path}", give, methods=["POST"])

    def fact(path: str, answer: Callable[[], Any]) -> Route:
        async def give(_: Request) -> Response:
            return await _answered(answer)

        return Route(f"/api/{path}", give, methods=["GET"])

    def file(path: str, answer: Callable[[bytes], Any]) -> Route:
        async def give(request: Request) -> Response:
            content = await _content(request, FILE_BYTES)
            return await _answered(lambda: answer(content))

        return Route(f"/api/{path}", give, methods=["POST"])

    routes = [static(name, content) for name, content in _files().items()]
    routes += [
        fact("model", subject.describe),
        fact("information", subject.information),
        fact("openapi.json", lambda: openapi.document(subject.kind)),
        question("answer", lambda body: subject.answer(from_json(body.get("given", {})))),
    ]
    own: Any = subject
    if subject.kind == "table":
        routes.append(file("rows", lambda content: {"rows": own.rows_of(content)}))
    if subject.kind == "images":
        routes += [
            file("image", own.upload),
            question("draws", lambda body: own.draws(from_json(body.get("given", {})), body)),
            question("impute", lambda body: own.impute(from_json(body.get("given", {})), body)),
            question("what-if", lambda body: own.what_if(from_json(body.get("given", {})), body)),
        ]
    return routes


def _files() -> dict[str, bytes]:
    """All that the page is made of, read once: no path that is asked for reaches the disk."""
    folder = resources.files("pyro_priors.explore") / "static"
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name.rpartition(".")[2] in KINDS}


async def _answered(answer: Callable[[], Any]) -> Any:
    """An answer worked out beside the event loop, as JSON."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    text = await run_in_threadpool(lambda: _text(answer()))
    return Response(text, media_type="application/json")


def _text(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # JSON has no infinite numbers
        return json.dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


async def _object(request: Any) -> dict[str, Any]:
    """The JSON object that was sent."""
    content = await _content(request, JSON_BYTES)
    try:
        value = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        raise ValueError(f"request: expected JSON, got {content[:40]!r}") from None
    if not isinstance(value, dict):
        raise ValueError(f"request: expected a JSON object, got {type(value).__name__}")
    return value


async def _content(request: Any, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(f"request: expected at most {most} bytes, got more")
        parts.append(part)
    return b"".join(parts)


def _said(status: int, sentence: str) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": sentence}, status)


async def _refused(request: Any, error: Any) -> Any:
    sentence = f"{request.method} {request.url.path}: expected one of what openapi.json lists, got {error.detail}"
    return _said(error.status_code, sentence[:300])


async def _mistaken(_: Any, error: Exception) -> Any:
    return _said(413 if isinstance(error, TooLarge) else 400, " ".join(str(error).split())[:1000])


async def _failed(_: Any, __: Exception) -> Any:
    """Starlette raises the error again, for the log of the terminal."""
    return _said(500, "the server failed to answer; its terminal says why")
