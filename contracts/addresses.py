"""Addresses of servers and folders: the proxy to a server, and texts without the credentials in them."""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

HIDDEN: Final = "***"
ENCODE: Final = "in a user or password write / as %2F, ? as %3F, # as %23 and @ as %40"
# In an address, even with a space in the password; without a scheme, as in some messages of libraries; as a parameter.
# Each run of characters is tried from its beginning alone: callers choose the text of an access log.
_CREDENTIALS: Final = re.compile(
    r"""(?<=//)(?:\S*@|[^\s/@:]*+:[^/@\n]*@)|(?<![^\s/'"<>@])[^\s/'"<>@][^\s/'"<>@:]*:(?!/)[^\s'"<>]*@"""
)
_PARAMETERS: Final = re.compile(
    r"""(?i)((?:password|passwd|pwd|passphrase|secret|token|api_?key)=)('[^']*'|"[^"]*"|[^\s&;,'"]+)"""
)


def redact(text: str) -> str:
    """A text in which the user and the password of every address, and every parameter like `password=`, is hidden."""
    # Nothing after the last @ is a credential of an address.
    end = text.rfind("@") + 1
    return _PARAMETERS.sub(rf"\1{HIDDEN}", _CREDENTIALS.sub(f"{HIDDEN}@", text[:end]) + text[end:])


def problem_of(url: str) -> str:
    """Why an address would be misread, in words that repeat nothing of it; empty if it is not."""
    if re.match(r"\w+://[^?#/]*/[^?#]*@", url):
        return ENCODE
    try:
        _ = urlsplit(url).port
    except ValueError:
        return f"its host or port is malformed: write scheme://host:port; {ENCODE}"
    return ""


def local_folder(uri: str) -> Path:
    """The folder that a path, or a `file:` URI, names. Raises ValueError for anything else."""
    if not re.match(r"[A-Za-z][\w+.-]+:", uri):
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ValueError(
            f"{redact(uri)!r} is not a local folder: write a path or file:///path, because days are moved by rename"
        )
    return Path(unquote(parts.path))


def is_own(url: str) -> bool:
    """Whether an address is of this machine or of a container: loopback, or a name without a dot."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if not re.search("[.:]", host) or host.endswith(".localhost"):
        return True
    found = _ip(host)
    return found is not None and (found.is_loopback or found.is_unspecified)


def proxy_for(url: str) -> str | None:
    """The proxy for requests to `url`, by the usual variables (HTTPS_PROXY, ...); None for the pipeline's own servers.

    Raises ValueError for a proxy that cannot be used; the message names it without its password.
    """
    if is_own(url):
        return None
    parts, proxies = urlsplit(url), urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _bypassed(parts.hostname or "", proxies.get("no", "")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if problem_of(proxy) or not re.match("https?$", urlsplit(proxy).scheme) or not urlsplit(proxy).hostname:
        raise ValueError(
            f"the proxy {redact(proxy)} for {redact(url)} is not http://host:port: set HTTP_PROXY and HTTPS_PROXY to "
            "such an address, or name the server in NO_PROXY"
        )
    return proxy


def _bypassed(host: str, excluded: str) -> bool:
    """Whether NO_PROXY excludes a host: by its name, a domain, or a network like 10.0.0.0/8 or fd00::/8."""
    if urllib.request.proxy_bypass(host):
        return True
    found = _ip(host)
    return found is not None and any(_is_in(found, entry.strip(" []")) for entry in excluded.split(","))


def _is_in(found: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return found in ipaddress.ip_network(network.replace("]", ""), strict=False)
    except ValueError:
        return False


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a host that is one, even in a short form like 127.1; None for a name."""
    try:
        found = ipaddress.ip_address(host)
        return getattr(found, "ipv4_mapped", None) or found
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
