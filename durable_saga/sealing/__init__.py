"""Values of the user as nobody without the key can read them: what leaves a client or worker is sealed, what arrives is opened.

    connect(url, codec=Sealed(KeyFolder("keys")))

See docs/encryption.md for what is sealed, how, and what happens when a key is missing.
"""

from durable_saga.sealing.keys import KeyFolder, KeyRing, Keys
from durable_saga.sealing.payload_codec import PayloadCodec, SealedData, Subject
from durable_saga.sealing.sealed import Sealed

__all__ = ["KeyFolder", "KeyRing", "Keys", "PayloadCodec", "Sealed", "SealedData", "Subject"]
