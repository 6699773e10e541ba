"""paho-mqtt, a thread of its own."""

import threading

import paho.mqtt.client as mqtt

from clients.harness import main


# recipe
def connect(context, host, port):
    connected = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.tls_set_context(context)
    client.on_connect = lambda *_: connected.set()
    client.connect_async(host, port)
    client.loop_start()
    return connected.wait(5)


# end
main(connect)
