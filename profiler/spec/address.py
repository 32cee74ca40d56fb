"""Which servers may be tested: those on this machine, and those that the user's own configuration names.

A load test is traffic that hurts on purpose. A typing error, or a link that somebody sent, must not send it to a stranger.
"""

import ipaddress
import os
import re
from urllib.parse import urlsplit

ALLOW = "NEED_FOR_SPEED_SERVERS"  # environment variable: names of further hosts, separated by commas
PLAIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/[\w./~-]*)?")  # nothing that two readers could read in two ways


def server_address(text: str) -> str:
    """An address as it is used: with http:// and /v1 where they were left out, without a slash at the end.

    Raises ValueError, of one sentence with the remedy, for what is no address, and for a host that is neither this machine nor allowed.
    """
    told = text.strip()
    full = (told if "://" in told else f"http://{told}").rstrip("/")
    if not PLAIN.fullmatch(full) or not _sound(full):
        raise ValueError(f"{told!r} is no address of a server; write one like http://localhost:8000/v1.")
    parts = urlsplit(full)
    host = parts.hostname or ""
    if not (_loopback(host) or host in _allowed()):
        raise ValueError(
            f"Only servers on this machine are tested, and {host} is another one; if it is yours, allow it by the environment variable "
            f"{ALLOW}={host}."
        )
    return full if parts.path else f"{full}/v1"


def _sound(address: str) -> bool:
    """Whether its port is one, and its host too."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _loopback(host: str) -> bool:
    """Whether requests to this host stay on this machine: localhost, 127.0.0.0/8, ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _allowed() -> set[str]:
    """Hosts that the user's configuration adds."""
    return {name.strip().lower() for name in os.environ.get(ALLOW, "").split(",") if name.strip()}
