"""paho-mqtt, `connect`."""

import paho.mqtt.client as mqtt

from clients.harness import main


# recipe
def publish(context, host, port):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.tls_set_context(context)
    client.connect(host, port)
    client.loop_start()
    message = client.publish("greeting", "hello", qos=1)
    message.wait_for_publish(timeout=10)
    return message.is_published()


# end
main(publish)
