#!/usr/bin/env python3
"""The real llama.cpp server behind llama-server's own flags, as far as we use them: the package holds the server, but no
executable of that name.

    llama_server.py -m FILE --host H --port P [-c N] [-np N]
"""
import argparse
import signal
import sys
import threading

def serve(a):
    import xllamacpp
    p = xllamacpp.CommonParams()
    p.model.path = a.model
    p.hostnames = [a.host]
    p.port = a.port
    p.n_ctx = a.context
    p.n_parallel = a.parallel
    server = xllamacpp.Server(p)
    print("listening on", server.listening_address, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Event().wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-m", dest="model")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8080)
    p.add_argument("-c", dest="context", type=int, default=2048)
    p.add_argument("-np", dest="parallel", type=int, default=2)
    serve(p.parse_args())


main()
