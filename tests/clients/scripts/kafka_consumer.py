"""kafka-python."""

import kafka

from clients.harness import main


# recipe
def topics(context, host, port):
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=f"{host}:{port}",
        bootstrap_timeout_ms=5000,
        security_protocol="SSL",
        ssl_context=context,
    )
    return consumer.topics()


# end
main(topics)
