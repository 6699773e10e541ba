"""Servers of mail: taken in, and handed out."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .process import (
    LOOPBACK,
    PASSWORD,
    USER,
    Daemon,
    find,
    folder_for_all,
    needs_root,
    reserved_ports,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pinsock._throwaway import Credential

__all__ = ["dovecot", "postfix"]

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = localhost
inet_interfaces = {host}
inet_protocols = ipv4
mydestination = localhost
local_recipient_maps =
local_transport = discard
alias_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = {credential}
smtpd_tls_loglevel = 1
"""

MASTER = """\
{host}:{smtp} inet n - n - - smtpd
{host}:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
anvil unix - - n - 1 anvil
bounce unix - - n - 0 bounce
cleanup unix n - n - 0 cleanup
defer unix - - n - 0 bounce
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
trace unix - - n - 0 bounce
"""


@contextmanager
def postfix(credential: Credential) -> Iterator[Daemon]:
    """Ports ``smtp`` and ``smtps``: mail for everybody at localhost is taken, and thrown away."""
    program = find("postfix")
    needs_root(program)
    with folder_for_all() as folder, reserved_ports("smtp", "smtps") as ports:
        configuration, data = folder / "etc", folder / "data"
        for name in (configuration, data, folder / "queue"):
            name.mkdir()
        shutil.chown(data, "postfix")
        path = credential.write(folder / "credential.pem")
        (configuration / "main.cf").write_text(
            MAIN.format(folder=folder, host=LOOPBACK, credential=path)
        )
        (configuration / "master.cf").write_text(MASTER.format(host=LOOPBACK, **ports))
        command: list[str | Path] = [program, "-c", configuration]
        log = folder / "log"
        with running([*command, "start-fg"], ports.values(), log, stop=[*command, "stop"]):
            yield Daemon("postfix", credential, ports, log)


DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
listen = {host}
protocols = imap pop3
ssl = yes
ssl_cert = <{credential}
ssl_key = <{credential}
mail_location = maildir:{mail}
first_valid_uid = 1
passdb {{
    driver = static
    args = user={user} password={password}
}}
userdb {{
    driver = static
    args = uid={owner} gid={owner} home={mail}
}}
service imap-login {{
    inet_listener imap {{
        port = {imap}
    }}
    inet_listener imaps {{
        port = {imaps}
        ssl = yes
    }}
}}
service pop3-login {{
    inet_listener pop3 {{
        port = {pop3}
    }}
    inet_listener pop3s {{
        port = {pop3s}
        ssl = yes
    }}
}}
"""

#: Whose the mail is: a user of dovecot's own, who owns nothing else.
OWNER = "dovenull"


@contextmanager
def dovecot(credential: Credential) -> Iterator[Daemon]:
    """Ports ``imap``, ``imaps``, ``pop3`` and ``pop3s``: one user, and no mail yet."""
    program = find("dovecot")
    needs_root(program)
    schemes = ("imap", "imaps", "pop3", "pop3s")
    with folder_for_all() as folder, reserved_ports(*schemes) as ports:
        mail = folder / "mail"
        mail.mkdir()
        shutil.chown(mail, OWNER, OWNER)
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            DOVECOT.format(
                folder=folder,
                host=LOOPBACK,
                credential=credential.write(folder / "credential.pem"),
                mail=mail,
                user=USER,
                password=PASSWORD,
                owner=OWNER,
                **ports,
            )
        )
        with running([program, "-F", "-c", configuration], ports.values(), folder / "output"):
            yield Daemon("dovecot", credential, ports, folder / "log")
