"""How to find the refusal in what a library made of it.  The README shows it with the recipes."""

import pinsock


# recipe
def refusal(error):
    if error is None or isinstance(error, pinsock.PinMismatchError):
        return error
    return refusal(error.__cause__) or refusal(error.__context__)


# end
