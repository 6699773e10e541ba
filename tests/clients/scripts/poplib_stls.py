"""poplib, STLS."""

import poplib

from clients.harness import main


# recipe
def count(context, host, port, user, password):
    pop = poplib.POP3(host, port, timeout=10)
    pop.stls(context)
    pop.user(user)
    pop.pass_(password)
    return pop.stat(), pop.quit()


# end
main(count)
