"""The library at work: drives that mount, locate, read and write, one after another in the library's own time.

One process at a time steps it. What a step finds over is carried out (bytes move at the end of the phase that stands
for them), and idle drives get their next work. A crash loses nothing: requests that were under way are queued again, a
container without an index never was, and files stay on disk until they were written and read again.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from resources.errors import OutOfSpace, ResourceError
from resources.tape.drives import Drive, Phase, Settings, Shelf
from resources.tape.media import BadBlock, Entry, Media, Source, rewrite
from resources.tape.physics import Clock, DriveModel
from resources.tape.scheduler import Wanted, next_cartridge, ordered, split_wave
from resources.tape.state import ACTIVE, Cartridge, Landed, Moment, TapeState

NO_ROOM: Final = "no room on the library's disk: everything on it is pinned"


FAIRNESS_S: Final = 3600.0


def _here(function: Callable[..., list[Entry]], *arguments: object) -> list[Entry]:
    return function(*arguments)


class Library:
    """Steps the drives and the robot of one library."""

    def __init__(
        self,
        model: DriveModel,
        media: Media,
        state: TapeState,
        shelf: Shelf,
        clock: Clock,
        settings: Settings,
        carry_out: Callable[..., list[Entry]] = _here,
    ) -> None:
        self._model = model
        self._carry_out = carry_out
        self._media = media
        self._state = state
        self._shelf = shelf
        self._clock = clock
        self._settings = settings
        self.drives = [Drive(f"drive{number}") for number in range(1, settings.drives + 1)]
        self._robot_free_at = 0.0
        self._writing: set[str] = set()
        self._served: Counter[str] = Counter()
        self._forgotten_at = 0.0
        self._shown: tuple[int, tuple[dict[str, object], ...], str] | None = None
        self.robot_fault = ""
        self.problems: dict[str, str] = {}

    def recover(self) -> None:
        """What a starting process does: whatever was under way begins anew."""
        under_way = [r.id for r in self._state.requests(ACTIVE[1:], limit=1 << 30)]
        now = self._clock.now()
        self._state.progress(under_way, "queued", reason="the library was started again", now=now)
        known_already = [
            entry
            for landed in self._state.landed(1 << 30)
            if (entry := self._state.entry(landed.file_id)) is not None
        ]  # they were recorded, and the disk's copies did not go any more
        self._state.written(known_already, self._shelf.swap, now)
        for known in self._state.cartridges():
            if known.label in self._media.labels():
                used = self._media.used(known.label)
                if used != known.used_bytes:
                    self._state.change_cartridge(known.label, {"used_bytes": used})

    def step(self) -> float:
        """Carry out what is due and give idle drives work.

        Returns:
            When something is due next, infinity when nothing is under way.
        """
        now = self._clock.now()
        if now - self._forgotten_at > FAIRNESS_S:  # who was served long ago is served like everybody else
            self._forgotten_at = now
            self._served = Counter({user: count // 2 for user, count in self._served.items() if count > 1})
        for drive in self.drives:
            while drive.phases and drive.phases[0].until <= now and not drive.fault:
                then = drive.phases[0].then
                if then is not None:
                    then()  # what fails here, such as a catalog that is away, is done again at the next step
                drive.phases.popleft()
                if not drive.phases:
                    drive.serving = ()
        self._shelf.removed(self._state.forget)
        for drive in self.drives:
            if drive.is_idle:
                self._give_work(drive, now)
            if drive.phases and drive.phases[0].announced is False:
                drive.phases[0].announced = True
                self._state.progress([drive.phases[0].request], "positioning", now=now)
        self._show(now)
        return min((d.phases[0].until for d in self.drives if d.phases and not d.fault), default=math.inf)

    def _show(self, now: float) -> None:
        shown = (self._state.mounts(), tuple(d.view() for d in self.drives), self.robot_fault or "ready")
        if shown != self._shown:
            self._shown = shown
            self._state.show(Moment(now, *shown))

    def fail_drive(self, name: str, fault: str) -> None:
        """A drive is stuck, or with an empty fault mended: what it did is queued again, its cartridge is taken out."""
        now = self._clock.now()
        for drive in self.drives:
            if drive.name == name:
                drive.fault = fault
                if fault:
                    self._writing -= drive.writing
                    drive.phases.clear()
                    self._state.progress(drive.serving, "queued", reason=f"{name}: {fault}", now=now)
                    drive.cartridge, drive.at, drive.serving = "", 0, ()

    # -- what is next ----------------------------------------------------------------------------------------

    def _give_work(self, drive: Drive, now: float) -> None:
        write_due = self._write_due(now)
        if write_due == "overdue" and self._write(drive, now):
            return
        if self._recall(drive, now):
            return
        if write_due and self._write(drive, now):
            return
        self._repack_one(drive, now)

    def _repack_one(self, drive: Drive, now: float) -> None:
        """Give an idle drive a cartridge to repack, if one is to be."""
        for known in self._reachable(drive).values():
            if known.condition != "repacking":
                continue
            size = sum(entry.size for entry in self._state.entries(known.label))
            begin = self._mount(drive, known.label, now)
            over = begin + self._model.stream_s(size) * 2 + self._model.mount_s() + self._model.dismount_s(0)

            def repack(label: str = known.label) -> None:
                try:
                    self.repack(label)
                except ResourceError as error:
                    self._state.change_cartridge(label, {"condition": "protected"}, only_if="repacking")
                    self.problems[label] = str(error)

            drive.phases.append(Phase(f"repacking {known.label}", over, repack))
            drive.busy_s += over - begin
            return

    def _reachable(self, drive: Drive) -> dict[str, Cartridge]:
        """The cartridges that a drive could have: not in another drive, and with a robot that moves."""
        elsewhere = {other.cartridge for other in self.drives if other is not drive}
        known = {c.label: c for c in self._state.cartridges() if c.label not in elsewhere}
        if self.robot_fault:
            return {label: c for label, c in known.items() if label == drive.cartridge}
        return known

    def _recall(self, drive: Drive, now: float) -> bool:
        reachable = self._reachable(drive)
        waiting = self._state.waiting()
        for one in waiting:
            known = reachable.get(one.cartridge)
            if known is not None and not known.is_readable:
                lost = [w.id for w in self._state.wave(one.cartridge)]
                self._state.progress(
                    lost, "failed", reason=f"the cartridge `{one.cartridge}` is lost", now=now
                )
        able = [w for w in waiting if w.cartridge in reachable and reachable[w.cartridge].is_readable]
        chosen = next_cartridge(
            able,
            mounts=self._state.mounts(),
            patience=self._settings.patience,
            served=self._served,
            now=now,
        )
        if chosen is None:
            return False
        wave = self._state.wave(chosen.cartridge)
        if not self._shelf.make_room(min(one.size for one in wave), self._pinned(now)):
            self._state.progress([one.id for one in wave], "queued", reason=NO_ROOM, now=now)
            return False
        self._state.progress([one.id for one in wave], "mounting", now=now)
        begin = self._mount(drive, chosen.cartridge, now)
        first, rest = split_wave(self._model, wave, longest_s=self._settings.wave_s)
        order = ordered(self._model, first, drive.at)
        end = order[-1].start + order[-1].size if order else drive.at
        order += ordered(self._model, rest, end)
        ids = tuple(one.id for one in order)
        drive.serving = ids
        self._plan_reads(drive, order, begin, reachable[chosen.cartridge])
        return True

    def _plan_reads(self, drive: Drive, order: Sequence[Wanted], begin: float, cartridge: Cartridge) -> None:
        at, time = drive.at, begin
        for one in order:
            time += self._model.locate_s(at, one.start)

            def positioned(one: Wanted = one) -> None:
                drive.at = one.start
                self._state.progress([one.id], "reading", now=self._clock.now())

            drive.phases.append(
                Phase(f"locating {one.start} on {one.cartridge}", time, positioned, one.id, False)
            )
            time += self._model.stream_s(one.size)

            def read(one: Wanted = one, due: float = time) -> None:
                drive.at = one.start + one.size
                self._deliver(one, cartridge.bad_blocks, due)

            drive.phases.append(Phase(f"reading request {one.id} from {one.cartridge}", time, read, one.id))
            at = one.start + one.size
        drive.busy_s += time - begin

    def _deliver(self, one: Wanted, bad_blocks: tuple[int, ...], now: float) -> None:
        known = self._state.request(one.id)
        if known is None or known.state not in ACTIVE:
            return  # cancelled meanwhile
        entry = self._state.entry(known.file_id)
        if entry is None or entry.cartridge != one.cartridge:
            self._state.progress([one.id], "failed", reason="the file was removed", now=now)
            return
        if not self._shelf.holds(entry.file_id):
            if not self._shelf.make_room(entry.size, self._pinned(now)):
                self._state.progress(
                    [one.id], "queued", reason="no room on the library's disk: all is pinned", now=now
                )
                return
            try:
                self._shelf.receive(entry, self._media.read(entry, bad_blocks))
            except BadBlock as error:
                self._state.damaged([entry.file_id], str(error))
                self._state.progress([one.id], "failed", reason=str(error), now=now)
                return
            except ResourceError as error:
                self._state.progress([one.id], "failed", reason=str(error), now=now)
                return
        self._state.progress([one.id], "done", now=now)
        self._served[one.user] += 1

    def _pinned(self, now: float) -> Callable[[str], bool]:
        return lambda file_id: self._state.is_pinned(file_id, now)

    # -- mounting --------------------------------------------------------------------------------------------

    def _mount(self, drive: Drive, label: str, now: float) -> float:
        """Plan to have a cartridge in a drive; returns when it is ready."""
        if drive.cartridge == label:
            return now
        time = now
        if drive.cartridge:
            time += self._model.dismount_s(drive.at)
            drive.phases.append(Phase(f"unloading {drive.cartridge}", time))
        begins = max(time, self._robot_free_at)
        self._robot_free_at = begins + self._model.exchange
        ready = begins + self._model.mount_s()
        drive.phases.append(Phase(f"mounting {label}", ready))
        drive.busy_s += ready - now
        drive.cartridge, drive.at = label, 0
        self._state.mounted(label)
        return ready

    # -- writing ---------------------------------------------------------------------------------------------

    def _write_due(self, now: float) -> str:
        """`due` when enough waits to be written, `overdue` when it has waited too long."""
        landed = self._landed(10_000)
        if not landed:
            return ""
        age = now - min(one.since for one in landed)
        if age > 2 * self._settings.batch_age_s:
            return "overdue"
        enough = sum(one.size for one in landed) >= self._settings.batch_bytes
        return "due" if enough or age >= self._settings.batch_age_s else ""

    def _write(self, drive: Drive, now: float) -> bool:
        batch = self._batch()
        reachable = [c for c in self._reachable(drive).values() if c.is_writable]
        size = sum(one.size for one in batch)
        roomy = [c for c in reachable if c.capacity_bytes - c.used_bytes >= size]
        if not roomy and reachable:  # the last bytes of a cartridge take what fits
            largest = max(reachable, key=lambda c: c.capacity_bytes - c.used_bytes)
            batch = _fitting(batch, largest.capacity_bytes - largest.used_bytes)
            if not batch and largest.used_bytes:
                self._state.change_cartridge(largest.label, {"condition": "full"}, only_if="good")
            roomy = [largest]
        if not roomy or not batch:
            return False
        chosen = max(
            roomy, key=lambda c: (c.label == drive.cartridge, c.used_bytes)
        )  # the first of equal ones
        begin = self._mount(drive, chosen.label, now)
        self._plan_write(drive, chosen, batch, begin)
        return True

    def _landed(self, limit: int) -> list[Landed]:
        """What waits to be written and is not under way to a cartridge."""
        return [one for one in self._state.landed(limit) if one.file_id not in self._writing]

    def _batch(self) -> list[Landed]:
        """Files for one container, neighbours in the tree together."""
        found: list[Landed] = []
        size = 0
        for one in self._landed(100_000):
            if found and size + one.size > self._settings.container_bytes:
                break
            found.append(one)
            size += one.size
        return sorted(found, key=lambda one: one.name)

    def _plan_write(self, drive: Drive, cartridge: Cartridge, batch: Sequence[Landed], begin: float) -> None:
        model, size = self._model, sum(one.size for one in batch)
        ids = {one.file_id for one in batch}
        drive.writing = ids
        self._writing |= ids
        end = cartridge.used_bytes + size
        entries: list[Entry] = []
        time = begin + model.locate_s(drive.at, cartridge.used_bytes)
        drive.phases.append(Phase(f"locating the end of {cartridge.label}", time))
        time += model.stream_s(size) + model.file_mark

        def write() -> None:
            drive.at = end
            entries.extend(self._written(drive, cartridge, batch))

        drive.phases.append(Phase(f"writing {len(batch)} files to {cartridge.label}", time, write))
        time += model.locate_s(end, cartridge.used_bytes) + model.stream_s(size)

        def verify(due: float = time) -> None:
            self._verified(cartridge.label, entries, due)
            self._writing -= ids

        drive.phases.append(Phase(f"verifying {len(batch)} files on {cartridge.label}", time, verify))
        drive.busy_s += time - begin

    def _written(self, drive: Drive, cartridge: Cartridge, batch: Sequence[Landed]) -> list[Entry]:
        there: list[tuple[str, str, Source, int]] = []
        for one in batch:
            try:
                there.append((one.file_id, one.name, self._shelf.open_landed(one), one.size))
            except ResourceError:
                continue  # removed, or replaced, while the drive got ready
        try:
            entries = self._media.append(cartridge.label, there) if there else []
        except OutOfSpace:
            self._state.change_cartridge(cartridge.label, {"condition": "full"}, only_if="good")
            return []
        except ResourceError:
            return []  # a file changed under the drive: the container never was, the files are written again
        finally:
            for _, _, source, _ in there:
                _close(source)
        self._state.change_cartridge(cartridge.label, {"used_bytes": self._media.used(cartridge.label)})
        return entries

    def _verified(self, label: str, entries: Sequence[Entry], now: float) -> None:
        """Read what was written: only then the disk's copy goes."""
        known = next((c for c in self._state.cartridges() if c.label == label), None)
        bad = known.bad_blocks if known is not None else ()
        whole = [entry for entry in entries if self._media.is_whole(entry, bad)]
        self._state.written(whole, self._shelf.swap, now)

    # -- estimates and repacking -----------------------------------------------------------------------------

    def run_until_idle(self, *, steps: int = 1_000_000) -> None:
        """Step through time until nothing is under way; for a clock that waits."""
        for _ in range(steps):
            due = self.step()
            if due == math.inf:
                return
            self._clock.sleep(due - self._clock.now())
        raise RuntimeError(f"the library is not idle after {steps} steps")

    def repack(self, label: str) -> int:
        """Write what is still wanted of a cartridge to others, and erase it; returns the bytes that were written.

        One that cannot be repacked is only read from then on, and `problems` says why.

        Raises:
            OutOfSpace: the other cartridges have no room; nothing was erased.
            BadBlock: something of it cannot be read; nothing was erased.
        """
        entries = self._state.entries(label)
        moved: list[Entry] = []
        total = 0
        for group in _groups(entries, self._settings.container_bytes):
            size = sum(entry.size for entry in group)
            target = next(
                (
                    c
                    for c in sorted(self._state.cartridges(), key=lambda c: -c.used_bytes)
                    if c.label != label and c.is_writable and c.capacity_bytes - c.used_bytes >= size
                ),
                None,
            )
            if target is None:
                raise OutOfSpace(f"no other cartridge has {size} bytes left for what is on `{label}`")
            written = self._carry_out(rewrite, self._media.folder, target.label, tuple(group))
            if [e.digest for e in written] != [e.digest for e in group]:
                raise BadBlock(f"`{label}` did not read as it was written; nothing was erased")
            self._state.change_cartridge(target.label, {"used_bytes": self._media.used(target.label)})
            moved += written
            total += size
        self._state.moved(moved)
        self._media.erase(label)
        self._state.change_cartridge(label, {"used_bytes": 0, "deleted_bytes": 0, "bad_blocks": ()})
        self._state.change_cartridge(label, {"condition": "good"}, only_if="repacking")
        return total


def _fitting(batch: Sequence[Landed], room: int) -> list[Landed]:
    found: list[Landed] = []
    for one in batch:
        if one.size <= room:
            found.append(one)
            room -= one.size
    return found


def _groups(entries: Sequence[Entry], container_bytes: int) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    for entry in entries:
        if group and sum(e.size for e in group) + entry.size > container_bytes:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _close(source: Source) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()
