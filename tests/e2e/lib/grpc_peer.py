"""gRPC's own library (C core): a server in a process of its own, and what a client needs. Messages are bytes as they are."""
import os
import sys
from pathlib import Path

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # children only exec

import grpc  # noqa: E402

BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]


# --- the server

def echo(message, context):
    """The message; metadata whose names begin with x- come back with it, before and after."""
    own = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
    context.send_initial_metadata(own)
    context.set_trailing_metadata([(f"{key[:-4]}-end-bin" if key.endswith("-bin") else f"{key}-end", value) for key, value in own])
    return message


def fail(message, context):
    """Fails as the message says: a number, a blank, a text."""
    number, _, text = message.decode().partition(" ")
    context.abort(next(code for code in grpc.StatusCode if code.value[0] == int(number)), text)


def collect(messages, context):
    return b"%d" % sum(map(len, messages))


def count(message, context):
    """So many messages of so many bytes."""
    number, size = map(int, message.split())
    return (bytes([n % 256]) * size for n in range(number))


def chat(messages, context):
    yield from messages


def hang(messages, context):
    """One message, and then nothing until the call is over; prints that it is."""
    context.add_callback(lambda: print("over", flush=True))
    yield b"begun"
    for message in messages:
        if message == b"leave":
            context.cancel()


serving = {b"": b"\x08\x01"}


def check(message, context):
    """grpc.health.v1.Health/Check, of services whose names are short."""
    name = message[2:]
    if name not in serving:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return serving[name]


def be(message, context):
    """Is from now on what the message says: the bytes of a HealthCheckResponse."""
    serving[b""] = message
    return b""


def serve(compress):
    from concurrent.futures import ThreadPoolExecutor
    unary, collecting, counting, both = (getattr(grpc, f"{kind}_rpc_method_handler") for kind in (
        "unary_unary", "stream_unary", "unary_stream", "stream_stream"))
    methods = {"Echo": unary(echo), "Fail": unary(fail), "Be": unary(be), "Collect": collecting(collect), "Count": counting(count),
               "Chat": both(chat), "Hang": both(hang)}
    server = grpc.server(ThreadPoolExecutor(32), options=[*BIG, ("grpc.so_reuseport", 0)],
                         compression=grpc.Compression.Gzip if compress else None)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", methods),
                                     grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": unary(check)})))
    print("port", server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve("compress" in sys.argv)
    sys.exit()


# --- for tests

from lib.process import Child  # noqa: E402


class GrpcServer(Child):
    def __init__(self, *words):
        super().__init__(sys.executable, __file__, *words, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
        self.port = int(self.wait_line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"


class Calls:
    """A channel to an address; methods of t.T by their names: calls.echo(b"..."), calls.chat(iterator)."""

    def __init__(self, address, credentials=None, **more):
        options = [*BIG, *more.pop("options", ())]
        self.channel = grpc.secure_channel(address, credentials, options, **more) if credentials else grpc.insecure_channel(
            address, options, **more)
        for name, kind in {"Echo": "unary_unary", "Fail": "unary_unary", "Be": "unary_unary", "None": "unary_unary",
                           "Collect": "stream_unary", "Count": "unary_stream", "Chat": "stream_stream", "Hang": "stream_stream"}.items():
            setattr(self, name.lower(), getattr(self.channel, kind)(f"/t.T/{name}"))

    def close(self):
        self.channel.close()
