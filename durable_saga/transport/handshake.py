"""Why no connection comes about: gRPC tells little of it, so a handshake is made with the same address and the same files.

What is certain won't mend itself by waiting: a certificate that does not hold, one side in the clear and the other not. No
token is sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from durable_saga.pb.pem_files import trouble_of
from durable_saga.transport.credentials import Credentials

SECONDS_MAX = 3.0
LOOK_AGAIN_SECONDS = 2.0
ANSWER_SECONDS_MAX = 0.5
"""For what a server says of a client certificate, after its own was taken."""
_EXPIRED, _NOT_YET, _SELF_SIGNED = 10, 9, 18
_UNKNOWN_CA = (2, 19, 20, 21)
_OTHER_NAME = (62, 64)
"""Numbers of X509_V_ERR_…, which stay what they are."""
_WANTS_CERTIFICATE = "does it want a client certificate (cert= and key=, --cert and --cert-key)?"
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""How a client of HTTP/2 begins: the magic words, and settings without any."""
_SETTINGS = b"\x04"
"""The type of a frame, with which a server begins too."""


_OF_TLS = ("andshake", "CERTIFICATE", "Verification", "Socket closed", "reset by peer", "Broken pipe", "EOF", "parsing HTTP/2")
"""In what gRPC says where it may be that."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence. `is_lasting`: waiting does not mend it."""

    text: str
    is_lasting: bool = True


class Reasons:
    """Of one client, on its loop: one look at an address for all calls that wait."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._looks: dict[str, tuple[float, asyncio.Task[Reason | None]]] = {}

    async def of(self, target: str, told: str) -> Reason | None:
        """Why gRPC, which `told` this, has no connection to `target`."""
        if not any(word in told for word in _OF_TLS):
            return None
        now = asyncio.get_running_loop().time()
        looked, look = self._looks.get(target, (0.0, None))
        if look is None or now > looked + LOOK_AGAIN_SECONDS:
            look = asyncio.create_task(why_not(target, self._credentials), name="why-not")
            self._looks[target] = (now, look)
        await asyncio.wait([look])  # not cancelled with who waits: others may
        return None if look.cancelled() else look.result()

    def under_way(self) -> list[asyncio.Task[Reason | None]]:
        return [look for _, look in self._looks.values() if not look.done()]


async def why_not(target: str, credentials: Credentials) -> Reason | None:
    """None where none is known: nobody may be there, or it may go by now. Takes up to SECONDS_MAX; never raises."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await asyncio.to_thread(_look, target, credentials)
    except (OSError, ValueError):  # nobody is there, or the files are being written: the caller has an error of its own
        return None


def _look(target: str, credentials: Credentials) -> Reason | None:
    """In a thread. Raises OSError and ValueError."""
    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    if not credentials.tls:
        return _in_the_clear(host, int(port), target)
    context = credentials.context()
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), SECONDS_MAX) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.settimeout(ANSWER_SECONDS_MAX)
                return _of_client_certificate(secured, target, credentials)
        except ssl.SSLCertVerificationError as error:
            return Reason(_of_server_certificate(error, target, host, credentials))
        except ssl.SSLEOFError:
            return None  # it closes: a proxy with nobody behind it, perhaps
        except ssl.SSLError as error:
            if error.reason in _NO_TLS:
                told = (
                    f"{target} does not speak TLS: write {target} without grpcs://, or give the server --tls-cert and --tls-key"
                )
                return Reason(told)
            return Reason(_of_alert(error, target, credentials))


def _in_the_clear(host: str, port: int, target: str) -> Reason | None:
    """Whether it is TLS that is spoken there: that is found out by trying."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent, and nothing believed
    context.set_alpn_protocols(["h2"])
    try:
        plain = socket.create_connection((host, port), SECONDS_MAX)
        with plain, context.wrap_socket(plain, server_hostname=host):
            told = f"{target} speaks TLS: write grpcs://{target}, and give its CA (ca=, --ca) if that isn't one of the system's"
            return Reason(told)
    except ssl.SSLError:
        pass  # it does not
    with socket.create_connection((host, port), SECONDS_MAX) as plain:
        plain.sendall(_PREFACE)
        answer = plain.recv(9)
    if answer and answer[3:4] != _SETTINGS:
        what = "is a web server" if answer[:1] in (b"H", b"<") else "speaks another protocol"
        return Reason(f"{target} {what} and isn't a history server: is the port right?")
    return None


def _of_server_certificate(error: ssl.SSLCertVerificationError, target: str, host: str, credentials: Credentials) -> str:
    number = error.verify_code
    if number == _EXPIRED:
        return f"the certificate of {target}, or of its CA, has expired"
    if number == _NOT_YET:
        return f"the certificate of {target} is not valid yet, by the clock of this machine"
    if number in _OTHER_NAME:
        return f"the certificate of {target} is for another name: it does not hold {host}"
    if number == _SELF_SIGNED or number in _UNKNOWN_CA:
        trusted = f"the CA in {credentials.ca}" if credentials.ca else "one of the system's CAs; ca= or --ca gives another"
        return f"the certificate of {target} is not signed by {trusted}"
    return f"the certificate of {target} is not accepted: {error.verify_message}"


def _of_client_certificate(secured: ssl.SSLSocket, target: str, credentials: Credentials) -> Reason | None:
    """A server tells what it thinks of it when its first bytes are read."""
    if secured.selected_alpn_protocol() != "h2":
        return Reason(f"{target} speaks TLS, but not gRPC's HTTP/2: is the port right?")
    try:
        if secured.recv(1):
            return None
    except TimeoutError:
        return None
    except ssl.SSLError as error:
        return Reason(_of_alert(error, target, credentials))
    except ConnectionError:
        pass
    # it closes without a word, as gRPC's server does
    if not credentials.cert:
        told = f"{target} ends the connection after the handshake: {_WANTS_CERTIFICATE}"
        return Reason(told, is_lasting=False)
    if own := trouble_of(credentials.cert, datetime.now(UTC), soon=timedelta()):
        return Reason(f"{target} refuses the connection: {own}")
    asked = f"does it know the CA of the client certificate in {credentials.cert}?"
    return Reason(f"{target} ends the connection after the handshake: {asked}", is_lasting=False)


def _of_alert(error: ssl.SSLError, target: str, credentials: Credentials) -> str:
    """What the other side refused the connection for."""
    reason = error.reason or str(error)
    if "ALERT" not in reason:
        return f"the TLS handshake with {target} fails: {reason}"
    if not credentials.cert:
        return f"{target} refuses the connection ({reason}): {_WANTS_CERTIFICATE}"
    words = {"EXPIRED": "has expired", "UNKNOWN_CA": "is not signed by a CA that it knows"}
    told = next((told for word, told in words.items() if word in reason), f"is refused ({reason})")
    return f"to {target}, the client certificate in {credentials.cert} {told}"
