"""Where the servers of a station listen, and the names by which they may be called."""

import ipaddress
import socket
from dataclasses import dataclass

from flows.settings import SettingsError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # every address of a machine, and how it calls itself then


@dataclass(frozen=True)
class Doors:
    """Host and ports of Prefect's and MLflow's servers."""

    host: str
    port: int
    mlflow_port: int
    names: tuple[str, ...] = ()  # by which browsers call this machine, beside its own

    @property
    def is_open(self) -> bool:
        """Whether other machines can come in."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"

    @property
    def all_names(self) -> tuple[str, ...]:
        """Hosts that may stand in an address line: the loopback's, this machine's, and those that were given."""
        own = (socket.gethostname(), socket.getfqdn(), *_own_addresses()) if self.is_open else ()
        every = (*_LOOPBACK, self.host, *own, *self.names)
        # Browsers send small letters, whatever was typed.
        return tuple(dict.fromkeys(name.lower() for name in every if name not in _ANY))

    def hosts(self, port: int) -> list[str]:
        """Return what the header Host may be: every name, alone as behind a proxy, and with the port."""
        names = [bracketed(name) for name in self.all_names]
        return [*names, *(f"{name}:{port}" for name in names)]

    def origins(self, port: int) -> list[str]:
        """Return where pages of a server may say that they come from, be a proxy with TLS before it or not."""
        return [f"{scheme}://{host}" for scheme in ("http", "https") for host in self.hosts(port)]

    def near(self, port: int) -> str:
        """Return the address of a server as this machine calls it."""
        return f"http://{bracketed(_ANY.get(self.host, self.host))}:{port}"

    def far(self, port: int) -> str:
        """Return the address of a server as people call it."""
        host = next(iter(self.names), socket.gethostname()) if self.host in _ANY else self.host
        return f"http://{bracketed(host.lower())}:{port}"

    def require_free(self, port: int) -> None:
        """Look whether a port can be had.

        Raises:
            SettingsError: If another program listens there, or the host is none of this machine's.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(address)
        except OSError as error:
            raise SettingsError(
                f"port {port} of {self.host} cannot be had ({error.strerror}): another program listens there, or it is "
                "no address of this machine; name other ones with --host, --port and --mlflow-port"
            ) from error


def bracketed(host: str) -> str:
    """Return a host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def _own_addresses() -> list[str]:
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None)})
    except OSError:  # a machine that does not know its own name
        return []
