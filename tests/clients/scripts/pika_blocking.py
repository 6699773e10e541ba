"""pika."""

import pika

from clients.harness import main


# recipe
def declare(context, host, port, user, password):
    known = pika.PlainCredentials(user, password)
    tls = pika.SSLOptions(context, host)
    there = pika.ConnectionParameters(host, port, credentials=known, ssl_options=tls)
    with pika.BlockingConnection(there) as connection:
        return connection.channel().queue_declare("greeting")


# end
main(declare)
