"""The rows of the matrix: the clients of HTTP and of streams, and those of other protocols."""

from __future__ import annotations

from functools import partial

from support.daemons import dovecot, nginx

from .protocol_rows import ROWS as OF_OTHER_PROTOCOLS
from .row import Row
from .servers import websocket_server, xmlrpc_server

__all__ = ["ROWS"]

_urllib3 = partial(
    Row,
    server=nginx,
    distribution="urllib3",
    quiet={"retries": 0},
    stops="retries=0",
)
_requests = partial(Row, server=nginx, script="requests_adapter", distribution="requests")
_httpx = partial(Row, server=nginx, distribution="httpx")
_aiohttp = partial(Row, server=nginx, script="aiohttp_session", distribution="aiohttp")
_websockets = partial(Row, server=websocket_server, distribution="websockets")
_websocket_client = partial(
    Row, server=websocket_server, distribution="websocket-client", modules="websocket"
)

_OF_STREAMS: tuple[Row, ...] = (
    Row("http_client", "http.client", nginx),
    Row("urllib_request", "urllib.request", nginx),
    Row("xmlrpc_client", "xmlrpc.client", xmlrpc_server),
    _urllib3(
        "urllib3_direct",
        "urllib3",
        note="urllib3 tries again after any error of TLS, three times if it is not told otherwise "
        "(`Retry(3)`); `retries=0` ends that.",
    ),
    _urllib3("urllib3_proxy", "urllib3, CONNECT proxy", proxy="http"),
    _urllib3(
        "urllib3_tls_in_tls",
        "urllib3, TLS in TLS",
        proxy="https",
        note="The proxy is spoken to over TLS too. Here one context does for both, so the proxy's "
        "key has to be pinned as well; `proxy_ssl_context` takes another one.",
    ),
    _requests(
        "requests_adapter",
        "requests",
        note="requests takes no context; an adapter hands it to urllib3. It tries once, unless "
        "`max_retries=` says otherwise.",
    ),
    _requests(
        "requests_retries",
        "requests, `max_retries=3`",
        extra={"retries": 3},
        quiet={"retries": 0},
        stops="max_retries=0",
    ),
    _requests("requests_proxy", "requests, CONNECT proxy", proxy="http"),
    _httpx("httpx_sync", "httpx"),
    _httpx("httpx_proxy", "httpx, CONNECT proxy", script="httpx_sync", proxy="http"),
    _httpx("httpx_asyncio", "httpx, asyncio"),
    _httpx("httpx_trio", "httpx, trio", modules="httpx trio"),
    _httpx("httpx_http2", "httpx, HTTP/2", modules="httpx h2"),
    _aiohttp("aiohttp_session", "aiohttp"),
    _aiohttp("aiohttp_proxy", "aiohttp, CONNECT proxy", proxy="http"),
    Row("tornado_client", "tornado", nginx, distribution="tornado"),
    Row("asyncio_streams", "asyncio streams", nginx),
    Row(
        "asyncio_start_tls",
        "asyncio streams, `start_tls`",
        dovecot,
        scheme="pop3",
        starttls="pop3",
    ),
    Row("uvloop_streams", "asyncio streams, uvloop", nginx, distribution="uvloop"),
    Row("anyio_stream", "anyio", nginx, distribution="anyio"),
    Row("trio_stream", "trio", nginx, distribution="trio"),
    Row(
        "gevent_patched",
        "gevent, patched in",
        nginx,
        distribution="gevent",
        note="Patch first, then import pinsock.",
    ),
    Row(
        "eventlet_patched",
        "eventlet, patched in",
        nginx,
        distribution="eventlet",
        note="Patch first, then import pinsock.",
    ),
    _websockets("websockets_asyncio", "websockets, asyncio"),
    _websockets(
        "websockets_iterator",
        "websockets, `async for`",
        endless=True,
        note="The iterator takes a refusal for an outage and tries again as long as it is let; the "
        "next recipe ends that.",
    ),
    _websockets("websockets_iterator_ended", "websockets, `async for` with `process_exception=`"),
    # It reads and writes in two threads, and one connection in some hundreds stalls, with ssl's own
    # context too.
    _websockets("websockets_threads", "websockets, threads", attempts=3),
    _websocket_client("websocket_client", "websocket-client"),
    _websocket_client(
        "websocket_app",
        "websocket-client, WebSocketApp",
        swallows=True,
        note="`run_forever` raises nothing; the exception goes to `on_error` alone.",
    ),
)

ROWS = (*_OF_STREAMS, *OF_OTHER_PROTOCOLS)
