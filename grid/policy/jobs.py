import signal, threading
class JobWorker:
    def __init__(self, *a): ...
    def run(self):
        e=threading.Event(); signal.signal(signal.SIGTERM, lambda *_: e.set())
        while not e.wait(0.2): pass
