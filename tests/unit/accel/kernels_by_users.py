"""Kernels as people write them, and random ones."""

import random

BRIGHT = '''"""How bright frames are."""
VERSION = "1.0"


def bright(frame: Frame, level: float = 2.5):
    """Counts the pixels above a level, and their sum."""
    count = 0
    total = 0.0
    for y, x in pixels(frame):
        if frame[y, x] > level:
            count += 1
            total += frame[y, x]
    return {"count": count, "mean": total / count}
'''

# What it sums stays of the size of what it is made of: the difference of large numbers that are nearly the same is another one in single precision.
EVERYTHING = '''VERSION = "2.1"


def everything(frame: Frame, dark: Image, level: float = 2.5, radius: between(1, 3) = 2):
    """Uses all that there is in the language."""
    count = 0
    total = 0.0
    lowest = 1000000
    highest = 0.0
    corrected = image(frame)
    bins = histogram(radius * 10)
    for y, x in pixels(frame):
        value = frame[y, x] - dark[y, x]
        if value > level and int(frame[y, x]) % 2 == 1:
            corrected[y, x] = value
            count += 1
            total += value
        elif frame[y, x] < 2 or not y:
            lowest = min(lowest, y * columns(frame) + x)
        else:
            pass
        highest = max(highest, sqrt(value * value))
    mean = total / count
    step = 0
    for n in range(3):
        step = step + n if mean > 1 else step - n
    near = 0
    spread = 0.0
    for y, x in pixels(frame):
        around = 0
        for dy in range(-radius, radius + 1):
            for dx in range(radius, -radius - 1, -1):
                if valid(frame, y + dy, x + dx):
                    around += int(frame[y + dy, x + dx])
        if 3 * mean < around <= 1000000000:
            near += 1
        spread += ((frame[y, x] - mean) / (1 + highest)) ** 2
        bins[int(frame[y, x]) + int(frame[y, x - 1])] += 1
    return {
        "count": count, "mean": mean, "lowest": lowest, "highest": highest, "near": near, "spread": spread / max(count, 1), "corrected": corrected,
        "bins": bins, "first": bins[1] * 2, "step": step,
    }
'''


def random_kernel(seed: int) -> str:
    """A kernel that is of the language, with arithmetic of all kinds; whole numbers stay small."""
    choose = random.Random(seed)
    names = ["a", "b"]

    def whole(depth: int) -> str:
        if depth == 0:
            return choose.choice(
                [
                    "n",
                    "y",
                    "x",
                    "3",
                    "7",
                    "-2",
                    "rows(frame)",
                    *(f"int({name})" for name in names),
                    "int(frame[y, x]) % 50",
                ]
            )
        one, two = whole(depth - 1), whole(depth - 1)
        return choose.choice([
            f"({one} + {two})", f"({one} - {two})", f"({one} % 13 * ({two} % 11))", f"({one} // {two})", f"({one} % {two})", f"min({one}, {two})", f"max({one}, {two})",
            f"abs({one})", f"({one} if {truth(depth - 1)} else {two})", f"(-{one})", f"int(frame[{one} % 7, {two} % 5])",
        ])  # fmt: skip

    def floating(depth: int) -> str:
        if depth == 0:
            return choose.choice(["dark[y, x]", "level", "0.5", "1.25", *names])
        one, two = floating(depth - 1), floating(depth - 1)
        return choose.choice([
            f"({one} + {two})", f"({one} - {two})", f"({one} * 0.5)", f"({one} / (1.0 + abs({two})))", f"min({one}, {two})", f"max({one}, {whole(depth - 1)})",
            f"sqrt(abs({one}))", f"({one} if {truth(depth - 1)} else {two})", f"float({whole(depth - 1)})", f"floor({one})", f"(-{one})",
        ])  # fmt: skip

    def truth(depth: int) -> str:
        if depth <= 0:
            return choose.choice(["n > 3", "y == x", "valid(frame, y - 1, x)", "True"])
        return choose.choice([
            f"{whole(depth - 1)} {choose.choice(['<', '<=', '>', '>=', '==', '!='])} {whole(depth - 1)}", f"({truth(depth - 1)} and {truth(depth - 1)})",
            f"({truth(depth - 1)} or {truth(depth - 1)})", f"(not {truth(depth - 1)})",
        ])  # fmt: skip

    lines = [
"        n = int(frame[y, x]) % 40", "        a = float(y + 1)", "        b = level + 1.0", f"        b = {floating(1)}",
        f"        if {truth(2)}:", f"            n = {whole(2)}", f"            b = {floating(2)}", "        else:", f"            a = {floating(1)}",
        f"        for k in range({choose.randrange(4)}):", "            n = min(n + k, 1000)", f"        drawn[y, x] = {floating(2)}",
        f"        if {truth(2)}:", f"            count += {whole(1)} % 100", f"            bins[{whole(1)}] += 1", f"        lowest = min(lowest, {whole(2)})",
        f"        highest = max(highest, {floating(2)})", f"        total += {whole(1)} % 100 * 0.5",
    ]  # fmt: skip
    body = "\n".join(lines).replace("range(0)", "range(1)")
    return f'''VERSION = "{seed}"


def made(frame: Frame, dark: Image, level: float = 1.5):
    """A random one."""
    count = 0
    lowest = 1000000
    highest = -1000.0
    total = 0.0
    drawn = image(frame)
    bins = histogram(9)
    for y, x in pixels(frame):
{body}
    return {{"count": count, "lowest": lowest, "highest": highest, "total": total, "drawn": drawn, "bins": bins, "share": count / max(1, bins[0])}}
'''
