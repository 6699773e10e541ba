"""The gate: what stands in for CPython's ``_ssl._SSLSocket`` until the peer's key has matched.

Theory.  Every byte that Python's ``ssl`` moves goes through one C object, ``_ssl._SSLSocket``,
which ``ssl.SSLSocket`` and ``ssl.SSLObject`` hold as ``_sslobj``.  So that attribute is where a
check cannot be gone around: not by an implicit handshake, not by a method called unbound, not by a
library that handshakes its own way.  ``PinnedContext`` puts a :class:`Gate` there.  It shakes
hands and judges before anything else, and only then puts the C object in its own place, so that
afterwards the data path is CPython's.

Rules:

1. What is not on a short list of harmless questions is refused or makes the check run first.
2. From the moment the handshake is done the gate counts as refused, until the verdict allows.  So
   an interruption anywhere leaves it shut, and a refusal is for good.
3. A refused connection is dead on the wire: after a failed ``connect()`` CPython drops
   ``_sslobj``, and the next ``send`` would go out in the clear.
4. Pins, host and verification are those of the moment of wrapping.
5. One thread at a time, and the same thread only once: OpenSSL must not be entered twice.

This module and ``_context`` are all that knows ``ssl``'s private names.
"""

from __future__ import annotations

import _socket
import _ssl
import errno
import ssl
from _thread import RLock
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from pinsock._early import begin, end, obstacle
from pinsock._verify import Outcome, Verdict, judge, refusal
from pinsock.exceptions import InvalidPolicyError, PinVerificationError

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Sequence

    from pinsock._pins import PinSet

__all__ = [
    "Gate",
    "NotConnected",
    "Special",
    "certificates_as_sent",
    "forbid_compressed_certificates",
    "forbid_renegotiation",
]

#: What a policy says beside the pins of a host: whether unlisted hosts are allowed, and the pins of
#: approved interceptors.  Without pins it always says something, with pins only of interceptors.
Special: TypeAlias = "tuple[bool, PinSet | None]"

_DER: Final = _ssl.ENCODING_DER
_SHUT_RDWR: Final = 2
#: Reading what is left in a dead connection must not wait (there is no such flag on Windows, where
#: a connection that is shut down does not wait either).
_DONT_WAIT: Final[int] = getattr(_socket, "MSG_DONTWAIT", 0)

_get_verify_mode: Final = _ssl._SSLContext.verify_mode.__get__  # type: ignore[attr-defined]  # a slot of C
_get_check_hostname: Final = _ssl._SSLContext.check_hostname.__get__  # type: ignore[attr-defined]  # a slot of C
_get_post_handshake_auth: Final = _ssl._SSLContext.post_handshake_auth.__get__  # type: ignore[attr-defined]  # a slot of C
_get_options: Final = _ssl._SSLContext.options.__get__  # type: ignore[attr-defined]  # a slot of C
_set_options: Final = _ssl._SSLContext.options.__set__  # type: ignore[attr-defined]  # a slot of C
_OP_NO_RENEGOTIATION: Final = int(ssl.OP_NO_RENEGOTIATION)
_CERT_REQUIRED: Final = int(ssl.CERT_REQUIRED)

_MATCHED: Final = Outcome.MATCHED
_STDLIB: Final = ssl.SSLSocket.__module__ == "ssl"

#: After these a handshake that has not ended can go on.
_CAN_GO_ON: Final = (
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    TimeoutError,
    BlockingIOError,
    InterruptedError,
)

#: Questions that move no application data and change nothing that the check depends on.
_HARMLESS: Final = frozenset(
    {
        "cipher",
        "client_sigalg",
        "compression",
        "get_channel_binding",
        "get_unverified_chain",
        "get_verified_chain",
        "getpeercert",
        "group",
        "pending",
        "selected_alpn_protocol",
        "server_hostname",
        "server_sigalg",
        "server_side",
        "session_reused",
        "shared_ciphers",
        "version",
    }
)

#: Bytes of an alert in the clear, with the head of its record (RFC 5246, sections 6.2.1 and 7.2).
_ALERT: Final = 5 + 2

#: What is wrong with a connection whose check has begun and not ended.  Made once, so that a check
#: that runs out of memory need not make it.
_INTERRUPTED: Final = PinVerificationError(
    "the check of the peer's public key was interrupted, so the connection is refused for good; "
    "make a new one"
)

#: The same where the client's flight is next and there was no leaf to look at.
_UNSEEN: Final = PinVerificationError(
    "the server showed no certificate, or a signal handler came between, so no pin can match; the "
    "connection is refused for good"
)


def log_verdict(verdict: Verdict) -> None:
    # Most programs never come here, and logging takes a while to load.
    from pinsock._records import log_verdict

    log_verdict(verdict)


def forbid_renegotiation(context: ssl.SSLContext) -> None:
    """In TLS 1.2 a peer could otherwise change its certificate after the check."""
    options = _get_options(context)
    if not options & _OP_NO_RENEGOTIATION:
        _set_options(context, options | _OP_NO_RENEGOTIATION)


#: SSL_OP_NO_RX_CERTIFICATE_COMPRESSION of OpenSSL 3.2 and later, for which ssl has no name.
_OP_NO_RX_CERTIFICATE_COMPRESSION: Final = 1 << 33


def forbid_compressed_certificates(context: ssl.SSLContext) -> None:
    """A server that may send one (RFC 8879) would be refused: the early look cannot read it."""
    if ssl.OPENSSL_VERSION_INFO >= (3, 2):
        options = _get_options(context)
        if not options & _OP_NO_RX_CERTIFICATE_COMPRESSION:
            # Python 3.11 has 32 bits for it on Windows; there it stays a refusal.
            with suppress(OverflowError):
                _set_options(context, options | _OP_NO_RX_CERTIFICATE_COMPRESSION)


def _refuse_server_settings(context: ssl.SSLContext, verified: bool) -> None:
    if not verified:
        raise InvalidPolicyError(
            "a server's pins are those of its clients' certificates, and it asks for none unless "
            "the context's verify_mode is ssl.CERT_REQUIRED; set it, and load the authority that "
            "signed them"
        )
    if _get_post_handshake_auth(context):
        raise InvalidPolicyError(
            "post_handshake_auth lets application data pass before the client has shown its "
            "certificate, so it cannot be combined with pins; set it to False"
        )


def _is_canonical(host: str) -> bool:
    """Nearly always, and quickly."""
    return host.islower() and host.isascii() and not host.endswith(".")


def _canonical(host: str) -> str:
    """As policies and records compare it."""
    from pinsock._policy import canonical_host

    try:
        return canonical_host(host)
    except InvalidPolicyError:
        return host  # a set of pins takes any name that ssl does


class Gate:
    """Stands in for ``_ssl._SSLSocket`` until the verdict; see the module's docstring."""

    __slots__ = (
        "_busy",
        "_drain",
        "_early",
        "_failure",
        "_handshake",
        "_held",
        "_host",
        "_lock",
        "_look",
        "_needs_chain",
        "_on_verdict",
        "_open",
        "_pins",
        "_read",
        "_required",
        "_seen",
        "_server_side",
        "_shutdown",
        "_special",
        "_underneath",
        "_verified",
        "_write",
        "begun",
        "in_connect",
        "kept",
        "outgoing",
        "real",
        "sock",
        "verdict",
        "watch",
    )

    def __init__(  # noqa: PLR0917 - in each handshake, where keywords cost
        self,
        context: ssl.SSLContext,
        pins: PinSet | None,
        special: Special | None,
        on_verdict: Callable[[Verdict], object] | None,
        server_side: bool,
        host: str | None,
        look: bool,
        watch: bool,
        required: bool = False,
    ) -> None:
        """Take down what is to hold, before the C object copies its own part of the context.

        The caller then sets ``real`` to that object, and ``sock`` or ``outgoing``.

        :param pins: ``None``: the policy lists none for the host.
        :param special: what a policy says beside them, if it does.
        :param look: whether to judge the leaf as soon as it can be seen, over BIOs.
        :param watch: the same over a socket, by the context's message callback.
        :param required: whether a handshake without it must not begin.
        """
        #: Whether a handshake was begun, so that bytes of TLS may be on the wire.
        self.begun = False
        #: Whether a PinnedSocket holds on to this gate, whatever ssl does with its ``_sslobj``.
        self.kept = False
        self._open = False
        #: The socket holds the gate, so the gate must not hold the socket.
        self.sock: weakref.ref[_socket.socket] | None = None
        if not _get_options(context) & _OP_NO_RENEGOTIATION:
            forbid_renegotiation(context)
        self._verified = verified = _get_verify_mode(context) == _CERT_REQUIRED
        if server_side:
            _refuse_server_settings(context, verified)
        if not verified and pins is not None and pins.scope == "chain":
            raise InvalidPolicyError(
                'scope="chain" matches certificates of the verified chain, and there is none '
                "unless the context's verify_mode is ssl.CERT_REQUIRED; set it, or pin the peer's "
                'own key with scope="leaf"'
            )
        if pins is None:
            lenient, self._needs_chain = special is not None and special[0], False
        elif special is None:
            lenient, self._needs_chain = pins.lenient, pins.scope == "chain"
        else:  # an interceptor is approved, whose pin is of one of the chain's keys
            lenient = self._needs_chain = True
        self._underneath = (
            lenient
            and verified
            and (server_side or (host is not None and _get_check_hostname(context)))
        )
        self._pins = pins
        self._special = special
        self._on_verdict = on_verdict
        self._server_side = server_side
        self._host = host if host is None or _is_canonical(host) else _canonical(host)
        self._lock = RLock()
        self.watch = watch
        self._required = required
        self._look = look
        #: What the early look refused, and the certificate that it saw.
        self._early: tuple[Verdict, bytes] | None = None
        #: Whether it saw one and did not refuse it.
        self._seen = False
        #: Whether a BIO may hold a flight that it is not decided whether to let out.
        self._held = False
        self._drain = True
        self._busy = False
        self._failure: PinVerificationError | None = None
        #: Whether ``connect()`` is under way, and with it the handshake.
        self.in_connect = False
        self.verdict: Verdict | None = None
        self.real: Any = None
        self.outgoing: ssl.MemoryBIO | None = None

    # --- what makes the check run -----------------------------------------------------------------

    def do_handshake(self) -> None:
        with self._lock:
            if self._busy:
                # A signal handler or a callback that uses the connection in the middle of its own
                # handshake: waiting would be for ever, and entering OpenSSL twice crashes.
                raise PinVerificationError(
                    "this connection is in the middle of its handshake, in this very thread (in a "
                    "signal handler or a callback?), and cannot be used before it has ended"
                )
            try:
                self._busy = True  # first: a signal handler may come in between, and be refused
                if self._failure is not None:
                    raise self._failure.again()
                if self._open:
                    return  # by another thread, for which this one waited
                self.begun = True
                if self.watch:
                    self._watched_handshake()
                else:
                    self._held = self.outgoing is not None
                    self.real.do_handshake()
                self._failure = _INTERRUPTED
                self._check()
                self._held = False
            except BaseException as error:
                if self._failure is None and isinstance(error, _CAN_GO_ON):
                    if self._look or self.in_connect:
                        self._before_going_on(error)
                    self._held = False
                    raise
                self._end(error)
                raise
            finally:
                self._busy = False
                if self._held and self.outgoing is not None:
                    # Stopped in between, by a signal handler that raised.
                    if not self._open:
                        self._failure = self._failure or _INTERRUPTED
                        self.outgoing.read()
                    self._held = False

    def _before_going_on(self, error: BaseException) -> None:
        """After a step of a handshake that has not ended."""
        # ssl is about to take TLS off this socket, and another thread could then write in the
        # clear; within the connect() of gevent and eventlet it is they who wait and go on.
        if self.in_connect and (_STDLIB or isinstance(error, TimeoutError)):
            self._end(error)
        if self._look:
            self._look_at_flight(ended=False)

    def _end(self, error: BaseException) -> None:
        """After a handshake that failed, or one whose peer was not accepted."""
        if self._failure is not None:
            self._cut()
            if isinstance(error, Exception) and not isinstance(error, OSError):
                # As one of the errors that programs and event loops expect of a handshake.
                raise self._failed_with(
                    f"the check failed with {type(error).__name__}, so the connection is refused"
                ) from error
        elif isinstance(error, OSError):
            may_leave = True
            if self._look:
                # A peer that ends the handshake at once must not get our flight for it.  OpenSSL
                # has none when it refuses a certificate; a signal handler may raise the same.
                may_leave = not self._has_flight() or (
                    not isinstance(error, ssl.SSLCertVerificationError)
                    and self._look_at_flight(ended=True)
                )
            self._cut()
            if may_leave:  # an alert, perhaps, on its way out of a BIO
                self._drain = self._held = False
            self._failed_with(
                "the handshake of this connection failed before, so its peer was never checked; "
                "make a new connection"
            )

    def read(self, *arguments: Any) -> Any:
        self.do_handshake()
        return self.real.read(*arguments)

    def write(self, data: Any) -> Any:
        self.do_handshake()
        return self.real.write(data)

    def shutdown(self) -> Any:
        self.do_handshake()
        return self.real.shutdown()

    # --- the early look (see _early): it can refuse, and nothing else -----------------------------

    def _has_flight(self) -> bool:
        """Over BIOs: whether something stands there that is no alert in the clear."""
        return cast("ssl.MemoryBIO", self.outgoing).pending > _ALERT

    def _look_at_flight(self, *, ended: bool) -> bool:
        """Over BIOs, where what goes out is held back until this has returned: is it our flight,
        and may it leave?

        Not before there is one to hold back: ssl may show the certificates of a session that is
        only offered, or not even that, and no certificate of this handshake is older.  What was
        raised tells nothing of it: a signal handler's error stands in the place of OpenSSL's.
        """
        self._failure = _INTERRUPTED
        try:
            real = self.real
            if not ended and real.get_channel_binding("tls-unique") is not None:
                # One alone ends with our Finished and not with the handshake: that of TLS 1.2.
                is_known = True
            else:  # perhaps in the middle of it, or an encrypted alert stands there
                # A chain is of this handshake, and there too where nothing is verified.
                is_known = self._has_flight() and bool(real.get_verified_chain())
            leaf = None
            if is_known:
                chain = real.get_unverified_chain()
                if chain:
                    leaf = chain[0].public_bytes(_DER)
                elif real.session_reused:  # at the very end, where a handler has raised
                    leaf = real.getpeercert(True)
            if leaf is not None:
                self.see_leaf(leaf, full=not real.session_reused)
            else:
                self._failure = _UNSEEN if is_known else None
            if self._failure is not None:
                raise self._refused_early()
        except BaseException as error:
            self._end(error)
            raise
        return is_known

    def _watched_handshake(self) -> None:
        """Over a socket: within, ``see_leaf`` or ``see_compressed`` may be called."""
        real = self.real
        context = real.context
        reason = obstacle(context) if self._required else None
        if reason is not None:
            raise InvalidPolicyError(f'early_verdict="require" cannot be kept: {reason}')
        try:
            try:
                if not self._seen:
                    begin(context, self)
                real.do_handshake()
            finally:
                end(self)
        except Exception:
            # EPIPE and the like: the connection was shut down under OpenSSL's feet.
            if self._failure is not None:
                raise self._refused_early()  # noqa: B904 - it says itself what is shown with it
            raise
        if self._failure is not None:
            raise self._refused_early()

    def _refused_early(self) -> PinVerificationError:
        if self._early is not None:
            verdict, leaf = self._early
            error = self._refused(verdict, (leaf,))
        elif self._failure is _UNSEEN:
            error = self._refused(self._judge((), False), ())
        else:
            return (self._failure or _INTERRUPTED).again()
        # That OpenSSL then found the connection shut is of no interest.
        error.__suppress_context__ = True
        try:
            return error
        finally:
            del error

    def is_in_flight(self) -> bool:
        return self._busy or self.real is None  # in the wrap

    def is_of(self, conn: object) -> bool:
        return conn is self.real.owner or (self.sock is not None and conn is self.sock())

    def see_leaf(self, leaf: bytes, *, full: bool = True) -> None:
        """Judge it; ``full``: it was shown in this handshake, and not in that of a session."""
        self._failure = _INTERRUPTED
        self._look = False  # once is enough
        verdict = self._judge((leaf,), full)
        if verdict.allowed:
            self._seen = True
            self._failure = None
        else:
            self._early = verdict, leaf
            self._cut()

    def look_missed(self) -> None:
        """The client's flight is next."""
        if not self._seen:
            if self._failure is None:
                self._failure = _UNSEEN
            self._cut()

    def look_failed(self) -> None:
        self._failure = _INTERRUPTED
        self._cut()

    def see_compressed(self) -> None:
        self._failed_with(
            "the server sent a compressed certificate (RFC 8879), which the early look cannot read"
        )
        self._cut()

    def __del__(self) -> None:
        # gevent's and eventlet's own sockets drop their TLS where a handshake fails or they are
        # shut down, and are plain ones from then on; what they are connected to was never checked.
        try:
            if self.sock is not None and not self._open and (self.begun or not self.kept):
                self._cut()
        except AttributeError:
            pass  # it was never made to the end

    # --- the check --------------------------------------------------------------------------------

    def _check(self) -> None:
        real = self.real
        leaf = real.getpeercert(True)
        chain: Sequence[bytes] = () if leaf is None else (leaf,)
        if leaf is not None and self._needs_chain:
            # Empty in a resumed session, which has a leaf alone.
            verified = _chain(real.get_verified_chain())
            if verified and verified[0] == leaf:
                chain = verified
        # A client's session may have been made when nothing was verified, and resuming it verifies
        # nothing.
        full = self._server_side or not real.session_reused
        if self._special is None:  # _judge(), without its frame
            underneath = full and self._underneath
            verdict = judge(self._pins, self._host, chain, time(), underneath)
        else:
            verdict = self._judge(chain, full)
        if not verdict.allowed:
            raise self._refused(verdict, chain)
        if verdict.outcome is not _MATCHED:
            log_verdict(verdict)
        if self._on_verdict is not None:
            self._tell_or_refuse(verdict)
        self._let_pass(verdict)

    def _judge(self, chain: Sequence[bytes], full: bool) -> Verdict:
        underneath = full and self._underneath
        if self._special is None:
            return judge(self._pins, self._host, chain, time(), underneath)
        return judge(self._pins, self._host, chain, time(), underneath, *self._special)

    def _let_pass(self, verdict: Verdict) -> None:
        real = self.real
        self.verdict = verdict
        self._open = True
        self._failure = None
        owner = real.owner
        try:
            if owner._sslobj is self:
                owner._sslobj = real
                return
        except AttributeError:
            pass
        # gevent and eventlet keep the C object elsewhere, or do not say where.
        self._handshake = real.do_handshake
        self._read = real.read
        self._write = real.write
        self._shutdown = real.shutdown
        self.__class__ = _OpenGate

    # The errors are made in one function and raised in another: a frame that holds an error and
    # stands in its traceback would be a reference cycle.

    def _refused(self, verdict: Verdict, chain: Sequence[bytes]) -> PinVerificationError:
        self.verdict = verdict
        self._cut()  # first: what follows can take a moment, or fail
        real = self.real
        shown = chain
        # Over a socket the early look comes before the chain is verified.
        verified = self._verified and not (self.watch and self._early)
        if chain:
            sent = real.get_verified_chain() if verified else real.get_unverified_chain()
            shown = _chain(sent) or chain
        error = refusal(
            verdict,
            self._pins,
            shown,
            peer="client" if self._server_side else "server",
            verified=verified,
            resumed=real.session_reused,
        )
        self._failure = error.again()  # one that is never raised keeps no traceback
        log_verdict(verdict)
        try:
            error.__cause__ = self._tell(verdict)  # shown with the refusal, which stands
            return error
        finally:
            del error  # this frame is within reach of the cause's traceback

    def _tell_or_refuse(self, verdict: Verdict) -> None:
        raised = self._tell(verdict)
        if raised is not None:
            try:
                raise self._failed_with(
                    f"on_verdict raised {type(raised).__name__}, so the connection is refused"
                ) from raised
            finally:
                del raised  # which has this frame in its traceback's reach

    def _tell(self, verdict: Verdict) -> Exception | None:
        """Call ``on_verdict``, and give what it raised."""
        if self._on_verdict is not None:
            try:
                self._on_verdict(verdict)
            except Exception as raised:
                return raised
        return None

    def _failed_with(self, message: str) -> PinVerificationError:
        error = PinVerificationError(message, host=self._host)
        self._failure = error.again()
        return error

    def _cut(self) -> None:
        """Make the connection dead on the wire, in both directions."""
        if self._drain and self._failure is not None and self.outgoing is not None:
            # In TLS 1.3 the client's certificate and Finished are still in there.
            self.outgoing.read()
        sock = None if self.sock is None else self.sock()
        if sock is None:
            return
        # On the C type: gevent and eventlet put classes of their own in the place of
        # socket.socket, and ssl.SSLSocket.shutdown() would make the socket a plain one.
        try:
            _socket.socket.shutdown(sock, _SHUT_RDWR)
            # What the peer sent ahead must not be read by somebody who takes this for a plain
            # socket.  After the shutdown nothing more comes in, so this ends.
            while _socket.socket.recv(sock, 65536, _DONT_WAIT):
                pass
        except OSError:
            pass

    # --- harmless questions -----------------------------------------------------------------------

    @property
    def context(self) -> ssl.SSLContext:
        return cast("ssl.SSLContext", self.real.context)

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        if not self._server_side:
            # With it OpenSSL would change the authorities that are trusted and the certificate that
            # is shown, and neither is what the pins were combined with.
            raise InvalidPolicyError(
                "the context of a client cannot be changed between the wrap and the handshake; "
                "wrap another connection"
            )
        self.real.context = context  # for SNI; the pins stay those of the first context

    @property
    def session(self) -> ssl.SSLSession | None:
        return cast("ssl.SSLSession | None", self.real.session)

    @session.setter
    def session(self, session: ssl.SSLSession) -> None:
        free = self._lock.acquire(blocking=False)  # not while another thread shakes hands
        try:
            if not free or (self.begun and not self._open):
                # CPython would let it be, and OpenSSL crashes with some.
                raise InvalidPolicyError(
                    "the session to resume is set before the handshake begins, and this one has "
                    "begun; wrap another connection"
                )
            self.real.session = session
        finally:
            if free:
                self._lock.release()

    @property
    def owner(self) -> object:
        return self.real.owner

    @owner.setter
    def owner(self, owner: object) -> None:
        self.real.owner = owner

    def __getattr__(self, name: str) -> Any:
        if name in _SLOTS:
            raise AttributeError(name)  # not set yet
        value = getattr(self.real, name)
        if name in _HARMLESS or self._open:
            return value
        raise PinVerificationError(
            f"{name} cannot be used before the peer's public key has been checked: call "
            f"do_handshake() first"
        )


_SLOTS: Final = frozenset(Gate.__slots__)


def _slot(name: str) -> Any:
    return vars(Gate)[name]


class _OpenGate(Gate):
    """After a verdict that allows, where the owner's ``_sslobj`` could not be found: the C object's
    methods stand in the slots, so that a call costs one look-up more."""

    __slots__ = ()

    do_handshake = _slot("_handshake")
    read = _slot("_read")
    write = _slot("_write")
    shutdown = _slot("_shutdown")


def certificates_as_sent(connection: ssl.SSLObject) -> Sequence[bytes]:
    """What the peer has sent, in DER, leaf first; empty as long as there is nothing.

    Nothing but the leaf is proven by a handshake, and that only at its end.  ssl has no public name
    for it before CPython 3.13.
    """
    return _chain(connection._sslobj.get_unverified_chain())  # type: ignore[attr-defined]  # not in typeshed


def _chain(certificates: Sequence[Any] | None) -> Sequence[bytes]:
    return tuple(certificate.public_bytes(_DER) for certificate in certificates or ())


class NotConnected:
    """Stands in for the gate in a socket that was wrapped before it was connected.

    CPython has ``None`` there, and with it every method is that of a plain socket: whoever connects
    the socket in a way that ``ssl`` does not notice would send in the clear.
    """

    __slots__ = ("context", "settings")

    _NOTHING: ClassVar = {
        "cipher": None,
        "compression": None,
        "get_channel_binding": None,
        "get_unverified_chain": None,
        "get_verified_chain": None,
        "pending": 0,
        "selected_alpn_protocol": None,
        "shared_ciphers": None,
        "version": None,
    }

    session = None
    session_reused = None

    def __init__(self, context: ssl.SSLContext) -> None:
        #: The one that the socket was wrapped with, which stays, and what counts of it.
        object.__setattr__(self, "context", context)
        object.__setattr__(self, "settings", self._settings())

    def _settings(self) -> tuple[object, ...]:
        context = self.context
        return (
            vars(context).get("_pins"),
            vars(context).get("_on_verdict"),
            _get_verify_mode(context),
            _get_check_hostname(context),
            vars(context).get("_early_verdict"),
        )

    def check_unchanged(self) -> None:
        """What holds is what held when the socket was wrapped, though TLS begins only now."""
        if self._settings() != self.settings:
            raise InvalidPolicyError(
                "pins, on_verdict, verify_mode, check_hostname or early_verdict of the context "
                "were changed between wrapping this socket and connecting it; wrap another socket"
            )

    def __setattr__(self, name: str, value: object) -> None:
        if name != "session":  # ssl.SSLSocket keeps it for when it connects
            raise self.error(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._NOTHING:
            return lambda *_: self._NOTHING[name]
        raise self.error(name)

    @staticmethod
    def error(name: str) -> OSError:
        return OSError(
            errno.ENOTCONN,
            f"{name}: this socket was wrapped before it was connected, and pinsock lets nothing "
            f"pass before connect() has been called on the wrapped socket; or connect first, then "
            f"wrap",
        )
