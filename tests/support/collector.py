"""A collector of traces for tests: takes OTLP over HTTP and decodes it with OpenTelemetry's own classes."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.processes import until


class Collector:
    """Answers POST /v1/traces. `statuses` are given to the next posts instead of 200; while `hold` is
    cleared, posts wait for their answer."""

    def __init__(self, context=None):
        """context: an ssl.SSLContext, for https."""
        self.requests, self.heads, self.statuses = [], [], []
        self.hold = threading.Event()
        self.hold.set()
        self.lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.hold.wait(60)
                status = collector.take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "https" if context else "http"
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"{self.scheme}://localhost:{self.server.server_port}"

    @property
    def environment(self):
        """For a server that is to send its traces here soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def take(self, path, headers, body):
        with self.lock:
            status = self.statuses.pop(0) if self.statuses else 200
            self.heads.append((path, headers, status))
            if status == 200:
                self.requests.append(ExportTraceServiceRequest.FromString(body))
        return status

    def spans(self):
        """All spans that were taken."""
        with self.lock:
            return [span for request in self.requests for resource in request.resource_spans
                    for scope in resource.scope_spans for span in scope.spans]

    def resource(self):
        """The attributes of the last resource."""
        with self.lock:
            return attributes(self.requests[-1].resource_spans[-1].resource)

    def wait_for(self, condition, what="spans", timeout_s=60):
        """The spans, once the condition holds for them."""
        until(lambda: condition(self.spans()), timeout_s, what)
        return self.spans()

    def wait_for_request(self, **wanted):
        """The first span of a request (it has children, or none) whose attributes are these, and its
        children by their names."""
        def found():
            for span in self.spans():
                has = attributes(span)
                if all(has.get(key.replace("__", ".")) == value for key, value in wanted.items()):
                    return span
            return None

        span = until(found, 60, f"a span with {wanted}")
        children = {one.name: one for one in self.spans() if one.parent_span_id == span.span_id}
        return span, children

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


def attributes(node):
    """Attributes as a dict of plain values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in node.attributes}
