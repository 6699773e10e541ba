"""poplib, TLS at once."""

import poplib

from clients.harness import main


# recipe
def count(context, host, port, user, password):
    pop = poplib.POP3_SSL(host, port, timeout=10, context=context)
    pop.user(user)
    pop.pass_(password)
    return pop.stat(), pop.quit()


# end
main(count)
