from grid.errors import NotFound
class MicroserviceHost:
    def __init__(self, *a): ...
    def call(self, caller, name, arguments): raise NotFound("none")
