#!/bin/sh
# A CA and certificates for compose.yaml, in the folder that is given: for trying it. A company has its own CA.
#   sh deploy/secrets.sh deploy/secrets
set -e
umask 077
mkdir -p "$1"
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=durable-saga-ca \
  -addext basicConstraints=critical,CA:TRUE -keyout ca-key.pem -out ca.pem
issue() {  # NAME SAN: NAME.pem and NAME-key.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1-key.pem" -out "$1.csr"
  printf 'subjectAltName=%s\n' "$2" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 90 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
issue server DNS:server,DNS:localhost,IP:127.0.0.1
issue worker URI:spiffe://shop/worker
issue admin URI:spiffe://shop/admin
# Containers run as user 10001, so they must be readable; the folder itself is yours alone.
chmod 644 ./*.pem
chmod 600 ca-key.pem
