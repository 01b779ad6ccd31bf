"""A server and a client of gRPC, by the library that people use; messages are bare bytes.

    grpc_peer.py server              prints its port, then what happens to its calls
    grpc_peer.py client PORT WORD... runs what the words say, and prints what came of each
"""
import sys
import threading
from concurrent import futures

import grpc


def say(*words):
    print(*words, flush=True)


class Service(grpc.GenericRpcHandler):
    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        metadata = dict(details.invocation_metadata)

        def unary(request, context):
            context.set_trailing_metadata((("x-after", "told"),))
            deadline = context.time_remaining()
            return b"%s %s %s" % (request, metadata.get("x-before", "").encode(), b"deadline" if deadline else b"none")

        def refuse(_request, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")

        def count(request, _context):
            for i in range(int(request)):
                yield b"%d" % i

        def echo(requests, _context):
            for request in requests:
                yield request

        def wait(_request, context):
            gone = threading.Event()
            context.add_callback(gone.set)
            yield b"begun"
            say("cancelled" if gone.wait(30) else "forgotten")

        if name in ("Unary", "Refuse"):
            return grpc.unary_unary_rpc_method_handler(unary if name == "Unary" else refuse)
        if name in ("Count", "Wait"):
            return grpc.unary_stream_rpc_method_handler(count if name == "Count" else wait)
        if name == "Echo":
            return grpc.stream_stream_rpc_method_handler(echo)
        return None


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Service(),))
    say(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def do_unary(channel):
    result, call = channel.unary_unary("/t.T/Unary").with_call(b"hello", timeout=30, metadata=(("x-before", "said"),))
    return result.decode(), call.code().name, dict(call.trailing_metadata()).get("x-after")


def failure_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "no failure"


def do_refuse(channel):
    return failure_of(lambda: channel.unary_unary("/t.T/Refuse")(b"", timeout=30))


def do_unknown(channel):
    return (failure_of(lambda: channel.unary_unary("/t.T/Unknown")(b"", timeout=30))[0],)


def do_count(channel):
    got = list(channel.unary_stream("/t.T/Count")(b"30000", timeout=60))
    return len(got), got[-1].decode()


def do_echo(channel):
    """Each message is sent after the one before has come back."""
    word = threading.Semaphore(1)

    def requests():
        for i in range(100):
            word.acquire()
            yield b"%d" % i * 1000

    seen = 0
    for _answer in channel.stream_stream("/t.T/Echo")(requests(), timeout=60):
        seen += 1
        word.release()
    return (seen,)


def do_large(channel):
    body = b"x" * 3000000
    return (b"".join(channel.stream_stream("/t.T/Echo")(iter([body] * 3), timeout=60)) == body * 3,)


def do_cancel(channel):
    call = channel.unary_stream("/t.T/Wait")(b"", timeout=60)
    first = next(call)
    call.cancel()
    return first.decode(), call.code().name


def ask(port, words):
    options = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0))
    with grpc.insecure_channel("127.0.0.1:" + port, options) as channel:
        for word in words:
            say(*globals()["do_" + word](channel))


if sys.argv[1] == "server":
    serve()
else:
    ask(sys.argv[2], sys.argv[3:])
