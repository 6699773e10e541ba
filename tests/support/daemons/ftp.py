"""An FTP server in a process of its own (RFC 4217): ``web.ftp_server`` runs it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer


def main() -> None:
    """Serve, and log every command, until a signal comes."""
    host, port, credential, data, files, user, password = sys.argv[1:]
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)

    class Other(TLS_FTPHandler):
        certfile = data

    class Data(TLS_DTPHandler):
        def secure_connection(self, ssl_context: Any) -> None:  # noqa: ARG002 - the control's
            super().secure_connection(Other.get_ssl_context())

    class Control(TLS_FTPHandler):
        certfile = credential
        authorizer = DummyAuthorizer()
        dtp_handler = Data
        tls_control_required = tls_data_required = True

    Control.authorizer.add_user(user, password, files, perm="elradfmw")
    FTPServer((host, int(port)), Control).serve_forever()


if __name__ == "__main__":
    main()
