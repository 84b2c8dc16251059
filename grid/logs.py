"""Log lines on standard error, as text or JSON, with the facts of the request they belong to."""

import json
import logging
import sys
import time
from typing import Final

FACTS: Final = ("request", "user", "address", "api", "status", "ms")


class TextLines(logging.Formatter):
    """`time level logger: message key=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        facts = "".join(f" {key}={getattr(record, key)}" for key in FACTS if hasattr(record, key))
        line = f"{stamp} {record.levelname.lower()} {record.name}[{record.process}]: {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        line |= {key: getattr(record, key) for key in FACTS if hasattr(record, key)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(log_format: str, level: str) -> None:
    """Send the project's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logger = logging.getLogger("beamgrid")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
