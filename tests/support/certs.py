# SPDX-License-Identifier: MIT
"""A private CA and certificates from it, made with the openssl program.

A certificate lives as the server wants it: DIR/NAME/{fullchain,privkey}.pem, and with kind "rsa"
beside an ECDSA one, DIR/NAME/{fullchain,privkey}-rsa.pem.
"""
import os
import subprocess

_CA = """[req]
distinguished_name = dn
prompt = no
x509_extensions = ext
[dn]
CN = Postern private test CA
[ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

_LEAF = """[req]
distinguished_name = dn
prompt = no
x509_extensions = ext
[dn]
CN = %(cn)s
[ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = %(san)s
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""

_KEY = {
    "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
}


def _openssl(directory, config, *args):
    """Runs `openssl req -x509` with a configuration of our own, so that the system's has no say."""
    path = os.path.join(directory, ".openssl.cnf")
    with open(path, "w") as f:
        f.write(config)
    try:
        run = subprocess.run(["openssl", "req", "-x509", "-config", path, "-nodes", *args],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, umask=0o077, check=False)
    finally:
        os.unlink(path)
    if run.returncode != 0:
        raise RuntimeError("openssl req: " + run.stderr.strip())


def make_ca(directory):
    """directory/{ca,ca-key}.pem, unless they are there. Returns the certificate's path."""
    os.makedirs(directory, exist_ok=True)
    ca = os.path.join(directory, "ca.pem")
    if not os.path.exists(ca):
        _openssl(directory, _CA, *_KEY["ecdsa"], "-days", "3650", "-out", ca,
                 "-keyout", os.path.join(directory, "ca-key.pem"))
        os.chmod(ca, 0o644)
    return ca


def issue(ca_directory, tls_directory, name, kind="ecdsa", alt=(), suffix="", days=825):
    """A certificate for name (and the names alt) in tls_directory/name/. Each file appears whole,
    the key first, so that a server that looks at the wrong moment finds the old pair or the new."""
    home = os.path.join(tls_directory, name)
    os.makedirs(home, exist_ok=True)
    san = ", ".join(["DNS:" + n for n in (name, *alt)])
    if name == "localhost":
        san += ", IP:127.0.0.1, IP:::1"
    key, chain = (os.path.join(home, "%s%s.pem" % (n, suffix)) for n in ("privkey", "fullchain"))
    _openssl(home, _LEAF % {"cn": name, "san": san}, *_KEY[kind], "-days", str(days),
             "-CA", os.path.join(ca_directory, "ca.pem"),
             "-CAkey", os.path.join(ca_directory, "ca-key.pem"),
             "-keyout", key + ".new", "-out", chain + ".new")
    os.rename(key + ".new", key)
    os.rename(chain + ".new", chain)
    os.chmod(chain, 0o644)
    return chain, key
