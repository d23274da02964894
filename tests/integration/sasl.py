# SPDX-License-Identifier: MIT
"""The client's side of SASL mechanisms, octet by octet, so that a test can get any of it wrong."""
import base64
import hashlib
import hmac
import json
import os
import re

from bed import b64

EMPTY = b""


def start(client, mechanism, initial=None):
    """AUTH; gives the answer's line."""
    line = b"AUTH " + mechanism.encode()
    if initial is not None:
        line += b" " + (b64(initial) or b"=")
    return client.cmd(line)


def respond(client, octets):
    return client.cmd(b64(octets))


def challenge(line):
    """The octets of a challenge line."""
    if not line.startswith(b"+ "):
        raise AssertionError("%r is no challenge" % line)
    return base64.b64decode(line[2:], validate=True)


def cram_md5(client, user, password):
    asked = challenge(start(client, "CRAM-MD5"))
    digest = hmac.new(password.encode(), asked, "md5").hexdigest()
    return respond(client, ("%s %s" % (user, digest)).encode())


def apop(client, user, password):
    stamp = re.search(rb"<[^<>@]+@[^<>@]+>", client.greeting).group(0)
    digest = hashlib.md5(stamp + password.encode()).hexdigest()
    return client.cmd("APOP %s %s" % (user, digest))


class Scram:
    """One exchange. first, final: what is sent, which a test may change between the steps."""

    def __init__(self, user, password, mechanism="SCRAM-SHA-256", gs2=b"n,,", binding=b""):
        self.hash = "sha1" if "SHA-1" in mechanism else "sha256"
        self.mechanism, self.password = mechanism, password.encode()
        self.gs2, self.binding = gs2, binding
        self.bare = b"n=" + user.encode() + b",r=" + b64(os.urandom(18))
        self.first = gs2 + self.bare

    def begin(self, client, initial=True):
        if initial:
            line = start(client, self.mechanism, self.first)
        else:
            assert challenge(start(client, self.mechanism)) == EMPTY
            line = respond(client, self.first)
        if not line.startswith(b"+ "):
            return line
        self.server_first = challenge(line)
        self.nonce, self.salt, self.iterations = re.fullmatch(
            rb"r=([^,]+),s=([^,]+),i=(\d+)", self.server_first).groups()
        return None

    def make_final(self):
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(self.salt),
                                     int(self.iterations))
        key = hmac.digest(salted, b"Client Key", self.hash)
        without = b"c=" + b64(self.gs2 + self.binding) + b",r=" + self.nonce
        message = self.bare + b"," + self.server_first + b"," + without
        stored = hashlib.new(self.hash, key).digest()
        mask = hmac.digest(stored, message, self.hash)
        proof = bytes(a ^ b for a, b in zip(key, mask))
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", self.hash), message,
                                     self.hash)
        self.final = without + b",p=" + b64(proof)

    def finish(self, client):
        self.make_final()
        line = respond(client, self.final)
        if not line.startswith(b"+ "):
            return line
        said = challenge(line)
        if said != b"v=" + b64(self.signature):
            raise AssertionError("the server does not prove itself: %r" % said)
        return client.cmd(b"")

    def run(self, client, initial=True):
        return self.begin(client, initial) or self.finish(client)


def jwt(secret, claims):
    """A token that is signed with a shared key (HS256)."""
    def part(octets):
        return base64.urlsafe_b64encode(octets).rstrip(b"=")
    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k"}).encode())
    body = head + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(secret, body, "sha256"))).decode()


def bearer(user, token, mechanism="OAUTHBEARER"):
    if mechanism == "XOAUTH2":
        return b"user=%s\x01auth=Bearer %s\x01\x01" % (user.encode(), token.encode())
    named = b"a=" + user.encode() if user else b""
    return b"n,%s,\x01host=localhost\x01port=995\x01auth=Bearer %s\x01\x01" % (named,
                                                                               token.encode())
