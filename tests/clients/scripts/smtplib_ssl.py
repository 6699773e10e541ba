"""smtplib, TLS at once."""

import smtplib

from clients.harness import main


# recipe
def send(context, host, port):
    with smtplib.SMTP_SSL(host, port, timeout=10, context=context) as smtp:
        return smtp.sendmail("me@client.example", ["you@localhost"], "Subject: hello") == {}


# end
main(send)
