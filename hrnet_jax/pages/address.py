"""The address of a page on this machine."""

import socket

from hrnet_jax.errors import ConfigError


def check_port(host: str, port: int) -> None:
    """Refuses an address that the page cannot have, before the model is opened.

    Raises:
        ConfigError: naming it.
    """
    if not 0 < port < 2**16:
        raise ConfigError(f"--port={port}: expected 1 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as one:
            # As the server does, or a page that was just closed would be in the way.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
    except socket.gaierror as error:
        raise ConfigError(
            f"--host={host}: no such address ({error.strerror})"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another "
            "with --port"
        ) from None
