"""Who may ask: only this machine's browser, by the address with the token, in requests of a bounded size."""

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # the address holds the token
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
LARGEST = 32 * 2**20  # bytes of a request


class TooLarge(ValueError):
    """A request of more bytes than are read."""


class Guard:
    """An ASGI application behind checks of host, origin and token, whose answers carry the headers above.

    Args:
        app: is asked with the token taken out of the path.
        token: what the path of every request begins with.
        hosts: what the header `Host` may say, without the port: a page of another name that leads here is refused
            (DNS rebinding).
    """

    def __init__(self, app: Any, token: str, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")):
        self.app, self.token, self.hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no web sockets; uvicorn sends no lifespan
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _say(send, *refusal)
            return
        rest = scope["path"].lstrip("/").partition("/")[2]
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "root_path": ""}
        await self.app(inner, _bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """A status and a sentence where a request is refused."""
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return 421, f"host: expected {self.hosts[0]}, got {host!r:.80}"
        origin = headers.get("origin")
        if origin not in (None, f"http://{host}"):
            return 403, f"origin: expected http://{host:.80}, got {origin!r:.80}"
        given, slash, _ = scope["path"].lstrip("/").partition("/")
        if not secrets.compare_digest(given.encode("utf-8", "surrogatepass"), self.token):
            return 403, "token: expected the address that `pyro-priors explore` printed, got another"
        if not slash:
            return 404, "address: expected one that ends with a slash behind the token"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST:
            return 413, f"request: expected at most {LARGEST} bytes, got {length:.30}"
        return None


def _name(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _bounded(receive: Receive) -> Receive:
    """A request whose parts are counted, however many of them come."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > LARGEST:
            raise TooLarge(f"request: expected at most {LARGEST} bytes, got more")
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return sent


async def _say(send: Send, status: int, sentence: str) -> None:
    """An answer of our own: the sentence, as JSON."""
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    send = _with_headers(send)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
