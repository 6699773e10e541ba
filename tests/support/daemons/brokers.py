"""Servers of messages."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .process import (
    LOOPBACK,
    PASSWORD,
    USER,
    WAIT,
    Daemon,
    find,
    folder_for_all,
    reserved_port,
    reserved_ports,
    running,
    unless_root,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

__all__ = ["mosquitto", "rabbitmq"]

MOSQUITTO = """\
listener {port} {host}
certfile {credential}
keyfile {credential}
allow_anonymous true
log_type all
log_dest file {folder}/log
persistence false
user {user}
{clients}
"""

CLIENTS = """\
cafile {authority}
require_certificate true
use_identity_as_username true
"""


@contextmanager
def mosquitto(credential: Credential, *, clients: Authority | None = None) -> Iterator[Daemon]:
    """Port ``mqtts``; everybody is let in, as long as it is over TLS.

    :param clients: who has to have signed the certificate that every client has to show, and
        whose subject is the user's name.
    """
    program = find("mosquitto")
    with folder_for_all() as folder, reserved_ports("mqtts") as ports:
        asks = ""
        if clients is not None:
            authority = folder / "authority.pem"
            authority.write_text(clients.pem)
            asks = CLIENTS.format(authority=authority)
        configuration = folder / "mosquitto.conf"
        configuration.write_text(
            MOSQUITTO.format(
                port=ports["mqtts"],
                host=LOOPBACK,
                credential=credential.write(folder / "credential.pem"),
                folder=folder,
                user="root",  # only root changes user, and then may not write its log here
                clients=asks,
            )
        )
        with running([program, "-c", configuration], ports.values(), folder / "output"):
            yield Daemon("mosquitto", credential, ports, folder / "log")


RABBITMQ = """\
listeners.tcp = none
listeners.ssl.1 = {host}:{port}
ssl_options.certfile = {credential}
ssl_options.keyfile = {credential}
ssl_options.verify = verify_none
default_user = {user}
default_pass = {password}
log.file = false
log.console = true
log.console.level = info
"""


@contextmanager
def rabbitmq(credential: Credential) -> Iterator[Daemon]:
    """Port ``amqps``: one user, and no queue yet."""
    # Debian's own script on PATH changes user by itself, and keeps what it says elsewhere.
    program = find("rabbitmq-server", Path("/usr/lib/rabbitmq/bin"))
    user = unless_root("rabbitmq")
    with (
        folder_for_all(user) as folder,
        reserved_ports("amqps") as ports,
        reserved_port() as names,
        reserved_port() as nodes,
    ):
        configuration = folder / "rabbitmq.conf"
        configuration.write_text(
            RABBITMQ.format(
                host=LOOPBACK,
                port=ports["amqps"],
                credential=credential.write(folder / "credential.pem"),
                user=USER,
                password=PASSWORD,
            )
        )
        plugins = folder / "plugins"
        plugins.write_text("[].")
        environment = {
            "HOME": str(folder),  # where Erlang keeps its cookie
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_DIST_PORT": str(nodes),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
        }
        # Erlang's daemon of names: one that is already there stays when its node has gone.
        epmd = [find("epmd"), "-port", str(names), "-address", LOOPBACK]
        with (
            running(epmd, names, folder / "epmd", user=user),
            running(
                [program],
                ports.values(),
                folder / "log",
                user=user,
                environment=environment,
                wait=3 * WAIT,
            ),
        ):
            yield Daemon("rabbitmq", credential, ports, folder / "log")
