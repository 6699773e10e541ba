"""Real servers on loopback, each shown the credential that it is to be pinned by.

``with postfix(credential) as daemon: daemon.ports["smtps"]``; every one of them is a process of its
own, or several, which have ended when the block does.
"""

from .brokers import mosquitto, rabbitmq
from .databases import mariadb, postgresql, redis, slapd
from .mail import dovecot, postfix
from .process import LOOPBACK, PASSWORD, USER, Daemon, eventually, talk_to
from .web import ftp_server, nginx

__all__ = [
    "LOOPBACK",
    "PASSWORD",
    "USER",
    "Daemon",
    "dovecot",
    "eventually",
    "ftp_server",
    "mariadb",
    "mosquitto",
    "nginx",
    "postfix",
    "postgresql",
    "rabbitmq",
    "redis",
    "slapd",
    "talk_to",
]
