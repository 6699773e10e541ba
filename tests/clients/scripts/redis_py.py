"""redis-py."""

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from clients.harness import main


# recipe
def ping(context, host, port, retries=10):
    class Pinned(redis.Connection):
        def _connect(self):
            return context.wrap_socket(super()._connect(), server_hostname=self.host)

    retry = Retry(ExponentialWithJitterBackoff(), retries)
    pool = redis.ConnectionPool(connection_class=Pinned, host=host, port=port, retry=retry)
    return redis.Redis(connection_pool=pool).ping()


# end
main(ping)
