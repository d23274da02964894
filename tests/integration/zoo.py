# SPDX-License-Identifier: MIT
"""Messages of every shape that a maildrop may hold, and how each must look on the wire.

The transform is written here a second time, from RFC 1939 alone, so that the server's is checked
against something that shares nothing with it.
"""
import os
import re

HEAD = b"From: a@example.test\nTo: b@example.test\nSubject: %s\n\n"


def wire(stored):
    """The octets of the message with CRLF line ends: what LIST counts."""
    out = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    if out and not out.endswith(b"\n"):
        out += b"\r\n"
    return out


def stuffed(octets):
    """As RETR sends it: dots doubled at line starts, and the last line of one dot."""
    return re.sub(rb"(\A|(?<=\n))\.", b"..", octets) + b".\r\n"


def top(stored, lines):
    """Header, blank line, then so many lines of the body; all of it where there is no blank line."""
    whole = wire(stored).split(b"\n")[:-1]
    blank = next((i for i, line in enumerate(whole) if line == b"\r"), len(whole))
    return b"".join(line + b"\n" for line in whole[:blank + 1 + lines])


def ended(octets):
    """A message on the wire with an empty line that ends its header, also where it has none."""
    return octets if b"\r" in octets.split(b"\n")[:-1] else octets + b"\r\n"


def head(name):
    return HEAD % name.encode()


def messages():
    """Name to stored octets, in a fixed order."""
    crlf = head("crlf").replace(b"\n", b"\r\n")
    dots = b".\n..\n...\n.a\n. \n.\r\n"
    zoo = {
        "lf": head("lf") + b"one\ntwo\n",
        "crlf": crlf + b"one\r\ntwo\r\n",
        "mixed": head("mixed") + b"one\r\ntwo\nthree\r\nfour\n",
        "bare-cr": head("bare cr") + b"a\rb\rc\n\rstart\nend\r\n\r\r\n",
        "cr-at-end": head("cr at end") + b"last\r",
        "cr-only": head("cr only") + b"\r",
        "crcrlf": head("crcrlf") + b"a\r\r\nb\r\r\r\n",
        "eight-bit": head("8-bit") + bytes(range(128, 256)) + b"\n" + "häßlich\n".encode(),
        "nul": head("nul") + b"a\0b\n\0\n.\0.\n",
        "nul-in-header": b"Subject: a\0b\nX: \0\n\nbody\n",
        "controls": head("controls") + bytes(b for b in range(32) if b not in (10, 13)) + b"\x7f\n",
        "no-final-newline": head("no final newline") + b"last line",
        "no-final-newline-dot": head("dot last") + b".",
        "no-final-newline-crlf": crlf + b"one\r\nlast",
        "empty": b"",
        "one-lf": b"\n",
        "one-crlf": b"\r\n",
        "one-cr": b"\r",
        "one-octet": b"x",
        "one-nul": b"\0",
        "only-dot": b".",
        "only-dot-lf": b".\n",
        "first-octet-dot": b".Subject: starts with a dot\n\nbody\n",
        "first-line-two-dots": b"..\n\nbody\n",
        "dots": head("dots") + dots,
        "dots-crlf": crlf + dots.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        "dot-after-bare-lf": crlf + b"a\n.b\n.\n",
        "dot-after-bare-cr": head("dot after cr") + b"a\r.\rb\n",
        "no-blank-line": b"Subject: header only\nX-More: yes\n",
        "no-blank-line-no-newline": b"Subject: header only",
        "no-header": b"\nonly a body\nof two lines\n",
        "blank-first-crlf": b"\r\nonly a body\r\n",
        "empty-body": head("empty body"),
        "blank-lines": head("blank lines") + b"\n\n\n\nx\n\n",
        "space-line-is-no-blank": b"Subject: a\n \nstill header\n\nbody\n",
        "cr-line-is-no-blank": b"Subject: a\n\r\r\nstill header\n\nbody\n",
        "long-line": head("long") + b"x" * 100_000 + b"\ny\n",
        "long-line-dots": head("long dots") + b"." * 100_000 + b"\n.\n",
        "long-line-no-end": head("long no end") + b"z" * 100_001,
        "long-header": b"X-Long: " + b"h" * 100_000 + b"\n\nbody\n",
        "many-dots": head("many dots") + b".\n" * 30_000,
        "many-lf": head("many lf") + b"\n" * 40_000,
        "many-lines": head("many lines") + b"".join(b"line %d\n" % i for i in range(20_000)),
        "mbox-from": head("from") + b"From here\n>From there\n",
        "utf8-header": "Subject: Grüße aus Köln\nFrom: Jörg <j@example.test>\n\nö\n".encode(),
    }
    # Each size around the powers of two at which buffers end, with a dot line right behind.
    for size in (4096, 8192, 16384, 32768, 65536):
        for off in (-2, -1, 0, 1, 2):
            text = head("edge")
            text += b"e" * (size + off - len(text)) + b"\n.\n..x\n"
            zoo["edge-%d%+d" % (size, off)] = text
            crlf_text = head("edge").replace(b"\n", b"\r\n")
            crlf_text += b"e" * (size + off - len(crlf_text) - 1) + b"\r\n.\r\n"
            zoo["edge-crlf-%d%+d" % (size, off)] = crlf_text
    return zoo


def corpus_files():
    """Paths of a folder of real messages, if there is one."""
    here = os.path.dirname(os.path.realpath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    folder = os.environ.get("POSTERN_CORPUS") or os.path.join(root, "..", "shared", "corpus")
    if not os.path.isdir(folder):
        return []
    return sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".eml"))
