"""Tries every OpenCL device with a real launch and prints those that work: `python -m accel.probe`, in a process of its own.

PoCL ends the whole process when it finds no linker at the first launch, so who asks must not be who tries. Devices are tried one a line, so that what was
found before an end is known.
"""

import json
import sys

_SOURCE = "__kernel void probe(__global const int *a, __global int *b) { b[get_global_id(0)] = a[get_global_id(0)] + 1; }"


def main(only: int = -1) -> int:
    """Print a line of JSON for each device that works; with a number only that one is launched, the others are listed."""
    import numpy
    import pyopencl as cl

    number = 0
    for platform in cl.get_platforms():
        for device in platform.get_devices():
            found = {
                "number": number, "platform": platform.name, "device": device.name.strip(), "driver": device.driver_version,
                "is_gpu": bool(device.type & cl.device_type.GPU), "units": device.max_compute_units,
                "memory_bytes": device.global_mem_size, "largest_bytes": device.max_mem_alloc_size,
            }  # fmt: skip
            print(json.dumps({"trying": found}), flush=True)
            if only in (-1, number):
                context = cl.Context([device])
                queue = cl.CommandQueue(context)
                given = numpy.arange(64, dtype=numpy.int32)
                source = cl.Buffer(
                    context, cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR, hostbuf=given
                )
                target = cl.Buffer(context, cl.mem_flags.WRITE_ONLY, given.nbytes)
                cl.Program(context, _SOURCE).build().probe(queue, (64,), None, source, target)
                result = numpy.empty_like(given)
                cl.enqueue_copy(queue, result, target)
                print(json.dumps({"works": bool((result == given + 1).all()), "number": number}), flush=True)
            number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else -1))
