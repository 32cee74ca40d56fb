"""A server that speaks OpenAI's protocol and whose times are known: a few slots, a fixed time for each token, and faults on demand."""

import itertools
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeServer(ThreadingHTTPServer):
    """`fault(number)` names what goes wrong with a request: "503", "400", "stall", "break", "garbage", "empty"; "" for nothing."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, slots=64, token=0.005, tokens=4, fault=lambda number: "", chat=False, extras=True, usage=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.slots, self.token, self.tokens, self.fault = threading.Semaphore(slots), token, tokens, fault
        self.chat, self.extras, self.usage = chat, extras, usage
        self.numbers, self.asked, self.paths = itertools.count(), [], []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """The address as a person gives it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.plain(200, {"data": [{"id": "fake-model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = next(self.server.numbers)
        self.server.asked.append(body)
        self.server.paths.append(self.path)
        if self.path.endswith("/chat/completions") is not self.server.chat:
            return self.plain(404, {"detail": "Not Found"})
        if "ignore_eos" in body and not self.server.extras:
            return self.plain(400, {"error": {"message": "unknown field ignore_eos"}})
        fault = self.server.fault(number)
        if fault.isdigit():
            return self.plain(int(fault), {"error": {"message": "too many people here"}})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if fault == "stall":
            return self.server.closing.wait(20)
        if fault == "garbage":
            return self.wfile.write(b"data: [1, 2\n\n")
        with self.server.slots:
            self.stream(fault)

    def stream(self, fault):
        for count in range(0 if fault == "empty" else self.server.tokens):
            time.sleep(self.server.token)
            piece = {"delta": {"content": "word "}} if self.server.chat else {"text": "word "}
            self.event({"choices": [piece | {"finish_reason": None}]})
            if fault == "break" and count:
                return
        last = {"choices": [{"text": "", "finish_reason": "length"}]}
        self.event(last | ({"usage": {"completion_tokens": 2 * self.server.tokens}} if self.server.usage else {}))
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, told):
        self.wfile.write(b"data: " + json.dumps(told).encode() + b"\n\n")

    def plain(self, status, told):
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fake_openai(**how):
    """A running one; it ends with the block."""
    server = FakeServer(**how)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
