"""Pushing models as a client does it, by raw HTTP."""
import hashlib
import json
from pathlib import Path

from support.processes import until
from support.server import START_S


def digest(data):
    return hashlib.sha256(data).hexdigest()


def files_of(folder):
    """{path: bytes} of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def manifest(files, version=None):
    """The manifest of {path: bytes}."""
    return {"version": version, "files": [{"path": path, "sha256": digest(data), "size": len(data)}
                                          for path, data in files.items()]}


def config(engine="identity", datatype="INT32", **more):
    """The text of a model.yaml that makes a model by itself."""
    text = {"backend": engine, "input": [{"name": "x", "data_type": f"TYPE_{datatype}", "dims": [-1]}],
            "output": [{"name": "y", "data_type": f"TYPE_{datatype}", "dims": [-1]}], **more}
    return json.dumps(text).encode()


class Pusher:
    """A client that pushes to a server with a token."""

    def __init__(self, server, token=None):
        self.server = server
        self.headers = {"Authorization": f"Bearer {token or server.admin_token}"}

    def ask(self, method, path, data=None):
        """(status, decoded JSON)"""
        status, _, body = self.server.fetch("/tensord/v1/" + path, data, headers=self.headers, method=method)
        return status, json.loads(body) if body else None

    def missing(self, *blobs):
        return self.ask("POST", "blobs/missing", {"blobs": [{"sha256": digest(data), "size": len(data)} for data in blobs]})

    def upload(self, data, offset=0, part=None, size=None, sha256=None):
        part = data[offset:] if part is None else part
        return self.ask("PUT", f"blobs/{sha256 or digest(data)}?offset={offset}&size={len(data) if size is None else size}", part)

    def put(self, name, described):
        return self.ask("PUT", f"models/{name}", described)

    def push(self, name, files, version=None, status=200):
        """Uploads what is missing and puts the model: the decoded answer."""
        for data in files.values():
            assert self.upload(data)[0] == 201
        answer = self.put(name, manifest(files, version))
        assert answer[0] == status, answer
        return answer[1]

    def events(self, name, version=None):
        """The states, to the end of the stream."""
        query = f"?version={version}" if version else ""
        status, _, body = self.server.fetch(f"/tensord/v1/models/{name}/events{query}", headers=self.headers)
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def listed(self):
        """{(name, version): entry}"""
        status, answer = self.ask("GET", "models")
        assert status == 200
        return {(entry["name"], entry["version"]): entry for entry in answer["models"]}

    def wait_gone(self, name):
        until(lambda: name not in {name for name, _ in self.listed()}, START_S, f"'{name}' gone")
