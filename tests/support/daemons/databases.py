"""Servers of data."""

from __future__ import annotations

import shutil
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
    prepare,
    reserved_ports,
    running,
    unless_root,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

__all__ = ["mariadb", "postgresql", "redis", "slapd"]


@contextmanager
def redis(credential: Credential) -> Iterator[Daemon]:
    """Port ``rediss``: everybody is let in, and nothing is kept."""
    program = find("redis-server")
    with folder_for_all() as folder, reserved_ports("rediss") as ports:
        path = str(credential.write(folder / "credential.pem"))
        settings = {
            "bind": LOOPBACK,
            "port": "0",
            "tls-port": str(ports["rediss"]),
            "tls-cert-file": path,
            "tls-key-file": path,
            "tls-ca-cert-file": path,
            "tls-auth-clients": "no",
            "dir": str(folder),
            "save": "",
        }
        command = [program]
        command += [word for name, value in settings.items() for word in (f"--{name}", value)]
        with running(command, ports.values(), folder / "log"):
            yield Daemon("redis", credential, ports, folder / "log")


@contextmanager
def postgresql(
    credential: Credential, *, clients: Authority | None = None, user: str = USER
) -> Iterator[Daemon]:
    """Port ``postgresql``, over TLS alone; database ``postgres``.

    :param clients: who has to have signed the certificate that every client has to show, made out
        to the user; ``None``: the password is asked for.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # Debian's, in no PATH
    initdb, program = find("initdb", *programs), find("postgres", *programs)
    owner = unless_root("postgres")
    with folder_for_all(owner) as folder, reserved_ports("postgresql") as ports:
        data, rules, key = folder / "data", folder / "hba.conf", folder / "credential.pem"
        password, log = folder / "password", folder / "log"
        password.write_text(PASSWORD)
        # SCRAM, bound to the channel (RFC 5802), would tell of an interceptor by itself.
        how = "password" if clients is None else "cert"
        rules.write_text(f"hostssl all all {LOOPBACK}/32 {how}\n")
        _write_for(owner, key, credential)
        prepare([initdb, "-D", data, "-U", user, f"--pwfile={password}", "--no-sync"], owner)
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(ports["postgresql"]),
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": str(key),
            "ssl_key_file": str(key),
            "hba_file": str(rules),
            "log_connections": "on",
            "log_statement": "all",
            "fsync": "off",
        }
        if clients is not None:
            roots = folder / "authority.pem"
            roots.write_text(clients.pem)
            settings["ssl_ca_file"] = str(roots)
        command: list[str | Path] = [program, "-D", data]
        for setting, value in settings.items():
            command += ["-c", f"{setting}={value}"]
        ready = "database system is ready to accept connections"
        with running(command, ports.values(), log, user=owner, ready=ready):
            yield Daemon("postgresql", credential, ports, log)


@contextmanager
def mariadb(credential: Credential) -> Iterator[Daemon]:
    """Port ``mysql``: one user, over TLS alone, who may do everything; database ``test``."""
    initialise, program = find("mariadb-install-db"), find("mariadbd")
    owner = unless_root("mysql")
    with folder_for_all(owner) as folder, reserved_ports("mysql") as ports:
        data, key, first = folder / "data", folder / "credential.pem", folder / "first.sql"
        _write_for(owner, key, credential)
        first.write_text(
            f"CREATE USER {USER}@'{LOOPBACK}' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;\n"
            f"GRANT ALL ON *.* TO {USER}@'{LOOPBACK}';\n"
        )
        small = ["--no-defaults", f"--datadir={data}", "--innodb-log-file-size=4M"]
        prepare([initialise, *small, "--skip-name-resolve"], owner)
        settings = {
            "bind-address": LOOPBACK,
            "port": str(ports["mysql"]),
            "socket": str(folder / "socket"),
            "pid-file": str(folder / "pid"),
            "ssl-cert": str(key),
            "ssl-key": str(key),
            "init-file": str(first),
            "skip-name-resolve": "on",
            "general-log": "on",
            "general-log-file": str(folder / "heard"),
        }
        command = [program, *small, *(f"--{name}={value}" for name, value in settings.items())]
        ready = ": ready for connections"
        output = folder / "output"
        with running(command, ports.values(), output, user=owner, ready=ready, wait=3 * WAIT):
            yield Daemon("mariadb", credential, ports, folder / "heard")


SLAPD = """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {credential}
TLSCertificateKeyFile {credential}
database mdb
maxsize 1048576
directory {data}
suffix "dc=example"
rootdn "cn={user},dc=example"
rootpw {password}
"""


@contextmanager
def slapd(credential: Credential) -> Iterator[Daemon]:
    """Ports ``ldap`` (StartTLS) and ``ldaps``: an empty ``dc=example``, and who may fill it."""
    program = find("slapd")
    with folder_for_all() as folder, reserved_ports("ldap", "ldaps") as ports:
        data, configuration = folder / "data", folder / "slapd.conf"
        data.mkdir()
        configuration.write_text(
            SLAPD.format(
                folder=folder,
                credential=credential.write(folder / "credential.pem"),
                data=data,
                user=USER,
                password=PASSWORD,
            )
        )
        urls = " ".join(f"{scheme}://{LOOPBACK}:{port}" for scheme, port in ports.items())
        # 256: each connection, operation and result
        command: list[str | Path] = [program, "-f", configuration, "-h", urls, "-d", "256"]
        with running(command, ports.values(), folder / "log"):
            yield Daemon("slapd", credential, ports, folder / "log")


def _write_for(owner: str | None, path: Path, credential: Credential) -> None:
    """A key that nobody but the server can read: some refuse any other."""
    credential.write(path).chmod(0o600)
    if owner is not None:
        shutil.chown(path, owner, owner)
