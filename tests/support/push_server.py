"""The push API as a client sees it, in memory, and how it fails: what the real server does seldom can be asked for here."""
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class PushServer:
    """Blobs and models in memory. Attributes count what happened, and say what goes wrong next."""

    def __init__(self):
        self.blobs, self.partial, self.models = {}, {}, {}
        self.uploaded, self.requests, self.lock = 0, [], threading.Lock()
        self.cut_after = None  # bytes of the next upload after which the connection ends, once
        self.away = 0  # so many questions for what is missing get no answer, after such a cut
        self.stalled = None  # (an event that is set when an upload begins, one that it waits for)
        self.forget = False  # all blobs, before the next install
        self.busy = 0  # so many installs are refused
        self.refusal = None  # (status, sentence) for installs
        self.events = [{"state": "loading", "reason": "loading", "progress": 0.5}, {"state": "ready", "reason": ""}]
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"told": self}))
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    told: PushServer

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def read(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.told.requests.append(f"{self.command} {parts.path}")
        for method, pattern, handle in ROUTES:
            if method == self.command and (match := re.fullmatch("/tensord/v1/" + pattern, parts.path)):
                return handle(self, *match.groups())
        self.read()
        return self.answer(404, {"error": "Not Found"})

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def missing(self):
        told = self.told
        asked = json.loads(self.read())["blobs"]
        if told.away and told.uploaded:
            told.away -= 1
            self.close_connection = True
            return
        self.answer(200, {"missing": [{"sha256": one["sha256"], "have": len(told.partial.get(one["sha256"], b""))}
                                      for one in asked if one["sha256"] not in told.blobs]})

    def upload(self, digest):
        told, offset, size = self.told, int(self.query["offset"]), int(self.query["size"])
        length = int(self.headers["Content-Length"])
        if told.stalled:
            told.stalled[0].set()
            told.stalled[1].wait()
        with told.lock:
            have = told.partial.get(digest, b"")
            if offset != len(have):
                self.read()
                return self.answer(409, {"error": "another upload goes on", "have": len(have)})
            cut, told.cut_after = told.cut_after, None
            piece = self.rfile.read(length if cut is None else cut)
            told.uploaded += len(piece)
            told.partial[digest] = have + piece
            if cut is not None:
                self.close_connection = True
                return None
            if len(told.partial[digest]) < size:
                return self.answer(202, {"have": len(told.partial[digest])})
            data = told.partial.pop(digest)
            if hashlib.sha256(data).hexdigest() != digest:
                return self.answer(422, {"error": "the bytes are not those of the digest"})
            told.blobs[digest] = data
            return self.answer(201, {"have": size})

    def install(self, name):
        told, manifest = self.told, json.loads(self.read())
        if told.forget:
            told.blobs, told.forget = {}, False
        if told.busy:
            told.busy -= 1
            return self.answer(409, {"error": "another push of it is being installed"})
        if told.refusal:
            return self.answer(told.refusal[0], {"error": told.refusal[1]})
        missing = [one["sha256"] for one in manifest["files"] if one["sha256"] not in told.blobs]
        if missing:
            return self.answer(412, {"error": "files are missing", "missing": missing})
        version = manifest["version"] or 1
        told.models[name] = {**manifest, "version": version}
        return self.answer(200, {"name": name, "version": version})

    def manifest(self, name):
        known = self.told.models.get(name)
        return self.answer(200, known) if known else self.answer(404, {"error": f"Request for unknown model: '{name}' is not found"})

    def download(self, digest):
        return self.answer(200, self.told.blobs[digest])

    def remove(self, name):
        known = self.told.models.pop(name, None)
        return self.answer(200, {}) if known else self.answer(404, {"error": f"Request for unknown model: '{name}' is not found"})

    def stream_events(self, name):
        self.answer(200, "".join(json.dumps(one) + "\n" for one in self.told.events).encode())


ROUTES = [
    ("POST", "blobs/missing", Handler.missing),
    ("PUT", "blobs/([0-9a-f]{64})", Handler.upload),
    ("GET", "blobs/([0-9a-f]{64})", Handler.download),
    ("PUT", "models/([^/]+)", Handler.install),
    ("GET", "models/([^/]+)", Handler.manifest),
    ("DELETE", "models/([^/]+)", Handler.remove),
    ("GET", "models/([^/]+)/events", Handler.stream_events),
]
