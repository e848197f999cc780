"""A private certificate authority: good, wrong and expired certificates for loopback servers."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues server certificates; who trusts `ca_file` trusts them."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, *names: str, expired: bool = False) -> Path:
        """Write key and certificate for the host names (localhost unless given); return the file."""
        names = names or ("localhost", "127.0.0.1")
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        certificate = self._authority.issue_cert(*names, not_after=past if expired else None)
        file = self._folder / f"{names[0]}{'-expired' if expired else ''}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
        return file

    def server_context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Return the context of a server that calls itself by these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(*names, expired=expired))
        return context

    @property
    def client_context(self) -> ssl.SSLContext:
        """A fresh verifying context that trusts this authority."""
        return ssl.create_default_context(cafile=str(self.ca_file))
