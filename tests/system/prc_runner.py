"""Runs modules of python-irodsclient's own test suite and prints one JSON line a test; not a test itself."""

import json
import signal
import sys
import unittest


class Lines(unittest.TestResult):
    """Remembers the worst outcome of each test, its subtests included."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, tuple[str, str]] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802  # unittest's names
        super().startTest(test)
        self.outcomes[test.id()] = ("passed", "")

    def _bad(self, test: unittest.TestCase, error: tuple) -> None:
        self.outcomes[getattr(test, "test_case", test).id()] = (
            "failed",
            f"{error[0].__name__}: {error[1]}"[:300],
        )

    def addError(self, test, err) -> None:  # noqa: N802
        self._bad(test, err)

    def addFailure(self, test, err) -> None:  # noqa: N802
        self._bad(test, err)

    def addSubTest(self, test, subtest, err) -> None:  # noqa: N802
        if err is not None:
            self._bad(test, err)

    def addSkip(self, test, reason) -> None:  # noqa: N802
        self.outcomes[test.id()] = ("skipped", reason)


if __name__ == "__main__":
    # a background job of a shell starts with SIGINT ignored, its children inherit that, and the suite sends SIGINT
    signal.signal(signal.SIGINT, signal.default_int_handler)
    result = Lines()
    suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:])
    suite.run(result)
    with open(sys.argv[1], "w") as out:
        for name, (outcome, reason) in result.outcomes.items():
            out.write(json.dumps({"test": name, "outcome": outcome, "reason": reason}) + "\n")
