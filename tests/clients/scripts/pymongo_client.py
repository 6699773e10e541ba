"""pymongo."""

import pymongo

from clients.harness import main


# recipe
def ask(context, host, port):
    client = pymongo.MongoClient(host, port, tls=True, connect=False, serverSelectionTimeoutMS=5000)
    client.options.pool_options._PoolOptions__ssl_context = context
    return client.admin.command("ping")


# end
main(ask)
