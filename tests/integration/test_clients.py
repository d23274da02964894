# SPDX-License-Identifier: MIT
"""The clients that people use: fetch everything, keep it, delete it; what arrives is what was there."""
import email
import os
import poplib
import shutil
import ssl
import subprocess
import tempfile
import unittest

import zoo
from bed import BedCase, WAIT
from support import layout

NOBODY = 65534

# Messages that every client can hold: no NUL (curl and fetchmail pass them, getmail's parser does
# not promise to), lines short enough for all of them.
MAIL = {
    "plain": zoo.head("plain") + b"one\ntwo\n",
    "crlf": zoo.wire(zoo.head("crlf") + b"one\ntwo\n"),
    "dots": b"Subject: dots\n\n.\n..\n.one\nend\n",
    "eight-bit": b"Subject: 8-bit\nContent-Transfer-Encoding: 8bit\n"
                 b"Content-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\n"
                 + "häßlich, naïve, ☃\n".encode(),
    "no-newline": zoo.head("no newline") + b"the end",
    "long": zoo.head("long") + b"x" * 900 + b"\n" + b"y" * 70 + b"\n",
    "from": zoo.head("from") + b"From here\nFrom there\n",
    "big": zoo.head("big") + b"".join(b"line %d of a big message\n" % i for i in range(40_000)),
}


def program(name):
    return unittest.skipUnless(shutil.which(name), "%s is not installed" % name)


def body_of(octets):
    """The body in a form in which all clients must agree: LF line ends, one at the end."""
    text = octets.replace(b"\r\n", b"\n")
    body = text.split(b"\n\n", 1)[1]
    return body.rstrip(b"\n")


def subject_of(octets):
    return email.message_from_bytes(octets)["Subject"]


WANT = {subject_of(octets): body_of(octets) for octets in MAIL.values()}


class Clients(BedCase):
    options = ("--users", "4", "--strict-port")
    user = "user1@example.test"

    def setUp(self):
        self.bed.clear(self.user)
        for octets in MAIL.values():
            self.bed.deliver(octets, self.user)
        folder = tempfile.TemporaryDirectory(prefix="postern-client-")
        self.addCleanup(folder.cleanup)
        self.home = folder.name

    def run_client(self, *command, ok=(0,), text=None, **more):
        env = dict(os.environ, HOME=self.home, FETCHMAILHOME=self.home, LC_ALL="C.UTF-8",
                   XDG_CONFIG_HOME=self.home)
        if os.geteuid() == 0:  # some will not work for root
            layout.chown_tree(self.home, NOBODY, NOBODY)
            command = ("setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups",
                       *command)
        run = subprocess.run(command, capture_output=True, timeout=3 * WAIT, env=env, input=text,
                             check=False, **more)
        said = (run.stdout + run.stderr).decode("utf-8", "replace")
        self.assertIn(run.returncode, ok, "%s\n%s" % (" ".join(command), said[-3000:]))
        return run.stdout

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.home, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def assert_received(self, messages):
        got = {subject_of(m): body_of(m) for m in messages}
        self.assertEqual(sorted(got), sorted(WANT))
        for subject, body in WANT.items():
            with self.subTest(subject):
                self.assertEqual(got[subject], body)

    def kept(self):
        return len(self.bed.names(self.user))

    # -- curl ------------------------------------------------------------------------------------

    def curl(self, scheme, path="", *options, port=None):
        port = port or (self.bed.tls_port if scheme == "pop3s" else self.bed.port)
        return self.run_client("curl", "-sS", "--cacert", self.bed.ca, "--user",
                               "%s:%s" % (self.user, self.bed.password), *options,
                               "%s://localhost:%d/%s" % (scheme, port, path))

    @program("curl")
    def test_curl_lists(self):
        for options in (("pop3",), ("pop3s",), ("pop3", "", "--ssl-reqd")):
            with self.subTest(options):
                listed = self.curl(*options).decode().split("\r\n")
                self.assertEqual(len([x for x in listed if x]), len(MAIL))

    @program("curl")
    def test_curl_retrieves_with_each_way_to_log_in(self):
        for way in ((), ("--login-options", "AUTH=PLAIN"), ("--login-options", "AUTH=LOGIN"),
                    ("--sasl-ir",)):
            for scheme in ("pop3s", "pop3"):
                with self.subTest(way, scheme=scheme):
                    self.assert_received([self.curl(scheme, str(n + 1), *way)
                                          for n in range(len(MAIL))])
        self.assertEqual(self.kept(), len(MAIL))

    @program("curl")
    def test_curl_is_exact_to_the_octet(self):
        listed = dict(x.split(" ") for x in self.curl("pop3s").decode().split("\r\n") if x)
        wires = {zoo.wire(octets) for octets in MAIL.values()}
        for number, size in listed.items():
            got = self.curl("pop3s", number)
            self.assertIn(got, wires)
            self.assertEqual(len(got), int(size))

    @program("curl")
    def test_curl_other_commands(self):
        self.assertIn(b"Subject: ", self.curl("pop3s", "", "-X", "TOP 1 0"))
        self.assertRegex(self.curl("pop3", "", "-X", "UIDL").decode(), r"(?m)^1 \S+\r$")
        self.curl("pop3s", "1", "-X", "DELE", "--head")
        self.assertEqual(self.kept(), len(MAIL) - 1)

    @program("curl")
    def test_curl_is_told_why(self):
        self.run_client("curl", "-sS", "--user", "%s:wrong" % self.user,
                        "pop3://localhost:%d/" % self.bed.port, ok=(67,))
        self.run_client("curl", "-sS", "--user", "%s:secret" % self.user,
                        "pop3://localhost:%d/" % self.bed.strict_port, ok=(67,))

    # -- fetchmail -------------------------------------------------------------------------------

    def fetchmail(self, *options, tls="ssl", ok=(0,)):
        """Into a folder by the small delivery agent below."""
        agent = self.write("agent", "#!/bin/sh\nexec cat > \"$(mktemp '%s/got/XXXXXXXX')\"\n"
                           % self.home, 0o700)
        os.makedirs(os.path.join(self.home, "got"), exist_ok=True)
        how = {"ssl": "ssl", "stls": "sslproto TLS1.2+", "plain": "sslproto ''"}[tls]
        rc = self.write(
            "fetchmailrc",
            "poll localhost protocol POP3 port %d%s\n"
            "  user '%s' password '%s' is 'nobody' here\n"
            "  %s sslcertfile '%s' %s\n  mda '%s'\n" % (
                self.bed.tls_port if tls == "ssl" else self.bed.port,
                " uidl" if "uidl" in options else "", self.user, self.bed.password, how,
                self.bed.ca, " ".join(o for o in options if o != "uidl"), agent))
        self.run_client("fetchmail", "-f", rc, "--pidfile", os.path.join(self.home, "pid"),
                        "--idfile", os.path.join(self.home, "ids"), "--nosyslog", "-v", ok=ok)

    def collected(self, folder="got"):
        at = os.path.join(self.home, folder)
        out = []
        for name in os.listdir(at):
            with open(os.path.join(at, name), "rb") as f:
                out.append(f.read())
        return out

    @program("fetchmail")
    def test_fetchmail_keeps_then_deletes(self):
        for tls in ("ssl", "stls", "plain"):
            with self.subTest(tls):
                shutil.rmtree(os.path.join(self.home, "got"), ignore_errors=True)
                self.fetchmail("keep", "fetchall", tls=tls)
                self.assert_received(self.collected())
                self.assertEqual(self.kept(), len(MAIL))
        shutil.rmtree(os.path.join(self.home, "got"))
        self.fetchmail("nokeep", "fetchall")
        self.assert_received(self.collected())
        self.assertEqual(self.kept(), 0)
        self.fetchmail("nokeep", "fetchall", ok=(1,))  # 1: there is no mail

    @program("fetchmail")
    def test_fetchmail_by_uidl_sees_each_message_once(self):
        self.fetchmail("keep", "uidl")
        self.assert_received(self.collected())
        self.fetchmail("keep", "uidl", ok=(1,))
        self.bed.deliver(zoo.head("later") + b"later\n", self.user)
        shutil.rmtree(os.path.join(self.home, "got"))
        self.fetchmail("keep", "uidl")
        self.assertEqual([subject_of(m) for m in self.collected()], ["later"])

    # -- getmail ---------------------------------------------------------------------------------

    def getmail(self, kind, more="", ok=(0,)):
        for box in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.home, "Mail", box), exist_ok=True)
        ssl_ = kind == "SimplePOP3SSLRetriever"
        rc = self.write(
            "getmailrc",
            "[retriever]\ntype = %s\nserver = localhost\nport = %d\nusername = %s\n"
            "password = %s\n%s\n[destination]\ntype = Maildir\npath = %s/Mail/\n"
            "[options]\ndelivered_to = false\nreceived = false\n%s\n" % (
                kind, self.bed.tls_port if ssl_ else self.bed.port, self.user, self.bed.password,
                "ca_certs = " + self.bed.ca if ssl_ else "", self.home, more))
        os.makedirs(os.path.join(self.home, "state"), exist_ok=True)
        self.run_client("getmail", "--getmaildir", os.path.join(self.home, "state"),
                        "--rcfile", rc, ok=ok)
        return self.collected(os.path.join("Mail", "new"))

    @program("getmail")
    def test_getmail_keeps_then_deletes(self):
        self.assert_received(self.getmail("SimplePOP3SSLRetriever", "read_all = false"))
        self.assertEqual(self.kept(), len(MAIL))
        shutil.rmtree(os.path.join(self.home, "Mail"))
        self.assertEqual(self.getmail("SimplePOP3SSLRetriever", "read_all = false"), [],
                         "seen before, by UIDL")
        shutil.rmtree(os.path.join(self.home, "Mail"))
        self.assert_received(self.getmail("SimplePOP3Retriever", "delete = true\nread_all = true"))
        self.assertEqual(self.kept(), 0)

    # -- mpop ------------------------------------------------------------------------------------

    def mpop(self, *options, tls="on", auth="on", port=None):
        for box in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.home, "M", box), exist_ok=True)
        how = {"on": "tls on\ntls_starttls off", "stls": "tls on\ntls_starttls on",
               "off": "tls off"}[tls]
        rc = self.write(
            "mpoprc",
            "account a\nhost localhost\nport %d\nuser %s\npassword %s\n%s\n%s\nauth %s\n"
            "uidls_file %s/uidls\ndelivery maildir %s/M\naccount default : a\n" % (
                port or (self.bed.tls_port if tls == "on" else self.bed.port), self.user,
                self.bed.password, how, "tls_trust_file " + self.bed.ca if tls != "off" else "",
                auth, self.home, self.home))
        self.run_client("mpop", "-C", rc, *options)
        return self.collected(os.path.join("M", "new"))

    @program("mpop")
    def test_mpop_keeps_then_deletes(self):
        for tls, auth in (("on", "on"), ("stls", "plain"), ("off", "user"), ("on", "login")):
            with self.subTest(tls, auth=auth):
                for stale in ("M", "uidls"):
                    path = os.path.join(self.home, stale)
                    if os.path.isdir(path):
                        shutil.rmtree(path)
                    elif os.path.exists(path):
                        os.unlink(path)
                self.assert_received(self.mpop("--keep=on", tls=tls, auth=auth))
                self.assertEqual(self.kept(), len(MAIL))
        shutil.rmtree(os.path.join(self.home, "M"))
        self.assertEqual(self.mpop("--keep=on", "--only-new=on"), [])
        shutil.rmtree(os.path.join(self.home, "M"))
        self.assert_received(self.mpop("--keep=off", "--only-new=off"))
        self.assertEqual(self.kept(), 0)

    # -- Python's poplib ---------------------------------------------------------------------------

    def poplib_login(self, tls):
        context = ssl.create_default_context(cafile=self.bed.ca)
        if tls == "implicit":
            client = poplib.POP3_SSL("localhost", self.bed.tls_port, context=context, timeout=WAIT)
        else:
            client = poplib.POP3("localhost", self.bed.port, timeout=WAIT)
            if tls == "stls":
                client.stls(context)
        client.user(self.user)
        client.pass_(self.bed.password)
        return client

    def test_poplib(self):
        for tls in ("implicit", "stls", "none"):
            with self.subTest(tls):
                client = self.poplib_login(tls)
                self.assertIn("TOP", client.capa())
                count, octets = client.stat()
                self.assertEqual(count, len(MAIL))
                listed = client.list()[1]
                self.assertEqual(sum(int(x.split()[1]) for x in listed), octets)
                self.assertEqual(len(client.uidl()[1]), count)
                poplib._MAXLINE = 1 << 20  # its own limit of 2048 octets is below RFC 5322's good will
                self.assert_received([b"\n".join(client.retr(n + 1)[1]) + b"\n"
                                      for n in range(count)])
                self.assertIn(b"Subject", b"\n".join(client.top(1, 0)[1]))
                client.dele(1)
                client.rset()
                client.noop()
                client.quit()
        self.assertEqual(self.kept(), len(MAIL))

    def test_poplib_deletes(self):
        client = self.poplib_login("implicit")
        for number in range(1, len(MAIL) + 1):
            client.dele(number)
        client.quit()
        self.assertEqual(self.kept(), 0)

    # -- openssl s_client --------------------------------------------------------------------------

    @program("openssl")
    def test_openssl_s_client(self):
        script = "USER %s\r\nPASS %s\r\nSTAT\r\nUIDL\r\nRETR 1\r\nQUIT\r\n" % (
            self.user, self.bed.password)
        for way in (("-port", str(self.bed.tls_port)),
                    ("-port", str(self.bed.port), "-starttls", "pop3")):
            said = self.run_client("openssl", "s_client", "-connect", "localhost:" + way[1],
                                   *way[2:], "-crlf", "-quiet", "-verify_return_error", "-CAfile",
                                   self.bed.ca, text=script.replace("\r", "").encode())
            self.assertIn(b"+OK %d " % len(MAIL), said)
            self.assertIn(b"\r\n.\r\n+OK", said)

    @program("gnutls-cli")
    def test_gnutls_cli(self):
        said = self.run_client("gnutls-cli", "--port", str(self.bed.tls_port), "--x509cafile",
                               self.bed.ca, "--alpn=pop3", "localhost",
                               text=b"CAPA\r\nQUIT\r\n")
        self.assertIn(b"PIPELINING", said)


class Harness(unittest.TestCase):
    def test_body_of(self):
        self.assertEqual(body_of(b"Subject: a\r\n\r\nb\r\n"), b"b")


if __name__ == "__main__":
    unittest.main()
