"""WebSockets to managed servers: a real ASGI server and a real client."""
import asyncio
import http.client
import os
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support import tokens
from support.managed import path_of, row_of, write_server
from support.processes import until
from support.server import Server

APP = '''
    import asyncio
    import os

    from fastapi import FastAPI, WebSocket, WebSocketDisconnect
    from fastapi.responses import PlainTextResponse

    app = FastAPI()
    seen = {}

    @app.get("/seen")
    def what_was_seen():
        return seen

    @app.websocket("/echo")
    async def echo(socket: WebSocket):
        seen["fields"] = dict(socket.headers)
        await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("text") == "bye":
                    await socket.close(4001, "as you like")
                elif message.get("text") == "die":
                    os._exit(3)
                elif message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        finally:
            seen["left"] = seen.get("left", 0) + 1

    @app.websocket("/flood")
    async def flood(socket: WebSocket):
        await socket.accept()
        try:
            while True:
                await socket.send_bytes(bytes(1 << 20))
                seen["flooded"] = seen.get("flooded", 0) + 1
        except Exception:
            seen["left"] = seen.get("left", 0) + 1

    @app.websocket("/refused")
    async def refused(socket: WebSocket):
        await socket.close()
'''


def write_app(folder, **section):
    return write_server(folder, "app", f"{sys.executable} -m uvicorn app:app --port {{port}}", app=APP, health="/seen", **section)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_app(folder)
    started = Server(folder, state=tmp_path_factory.mktemp("state")).wait_ready("app")
    yield started
    started.stop()


def open_socket(served, path, **options):
    fields = {"Authorization": f"Bearer {served.admin_token}", **options.pop("fields", {})}
    return connect(f"ws://{served.netloc}{path_of('app', path)}", additional_headers=fields, max_size=None, open_timeout=60, **options)


def seen(served):
    return served.get(path_of("app", "/seen"))


def test_messages_go_both_ways(served):
    async def talk():
        async with open_socket(served, "/echo", subprotocols=["chat"]) as socket:
            assert socket.subprotocol == "chat"
            for message in ("hello", "", b"\x00\xff", os.urandom(3 << 20), "ä" * 100_000):
                await socket.send(message)
                assert await socket.recv() == message
            await asyncio.gather(*(socket.send(str(i)) for i in range(1000)))
            assert [await socket.recv() for _ in range(1000)] == [str(i) for i in range(1000)]
            assert (await (await socket.ping())) < 60
            until(lambda: row_of(served)["requests_running"] == 1, 30, "it counts as a request")
    asyncio.run(talk())
    told = seen(served)["fields"]
    assert told["x-forwarded-prefix"] == "/tensord/v1/servers/app" and told["host"] == "localhost"
    assert "authorization" not in told and told["upgrade"] == "websocket"
    until(lambda: row_of(served)["requests_running"] == 0, 30, "it counts no more")


def test_many_at_once(served):
    async def talk(number):
        async with open_socket(served, "/echo") as socket:
            for i in range(20):
                await socket.send(f"{number} {i}")
                assert await socket.recv() == f"{number} {i}"

    async def all_of_them():
        await asyncio.gather(*map(talk, range(50)))
    asyncio.run(all_of_them())


def test_the_server_closes(served):
    async def talk():
        async with open_socket(served, "/echo") as socket:
            await socket.send("bye")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "as you like")
    asyncio.run(talk())


def test_a_client_that_leaves_is_noticed(served):
    left = seen(served).get("left", 0)

    async def talk():
        socket = await open_socket(served, "/echo")
        await socket.send("hello")
        await socket.recv()
        socket.transport.abort()
    asyncio.run(talk())
    until(lambda: seen(served)["left"] == left + 1, 30, "the server to notice")


def test_who_does_not_read_holds_little(served):
    """The server is read no faster than the client."""
    async def talk():
        socket = await open_socket(served, "/flood", max_queue=1, compression=None)
        await socket.recv()
        before = None
        while before != (before := seen(served).get("flooded")):
            await asyncio.sleep(0.5)
        assert before < 64
        socket.transport.abort()
    asyncio.run(talk())


def test_a_refusal_is_passed_on(served):
    async def talk():
        with pytest.raises(InvalidStatus) as refused:
            await open_socket(served, "/refused")
        assert refused.value.response.status_code == 403
    asyncio.run(talk())


def test_who_may(served):
    """The gate stands before it: tokens, and pages of other sites."""
    async def talk(fields):
        with pytest.raises(InvalidStatus) as refused:
            await open_socket(served, "/echo", fields=fields)
        return refused.value.response.status_code
    assert asyncio.run(talk({"Authorization": "Bearer tensord_nonsense"})) == 401
    assert asyncio.run(talk({"Origin": "https://example.org"})) == 403


def test_a_revoked_token_ends_it(served):
    """Also when nothing is said; others go on."""
    mine = tokens.create(served.state_dir, scope="infer", name="leaked")
    until(lambda: served.fetch("/v2", headers=tokens.bearer(mine))[0] == 200, 60, "the token")

    async def talk():
        async with open_socket(served, "/echo", fields=tokens.bearer(mine), ping_interval=None) as cut, \
                open_socket(served, "/echo", ping_interval=None) as other:
            await cut.send("first")
            assert await cut.recv() == "first"
            tokens.revoke(served.state_dir, "leaked")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(cut.recv(), 20)
            await other.send("still")
            assert await asyncio.wait_for(other.recv(), 20) == "still"
    asyncio.run(talk())


def test_other_protocols_are_refused(served):
    fields = {"Authorization": f"Bearer {served.admin_token}", "Connection": "Upgrade"}
    for method, protocol in (("GET", "h2c"), ("POST", "websocket")):
        client = http.client.HTTPConnection(served.host, served.port, timeout=60)
        client.request(method, path_of("app", "/echo"), headers={**fields, "Upgrade": protocol})
        answer = client.getresponse()
        assert answer.status == 501 and b"but for WebSockets" in answer.read()
        client.close()


def test_the_server_dies(server, tmp_path):
    write_app(tmp_path)
    one = server(tmp_path).wait_ready("app")

    async def talk():
        async with open_socket(one, "/echo") as socket:
            await socket.send("die")
            with pytest.raises(ConnectionClosed):
                await socket.recv()

    async def talk_to_the_next_one():
        async with open_socket(one, "/echo") as socket:
            await socket.send("hello")
            return await socket.recv() == "hello"

    def again():
        try:
            return asyncio.run(talk_to_the_next_one())
        except InvalidStatus:  # it was still with the one that died
            return False
    asyncio.run(talk())
    until(again, 60, "the next one")


def test_silence_ends_it(server, tmp_path):
    """answer_timeout_s without a byte from either side."""
    write_app(tmp_path, answer_timeout_s=5)
    one = server(tmp_path).wait_ready("app")

    async def talk():
        async with open_socket(one, "/echo", ping_interval=None) as socket:
            for _ in range(7):
                await asyncio.sleep(0.8)
                await socket.send("still here")
                await socket.recv()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 60)
    asyncio.run(talk())
