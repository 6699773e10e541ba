"""ftplib, control and data channel."""

# ruff: noqa: S321 - FTP over TLS is what this is about

import ftplib
import io

from clients.harness import main


# recipe
def put(context, host, port, user, password):
    with ftplib.FTP_TLS(context=context, timeout=10) as ftp:
        ftp.connect(host, port)
        ftp.login(user, password)
        ftp.prot_p()
        return ftp.storbinary("STOR letter", io.BytesIO(b"hello"))


# end
main(put)
