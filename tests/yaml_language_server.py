"""The YAML language server that editors use, spoken to as an editor does: over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import npm

MOST_SECONDS = 240
"""Of one server's life; after that a test that still waits for it fails."""


@contextlib.contextmanager
def start(schema: Path) -> Iterator[Editor]:
    """A server that checks every document by this schema, and fetches none."""
    program = npm.installed("yaml-language-server") / "yaml-language-server/bin/yaml-language-server"
    command = ["node", str(program), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        timer = threading.Timer(MOST_SECONDS, process.kill)
        timer.start()
        try:
            yield Editor(process, schema.as_uri()).introduced()
        finally:
            timer.cancel()
            process.kill()


class Editor:
    """What an editor says and is told."""

    def __init__(self, process: subprocess.Popen[bytes], schema: str) -> None:
        self._process = process
        self._settings = {
            "schemas": {schema: "*"},
            "schemaStore": {"enable": False},
            "validate": True,
            "hover": True,
            "completion": True,
        }
        self._asked = 0
        self._found: dict[str, list[dict[str, Any]]] = {}

    def introduced(self) -> Self:
        """The editor, after it and the server have said what they can do."""
        document = {
            "hover": {"contentFormat": ["markdown"]},
            "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
        }
        capabilities = {"textDocument": document, "workspace": {"configuration": True}}
        self._ask("initialize", processId=None, rootUri=None, capabilities=capabilities)
        self._send(method="initialized", params={})
        return self

    def checked(self, texts: Mapping[str, str]) -> dict[str, list[str]]:
        """What is wrong with some files: `line:column: message`, as people count."""
        for name, text in texts.items():
            document = {"uri": _uri(name), "languageId": "yaml", "version": 1, "text": text}
            self._send(method="textDocument/didOpen", params={"textDocument": document})
        while not {_uri(name) for name in texts} <= self._found.keys():
            self._take(self._receive())
        return {name: [_said(told) for told in self._found.pop(_uri(name))] for name in texts}

    def hover(self, text: str, line: int, column: int) -> str:
        """What stands in the box where somebody points."""
        answer = self._at("textDocument/hover", text, line, column)
        return str(answer["contents"]["value"]) if answer else ""

    def offered(self, text: str, line: int, column: int) -> dict[str, str]:
        """What can be written there, and what each of it means."""
        answer = self._at("textDocument/completion", text, line, column)
        return {item["label"]: _documentation(item) for item in answer["items"]}

    def _at(self, method: str, text: str, line: int, column: int) -> Any:
        name = f"{self._asked}.yaml"
        self.checked({name: text})
        place = {"line": line - 1, "character": column - 1}
        return self._ask(method, textDocument={"uri": _uri(name)}, position=place)

    def _ask(self, method: str, **params: Any) -> Any:
        self._asked += 1
        asked = self._asked
        self._send(id=asked, method=method, params=params)
        while True:
            message = self._receive()
            if message.get("id") == asked and "method" not in message:
                return message["result"]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "workspace/configuration", "id": asked, "params": {"items": items}}:
                answer = [self._settings if item["section"] == "yaml" else None for item in items]
                self._send(id=asked, result=answer)
            case {"method": "textDocument/publishDiagnostics", "params": told}:
                self._found[told["uri"]] = told["diagnostics"]
            case {"method": _, "id": asked}:
                self._send(id=asked, result=None)

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while header := self._process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message


def _uri(name: str) -> str:
    return f"file:///manifest/{name}"


def _said(told: Mapping[str, Any]) -> str:
    start = told["range"]["start"]
    return f"{start['line'] + 1}:{start['character'] + 1}: {told['message']}"


def _documentation(item: Mapping[str, Any]) -> str:
    told = item.get("documentation", "")
    return str(told["value"] if isinstance(told, dict) else told)
