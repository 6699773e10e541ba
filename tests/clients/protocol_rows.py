"""The rows of mail, files, messages, databases and directories."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.daemons import (
    PASSWORD,
    USER,
    Daemon,
    dovecot,
    eventually,
    ftp_server,
    mariadb,
    mosquitto,
    postfix,
    postgresql,
    rabbitmq,
    redis,
    slapd,
)

from .row import Row
from .stubs import kafka_stub, mongodb_stub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Credential

__all__ = ["ROWS"]

_LOGIN = {"user": USER, "password": PASSWORD}
_DN = {"user": f"cn={USER},dc=example", "password": PASSWORD}


class _FtpServer(Daemon):
    """One whose data channel is somebody else's."""

    def heard(self) -> bytes:
        """What came over the data channel; the server logs the end of a transfer, whole or not."""
        eventually(
            lambda: " completed=" in self.log.read_text(), "the end of the transfer in the log"
        )
        return (self.log.parent / "files" / "letter").read_bytes()


@contextmanager
def _other_data_channel(pinned: Credential, other: Credential) -> Iterator[Daemon]:
    with ftp_server(pinned, data=other) as server:
        yield _FtpServer(server.kind, server.credential, server.ports, server.log)


ROWS: tuple[Row, ...] = (
    Row("smtplib_ssl", "smtplib", postfix, scheme="smtps"),
    Row("smtplib_starttls", "smtplib, STARTTLS", postfix, scheme="smtp", starttls="smtp"),
    Row("imaplib_ssl", "imaplib", dovecot, scheme="imaps", extra=_LOGIN),
    Row(
        "imaplib_starttls",
        "imaplib, STARTTLS",
        dovecot,
        scheme="imap",
        starttls="imap",
        extra=_LOGIN,
        note="In a `with` block imaplib says LOGOUT to the dead connection, and what comes out is "
        "its `abort`, with the mismatch as `__context__`.",
    ),
    Row("poplib_ssl", "poplib", dovecot, scheme="pop3s", extra=_LOGIN),
    Row("poplib_stls", "poplib, STLS", dovecot, scheme="pop3", starttls="pop3", extra=_LOGIN),
    Row("ftplib_tls", "ftplib, control channel", ftp_server, starttls="ftp", extra=_LOGIN),
    Row(
        "ftplib_data",
        "ftplib, data channel",
        ftp_server,
        script="ftplib_tls",
        wrong_server=_other_data_channel,
        extra=_LOGIN,
    ),
    Row(
        "paho_connect",
        "paho-mqtt, `connect`",
        mosquitto,
        distribution="paho-mqtt",
        modules="paho",
    ),
    Row(
        "paho_loop",
        "paho-mqtt, `connect_async`",
        mosquitto,
        distribution="paho-mqtt",
        modules="paho",
        endless=True,
        swallows=True,
        note="The thread of paho-mqtt tries again for as long as it runs, at growing intervals "
        "(`reconnect_delay_set`); `on_connect_fail` is called, but not told why.  `connect` "
        "raises, before there is a thread.",
    ),
    Row(
        "redis_py",
        "redis-py",
        redis,
        distribution="redis",
        quiet={"retries": 0},
        stops="retries=0",
        cannot="cannot, but by overriding a private method",
        note="It takes no context, so a class makes the connection, in a method that redis-py's "
        "own classes override too, but which its documentation does not name.  "
        "`redis.Redis(host)` by itself tries eleven times, like this recipe; a pool without "
        "`retry` tries once.",
    ),
    Row(
        "asyncpg_connect",
        "asyncpg",
        postgresql,
        starttls="postgres",
        distribution="asyncpg",
        extra=_LOGIN,
    ),
    Row(
        "pg8000_connect",
        "pg8000",
        postgresql,
        starttls="postgres",
        distribution="pg8000",
        extra=_LOGIN,
    ),
    Row(
        "pymysql_connect",
        "PyMySQL",
        mariadb,
        starttls="mysql",
        distribution="PyMySQL",
        modules="pymysql",
        extra=_LOGIN,
    ),
    Row("pika_blocking", "pika", rabbitmq, distribution="pika", extra=_LOGIN),
    Row(
        "ldap3_ldaps",
        "ldap3",
        slapd,
        scheme="ldaps",
        distribution="ldap3",
        extra=_DN,
        note="It takes a `Tls` object, not a context.  What it raises is its own error and a "
        "`PinMismatchError` in one, made from the text alone: `verdict`, `chain` and `host` are "
        "those that `on_verdict` was told.",
    ),
    Row(
        "ldap3_starttls",
        "ldap3, StartTLS",
        slapd,
        scheme="ldap",
        starttls="ldap",
        distribution="ldap3",
        extra=_DN,
    ),
    Row(
        "pymongo_client",
        "pymongo",
        mongodb_stub,
        distribution="pymongo",
        endless=True,
        swallows=True,
        stub=True,
        cannot="cannot, but by a private attribute",
        note="It takes no context and has no supported way in: the attribute is a private one, and "
        "where it goes an `AttributeError` comes.  The server is looked for every half second "
        "until `serverSelectionTimeoutMS` is over; then the text of the mismatch is in the "
        "message of a `ServerSelectionTimeoutError`, the exception itself is not.",
    ),
    Row(
        "kafka_consumer",
        "kafka-python",
        kafka_stub,
        distribution="kafka-python",
        modules="kafka",
        endless=True,
        swallows=True,
        stub=True,
        note="It tries again until `bootstrap_timeout_ms` is over, and then raises a "
        "`KafkaTimeoutError` that does not say why.",
    ),
)
