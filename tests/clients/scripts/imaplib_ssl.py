"""imaplib, TLS at once."""

import imaplib

from clients.harness import main


# recipe
def count(context, host, port, user, password):
    with imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=10) as imap:
        imap.login(user, password)
        return imap.select("INBOX")


# end
main(count)
