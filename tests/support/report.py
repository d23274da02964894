# SPDX-License-Identifier: MIT
"""Runs one file of integration tests: python3 -m support.report FILE [CLASS[.TEST]…]

Each result is one line of JSON on standard output: {"test", "status", "seconds", "text"}, with
status passed, failed or skipped. The runner reads them; what a test prints itself goes elsewhere.
"""
import importlib.util
import json
import os
import re
import sys
import time
import unittest


class Reporter(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out, self.began, self.failed = out, None, []

    def startTest(self, test):
        super().startTest(test)
        self.began, self.failed = time.monotonic(), []

    def emit(self, test, status, text=""):
        name = re.sub(r"^(\w+) \(\w+\.(\w+)\)$", r"\2 (\1)", test.id())  # "setUpClass (file.Class)"
        if name == test.id():
            name = ".".join(name.split(".")[1:]) or name
        seconds = 0 if self.began is None else time.monotonic() - self.began
        print(json.dumps({"test": name, "status": status, "seconds": round(seconds, 2),
                          "text": text}), file=self.out, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self.failed:
            self.emit(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.emit(test, "skipped", reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed.append(self.failures[-1][1])

    def addError(self, test, err):
        """Also what goes wrong in setUpClass and in a class's clean-up."""
        super().addError(test, err)
        if isinstance(test, unittest.TestCase):
            self.failed.append(self.errors[-1][1])
        else:
            self.emit(test, "failed", self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            text = (self.failures if issubclass(err[0], test.failureException)
                    else self.errors)[-1][1]
            self.failed.append("%s\n%s" % (subtest._subDescription(), text))

    def stopTest(self, test):
        super().stopTest(test)
        if self.failed:  # one test, one result, however many of its subtests failed
            shown = self.failed[:5]
            if len(self.failed) > 5:
                shown.append("… and %d more" % (len(self.failed) - 5))
            self.emit(test, "failed", "\n".join(shown))


def load(path, names):
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    if names:
        return loader.loadTestsFromNames(names, module)
    return loader.loadTestsFromModule(module)


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a test that prints does not get in between
    reporter = Reporter(out)
    load(os.path.realpath(sys.argv[1]), sys.argv[2:]).run(reporter)
    return 0 if reporter.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
