"""In which order a library serves recalls: which cartridge next, and what of it in which order. Pure functions.

Within a mount the order follows the tape: a tour along its length and back, made better by moving pieces of it where
that is quicker by the drive's own model. Across mounts oldest, most urgent and least-served come first, and no
request waits longer than a stated number of mounts of other cartridges.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resources.tape.physics import DriveModel

IMPROVED: int = 60
"""Up to so many requests of a mount are put in order by trying to move each; beyond, the sweep is near the optimum."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recall as the scheduler sees it.

    Attributes:
        id: of the request.
        cartridge: label of the cartridge that holds the file.
        start: byte position of the file on the tape.
        size: in bytes.
        user: who asked.
        priority: 1 to 9, 9 first.
        since: when it was asked for, in s.
        mounts_before: how many mounts the library had made when it was asked for.
    """

    id: int
    cartridge: str
    start: int
    size: int
    user: str = ""
    priority: int = 5
    since: float = 0.0
    mounts_before: int = 0


def tour_s(model: DriveModel, order: Iterable[Wanted], at: int = 0, *, back: bool = True) -> float:
    """What a drive takes to read requests in an order, from a position on; with the way back to the beginning."""
    total = 0.0
    for one in order:
        total += model.locate_s(at, one.start) + model.stream_s(one.size)
        at = one.start + one.size
    return total + (model.dismount_s(at) if back else 0.0)


def ordered(model: DriveModel, wanted: Sequence[Wanted], at: int = 0) -> list[Wanted]:
    """The order in which a mounted cartridge's requests are read.

    Two tours are tried: by place along the tape, out on even wraps and back on odd ones, and by position, which reads
    neighbours through; the better one is improved by moving single requests while that helps.
    """
    if len(wanted) < 2:
        return list(wanted)
    wrap_bytes = model.capacity_bytes / model.wraps

    def is_way_back(one: Wanted) -> bool:
        return int(one.start // wrap_bytes) % 2 == 1

    out = sorted((w for w in wanted if not is_way_back(w)), key=lambda w: (model.along(w.start), w.start))
    back = sorted((w for w in wanted if is_way_back(w)), key=lambda w: (-model.along(w.start), w.start))
    tours = [out + back, sorted(wanted, key=lambda w: w.start), _chained(model, wanted, at)]
    best = min(tours, key=lambda tour: tour_s(model, tour, at))
    return _improved(model, best, at) if len(best) <= IMPROVED else best


def _chained(model: DriveModel, wanted: Sequence[Wanted], at: int) -> list[Wanted]:
    """Neighbours that are quicker read through than located are kept together; the pieces follow the tape."""
    pieces: list[list[Wanted]] = []
    for one in sorted(wanted, key=lambda w: w.start):
        end = pieces[-1][-1].start + pieces[-1][-1].size if pieces else -1
        if pieces and one.start - end >= 0 and (one.start - end) / model.stream_rate < model.locate_overhead:
            pieces[-1].append(one)
        else:
            pieces.append([one])
    wrap_bytes = model.capacity_bytes / model.wraps
    away = [piece for piece in pieces if int(piece[0].start // wrap_bytes) % 2 == 0]
    back = [piece for piece in pieces if int(piece[0].start // wrap_bytes) % 2 == 1]
    away.sort(key=lambda piece: model.along(piece[0].start))
    back.sort(key=lambda piece: -model.along(piece[0].start))
    return list(itertools.chain.from_iterable([*away, *back]))


def _improved(model: DriveModel, tour: list[Wanted], at: int) -> list[Wanted]:
    best, cost = tour, tour_s(model, tour, at)
    again = True
    while again:
        again = False
        for source in range(len(best)):
            for target in range(len(best)):
                if source == target:
                    continue
                moved = best[:source] + best[source + 1 :]
                moved.insert(target, best[source])
                found = tour_s(model, moved, at)
                if found < cost - 1e-9:
                    best, cost, again = moved, found, True
    return best


def optimal(model: DriveModel, wanted: Sequence[Wanted], at: int = 0) -> list[Wanted]:
    """The best order by trying all; for judging `ordered` on a few requests."""
    if len(wanted) > 9:
        raise ValueError(f"found {len(wanted)} requests; all orders of 9 can be tried at the most")
    return list(min(itertools.permutations(wanted), key=lambda tour: tour_s(model, tour, at)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one cartridge, summed up so that a choice costs nothing with the number of requests.

    Attributes:
        cartridge: its label.
        requests: how many wait.
        size: their bytes.
        since: when the oldest was asked for.
        mounts_before: how many mounts the library had made by then.
        priority: the highest among them.
        users: requests by user.
    """

    cartridge: str
    requests: int
    size: int
    since: float
    mounts_before: int
    priority: int
    users: Mapping[str, int]


def next_cartridge(
    waiting: Sequence[Waiting], *, mounts: int, patience: int, served: Mapping[str, int], now: float
) -> Waiting | None:
    """Which cartridge to mount.

    No request waits longer than `patience` mounts of other cartridges, as long as no more than that many cartridges
    are wanted at once; with more, the one that has waited longest is next. While nobody's patience is at its end:
    the highest priority, then users that were served least, then most users and bytes and age for one mount.

    Args:
        waiting: what waits, by cartridge; cartridges that cannot be mounted left out.
        mounts: how many mounts the library has made.
        patience: mounts of others that a request bears.
        served: requests served lately, by user.
        now: the library's time.
    """
    if not waiting:
        return None
    by_deadline = sorted(waiting, key=lambda w: (w.mounts_before + patience, w.since, w.cartridge))
    for place, one in enumerate(by_deadline):
        if one.mounts_before + patience <= mounts + place:
            return by_deadline[0]

    def urgency(one: Waiting) -> tuple[float, ...]:
        fairness = sum(1.0 / (1 + served.get(user, 0)) for user in one.users)
        return (one.priority, fairness, now - one.since, one.requests)

    return max(sorted(waiting, key=lambda w: w.cartridge), key=urgency)


def split_wave(
    model: DriveModel, wanted: Sequence[Wanted], *, longest_s: float, few: int = 3
) -> tuple[list[Wanted], list[Wanted]]:
    """What of a wave is read first, and what after it.

    A wave that takes longer than `longest_s` is split, so that a few files of one user do not wait until somebody
    else's many were read: users with up to `few` requests come first.
    """
    if sum(model.stream_s(one.size) for one in wanted) + model.locate_overhead * len(wanted) <= longest_s:
        return list(wanted), []
    counts: dict[str, int] = {}
    for one in wanted:
        counts[one.user] = counts.get(one.user, 0) + 1
    first = [one for one in wanted if counts[one.user] <= few]
    return first, [one for one in wanted if counts[one.user] > few]
