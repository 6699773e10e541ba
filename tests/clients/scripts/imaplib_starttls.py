"""imaplib, STARTTLS."""

import imaplib

from clients.harness import main


# recipe
def count(context, host, port, user, password):
    imap = imaplib.IMAP4(host, port, timeout=10)
    imap.starttls(context)
    imap.login(user, password)
    return imap.select("INBOX"), imap.logout()


# end
main(count)
