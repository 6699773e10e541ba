"""smtplib, STARTTLS."""

import smtplib

from clients.harness import main


# recipe
def send(context, host, port):
    with smtplib.SMTP(host, port, timeout=10) as smtp:
        smtp.starttls(context=context)
        return smtp.sendmail("me@client.example", ["you@localhost"], "Subject: hello") == {}


# end
main(send)
