"""Servers of web pages and files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .process import (
    LOOPBACK,
    PASSWORD,
    USER,
    Daemon,
    find,
    folder_for_all,
    needs_module,
    reserved_ports,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pinsock._throwaway import Authority, Credential

__all__ = ["ftp_server", "nginx"]

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format heard "$ssl_protocol $ssl_client_s_dn $request";
    access_log {folder}/access.log heard;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port} ssl http2;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {credential};
        ssl_certificate_key {credential};
        {clients}
        return 200 "hello $ssl_client_s_dn";
    }}
}}
"""

CLIENTS = """\
ssl_client_certificate {authority};
ssl_verify_client on;
"""


@contextmanager
def nginx(credential: Credential, *, clients: Authority | None = None) -> Iterator[Daemon]:
    """Port ``https``, HTTP/2 too; every request is answered with "hello" and the client's name.

    :param clients: who has to have signed the certificate that every client has to show.
    """
    program = find("nginx")
    with folder_for_all() as folder, reserved_ports("https") as ports:
        asks = ""
        if clients is not None:
            authority = folder / "authority.pem"
            authority.write_text(clients.pem)
            asks = CLIENTS.format(authority=authority)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            NGINX.format(
                folder=folder,
                host=LOOPBACK,
                port=ports["https"],
                credential=credential.write(folder / "credential.pem"),
                clients=asks,
            )
        )
        command: list[str | Path] = [program, "-p", folder, "-c", configuration]
        command += ["-e", folder / "error.log"]
        with running(command, ports.values(), folder / "output"):
            yield Daemon("nginx", credential, ports, folder / "access.log")


@contextmanager
def ftp_server(credential: Credential, *, data: Credential | None = None) -> Iterator[Daemon]:
    """Port ``ftp``, with AUTH TLS and PROT P; there is one file, ``greeting``.

    :param data: another one for the data channel, as of somebody who has come in between there.
    """
    needs_module("pyftpdlib")
    needs_module("OpenSSL")
    with folder_for_all() as folder, reserved_ports("ftp") as ports:
        files = folder / "files"
        files.mkdir()
        (files / "greeting").write_text("hello\n")
        path = credential.write(folder / "credential.pem")
        other = path if data is None else data.write(folder / "data.pem")
        script = Path(__file__).with_name("ftp.py")
        command: list[str | Path] = [sys.executable, script, LOOPBACK, str(ports["ftp"])]
        command += [path, other, files, USER, PASSWORD]
        with running(command, ports.values(), folder / "log"):
            yield Daemon("pyftpdlib", credential, ports, folder / "log")
