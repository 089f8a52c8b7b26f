"""TLS of the gRPC port: the files are looked at again at each handshake."""

from __future__ import annotations

from typing import Any

import grpc

from durable_saga.pb.tls_files import TlsFiles


def port_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """gRPC asks for the certificates on a thread of its own, before each handshake; None: they are what they were."""

    known = files.pems

    def configuration() -> grpc.ServerCertificateConfiguration:
        pems = files.pems
        return grpc.ssl_server_certificate_configuration([(pems.key, pems.cert)], pems.client_ca or None)

    def renewed() -> Any:
        nonlocal known
        files.is_renewed()
        if files.pems is known:
            return None
        known = files.pems
        return configuration()

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed, files.wants_client_certificate)
