"""gRPC of Node (@grpc/grpc-js) with the proxy between its client and its server, and with gRPC's C core on the other side."""
import pytest

from lib.grpc_peer import GrpcServer
from lib.http import front
from lib.node_grpc import NodeGrpc, is_here, node_calls
from lib.poll import patiently
from lib.scale import MIB, scale

LOG = {"path": "grpc.log", "format": "%REQ(:PATH)% %GRPC_STATUS%"}


@pytest.fixture(params=[NodeGrpc, GrpcServer], ids=["node", "c"])
def server(request, peer):
    if not is_here():
        pytest.skip("@grpc/grpc-js is not here: npm install @grpc/grpc-js, and NODE_PATH")
    return peer(request.param)


def test_calls(nuncio, server):
    big = scale(8 * MIB)

    def attempt(factor):
        proxy = nuncio(front(server, to={"protocol": "http2"}, access_log=LOG,
                             routes=[{"match": {"path_prefix": "/t.T/"}, "cluster": "c", "timeout": "0"}]))
        told = node_calls(proxy.address("in"), big, 300 * factor)
        wanted = {"echo": "hi", "big": big, "none": [12, ""], "collect": "10000", "chat": 20, "deadline": [4, 5], "cancel": [1, 5]}
        assert {name: told[name] for name in wanted} == wanted
        if isinstance(server, NodeGrpc):
            assert (told["count"], told["fail"], told["echo_end"]) == (300000, [9, "grüß Gott: 100 %"], ["1"])
        rows = proxy.file_lines("grpc.log", 9)
        assert rows[:2] == ["/t.T/Echo OK"] * 2 and "/no/Such Unimplemented" in rows
    patiently(attempt)
