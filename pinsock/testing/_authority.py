"""A throw-away authority on ``trustme``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from pinsock import _throwaway
from pinsock._throwaway import Credential

if TYPE_CHECKING:
    import ssl

__all__ = ["Authority"]


class Authority(_throwaway.Authority):
    """A certificate authority of ``trustme``, which lives as long as this object.

    ``trustme`` makes the authority; what it does not do (to choose keys, to renew with the same
    key, to let expire) is done here with the authority's key.

    :param parent: the authority that signs this one; ``None``: a root.
    """

    def __init__(self, name: str = "throw-away authority", parent: Authority | None = None) -> None:
        try:
            import trustme
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "pinsock.testing.Authority stands on trustme: pip install 'pinsock[testing]'",
                name=error.name,
            ) from error
        self.parent = parent
        above = None if parent is None else parent.ca
        self.ca: trustme.CA = trustme.CA(above, organization_name=name)
        self.credential = Credential.from_pem(
            self.ca.private_key_pem.bytes() + self.ca.cert_pem.bytes()
        )

    def configure_trust(self, context: ssl.SSLContext) -> None:
        """Let this context trust the authority."""
        self.ca.configure_trust(context)

    def renew(self, credential: Credential, days: float = 30) -> Credential:
        """A new certificate for the same names and the same key."""
        names = credential.certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        return self.issue(*(str(name.value) for name in names), key=credential.key, days=days)
