"""Contexts and sockets: what programs and libraries are given in the place of ``ssl``'s own.

The classes stay thin and change no signature.  All that matters happens in :mod:`pinsock._gate`.
"""

from __future__ import annotations

import _socket
import _ssl
import errno
import functools
import socket
import ssl
import sys
import weakref
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

from pinsock._early import begin, end, obstacle, unproven_ciphers
from pinsock._gate import (
    Gate,
    NotConnected,
    forbid_compressed_certificates,
    forbid_renegotiation,
)
from pinsock._pins import Pin, PinSet
from pinsock._policy import PinPolicy, PolicyFile
from pinsock.exceptions import InvalidPinError, InvalidPolicyError, PinsockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinsock._gate import Special
    from pinsock._pins import Pins
    from pinsock._verify import Verdict

__all__ = [
    "PinnedContext",
    "PinnedSSLObject",
    "PinnedSocket",
    "create_connection",
    "create_default_context",
    "pin_context",
    "wrap_socket",
]

#: What may be given for pins, anywhere: a policy, a set, or what makes a set.
Pinning: TypeAlias = "PinPolicy | PolicyFile | PinSet | Pins"
EarlyVerdict: TypeAlias = Literal["auto", "require", "off"]

# Those of the moment of import: gevent and eventlet, patched in before, have put theirs here.
_SSLContext = ssl.SSLContext
_SSLSocket = ssl.SSLSocket

_wrap_socket_in_c = _ssl._SSLContext._wrap_socket  # type: ignore[attr-defined]  # not in typeshed
_wrap_bio_in_c = _ssl._SSLContext._wrap_bio  # type: ignore[attr-defined]  # not in typeshed


#: eventlet, patched in, makes sockets of its own class, whatever ``sslsocket_class`` says.
_EVENTLET = _SSLSocket.__module__ == "eventlet.green.ssl"


class PinnedSocket(_SSLSocket):
    """An ``ssl.SSLSocket`` that passes no application byte before the peer's key has matched."""

    _context: ssl.SSLContext
    _sslobj: Any
    _pin_gate: Gate | None = None
    _in_connect = False

    @property
    def pin_verdict(self) -> Verdict | None:
        """What was found, or ``None`` before the handshake."""
        # gevent is the owner of none of its C objects, so there the gate stays where it was put.
        gate = self._sslobj if isinstance(self._sslobj, Gate) else self._pin_gate
        return None if gate is None else gate.verdict

    @property
    def context(self) -> ssl.SSLContext:
        return _SSLSocket.context.__get__(self)  # type: ignore[no-any-return, attr-defined]  # a slot of C

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        if isinstance(self._sslobj, NotConnected):
            raise InvalidPolicyError(
                "the context of a pinned socket cannot be changed before it is connected; wrap "
                "another socket"
            )
        if isinstance(self._sslobj, Gate):
            self._sslobj.context = context  # first: it may refuse
        _SSLSocket.context.__set__(self, context)  # type: ignore[attr-defined]  # a slot of C

    def connect(self, addr: Any) -> None:
        self._connect(super().connect, addr)

    def connect_ex(self, addr: Any) -> int:
        return cast("int", self._connect(super().connect_ex, addr))

    @classmethod
    def _create(cls, *arguments: Any, **named: Any) -> Self:
        created: Self = super()._create(*arguments, **named)  # type: ignore[misc]  # typeshed has no _create
        created._wait_for_connection()
        return created

    def _wait_for_connection(self) -> None:
        if self._sslobj is None:
            self._sslobj = NotConnected(self._context)
            try:
                # What cannot be kept is refused now, and not when it connects.
                cast("PinnedContext", self._context)._gate(self.server_side, self.server_hostname)
            except BaseException:
                self.close()
                raise

    def _adopt(self) -> None:
        """Of a socket that eventlet has made: make it one of this class, not yet used."""
        self.__class__ = PinnedSocket
        if self._sslobj is not None:
            self._pin_gate = self._sslobj
            self._sslobj.kept = True

    def accept(self) -> tuple[PinnedSocket, Any]:
        if isinstance(self._sslobj, NotConnected):
            self._context = self._sslobj.context  # whatever was done to it since
        if not _EVENTLET:
            return cast("tuple[PinnedSocket, Any]", super().accept())
        # eventlet's calls type(self), with arguments that only its own class takes.
        self.__class__ = _SSLSocket  # type: ignore[assignment]  # back to ssl's
        try:
            accepted, address = self.accept()
        finally:
            self.__class__ = PinnedSocket
        PinnedSocket._adopt(accepted)
        return accepted, address

    def _connect(self, connect: Callable[[Any], Any], addr: Any) -> Any:
        waiting = self._sslobj
        if isinstance(waiting, NotConnected):
            waiting.check_unchanged()
            self._context = waiting.context
            self._sslobj = None  # ssl takes this for a socket that may connect
        self._in_connect = True
        try:
            return connect(addr)
        finally:
            self._in_connect = False
            if self._pin_gate is not None:
                self._pin_gate.in_connect = False
            if self._sslobj is None:
                # ssl makes a socket whose handshake failed a plain one, still connected.
                gate = self._pin_gate
                self._sslobj = gate if gate is not None and gate.begun else waiting

    def _real_close(self) -> None:
        # ssl forgets TLS first, and another thread could then write in the clear.
        super(_SSLSocket, self)._real_close()  # type: ignore[misc]  # not in typeshed
        self._sslobj = None

    def shutdown(self, how: int) -> None:
        """As ``socket.socket.shutdown``; the socket stays one that speaks TLS or nothing."""
        # On the C socket: gevent has it in _sock, and eventlet's class comes before ssl's.
        _socket.socket.shutdown(self if isinstance(self, _socket.socket) else self._sock, how)

    # What ssl says of the next three depends on whether a socket is connected.

    def recvfrom(self, buflen: int = 1024, flags: int = 0) -> Any:
        self._need_connection("recvfrom")
        return super().recvfrom(buflen, flags)

    def recvfrom_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> Any:
        self._need_connection("recvfrom_into")
        return super().recvfrom_into(buffer, nbytes, flags)

    def sendto(self, data: Any, flags_or_addr: Any, addr: Any = None) -> Any:
        self._need_connection("sendto")
        return super().sendto(data, flags_or_addr, addr)

    def _need_connection(self, name: str) -> None:
        if isinstance(self._sslobj, NotConnected):
            raise self._sslobj.error(name)

    def verify_client_post_handshake(self) -> None:
        """Refused: the peer would show another certificate after the check."""
        if self.server_side:
            _refuse_post_handshake_auth()
        super().verify_client_post_handshake()  # which says that this is no server


class PinnedSSLObject(ssl.SSLObject):
    """An ``ssl.SSLObject`` that passes no application byte before the peer's key has matched."""

    _sslobj: Any
    _pin_gate: Gate | None = None

    @property
    def pin_verdict(self) -> Verdict | None:
        """What was found, or ``None`` before the handshake."""
        return None if self._pin_gate is None else self._pin_gate.verdict

    def verify_client_post_handshake(self) -> None:
        """Refused: the peer would show another certificate after the check."""
        if self.server_side:
            _refuse_post_handshake_auth()
        super().verify_client_post_handshake()  # which says that this is no server


def _changed_meanwhile() -> InvalidPolicyError:
    return InvalidPolicyError(
        "verify_mode, check_hostname or the certificate of this context was changed by another "
        "thread while this connection was wrapped, so it is not known what holds; wrap it again"
    )


def _refuse_post_handshake_auth() -> None:
    raise InvalidPolicyError(
        "post-handshake authentication shows a certificate after the pins were checked, so it "
        "cannot be combined with them; ask for the certificate in the handshake (CERT_REQUIRED)"
    )


class PinnedContext(_SSLContext):
    """An ``ssl.SSLContext`` whose connections pass nothing until the peer's key matched a pin.

    Use it wherever an ``ssl.SSLContext`` is taken.  Its settings are those of
    ``ssl.create_default_context()``, but it trusts no authority until
    ``load_verify_locations()`` or ``load_default_certs()`` was called;
    :func:`create_default_context` does that too.

    :param pins: a :class:`PinPolicy` or a :class:`PolicyFile`, or for every host alike a
        :class:`PinSet` or what that takes.  On a server, a set: that of its clients' certificates.
    :param on_verdict: called with the :class:`Verdict` of each connection, from the thread of its
        handshake, before data can pass.  What it raises refuses the connection.
    :param early_verdict: whether a client refuses a wrong leaf before its own last flight leaves,
        so that an impostor never gets the client's certificate: ``"auto"``, where it can be done
        and there is something to hold back; ``"require"``: what cannot be done so is refused when
        it is wrapped; ``"off"``.  The verdict after the handshake is always reached as well.
    """

    sslsocket_class = PinnedSocket
    sslobject_class = PinnedSSLObject

    _early_verdict: EarlyVerdict = "auto"
    #: Another object after each change of what is taken down when a connection is wrapped.
    _changed: object = None
    #: Whether a client certificate is, or may be, loaded.
    _sends_certificate: bool
    _on_verdict: Callable[[Verdict], object] | None
    _pins: PinPolicy | PolicyFile | PinSet

    # Without a __new__ of its own, ssl.SSLContext would take the missing positional argument for
    # PROTOCOL_TLS, which verifies nothing.
    def __new__(
        cls,
        protocol: int = ssl.PROTOCOL_TLS_CLIENT,
        *_: Any,
        **__: Any,
    ) -> Self:
        if protocol is None:
            raise TypeError(
                "protocol is one of ssl.PROTOCOL_TLS_CLIENT and ssl.PROTOCOL_TLS_SERVER"
            )
        return super().__new__(cls, protocol)

    def __init__(
        self,
        protocol: int = ssl.PROTOCOL_TLS_CLIENT,  # noqa: ARG002 - __new__ has used it
        *,
        pins: Pinning,
        on_verdict: Callable[[Verdict], object] | None = None,
        early_verdict: EarlyVerdict = "auto",
    ) -> None:
        self.verify_flags |= _default_verify_flags()
        _pin(self, pins, on_verdict)
        self.early_verdict = early_verdict

    @property
    def pins(self) -> PinPolicy | PolicyFile | PinSet:
        """The pins, for the next connection on; those that live keep theirs."""
        return self._pins

    @pins.setter
    def pins(self, pins: Pinning) -> None:
        self._pins = _as_pinning(pins)

    @property
    def on_verdict(self) -> Callable[[Verdict], object] | None:
        """What is called with each :class:`Verdict`, for the next connection on."""
        return self._on_verdict

    @on_verdict.setter
    def on_verdict(self, value: Callable[[Verdict], object] | None) -> None:
        self._on_verdict = _as_callback(value)

    @property
    def early_verdict(self) -> EarlyVerdict:
        """``"auto"``, ``"require"`` or ``"off"``, for the next connection on."""
        return self._early_verdict

    @early_verdict.setter
    def early_verdict(self, value: EarlyVerdict) -> None:
        if value not in ("auto", "require", "off"):
            raise InvalidPolicyError(f'early_verdict is "auto", "require" or "off", not {value!r}')
        self._early_verdict = value

    def wrap_socket(  # noqa: PLR0917 - the arguments are ssl's own
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> PinnedSocket:
        """As ``ssl.SSLContext.wrap_socket``; raises PinMismatchError where the peer is refused."""
        if not hasattr(sock, "fileno"):
            raise TypeError(f"sock is a connected socket, not {type(sock).__name__}")
        if isinstance(sock, ssl.SSLSocket) and sock._sslobj is not None:  # type: ignore[attr-defined]  # ditto
            raise ValueError(
                "this socket speaks TLS already; TLS within TLS goes through wrap_bio(), fed from "
                "the outer socket"
            )
        if sock.fileno() == -1:
            raise OSError(errno.EBADF, "the socket is closed, so it cannot be wrapped")
        wrapped: Any = super().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect and not _EVENTLET,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
            session=session,
        )
        if _EVENTLET:
            PinnedSocket._adopt(wrapped)
            wrapped.do_handshake_on_connect = do_handshake_on_connect
        if isinstance(wrapped, PinnedSocket):  # gevent's are not made by _create()
            wrapped._wait_for_connection()
        if _EVENTLET and do_handshake_on_connect and wrapped._connected:
            try:
                wrapped.do_handshake()
            except BaseException:
                wrapped.close()
                raise
        return cast("PinnedSocket", wrapped)

    def load_cert_chain(
        self,
        certfile: Any,
        keyfile: Any = None,
        password: Any = None,
    ) -> None:
        """As ``ssl.SSLContext.load_cert_chain``."""
        self._changed = object()
        self._sends_certificate = True
        super().load_cert_chain(certfile, keyfile, password)
        self._changed = object()

    # The gate takes down what these are, and OpenSSL copies them a moment later: between the two
    # another thread may change them, and change them back.

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        """As ``ssl.SSLContext.verify_mode``."""
        return cast("ssl.VerifyMode", _SSLContext.verify_mode.__get__(self))  # type: ignore[attr-defined]  # a slot of C

    @verify_mode.setter
    def verify_mode(self, value: int) -> None:
        self._changed = object()
        _SSLContext.verify_mode.__set__(self, value)  # type: ignore[attr-defined]  # a slot of C
        self._changed = object()

    @property
    def check_hostname(self) -> bool:
        """As ``ssl.SSLContext.check_hostname``."""
        return cast("bool", _SSLContext.check_hostname.__get__(self))  # type: ignore[attr-defined]  # a slot of C

    @check_hostname.setter
    def check_hostname(self, value: bool) -> None:
        self._changed = object()
        _SSLContext.check_hostname.__set__(self, value)  # type: ignore[attr-defined]  # a slot of C
        self._changed = object()

    def _resolved(
        self, pins: PinPolicy | PolicyFile, server_side: bool, host: str | None
    ) -> tuple[PinSet | None, Special | None]:
        """What a policy says of a connection that is wrapped now, as :class:`Gate` takes it."""
        if server_side:
            raise TypeError(
                "a policy maps hosts to pins, and a server's clients have no host; give the "
                "server's context a PinSet"
            )
        if host is None:
            raise InvalidPolicyError(
                "a policy has pins by host, and this connection was wrapped without one; give "
                "server_hostname"
            )
        policy = pins.policy if isinstance(pins, PolicyFile) else pins
        listed = policy.match(host)
        interception = policy.interception
        if self._sends_certificate and not policy.interception_with_client_certificate:
            interception = None  # the interceptor would get the certificate as well
        unlisted_allowed = policy.unlisted == "allow"
        if listed is not None and interception is None:
            return listed, None
        return listed, (unlisted_allowed, interception)

    def _may_look(self, pins: PinSet | None, special: Special | None) -> bool:
        if self._early_verdict == "off":
            return False
        if self._early_verdict == "require":
            reason = unproven_ciphers(self)
            if reason is not None:
                return self._cannot_look(reason)
        if pins is not None and pins.scope == "chain":
            return self._cannot_look("the pins have scope chain, and the look sees the leaf alone")
        if special is not None and special[1] is not None:
            return self._cannot_look("an interceptor is approved, and the look sees the leaf alone")
        return True

    def _may_watch(self, pins: PinSet | None, special: Special | None) -> bool:
        if not self._may_look(pins, special):
            return False
        if not self._sends_certificate and self._early_verdict != "require":
            return False  # there is nothing to hold back
        reason = obstacle(self)
        return reason is None or self._cannot_look(reason)

    def _cannot_look(self, reason: str) -> bool:
        if self._early_verdict == "require":
            raise InvalidPolicyError(
                f'early_verdict="require" cannot be kept: {reason}; change that, or say "auto"'
            )
        return False

    def _gate(self, server_side: bool, server_hostname: str | None) -> Gate:
        """The gate for a socket that is wrapped now.  Raises InvalidPolicyError."""
        pinning = self._pins  # read once: another thread may assign to it
        pins: PinSet | None
        if isinstance(pinning, PinSet):
            pins, special = pinning, None
        else:
            pins, special = self._resolved(pinning, server_side, server_hostname)
        watch = not server_side and self._may_watch(pins, special)
        required = self._early_verdict == "require"
        return Gate(
            self,
            pins,
            special,
            self._on_verdict,
            server_side,
            server_hostname,
            False,
            watch,
            required,
        )

    def _wrap_socket(
        self,
        sock: Any,
        server_side: bool,
        server_hostname: str | None = None,
        *,
        owner: Any = None,
        session: ssl.SSLSession | None = None,
    ) -> Gate:
        changed = self._changed
        gate = self._gate(server_side, server_hostname)
        try:
            if gate.watch:
                forbid_compressed_certificates(self)
                begin(self, gate)  # OpenSSL copies the callback when the C object is made
            gate.real = _wrap_socket_in_c(
                self, sock, server_side, server_hostname, owner=owner, session=session
            )
        finally:
            if gate.watch:
                end(gate)
        if self._changed is not changed:
            raise _changed_meanwhile()
        gate.sock = weakref.ref(sock)
        if hasattr(owner, "_sslsock"):
            owner = owner._sslsock()  # gevent's C socket knows the SSLSocket that holds it
        if isinstance(owner, PinnedSocket):
            owner._pin_gate = gate
            gate.kept = True
            gate.in_connect = owner._in_connect
        return gate

    def _wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,
        server_hostname: str | None = None,
        *,
        owner: Any = None,
        session: ssl.SSLSession | None = None,
    ) -> Gate:
        changed = self._changed
        pinning = self._pins  # read once: another thread may assign to it
        pins: PinSet | None
        if isinstance(pinning, PinSet):
            pins, special = pinning, None
        else:
            pins, special = self._resolved(pinning, server_side, server_hostname)
        look = not server_side and self._may_look(pins, special)
        gate = Gate(
            self, pins, special, self._on_verdict, server_side, server_hostname, look, False
        )
        gate.real = _wrap_bio_in_c(
            self, incoming, outgoing, server_side, server_hostname, owner=owner, session=session
        )
        if self._changed is not changed:
            raise _changed_meanwhile()
        gate.outgoing = outgoing
        if isinstance(owner, PinnedSSLObject):
            owner._pin_gate = gate
        return gate


def create_default_context(
    pins: Pinning,
    *,
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
    cafile: str | None = None,
    capath: str | None = None,
    cadata: str | bytes | None = None,
    on_verdict: Callable[[Verdict], object] | None = None,
) -> PinnedContext:
    """A context with the settings of ``ssl.create_default_context``, trust store included.

    Loading the trust store takes tens of milliseconds: make one context and keep it.
    """
    pin_set = _as_pinning(pins)
    context = ssl.create_default_context(purpose, cafile=cafile, capath=capath, cadata=cadata)
    pinned = pin_context(context, pin_set, on_verdict=on_verdict)
    pinned._sends_certificate = False  # it is new, so none was loaded
    return pinned


def pin_context(
    context: ssl.SSLContext,
    pins: Pinning,
    *,
    on_verdict: Callable[[Verdict], object] | None = None,
) -> PinnedContext:
    """Pin a context that exists, in place: its trust, certificates and settings stay.

    Connections that it has made already are not touched.  Returns the same object, which is a
    :class:`PinnedContext` from now on.  Raises TypeError for all but an ``ssl.SSLContext`` proper,
    and InvalidPolicyError for one that is pinned already.
    """
    if isinstance(context, PinnedContext):
        raise InvalidPolicyError(
            "this context is pinned already; assign to its `pins` to change them"
        )
    if type(context) is not _SSLContext:
        raise TypeError(
            f"pin_context takes an ssl.SSLContext, not {type(context).__module__}."
            f"{type(context).__qualname__}: a class of another library could go around the check. "
            f"Make a PinnedContext, or an ssl.SSLContext, with the same settings; and where ssl is "
            f"monkey-patched, do that before pinsock is imported"
        )
    for name in ("sslsocket_class", "sslobject_class"):
        if name in vars(context):
            raise TypeError(
                f"this context has a {name} of its own, which could go around the check; use one "
                f"that has not"
            )
    _pin(context, pins, on_verdict)
    # The class last: from here on the context is pinned, and everything is in its place.
    context.__class__ = PinnedContext
    assert isinstance(context, PinnedContext)
    return context


def wrap_socket(
    sock: socket.socket,
    pins: Pinning,
    *,
    server_hostname: str | bytes | None,
    context: ssl.SSLContext | None = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    session: ssl.SSLSession | None = None,
) -> PinnedSocket:
    """Wrap a connected socket, as a client, and check the server's key.

    :param context: an ``ssl.SSLContext``, which is pinned in place (:func:`pin_context`), or a
        :class:`PinnedContext` that has these pins.  Without one a context like that of
        :func:`create_default_context` is used, which is kept for the next call with equal pins.

    Raises PinMismatchError; ``sock`` is then closed.
    """
    return _context_for(pins, context).wrap_socket(
        sock,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
        server_hostname=server_hostname,
        session=session,
    )


_DEFAULT_TIMEOUT: Any = object()


def create_connection(
    address: tuple[str, int],
    pins: Pinning,
    *,
    timeout: float | None = _DEFAULT_TIMEOUT,
    source_address: tuple[str, int] | None = None,
    server_hostname: str | bytes | None = None,
    context: ssl.SSLContext | None = None,
) -> PinnedSocket:
    """Connect to ``(host, port)``, shake hands, and check the server's key.

    As ``socket.create_connection`` followed by :func:`wrap_socket`.

    :param timeout: seconds, for the connection and from then on; ``None`` for no limit.
    :param server_hostname: the name to verify, if it is not ``host``.
    """
    if not isinstance(address, (tuple, list)) or len(address) < 2:
        raise TypeError(f"address is (host, port), not {address!r}")
    pinned = _context_for(pins, context)  # before connecting: bad pins need no network
    if timeout is _DEFAULT_TIMEOUT:
        sock = socket.create_connection(address, source_address=source_address)
    else:
        sock = socket.create_connection(address, timeout, source_address)
    try:
        return pinned.wrap_socket(
            sock, server_hostname=address[0] if server_hostname is None else server_hostname
        )
    except BaseException:
        sock.close()
        raise


# --- how a context is pinned ----------------------------------------------------------------------


def _pin(
    context: ssl.SSLContext,
    pins: Pinning,
    on_verdict: Callable[[Verdict], object] | None,
) -> None:
    callback = _as_callback(on_verdict)
    pin_set = _as_pinning(pins)
    _prove_once()
    forbid_renegotiation(context)
    vars(context).update(
        _pins=pin_set,
        _on_verdict=callback,
        # ssl does not tell whether a certificate was loaded before.
        _sends_certificate=type(context) is not PinnedContext,
    )


def _as_callback(
    on_verdict: Callable[[Verdict], object] | None,
) -> Callable[[Verdict], object] | None:
    if on_verdict is not None and not callable(on_verdict):
        raise TypeError(
            f"on_verdict is called with a Verdict; {type(on_verdict).__name__} is not callable"
        )
    return on_verdict


def _as_pinning(pins: Pinning) -> PinPolicy | PolicyFile | PinSet:
    if isinstance(pins, (PinSet, PinPolicy, PolicyFile)):
        return pins
    if pins is None:
        raise InvalidPinError(
            "pins is None, which would check nothing; give pins, or use an ssl.SSLContext where "
            "you do not want to pin"
        )
    return PinSet(pins)


@functools.lru_cache(maxsize=16)
def _kept_context(
    pins: PinPolicy | PolicyFile | PinSet,
) -> tuple[PinnedContext, tuple[object, ...]]:
    context = create_default_context(pins)
    return context, _settings(context)


def _settings(context: PinnedContext) -> tuple[object, ...]:
    """What somebody could have changed on a context that he was handed with his connection, as far
    as ssl tells: of ALPN it does not."""
    return (
        context.pins,
        context.on_verdict,
        context.early_verdict,
        context.verify_mode,
        context.check_hostname,
        context.verify_flags,
        context.options,
        context.minimum_version,
        context.maximum_version,
        context._sends_certificate,
        context.keylog_filename,
        context.sslsocket_class,
        context.sslobject_class,
        tuple(context.cert_store_stats().items()),
        tuple(cipher["name"] for cipher in context.get_ciphers()),
    )


def _unchanged_context(pins: PinPolicy | PolicyFile | PinSet) -> PinnedContext:
    """Kept for the pins that made it: loading the trust store takes tens of milliseconds."""
    context, settings = _kept_context(pins)
    if _settings(context) != settings:
        _kept_context.cache_clear()
        context, _ = _kept_context(pins)
    return context


def _context_for(pins: Pinning, context: ssl.SSLContext | None) -> PinnedContext:
    pin_set = _as_pinning(pins)
    if context is None:
        return _unchanged_context(pin_set)
    if not isinstance(context, PinnedContext):
        return pin_context(context, pin_set)
    if context.pins is not pin_set and context.pins != pin_set:
        raise InvalidPolicyError(
            "this context has other pins than those given; use its own wrap_socket(), or another "
            "context"
        )
    return context


@functools.cache
def _default_verify_flags() -> ssl.VerifyFlags:
    # One for servers, since that loads no trust store; the flags are the same for clients.
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).verify_flags


@functools.cache
def _prove_once() -> None:
    """Prove that this Python's ssl does go through the gate, on which everything rests.

    With a socket pair and with BIOs, up to the first message of a handshake.  Raises PinsockError.
    """
    with_pins = PinnedContext.__new__(PinnedContext)
    some_pins = PinSet([Pin("spki", bytes(32))], backup=None)
    vars(with_pins).update(_pins=some_pins, _on_verdict=None, _sends_certificate=False)

    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        with with_pins.wrap_socket(
            near, do_handshake_on_connect=False, server_hostname="pinsock.invalid"
        ) as wrapped:
            gated = isinstance(wrapped._sslobj, Gate) and _sends_hello(lambda: wrapped.write(b"x"))
            gated = gated and far.recv(1) == b"\x16"
    outgoing = ssl.MemoryBIO()
    wrapped_bio: Any = with_pins.wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="pinsock.invalid"
    )
    gated = gated and isinstance(wrapped_bio._sslobj, Gate)
    gated = gated and _sends_hello(lambda: wrapped_bio.write(b"x")) and outgoing.read(1) == b"\x16"
    if not gated:
        raise PinsockError(
            f"pinsock cannot guard the ssl module of this Python ({sys.version}): its sockets do "
            f"not go through SSLContext._wrap_socket and _wrap_bio as those of CPython 3.11 to "
            f"3.13 do, so nothing would be checked. Use one of those, or a newer pinsock"
        )


def _sends_hello(write: Callable[[], object]) -> bool:
    """Whether a write of application data asks for the server's half of the handshake first."""
    try:
        write()
    except ssl.SSLWantReadError:
        return True
    return False
