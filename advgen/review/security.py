"""Who may talk to the review page, and what every answer says to the browser.

`Guard` stands before all routes. Without a token only this machine may ask, and only by a loopback
name, so that a foreign page cannot reach the server through a name that it rebinds (DNS rebinding).
With a token the browser shows it once in the URL and then as a cookie. A post must come from the
page itself: `Origin` and `Sec-Fetch-Site` are looked at, and it carries a word (`csrf`) that is
bound to the browser's session. No answer carries a traceback.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from html import escape
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from advgen.review.faults import Refused, fault_response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SESSION = "advgen_session"
_SESSION_FORM = re.compile(r"[\w-]{43}", re.ASCII)
_HOST_FORM = re.compile(r"([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)


class Guard:
    """The door of the app (ASGI): host, token, session, origin of posts, headers.

    Args:
        app: What is guarded.
        token: Who knows it may come in from anywhere; None: this machine only.
        secret: Key of the `csrf` words; fresh for every server.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, secret: bytes) -> None:
        self.app = app
        self.token = token
        self.secret = secret
        digest = hashlib.sha256((token or "").encode()).hexdigest()
        self.cookie = f"advgen_token_{digest[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = _session_of(request)
        scope.setdefault("state", {})["csrf"] = csrf_word(self.secret, session)
        try:
            answer = self._entrance(request)
        except Refused as fault:
            answer = fault_response(request, fault)
        fresh = request.cookies.get(SESSION) != session

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if fresh and message["status"] < 400:
                    headers.append("set-cookie", cookie(SESSION, session, secure=_secure(scope)))
            await send(message)

        await (answer or self.app)(scope, receive, send_with_headers)

    def _entrance(self, request: Request) -> Response | None:
        check_host(request.headers.getlist("host"), open_to_all=self.token is not None)
        if self.token is None:
            _check_client(request)
        elif (answer := self._check_token(request)) is not None:
            return answer
        if request.method not in ("GET", "HEAD"):
            check_origin(request)
        return None

    def _check_token(self, request: Request) -> Response | None:
        """None for who carries the token; an answer that stores it for who shows it in the URL."""
        shown = request.query_params.get("token")
        if shown is not None and request.method == "GET" and self._is_token(shown):
            answer = _onward(request)
            answer.headers.append(
                "set-cookie", cookie(self.cookie, shown, secure=_secure(request.scope))
            )
            return answer
        if self._is_token(request.cookies.get(self.cookie, "")):
            return None
        raise Refused(401, "This review needs its token: open the address that was printed.")

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(), (self.token or "").encode())


def check_host(hosts: list[str], *, open_to_all: bool) -> None:
    """Refuse a request whose `Host` is missing, doubled, malformed or (unless open) not loopback.

    Raises:
        Refused: With status 400 or 421.
    """
    found = _HOST_FORM.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
    if found is None:
        raise Refused(400, "The request names no valid host.")
    if not open_to_all and not _loopback(found[1].strip("[]")):
        raise Refused(421, "This review answers to localhost and 127.0.0.1 only.")


def check_origin(request: HTTPConnection) -> None:
    """Refuse a post that another site's page sent.

    Raises:
        Refused: With status 403.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers["host"].lower()
    if foreign or site not in ("same-origin", "none"):
        raise Refused(403, "Votes are taken from this page only.")


def csrf_word(secret: bytes, session: str) -> str:
    """The word that posts of a session must carry."""
    return hmac.new(secret, session.encode(), hashlib.sha256).hexdigest()


def check_csrf(request: Request, word: object) -> None:
    """Refuse a post without the word of its session.

    Raises:
        Refused: With status 403.
    """
    expected = request.state.csrf
    carried = SESSION in request.cookies and isinstance(word, str)
    if not carried or not hmac.compare_digest(str(word).encode(), expected.encode()):
        raise Refused(403, "The page is out of date: load it again.")


def cookie(name: str, value: str, *, secure: bool = False) -> str:
    """A `Set-Cookie` that scripts cannot read and that other sites' requests do not carry."""
    days = 30 * 24 * 3600
    tail = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={days}; HttpOnly; SameSite=Strict{tail}"


def _session_of(request: HTTPConnection) -> str:
    known = request.cookies.get(SESSION, "")
    return known if _SESSION_FORM.fullmatch(known) else secrets.token_urlsafe(32)


def _onward(request: HTTPConnection) -> Response:
    """To the same address without the token; a page instead of a redirect for a foreign link.

    A browser that follows another site's link does not send a strict cookie along a redirect, but
    does when a page of this site sends it on.
    """
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    path = "/" + request.scope["path"].lstrip("/\\")
    address = path + ("?" + urlencode(rest) if rest else "")
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return RedirectResponse(address, 303)
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Review</title>'
        f'<meta http-equiv="refresh" content="0;url={escape(address)}">'
        f'<a href="{escape(address)}">To the review</a></html>'
    )


def _check_client(request: HTTPConnection) -> None:
    if request.client is None or not _loopback(request.client.host):
        raise Refused(403, "This review is open to this machine only.")


def _loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _secure(scope: Scope) -> bool:
    return scope.get("scheme") == "https"
