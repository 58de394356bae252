"""What the review page refuses, and how it says so."""

from __future__ import annotations

from html import escape

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, Response


class Refused(Exception):
    """A request that is answered with a status and one sentence.

    Attributes:
        status: HTTP status.
        message: What is wrong with the request, for a person.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def fault_response(request: HTTPConnection, fault: Refused) -> Response:
    """A fault as JSON where the path asks for data, else as a page without styles or scripts."""
    if request.scope["path"].startswith("/api/"):
        return JSONResponse({"error": fault.message}, fault.status)
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" '
        'content="light dark"><meta name="viewport" content="width=device-width">'
        f"<title>{fault.status}</title><main><h1>{fault.status}</h1>"
        f"<p>{escape(fault.message)}</p><p><a href='/'>To the review</a></p></main></html>",
        fault.status,
    )
